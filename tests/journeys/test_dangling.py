"""A station comes back without the end of a charge (bar 4): closed by what it says, by its registers, or in time.

10.00 NOK a kWh: one øre per Wh.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from billing.payment import Payment
from sessions.clock import ManualClock
from sessions.session import Session
from sessions.tables import Charging
from tests.conformance.bench import boot_payload, stamp
from tests.journeys.stage import Stage, stage
from tests.wire.station import Station

LOST_END_S = 300
V16, V201 = "ocpp1.6", "ocpp2.0.1"


class Scene:
    """A stage, its clock, and station CP, played by hand on one line after another."""

    def __init__(self, on: Stage, clock: ManualClock, version: str) -> None:
        self.on = on
        self.clock = clock
        self.version = version
        self.station: Station
        self._lines = contextlib.AsyncExitStack()

    @property
    def now(self) -> str:
        return stamp(self.clock.now())

    async def connect(self, *, boot: bool = True) -> None:
        """A new line."""
        url = f"{self.on.app.ocpp_url}/CP"
        line = connect(url, subprotocols=[Subprotocol(self.version)], compression=None)
        self.station = Station(await self._lines.enter_async_context(line), "CP")
        if boot:
            await self.ask("BootNotification", boot_payload(self.version))

    async def vanish(self, seconds: float) -> None:
        """The line breaks; time passes."""
        await self.station.socket.close()
        await self.on.station_is("CP", connected=False)
        await self.clock.advance(seconds)

    async def ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = await self.station.ask(action, payload)
        assert answer[0] == 3, answer
        result: dict[str, Any] = answer[2]
        return result

    async def event(self, kind: str, wh: int, **info: Any) -> dict[str, Any]:
        """A TransactionEvent of tx-1 at EVSE 1."""
        more = {name: info.pop(name) for name in ("idToken", "offline", "timestamp") if name in info}
        self.seq_no = getattr(self, "seq_no", -1) + 1
        at = more.get("timestamp", self.now)
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "Trigger",
            "seqNo": self.seq_no,
            "transactionInfo": {"transactionId": "tx-1"} | info,
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": wh}]}],
        }
        return await self.ask("TransactionEvent", payload | more)

    async def status(self, said: str) -> None:
        if self.version == V16:
            await self.ask("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": said})
        else:
            payload = {"timestamp": self.now, "connectorStatus": said, "evseId": 1, "connectorId": 1}
            await self.ask("StatusNotification", payload)

    async def charge(self) -> str:
        """A card's charge with 1 000 Wh on the meter after an hour; 1.6: its transaction id."""
        await self.on.tap("T1")
        start = await self.station.next_call()
        await self.station.answer(start, {"status": "Accepted"})
        await self.on.session(lambda s: s.charging is Charging.ACCEPTED)
        number = ""
        if self.version == V16:
            begun = {"connectorId": 1, "idTag": start[3]["idTag"], "meterStart": 0, "timestamp": self.now}
            number = str((await self.ask("StartTransaction", begun))["transactionId"])
        else:
            remote = start[3]["remoteStartId"]
            await self.event("Started", 0, idToken=start[3]["idToken"], remoteStartId=remote)
        await self.clock.advance(3600)
        if self.version == V16:
            sampled = [{"timestamp": self.now, "sampledValue": [{"value": "1000"}]}]
            await self.ask("MeterValues", {"connectorId": 1, "transactionId": int(number), "meterValue": sampled})
        else:
            await self.event("Updated", 1000)
        return number

    async def answer_status(self, **answer: Any) -> None:
        """The system asks what became of tx-1."""
        asked = await self.station.next_call()
        assert (asked[2], asked[3]) == ("GetTransactionStatus", {"transactionId": "tx-1"})
        await self.station.answer(asked, answer)

    async def settled(self, wh: int) -> Session:
        """The charge is over and paid for; the reader takes the next card."""
        session = await self.on.session(lambda s: s.closed_at is not None, 0)
        assert (session.meter.energy_wh, session.captured_minor) == (wh, wh)
        assert await self.on.ledger_sum() == (0, 0)
        assert [r.charged_minor for r in await self.on.receipts()] == [wh]
        return session

    async def close(self) -> None:
        await self._lines.aclose()


@contextlib.asynccontextmanager
async def scene(database_url: str, version: str, **settings: Any) -> AsyncIterator[Scene]:
    """Station CP, booted."""
    clock = ManualClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    quiet = {"configure_stations": False}
    timed = {"lost_end_s": LOST_END_S, "connection_timeout_s": 3600}
    async with stage(database_url, clock=clock, ocpp=quiet, sessions=timed, **settings) as on:
        made = Scene(on, clock, version)
        try:
            await made.connect()
            yield made
        finally:
            await made.close()


async def test_the_station_has_forgotten_it(database_url: str) -> None:
    async with scene(database_url, V201) as s:
        await s.charge()
        await s.vanish(600)
        await s.connect()
        await s.answer_status(ongoingIndicator=False, messagesInQueue=False)
        session = await s.settled(1000)
        assert (session.charging, session.provisional) == (Charging.LOST, True)
        assert session.flags == ("settled-provisionally",)
        # The EVSE is free: the next card is asked to plug in.
        await s.on.tap("T1", "visa-2")
        assert (await s.station.next_call())[2] == "RequestStartTransaction"


async def test_the_end_was_in_the_queue(database_url: str) -> None:
    async with scene(database_url, V201) as s:
        await s.charge()
        ended_at = stamp(s.clock.now() + timedelta(seconds=60))
        await s.vanish(600)
        await s.connect()
        await s.answer_status(ongoingIndicator=False, messagesInQueue=True)
        await s.on.session(lambda session: session.doubted_until)
        await s.event("Ended", 1200, offline=True, timestamp=ended_at)
        session = await s.settled(1200)
        assert (session.charging, session.flags) == (Charging.ENDED, ())
        assert stamp(session.ended_at) == ended_at


