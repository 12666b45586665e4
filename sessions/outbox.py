"""The outbox: hands commands to doers. At once after the commit; on time for timers; by polling for what a crash left.

A command is claimed with a lease (``FOR UPDATE SKIP LOCKED`` on PostgreSQL), so that several processes share one
table. A lease that ran out is anybody's: the doer then sees ``attempt`` > 1 and looks before it leaps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sessions.clock import Clock
from sessions.codec import decode_command
from sessions.service import LEASE_S, Dispatched
from storage import schema as t
from storage.engine import reading, writing

log = logging.getLogger(__name__)

POLL_S = 30
CLAIM_AT_ONCE = 200


class Outbox:
    """One loop for commands and timers; each command runs in a task of its own, in its lane."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        node: str,
        do: Callable[[Dispatched], Awaitable[None]],
        lane_of: Callable[[Dispatched], str | None],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._node = node
        self._do = do
        self._lane_of = lane_of
        self._lanes: dict[str, asyncio.Lock] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._claiming = asyncio.Lock()
        self._wake = asyncio.Event()
        self._sleeps_until: datetime | None = None
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; what an earlier process left behind is claimed first."""
        self._loop = asyncio.create_task(self._run(), name="outbox")

    async def stop(self) -> None:
        """Stop. Commands under way are abandoned as in a crash: their leases run out, or this node takes them back."""
        async with self._claiming:  # a write that is broken off may leave SQLite's lock behind
            tasks = [task for task in (self._loop, *self._running.values()) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, ready: Sequence[Dispatched], next_due: datetime | None) -> None:
        """Fresh from a commit: run what is due (leased to us already), and note when the next timer is."""
        for dispatched in ready:
            self._spawn(dispatched)
        if next_due is not None and (self._sleeps_until is None or next_due < self._sleeps_until):
            self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether no doer is at work."""
        return not self._running

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._sleeps_until = None  # a timer that a commit brings while we look must wake us
            try:
                async with self._claiming:
                    for dispatched in await self._claim():
                        self._spawn(dispatched)
                until = await self._next_due()
            except Exception:
                log.exception("the outbox could not read the database; it tries again")
                until = self._clock.now() + timedelta(seconds=5)
            poll = self._clock.now() + timedelta(seconds=POLL_S)
            self._sleeps_until = min(until, poll) if until else poll
            await self._clock.wait(self._wake, self._sleeps_until)

    async def _claim(self) -> list[Dispatched]:
        """Lease what is due and nobody's."""
        now = self._clock.now()
        o = t.outbox.c
        free = (
            select(o.command_key)
            .where(o.done_at.is_(None), o.due_at <= now, or_(o.leased_until.is_(None), o.leased_until < now))
            .order_by(o.due_at, o.command_key)
            .limit(CLAIM_AT_ONCE)
        )
        if self._running:
            free = free.where(o.command_key.not_in(list(self._running)))
        async with reading(self._engine) as connection:
            if (await connection.execute(free)).first() is None:
                return []
        lease = {"leased_by": self._node, "leased_until": now + timedelta(seconds=LEASE_S), "attempts": o.attempts + 1}
        claim = (
            update(t.outbox)
            .where(o.command_key.in_(free.with_for_update(skip_locked=True).scalar_subquery()))
            .values(lease)
            .returning(o.kind, o.command, o.attempts, o.due_at)
        )
        async with writing(self._engine) as connection:
            found = (await connection.execute(claim)).all()
        claimed = [Dispatched(decode_command(row.kind, row.command), row.attempts, row.due_at) for row in found]
        return sorted(claimed, key=lambda d: (d.due_at, d.command.key))

    async def _next_due(self) -> datetime | None:
        """When the next unleased command falls due."""
        o = t.outbox.c
        query = select(func.min(o.due_at)).where(o.done_at.is_(None), o.leased_until.is_(None))
        async with reading(self._engine) as connection:
            due: datetime | None = (await connection.execute(query)).scalar()
            return due

    def _spawn(self, dispatched: Dispatched) -> None:
        key = dispatched.command.key
        if key in self._running:
            return
        task = asyncio.create_task(self._carry_out(dispatched), name=f"doer {key}")
        self._running[key] = task

    async def _carry_out(self, dispatched: Dispatched) -> None:
        key = dispatched.command.key
        try:
            lane = self._lane_of(dispatched)
            if lane is None:
                await self._do(dispatched)
            else:
                async with self._lanes.setdefault(lane, asyncio.Lock()):
                    await self._do(dispatched)
        except Exception:
            # A defect, not an outcome: the lease runs out and it is tried again, looking first.
            log.exception("the doer of %s failed", key)
        finally:
            self._running.pop(key, None)
            if not self._running:
                self._lanes.clear()
