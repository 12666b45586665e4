"""OCPP 2.0.1 M. Certificate management."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("M. Certificate management")


@messages.answer("Get15118EVCertificate")
async def get15118ev_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "Get15118EVCertificate", payload)
    return {"status": "Failed", "exiResponse": ""}


@messages.answer("GetCertificateStatus")
async def get_certificate_status(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "GetCertificateStatus", payload)
    return {"status": "Failed"}


messages.plain("DeleteCertificate", "M04. Removes an installed certificate.")
messages.plain("GetInstalledCertificateIds", "M03. Lists installed certificates.")
messages.plain("InstallCertificate", "M05. Installs a root certificate.")
