"""OCPP 2.0.1 A. Security."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("A. Security")


@messages.answer("SecurityEventNotification")
async def security_event_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SecurityEventNotification", payload)
    return {}


@messages.answer("SignCertificate")
async def sign_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "SignCertificate", payload)
    return {"status": "Rejected"}


messages.plain("CertificateSigned", "A02. Hands the station its signed certificate.")
