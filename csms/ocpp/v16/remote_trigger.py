"""OCPP 1.6 Remote Trigger."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("Remote Trigger")

messages.plain("TriggerMessage", "§5.17. Asks the station to send a message now.")
