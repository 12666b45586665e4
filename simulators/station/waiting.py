"""Waiting for a condition without polling: it is looked at again whenever something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.station.station import Station

Predicate = Callable[["Station"], bool]


class Waiting:
    """Those who wait for a station to become something."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._waiters: list[tuple[Predicate, asyncio.Future[None]]] = []
        self._failure: BaseException | None = None

    async def wait(self, predicate: Predicate, timeout_s: float) -> None:
        """Wait until the predicate holds (real seconds). Raises ``TimeoutError``, or what broke the simulator."""
        self.check()
        if predicate(self._station):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (predicate, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        finally:
            self._waiters.remove(waiter)

    def check(self) -> None:
        """Raise what broke the simulator, if anything did."""
        if self._failure is not None:
            raise self._failure

    def look(self) -> None:
        """Something changed: ask every predicate again."""
        for predicate, future in list(self._waiters):
            if future.done():
                continue
            try:
                if predicate(self._station):
                    future.set_result(None)
            except Exception as error:  # a broken predicate is the waiter's failure, not the station's
                future.set_exception(error)

    def fail(self, error: BaseException) -> None:
        """The simulator itself broke: nobody shall wait in vain."""
        self._failure = error
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(error)
