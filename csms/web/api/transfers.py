"""Transfers: firmware updates, publications and logs, from the request to the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import Field, model_validator
from sqlalchemy import select

from csms.ocpp.transfers import FirmwareWanted, LogWanted, Request
from csms.ocpp.v16 import firmware as firmware_16
from csms.ocpp.v201 import diagnostics as diagnostics_201
from csms.ocpp.v201 import firmware as firmware_201
from csms.stations.calls import new_command_id
from csms.stations.file_store import Shelf
from csms.stations.masking import masked_address
from csms.stations.transfers import (
    TransferKind,
    TransferRequested,
    TransferState,
    new_request_id,
    new_transfer_id,
)
from csms.web.api.access import Role
from csms.web.api.firmware import require_image
from csms.web.api.operation import PREFIX, ApiCall, Body, Moment, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import Wait, at_most, require_sayable
from csms.web.api.stations import require_station
from csms.web.uploads import new_link_token
from storage import transfer_schema as t
from storage.engine import reading

resource = Resource("transfers")


@dataclass(frozen=True, slots=True)
class _Words:
    """How a version asks for firmware and logs."""

    update: Callable[[FirmwareWanted], Request]
    log: Callable[[LogWanted], Request]


def _words(firmware: ModuleType, logs: ModuleType) -> _Words:
    return _Words(update=firmware.update_request, log=logs.log_request)


_VERSIONS: Mapping[str, _Words] = {
    "ocpp1.6": _words(firmware_16, firmware_16),
    "ocpp2.0.1": _words(firmware_201, diagnostics_201),
    "ocpp2.1": _words(firmware_201, diagnostics_201),
}


class ProgressShown(Shown):
    """One word of the station."""

    status: str
    detail: dict[str, Any] | None = Field(description="OCPP 2.1's statusInfo.")
    at: datetime = Field(description="When it arrived here.")


class UploadShown(Shown):
    """What the station uploaded."""

    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    uploaded_at: datetime
    removed_at: datetime | None = Field(description="When it was deleted, being older than files.keep_days.")


class TransferShown(Shown):
    """A transfer."""

    transfer_id: str
    station_id: str
    kind: TransferKind
    action: str | None = Field(description="OCPP action; null: the station speaks of a request that is not ours.")
    request_id: int | None = Field(description="OCPP's; null where 1.6 has none.")
    command_id: str | None
    state: TransferState = Field(
        description="requested → accepted → completed, failed or canceled; or refused, offline, unanswered, empty "
        "(the station has no such log), lost (it is idle and never told the end), withdrawn (no longer published)."
    )
    status: str | None = Field(description="The station's last word.")
    log_type: str | None
    file_name: str | None = Field(description="As the station calls the log.")
    location: str | None = Field(description="Where it is not this system's own.")
    image_id: str | None = Field(description="The firmware image, where it is one of this system's.")
    checksum: str | None
    published_at: list[str] | None = Field(description="Where a local controller offers the firmware.")
    requested_by: str | None
    requested_at: datetime
    ended_at: datetime | None
    fetched_at: datetime | None = Field(description="When the station began to download the image.")
    upload: UploadShown | None


class TransferWithProgress(TransferShown):
    """A transfer, and every word of the station on it, in the order of their arrival."""

    progress: list[ProgressShown]


class TransferFilter(PageQuery):
    """Which transfers."""

    station_id: str | None = Field(None, max_length=48, description="Only this station's.")
    kind: TransferKind | None = Field(None, description="Only these.")
    state: TransferState | None = Field(None, description="Only in this state.")
    request_id: int | None = Field(None, ge=-(2**31), lt=2**31, description="Only with this request id.")
    image_id: str | None = Field(None, max_length=40, description="Only of this firmware image.")
    since: Moment | None = Field(None, description="Requested not before.")


class _Retries(Body):
    retries: int | None = Field(None, ge=0, le=100, description="How often the station tries again.")
    retry_interval_s: int | None = Field(None, ge=0, le=86_400, description="Seconds between its tries.")


class NewFirmwareUpdate(_Retries):
    """An update: with an image of this system, or from somewhere else."""

    image_id: str | None = Field(None, max_length=40, description="An image of this system.")
    location: str | None = Field(None, pattern=r"^[a-z]+://\S+$", max_length=512, description="Or where it is.")
    signature: str | None = Field(None, max_length=800, description="With `location`: base64, if it is signed.")
    signing_certificate: str | None = Field(None, max_length=5500, description="With `signature`: PEM.")
    retrieve_at: Moment | None = Field(None, description="When to download it; null: now.")
    install_at: Moment | None = Field(None, description="When to install it; null: at once. Not on unsigned 1.6.")

    @model_validator(mode="after")
    def _one_source(self) -> NewFirmwareUpdate:
        if (self.image_id is None) == (self.location is None):
            raise ValueError("give either image_id or location")
        if (self.signature is None) != (self.signing_certificate is None):
            raise ValueError("signature and signing_certificate go together")
        if self.image_id is not None and self.signature is not None:
            raise ValueError("an image of this system has its own signature: leave it out here")
        return self


class NewPublication(_Retries):
    """A publication of an image of this system."""

    image_id: str = Field(max_length=40, description="An image of this system.")


class NewLog(_Retries):
    """A log to ask for."""

    log_type: Literal["DiagnosticsLog", "SecurityLog", "DataCollectorLog"] = Field(
        "DiagnosticsLog", description="DataCollectorLog: 2.1 only."
    )
    oldest: Moment | None = Field(None, description="From.")
    latest: Moment | None = Field(None, description="To.")
    location: str | None = Field(
        None, pattern=r"^[a-z]+://\S+$", max_length=512, description="Where to upload it; null: to this system."
    )


@dataclass(frozen=True, slots=True)
class _Link:
    """Where the station finds or leaves the file; the rest is kept of it."""

    location: str
    kept: dict[str, Any]


def _own_link(call: ApiCall, path: str, name: str, usable_from: datetime) -> _Link:
    token, hashed = new_link_token()
    try:
        expires = max(call.now, usable_from) + call.api.link_lifetime
    except OverflowError:
        raise Problem(422, "retrieve_at is later than this system can count.") from None
    return _Link(f"{call.api.public_url}/{path}/{token}{name}", {"token_hash": hashed, "link_expires_at": expires})


async def _image_link(call: ApiCall, image_id: str, usable_from: datetime) -> tuple[_Link, Any]:
    image = await require_image(call, image_id)
    if image.size is None:
        raise Problem(409, "This image has no file yet: upload it first (PUT /firmware/{image_id}/file).")
    return _own_link(call, "firmware", f"/{image.file_name}", usable_from), image


@resource.operation(
    "POST",
    "/stations/{station_id}/firmware-updates",
    role=Role.OPERATOR,
    query=Wait,
    body=NewFirmwareUpdate,
    answers={201: TransferWithProgress},
    errors=(409,),
)
async def update_firmware(call: ApiCall) -> Reply:
    """Ask a station to download and install firmware; it is followed as a transfer.

    Signed firmware is asked for as such on every version. A newer update takes the place of one that is under way, if
    the station can still cancel it.
    """
    words, wanted = await _version(call), call.body
    retrieve_at = wanted.retrieve_at or call.now
    if wanted.image_id is not None:
        link, image = await _image_link(call, wanted.image_id, retrieve_at)
        signature, certificate = image.signature, image.signing_certificate
    else:
        link = _Link(wanted.location, {"location": masked_address(wanted.location)})
        signature, certificate = wanted.signature, wanted.signing_certificate
    request_id = new_request_id()
    request = words.update(
        FirmwareWanted(
            request_id=request_id,
            location=link.location,
            retrieve_at=retrieve_at,
            install_at=wanted.install_at,
            signature=signature,
            signing_certificate=certificate,
            retries=wanted.retries,
            retry_interval_s=wanted.retry_interval_s,
        )
    )
    return await _begin(call, TransferKind.FIRMWARE, request, image_id=wanted.image_id, **link.kept)


@resource.operation(
    "POST",
    "/stations/{station_id}/firmware-publications",
    role=Role.OPERATOR,
    query=Wait,
    body=NewPublication,
    answers={201: TransferWithProgress},
    errors=(409,),
)
async def publish_firmware(call: ApiCall) -> Reply:
    """Ask a local controller to publish an image for the stations behind it (2.0.1, L03)."""
    station = await require_station(call)
    if station.version == "ocpp1.6":
        raise Problem(409, "OCPP 1.6 has no publication of firmware.")
    link, image = await _image_link(call, call.body.image_id, call.now)
    payload: dict[str, Any] = {"location": link.location, "checksum": image.md5, "requestId": new_request_id()}
    payload |= {"retries": call.body.retries} if call.body.retries is not None else {}
    payload |= {"retryInterval": call.body.retry_interval_s} if call.body.retry_interval_s is not None else {}
    request = ("PublishFirmware", payload)
    return await _begin(
        call, TransferKind.PUBLICATION, request, image_id=image.image_id, checksum=image.md5, **link.kept
    )


@resource.operation(
    "POST",
    "/stations/{station_id}/logs",
    role=Role.SUPPORT,
    query=Wait,
    body=NewLog,
    answers={201: TransferWithProgress},
    errors=(409,),
)
async def request_log(call: ApiCall) -> Reply:
    """Ask a station to upload a log; it is followed as a transfer, whose file can be downloaded.

    On 1.6 a SecurityLog is asked for by GetLog, diagnostics by GetDiagnostics.
    """
    words, wanted = await _version(call), call.body
    if wanted.location is None:
        link = _own_link(call, "uploads", "/", call.now)
    else:
        link = _Link(wanted.location, {"location": masked_address(wanted.location)})
    request = words.log(
        LogWanted(
            request_id=new_request_id(),
            log_type=wanted.log_type,
            location=link.location,
            oldest=wanted.oldest,
            latest=wanted.latest,
            retries=wanted.retries,
            retry_interval_s=wanted.retry_interval_s,
        )
    )
    return await _begin(call, TransferKind.LOG, request, log_type=wanted.log_type, **link.kept)


async def _version(call: ApiCall) -> _Words:
    station = await require_station(call)
    words = _VERSIONS.get(station.version or "")
    if words is None:
        raise Problem(409, "This station has never connected, so its OCPP version is not known. Connect it first.")
    return words


async def _begin(call: ApiCall, kind: TransferKind, request: Request, **kept: Any) -> Reply:
    action, payload = request
    station_id = await require_sayable(call, action, payload)
    transfer_id, command_id = new_transfer_id(), new_command_id()
    async with call.api.waiters.expecting(command_id) as ended:
        await call.api.service.submit(
            TransferRequested(
                key=f"transfer:{transfer_id}",
                at=call.now,
                station_id=station_id,
                transfer_id=transfer_id,
                command_id=command_id,
                kind=kind,
                action=action,
                payload=payload,
                request_id=payload.get("requestId"),
                requested_by=call.caller.actor,
                **kept,
            )
        )
        await at_most(ended, call.query.wait)
    shown = await _transfer(call, transfer_id)
    return Reply(shown, 201, {"Location": f"{PREFIX}/transfers/{transfer_id}"})


@resource.get("/transfers", Page[TransferShown], query=TransferFilter)
async def list_transfers(call: ApiCall) -> Page[TransferShown]:
    """List transfers, the newest first."""
    c, asked = t.transfers.c, call.query
    query = select(t.transfers)
    for name in ("station_id", "kind", "state", "request_id", "image_id"):
        if getattr(asked, name) is not None:
            query = query.where(c[name] == getattr(asked, name))
    if asked.since is not None:
        query = query.where(c.requested_at >= asked.since)
    keys = [c.requested_at, c.transfer_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, keys, asked, _shown, newest_first=True)


@resource.get("/transfers/{transfer_id}", TransferWithProgress)
async def get_transfer(call: ApiCall) -> TransferWithProgress:
    """Show a transfer, and what the station said of it."""
    return await _transfer(call, call.path["transfer_id"])


@resource.get(
    "/transfers/{transfer_id}/file",
    None,
    role=Role.SUPPORT,
    content_type="application/octet-stream",
)
async def download_transfer(call: ApiCall) -> web.StreamResponse:
    """Download what the station uploaded."""
    shown = await _transfer(call, call.path["transfer_id"])
    path = call.api.files.path(Shelf.UPLOADS, shown.transfer_id)
    if shown.upload is None or shown.upload.removed_at is not None or not path.is_file():
        raise Problem(404, "There is no file: the station has not uploaded one here, or it is no longer kept.")
    return web.FileResponse(
        path,
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{shown.upload.name}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        },
    )


async def _transfer(call: ApiCall, transfer_id: str) -> TransferWithProgress:
    p = t.transfer_progress.c
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.transfers).where(t.transfers.c.transfer_id == transfer_id))).first()
        if row is None:
            raise Problem(404, "There is no transfer of this id.")
        told = select(t.transfer_progress).where(p.transfer_id == transfer_id).order_by(p.progress_id)
        progress = [
            ProgressShown(status=said.status, at=said.at, detail=orjson.loads(said.detail) if said.detail else None)
            for said in await connection.execute(told)
        ]
    return TransferWithProgress(**_shown(row).model_dump(), progress=progress)


def _shown(row: Any) -> TransferShown:
    special = {"upload", "published_at"}
    values = {name: getattr(row, name) for name in TransferShown.model_fields if name not in special}
    upload = None
    if row.uploaded_at is not None:
        upload = UploadShown(
            name=row.upload_name,
            size=row.upload_size,
            sha256=row.upload_sha256,
            uploaded_at=row.uploaded_at,
            removed_at=row.upload_removed_at,
        )
    published = orjson.loads(row.published_at) if row.published_at else None
    return TransferShown(**values, upload=upload, published_at=published)
