"""OCPP 2.1 Q. Bidirectional power transfer."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("Q. Bidirectional power transfer")


messages.plain("AFRRSignal", "Q. Sends a signal of automatic frequency restoration.")
messages.plain("NotifyAllowedEnergyTransfer", "Q. Tells which energy transfers a transaction may use.")
