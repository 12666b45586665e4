"""Readings as sampledValue lists, with the ways in which stations garble them."""

import struct
from decimal import Decimal
from typing import Any, Literal

from simulators.station.config import Quirks
from simulators.station.meter import W_US_PER_WH, Reading
from simulators.station.profile import VOLTAGE_V
from simulators.station.settings import REGISTER

PHASES = ("L1", "L2", "L3")


def sampled_values(
    reading: Reading, measurands: list[str], quirks: Quirks, version: Literal["1.6", "2.0.1"]
) -> list[dict[str, Any]]:
    """One ``sampledValue`` list; empty when no measurand is asked for."""
    values = []
    for measurand in measurands:
        for value, unit, phase in _measure(reading, measurand, quirks):
            sample: dict[str, Any] = {"context": reading.context, "measurand": measurand}
            if version == "1.6":
                sample |= {"value": str(value), "unit": unit, "format": "Raw", "location": "Outlet"}
            else:
                sample |= {"value": value, "unitOfMeasure": {"unit": unit}, "location": "Outlet"}
            if phase is not None:
                sample["phase"] = phase
            values.append(sample)
    return values


def _measure(reading: Reading, measurand: str, quirks: Quirks) -> list[tuple[int | float | Decimal, str, str | None]]:
    if measurand == REGISTER:
        value, unit = _register(reading, quirks)
        return [(value, unit, phase) for phase in (PHASES if quirks.register_per_phase else (None,))]
    if measurand == "Power.Active.Import":
        return [(reading.power_w, "W", None)]
    if measurand == "Power.Offered":
        return [(reading.offered_w, "W", None)]
    if measurand == "Current.Import":
        current = (Decimal(reading.power_w) / (3 * VOLTAGE_V)).quantize(Decimal("0.1"))
        return [(current, "A", phase) for phase in PHASES]
    if measurand == "Voltage":
        return [(VOLTAGE_V, "V", f"{phase}-N") for phase in PHASES]
    return [] if reading.soc_percent is None else [(reading.soc_percent, "Percent", None)]


def _register(reading: Reading, quirks: Quirks) -> tuple[int | float | Decimal, str]:
    unit = "kWh" if quirks.kwh else "Wh"
    divisor = 1000 if quirks.kwh else 1
    if quirks.float_noise:
        exact = reading.register_w_us / W_US_PER_WH / divisor
        return float(struct.unpack("f", struct.pack("f", exact))[0]), unit
    if quirks.kwh:
        return Decimal(reading.register_wh) / 1000, unit
    return reading.register_wh, unit
