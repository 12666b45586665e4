"""OCPP 2.0.1 A. Security."""

from __future__ import annotations

from csms.ocpp.certificate_calls import certificate_wanted, security_event
from csms.ocpp.dialect import Payload, StationContext, text
from csms.ocpp.message import Messages
from csms.stations.authority import Usage

messages = Messages("A. Security")


@messages.answer("SecurityEventNotification")
async def security_event_notification(ctx: StationContext, payload: Payload) -> Payload:
    """A04. Keeps what the station said, with whether it is critical."""
    return await security_event(ctx, payload)


@messages.answer("SignCertificate")
async def sign_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """A02. Takes a CSR that is right; the operator's own authority signs it, and CertificateSigned follows.

    Without a certificateType it is for both uses.
    """
    named = text(payload, "certificateType")
    try:
        refused = await certificate_wanted(ctx, payload, Usage(named) if named else Usage.BOTH)
    except ValueError:
        refused = f"this system's authority signs no {named}"
    if refused is None:
        return {"status": "Accepted"}
    return {"status": "Rejected", "statusInfo": {"reasonCode": "NotSigned", "additionalInfo": refused[:512]}}


messages.plain("CertificateSigned", "A02. Hands the station its signed certificate.")
