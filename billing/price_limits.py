"""A tariff's min_price and max_price, each before and after taxes (OCPI 2.3.0 PriceLimit), applied to a cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from billing.cost import Adjustment, Cost, CostLine, VatLine, adjusted, cost_of, vat_contained, vat_on_top
from billing.money import apportion, to_minor
from billing.tariff import PriceLimit, Tariff


def limited(tariff: Tariff, lines: Sequence[CostLine], vat: Sequence[VatLine]) -> Cost:
    """Least and greatest cost, each before and after taxes; the difference is printed as lines of its own."""
    limits: tuple[tuple[PriceLimit | None, Adjustment, Callable[[int, int], int]], ...] = (
        (tariff.min_price, Adjustment.MIN_PRICE, max),
        (tariff.max_price, Adjustment.MAX_PRICE, min),
    )
    for limit, why, bound in limits:
        if limit is not None:
            vat = vat or [VatLine(next(tariff.components()).vat_percent, 0, 0, 0)]
            bounded = _bounded(vat, limit, bound, tariff.currency)
            lines = adjusted(lines, vat, bounded, why, tariff.currency)
            vat = bounded
    return cost_of(tariff.currency, lines, vat)


def _bounded(
    vat: Sequence[VatLine], limit: PriceLimit, bound: Callable[[int, int], int], currency: str
) -> list[VatLine]:
    """The VAT lines scaled so that their net and gross sums keep the limit (``bound``: min or max)."""
    net, gross = sum(line.net_minor for line in vat), sum(line.gross_minor for line in vat)
    new_net = net if limit.before_taxes is None else bound(net, to_minor(limit.before_taxes, currency))
    new_gross = gross if limit.after_taxes is None else bound(gross, to_minor(limit.after_taxes, currency))
    if (new_net, new_gross) == (net, gross):
        return list(vat)
    nets = [Fraction(line.net_minor) for line in vat] if net else [Fraction(1), *[Fraction(0)] * (len(vat) - 1)]
    taxes = [share * Fraction(line.vat_percent or 0) for share, line in zip(nets, vat, strict=True)]
    rates = [line.vat_percent for line in vat]
    if limit.after_taxes is None:
        parts = apportion(new_net, nets)
        return [vat_on_top(part, rate) for part, rate in zip(parts, rates, strict=True)]
    if limit.before_taxes is None or not sum(taxes):
        if limit.before_taxes is not None:  # no tax at all: both sides are the same amount
            new_gross = bound(new_net, new_gross)
        parts = apportion(new_gross, [line.gross_minor for line in vat] if gross else nets)
        return [vat_contained(part, rate) for part, rate in zip(parts, rates, strict=True)]
    net_parts = apportion(new_net, nets)
    vat_parts = apportion(new_gross - new_net, taxes)
    return [VatLine(rate, part, tax, part + tax) for rate, part, tax in zip(rates, net_parts, vat_parts, strict=True)]
