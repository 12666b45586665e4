"""Our tariffs in OCPP 2.1's words: the same price, or a refusal that says what cannot be said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from billing.tariff import (
    DayOfWeek,
    Dimension,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    TariffElement,
    simple_tariff,
)
from csms.ocpp.schemas import request_problems
from csms.ocpp.v21.tariff_type import tariff_type

VAT = Decimal(25)


def simple(**prices: Any) -> Tariff:
    return simple_tariff("T", "NOK", hold_minor=100, vat_percent=VAT, **prices)


def element(kind: Dimension, price: str, restrictions: Restrictions | None = None, **more: object) -> TariffElement:
    component = PriceComponent(kind, Decimal(price), VAT, **more)  # type: ignore[arg-type]
    return TariffElement((component,), restrictions or Restrictions())


def tariff(*elements: TariffElement) -> Tariff:
    return Tariff("T", "NOK", elements, hold_minor=100)


def valid(told: dict[str, object]) -> dict[str, object]:
    """What was told, once the package's schema has taken it."""
    assert request_problems("ocpp2.1", "SetDefaultTariff", {"evseId": 0, "tariff": told}) == []
    return told


def test_all_four_dimensions_without_tax_per_kwh_and_minute() -> None:
    told = valid(
        tariff_type(
            simple(
                per_kwh=Decimal(5), per_minute=Decimal("0.5"), per_session=Decimal(10), idle_per_minute=Decimal("2.5")
            )
        )
    )
    tax = [{"type": "VAT", "tax": 25.0}]
    assert told["energy"] == {"prices": [{"priceKwh": 4.0}], "taxRates": tax}
    assert told["chargingTime"] == {"prices": [{"priceMinute": 0.4}], "taxRates": tax}
    assert told["idleTime"] == {"prices": [{"priceMinute": 2.0}], "taxRates": tax}
    assert told["fixedFee"] == {"prices": [{"priceFixed": 8.0}], "taxRates": tax}


def test_prices_that_exclude_the_tax_are_told_as_they_are() -> None:
    told = tariff_type(replace(simple(per_kwh=Decimal(5)), tax_included="NO"))
    assert told["energy"]["prices"] == [{"priceKwh": 5.0}]


def test_no_vat_is_not_zero_percent() -> None:
    assert "taxRates" not in tariff_type(replace(simple_tariff("T", "NOK", hold_minor=1, per_kwh=Decimal(1))))["energy"]


def test_the_first_that_holds_counts_with_its_conditions() -> None:
    night = Restrictions(
        start_time=time(22),
        end_time=time(6, 30),
        day_of_week=frozenset({DayOfWeek.SUNDAY, DayOfWeek.MONDAY}),
        start_date=date(2026, 1, 1),
        end_date=date(2027, 1, 1),
        min_kwh=Decimal("1.5"),
        max_kwh=Decimal(50),
        min_power_kw=Decimal(11),
        min_duration_s=60,
        max_duration_s=3600,
    )
    told = valid(tariff_type(tariff(element(Dimension.ENERGY, "2.5", night), element(Dimension.ENERGY, "5"))))
    first, rest = told["energy"]["prices"]  # type: ignore[index]
    assert rest == {"priceKwh": 4.0}
    assert first == {
        "priceKwh": 2.0,
        "conditions": {
            "startTimeOfDay": "22:00",
            "endTimeOfDay": "06:30",
            "dayOfWeek": ["Monday", "Sunday"],
            "validFromDate": "2026-01-01",
            "validToDate": "2027-01-01",
            "minEnergy": 1500,
            "maxEnergy": 50000,
            "minPower": 11000.0,
            "minTime": 60,
            "maxTime": 3600,
        },
    }


def test_the_grace_before_idle_time_and_the_limits() -> None:
    made = replace(
        simple(idle_per_minute=Decimal(1)),
        idle_grace_s=600,
        min_price=PriceLimit(after_taxes=Decimal(10)),
        max_price=PriceLimit(before_taxes=Decimal(80), after_taxes=Decimal(100)),
    )
    told = valid(tariff_type(made))
    assert told["idleTime"]["prices"] == [{"priceMinute": 0.8, "conditions": {"minIdleTime": 600}}]  # type: ignore[index]
    assert told["minCost"] == {"inclTax": 10.0}
    assert told["maxCost"] == {"exclTax": 80.0, "inclTax": 100.0}


def test_a_free_tariff_is_a_price_of_nothing() -> None:
    assert valid(tariff_type(simple_tariff("FREE", "NOK", hold_minor=0)))["energy"] == {"prices": [{"priceKwh": 0.0}]}


def test_other_content_has_another_id_and_the_same_the_same() -> None:
    one, again, other = (tariff_type(simple(per_kwh=Decimal(price))) for price in ("5", "5.00", "6"))
    assert one["tariffId"] == again["tariffId"] != other["tariffId"]
    assert one["tariffId"].startswith("T.")
    assert len(tariff_type(replace(simple(per_kwh=Decimal(5)), tariff_id="x" * 64))["tariffId"]) <= 60


@pytest.mark.parametrize(
    ("unsayable", "why"),
    [
        (tariff(element(Dimension.ENERGY, "5", step_size=100)), "steps of 100"),
        (tariff(element(Dimension.FLAT, "5", Restrictions(min_kwh=Decimal(1)))), "start fee"),
        (tariff(element(Dimension.ENERGY, "5", Restrictions(start_time=time(8, 0, 30)))), "within a minute"),
        (
            tariff(
                element(Dimension.ENERGY, "5"),
                TariffElement((PriceComponent(Dimension.ENERGY, Decimal(5), Decimal(12)),)),
            ),
            "several VAT rates",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(unsayable: Tariff, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tariff_type(unsayable)
