"""A year of licences, round by round, with the process up and down: nothing is done twice, nothing is left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.app import App, running
from csms.settings import load_settings
from csms.terminals.licences import remind_of_ends
from csms.terminals.rounds import MakeRound, Round
from sessions.clock import ManualClock
from storage import reminder_schema
from storage import schema as s
from storage.engine import reading, writing
from tests.estate import ANNE, enter, found, license_terminal, sell
from tests.scale import LONG_ON

OSLO = ZoneInfo("Europe/Oslo")
BEGIN = datetime(2028, 2, 29, 10, 0, tzinfo=UTC)  # a day that the next year does not have
PATIENCE_S = 240.0
LEAP, RENEWED, GONE, LATER = (f"APO2024000000{n}" for n in range(1, 5))


@asynccontextmanager
async def up(database_url: str, clock: ManualClock, folder: Path) -> AsyncIterator[App]:
    """The system, until it is stopped."""
    settings = load_settings(
        None,
        database_url=database_url,
        ocpp={"host": "127.0.0.1", "port": 0},
        http={"host": "127.0.0.1", "port": 0, "public_url": "http://127.0.0.1:1"},
        files={"folder": str(folder)},
    )
    async with running(settings, clock=clock) as app:
        yield app


async def caught_up(app: App, clock: ManualClock) -> None:
    """Wait until every round that was due has been made."""
    o = s.outbox.c
    due = select(func.count()).where(o.kind == MakeRound.__name__, o.done_at.is_(None), o.due_at <= clock.now())
    give_up = time.monotonic() + PATIENCE_S
    while True:
        async with reading(app.engine) as connection:
            if not (await connection.execute(due)).scalar_one():
                return
        assert time.monotonic() < give_up, "the rounds were not made up for"
        await asyncio.sleep(0.01)


async def reminders(engine: AsyncEngine) -> dict[tuple[str, str], Any]:
    """By terminal and days."""
    async with reading(engine) as connection:
        rows = (await connection.execute(select(reminder_schema.reminders))).all()
    return {(row.about, row.reminder_key.rsplit(":", 1)[1]): row for row in rows if row.kind == "licence"}


def at(year: int, month: int, day: int, hour: int = 12) -> datetime:
    return datetime(year, month, day, hour, tzinfo=OSLO).astimezone(UTC)


@pytest.mark.timeout(600)  # five hundred rounds, with the steps of every noun
@pytest.mark.parametrize("database_url", LONG_ON, indirect=True)
async def test_a_year_of_licences(database_url: str, tmp_path: Path) -> None:
    clock = ManualClock(BEGIN)
    async with up(database_url, clock, tmp_path) as app:
        engine = app.engine
        await found(engine)
        await sell(engine)
        for serial in (LEAP, RENEWED, GONE, LATER):
            await enter(engine, serial)
            if serial is not LATER:
                await license_terminal(engine, serial, "PLAN", now=BEGIN)
        for day in (at(2028, 3, 25), at(2028, 3, 26), at(2028, 3, 27), at(2028, 6, 30)):  # the clock is put forward
            await clock.set(day)
            await caught_up(app, clock)
        await license_terminal(engine, LATER, "PLAN", now=clock.now())
        await clock.set(at(2028, 10, 28))
        await caught_up(app, clock)
        for day in (at(2028, 10, 29), at(2028, 10, 30)):  # and back
            await clock.set(day)
            await caught_up(app, clock)
        await clock.set(at(2028, 11, 30, 23))
        await caught_up(app, clock)
        assert await reminders(engine) == {}  # 90 days and an hour are left
    await clock.set(at(2028, 12, 10))  # it was down when the first ones were due
    async with up(database_url, clock, tmp_path) as app:
        engine = app.engine
        await caught_up(app, clock)
        told = await reminders(engine)
        assert set(told) == {(serial, "90") for serial in (LEAP, RENEWED, GONE)}
        assert {(row.owner_id, row.due_on) for row in told.values()} == {(ANNE, date(2029, 2, 28))}
        await license_terminal(engine, RENEWED, "PLAN", now=clock.now())
        async with writing(engine) as connection:
            gone = s.terminals.c.serial == GONE
            await connection.execute(update(s.terminals).where(gone).values(inventory_state="returned"))
        await clock.set(at(2029, 1, 30, 3))
        await caught_up(app, clock)
        assert len(await reminders(engine)) == 3
        await clock.set(at(2029, 1, 30, 5))
        await caught_up(app, clock)
        assert set(await reminders(engine)) - set(told) == {(LEAP, "30")}
    await clock.set(at(2029, 7, 3))  # down over everything that was due since, and over the end
    async with up(database_url, clock, tmp_path) as app:
        await caught_up(app, clock)
        told = await reminders(app.engine)
        leap, later = {(LEAP, days) for days in ("90", "30", "7")}, {(LATER, days) for days in ("90", "30", "7")}
        assert set(told) == leap | later | {(RENEWED, "90"), (GONE, "90")}
        o = s.outbox.c
        async with reading(app.engine) as connection:
            ours = (o.kind == "SendReminder", o.command_key.startswith("reminder:licence:"))
            sent = (await connection.execute(select(o.command_key).where(*ours))).scalars().all()
            rounds = (
                (await connection.execute(select(o.command_key).where(o.kind == "MakeRound", o.done_at.is_not(None))))
                .scalars()
                .all()
            )
        assert sorted(sent) == sorted(f"reminder:{row.reminder_key}" for row in told.values())
        first, last = date(2028, 3, 1), date(2029, 7, 3)
        assert sorted(rounds) == [
            f"round:{(first + timedelta(days=n)).isoformat()}" for n in range((last - first).days + 1)
        ]


async def test_a_round_that_is_made_again_reminds_of_nothing_twice(engine: AsyncEngine) -> None:
    """A crash between a step's commit and the round's: the step is taken again."""
    await found(engine)
    await sell(engine)
    await enter(engine, LEAP)
    await license_terminal(engine, LEAP, "PLAN", now=BEGIN)
    for due_at in (at(2029, 2, 22, 4), at(2029, 2, 22, 4), at(2029, 2, 23, 4)):
        async with writing(engine) as connection:
            await remind_of_ends(Round(connection=connection, day=due_at.date(), due_at=due_at, now=due_at, zone=OSLO))
        assert set(await reminders(engine)) == {(LEAP, "7")}  # 90 and 30 are not made up for: these are 7 days
