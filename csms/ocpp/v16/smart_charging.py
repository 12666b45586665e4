"""OCPP 1.6 Smart Charging."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("Smart Charging")

messages.plain("SetChargingProfile", "§5.16. Installs a charging profile.")
messages.plain("ClearChargingProfile", "§5.5. Removes charging profiles.")
messages.plain("GetCompositeSchedule", "§5.7. Asks for the schedule that results from all profiles.")
