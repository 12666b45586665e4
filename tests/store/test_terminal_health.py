"""Terminal health from facts: presence, taps and failures per day; and the alarms that follow from them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.payment import Payment
from csms.nouns import keepers
from csms.terminals.alarms import Kind, watch
from sessions import facts as f
from sessions.clock import ManualClock
from sessions.commands import AuthoriseHold
from storage import care_schema as t
from storage import reminder_schema
from storage import schema as s
from storage.engine import reading, writing
from tests.store.care_house import OWNER, THRESHOLDS, add_owner
from tests.store.shop import Counter, open_shop
from tests.store.shop import counter as counter_of

LATE = datetime(2026, 3, 10, 22, 30, tzinfo=UTC)  # 23:30 in Oslo, half an hour before a new day


async def furnish(engine: AsyncEngine) -> None:
    await add_owner(engine)
    await open_shop(engine)
    async with writing(engine) as connection:
        await connection.execute(update(s.terminals).values(owner_id=OWNER))


async def told(counter: Counter, online: bool, firmware: str = "") -> None:
    now = counter.now
    await counter.submit(
        f.TerminalStateReported(
            key=f"state:{now}:{online}", at=now, serial="P1", online=online, state="IDLE", firmware=firmware
        )
    )


async def days(engine: AsyncEngine) -> dict[date, dict[str, int]]:
    async with reading(engine) as connection:
        rows = await connection.execute(select(t.terminal_days))
        return {
            row.day: {name: row._mapping[name] for name in ("taps", "held", "refused", "declined", "unanswered")}
            for row in rows
        }


async def open_alarms(counter: Counter) -> dict[str, Any]:
    async with writing(counter.engine) as connection:
        await watch(connection, THRESHOLDS, counter.now)
        rows = await connection.execute(select(t.alarms).where(t.alarms.c.closed_at.is_(None)))
        return {row.kind: row for row in rows}


async def answer(counter: Counter, session_id: str, kind: str) -> None:
    """The cloud's answer to the tap's hold; unanswered ones are then found to be none by a look-up."""
    mine = [d.command for d in counter.dispatched if isinstance(d.command, AuthoriseHold)]
    (command,) = [one for one in mine if one.session_id == session_id]
    now = counter.now
    fact: f.Fact = (
        f.PaymentDeclined(key=f"{command.key}:declined", at=now, session_id=session_id, reason="05")
        if kind == "declined"
        else f.PaymentUnanswered(key=f"{command.key}:unanswered", at=now, session_id=session_id)
    )
    await counter.service.complete(command.key, fact)
    await counter.submit(fact)  # the same again
    if kind == "unanswered":
        for n in range(3):
            again = f.PaymentUnanswered(key=f"{session_id}:look_up:{n}:unanswered", at=now, session_id=session_id)
            await counter.submit(again)


async def test_changes_between_online_and_offline_are_kept_once(engine: AsyncEngine) -> None:
    await furnish(engine)
    async with counter_of(engine, clock=ManualClock(LATE), keepers=keepers()) as counter:
        for online in (True, True, False, False, True):
            await told(counter, online, "4.2.1")
            await counter.clock.advance(60)
        async with reading(engine) as connection:
            kept = (await connection.execute(select(t.terminal_presence).order_by(t.terminal_presence.c.since))).all()
            health = (await connection.execute(select(t.terminal_health))).one()
    assert [(row.online, (row.since - LATE).seconds) for row in kept] == [(True, 0), (False, 120), (True, 240)]
    assert health.firmware == "4.2.1"


async def test_taps_are_counted_once_by_the_owners_days(engine: AsyncEngine) -> None:
    await furnish(engine)
    async with counter_of(engine, clock=ManualClock(LATE), keepers=keepers()) as counter:
        await counter.tap(session_id="S1", arm="A1")
        await counter.hold("S1")
        await counter.tap(session_id="S2", arm="A2")  # another card, and the EVSE is claimed: refused
        await counter.tap(session_id="S2", arm="A2")  # the same facts again
        assert await days(engine) == {
            date(2026, 3, 10): {"taps": 2, "held": 1, "refused": 1, "declined": 0, "unanswered": 0}
        }
        await counter.clock.advance(3600)
        await counter.submit(f.CardPresented(**_card("nobody's", counter.now)))  # no such interaction
        assert len(await days(engine)) == 1
        await counter.tap(session_id="S3", arm="A3")
        assert (await days(engine))[date(2026, 3, 11)]["taps"] == 1


def _card(arm: str, at: datetime) -> dict[str, Any]:
    values = {"key": f"card:{arm}", "at": at, "serial": "P1", "arm_id": arm, "session_id": "S9", "id_token": "T9"}
    return values | {"card": f.Card(card_ref="c"), "remote_start_id": 9, "receipt_token": "r9"}


async def test_failing_taps_are_an_alarm_until_they_are_over(engine: AsyncEngine) -> None:
    await furnish(engine)
    async with counter_of(engine, clock=ManualClock(LATE - timedelta(hours=6)), keepers=keepers()) as counter:
        for n in range(12):
            await counter.tap(session_id=f"F{n}", arm=f"F{n}")
            await answer(counter, f"F{n}", "unanswered" if n == 11 else "declined")
            await counter.clock.advance(7200 if n == 11 else 60)
            (only,) = (await days(engine)).values()
            assert only["declined"] + only["unanswered"] == only["taps"] - only["refused"]
            failing = await open_alarms(counter)
            enough = only["taps"] >= 10 and (only["declined"] + only["unanswered"]) * 2 >= only["taps"]
            assert (Kind.FAILING in failing) is enough
        assert (only["taps"], only["declined"], only["unanswered"], enough) == (12, 11, 1, True)
        await counter.clock.advance(2 * 86_400)
        assert Kind.FAILING not in await open_alarms(counter)
        async with reading(engine) as connection:
            (alarm,) = (await connection.execute(select(t.alarms).where(t.alarms.c.kind == Kind.FAILING))).all()
            count = await connection.execute(select(reminder_schema.reminders.c.reminder_key))
            assert [key for key in count.scalars() if key == f"alarm:{alarm.alarm_id}"] == [f"alarm:{alarm.alarm_id}"]
        assert alarm.closed_at == counter.now


async def test_offline_and_silence_are_alarms_opened_once(engine: AsyncEngine) -> None:
    await furnish(engine)
    async with counter_of(engine, clock=ManualClock(LATE), keepers=keepers()) as counter:
        await told(counter, False)
        await counter.clock.advance(3600)
        assert await open_alarms(counter) == {}
        await counter.clock.advance(1)
        first = await open_alarms(counter)
        assert set(first) == {Kind.TERMINAL_OFFLINE}
        assert first[Kind.TERMINAL_OFFLINE].owner_id == OWNER
        await counter.clock.advance(3600)
        assert (await open_alarms(counter))[Kind.TERMINAL_OFFLINE].alarm_id == first[Kind.TERMINAL_OFFLINE].alarm_id
        await told(counter, True)
        assert await open_alarms(counter) == {}
        await counter.clock.advance(15 * 86_400)
        assert set(await open_alarms(counter)) == {Kind.SILENT}
        await counter.tap(session_id="S1", arm="A1")
        assert await open_alarms(counter) == {}
        async with writing(engine) as connection:
            away = {"connected": False, "seen_at": counter.now - timedelta(hours=2)}
            await connection.execute(update(s.stations).values(away))
        assert set(await open_alarms(counter)) == {Kind.STATION_OFFLINE}


async def test_money_that_nobody_confirms_is_the_concern_of_whose_processor_it_is(engine: AsyncEngine) -> None:
    await furnish(engine)
    async with counter_of(engine, clock=ManualClock(LATE), keepers=keepers()) as counter:
        await counter.tap(session_id="S1", arm="A1")
        await counter.hold("S1")
        await counter.charge(1, "S1", 10_000)
        async with reading(engine) as connection:
            c = s.sessions.c
            assert (await connection.execute(select(c.payment))).scalar_one() == Payment.CAPTURING
        await told(counter, True)
        await counter.clock.advance(71.9 * 3600)
        assert Kind.CAPTURE_UNCONFIRMED not in await open_alarms(counter)
        await counter.clock.advance(0.2 * 3600)
        alarm = (await open_alarms(counter))[Kind.CAPTURE_UNCONFIRMED]
        assert (alarm.about, alarm.owner_id) == ("S1", "platform")
        confirmed = f.CaptureConfirmed(key="S1:capture:confirmed", at=counter.now, session_id="S1", amount_minor=1000)
        await counter.submit(confirmed)
        assert Kind.CAPTURE_UNCONFIRMED not in await open_alarms(counter)
