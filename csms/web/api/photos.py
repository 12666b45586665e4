"""Photos of inspections and incidents."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.file_store import Shelf
from csms.terminals.photos import NoPhotoError, cleaned
from csms.web.api.access import Role
from csms.web.api.care import care_id
from csms.web.api.operation import PREFIX, ApiCall, Reply, Resource, Shown, owned_by
from csms.web.api.problem import Problem
from csms.web.api.sent_file import sent_content
from storage import care_schema as t
from storage.engine import reading, writing

resource = Resource(
    "photos",
    parameters={"photo_id": care_id("pho", "photo")},
    owned={"photo_id": owned_by(t.care_photos.c.owner_id, t.care_photos.c.photo_id)},
)

MOST = 20


class PhotoShown(Shown):
    """A photo. What a camera adds (place, time, owner) is not kept."""

    photo_id: str
    about: str = Field(description="The inspection or the incident.")
    content_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    uploaded_by: str
    uploaded_at: datetime


class Photos(Shown):
    """The photos of one inspection or incident."""

    items: list[PhotoShown]


@resource.operation(
    "POST",
    "/inspections/{inspection_id}/photos",
    role=Role.SUPPORT,
    takes_file=True,
    answers={201: PhotoShown},
    errors=(400, 409, 415, 507),
    owners=True,
)
async def add_inspection_photo(call: ApiCall) -> Reply:
    """Add a photo to an inspection: a JPEG, PNG or WebP file is the body."""
    i = t.inspections.c
    return await _add(call, call.path["inspection_id"], select(i.owner_id).where(_is(call, i.inspection_id)))


@resource.operation(
    "POST",
    "/incidents/{incident_id}/photos",
    role=Role.SUPPORT,
    takes_file=True,
    answers={201: PhotoShown},
    errors=(400, 409, 415, 507),
    owners=True,
)
async def add_incident_photo(call: ApiCall) -> Reply:
    """Add a photo to an incident: a JPEG, PNG or WebP file is the body."""
    i = t.incidents.c
    return await _add(call, call.path["incident_id"], select(i.owner_id).where(_is(call, i.incident_id)))


@resource.get("/inspections/{inspection_id}/photos", Photos, owners=True)
async def list_inspection_photos(call: ApiCall) -> Photos:
    """List an inspection's photos."""
    return await _list(call, call.path["inspection_id"])


@resource.get("/incidents/{incident_id}/photos", Photos, owners=True)
async def list_incident_photos(call: ApiCall) -> Photos:
    """List an incident's photos."""
    return await _list(call, call.path["incident_id"])


@resource.get("/photos/{photo_id}", None, content_type="image/*", owners=True)
async def get_photo(call: ApiCall) -> web.StreamResponse:
    """Show a photo."""
    query = select(t.care_photos).where(t.care_photos.c.photo_id == call.path["photo_id"])
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(query)).first()
    path = call.api.files.path(Shelf.PHOTOS, call.path["photo_id"])
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        row = None
    if row is None:
        raise Problem(404, "There is no photo of this id.")
    headers = {
        "Content-Type": row.content_type,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    return web.Response(body=content, headers=headers)


def _is(call: ApiCall, column: Any) -> Any:
    return column == call.path[str(column.key)]


async def _add(call: ApiCall, about: str, owner: Any) -> Reply:
    async with reading(call.api.engine) as connection:
        owner_id = (await connection.execute(owner)).scalar()
        if owner_id is None:
            raise Problem(404, "There is none of this id.")
        await _require_room(connection, about)
    most = call.api.photo_bytes
    too_large = f"The photo is larger than the {most} bytes of care.photo_bytes."
    _, content = await sent_content(call, most, too_large)
    try:
        photo = await asyncio.to_thread(cleaned, content)
    except NoPhotoError as error:
        raise Problem(415, str(error)) from None
    photo_id = f"pho_{secrets.token_hex(6)}"
    try:
        stored = await call.api.files.receive(Shelf.PHOTOS, photo_id, _whole(photo.content))
    except OSError:
        raise Problem(507, "The photo could not be stored: look at the disk that files.folder is on.") from None
    row = {
        "photo_id": photo_id,
        "about": about,
        "owner_id": owner_id,
        "content_type": photo.content_type,
        "size": stored.size,
        "sha256": stored.sha256,
        "uploaded_by": call.caller.actor,
        "uploaded_at": call.now,
    }
    try:
        async with writing(call.api.engine) as connection:
            await _require_room(connection, about)
            await connection.execute(t.care_photos.insert().values(row))
    except BaseException:
        await call.api.files.remove(Shelf.PHOTOS, photo_id)
        raise
    shown = PhotoShown(**{name: row[name] for name in PhotoShown.model_fields})
    return Reply(shown, 201, {"Location": f"{PREFIX}/photos/{photo_id}"})


async def _require_room(connection: AsyncConnection, about: str) -> None:
    query = select(func.count()).select_from(t.care_photos).where(t.care_photos.c.about == about)
    if (await connection.execute(query)).scalar_one() >= MOST:
        raise Problem(409, f"There are {MOST} photos already; that is enough.")


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _list(call: ApiCall, about: str) -> Photos:
    p = t.care_photos.c
    query = call.mine(select(t.care_photos).where(p.about == about), p.owner_id)
    async with reading(call.api.engine) as connection:
        rows = await connection.execute(query.order_by(p.uploaded_at, p.photo_id))
        return Photos(
            items=[PhotoShown(**{name: getattr(row, name) for name in PhotoShown.model_fields}) for row in rows]
        )
