"""OCPP 2.0.1 H. Reservation."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("H. Reservation")


@messages.answer("ReservationStatusUpdate")
async def reservation_status_update(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "ReservationStatusUpdate", payload)
    return {}


messages.plain("CancelReservation", "H02. Cancels a reservation.")
messages.plain("ReserveNow", "H01. Reserves an EVSE for an id token.")
