"""Cost: what a session costs, line by line and per VAT rate, in minor units.

Everything a driver sees contains the VAT: line amounts and unit prices are gross, whatever the tariff says, and the
lines add up to the total exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Literal

from billing.money import apportion, round_half_up, to_major
from billing.tariff import Dimension

Unit = Literal["kWh", "min", "h", "session"]


class Adjustment(StrEnum):
    """Why a line stands on a receipt that is no use of the station."""

    MIN_PRICE = "MIN_PRICE"  # raised to the tariff's least cost
    MAX_PRICE = "MAX_PRICE"  # lowered to the tariff's greatest cost
    ABOVE_HOLD = "ABOVE_HOLD"  # above the reserved amount, not charged
    REFUND = "REFUND"  # paid back; the line of a credit note


@dataclass(frozen=True, slots=True)
class CostLine:
    """One printed line. ``quantity`` in ``unit``; ``unit_price`` in major units and ``amount_minor``, both incl. VAT.

    An adjustment has quantity 1 and its own amount as the price; it may be negative.
    """

    dimension: Dimension | Adjustment
    quantity: Decimal
    unit: Unit
    unit_price: Decimal
    vat_percent: Decimal | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class VatLine:
    """The part of a cost under one VAT rate (None: no VAT applies). ``net + vat = gross``, in minor units."""

    vat_percent: Decimal | None
    net_minor: int
    vat_minor: int
    gross_minor: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session costs. Raises ``ValueError`` unless lines, VAT and totals agree to the last minor unit."""

    currency: str
    lines: tuple[CostLine, ...]
    vat: tuple[VatLine, ...]
    net_minor: int
    vat_minor: int
    total_minor: int

    def __post_init__(self) -> None:
        agreed = (
            self.total_minor == sum(line.amount_minor for line in self.lines)
            and self.net_minor == sum(line.net_minor for line in self.vat)
            and self.vat_minor == sum(line.vat_minor for line in self.vat)
            and self.total_minor == self.net_minor + self.vat_minor
            and all(line.net_minor + line.vat_minor == line.gross_minor for line in self.vat)
        )
        if not agreed:
            raise ValueError(f"The cost does not add up: {self}")
        if self.total_minor < 0:
            raise ValueError(f"A cost cannot be negative: {self.total_minor}.")


def cost_of(currency: str, lines: Sequence[CostLine], vat: Sequence[VatLine]) -> Cost:
    """A cost with its totals taken from the VAT lines. Raises ``ValueError`` if the lines do not add up to them."""
    net_minor = sum(line.net_minor for line in vat)
    vat_minor = sum(line.vat_minor for line in vat)
    return Cost(currency, tuple(lines), tuple(vat), net_minor, vat_minor, net_minor + vat_minor)


def no_cost(currency: str) -> Cost:
    """Nothing was used: no lines, and a total of zero."""
    return Cost(currency, (), (), 0, 0, 0)


def displayed_time_price(per_hour: Decimal) -> tuple[Decimal, Unit]:
    """A price per hour as it is shown: per minute, or per hour where that would not end within four decimals."""
    per_minute = Fraction(per_hour) / 60
    if (per_minute * 10_000).denominator == 1:
        return per_hour / 60, "min"
    return per_hour, "h"


def vat_within(gross_minor: int, vat_percent: Decimal | None) -> int:
    """The VAT contained in a gross amount: gross × r / (100 + r), half up."""
    if not vat_percent:
        return 0
    rate = Fraction(vat_percent)
    return round_half_up(gross_minor * rate / (100 + rate))


def vat_contained(gross_minor: int, vat_percent: Decimal | None) -> VatLine:
    """A gross amount, and the VAT taken out of it."""
    vat_minor = vat_within(gross_minor, vat_percent)
    return VatLine(vat_percent, gross_minor - vat_minor, vat_minor, gross_minor)


def vat_on_top(net_minor: int, vat_percent: Decimal | None) -> VatLine:
    """A net amount, and the VAT put on top: net × r / 100, half up."""
    vat_minor = round_half_up(net_minor * Fraction(vat_percent or 0) / 100)
    return VatLine(vat_percent, net_minor, vat_minor, net_minor + vat_minor)


def adjusted(
    lines: Sequence[CostLine], before: Sequence[VatLine], after: Sequence[VatLine], why: Adjustment, currency: str
) -> tuple[CostLine, ...]:
    """The lines plus one per VAT rate whose gross amount changed, so that they add up again."""
    changes = (
        CostLine(why, Decimal(1), "session", to_major(change, currency), new.vat_percent, change)
        for old, new in zip(before, after, strict=True)
        if (change := new.gross_minor - old.gross_minor)
    )
    return (*lines, *changes)


def cap_cost(cost: Cost, max_minor: int) -> tuple[Cost, int]:
    """The part of a cost that may be collected, and the minor units written off. Capture ≤ hold.

    A cost above ``max_minor`` gets a negative line per VAT rate, in proportion, and then totals ``max_minor`` exactly.
    Raises ``ValueError`` when ``max_minor`` is negative.
    """
    if max_minor < 0:
        raise ValueError(f"A cost cannot be capped at a negative amount: {max_minor}.")
    if cost.total_minor <= max_minor:
        return cost, 0
    shares = apportion(max_minor, [line.gross_minor for line in cost.vat])
    capped = [vat_contained(share, line.vat_percent) for line, share in zip(cost.vat, shares, strict=True)]
    lines = adjusted(cost.lines, cost.vat, capped, Adjustment.ABOVE_HOLD, cost.currency)
    return cost_of(cost.currency, lines, capped), cost.total_minor - max_minor
