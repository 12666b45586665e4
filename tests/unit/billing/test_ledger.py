"""Every set adds up to zero, and a hold resolves exactly once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cost import Cost, no_cost
from billing.ledger import (
    Account,
    Entry,
    EntrySet,
    Kind,
    balance,
    capture,
    hold,
    open_hold,
    posted,
    release,
    settlement,
    unexplained_settlement,
    write_off,
)
from billing.pricing import price
from billing.tariff import simple_tariff
from tests.unit.billing.examples import period, usage


def cost_of_wh(energy_wh: int, currency: str = "NOK") -> Cost:
    """One øre a Wh, 25 % VAT in it."""
    case = simple_tariff("t", currency, per_kwh=Decimal(10), vat_percent=Decimal(25), hold_minor=1)
    return price(case, usage(period(0, 60, energy_wh)))


def test_a_set_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="do not add up to zero"):
        EntrySet(Kind.HOLD, (Entry(Account.HOLD, 100, "NOK"), Entry(Account.HOLD_CONTRA, -99, "NOK")))


def test_a_set_must_add_up_in_each_currency() -> None:
    with pytest.raises(ValueError, match="do not add up to zero"):
        EntrySet(Kind.HOLD, (Entry(Account.HOLD, 100, "NOK"), Entry(Account.HOLD_CONTRA, -100, "EUR")))


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        hold(100, "kroner")


def test_capture_books_the_sale_and_resolves_its_part() -> None:
    captured = capture(30_000, cost_of_wh(12_500), "NOK")
    assert balance(captured.entries) == {
        Account.HOLD: -12_500,
        Account.HOLD_CONTRA: 12_500,
        Account.ACQUIRER: 12_500,
        Account.REVENUE: -10_000,
        Account.VAT_PAYABLE: -2_500,
    }
    assert captured.kind is Kind.CAPTURE


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_capture_and_release_empty_the_hold(one: int, other: int) -> None:
    charged, held = sorted((one, other))
    book = posted((), hold(held, "NOK"))
    book = posted(book, capture(held, cost_of_wh(charged), "NOK"))
    assert open_hold(entry for entry_set in book for entry in entry_set.entries) == held - charged
    book = posted(book, release(held - charged, "NOK"))
    after = balance(entry for entry_set in book for entry in entry_set.entries)
    assert after[Account.HOLD] == after[Account.HOLD_CONTRA] == 0
    assert after[Account.ACQUIRER] == charged


def test_release_of_everything_books_no_sale() -> None:
    book = posted(posted((), hold(500, "NOK")), release(500, "NOK"))
    assert balance(entry for entry_set in book for entry in entry_set.entries) == {
        Account.HOLD: 0,
        Account.HOLD_CONTRA: 0,
    }


def test_a_hold_resolves_once() -> None:
    book = posted((), hold(500, "NOK"))
    with pytest.raises(ValueError, match="a hold already"):
        posted(book, hold(500, "NOK"))
    with pytest.raises(ValueError, match="1 minor units more"):
        posted(book, release(501, "NOK"))
    captured = posted(book, capture(500, cost_of_wh(200), "NOK"))
    with pytest.raises(ValueError, match="a capture already"):
        posted(captured, capture(300, cost_of_wh(200), "NOK"))
    with pytest.raises(ValueError, match="200 minor units more"):
        posted(captured, release(500, "NOK"))
    with pytest.raises(ValueError, match="500 minor units more"):
        posted(posted(book, release(500, "NOK")), release(500, "NOK"))


def test_capture_refuses_more_than_held_nothing_and_another_currency() -> None:
    with pytest.raises(ValueError, match="Cannot capture 501 of a hold of 500"):
        capture(500, cost_of_wh(501), "NOK")
    with pytest.raises(ValueError, match="release the hold"):
        capture(500, no_cost("NOK"), "NOK")
    with pytest.raises(ValueError, match="in EUR, the hold in NOK"):
        capture(500, cost_of_wh(100, "EUR"), "NOK")


def test_write_off_is_a_memo() -> None:
    assert balance(write_off(223, "NOK").entries) == {Account.WRITTEN_OFF: 223, Account.WRITTEN_OFF_CONTRA: -223}


def test_nothing_to_release_or_write_off_posts_nothing() -> None:
    assert release(0, "NOK").entries == ()
    assert write_off(0, "NOK").entries == ()


@pytest.mark.parametrize("amount", [0, -1])
def test_a_hold_is_above_zero(amount: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        hold(amount, "NOK")


def test_negative_amounts_are_refused() -> None:
    for post in (release, write_off):
        with pytest.raises(ValueError, match="cannot be negative"):
            post(-1, "NOK")


def test_several_currencies_have_no_common_balance() -> None:
    with pytest.raises(ValueError, match="EUR, NOK"):
        balance((*hold(1, "NOK").entries, *hold(1, "EUR").entries))


def test_a_settlement_at_the_station_is_a_sale_without_a_hold() -> None:
    booked = settlement(cost_of_wh(2_500))
    assert {entry.account.value: entry.amount_minor for entry in booked.entries} == {
        "station_acquirer": 2_500,
        "revenue": -2_000,
        "vat_payable": -500,
    }
    waiting = unexplained_settlement(700, "NOK")
    assert {entry.account.value: entry.amount_minor for entry in waiting.entries} == {
        "station_acquirer": 700,
        "suspense": -700,
    }
