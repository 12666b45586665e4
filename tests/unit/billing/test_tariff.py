"""What a tariff refuses, what it says of itself, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from billing.price_text import describe_price
from billing.tariff import DayOfWeek, PriceLimit, Restrictions, Tariff, TariffElement, simple_tariff
from billing.tariff_json import tariff_from_json, tariff_to_json
from tests.unit.billing.examples import NORWAY, component, element, tariff

ENERGY = component("ENERGY", "0.25", "10")
RICH = tariff(
    element(
        component("ENERGY", "0.30", "25", step=500),
        start_time=time(22),
        end_time=time(6),
        start_date=date(2026, 1, 1),
        end_date=date(2027, 1, 1),
        min_kwh=Decimal(1),
        max_kwh=Decimal("80.5"),
        min_power_kw=Decimal(11),
        max_power_kw=Decimal(50),
        min_duration_s=60,
        max_duration_s=3600,
        day_of_week=frozenset({DayOfWeek.SATURDAY, DayOfWeek.MONDAY}),
    ),
    element(component("ENERGY", "0.25", "10"), component("FLAT", "0.5")),
    min_price=PriceLimit(before_taxes=Decimal(1)),
    max_price=PriceLimit(Decimal(10), Decimal(11)),
    idle_grace_s=600,
    time_zone="Europe/Oslo",
)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: component("ENERGY", "-1"), "zero or more"),
        (lambda: component("ENERGY", "NaN"), "zero or more"),
        (lambda: component("ENERGY", "1", "101"), "0 to 100 percent"),
        (lambda: component("ENERGY", "1", step=0), "at least 1"),
        (lambda: TariffElement(()), "at least one price component"),
        (lambda: element(ENERGY, ENERGY), "more than one ENERGY"),
        (lambda: Restrictions(start_time=time(8), end_time=time(8)), "never applies"),
        (lambda: Restrictions(min_kwh=Decimal(5), max_kwh=Decimal(5)), "must be less than"),
        (lambda: Restrictions(min_kwh=Decimal("0.0005")), "finer than one Wh"),
        (lambda: Restrictions(min_duration_s=-1), "cannot be negative"),
        (lambda: Restrictions(start_date=date(2026, 2, 1), end_date=date(2026, 2, 1)), "must be before"),
        (PriceLimit, "before taxes, after taxes, or both"),
        (lambda: PriceLimit(Decimal(2), Decimal(1)), "cannot exceed"),
        (lambda: PriceLimit(Decimal(-1)), "zero or more"),
        (lambda: Tariff("", "EUR", (element(ENERGY),), hold_minor=1), "needs an id"),
        (lambda: Tariff("t", "EUR", (), hold_minor=1), "has no elements"),
        (lambda: Tariff("t", "euro", (element(ENERGY),), hold_minor=1), "ISO 4217"),
        (lambda: Tariff("t", "EUR", (element(ENERGY),)), "holds nothing"),
        (lambda: Tariff("t", "EUR", (element(ENERGY),), hold_minor=-1), "cannot be negative"),
        (lambda: Tariff("t", "EUR", (element(ENERGY),), tax_included="N/A", hold_minor=1), "taxes do not apply"),
        (lambda: tariff_from_json(_json(tax_included="MAYBE")), "YES, NO or N/A"),
        (lambda: tariff(element(ENERGY), time_zone="Mars/Olympus"), "Europe/Oslo"),
        (lambda: tariff(element(ENERGY), time_zone="Europe"), "Europe/Oslo"),
        (lambda: tariff(element(ENERGY), time_zone="../etc/passwd"), "Europe/Oslo"),
        (
            lambda: tariff(element(ENERGY), min_price=PriceLimit(Decimal(3)), max_price=PriceLimit(Decimal(2))),
            "above max_price",
        ),
    ],
)
def test_refuses_with_a_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_free_is_free_only_when_nothing_can_cost() -> None:
    assert simple_tariff("free", "NOK", hold_minor=0).is_free
    assert not NORWAY.is_free
    assert not Tariff(
        "t", "EUR", (element(component("ENERGY", "0")),), min_price=PriceLimit(Decimal(1)), hold_minor=100
    ).is_free


def test_json_round_trip_through_text() -> None:
    for example in (RICH, NORWAY, simple_tariff("free", "ISK", hold_minor=0)):
        assert tariff_from_json(json.loads(json.dumps(tariff_to_json(example)))) == example


def test_json_has_the_standards_keys() -> None:
    data = tariff_to_json(RICH)
    assert data["elements"][0]["price_components"] == [
        {"type": "ENERGY", "price": "0.30", "vat": "25", "step_size": 500}
    ]
    assert data["elements"][0]["restrictions"] == {
        "start_time": "22:00",
        "end_time": "06:00",
        "start_date": "2026-01-01",
        "end_date": "2027-01-01",
        "min_kwh": "1",
        "max_kwh": "80.5",
        "min_power": "11",
        "max_power": "50",
        "min_duration": 60,
        "max_duration": 3600,
        "day_of_week": ["MONDAY", "SATURDAY"],
    }
    assert data["max_price"] == {"before_taxes": "10", "after_taxes": "11"}


def _json(**changes: Any) -> dict[str, Any]:
    return {
        "id": "t",
        "currency": "EUR",
        "hold_minor": 5000,
        "elements": [{"price_components": [{"type": "ENERGY", "price": 0.1, "vat": 25.0}]}],
        "party_id": "XYZ",
        **changes,
    }


def test_json_numbers_are_taken_as_they_are_written() -> None:
    read = tariff_from_json(_json())
    assert read.elements[0].price_components[0].price == Decimal("0.1")
    assert read.tax_included == "YES"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "no 'id'"),
        (_json(elements=[{"price_components": [{"type": "ENERGY"}]}]), "no 'price'"),
        (_json(elements=[{"price_components": [{"type": "ENERGY", "price": "dear"}]}]), "not a number"),
        (_json(elements=[{"price_components": [{"type": "POWER", "price": 1}]}]), "POWER"),
        (_json(elements=5), "not written as OCPI"),
        (_json(hold_minor="12.5"), "not a whole number"),
        (
            _json(elements=[{"price_components": [{"type": "FLAT", "price": 1}], "restrictions": {"min_current": 16}}]),
            "not supported: min_current",
        ),
    ],
)
def test_json_that_cannot_be_billed_as_written_is_refused(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        tariff_from_json(data)


@pytest.mark.parametrize(
    ("example", "language", "line"),
    [
        (NORWAY, "en", "5.00 NOK/kWh + 3.00 NOK start + 0.50 NOK/min idle after 10 min"),
        (NORWAY, "nb", "5,00 kr/kWh + 3,00 kr oppstart + 0,50 kr/min tomgang etter 10 min"),
        (simple_tariff("f", "NOK", hold_minor=0), "en", "Free"),
        (simple_tariff("f", "NOK", hold_minor=0), "nb", "Gratis"),
        (tariff(element(ENERGY)), "en", "0.275 EUR/kWh"),  # VAT on top is shown as what it comes to
        (tariff(element(component("TIME", "5"))), "en", "5.00 EUR/h"),  # 0.08333… a minute
        (tariff(element(component("TIME", "3"), ENERGY)), "en", "0.275 EUR/kWh + 0.05 EUR/min"),
        (
            tariff(element(ENERGY, start_time=time(22), end_time=time(6)), element(component("ENERGY", "0.5", "10"))),
            "en",
            "0.275–0.55 EUR/kWh",
        ),
        (
            tariff(element(ENERGY), min_price=PriceLimit(Decimal(1)), max_price=PriceLimit(None, Decimal(11))),
            "en",
            "0.275 EUR/kWh, at least 1.00 EUR excl. vat, at most 11.00 EUR",
        ),
        (simple_tariff("i", "ISK", per_kwh=Decimal("59.5"), hold_minor=9000), "en", "59.5 ISK/kWh"),
    ],
)
def test_described_in_one_line(example: Tariff, language: str, line: str) -> None:
    assert describe_price(example, language) == line
