"""OCPP 2.1 (edition 1): what it adds to 2.0.1 or says anew. A module per functional block."""

from csms.ocpp.v21 import (
    authorization,
    battery_swap,
    bidirectional,
    certificates,
    der_control,
    diagnostics,
    payment,
    smart_charging,
    tariff_cost,
    transactions,
)

BLOCKS = (
    authorization.messages,
    transactions.messages,
    payment.messages,
    tariff_cost.messages,
    diagnostics.messages,
    smart_charging.messages,
    certificates.messages,
    bidirectional.messages,
    der_control.messages,
    battery_swap.messages,
)
