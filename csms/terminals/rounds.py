"""The daily round: whatever happens by the calendar, once for each day, whether or not the process was up.

A round is a command in the outbox, due at a time of day in the operator's zone. Its doer takes the steps of all nouns,
each in a transaction of its own, and the next day's round is written by the commit that completes it. Rounds that were
missed are made one after the other, each for its own day, so nothing is skipped; a step that a crash cut off is taken
again, so each must be able to find what it has done already (a unique key).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import Fact
from sessions.rows import enqueue
from sessions.service import Dispatched, Service
from storage import schema as t
from storage.engine import reading, writing

log = logging.getLogger(__name__)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MakeRound(Command):
    """Make the round of ``day``."""

    day: date
    lane: str = "round"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundMade(Fact):
    """The round of ``day`` is over. ``next_at``: when the next one is due (UTC)."""

    day: date
    next_at: datetime


@dataclass(slots=True, kw_only=True)
class Round:
    """What a step works with. ``due_at``: when this day's round was due, ``now``: what time it really is (both UTC).

    Whoever was down for a week makes seven rounds: what happened *by* a day is judged at ``due_at``.
    """

    connection: AsyncConnection
    day: date
    due_at: datetime
    now: datetime
    zone: ZoneInfo
    commands: list[Command] = field(default_factory=list)  # to be done after the step's commit


Step = Callable[[Round], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTimes:
    """When rounds are due: at ``at`` in ``zone``."""

    zone: ZoneInfo
    at: time

    def due_at(self, day: date) -> datetime:
        """When the round of ``day`` is due, UTC. A time that the clock jumps over counts from before the jump."""
        return datetime.combine(day, self.at, tzinfo=self.zone).astimezone(UTC)

    def first_day(self, now: datetime) -> date:
        """The day of the first round that is due after ``now``."""
        today = now.astimezone(self.zone).date()
        return today if self.due_at(today) > now else today + timedelta(days=1)

    def round_of(self, day: date) -> MakeRound:
        """The command for the round of ``day``."""
        return MakeRound(key=f"round:{day.isoformat()}", due_at=self.due_at(day), day=day)


class RoundDoer:
    """Makes rounds."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        now: Callable[[], datetime],
        times: RoundTimes,
        steps: Sequence[Step],
    ) -> None:
        self._service = service
        self._engine = engine
        self._now = now
        self._times = times
        self._steps = steps

    async def __call__(self, command: MakeRound, _: Dispatched) -> None:
        """Take every step; a step that fails is logged and taken again, and the next day's round waits for it."""
        for step in self._steps:
            async with writing(self._engine) as connection:
                made = Round(
                    connection=connection,
                    day=command.day,
                    due_at=self._times.due_at(command.day),
                    now=self._now(),
                    zone=self._times.zone,
                )
                await step(made)
                await enqueue(connection, made.commands, made.now)
            self._service.wake(made.now)  # reminders are written beside ``commands``
        tomorrow = self._times.due_at(command.day + timedelta(days=1))
        fact = RoundMade(key=f"{command.key}:made", at=self._now(), day=command.day, next_at=tomorrow)
        await self._service.complete(command.key, fact)

    async def begin(self) -> None:
        """At the start: make sure that a round waits. The first one ever is the next that falls due."""
        o = t.outbox.c
        waiting = select(o.command_key).where(o.kind == MakeRound.__name__, o.done_at.is_(None)).limit(1)
        async with reading(self._engine) as connection:
            if (await connection.execute(waiting)).first() is not None:
                return
        now = self._now()
        async with writing(self._engine) as connection:
            await enqueue(connection, [self._times.round_of(self._times.first_day(now))], now)
        self._service.wake(now)


async def keep_made(_: AsyncConnection, found: Sequence[RoundMade], now: datetime) -> list[Command]:
    """The next day's round, in the commit that completes this one."""
    days = [(fact.day + timedelta(days=1), fact.next_at) for fact in found]
    return [MakeRound(key=f"round:{day.isoformat()}", due_at=at, day=day) for day, at in days]


KEEPERS = {RoundMade: (keep_made,)}
