"""OCPP 2.1 I. Tariff and cost: tariffs at the station."""

from __future__ import annotations

from csms.ocpp.message import Messages

messages = Messages("I. Tariff and cost")


messages.plain("ChangeTransactionTariff", "I11. Gives a running transaction another tariff.")
messages.plain("ClearTariffs", "I10. Removes tariffs.")
messages.plain("GetTariffs", "I09. Asks which tariffs are in use.")
messages.plain("SetDefaultTariff", "I07. Sets the tariff of an EVSE.")
