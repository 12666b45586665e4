"""What the transfer messages of all versions have in common: their words are the same, or nearly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from csms.ocpp.dialect import Payload, StationContext, obj, stamp, text, whole
from csms.ocpp.message import Asked
from csms.stations.masking import masked_address
from csms.stations.transfers import TransferAnswered, TransferKind, TransferProgressed
from sessions.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareWanted:
    """An update to ask for. Signed: with the signature and the certificate it was signed with (PEM)."""

    request_id: int
    location: str
    retrieve_at: datetime
    install_at: datetime | None = None
    signature: str | None = None
    signing_certificate: str | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWanted:
    """A log to ask for. ``log_type``: 2.0.1 LogEnumType; 2.1 has one more."""

    request_id: int
    log_type: str
    location: str
    oldest: datetime | None = None
    latest: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


#: An action of the station's version, and its payload.
Request = tuple[str, Payload]


def given(**fields: object) -> Payload:
    """The fields that have a value; times as stations expect them."""
    return {
        name: stamp(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None
    }


def signed_firmware(wanted: FirmwareWanted) -> Payload:
    """2.0.1 UpdateFirmware, and 1.6 SignedUpdateFirmware, which has the same fields."""
    firmware = given(
        location=wanted.location,
        retrieveDateTime=wanted.retrieve_at,
        installDateTime=wanted.install_at,
        signingCertificate=wanted.signing_certificate,
        signature=wanted.signature,
    )
    return given(
        requestId=wanted.request_id, firmware=firmware, retries=wanted.retries, retryInterval=wanted.retry_interval_s
    )


def get_log(wanted: LogWanted) -> Payload:
    """GetLog, which all versions have alike."""
    log = given(remoteLocation=wanted.location, oldestTimestamp=wanted.oldest, latestTimestamp=wanted.latest)
    return given(
        logType=wanted.log_type,
        requestId=wanted.request_id,
        log=log,
        retries=wanted.retries,
        retryInterval=wanted.retry_interval_s,
    )


async def progressed(ctx: StationContext, kind: TransferKind, payload: Payload) -> Payload:
    """A status notification of any version, kept."""
    addresses = payload.get("location")
    published = [a for a in addresses if isinstance(a, str)] if isinstance(addresses, list) else []
    await ctx.submit(
        TransferProgressed(
            key=ctx.unique_key("transfer"),
            at=ctx.now(),
            station_id=ctx.station_id,
            kind=kind,
            request_id=whole(payload, "requestId"),
            status=text(payload, "status", 40),
            published_at=tuple(address.replace("\0", "")[:512] for address in published),
            detail=obj(payload, "statusInfo"),
        )
    )
    return {}


def log_answered(asked: Asked) -> Iterator[Fact]:
    """GetLog was answered; without a file name there is nothing to send (N01)."""
    name = text(asked.response, "filename")
    yield from answered(
        asked,
        TransferKind.LOG,
        empty=not name,
        file_name=name or None,
        log_type=asked.request.get("logType"),
        location=obj(asked.request, "log").get("remoteLocation"),
    )


def firmware_answered(asked: Asked) -> Iterator[Fact]:
    """UpdateFirmware of 2.0.1 or SignedUpdateFirmware of 1.6 was answered."""
    yield from answered(asked, TransferKind.FIRMWARE, location=obj(asked.request, "firmware").get("location"))


def answered(
    asked: Asked,
    kind: TransferKind,
    *,
    status: str | None = None,
    empty: bool = False,
    log_type: str | None = None,
    file_name: str | None = None,
    location: str | None = None,
    checksum: str | None = None,
) -> Iterator[Fact]:
    """What an answer to a request for a transfer means; ``status`` where the version's answer has none."""
    yield TransferAnswered(
        key=asked.key("transfer-answered"),
        at=asked.now,
        station_id=asked.station_id,
        command_id=asked.command_id,
        kind=kind,
        action=asked.action,
        request_id=whole(asked.request, "requestId"),
        status=status or text(asked.response, "status", 40),
        empty=empty,
        requested_by=asked.requested_by,
        log_type=log_type,
        file_name=file_name,
        location=masked_address(location) if isinstance(location, str) else None,
        checksum=checksum,
    )
