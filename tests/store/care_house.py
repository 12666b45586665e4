"""The part of the house that cares for terminals: real service, outbox, rounds and doers, and a clock moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.nouns import keepers
from csms.terminals import batteries, inspections
from csms.terminals.alarms import AlarmDoer, Thresholds, WatchForAlarms
from csms.terminals.mail import MailDoer, MailOptions
from csms.terminals.notice_clock import NoticeDoer, RemindOfNotice
from csms.terminals.reminders import SendReminder
from csms.terminals.rounds import MakeRound, RoundDoer, RoundTimes
from sessions.clock import ManualClock
from sessions.outbox import Outbox
from sessions.service import Dispatched, Service
from sessions.session import Policy
from storage import owner_schema, reminder_schema
from storage import schema as s
from storage.engine import reading, writing

OSLO = ZoneInfo("Europe/Oslo")
OWNER = "own_00000000000a"
STEPS = (*batteries.ROUND, *inspections.ROUND)
THRESHOLDS = Thresholds(
    every=timedelta(days=1),
    terminal_offline=timedelta(minutes=60),
    station_offline=timedelta(minutes=60),
    failure_percent=50,
    failure_taps=10,
    silent=timedelta(days=14),
    release=timedelta(hours=24),
    capture=timedelta(hours=72),
)


def oslo(*moment: int) -> datetime:
    """A moment by the owner's clock, UTC."""
    return datetime(*moment, tzinfo=OSLO).astimezone(UTC)  # type: ignore[arg-type,misc]


class CareHouse:
    """``start`` and ``stop`` are those of the process: what is under way when it stops is cut off, as in a crash."""

    def __init__(
        self, engine: AsyncEngine, clock: ManualClock, mail: MailOptions | None, give_up: timedelta, watching: bool
    ) -> None:
        self.engine = engine
        self.clock = clock
        self._mail = mail
        self._give_up = give_up
        self._watching = watching
        self._started = False

    async def start(self) -> None:
        self.service = Service(
            self.engine,
            self.clock,
            Policy(),
            node="n",
            issuer_id="I1",
            public_url="https://x.example",
            keepers=keepers(),
        )
        now = self.clock.now
        mail = MailDoer(self.service, self.engine, now, self._mail, self._give_up)
        alarms = AlarmDoer(self.service, self.engine, now, THRESHOLDS)
        rounds = RoundDoer(self.service, self.engine, now, RoundTimes(zone=OSLO, at=time(4)), STEPS)
        doers: dict[type[Any], Any] = {
            SendReminder: mail,
            RemindOfNotice: NoticeDoer(self.service, self.engine, now),
            MakeRound: rounds,
            WatchForAlarms: alarms,
        }

        async def do(dispatched: Dispatched) -> None:
            await doers[type(dispatched.command)](dispatched.command, dispatched)

        self.outbox = Outbox(
            self.engine, self.clock, node="n", do=do, lane_of=lambda d: getattr(d.command, "lane", None)
        )
        self.service.on_commands = self.outbox.take
        await self.service.start()
        await self.outbox.start()
        await rounds.begin()
        await mail.begin()
        if self._watching:
            await alarms.begin()
        self._started = True

    async def stop(self) -> None:
        if self._started:
            await self.outbox.stop()
            await self.service.stop()
        self._started = False

    async def _earliest(self, by: datetime) -> datetime | None:
        o = s.outbox.c
        query = select(func.min(o.due_at)).where(o.done_at.is_(None), o.due_at <= by)
        async with reading(self.engine) as connection:
            found: datetime | None = (await connection.execute(query)).scalar()
            return found

    async def settle(self) -> None:
        """Until nothing that is due is undone."""
        async with asyncio.timeout(20):
            while await self._earliest(self.clock.now()) is not None or not self.outbox.idle:
                await asyncio.sleep(0.002)

    async def until(self, at: datetime) -> None:
        """Let the time pass, from one thing that falls due to the next."""
        await self.settle()
        while (due := await self._earliest(at)) is not None:
            await self.clock.set(due)
            await self.settle()
        await self.clock.set(at)

    async def down_until(self, at: datetime) -> None:
        """The process is not there until ``at``; then it makes up for what it missed."""
        await self.stop()
        await self.clock.set(at)
        await self.start()
        await self.settle()

    async def reminders(self) -> dict[str, Any]:
        """Every reminder by its key."""
        async with reading(self.engine) as connection:
            rows = await connection.execute(select(reminder_schema.reminders))
            return {row.reminder_key: row for row in rows}


async def add_owner(
    engine: AsyncEngine,
    owner_id: str = OWNER,
    *,
    emails: tuple[str, ...] = (),
    time_zone: str = "Europe/Oslo",
    language: str = "en",
) -> None:
    """An owner with contacts at these addresses."""
    contacts = [{"name": f"Contact {n}", "role": "owner", "email": one, "phone": ""} for n, one in enumerate(emails)]
    async with writing(engine) as connection:
        await connection.execute(
            owner_schema.owners.insert().values(
                owner_id=owner_id,
                legal_name="Owner AS",
                organisation_number="999999999",
                vat_number="",
                address="[]",
                country="NO",
                currency="NOK",
                language=language,
                time_zone=time_zone,
                contacts=orjson.dumps(contacts).decode(),
                terms="{}",
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
            )
        )


async def add_terminal(
    engine: AsyncEngine, serial: str, *, family: str = "P66", state: str = "live", owner_id: str = OWNER
) -> None:
    """A terminal of an owner's."""
    async with writing(engine) as connection:
        await connection.execute(
            s.terminals.insert().values(
                serial=serial, family=family, currency="NOK", language="en", owner_id=owner_id, inventory_state=state
            )
        )


@asynccontextmanager
async def care_house(
    engine: AsyncEngine,
    now: datetime,
    *,
    mail: MailOptions | None = None,
    give_up: timedelta = timedelta(0),
    watching: bool = False,
) -> AsyncIterator[CareHouse]:
    """The house from start to stop. ``give_up``: age at which a reminder is not sent any more."""
    house = CareHouse(engine, ManualClock(now), mail, give_up, watching)
    await house.start()
    try:
        yield house
    finally:
        await house.stop()
