"""Files on disk: what stations uploaded, and firmware images. A file is there whole or not at all.

Files are named by this system alone: nothing a station or a caller says becomes part of a path.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from storage import transfer_schema as t
from storage.engine import reading, writing

log = logging.getLogger(__name__)

SWEEP_S = 3600
SWEEP_AT_ONCE = 200
_PART = ".part"


class TooLarge(Exception):
    """More bytes came than are taken."""


class Shelf(StrEnum):
    """The folders."""

    UPLOADS = "uploads"  # by transfer id
    PHOTOS = "photos"  # of terminals, by photo id
    FIRMWARE = "firmware"  # by image id
    ATTACHMENTS = "attachments"  # by attachment id (csms.terminals.case_attachments)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """What was stored. ``size`` in bytes; the hashes in hexadecimal."""

    size: int
    sha256: str
    md5: str


class FileStore:
    """``folder``: made when the first file comes; ``max_bytes``: of one file; ``keep``: how long uploads are kept."""

    def __init__(
        self, engine: AsyncEngine, now: Callable[[], datetime], *, folder: Path, max_bytes: int, keep: timedelta
    ) -> None:
        self._engine = engine
        self._now = now
        self._folder = folder
        self.max_bytes = max_bytes
        self._keep = keep
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Drop what a crash left half written, and begin to sweep."""
        await asyncio.to_thread(self._drop_parts)
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="file sweep")

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def path(self, shelf: Shelf, name: str) -> Path:
        """Where the file is, or would be."""
        return self._folder / shelf.value / name

    async def receive(self, shelf: Shelf, name: str, chunks: AsyncIterable[bytes]) -> StoredFile:
        """Write a file as it comes, in place of an older one of the name. Raises `TooLarge`, OSError."""
        final = self.path(shelf, name)
        part = final.with_name(f"{name}.{secrets.token_hex(4)}{_PART}")
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        await asyncio.to_thread(final.parent.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(part.open, "xb")
        try:
            with file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self.max_bytes:
                        raise TooLarge
                    sha256.update(chunk)
                    md5.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_to_disk, file.fileno(), file.flush)
            await asyncio.to_thread(part.replace, final)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return StoredFile(size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())

    async def remove(self, shelf: Shelf, name: str) -> None:
        """Delete the file, if it is there."""
        await asyncio.to_thread(self.path(shelf, name).unlink, missing_ok=True)

    def _drop_parts(self) -> None:
        for shelf in Shelf:
            for part in (self._folder / shelf.value).glob(f"*{_PART}"):
                with contextlib.suppress(OSError):
                    part.unlink()

    async def _sweep_forever(self) -> None:
        while True:
            try:
                while await self.sweep() == SWEEP_AT_ONCE:
                    pass
            except Exception:
                log.exception("old uploads could not be deleted; it is tried again")
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Delete some uploads that are older than is kept; how many."""
        c = t.transfers.c
        old = select(c.transfer_id).where(c.uploaded_at < self._now() - self._keep, c.upload_removed_at.is_(None))
        async with reading(self._engine) as connection:
            found = list((await connection.execute(old.limit(SWEEP_AT_ONCE))).scalars())
        for transfer_id in found:
            await self.remove(Shelf.UPLOADS, transfer_id)
        if found:
            async with writing(self._engine) as connection:
                mine = c.transfer_id.in_(found)
                await connection.execute(update(t.transfers).where(mine).values(upload_removed_at=self._now()))
        return len(found)


def _to_disk(fileno: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(fileno)
