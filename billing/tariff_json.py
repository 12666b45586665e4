"""Tariffs as JSON, with the key names of OCPI 2.3.0 (Tariff object); ours added: hold_minor, idle_grace_s, time_zone.

Decimals are written as strings, so that nothing is lost on the way; numbers are read as well. What would change a price
and is not understood (a restriction we do not know) is refused, not ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from billing.tariff import (
    DAYS,
    DayOfWeek,
    Dimension,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    TariffElement,
    TaxIncluded,
)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))  # through str: 0.1 is meant, not the nearest binary fraction
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number.") from None


def _whole(value: Any) -> int:
    number = _decimal(value)
    if not number.is_finite() or number != int(number):
        raise ValueError(f"{value!r} is not a whole number.")
    return int(number)


# OCPI's key, our field, how it is read, how it is written.
_RESTRICTIONS: tuple[tuple[str, str, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("start_time", "start_time", time.fromisoformat, lambda value: value.strftime("%H:%M")),
    ("end_time", "end_time", time.fromisoformat, lambda value: value.strftime("%H:%M")),
    ("start_date", "start_date", date.fromisoformat, date.isoformat),
    ("end_date", "end_date", date.fromisoformat, date.isoformat),
    ("min_kwh", "min_kwh", _decimal, str),
    ("max_kwh", "max_kwh", _decimal, str),
    ("min_power", "min_power_kw", _decimal, str),
    ("max_power", "max_power_kw", _decimal, str),
    ("min_duration", "min_duration_s", _whole, int),
    ("max_duration", "max_duration_s", _whole, int),
    (
        "day_of_week",
        "day_of_week",
        lambda days: frozenset(DayOfWeek(day) for day in days),
        lambda days: [str(day) for day in DAYS if day in days],
    ),
)


def _restrictions_from_json(data: Mapping[str, Any]) -> Restrictions:
    known = {key for key, *_ in _RESTRICTIONS}
    unknown = sorted(key for key in data if key not in known and data[key] is not None)
    if unknown:
        raise ValueError(f"Restrictions that are not supported: {', '.join(unknown)}.")
    given = {field: read(data[key]) for key, field, read, _ in _RESTRICTIONS if data.get(key) is not None}
    return Restrictions(**given)


def _restrictions_to_json(restrictions: Restrictions) -> dict[str, Any]:
    return {
        key: write(value)
        for key, field, _, write in _RESTRICTIONS
        if (value := getattr(restrictions, field)) is not None and value != frozenset()
    }


def _element_from_json(data: Mapping[str, Any]) -> TariffElement:
    components = tuple(
        PriceComponent(
            type=Dimension(component["type"]),
            price=_decimal(component["price"]),
            vat_percent=None if component.get("vat") is None else _decimal(component["vat"]),
            step_size=_whole(component.get("step_size", 1)),
        )
        for component in data["price_components"]
    )
    return TariffElement(components, _restrictions_from_json(data.get("restrictions") or {}))


def _element_to_json(element: TariffElement) -> dict[str, Any]:
    components = []
    for component in element.price_components:
        entry: dict[str, Any] = {"type": str(component.type), "price": str(component.price)}
        if component.vat_percent is not None:
            entry["vat"] = str(component.vat_percent)
        components.append(entry | {"step_size": component.step_size})
    data: dict[str, Any] = {"price_components": components}
    if not element.restrictions.none:
        data["restrictions"] = _restrictions_to_json(element.restrictions)
    return data


def _limit_from_json(data: Mapping[str, Any] | None) -> PriceLimit | None:
    if data is None:
        return None
    return PriceLimit(
        **{key: _decimal(data[key]) for key in ("before_taxes", "after_taxes") if data.get(key) is not None}
    )


def _limit_to_json(limit: PriceLimit) -> dict[str, str]:
    sides = {"before_taxes": limit.before_taxes, "after_taxes": limit.after_taxes}
    return {key: str(amount) for key, amount in sides.items() if amount is not None}


def tariff_to_json(tariff: Tariff) -> dict[str, Any]:
    """The tariff as a JSON object; `tariff_from_json` gives back an equal one."""
    data: dict[str, Any] = {
        "id": tariff.tariff_id,
        "currency": tariff.currency,
        "tax_included": tariff.tax_included,
        "elements": [_element_to_json(element) for element in tariff.elements],
        "hold_minor": tariff.hold_minor,
        "idle_grace_s": tariff.idle_grace_s,
        "time_zone": tariff.time_zone,
    }
    if tariff.min_price is not None:
        data["min_price"] = _limit_to_json(tariff.min_price)
    if tariff.max_price is not None:
        data["max_price"] = _limit_to_json(tariff.max_price)
    return data


def tariff_from_json(data: Mapping[str, Any]) -> Tariff:
    """A tariff from its JSON object; keys that do not touch the price are ignored.

    Raises ``ValueError`` for a missing key and for whatever `billing.tariff` refuses.
    """
    try:
        return Tariff(
            tariff_id=str(data["id"]),
            currency=str(data["currency"]),
            elements=tuple(_element_from_json(element) for element in data["elements"]),
            tax_included=cast(TaxIncluded, data.get("tax_included", "YES")),
            min_price=_limit_from_json(data.get("min_price")),
            max_price=_limit_from_json(data.get("max_price")),
            hold_minor=_whole(data.get("hold_minor", 0)),
            idle_grace_s=_whole(data.get("idle_grace_s", 0)),
            time_zone=str(data.get("time_zone", "UTC")),
        )
    except KeyError as missing:
        raise ValueError(f"The tariff has no {missing.args[0]!r}.") from None
    except TypeError as error:
        raise ValueError(f"The tariff is not written as OCPI has it: {error}.") from None
