"""What time brings: everything due happens in order, at its own moment, however late the process wakes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from simulators.station.charging import Due

if TYPE_CHECKING:
    from simulators.station.station import Station


class Schedule:
    """Heartbeats, clock-aligned samples, boot retries, and what is due at the EVSEs."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._heartbeat_at: datetime | None = None
        self._aligned_at: datetime | None = None
        self._wake = asyncio.Event()
        self._busy = False

    def wake(self) -> None:
        """What is due may have changed."""
        self._wake.set()

    def restart(self) -> None:
        """Count the heartbeat and clock-aligned intervals anew."""
        now = self._station.clock.true_now()
        interval = self._station.settings.integer("heartbeat_interval_s")
        self._heartbeat_at = now + timedelta(seconds=interval) if interval else None
        self._align(now)
        self.wake()

    def settle(self) -> bool:
        """Let everything happen that was due by now; False when that is going on already."""
        if self._busy:
            return False
        with self.held():
            now = self._station.clock.true_now()
            while (due := min(self._due(), key=lambda due: due[0], default=None)) is not None and due[0] <= now:
                self.advance(due[0])
                due[1](due[0])
            self.advance(now)
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Time stands still inside."""
        busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = busy

    def advance(self, moment: datetime) -> None:
        """Let energy flow up to the moment."""
        for evse in self._station.evses.values():
            evse.advance(moment)

    async def run(self) -> None:
        """Wake whenever something is due."""
        clock = self._station.clock
        while True:
            self._station.settle()
            self._wake.clear()
            soonest = min((moment for moment, _ in self._due()), default=None)
            wait = None if soonest is None else max(0.0, (soonest - clock.true_now()).total_seconds())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else clock.real_seconds(wait)):
                    await self._wake.wait()

    def _due(self) -> Iterator[Due]:
        station = self._station
        if not station.powered:
            return
        for evse in station.evses.values():
            yield from station.charging.due(evse)
        if self._heartbeat_at is not None and station.registered:
            yield self._heartbeat_at, self._heartbeat
        if self._aligned_at is not None and station.registered:
            yield self._aligned_at, self._aligned
        if station.registration.retry_at is not None:
            yield station.registration.retry_at, station.registration.retry

    def _heartbeat(self, moment: datetime) -> None:
        self._heartbeat_at = moment + timedelta(seconds=self._station.settings.integer("heartbeat_interval_s"))
        self._station.post("Heartbeat", {})

    def _aligned(self, moment: datetime) -> None:
        self._align(moment)
        self._station.sample(list(self._station.evses.values()), "Sample.Clock")

    def _align(self, after: datetime) -> None:
        interval = self._station.settings.integer("aligned_interval_s")
        if not interval:
            self._aligned_at = None
            return
        midnight, step = after.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(seconds=interval)
        self._aligned_at = midnight + ((after - midnight) // step + 1) * step
