"""OCPP 2.1, use case C24: a charge on a card at a stand-alone terminal, which is what this product is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from billing.payment import Payment
from csms.ocpp.dialect import stamp
from sessions.clock import ManualClock
from sessions.tables import Charging
from tests.journeys.stage import PATIENCE_S, Stage, stage
from tests.journeys.station_21 import Station21, station_21
from tests.wire.station import Station

#: 10.00 NOK/kWh incl. VAT: one øre per Wh; 300.00 NOK are held.
HOLD = 30_000
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POWER_W = 22_000


def bounded() -> dict[str, Any]:
    """The station's EVSE with a configured maximum, so that the offline limit applies."""
    return {"stations": [{"station_id": "CP", "evses": [{"evse_id": 1, "tariff_id": "T", "max_power_w": POWER_W}]}]}


async def tapped(on: Stage, station: Station21) -> dict[str, Any]:
    """Tap; the request to start, accepted."""
    await on.tap("T1")
    call = await station.expect("RequestStartTransaction")
    await station.answer(call, {"status": "Accepted"})
    await on.session(lambda s: s.charging is Charging.ACCEPTED)
    payload: dict[str, Any] = call[3]
    return payload


async def started(on: Stage, station: Station21, **more: Any) -> tuple[dict[str, Any], Any]:
    """Tap and start at register 1000: the request to start, the answer to Started."""
    request = await tapped(on, station)
    info = {"remoteStartId": request["remoteStartId"]}
    answer = await station.event("Started", "RemoteStart", wh=1000, info=info, idToken=request["idToken"], **more)
    return request, answer


async def test_the_start_says_the_payment_and_the_answer_its_limit(database_url: str) -> None:
    clock = ManualClock(NOON)
    async with stage(database_url, evses=1, families=("P66",), clock=clock) as on, station_21(on) as station:
        request, answer = await started(on, station)
        session = await on.session(lambda s: s.charging is Charging.CHARGING)
        assert request["idToken"] == {"idToken": session.authorisation.payment_ref, "type": "DirectPayment"}
        assert session.authorisation.payment_ref
        assert session.id_token not in str(request)
        assert answer == {"idTokenInfo": {"status": "Accepted"}, "transactionLimit": {"maxCost": 300.0}}
        assert not session.limit_confirmed

        echo = {"transactionLimit": {"maxCost": 300.0}}
        assert await station.event("Updated", "LimitSet", info=echo) == {"totalCost": 0.0}
        assert (await on.session(lambda s: s.limit_confirmed)).limit_confirmed
        await clock.advance(600)
        assert await station.event("Updated", "MeterValuePeriodic", wh=3500) == {"totalCost": 25.0}
        assert await station.event("Ended", "EVCommunicationLost", wh=3500) == {"totalCost": 25.0}
        session = await on.session(lambda s: s.closed_at is not None)
        assert (session.payment, session.captured_minor, session.flags) == (Payment.CAPTURED, 2_500, ())
        payment = on.cloud.terminal("T1").payment(session.authorisation.payment_ref)
        assert payment.history == ["authorized 30000", "committed 2500"]
        assert await on.ledger_sum() == (0, 0)


@pytest.mark.parametrize("says", ["reference", "remote start id", "both"])
async def test_either_correlates(database_url: str, says: str) -> None:
    async with stage(database_url, evses=1, families=("P66",)) as on, station_21(on) as station:
        request = await tapped(on, station)
        info = {"remoteStartId": request["remoteStartId"]} if says != "reference" else {}
        token = {"idToken": request["idToken"]} if says != "remote start id" else {}
        answer = await station.event("Started", "RemoteStart", wh=0, info=info, **token)
        assert answer["transactionLimit"] == {"maxCost": 300.0}
        assert len(await on.sessions()) == 1
        assert (await on.session(lambda s: s.charging is Charging.CHARGING)).transaction_id == "TX-1"


async def test_the_answer_to_a_repeated_start_says_the_limit_again(database_url: str) -> None:
    """It was lost on the way, or the station was: it asks again with the same content."""
    clock = ManualClock(NOON)
    async with stage(database_url, evses=1, families=("P66",), clock=clock) as on, station_21(on) as station:
        request = await tapped(on, station)
        info = {"remoteStartId": request["remoteStartId"]}
        for _ in range(2):
            answer = await station.event("Started", "RemoteStart", wh=0, info=info, idToken=request["idToken"], seqNo=0)
            assert answer["transactionLimit"] == {"maxCost": 300.0}


@pytest.mark.parametrize(
    ("supported", "told"), [("MaxEnergy, MaxCost", True), ("MaxEnergy,MaxTime", False), ("", False)]
)
async def test_a_station_that_lists_its_limits_is_told_only_of_those(
    database_url: str, supported: str, told: bool
) -> None:
    async with stage(database_url, evses=1, families=("P66",)) as on, station_21(on) as station:
        variable = {
            "component": {"name": "TxCtrlr"},
            "variable": {"name": "SupportedLimits"},
            "variableAttribute": [{"value": supported}],
        }
        report = {"requestId": 1, "seqNo": 0, "generatedAt": stamp(NOON), "reportData": [variable]}
        await station.ask("NotifyReport", report)
        _, answer = await started(on, station)
        assert ("transactionLimit" in answer) is told


