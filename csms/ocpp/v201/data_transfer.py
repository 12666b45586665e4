"""OCPP 2.0.1 P. Data transfer."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record, text
from csms.ocpp.message import Messages
from csms.ocpp.vendors import status_of

messages = Messages("P. Data transfer")


@messages.answer("DataTransfer")
async def data_transfer(ctx: StationContext, payload: Payload) -> Payload:
    """P02. Keeps a vendor's own message, and says which of vendor and message is not known here."""
    await record(ctx, "DataTransfer", payload)
    return {"status": status_of(text(payload, "vendorId"), text(payload, "messageId"))}


messages.plain("DataTransfer", "P01. Sends a vendor's own message.")
