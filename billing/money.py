"""Money: integer minor units of an ISO 4217 currency; `decimal.Decimal` only at the border, float never.

Every amount called ``*_minor`` counts the currency's smallest unit: øre, cent, fils; for ISK and JPY the krona and the
yen themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

# ISO 4217, column "minor unit". Currencies are data: a missing one is added here, nowhere else.
_EXPONENTS: dict[str, int] = {
    # Europe
    "ALL": 2, "AMD": 2, "AZN": 2, "BAM": 2, "BGN": 2, "BYN": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2,
    "GEL": 2, "GIP": 2, "HUF": 2, "ISK": 0, "MDL": 2, "MKD": 2, "NOK": 2, "PLN": 2, "RON": 2, "RSD": 2, "RUB": 2,
    "SEK": 2, "TRY": 2, "UAH": 2,
    # elsewhere
    "AED": 2, "ARS": 2, "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CLP": 0, "CNY": 2, "COP": 2, "EGP": 2, "HKD": 2,
    "IDR": 2, "ILS": 2, "INR": 2, "IQD": 3, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "KZT": 2, "LYD": 3, "MAD": 2,
    "MXN": 2, "MYR": 2, "NZD": 2, "OMR": 3, "PHP": 2, "QAR": 2, "SAR": 2, "SGD": 2, "THB": 2, "TND": 3, "TWD": 2,
    "USD": 2, "VND": 0, "ZAR": 2,
}  # fmt: skip

_NBSP = "\u00a0"  # keeps the groups of a number on one line


def exponent(currency: str) -> int:
    """How many decimals the currency has (ISO 4217 minor unit): ISK 0, NOK 2, BHD 3.

    Raises ``ValueError`` for a code that is not in the table (codes are upper case).
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise ValueError(
            f"Currency {currency!r} is not known; use an ISO 4217 code in capitals, such as NOK or EUR."
        ) from None


def round_half_up(amount: Decimal | Fraction) -> int:
    """The nearest integer; a half goes away from zero (1.5 → 2, -1.5 → -2), so a credit mirrors its sale."""
    if isinstance(amount, Fraction):
        rounded = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
        return rounded if amount >= 0 else -rounded
    return int(amount.to_integral_value(rounding=ROUND_HALF_UP))


def to_minor(amount: Decimal, currency: str) -> int:
    """Major to minor units, half up: 12.345 NOK → 1235. Raises ``ValueError`` for an unknown currency."""
    return round_half_up(amount.scaleb(exponent(currency)))


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Minor to major units, exact: 1235 NOK → Decimal("12.35"). Raises ``ValueError`` for an unknown currency."""
    return Decimal(amount_minor).scaleb(-exponent(currency))


def apportion(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """Split ``total`` into whole parts in proportion to ``weights``; the parts add up to ``total`` exactly.

    Largest remainder first; among equal remainders the earlier one. Weights are not negative. When all of them are
    zero, the first takes everything. Raises ``ValueError`` when there is something to split and nobody to take it.
    """
    if not weights:
        if total:
            raise ValueError(f"There is nothing to split {total} over.")
        return []
    whole = sum(weights, Fraction(0))
    if not whole:
        return [total] + [0] * (len(weights) - 1)
    sign = -1 if total < 0 else 1
    exact = [abs(total) * Fraction(weight) / whole for weight in weights]
    parts = [share.numerator // share.denominator for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: abs(total) - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def format_number(number: Decimal, decimals: int, language: str) -> str:
    """A number with exactly ``decimals`` decimals in the language's way: en 1,234.50; nb 1 234,50."""
    quantum = Decimal(1).scaleb(-decimals)
    text = f"{number.quantize(quantum, rounding=ROUND_HALF_UP):,f}"
    if language == "nb":
        return text.replace(",", _NBSP).replace(".", ",")
    return text


def format_money(amount_minor: int, currency: str, language: str) -> str:
    """An amount for a driver's eyes: en "NOK 12.34", nb "12,34 kr" (other currencies "12,34 EUR").

    Any language but ``nb`` is written the English way. Raises ``ValueError`` for an unknown currency.
    """
    number = format_number(to_major(amount_minor, currency), exponent(currency), language)
    if language == "nb":
        return f"{number} {'kr' if currency == 'NOK' else currency}"
    return f"{currency} {number}"
