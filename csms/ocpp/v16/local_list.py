"""OCPP 1.6 Local Auth List Management."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("Local Auth List Management")

messages.plain("GetLocalListVersion", "§5.10. Reads the version of the station's local list.")
messages.plain("SendLocalList", "§5.15. Sends a full local list or the changes to one.")
