"""OCPP 2.0.1 L. Firmware management."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("L. Firmware management")


@messages.answer("FirmwareStatusNotification")
async def firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "FirmwareStatusNotification", payload)
    return {}


@messages.answer("PublishFirmwareStatusNotification")
async def publish_firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "PublishFirmwareStatusNotification", payload)
    return {}


messages.plain("PublishFirmware", "L03. Asks a local controller to publish firmware.")
messages.plain("UnpublishFirmware", "L04. Asks a local controller to stop publishing firmware.")
messages.plain("UpdateFirmware", "L01, L02. Asks the station to download and install firmware.")
