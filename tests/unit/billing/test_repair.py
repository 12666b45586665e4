"""What a repair would write: the books brought to what happened, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing import ledger
from billing.cost import cap_cost
from billing.ledger import Account, Entry, balance
from billing.reconciliation import Finding, Kind, Part, Side
from billing.repair import Books, NoRemedyError, Remedy, propose, remedies, sums_of
from tests.month.payments import priced

COST = priced(10_000, "NOK")
SOLD = [*ledger.capture(60_000, COST, "NOK").entries, *ledger.owed(COST).entries]
BOOKS = Books(currency="NOK", sums=sums_of(SOLD), cost=COST, delivered_minor=10_000, owed=True)
FINDING = Finding(
    side=Side.PROVIDER,
    kind=Kind.OTHER_AMOUNT,
    expected_minor=10_000,
    actual_minor=8_000,
    currency="NOK",
    actual_currency="NOK",
)


def after(books: Books, remedy: Remedy, finding: Finding) -> dict[Account, int]:
    """What stands on each account when the proposal has been written, zeros left out."""
    before = [Entry(account, amount, "NOK") for account, amount in books.sums.items()]
    written = [entry for each in propose(remedy, finding, books).sets for entry in each.entries]
    return {account: amount for account, amount in balance([*before, *written]).items() if amount}


def sold(amount: int, delivered: int = 10_000) -> dict[Account, int]:
    """The books of a sale of ``amount`` of a charge that was worth ``delivered``."""
    billed, _ = cap_cost(COST, amount)
    beyond = delivered - amount
    entries = [
        Entry(Account.ACQUIRER, amount, "NOK"),
        Entry(Account.REVENUE, -billed.net_minor, "NOK"),
        Entry(Account.VAT_PAYABLE, -billed.vat_minor, "NOK"),
        *ledger.owed(billed).entries,
        *ledger.write_off(beyond, "NOK").entries,
    ]
    return {account: amount for account, amount in balance(entries).items() if amount}


def test_less_was_taken_than_booked() -> None:
    assert after(BOOKS, Remedy.CORRECT, FINDING) == sold(8_000)


def test_nothing_was_taken() -> None:
    unknown = replace(FINDING, kind=Kind.UNKNOWN_AT_PROVIDER, actual_minor=None)
    memo = {Account.WRITTEN_OFF: 10_000, Account.WRITTEN_OFF_CONTRA: -10_000}
    assert after(BOOKS, Remedy.CORRECT, unknown) == memo


def test_more_was_taken_than_the_bill_explains() -> None:
    more = after(BOOKS, Remedy.CORRECT, replace(FINDING, actual_minor=12_000))
    assert more == sold(10_000) | {Account.ACQUIRER: 12_000, Account.SUSPENSE: -2_000}
    twice = after(BOOKS, Remedy.CORRECT, replace(FINDING, kind=Kind.DOUBLED, actual_minor=20_000))
    assert twice == sold(10_000) | {Account.ACQUIRER: 20_000, Account.SUSPENSE: -10_000}


def test_a_capture_that_the_books_had_written_off() -> None:
    lost = Books(
        currency="NOK",
        sums=sums_of(ledger.write_off(10_000, "NOK").entries),
        cost=COST,
        delivered_minor=10_000,
        owed=True,
    )
    missing = replace(FINDING, kind=Kind.MISSING_CAPTURE, expected_minor=None, actual_minor=10_000)
    assert after(lost, Remedy.CORRECT, missing) == sold(10_000)
    assert after(lost, Remedy.CORRECT, replace(missing, actual_minor=9_000)) == sold(9_000)


def test_a_capture_after_the_write_off_comes_out_of_suspense() -> None:
    entries = [*ledger.write_off(10_000, "NOK").entries, *ledger.unexplained(10_000, 0, "NOK").entries]
    parked = Books(currency="NOK", sums=sums_of(entries), cost=COST, delivered_minor=10_000, owed=True)
    waiting = replace(FINDING, side=Side.LEDGER, kind=Kind.IN_SUSPENSE, actual_minor=-10_000)
    assert after(parked, Remedy.CORRECT, waiting) == sold(10_000)


def test_a_capture_that_no_bill_explains_waits_in_suspense() -> None:
    released = Books(currency="NOK", sums={}, cost=None)
    missing = replace(FINDING, kind=Kind.MISSING_CAPTURE, expected_minor=None, actual_minor=700)
    assert after(released, Remedy.CORRECT, missing) == {Account.ACQUIRER: 700, Account.SUSPENSE: -700}
    nobody = propose(Remedy.CORRECT, missing, None)
    assert [entry.amount_minor for entry in nobody.sets[0].entries] == [700, -700]


def test_a_loss_leaves_the_sale_and_the_owner_alone() -> None:
    written = propose(Remedy.LOSS, FINDING, BOOKS).sets
    assert [(e.account, e.amount_minor) for e in written[0].entries] == [
        (Account.COLLECTION_LOSS, 2_000),
        (Account.ACQUIRER, -2_000),
    ]
    assert len(written) == 1


@pytest.mark.parametrize(
    ("kind", "part", "expected", "actual", "left"),
    [
        (Kind.UNSETTLED, Part.SALE, 10_000, None, 10_000),
        (Kind.OTHER_AMOUNT, Part.SALE, 10_000, 7_000, 3_000),
        (Kind.DOUBLED, Part.SALE, 10_000, 20_000, -10_000),
        (Kind.SETTLED_UNKNOWN, Part.SALE, None, 500, -500),
        (Kind.UNSETTLED, Part.REFUND, 2_000, None, -2_000),
        (Kind.CHARGED_BACK, Part.CHARGEBACK, None, 10_000, 10_000),
        (Kind.SETTLED_AFTER_LOSS, Part.SALE, None, 10_000, -10_000),
    ],
)
def test_the_acquirers_receivable_ends_at_nothing(
    kind: Kind, part: Part, expected: int | None, actual: int | None, left: int
) -> None:
    finding = replace(FINDING, side=Side.ACQUIRER, kind=kind, part=part, expected_minor=expected, actual_minor=actual)
    sale = {Part.SALE: expected or 0, Part.REFUND: -(expected or 0), Part.CHARGEBACK: 0}[part]
    settled = {Part.SALE: -(actual or 0), Part.REFUND: actual or 0, Part.CHARGEBACK: actual or 0}[part]
    assert sale + settled == left
    for remedy in remedies(finding):
        (written,) = propose(remedy, finding, BOOKS).sets
        moved = {entry.account: entry.amount_minor for entry in written.entries}
        assert left + moved[Account.ACQUIRER] == 0
        other = Account.COLLECTION_LOSS if remedy is Remedy.LOSS else Account.SUSPENSE
        assert moved[other] == left


def test_another_currency_is_taken_back_and_parked() -> None:
    other = replace(FINDING, kind=Kind.OTHER_CURRENCY, actual_minor=9_000, actual_currency="SEK")
    entries = [entry for each in propose(Remedy.CORRECT, other, BOOKS).sets for entry in each.entries]
    assert {e.account: e.amount_minor for e in entries if e.currency == "SEK"} == {
        Account.ACQUIRER: 9_000,
        Account.SUSPENSE: -9_000,
    }
    assert sum(e.amount_minor for e in entries if e.account is Account.ACQUIRER and e.currency == "NOK") == -10_000


def test_what_cannot_be_mended_says_so() -> None:
    with pytest.raises(NoRemedyError, match="explanation"):
        propose(Remedy.CORRECT, replace(FINDING, kind=Kind.LATE), BOOKS)
    with pytest.raises(NoRemedyError, match="under way"):
        propose(Remedy.CORRECT, FINDING, replace(BOOKS, resolved=False))
    with pytest.raises(NoRemedyError, match="already"):
        propose(Remedy.CORRECT, replace(FINDING, actual_minor=10_000), BOOKS)


def test_a_digest_names_one_proposal_made_from_one_state_of_the_books() -> None:
    one = propose(Remedy.CORRECT, FINDING, BOOKS).digest
    assert propose(Remedy.CORRECT, FINDING, BOOKS).digest == one
    assert propose(Remedy.LOSS, FINDING, BOOKS).digest != one
    changed = replace(BOOKS, sums={**BOOKS.sums, Account.ACQUIRER: 9_000, Account.SUSPENSE: 1_000})
    assert propose(Remedy.CORRECT, FINDING, changed).digest != one
