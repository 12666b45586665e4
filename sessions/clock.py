"""The clock the house goes by: an argument, never `datetime.now()` in the middle of things.

Real time in production. A development clock runs at a chosen speed from an anchor (so that an hour's charge takes
seconds, in step with simulators given the same two numbers); a test moves a `ManualClock` by hand.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits until it is later."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    async def wait(self, wake: asyncio.Event, until: datetime | None) -> None:
        """Return when ``wake`` is set or the time is ``until``, whichever comes first. Does not clear ``wake``."""
        ...


class SystemClock:
    """The wall clock, or, for development, ``anchor + (wall - anchor) × speed``."""

    def __init__(self, speed: float = 1.0, anchor: datetime | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"A clock's speed must be above 0, not {speed}.")
        self.speed = speed
        self.anchor = anchor or datetime.now(UTC)

    def now(self) -> datetime:
        """Aware UTC."""
        wall = datetime.now(UTC)
        return wall if self.speed == 1.0 else self.anchor + (wall - self.anchor) * self.speed

    async def wait(self, wake: asyncio.Event, until: datetime | None) -> None:
        """See `Clock.wait`."""
        seconds = None if until is None else max((until - self.now()).total_seconds() / self.speed, 0.0)
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            return


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._moved: asyncio.Condition = asyncio.Condition()

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

    async def set(self, now: datetime) -> None:
        """Move to ``now``; never backwards."""
        async with self._moved:
            self._now = max(self._now, now)
            self._moved.notify_all()

    async def advance(self, seconds: float) -> None:
        """Move forward."""
        await self.set(self._now + timedelta(seconds=seconds))

    async def wait(self, wake: asyncio.Event, until: datetime | None) -> None:
        """See `Clock.wait`."""
        woken = asyncio.ensure_future(wake.wait())
        due = asyncio.ensure_future(self._reach(until))
        try:
            await asyncio.wait({woken, due}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (woken, due):
                task.cancel()
            await asyncio.gather(woken, due, return_exceptions=True)

    async def _reach(self, until: datetime | None) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: until is not None and self._now >= until)
