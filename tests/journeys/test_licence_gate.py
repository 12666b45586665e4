"""A terminal takes cards with an activation and a plan; what has begun when the plan ends is finished as it began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from billing.ledger import Account
from billing.payment import Payment
from csms.terminals.inventory import State, move
from sessions.clock import ManualClock
from sessions.tables import Charging
from storage import schema as s
from storage.engine import reading, writing
from tests.estate import ANNE, enter, found, license_terminal, sell
from tests.journeys.stage import PATIENCE_S, Stage, stage
from tests.journeys.station_21 import Station21, station_21

#: A plan of a year that begins now ends with 15 March 2027 in Oslo.
BOUGHT = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
ENDS = datetime(2027, 3, 15, 23, 0, tzinfo=UTC)
WORDS = "Uten lisens"


@asynccontextmanager
async def licensed(database_url: str, *skus: str) -> AsyncIterator[tuple[Stage, Station21, ManualClock]]:
    """Anne's terminal T1 at her station, live, an hour before the end of its plan; no grace."""
    clock = ManualClock(ENDS - timedelta(hours=1))
    patterns = {"serial_patterns": {"P66": "T[0-9]"}}
    async with (
        stage(database_url, evses=1, families=("P66",), clock=clock, terminals=[], inventory=patterns) as on,
        station_21(on) as station,
    ):
        engine = on.app.engine
        await found(engine)
        await sell(engine)
        async with writing(engine) as connection:
            await connection.execute(update(s.stations).where(s.stations.c.station_id == "CP").values(owner_id=ANNE))
        await enter(engine, "T1", family="P66", evses=[("CP", 1)], patterns=patterns["serial_patterns"])
        async with writing(engine) as connection:
            for to in (State.ONBOARDING, State.LIVE):
                await move(connection, "T1", to, by="test", reason="test", now=BOUGHT)
        await license_terminal(engine, "T1", *skus, now=BOUGHT, grace_days=0)
        assert on.app.bridge is not None
        on.app.bridge.wake("T1")
        yield on, station, clock


async def refused(on: Stage, payments: int) -> None:
    """A tap brings nothing: the reader says that it has no licence, and no amount is reserved."""
    give_up = time.monotonic() + PATIENCE_S
    terminal = on.cloud.terminal("T1")
    while WORDS not in f"{terminal.message} {terminal.idle_text}":
        if terminal.state == "READING":
            await on.cloud.tap("T1", "visa-2")
        assert time.monotonic() < give_up, f"it says {terminal.message!r}, {terminal.idle_text!r}"
        await asyncio.sleep(0.01)
    assert len(terminal.payments) == payments
    assert len(await on.sessions()) == payments


async def test_a_plan_that_ends_during_a_charge_does_not_touch_it(database_url: str) -> None:
    async with licensed(database_url, "ACT", "PLAN") as (on, station, clock):
        await on.tap("T1")
        call = await station.expect("RequestStartTransaction")
        await station.answer(call, {"status": "Accepted"})
        await on.session(lambda one: one.charging is Charging.ACCEPTED)
        info = {"remoteStartId": call[3]["remoteStartId"]}
        await station.event("Started", "RemoteStart", wh=1000, info=info, idToken=call[3]["idToken"])
        await clock.set(ENDS + timedelta(minutes=5))
        await station.event("Updated", "MeterValuePeriodic", wh=3000)
        assert (await on.session(lambda one: one.charging is Charging.CHARGING)).flags == ()
        await clock.advance(600)
        await station.event("Ended", "EVCommunicationLost", wh=3500)
        session = await on.session(lambda one: one.closed_at is not None)
        assert (session.payment, session.captured_minor, session.flags) == (Payment.CAPTURED, 2_500, ())
        (receipt,) = await on.receipts()
        assert receipt.charged_minor == 2_500
        async with reading(on.app.engine) as connection:
            rows = (await connection.execute(s.ledger.select().where(s.ledger.c.owner_id == ANNE))).all()
        owed = [row.amount_minor for row in rows if row.account == Account.OWNER_PAYABLE.value]
        assert owed == [62_499, 150_000, -2_500]  # what the licences cost, and what the charge brought
        await refused(on, payments=1)


async def test_without_both_no_card_is_taken(database_url: str) -> None:
    async with licensed(database_url, "PLAN") as (on, _, clock):
        await refused(on, payments=0)
        await license_terminal(on.app.engine, "T1", "ACT", now=clock.now())
        terminal = on.cloud.terminal("T1")
        assert on.app.bridge is not None
        on.app.bridge.wake("T1")
        give_up = time.monotonic() + PATIENCE_S
        while not terminal.payments:  # it may still say so once; then it takes the card
            if terminal.state == "READING":
                await on.cloud.tap("T1")
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
        await on.session(lambda one: one.charging is Charging.STARTING)
