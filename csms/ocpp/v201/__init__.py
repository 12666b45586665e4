"""OCPP 2.0.1 (edition 3): translates, nothing else. A module per functional block."""

from csms.ocpp.v201 import (
    authorization,
    availability,
    certificates,
    data_transfer,
    diagnostics,
    display,
    firmware,
    local_list,
    meter_values,
    provisioning,
    remote_control,
    reservation,
    security,
    smart_charging,
    tariff_cost,
    transactions,
)

BLOCKS = (
    security.messages,
    provisioning.messages,
    authorization.messages,
    local_list.messages,
    transactions.messages,
    remote_control.messages,
    availability.messages,
    reservation.messages,
    tariff_cost.messages,
    meter_values.messages,
    smart_charging.messages,
    firmware.messages,
    certificates.messages,
    diagnostics.messages,
    display.messages,
    data_transfer.messages,
)
