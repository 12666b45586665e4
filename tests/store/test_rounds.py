"""The daily round on both databases: every day once, whatever the process was doing when it was due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.nouns import keepers
from csms.terminals.reminder_words import Phrase
from csms.terminals.reminders import remind
from csms.terminals.rounds import MakeRound, Round, RoundDoer, RoundTimes, Step
from sessions.clock import ManualClock
from sessions.outbox import Outbox
from sessions.service import LEASE_S, Dispatched
from storage import reminder_schema
from storage import schema as t
from storage.engine import reading, writing
from tests.scale import LONG_ON
from tests.store.shop import counter

OSLO = RoundTimes(zone=ZoneInfo("Europe/Oslo"), at=time(4, 0))
NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


class Diary:
    """Writes down which day's round took its step, in the order of their commits."""

    def __init__(self) -> None:
        self.days: list[date] = []
        self.falls_on: date | None = None
        self._written = asyncio.Condition()

    async def step(self, r: Round) -> None:
        await remind(
            r.connection, r.now, key=f"diary:{r.day}", owner_id="platform", kind="diary", about="",
            subject=Phrase({"en": "a day"}), body=[], due_on=r.day,
        )  # fmt: skip
        if self.falls_on == r.day:
            raise RuntimeError("the step fell")
        async with self._written:
            self.days.append(r.day)
            self._written.notify_all()

    async def until(self, holds: Callable[[list[date]], bool]) -> None:
        async with self._written:
            await asyncio.wait_for(self._written.wait_for(lambda: holds(self.days)), 60)


@asynccontextmanager
async def process(engine: AsyncEngine, clock: ManualClock, *steps: Step) -> AsyncIterator[None]:
    """A process that makes rounds, and nothing else."""
    async with counter(engine, node="node-1", clock=clock, keepers=keepers()) as c:
        rounds = RoundDoer(c.service, engine, clock.now, OSLO, steps)

        async def do(dispatched: Dispatched) -> None:
            if isinstance(dispatched.command, MakeRound):
                await rounds(dispatched.command, dispatched)

        outbox = Outbox(engine, clock, node="node-1", do=do, lane_of=lambda d: getattr(d.command, "lane", None))
        c.service.on_commands = outbox.take
        await outbox.start()
        await rounds.begin()
        try:
            yield
        finally:
            await outbox.stop()


async def written(engine: AsyncEngine) -> list[date]:
    async with reading(engine) as connection:
        r = reminder_schema.reminders.c
        return list((await connection.execute(select(r.due_on).order_by(r.due_on))).scalars())


def days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]


@pytest.mark.parametrize("database_url", LONG_ON, indirect=True)
async def test_a_year_of_rounds_each_once_and_in_order(engine: AsyncEngine) -> None:
    clock, diary = ManualClock(NOON), Diary()
    expected = days(date(2026, 12, 1), 365)
    async with process(engine, clock, diary.step):
        await clock.set(NOON + timedelta(days=365))
        await diary.until(lambda made: len(made) == 365)
    assert diary.days == expected == await written(engine)


async def test_what_was_missed_while_the_process_was_down_is_made_up_for(engine: AsyncEngine) -> None:
    clock, diary = ManualClock(NOON), Diary()
    async with process(engine, clock, diary.step):
        await clock.set(NOON + timedelta(days=1))
        await diary.until(lambda made: len(made) == 1)
    await clock.set(NOON + timedelta(days=9))  # nobody is there
    async with process(engine, clock, diary.step):
        await diary.until(lambda made: len(set(made)) == 9)
    # A process that stops between a step and the end of its round takes the step again.
    assert list(dict.fromkeys(diary.days)) == days(date(2026, 12, 1), 9) == await written(engine)


async def test_a_step_that_falls_leaves_nothing_and_holds_up_the_next_day(engine: AsyncEngine) -> None:
    clock, diary = ManualClock(NOON), Diary()
    diary.falls_on = date(2026, 12, 2)
    async with process(engine, clock, diary.step):
        await clock.set(NOON + timedelta(days=5))
        await diary.until(lambda made: len(made) == 1)
        await _until_attempted(engine, "round:2026-12-02")
    assert await written(engine) == [date(2026, 12, 1)]
    diary.falls_on = None
    await clock.advance(LEASE_S + 1)
    async with process(engine, clock, diary.step):
        await diary.until(lambda made: len(set(made)) == 5)
    assert list(dict.fromkeys(diary.days)) == days(date(2026, 12, 1), 5) == await written(engine)


async def test_a_step_that_was_taken_before_a_crash_is_taken_again_without_harm(engine: AsyncEngine) -> None:
    clock, first, second = ManualClock(NOON), Diary(), Diary()
    second.falls_on = date(2026, 12, 1)  # the process dies between the two steps
    async with process(engine, clock, first.step, second.step):
        await clock.set(NOON + timedelta(days=1))
        await first.until(lambda made: len(made) == 1)
        await _until_attempted(engine, "round:2026-12-01")
    second.falls_on = None
    async with process(engine, clock, first.step, second.step):
        await second.until(lambda made: len(made) == 1)
    assert first.days == [date(2026, 12, 1)] * 2  # taken again …
    assert await written(engine) == [date(2026, 12, 1)]  # … and it changed nothing


async def _until_attempted(engine: AsyncEngine, key: str) -> None:
    query = select(t.outbox.c.attempts).where(t.outbox.c.command_key == key)
    async with asyncio.timeout(30):
        while True:
            async with reading(engine) as connection:
                if (await connection.execute(query)).scalar():
                    return
            await asyncio.sleep(0)


async def test_a_second_start_adds_no_second_round(engine: AsyncEngine) -> None:
    clock = ManualClock(NOON)
    for _ in range(2):
        async with process(engine, clock):
            pass
    async with reading(engine) as connection:
        query = select(t.outbox.c.command_key).where(t.outbox.c.kind == "MakeRound")
        assert list((await connection.execute(query)).scalars()) == ["round:2026-12-01"]


async def test_after_all_rounds_were_lost_the_next_one_is_due_next(engine: AsyncEngine) -> None:
    clock = ManualClock(NOON)
    async with process(engine, clock):
        pass
    async with writing(engine) as connection:
        await connection.execute(update(t.outbox).values(done_at=clock.now()))
    await clock.set(NOON + timedelta(days=3))
    async with process(engine, clock):
        pass
    async with reading(engine) as connection:
        query = select(t.outbox.c.command_key).where(t.outbox.c.done_at.is_(None))
        assert list((await connection.execute(query)).scalars()) == ["round:2026-12-04"]


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2026, 12, 1), datetime(2026, 12, 1, 3, 0, tzinfo=UTC)),  # winter: UTC+1
        (date(2027, 3, 28), datetime(2027, 3, 28, 2, 0, tzinfo=UTC)),  # the clock went forward at 02:00
        (date(2027, 10, 31), datetime(2027, 10, 31, 3, 0, tzinfo=UTC)),  # and back at 03:00
    ],
)
def test_rounds_keep_to_the_wall_clock(day: date, due: datetime) -> None:
    assert OSLO.due_at(day) == due
    assert OSLO.first_day(due) == day + timedelta(days=1)
    assert OSLO.first_day(due - timedelta(seconds=1)) == day
