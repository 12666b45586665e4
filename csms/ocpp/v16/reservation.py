"""OCPP 1.6 Reservation."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("Reservation")

messages.plain("ReserveNow", "§5.13. Reserves a connector for an id token.")
messages.plain("CancelReservation", "§5.1. Cancels a reservation.")
