"""A tariff in one line, for a terminal's screen or a page. AFIR (EU 2023/1804) art. 5: kWh, minute, session, other."""

from __future__ import annotations

from decimal import Decimal

from billing.cost import displayed_time_price
from billing.money import exponent, format_number
from billing.tariff import Dimension, PriceLimit, Tariff
from billing.words import words

_ORDER = (Dimension.ENERGY, Dimension.TIME, Dimension.FLAT, Dimension.PARKING_TIME)


def format_price(price: Decimal, currency: str, language: str) -> str:
    """A unit price: at least the currency's decimals, more (up to four) where the price has them. "5.00", "0.275"."""
    decimals = -int(price.quantize(Decimal("0.0001")).normalize().as_tuple().exponent)
    return format_number(price, max(decimals, exponent(currency)), language)


def currency_name(currency: str, language: str) -> str:
    """The currency behind a unit price: kr in Norwegian for NOK, its code elsewhere."""
    return "kr" if (currency, language) == ("NOK", "nb") else currency


def _range(tariff: Tariff, dimension: Dimension, language: str) -> str:
    """One dimension's price, or from–to where elements differ; empty where there is nothing to pay."""
    per_unit = [tariff.gross_price(component) for component in tariff.components() if component.type is dimension]
    if not any(per_unit):
        return ""
    text = words(language)
    unit = "kWh"
    if dimension is Dimension.FLAT:
        unit = text["per_session"]
    elif dimension is not Dimension.ENERGY:
        shown = [displayed_time_price(price) for price in per_unit]
        in_minutes = all(unit == "min" for _, unit in shown)
        unit = "min" if in_minutes else "h"
        per_unit = [price for price, _ in shown] if in_minutes else per_unit
    low, high = (format_price(price, tariff.currency, language) for price in (min(per_unit), max(per_unit)))
    name = currency_name(tariff.currency, language)
    line = f"{low if low == high else f'{low}–{high}'} {name}"
    return f"{line} {unit}" if dimension is Dimension.FLAT else f"{line}/{unit}"


def _limit(tariff: Tariff, limit: PriceLimit | None, key: str, language: str) -> str:
    amount = None if limit is None else limit.after_taxes if limit.after_taxes is not None else limit.before_taxes
    if limit is None or amount is None:
        return ""
    name = currency_name(tariff.currency, language)
    shown = f"{format_price(amount, tariff.currency, language)} {name}"
    line = words(language)[key].format(amount=shown)
    return line if limit.after_taxes is not None else f"{line} {words(language)['net'].lower()}"


def describe_price(tariff: Tariff, language: str) -> str:
    """The tariff in one line, VAT included: ``5.00 NOK/kWh + 0.50 NOK/min idle after 10 min``. Free: ``Free``.

    Where elements with restrictions differ, a range is given (``4.00–5.00 NOK/kWh``).
    """
    text = words(language)
    if tariff.is_free:
        return text["free"]
    parts = []
    for dimension in _ORDER:
        part = _range(tariff, dimension, language)
        if part and dimension is Dimension.PARKING_TIME:
            part = f"{part} {text['idle']}"
            if tariff.idle_grace_s:
                minutes = format_price(Decimal(tariff.idle_grace_s) / 60, "ISK", language)
                part = f"{part} {text['after'].format(minutes=minutes)}"
        if part:
            parts.append(part)
    limits = (
        _limit(tariff, tariff.min_price, "at_least", language),
        _limit(tariff, tariff.max_price, "at_most", language),
    )
    return ", ".join([" + ".join(parts)] * bool(parts) + [limit for limit in limits if limit])
