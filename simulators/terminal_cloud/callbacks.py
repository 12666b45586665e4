"""Callbacks to the integrator: posted once, unsigned, never tried again; and what faults do to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from simulators.terminal_cloud.faults import Faults
from simulators.terminal_cloud.redaction import redacted

POST_TIMEOUT_S = 10.0  # real seconds


@dataclass(frozen=True, slots=True)
class SentCallback:
    """A callback that was sent. ``status``: the answer's, 0 without one."""

    serial: str
    body: dict[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class _Callback:
    serial: str
    url: str
    body: dict[str, Any]


class Callbacks:
    """Posts them, in tasks of its own. ``tell`` gets a line an event, ``changed`` is called after each."""

    def __init__(self, faults: Faults, tell: Callable[[str], None], changed: Callable[[], Awaitable[None]]) -> None:
        self.sent: list[SentCallback] = []
        self._faults = faults
        self._tell = tell
        self._changed = changed
        self._http: aiohttp.ClientSession | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._kept_back: list[_Callback] = []
        self._awaited: dict[str, list[asyncio.Event]] = {}

    async def open(self) -> None:
        """Be ready to post."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POST_TIMEOUT_S))

    async def close(self) -> None:
        """Drop what has not been sent."""
        for post in self._posts:
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def post(self, serial: str, url: str, body: dict[str, Any]) -> None:
        """Post ``body``, once, unless a fault says otherwise; nobody waits for it. Without a URL: nothing."""
        if not url:
            return
        callback = _Callback(serial, url, body)
        fault = self._faults.next_callback()
        match fault.kind if fault else "":
            case "drop":
                self._tell(f"{serial}: callback dropped")
                return
            case "reorder":
                self._kept_back.append(callback)
                return
            case "duplicate":
                queue = [callback, callback]
            case _:
                queue = [callback]
        if fault is None or fault.kind != "delay":  # a late one is overtaken; it brings nobody along
            queue += self._kept_back
            self._kept_back = []
        task = asyncio.create_task(self._deliver_all(queue, fault.delay_s if fault else 0.0))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    def expected(self, serial: str) -> asyncio.Event:
        """Set when the next callback of this terminal has been answered, or could not be delivered."""
        event = asyncio.Event()
        self._awaited.setdefault(serial, []).append(event)
        return event

    async def deliver(self, serial: str, url: str, body: dict[str, Any]) -> None:
        """Post now, and wait for the answer."""
        if self._http is None or not url:
            return
        status, outcome = 0, ""
        try:
            async with self._http.post(url, json=body, allow_redirects=False) as response:
                status = response.status
                outcome = f"answered {status}"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            outcome = f"not delivered ({type(error).__name__})"  # the text of the error would hold the URL
        self.sent.append(SentCallback(serial, body, status))
        self._tell(f"{serial}: callback to {redacted(url)} {outcome}")
        for event in self._awaited.pop(serial, []):
            event.set()
        await self._changed()

    async def wait(self, event: asyncio.Event, limit_s: float) -> None:
        """Wait for ``event``, but not longer than ``limit_s`` real seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), limit_s)

    async def _deliver_all(self, callbacks: list[_Callback], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        for callback in callbacks:
            await self.deliver(callback.serial, callback.url, callback.body)
