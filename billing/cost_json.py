"""Cost as JSON. Decimals are strings; `cost_from_json` gives back an equal cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from billing.cost import Adjustment, Cost, CostLine, VatLine
from billing.tariff import Dimension


def _rate_to_json(rate: Decimal | None) -> str | None:
    return None if rate is None else str(rate)


def _rate_from_json(rate: str | None) -> Decimal | None:
    return None if rate is None else Decimal(rate)


def cost_to_json(cost: Cost) -> dict[str, Any]:
    """The cost as a JSON object, amounts in minor units."""
    return {
        "currency": cost.currency,
        "lines": [
            {
                "dimension": str(line.dimension),
                "quantity": str(line.quantity),
                "unit": line.unit,
                "unit_price": str(line.unit_price),
                "vat_percent": _rate_to_json(line.vat_percent),
                "amount_minor": line.amount_minor,
            }
            for line in cost.lines
        ],
        "vat": [
            {
                "vat_percent": _rate_to_json(line.vat_percent),
                "net_minor": line.net_minor,
                "vat_minor": line.vat_minor,
                "gross_minor": line.gross_minor,
            }
            for line in cost.vat
        ],
        "net_minor": cost.net_minor,
        "vat_minor": cost.vat_minor,
        "total_minor": cost.total_minor,
    }


def vat_from_json(lines: Sequence[Mapping[str, Any]]) -> tuple[VatLine, ...]:
    """The VAT lines of a cost's JSON object. Raises ``KeyError`` for a missing key."""
    return tuple(
        VatLine(_rate_from_json(line["vat_percent"]), line["net_minor"], line["vat_minor"], line["gross_minor"])
        for line in lines
    )


def cost_from_json(data: Mapping[str, Any]) -> Cost:
    """A cost from its JSON object. Raises ``ValueError`` if it does not add up, ``KeyError`` for a missing key."""
    return Cost(
        currency=data["currency"],
        lines=tuple(
            CostLine(
                dimension=Dimension(line["dimension"])
                if line["dimension"] in set(Dimension)
                else Adjustment(line["dimension"]),
                quantity=Decimal(line["quantity"]),
                unit=line["unit"],
                unit_price=Decimal(line["unit_price"]),
                vat_percent=_rate_from_json(line["vat_percent"]),
                amount_minor=line["amount_minor"],
            )
            for line in data["lines"]
        ),
        vat=vat_from_json(data["vat"]),
        net_minor=data["net_minor"],
        vat_minor=data["vat_minor"],
        total_minor=data["total_minor"],
    )
