"""OCPP 1.6 Security."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import firmware_answered, log_answered, progressed
from csms.stations.transfers import TransferKind
from sessions.facts import Fact

messages = Messages("Security")


@messages.answer("LogStatusNotification")
async def log_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """N01. Follows an upload of a log to its end."""
    return await progressed(ctx, TransferKind.LOG, payload)


@messages.answer("SecurityEventNotification")
async def security_event_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SecurityEventNotification", payload)
    return {}


@messages.answer("SignedFirmwareStatusNotification")
async def signed_firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """L01. Follows an update with signed firmware to its end."""
    return await progressed(ctx, TransferKind.FIRMWARE, payload)


@messages.answer("SignCertificate")
async def sign_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SignCertificate", payload)
    return {"status": "Rejected"}


messages.plain("CertificateSigned", "A02. Hands the station its signed certificate.")
messages.plain("DeleteCertificate", "M04. Removes an installed certificate.")
messages.plain("ExtendedTriggerMessage", "Asks the station to send a message now, the security ones included.")
messages.plain("GetInstalledCertificateIds", "M03. Lists installed certificates.")
messages.plain("InstallCertificate", "M05. Installs a root certificate.")


@messages.ask("GetLog")
def ask_for_log(asked: Asked) -> Iterator[Fact]:
    """N01. Asks the station to upload a log."""
    yield from log_answered(asked)


@messages.ask("SignedUpdateFirmware")
def signed_update_firmware(asked: Asked) -> Iterator[Fact]:
    """L01. Asks the station to install signed firmware; an update under way may give way to it."""
    yield from firmware_answered(asked)
