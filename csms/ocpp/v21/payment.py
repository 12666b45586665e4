"""OCPP 2.1 C18–C25: payment at a terminal."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record, text
from csms.ocpp.message import Messages

messages = Messages("C. Payment")


@messages.answer("NotifySettlement")
async def notify_settlement(ctx: StationContext, payload: Payload) -> Payload:
    """C19–C22. Keeps what the station said."""
    await record(ctx, "NotifySettlement", payload)
    return {}


@messages.answer("VatNumberValidation")
async def vat_number_validation(ctx: StationContext, payload: Payload) -> Payload:
    """Ad hoc payment. Keeps what the station said."""
    await record(ctx, "VatNumberValidation", payload)
    return {"vatNumber": text(payload, "vatNumber", 20), "status": "Rejected"}


messages.plain("NotifyWebPaymentStarted", "C25. Tells the station that a driver is paying on the web.")
