"""OCPP 1.6 Security."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("Security")


@messages.answer("LogStatusNotification")
async def log_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "LogStatusNotification", payload)
    return {}


@messages.answer("SecurityEventNotification")
async def security_event_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SecurityEventNotification", payload)
    return {}


@messages.answer("SignedFirmwareStatusNotification")
async def signed_firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SignedFirmwareStatusNotification", payload)
    return {}


@messages.answer("SignCertificate")
async def sign_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SignCertificate", payload)
    return {"status": "Rejected"}


messages.plain("CertificateSigned", "A02. Hands the station its signed certificate.")
messages.plain("DeleteCertificate", "M04. Removes an installed certificate.")
messages.plain("ExtendedTriggerMessage", "Asks the station to send a message now, the security ones included.")
messages.plain("GetInstalledCertificateIds", "M03. Lists installed certificates.")
messages.plain("GetLog", "N01. Asks the station to upload a log.")
messages.plain("InstallCertificate", "M05. Installs a root certificate.")
messages.plain("SignedUpdateFirmware", "L01. Asks the station to install signed firmware.")
