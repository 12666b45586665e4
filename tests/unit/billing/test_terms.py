"""What the platform takes of a session, and terms that nobody could have agreed on."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.terms import Period, Terms, terms_from_json, terms_to_json

percentages = st.decimals(min_value=0, max_value=100, places=3, allow_nan=False)
amounts = st.integers(min_value=0, max_value=10**9)


@pytest.mark.parametrize(
    ("fixed", "percent", "gross", "fee"),
    [
        (0, "0", 10_000, 0),
        (150, "0", 10_000, 150),
        (150, "2.5", 10_000, 400),
        (0, "2.5", 20, 1),  # 0.5: half up
        (0, "2.5", 19, 0),  # 0.475
        (1, "0.125", 400, 2),  # 1 + 0.5
        (150, "2.5", 0, 0),  # not paid: no fee
        (0, "100", 777, 777),
    ],
)
def test_the_fee_is_fixed_and_percent_rounded_once(fixed: int, percent: str, gross: int, fee: int) -> None:
    assert Terms(fee_fixed_minor=fixed, fee_percent=Decimal(percent)).fee_minor(gross, "NOK") == fee


def test_an_own_processor_costs_the_facilitation_fee_alone() -> None:
    terms = Terms(fee_fixed_minor=150, fee_percent=Decimal(10), facilitation_fee_minor=75)
    assert terms.facilitation_minor(10_000, "NOK") == 75
    assert terms.facilitation_minor(0, "NOK") == 0


def test_vat_comes_on_top_of_fees() -> None:
    assert Terms().fee_vat_minor(150) == 38  # 37.5
    assert Terms(fee_vat_percent=Decimal(0)).fee_vat_minor(150) == 0


@given(percent=percentages, gross=amounts)
def test_a_percentage_is_within_half_a_minor_unit(percent: Decimal, gross: int) -> None:
    fee = Terms(fee_percent=percent).fee_minor(gross, "NOK")
    assert abs(fee - gross * percent / 100) <= Decimal("0.5")
    assert 0 <= fee <= gross


@given(fixed=amounts, percent=percentages, own=amounts, period=st.sampled_from(Period), least=amounts)
def test_terms_come_back_as_they_were_written(
    fixed: int, percent: Decimal, own: int, period: Period, least: int
) -> None:
    terms = Terms(
        fee_fixed_minor=fixed,
        fee_percent=percent,
        facilitation_fee_minor=own,
        period=period,
        minimum_payout_minor=least,
    )
    assert terms_from_json(terms_to_json(terms)) == terms


def test_fixed_amounts_hold_in_the_owners_own_currency_alone() -> None:
    terms = Terms(fee_fixed_minor=150, fee_percent=Decimal(2), facilitation_fee_minor=75, minimum_payout_minor=500)
    assert terms.in_currency("NOK", "NOK") == terms
    assert terms.in_currency("NOK", "EUR") == Terms(fee_percent=Decimal(2))


def test_terms_that_were_never_set_take_nothing() -> None:
    assert terms_from_json("{}") == Terms()
    assert Terms().fee_minor(10_000, "NOK") == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"fee_percent": "100.001"}', "fee_percent"),
        ('{"fee_percent": "-1"}', "fee_percent"),
        ('{"fee_percent": "1.2345"}', "decimals"),
        ('{"fee_percent": "NaN"}', "fee_percent"),
        ('{"fee_percent": "much"}', "number"),
        ('{"fee_vat_percent": "101"}', "fee_vat_percent"),
        ('{"fee_fixed_minor": -1}', "fee_fixed_minor"),
        ('{"fee_fixed_minor": 1.5}', "whole"),
        ('{"fee_fixed_minor": true}', "whole"),
        ('{"minimum_payout_minor": 10000000000000}', "minimum_payout_minor"),
        ('{"period": "year"}', "year"),
        ('{"fee": 1}', "fee"),
        ("[]", "object"),
    ],
)
def test_terms_nobody_could_have_agreed_on_are_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        terms_from_json(text)


def test_a_fee_is_of_a_known_currency_and_an_amount_that_can_be() -> None:
    with pytest.raises(ValueError, match="XXX"):
        Terms().fee_minor(1, "XXX")
    for fee in (Terms().fee_minor, Terms().facilitation_minor):
        with pytest.raises(ValueError, match="negative"):
            fee(-1, "NOK")
