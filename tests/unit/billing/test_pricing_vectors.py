"""The published cases, with their exact numbers: OCPI 2.3.0's tariff examples and OCPP 2.1's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.pricing import price
from billing.tariff import Dimension, PriceLimit, Tariff
from billing.usage import Usage
from tests.unit.billing.examples import component, element, period, tariff, usage

ENERGY = component("ENERGY", "0.25", "10")
START = component("FLAT", "0.50", "20")
PARKING = component("PARKING_TIME", "2.00", "20", step=900)
CAPPED = tariff(element(ENERGY, START), max_price=PriceLimit(Decimal(10), Decimal(11)))


@pytest.mark.parametrize(
    ("case", "used", "excl", "incl"),
    [
        (tariff(element(ENERGY)), usage(period(0, 60, 20_000)), 500, 550),
        (tariff(element(ENERGY, START)), usage(period(0, 60, 20_000)), 550, 610),
        (
            tariff(element(ENERGY, START, PARKING)),
            usage(period(0, 60, 20_000), period(60, 40, parked=True)),
            700,
            790,
        ),
        (CAPPED, usage(period(0, 60, 30_000)), 800, 885),
        (CAPPED, usage(period(0, 60, 50_000)), 1000, 1100),
        (
            tariff(element(component("TIME", "3.00", "10"), component("PARKING_TIME", "5.00", "20", step=300))),
            usage(period(0, 150, 30_000), period(150, 42, parked=True)),
            1125,
            1275,
        ),
        (tariff(element(component("TIME", "1.90", "5.2"))), usage(period(0, 150)), 475, 500),
        # OCPP 2.1: two taxes on the same net amount, 6 % and 4 %
        (tariff(element(component("ENERGY", "0.25", "10"))), usage(period(0, 60, 10_000)), 250, 275),
    ],
)
def test_excluding_and_including_vat(case: Tariff, used: Usage, excl: int, incl: int) -> None:
    cost = price(case, used)
    assert (cost.net_minor, cost.total_minor) == (excl, incl)


def test_energy_step_applies_once_to_the_total_at_the_last_price() -> None:
    """4.3 + 1.1 kWh in steps of 500 Wh bill 5.5 kWh, 1.2 of them at the second rate."""
    case = tariff(
        element(component("ENERGY", "0.20", step=500), max_kwh=Decimal("4.3")),
        element(component("ENERGY", "0.27", step=500)),
    )
    cost = price(case, usage(period(0, 30, 4300), period(30, 10, 1100)))
    assert [line.quantity for line in cost.lines] == [Decimal("4.3"), Decimal("1.2")]
    assert [line.amount_minor for line in cost.lines] == [86, 32]
    assert cost.total_minor == 118  # 0.86 + 0.324 = 1.184


def test_time_step_applies_once_to_the_total_at_the_last_price() -> None:
    """6 + 22 min in steps of 10 min bill 30 min, 24 of them at the second rate."""
    case = tariff(
        element(component("TIME", "6.00", step=600), max_duration_s=360),
        element(component("TIME", "1.50", step=600)),
    )
    cost = price(case, usage(period(0, 28)))
    assert [(line.quantity, line.unit) for line in cost.lines] == [(Decimal(6), "min"), (Decimal(24), "min")]
    assert [line.amount_minor for line in cost.lines] == [60, 60]


def test_time_is_not_stepped_when_parking_follows() -> None:
    """21 min of charging and 7 min of parking in steps of 5 min bill 21 and 10 min."""
    case = tariff(element(component("TIME", "6.00", step=300), component("PARKING_TIME", "3.00", step=300)))
    cost = price(case, usage(period(0, 21), period(21, 7, parked=True)))
    assert [(line.dimension, line.quantity) for line in cost.lines] == [
        (Dimension.TIME, Decimal(21)),
        (Dimension.PARKING_TIME, Decimal(10)),
    ]


def test_the_capped_case_shows_what_was_taken_off_per_rate() -> None:
    cost = price(CAPPED, usage(period(0, 60, 50_000)))
    assert [(str(line.dimension), line.amount_minor) for line in cost.lines] == [
        ("ENERGY", 1375),
        ("FLAT", 60),
        ("MAX_PRICE", -320),
        ("MAX_PRICE", -15),
    ]
    assert [(line.net_minor, line.vat_minor, line.gross_minor) for line in cost.vat] == [(962, 93, 1055), (38, 7, 45)]
