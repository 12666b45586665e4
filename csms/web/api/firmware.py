"""Firmware images: kept here for stations to download."""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import datetime
from typing import Any

from cryptography import x509
from pydantic import Field, field_validator, model_validator
from sqlalchemy import delete, select, update

from csms.stations.file_store import Shelf, TooLarge
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.uploads import Interrupted, plain_name, read_chunks
from storage import transfer_schema as t
from storage.engine import reading, writing

resource = Resource("firmware")


class ImageShown(Shown):
    """A firmware image."""

    image_id: str
    version: str
    vendor: str | None = Field(description="Whose stations it is for; null: anybody's.")
    model: str | None = Field(description="Which model it is for; null: any.")
    file_name: str
    signed: bool
    signing_certificate: str | None = Field(description="PEM.")
    size: int | None = Field(description="Bytes; null: its file has not been uploaded yet.")
    sha256: str | None
    md5: str | None = Field(description="What OCPP's PublishFirmware asks for. It proves nothing.")
    created_by: str
    created_at: datetime


class NewImage(Body):
    """A firmware image; its file follows by PUT. Signed: with both the signature and the certificate."""

    version: str = Field(min_length=1, max_length=50, description="The version a station has once it is installed.")
    vendor: str | None = Field(None, max_length=60, description="Whose stations it is for.")
    model: str | None = Field(None, max_length=60, description="Which model it is for.")
    file_name: str = Field("firmware.bin", min_length=1, max_length=100, description="How stations see it named.")
    signature: str | None = Field(
        None, min_length=1, max_length=800, description="The maker's signature of the file, base64."
    )
    signing_certificate: str | None = Field(
        None, min_length=1, max_length=5500, description="The maker's certificate, PEM."
    )

    @field_validator("signature")
    @classmethod
    def _base64(cls, value: str | None) -> str | None:
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64") from None
        return value

    @field_validator("signing_certificate")
    @classmethod
    def _certificate(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                x509.load_pem_x509_certificate(value.encode())
            except ValueError:
                raise ValueError("is no certificate in PEM") from None
        return value

    @model_validator(mode="after")
    def _both_or_neither(self) -> NewImage:
        if (self.signature is None) != (self.signing_certificate is None):
            raise ValueError("signature and signing_certificate go together: give both, or neither")
        return self


class ImageFilter(PageQuery):
    """Which images."""

    vendor: str | None = Field(None, max_length=60, description="Only for this vendor's stations.")
    model: str | None = Field(None, max_length=60, description="Only for this model.")


@resource.operation("POST", "/firmware", role=Role.OPERATOR, body=NewImage, answers={201: ImageShown})
async def create_firmware(call: ApiCall) -> Reply:
    """Describe a firmware image. Then upload its file: `PUT /firmware/{image_id}/file`."""
    image_id = f"img_{secrets.token_hex(12)}"
    new: NewImage = call.body
    values = new.model_dump() | {
        "image_id": image_id,
        "file_name": plain_name(new.file_name, "firmware.bin"),
        "created_by": call.caller.actor,
        "created_at": call.now,
    }
    async with writing(call.api.engine) as connection:
        await connection.execute(t.firmware_images.insert().values(values))
    shown = _shown(await require_image(call, image_id))
    return Reply(shown, 201, {"Location": f"{PREFIX}/firmware/{image_id}"})


@resource.operation(
    "PUT",
    "/firmware/{image_id}/file",
    role=Role.OPERATOR,
    takes_file=True,
    answers={200: ImageShown},
    errors=(400, 409, 507),
)
async def upload_firmware(call: ApiCall) -> ImageShown:
    """Upload an image's file, once; it is stored as it comes. To replace it, make another image."""
    image_id = call.path["image_id"]
    row = await require_image(call, image_id)
    if row.size is not None:
        raise Problem(409, "This image has its file, and stations may have it too: make another image.")
    too_large = Problem(413, f"The file is larger than the {call.api.files.max_bytes} bytes of files.max_bytes.")
    if (call.request.content_length or 0) > call.api.files.max_bytes:
        raise too_large
    try:
        stored = await call.api.files.receive(Shelf.FIRMWARE, image_id, read_chunks(call.request))
    except TooLarge:
        raise too_large from None
    except Interrupted as interrupted:
        raise Problem(400, f"{interrupted} Send it again.") from None
    except OSError:
        raise Problem(507, "The file could not be stored: look at the disk that files.folder is on.") from None
    mine = t.firmware_images.c.image_id == image_id
    values = {"size": stored.size, "sha256": stored.sha256, "md5": stored.md5}
    async with writing(call.api.engine) as connection:
        await connection.execute(update(t.firmware_images).where(mine).values(values))
    return _shown(await require_image(call, image_id))


@resource.get("/firmware", Page[ImageShown], query=ImageFilter)
async def list_firmware(call: ApiCall) -> Page[ImageShown]:
    """List firmware images, the newest first."""
    c = t.firmware_images.c
    query = select(t.firmware_images)
    for name in ("vendor", "model"):
        if getattr(call.query, name) is not None:
            query = query.where(c[name] == getattr(call.query, name))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.created_at, c.image_id], call.query, _shown, newest_first=True)


@resource.get("/firmware/{image_id}", ImageShown)
async def get_firmware(call: ApiCall) -> ImageShown:
    """Show a firmware image."""
    return _shown(await require_image(call, call.path["image_id"]))


@resource.operation("DELETE", "/firmware/{image_id}", role=Role.OPERATOR, answers={204: None})
async def delete_firmware(call: ApiCall) -> Reply:
    """Delete an image and its file. Stations that are told to download it will fail to."""
    image_id = call.path["image_id"]
    await require_image(call, image_id)
    async with writing(call.api.engine) as connection:
        await connection.execute(delete(t.firmware_images).where(t.firmware_images.c.image_id == image_id))
    await call.api.files.remove(Shelf.FIRMWARE, image_id)
    return Reply(None, 204)


async def require_image(call: ApiCall, image_id: str) -> Any:
    """The image's row. Raises `Problem` 404."""
    async with reading(call.api.engine) as connection:
        query = select(t.firmware_images).where(t.firmware_images.c.image_id == image_id)
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no firmware image of this id.")
    return row


def _shown(row: Any) -> ImageShown:
    values = {name: getattr(row, name) for name in ImageShown.model_fields if name != "signed"}
    return ImageShown(**values, signed=row.signature is not None)
