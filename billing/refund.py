"""Refunds: how much of a sale is paid back under each VAT rate, exactly. Pure.

However a sale is refunded, in one part or in many, the parts of each VAT rate add up to what was sold under it: net,
VAT and gross, to the minor unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from billing.cost import Adjustment, Cost, CostLine, VatLine, cost_of
from billing.money import apportion, format_money, round_half_up, to_major

Rate = Decimal | None


class RefundError(ValueError):
    """The refund cannot be made; the text says why, and what could be."""


def refundable(sold: Cost, earlier: Sequence[Cost]) -> dict[Rate, int]:
    """What can still be paid back under each VAT rate, gross, in minor units. ``earlier``: refunds of this sale."""
    left = {line.vat_percent: line.gross_minor for line in sold.vat}
    for refund in earlier:
        for line in refund.vat:
            left[line.vat_percent] = left.get(line.vat_percent, 0) - line.gross_minor
    return left


def whole(sold: Cost, earlier: Sequence[Cost]) -> Cost:
    """All that is left. Raises `RefundError` when that is nothing."""
    return by_rate(sold, earlier, refundable(sold, earlier))


def part(sold: Cost, earlier: Sequence[Cost], amount_minor: int) -> Cost:
    """``amount_minor`` of what is left, from each VAT rate in proportion. Raises `RefundError`."""
    left = refundable(sold, earlier)
    if amount_minor > sum(left.values()) or min(left.values()) < 0:
        raise RefundError(_too_much(amount_minor, sum(left.values()), sold.currency))
    shares = apportion(amount_minor, list(left.values()))
    return by_rate(sold, earlier, dict(zip(left, shares, strict=True)))


def by_rate(sold: Cost, earlier: Sequence[Cost], wanted: Mapping[Rate, int]) -> Cost:
    """Gross amounts per VAT rate, in minor units. Raises `RefundError` for more than is left, and for nothing."""
    left = refundable(sold, earlier)
    for rate, amount_minor in wanted.items():
        if rate not in left:
            raise RefundError(f"Nothing was sold at {_said(rate)}; the receipt has {', '.join(map(_said, left))}.")
        if amount_minor < 0:
            raise RefundError("A refund is not negative.")
        if amount_minor > left[rate]:
            raise RefundError(f"{_too_much(amount_minor, left[rate], sold.currency)} That is at {_said(rate)}.")
    if not any(wanted.values()):
        raise RefundError("There is nothing to refund: all that was sold has been paid back, or the amount is zero.")
    lines = [
        _vat_line(line, line.gross_minor - left[line.vat_percent], wanted[line.vat_percent])
        for line in sold.vat
        if wanted.get(line.vat_percent)
    ]
    return cost_of(sold.currency, [_cost_line(line, sold.currency) for line in lines], lines)


def _vat_line(sold: VatLine, before_minor: int, amount_minor: int) -> VatLine:
    """The VAT of what is refunded in all, less the VAT of what was refunded before: the last part takes the rest."""
    vat_minor = _vat(sold, before_minor + amount_minor) - _vat(sold, before_minor)
    return VatLine(sold.vat_percent, amount_minor - vat_minor, vat_minor, amount_minor)


def _vat(sold: VatLine, gross_minor: int) -> int:
    return round_half_up(Fraction(sold.vat_minor * gross_minor, sold.gross_minor))


def _cost_line(line: VatLine, currency: str) -> CostLine:
    price = to_major(line.gross_minor, currency)
    return CostLine(Adjustment.REFUND, Decimal(1), "session", price, line.vat_percent, line.gross_minor)


def _too_much(asked_minor: int, left_minor: int, currency: str) -> str:
    asked, left = (format_money(minor, currency, "en") for minor in (asked_minor, left_minor))
    return f"{asked} cannot be refunded: {left} of this sale is left to refund."


def _said(rate: Rate) -> str:
    return "no VAT" if rate is None else f"{rate.normalize():f} % VAT"
