"""Minor units, rounding, splitting, and how an amount is written."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import apportion, exponent, format_money, format_number, round_half_up, to_major, to_minor


@pytest.mark.parametrize(("currency", "decimals"), [("ISK", 0), ("NOK", 2), ("EUR", 2), ("BHD", 3), ("JPY", 0)])
def test_exponent(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize("currency", ["", "nok", "XXX", "EURO"])
def test_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        exponent(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "NOK", 1234),
        ("12.345", "NOK", 1235),
        ("12.344999", "NOK", 1234),
        ("-12.345", "NOK", -1235),
        ("99.5", "ISK", 100),
        ("1.0005", "BHD", 1001),
        ("0", "EUR", 0),
    ],
)
def test_to_minor_rounds_half_up(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor


@given(st.integers(-(10**15), 10**15), st.sampled_from(["ISK", "NOK", "BHD"]))
def test_minor_to_major_and_back(amount_minor: int, currency: str) -> None:
    assert to_minor(to_major(amount_minor, currency), currency) == amount_minor


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_fractions_round_as_decimals_do(amount: Decimal) -> None:
    assert round_half_up(Fraction(amount)) == round_half_up(amount)


@pytest.mark.parametrize(
    ("minor", "currency", "language", "written"),
    [
        (1234, "NOK", "en", "NOK 12.34"),
        (1234, "NOK", "nb", "12,34 kr"),
        (1234, "EUR", "nb", "12,34 EUR"),
        (123456789, "EUR", "en", "EUR 1,234,567.89"),
        (123456789, "NOK", "nb", "1\u00a0234\u00a0567,89 kr"),
        (-5, "NOK", "en", "NOK -0.05"),
        (1500, "ISK", "en", "ISK 1,500"),
        (1500, "BHD", "en", "BHD 1.500"),
        (0, "NOK", "de", "NOK 0.00"),
    ],
)
def test_format_money(minor: int, currency: str, language: str, written: str) -> None:
    assert format_money(minor, currency, language) == written


def test_format_number_rounds_half_up() -> None:
    assert format_number(Decimal("0.125"), 2, "nb") == "0,13"


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_apportioned_parts_add_up_and_stay_within_one_unit(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(total * weight, sum(weights))) < 1


def test_apportion_gives_the_largest_remainder_first_and_then_the_earlier() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(100, [Fraction(1, 3), Fraction(2, 3)]) == [33, 67]
    assert apportion(7, [0, 0]) == [7, 0]
    assert apportion(0, []) == []
    with pytest.raises(ValueError, match="nothing to split"):
        apportion(1, [])
