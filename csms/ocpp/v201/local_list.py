"""OCPP 2.0.1 D. Local authorization list."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("D. Local authorization list")


messages.plain("GetLocalListVersion", "D02. Reads the version of the station's local list.")
messages.plain("SendLocalList", "D01. Sends a full local list or the changes to one.")
