"""Refunds are exact: whatever the parts, each VAT rate adds up to what was sold under it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cost import Cost, CostLine, cost_of, vat_contained
from billing.ledger import Account, balance, owed, owed_back, refund, settlement
from billing.receipt import DocumentKind
from billing.receipt_html import render_html
from billing.receipt_view import receipt_view
from billing.refund import RefundError, by_rate, part, refundable, whole
from billing.tariff import Dimension
from csms.payouts.refunds import credit_note
from tests.unit.billing.examples import receipt

RATES = (Decimal(25), Decimal(15), None)


def sale(*grosses: int) -> Cost:
    vat = [vat_contained(gross, rate) for gross, rate in zip(grosses, RATES, strict=False)]
    lines = [CostLine(Dimension.ENERGY, Decimal(1), "kWh", Decimal(1), v.vat_percent, v.gross_minor) for v in vat]
    return cost_of("NOK", lines, vat)


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=3).filter(any),
    st.lists(st.integers(1, 60_000), max_size=6),
)
def test_any_parts_and_the_rest_are_the_sale(grosses: list[int], amounts: list[int]) -> None:
    sold, back = sale(*grosses), list[Cost]()
    for amount in amounts:
        left = sum(refundable(sold, back).values())
        if amount > left:
            with pytest.raises(RefundError, match="left to refund"):
                part(sold, back, amount)
        else:
            made = part(sold, back, amount)
            assert made.total_minor == amount
            assert all(line.vat_minor >= 0 and line.net_minor >= 0 for line in made.vat)
            back.append(made)
    if any(refundable(sold, back).values()):
        back.append(whole(sold, back))
    for line in sold.vat:
        mine = [v for one in back for v in one.vat if v.vat_percent == line.vat_percent]
        assert sum(v.gross_minor for v in mine) == line.gross_minor
        assert sum(v.vat_minor for v in mine) == line.vat_minor
    entries = [e for one in (settlement(sold), owed(sold)) for e in one.entries]
    for one in back:
        entries += [*refund(Account.STATION_ACQUIRER, one).entries, *owed_back(one).entries]
    assert set(balance(entries).values()) <= {0}
    with pytest.raises(RefundError, match="nothing to refund"):
        whole(sold, back)


def test_each_rate_has_its_own_limit() -> None:
    sold = sale(1000, 500)
    assert by_rate(sold, [], {Decimal("15.0"): 500}).vat_minor == 65
    with pytest.raises(RefundError, match=r"NOK 5\.00 of this sale is left to refund\. That is at 15 % VAT"):
        by_rate(sold, [], {Decimal(15): 501})
    with pytest.raises(RefundError, match="Nothing was sold at no VAT"):
        by_rate(sold, [], {None: 1})
    with pytest.raises(RefundError, match="not negative"):
        by_rate(sold, [], {Decimal(15): -1})


def test_a_credit_note_says_what_it_credits_and_leaves_the_sale_alone() -> None:
    sold = receipt()
    note = credit_note(sold, part(sold.cost, [], 5000), "n" * 32).issued("124", sold.ended_at)
    assert (note.kind, note.refers_to, note.charged_minor) == (DocumentKind.CREDIT_NOTE, sold.number, 5000)
    assert note.url == "https://charge.example/r/" + "n" * 32
    view = receipt_view(note, "nb")
    assert view.title == "Kreditnota"
    assert [line.label for line in view.lines] == ["Tilbakebetalt"]
    assert ("Gjelder kvittering", "2026-000123") in view.document_rows
    assert "Credit note" in render_html(note, "en", links={})
