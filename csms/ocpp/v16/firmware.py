"""OCPP 1.6 Firmware Management."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, text
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import (
    FirmwareWanted,
    LogWanted,
    Request,
    answered,
    get_log,
    given,
    progressed,
    signed_firmware,
)
from csms.stations.transfers import TransferKind
from sessions.facts import Fact

messages = Messages("Firmware Management")


@messages.answer("DiagnosticsStatusNotification")
async def diagnostics_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """§4.4. Follows an upload of diagnostics to its end."""
    return await progressed(ctx, TransferKind.LOG, payload)


@messages.answer("FirmwareStatusNotification")
async def firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """§4.5. Follows a firmware update to its end."""
    return await progressed(ctx, TransferKind.FIRMWARE, payload)


@messages.ask("GetDiagnostics")
def get_diagnostics(asked: Asked) -> Iterator[Fact]:
    """§5.9. Asks the station to upload its diagnostics; without a file name it has none."""
    name = text(asked.response, "fileName")
    yield from answered(
        asked,
        TransferKind.LOG,
        status="Accepted",
        empty=not name,
        file_name=name or None,
        log_type="DiagnosticsLog",
        location=asked.request.get("location"),
    )


@messages.ask("UpdateFirmware")
def update_firmware(asked: Asked) -> Iterator[Fact]:
    """§5.19. Asks the station to download and install firmware; the station cannot say no."""
    yield from answered(asked, TransferKind.FIRMWARE, status="Accepted", location=asked.request.get("location"))


def update_request(wanted: FirmwareWanted) -> Request:
    """The call that asks for an update: signed firmware by the security extension's message."""
    if wanted.signature is not None:
        return "SignedUpdateFirmware", signed_firmware(wanted)
    return "UpdateFirmware", given(
        location=wanted.location,
        retrieveDate=wanted.retrieve_at,
        retries=wanted.retries,
        retryInterval=wanted.retry_interval_s,
    )


def log_request(wanted: LogWanted) -> Request:
    """The call that asks for a log: diagnostics by the older message, which every station has."""
    if wanted.log_type != "DiagnosticsLog":
        return "GetLog", get_log(wanted)
    return "GetDiagnostics", given(
        location=wanted.location,
        startTime=wanted.oldest,
        stopTime=wanted.latest,
        retries=wanted.retries,
        retryInterval=wanted.retry_interval_s,
    )
