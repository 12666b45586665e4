"""OCPP 2.0.1 I. Tariff and cost."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("I. Tariff and cost")


messages.plain("CostUpdated", "I02. Tells the station the running cost, to show it.")
