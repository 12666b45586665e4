"""The doors for stations' files: logs come in, firmware goes out. What guards them is an unguessable link alone.

A link is for one transfer and one station, and ends with its time. Its token is kept as a hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from aiohttp import BodyPartReader, ClientPayloadError, web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.stations.file_store import FileStore, Shelf, TooLarge
from csms.stations.transfers import FirmwareFetched, LogReceived, TransferKind, TransferState
from sessions.service import Service
from storage import transfer_schema as t
from storage.engine import reading

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
#: A sender that is silent for so long has gone.
SILENCE_S = 60
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def new_link_token() -> tuple[str, str]:
    """A token of 256 random bits, and its hash, which is all that is kept."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    """As it is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def plain_name(said: str, otherwise: str) -> str:
    """A file name that is safe to offer: the last part of what was said, without anything unusual."""
    last = re.split(r"[/\\]", said)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip("._")[:100] or otherwise


class Interrupted(Exception):
    """The sender went, or a newer upload of the same file has begun."""


class StationFiles:
    """Routes under ``/uploads`` and ``/firmware``. ``now``: the clock."""

    def __init__(self, engine: AsyncEngine, service: Service, files: FileStore, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._service = service
        self._files = files
        self._now = now
        self._newest: dict[str, object] = {}  # transfer id → the upload that counts

    def routes(self) -> list[web.RouteDef]:
        """The routes. Stations name the file at the end of the address, or do not."""
        return [
            *(
                route(path, self.upload)
                for route in (web.put, web.post)
                for path in ("/uploads/{token}", "/uploads/{token}/{name:(?s:.*)}")
            ),
            web.get("/firmware/{token}/{name}", self.firmware),
        ]

    async def upload(self, request: web.Request) -> web.Response:
        """Take a log. 201; 200 if it replaces one; 404, 410, 413 with a sentence."""
        row = await self._transfer(request.match_info["token"])
        if row is None or row.kind != TransferKind.LOG.value:
            return _said(404, "There is nothing to upload here: the link is wrong.")
        if row.link_expires_at <= self._now():
            return _said(410, "This link has expired: a new upload has to be asked for.")
        if row.uploaded_at is not None and row.state == TransferState.COMPLETED.value:
            return _said(410, "This upload is complete.")
        if (request.content_length or 0) > self._files.max_bytes:
            return self._too_large()
        mine = self._newest[row.transfer_id] = object()
        try:
            name, body = await sent_body(request)
            stored = await self._files.receive(
                Shelf.UPLOADS, row.transfer_id, self._current(row.transfer_id, mine, body)
            )
        except TooLarge:
            return self._too_large()
        except Interrupted as interrupted:
            return _said(400, str(interrupted))
        except OSError:
            log.exception("station %s: its upload could not be stored", row.station_id)
            return _said(507, "The file could not be stored here; try again later.")
        finally:
            if self._newest.get(row.transfer_id) is mine:
                del self._newest[row.transfer_id]
        name = plain_name(name or request.match_info.get("name", ""), f"{row.station_id}.log")
        await self._service.submit(
            LogReceived(
                key=f"upload:{row.transfer_id}:{secrets.token_hex(6)}",
                at=self._now(),
                station_id=row.station_id,
                transfer_id=row.transfer_id,
                name=name,
                size=stored.size,
                sha256=stored.sha256,
            )
        )
        return _said(200 if row.uploaded_at is not None else 201, f"{stored.size} bytes were stored.")

    async def firmware(self, request: web.Request) -> web.StreamResponse:
        """Hand out a firmware image; ranges are served, so that a station may go on where it stopped."""
        row = await self._transfer(request.match_info["token"])
        if row is None or row.image_id is None or row.link_expires_at <= self._now():
            return _said(404, "There is no firmware here: the link is wrong, or has expired.")
        path = self._files.path(Shelf.FIRMWARE, row.image_id)
        if not await asyncio.to_thread(path.is_file):
            return _said(404, "This firmware has been removed.")
        await self._service.submit(
            FirmwareFetched(
                key=f"firmware-fetched:{row.transfer_id}",
                at=self._now(),
                station_id=row.station_id,
                transfer_id=row.transfer_id,
            )
        )
        return web.FileResponse(path, headers=_HEADERS | {"Content-Type": "application/octet-stream"})

    async def _transfer(self, token: str) -> Any:
        if not _TOKEN.fullmatch(token):
            return None
        query = select(t.transfers).where(t.transfers.c.token_hash == token_hash(token))
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).first()

    async def _current(self, transfer_id: str, mine: object, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            if self._newest.get(transfer_id) is not mine:
                raise Interrupted("A newer upload of this file has begun.")
            yield chunk

    def _too_large(self) -> web.Response:
        return _said(413, f"The file is larger than the {self._files.max_bytes} bytes this system takes.")


async def sent_body(request: web.Request) -> tuple[str, AsyncIterator[bytes]]:
    """(name, content): of the first part that is a file, if it comes as a form; else the body itself."""
    if request.content_type != "multipart/form-data":
        return "", read_chunks(request)
    try:
        parts = await request.multipart()
        while isinstance(part := await parts.next(), BodyPartReader):
            if part.filename is not None:
                return part.filename, _part_chunks(part)
    except (ValueError, ClientPayloadError):
        raise Interrupted("The form cannot be read.") from None
    raise Interrupted("The form has no file in it.")


async def read_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """A request's body, piece by piece. Raises `Interrupted`."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await request.content.readany()
        except (TimeoutError, ClientPayloadError, ConnectionError):
            raise Interrupted("The upload broke off.") from None
        if not chunk:
            return
        yield chunk


async def _part_chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await part.read_chunk(CHUNK_BYTES)
        except (TimeoutError, ValueError, AssertionError, ClientPayloadError, ConnectionError):
            raise Interrupted("The upload broke off.") from None
        if not chunk:
            return
        yield chunk


def _said(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=f"{sentence}\n", headers=_HEADERS)
