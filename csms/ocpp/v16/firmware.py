"""OCPP 1.6 Firmware Management."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("Firmware Management")


@messages.answer("DiagnosticsStatusNotification")
async def diagnostics_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "DiagnosticsStatusNotification", payload)
    return {}


@messages.answer("FirmwareStatusNotification")
async def firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "FirmwareStatusNotification", payload)
    return {}


messages.plain("GetDiagnostics", "§5.9. Asks the station to upload its diagnostics.")
messages.plain("UpdateFirmware", "§5.19. Asks the station to download and install firmware.")