@pytest.mark.parametrize(
    ("echo", "computes", "stops"),
    [
        (None, False, True),  # no echo: it cannot do it
        ("100.00", True, True),  # another limit than ours
        ("300.00", False, True),  # it hears of the cost from us, when it is too late
        ("300.00", True, False),
    ],
)
async def test_our_own_stop_comes_first_unless_the_station_can_do_it_itself(
    database_url: str, echo: str | None, computes: bool, stops: bool
) -> None:
    """At the sample before the last: 22 kW for one minute more would cost 3.67, and 2.00 are left of the hold."""
    clock = ManualClock(NOON)
    async with (
        stage(database_url, evses=1, families=("P66",), clock=clock, **bounded()) as on,
        station_21(on) as station,
    ):
        await started(on, station)
        told: dict[str, Any] = {"transactionLimit": {"maxCost": float(echo)}} if echo else {}
        told |= {"tariffId": "T-1"} if computes else {}
        await clock.advance(5000)
        await station.event("Updated", "LimitSet", wh=30_800, info=told)
        session = await on.session(lambda s: s.meter.energy_wh == 29_800)
        assert (session.charging is Charging.STOPPING) is stops
        if stops:
            call = await station.expect("RequestStopTransaction")
            await station.answer(call, {"status": "Accepted"})
            assert session.stop_by == "limit"
        await clock.advance(25)
        reason = {"stoppedReason": "Remote" if stops else "LocalOutOfCredit"}
        trigger = "RemoteStop" if stops else "CostLimitReached"
        answer = await station.event("Ended", trigger, wh=31_000, info=reason)
        assert answer == {"totalCost": 300.0}
        session = await on.session(lambda s: s.closed_at is not None)
        assert (session.captured_minor, session.written_off_minor) == (HOLD, 0)


async def test_after_a_power_cut_limit_and_profile_are_told_again(database_url: str) -> None:
    clock = ManualClock(NOON)
    async with (
        stage(database_url, evses=1, families=("P66",), clock=clock, **bounded()) as on,
        station_21(on) as station,
    ):
        request, _ = await started(on, station)
        profile = request["chargingProfile"]
        assert profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == POWER_W
        echo = {"transactionLimit": {"maxCost": 300.0}}
        await station.event("Updated", "LimitSet", info=echo)
        await clock.advance(3600)
        await station.event("Updated", "MeterValuePeriodic", wh=16_000)

        answer = await station.event("Updated", "TxResumed", wh=16_000)
        assert answer["transactionLimit"] == {"maxCost": 300.0}  # forgotten with the power, as it seems
        call = await station.expect("SetChargingProfile")
        await station.answer(call, {"status": "Accepted"})
        again = call[3]["chargingProfile"]
        assert call[3]["evseId"] == 1
        assert (again["id"], again["transactionId"]) == (profile["id"], "TX-1")
        assert again["chargingProfilePurpose"] == "TxProfile"
        full, nothing = again["chargingSchedule"][0]["chargingSchedulePeriod"]
        assert (full["limit"], nothing["limit"]) == (POWER_W, 0)
        # 150.00 are left: 15 kWh at 22 kW.
        assert nothing["startPeriod"] == pytest.approx(15_000 * 3600 / POWER_W, abs=2)

        answer = await station.event("Updated", "TxResumed", wh=16_000, info=echo)
        assert "transactionLimit" not in answer  # it has not forgotten
        call = await station.expect("SetChargingProfile")
        await station.answer(call, {"status": "Rejected"})  # best effort: nothing more follows
        assert (await on.session(lambda s: s.limit_confirmed)).charging is Charging.CHARGING


async def test_a_start_that_comes_too_late_is_known_by_the_payment(database_url: str) -> None:
    """The hold is given back already: the transaction is stopped and free, and not taken for a payment elsewhere."""
    clock = ManualClock(NOON)
    async with stage(database_url, evses=1, families=("P66",), clock=clock) as on, station_21(on) as station:
        request = await tapped(on, station)
        await clock.advance(200)
        await on.session(lambda s: s.payment is Payment.RELEASED)
        answer = await station.event("Started", "RemoteStart", wh=0, idToken=request["idToken"])
        assert answer["idTokenInfo"] == {"status": "Invalid"}
        assert "transactionLimit" not in answer
        call = await station.expect("RequestStopTransaction")
        await station.answer(call, {"status": "Accepted"})
        (session,) = await on.sessions()
        assert "late-start" in session.flags
        assert await on.ledger_sum() == (0, 0)


async def test_201_stations_are_told_neither(database_url: str) -> None:
    """The same charge on 2.0.1: a one-time token of type Central, no limit."""
    async with (
        stage(database_url, evses=1, families=("P66",), ocpp={"configure_stations": False}) as on,
        connect(f"{on.app.ocpp_url}/CP", subprotocols=[Subprotocol("ocpp2.0.1")]) as socket,
    ):
        station = Station(socket, "CP")
        boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        await station.ask("BootNotification", boot)
        await on.tap("T1")
        call = await asyncio.wait_for(station.next_call(), PATIENCE_S)
        assert call[3]["idToken"]["type"] == "Central"
        await station.answer(call, {"status": "Accepted"})
        (session,) = await on.sessions()
        assert call[3]["idToken"]["idToken"] == session.id_token
