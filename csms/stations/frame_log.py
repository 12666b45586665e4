"""The frame log: what passed over each station's line, written in batches beside the sessions' commits, never in them.

A frame that cannot be written is lost from the log and from nothing else. Live followers get frames as they pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.pan import contains_pan, redact_pans
from csms.stations.masking import masked, may_hold_a_secret
from storage import schema
from storage import sight_schema as t
from storage.engine import reading, writing

log = logging.getLogger(__name__)

FLUSH_S = 0.5
MOST_WAITING = 20_000  # frames not yet written; beyond that the oldest are dropped
MOST_BODY = 20_000  # characters kept of one frame
MOST_BEHIND = 500  # frames a live follower may be behind before it is cut off
SWEEP_S = 600
SWEEP_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame, as the log shows it. ``direction``: in (from the station) or out; ``size`` in bytes."""

    station_id: str
    at: datetime
    direction: str
    kind: str
    message_id: str | None
    action: str | None
    body: str
    size: int


class FrameLog:
    """``enabled``: log stations that say nothing of it; ``keep``: how long; ``now``: the clock."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], datetime], *, enabled: bool, keep: timedelta) -> None:
        self._engine = engine
        self._now = now
        self._enabled = enabled
        self._keep = keep
        self._own: dict[str, bool] = {}  # stations with a word of their own
        self._waiting: deque[Frame] = deque(maxlen=MOST_WAITING)
        self._followers: dict[str, set[asyncio.Queue[Frame | None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Begin to write and to sweep."""
        async with reading(self._engine) as connection:
            s = schema.stations.c
            query = select(s.station_id, s.log_frames).where(s.log_frames.is_not(None))
            self._own = {row.station_id: row.log_frames for row in await connection.execute(query)}
        self._tasks = [
            asyncio.create_task(self._write_forever(), name="frame log"),
            asyncio.create_task(self._sweep_forever(), name="frame log sweep"),
        ]

    async def stop(self) -> None:
        """Write what waits, and stop. Nothing is broken off while it is written: SQLite's lock might outlive it."""
        async with self._writing:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._flush()
        for followers in self._followers.values():
            for queue in followers:
                queue.put_nowait(None)

    def set_for(self, station_id: str, log_frames: bool | None) -> None:
        """A station's own word: log, do not, or (None) as the settings say."""
        if log_frames is None:
            self._own.pop(station_id, None)
        else:
            self._own[station_id] = log_frames

    def note(
        self, station_id: str, direction: str, kind: str, text: str, message_id: str | None, action: str | None
    ) -> None:
        """Take a frame in. Cheap where nobody wants it."""
        followers = self._followers.get(station_id)
        logged = self._own.get(station_id, self._enabled)
        if not logged and not followers:
            return
        frame = Frame(
            station_id=station_id,
            at=self._now(),
            direction=direction,
            kind=kind,
            message_id=_printable(message_id) if message_id else None,
            action=_printable(action) if action else None,
            body=_redacted(text),
            size=len(text.encode("utf-8", "replace")),
        )
        if logged:
            self._waiting.append(frame)
        for queue in followers or ():
            if queue.qsize() < MOST_BEHIND:
                queue.put_nowait(frame)
            elif queue.qsize() == MOST_BEHIND:
                queue.put_nowait(None)  # too slow: it ends, and may come back

    @contextlib.asynccontextmanager
    async def following(self, station_id: str) -> AsyncIterator[asyncio.Queue[Frame | None]]:
        """A queue of the station's frames as they pass; None is the end."""
        queue: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._followers.setdefault(station_id, set()).add(queue)
        try:
            yield queue
        finally:
            self._followers[station_id].discard(queue)
            if not self._followers[station_id]:
                del self._followers[station_id]

    async def flush(self) -> None:
        """Write what waits now. What is being written already is waited for."""
        await self._flush()

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        async with self._writing:
            if not self._waiting:
                return
            taken, self._waiting = self._waiting, deque(maxlen=MOST_WAITING)
            try:
                async with writing(self._engine) as connection:
                    await connection.execute(t.frames.insert(), [asdict(frame) for frame in taken])
            except asyncio.CancelledError:  # stopped while writing: `stop` writes them
                self._waiting.extendleft(reversed(taken))
                raise
            except Exception:
                log.exception("%s frames could not be written to the frame log", len(taken))

    async def _sweep_forever(self) -> None:
        while True:
            try:
                while await self._sweep() == SWEEP_AT_ONCE:
                    pass
            except Exception:
                log.exception("old frames could not be deleted; it is tried again")
            await asyncio.sleep(SWEEP_S)

    async def _sweep(self) -> int:
        """Delete some frames that are older than is kept; how many."""
        old = select(t.frames.c.frame_id).where(t.frames.c.at < self._now() - self._keep).limit(SWEEP_AT_ONCE)
        async with self._writing, writing(self._engine) as connection:
            return (await connection.execute(delete(t.frames).where(t.frames.c.frame_id.in_(old)))).rowcount


def _redacted(text: str) -> str:
    """The frame without secrets and card numbers, cut to what is kept."""
    if may_hold_a_secret(text):
        try:
            text = orjson.dumps(masked(orjson.loads(text))).decode()
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
            text = "(not JSON; it may hold a secret)"
    return _printable(text)[:MOST_BODY]


def _printable(text: str) -> str:
    """Without card numbers, and without what no text column takes: one such frame would lose its whole batch."""
    if contains_pan(text):
        text = redact_pans(text)
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