async def test_it_goes_on(database_url: str) -> None:
    async with scene(database_url, V201) as s:
        await s.charge()
        await s.vanish(600)
        await s.connect()
        await s.answer_status(ongoingIndicator=True, messagesInQueue=False)
        await s.on.session(lambda session: session.away_since is None)
        await s.clock.advance(10 * LOST_END_S)
        await s.event("Ended", 2500)
        assert (await s.settled(2500)).flags == ()


async def test_a_16_station_is_free_and_tells_no_end(database_url: str) -> None:
    async with scene(database_url, V16) as s:
        number = await s.charge()
        await s.vanish(600)
        await s.connect(boot=False)
        await s.status("Available")
        await s.on.session(lambda session: session.doubted_until)
        await s.clock.advance(LOST_END_S - 1)
        assert (await s.on.sessions())[0].charging is Charging.CHARGING
        await s.clock.advance(1)
        session = await s.settled(1000)
        assert session.charging is Charging.LOST
        # The end after all, a day later: the money is taken, so an operator compares.
        await s.clock.advance(86_400)
        stop = {"transactionId": int(number), "meterStop": 1300, "timestamp": s.now}
        assert await s.ask("StopTransaction", stop) == {}
        session = await s.settled(1000)
        assert session.flags == ("settled-provisionally", "late-end")


async def test_a_16_station_is_free_and_its_queue_tells_the_end(database_url: str) -> None:
    async with scene(database_url, V16) as s:
        number = await s.charge()
        await s.vanish(600)
        await s.connect()
        await s.status("Available")
        await s.on.session(lambda session: session.doubted_until)
        await s.clock.advance(LOST_END_S - 10)
        # A reading of before is no end, but tells that the queue is coming.
        sampled = [{"timestamp": stamp(s.clock.now() - timedelta(hours=1)), "sampledValue": [{"value": "1100"}]}]
        await s.ask("MeterValues", {"connectorId": 1, "transactionId": int(number), "meterValue": sampled})
        await s.clock.advance(LOST_END_S - 10)
        stop = {"transactionId": int(number), "meterStop": 1200, "timestamp": s.now}
        await s.ask("StopTransaction", stop)
        session = await s.settled(1200)
        assert (session.charging, session.flags) == (Charging.ENDED, ())


@pytest.mark.parametrize(
    ("register", "flags"), [(1000, ("end-lost",)), (1400, ("energy-unproven", "settled-provisionally"))]
)
async def test_the_next_start_tells_what_the_last_end_would_have(
    database_url: str, register: int, flags: tuple[str, ...]
) -> None:
    async with scene(database_url, V16, id_tokens=[{"id_token": "GOOD"}]) as s:
        await s.charge()
        await s.vanish(600)
        await s.connect(boot=False)
        begun = {"connectorId": 1, "idTag": "GOOD", "meterStart": register, "timestamp": s.now}
        assert (await s.ask("StartTransaction", begun))["idTagInfo"]["status"] == "Accepted"
        session = await s.settled(1000)
        assert (session.charging, session.flags) == (Charging.LOST, flags)
        assert (await s.on.sessions())[1].charging is Charging.CHARGING


@pytest.mark.parametrize("version", [V16, V201])
async def test_a_charge_nobody_pays_for_does_not_hold_its_evse_for_ever(database_url: str, version: str) -> None:
    """The station never comes back; when it does after all, the late end corrects what was written down."""
    async with scene(database_url, version, id_tokens=[{"id_token": "GOOD"}]) as s:
        number = ""
        if version == V16:
            begun = {"connectorId": 1, "idTag": "GOOD", "meterStart": 0, "timestamp": s.now}
            number = str((await s.ask("StartTransaction", begun))["transactionId"])
        else:
            await s.event("Started", 0, idToken={"idToken": "GOOD", "type": "ISO14443"})
        await s.vanish(47 * 3600)
        assert (await s.on.sessions())[0].open
        await s.clock.advance(3600)
        await s.on.session(lambda session: session.doubted_until)
        await s.clock.advance(LOST_END_S)
        session = await s.on.session(lambda session: not session.open)
        assert (session.charging, session.payment) == (Charging.LOST, Payment.NONE)
        await s.connect()
        if version == V16:
            await s.ask("StopTransaction", {"transactionId": int(number), "meterStop": 700, "timestamp": s.now})
        else:
            await s.event("Ended", 700, offline=True)
        session = (await s.on.sessions())[0]
        assert (session.charging, session.meter.energy_wh) == (Charging.ENDED, 700)
        assert session.cost is not None
        assert (session.cost.total_minor, session.flags[-1]) == (700, "late-end-counted")


async def test_a_charge_that_was_given_up_and_runs_is_stopped(database_url: str) -> None:
    async with scene(database_url, V201) as s:
        await s.charge()
        await s.vanish(600)
        await s.connect()
        await s.answer_status(ongoingIndicator=False, messagesInQueue=False)
        await s.settled(1000)
        await s.clock.advance(60)
        await s.event("Updated", 1100)
        stop = await s.station.next_call()
        assert (stop[2], stop[3]) == ("RequestStopTransaction", {"transactionId": "tx-1"})
        await s.station.answer(stop, {"status": "Accepted"})
        await s.event("Ended", 1110)
        session = (await s.on.sessions())[0]
        assert (session.charging, session.captured_minor, "found-running" in session.flags) == (
            Charging.ENDED,
            1000,
            True,
        )
