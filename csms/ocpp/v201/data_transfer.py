"""OCPP 2.0.1 P. Data transfer."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("P. Data transfer")


@messages.answer("DataTransfer")
async def data_transfer(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "DataTransfer", payload)
    return {"status": "UnknownVendorId"}


messages.plain("DataTransfer", "P01. Sends a vendor's own message.")
