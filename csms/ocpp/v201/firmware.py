"""OCPP 2.0.1 L. Firmware management."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, text
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import FirmwareWanted, Request, answered, firmware_answered, progressed, signed_firmware
from csms.stations.transfers import FirmwareUnpublished, TransferKind
from sessions.facts import Fact

messages = Messages("L. Firmware management")


@messages.answer("FirmwareStatusNotification")
async def firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """L01, L02. Follows a firmware update to its end."""
    return await progressed(ctx, TransferKind.FIRMWARE, payload)


@messages.answer("PublishFirmwareStatusNotification")
async def publish_firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """L03. Follows a publication of firmware to its end."""
    return await progressed(ctx, TransferKind.PUBLICATION, payload)


@messages.ask("UpdateFirmware")
def update_firmware(asked: Asked) -> Iterator[Fact]:
    """L01, L02. Asks the station to download and install firmware; an update under way may give way to it."""
    yield from firmware_answered(asked)


@messages.ask("PublishFirmware")
def publish_firmware(asked: Asked) -> Iterator[Fact]:
    """L03. Asks a local controller to publish firmware."""
    yield from answered(
        asked,
        TransferKind.PUBLICATION,
        location=asked.request.get("location"),
        checksum=asked.request.get("checksum"),
    )


@messages.ask("UnpublishFirmware")
def unpublish_firmware(asked: Asked) -> Iterator[Fact]:
    """L04. Asks a local controller to stop publishing firmware."""
    if text(asked.response, "status") in {"Unpublished", "NoFirmware"}:
        yield FirmwareUnpublished(
            key=asked.key("unpublished"),
            at=asked.now,
            station_id=asked.station_id,
            checksum=asked.request["checksum"],
        )


def update_request(wanted: FirmwareWanted) -> Request:
    """The call that asks for an update."""
    return "UpdateFirmware", signed_firmware(wanted)
