"""Our tariffs in OCPP 2.1's words (TariffType). What they cannot say is refused: a station must not show another price.

OCPP's prices are without tax, per kWh and per minute; the first price whose conditions hold counts, as with ours.
"""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import orjson

from billing.tariff import Dimension, PriceComponent, PriceLimit, Restrictions, Tariff
from csms.ocpp.dialect import Payload

#: Dimension → field, field of its price, how many of ours make one of OCPP's.
_FIELDS = {
    Dimension.ENERGY: ("energy", "priceKwh", 1),
    Dimension.TIME: ("chargingTime", "priceMinute", 60),
    Dimension.PARKING_TIME: ("idleTime", "priceMinute", 60),
    Dimension.FLAT: ("fixedFee", "priceFixed", 1),
}
#: Prices without tax seldom end: so many decimals are told.
_DECIMALS = Decimal("0.00000001")


def tariff_type(tariff: Tariff) -> Payload:
    """``tariff`` as a TariffType whose tariffId is made from its content. ValueError for what cannot be said."""
    content: Payload = {"currency": tariff.currency}
    for dimension, (field, _, _) in _FIELDS.items():
        told = _dimension(tariff, dimension)
        if told:
            content[field] = told
    for name, limit in (("minCost", tariff.min_price), ("maxCost", tariff.max_price)):
        if limit is not None:
            content[name] = _limit(limit)
    return {"tariffId": tariff_id(tariff.tariff_id, content)} | content


def tariff_id(name: str, content: Payload) -> str:
    """An id that no other content ever gets: a name's beginning, and what the content hashes to."""
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return f"{name[:40]}.{digest}"


def _dimension(tariff: Tariff, dimension: Dimension) -> Payload | None:
    _, price_field, per = _FIELDS[dimension]
    prices, rates = [], set()
    for element in tariff.elements:
        component = element.component(dimension)
        if component is None:
            continue
        if component.step_size != 1:
            raise ValueError(f"The {dimension} price is billed in steps of {component.step_size}, which it cannot say.")
        price: Payload = {price_field: _number(_net(tariff, component) / per)}
        conditions = _conditions(tariff, dimension, element.restrictions)
        prices.append(price | ({"conditions": conditions} if conditions else {}))
        rates.add(component.vat_percent)
    if len(rates) > 1:
        raise ValueError(f"The {dimension} prices have several VAT rates, of which it can say one.")
    if not prices:
        return None
    (rate,) = rates
    return {"prices": prices} | ({"taxRates": [{"type": "VAT", "tax": _number(rate)}]} if rate is not None else {})


def _net(tariff: Tariff, component: PriceComponent) -> Decimal:
    if tariff.tax_included != "YES" or component.vat_percent is None:
        return component.price
    return component.price * 100 / (100 + component.vat_percent)


def _number(value: Decimal) -> float:
    return float(value.quantize(_DECIMALS, ROUND_HALF_UP))


def _conditions(tariff: Tariff, dimension: Dimension, r: Restrictions) -> Payload:
    if any(clock is not None and (clock.second or clock.microsecond) for clock in (r.start_time, r.end_time)):
        raise ValueError("A price begins or ends within a minute, which it cannot say.")
    told: dict[str, Any] = {
        "startTimeOfDay": r.start_time and r.start_time.strftime("%H:%M"),
        "endTimeOfDay": r.end_time and r.end_time.strftime("%H:%M"),
        "dayOfWeek": [day.value.capitalize() for day in sorted(r.day_of_week)],
        "validFromDate": r.start_date and r.start_date.isoformat(),
        "validToDate": r.end_date and r.end_date.isoformat(),
    }
    along: dict[str, Any] = {
        "minEnergy": r.min_kwh and int(r.min_kwh * 1000),
        "maxEnergy": r.max_kwh and int(r.max_kwh * 1000),
        "minPower": r.min_power_kw and float(r.min_power_kw * 1000),
        "maxPower": r.max_power_kw and float(r.max_power_kw * 1000),
        "minTime": r.min_duration_s,
        "maxTime": r.max_duration_s,
    }
    if dimension is Dimension.FLAT:
        if any(along.values()):
            raise ValueError("The start fee depends on energy, power or duration, which it cannot say.")
        along = {}
    if dimension is Dimension.PARKING_TIME and tariff.idle_grace_s:
        along["minIdleTime"] = tariff.idle_grace_s
    return {name: value for name, value in (told | along).items() if value}


def _limit(limit: PriceLimit) -> Payload:
    told = {"exclTax": limit.before_taxes, "inclTax": limit.after_taxes}
    return {name: _number(value) for name, value in told.items() if value is not None}
