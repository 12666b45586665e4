"""What a charge costs, on the station's display: 1.6's California pricing messages, and the passing of time."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.stations.cost_display import ShowCost
from sessions.clock import ManualClock
from sessions.tables import Charging
from storage import schema as t
from storage.engine import reading
from tests.conformance.bench import boot_payload, stamp
from tests.journeys.stage import PATIENCE_S, Stage, stage
from tests.wire.station import _SILENT, Station

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TARIFF = {"tariff_id": "T", "hold": "300", "per_kwh": "10", "idle_per_minute": "1", "vat_percent": "25"}
VENDOR = "org.openchargealliance.costmsg"


async def next_call(station: Station) -> list[Any]:
    """The system's next call that does not configure the station."""
    while True:
        call = await station.next_call()
        if call[2] == "GetConfiguration":
            await station.answer(call, {"configurationKey": [], "unknownKey": call[3].get("key", [])})
        elif call[2] == "ChangeConfiguration" and call[3]["key"] != "DefaultPrice":
            await station.answer(call, {"status": "Accepted"})
        else:
            return call


async def told(station: Station, message_id: str) -> dict[str, Any]:
    """The system's next call, which must be this message; accepted."""
    call = await next_call(station)
    assert (call[2], call[3].get("vendorId"), call[3].get("messageId")) == ("DataTransfer", VENDOR, message_id)
    await station.answer(call, {"status": "Accepted"})
    data: dict[str, Any] = json.loads(call[3]["data"])
    return data


async def shown_later(on: Stage) -> None:
    """Wait until the next showing of the cost waits for its time: a clock that moves before goes past it."""
    o = t.outbox.c
    waiting = select(o.command_key).where(o.kind == ShowCost.__name__, o.done_at.is_(None), o.leased_until.is_(None))
    give_up = time.monotonic() + PATIENCE_S
    while True:
        async with reading(on.app.engine) as connection:
            if (await connection.execute(waiting)).first() is not None:
                return
        assert time.monotonic() < give_up, "the cost is not shown again"
        await asyncio.sleep(0.01)


async def booted(on: Stage, station: Station, announces: str | None) -> None:
    """Boot; the system asks for its configuration, and for whether costs are shown."""
    await station.ask("BootNotification", boot_payload("ocpp1.6"))
    asked = False
    while not asked:
        call = await station.next_call()
        assert call[2] in {"GetConfiguration", "ChangeConfiguration"}, call
        keys = call[3].get("key")
        if keys == ["CustomDisplayCostAndPrice"]:
            known = [{"key": keys[0], "readonly": True, "value": announces}] if announces else []
            await station.answer(call, {"configurationKey": known, "unknownKey": [] if announces else keys})
            asked = True
        elif call[2] == "GetConfiguration":
            await station.answer(call, {"configurationKey": [], "unknownKey": keys})
        else:
            await station.answer(call, {"status": "Accepted"})


async def test_prices_and_costs_on_1_6(database_url: str) -> None:
    clock = ManualClock(NOON)
    async with (
        stage(database_url, evses=1, families=("P66",), clock=clock, tariffs=[TARIFF]) as on,
        connect(f"{on.app.ocpp_url}/CP", subprotocols=[Subprotocol("ocpp1.6")], logger=_SILENT, proxy=None) as line,
    ):
        station = Station(line, "CP")
        await booted(on, station, "true")
        call = await next_call(station)
        assert call[3].get("key") == "DefaultPrice"
        assert "10.00 NOK/kWh" in json.loads(call[3]["value"])["priceText"]
        await station.answer(call, {"status": "Accepted"})
        await station.ask("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
        await on.tap("T1")
        start = await next_call(station)
        assert start[2] == "RemoteStartTransaction"
        await station.answer(start, {"status": "Accepted"})
        price = await told(station, "SetUserPrice")
        assert price["idToken"] == start[3]["idTag"]
        assert "10.00 NOK/kWh" in price["priceText"]

        begun = {"connectorId": 1, "idTag": start[3]["idTag"], "meterStart": 1000, "timestamp": stamp(clock.now())}
        transaction_id = (await station.ask("StartTransaction", begun))[2]["transactionId"]
        running = await told(station, "RunningCost")
        assert running == {
            "transactionId": transaction_id,
            "timestamp": "2026-11-23T12:00:00.000Z",
            "meterValue": 1000,
            "cost": 0.0,
            "state": "Charging",
            "chargingPrice": {"kWhPrice": 10.0},
            "idlePrice": {"graceMinutes": 0, "hourPrice": 60.0},
        }
        await shown_later(on)
        await clock.advance(30)
        sample = {"timestamp": stamp(clock.now()), "sampledValue": [{"value": "2500"}]}
        metered = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sample]}
        await station.ask("MeterValues", metered)  # shown with the next minute
        parked = {"connectorId": 1, "errorCode": "NoError", "status": "SuspendedEV", "timestamp": stamp(clock.now())}
        await station.ask("StatusNotification", parked)
        await clock.advance(600)  # nothing is heard, and idle time costs all the same
        cost = 0.0
        while cost < 24:
            running = await told(station, "RunningCost")
            assert running["state"] == "Idle"
            cost = running["cost"]
        await clock.advance(1)
        ended = {"transactionId": transaction_id, "meterStop": 3500, "timestamp": stamp(NOON + timedelta(seconds=631))}
        await station.ask("StopTransaction", ended)
        final = await told(station, "FinalCost")
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.cost is not None
        assert final["cost"] == session.captured_minor / 100 == session.cost.total_minor / 100
        assert final["transactionId"] == transaction_id
        assert final["qrCodeText"].endswith(f"/r/{session.receipt_token}")


async def test_a_station_that_announces_nothing_is_told_nothing(database_url: str) -> None:
    clock = ManualClock(NOON)
    async with (
        stage(database_url, evses=1, families=("P66",), clock=clock) as on,
        connect(f"{on.app.ocpp_url}/CP", subprotocols=[Subprotocol("ocpp1.6")], logger=_SILENT, proxy=None) as line,
    ):
        station = Station(line, "CP")
        await booted(on, station, None)
        await station.ask("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
        await on.tap("T1")
        call = await next_call(station)
        assert call[2] == "RemoteStartTransaction"
        await station.answer(call, {"status": "Accepted"})
        await on.session(lambda s: s.charging is Charging.ACCEPTED)
        begun = {"connectorId": 1, "idTag": call[3]["idTag"], "meterStart": 1000, "timestamp": stamp(clock.now())}
        transaction_id = (await station.ask("StartTransaction", begun))[2]["transactionId"]
        await clock.advance(120)
        ended = {"transactionId": transaction_id, "meterStop": 1500, "timestamp": stamp(clock.now())}
        await station.ask("StopTransaction", ended)
        await on.session(lambda s: s.closed_at is not None)
        assert await station.calls_so_far() == []
