"""One payment and what three sides say of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.payment_links import Rule, link_settlement, link_transaction, normal_reference
from billing.reconciliation import (
    BookedPayment,
    Finding,
    Horizon,
    Kind,
    Part,
    ProviderTransaction,
    Rules,
    SettlementKind,
    SettlementRow,
    Side,
    judge,
    judge_unlinked,
    judge_unlinked_settlement,
)

T0 = datetime(2026, 3, 10, 12, tzinfo=UTC)
RULES = Rules()
PAYMENT = BookedPayment(
    session_id="S1",
    currency="NOK",
    sale_minor=10_000,
    held_at=T0,
    due_from=T0 + timedelta(hours=1),
    captured_at=T0 + timedelta(hours=1),
    terminal_serial="P1",
    host_key="H00AB12CD34EF",
    merchant_key="M9F8E7D6C5B4",
)
TAKEN = ProviderTransaction(
    transaction_id="P-1",
    state="COMMITTED",
    currency="NOK",
    terminal_serial="P1",
    authorised_minor=60_000,
    committed_minor=10_000,
    at=T0,
    committed_at=T0 + timedelta(hours=1),
    ingested_at=T0 + timedelta(hours=1, minutes=2),
)
SETTLED = SettlementRow(
    row_id="R1",
    kind=SettlementKind.SALE,
    amount_minor=10_000,
    currency="NOK",
    settled_on=date(2026, 3, 11),
    fee_minor=150,
    reference="H00AB12CD34EF",
    keys=("H00AB12CD34EF",),
)
LONG_AFTER = Horizon(
    provider_from=T0 - timedelta(days=1),
    provider_until=T0 + timedelta(days=30),
    settled_from=date(2026, 3, 1),
    settled_until=date(2026, 3, 31),
)
NOTHING_YET = Horizon()


def found(
    payment: BookedPayment = PAYMENT,
    provider: tuple[ProviderTransaction, ...] = (TAKEN,),
    settled: tuple[SettlementRow, ...] = (SETTLED,),
    horizon: Horizon = LONG_AFTER,
    rules: Rules = RULES,
) -> list[tuple[Side, Kind, Part, int | None, int | None]]:
    verdict = judge(payment, provider, settled, horizon, rules)
    return [(f.side, f.kind, f.part, f.expected_minor, f.actual_minor) for f in verdict.findings]


def test_three_sides_that_agree_leave_nothing() -> None:
    verdict = judge(PAYMENT, (TAKEN,), (SETTLED,), LONG_AFTER, RULES)
    assert verdict.findings == ()
    assert verdict.final


def test_a_side_that_has_told_nothing_is_held_against_nobody() -> None:
    verdict = judge(PAYMENT, (), (), NOTHING_YET, RULES)
    assert verdict.findings == ()
    assert verdict.final


@pytest.mark.parametrize(
    ("until", "expected", "final"),
    [(timedelta(hours=24, minutes=59), [], False), (timedelta(hours=25), [Kind.UNKNOWN_AT_PROVIDER], True)],
)
def test_a_payment_is_unknown_once_the_provider_was_read_beyond_its_window(
    until: timedelta, expected: list[Kind], final: bool
) -> None:
    horizon = replace(LONG_AFTER, provider_until=T0 + until)
    verdict = judge(PAYMENT, (), (SETTLED,), horizon, RULES)
    assert [each.kind for each in verdict.findings] == expected
    assert verdict.final is final


def test_a_payment_from_before_the_provider_was_read_is_not_missed() -> None:
    assert found(provider=(), horizon=replace(LONG_AFTER, provider_from=T0 + timedelta(seconds=1))) == []


@pytest.mark.parametrize(
    ("row", "kind", "actual"),
    [
        (replace(TAKEN, committed_minor=9_999), Kind.OTHER_AMOUNT, 9_999),
        (replace(TAKEN, committed_minor=10_001), Kind.OTHER_AMOUNT, 10_001),
        (replace(TAKEN, state="CANCELLED", committed_minor=None), Kind.OTHER_AMOUNT, 0),
        (replace(TAKEN, state="FAILED", committed_minor=10_000), Kind.OTHER_AMOUNT, 0),
        (replace(TAKEN, currency="SEK"), Kind.OTHER_CURRENCY, 10_000),
        (replace(TAKEN, committed_at=T0 + timedelta(hours=26)), Kind.LATE, 10_000),
    ],
)
def test_what_the_provider_says_otherwise(row: ProviderTransaction, kind: Kind, actual: int) -> None:
    assert found(provider=(row,)) == [(Side.PROVIDER, kind, Part.SALE, 10_000, actual)]


def test_a_payment_that_was_committed_twice() -> None:
    twin = replace(TAKEN, transaction_id="P-2")
    assert found(provider=(TAKEN, twin)) == [(Side.PROVIDER, Kind.DOUBLED, Part.SALE, 10_000, 20_000)]


def test_money_that_the_provider_took_for_a_payment_we_gave_up() -> None:
    released = replace(PAYMENT, sale_minor=0, captured_at=None)
    assert found(released, settled=()) == [(Side.PROVIDER, Kind.MISSING_CAPTURE, Part.SALE, None, 10_000)]
    under_way = replace(released, resolved=False)
    assert found(under_way, settled=()) == []


@pytest.mark.parametrize(
    ("rows", "kind", "actual"),
    [
        ((), Kind.UNSETTLED, None),
        (
            (replace(SETTLED, amount_minor=9_700),),
            Kind.OTHER_AMOUNT,
            9_700,
        ),  # its fee is told already
        ((replace(SETTLED, amount_minor=9_499, fee_minor=None),), Kind.OTHER_AMOUNT, 9_499),
        ((replace(SETTLED, amount_minor=10_001, fee_minor=None),), Kind.OTHER_AMOUNT, 10_001),
        ((SETTLED, replace(SETTLED, row_id="R2")), Kind.DOUBLED, 20_000),
        ((replace(SETTLED, currency="SEK"),), Kind.OTHER_CURRENCY, 10_000),
        ((replace(SETTLED, settled_on=date(2026, 3, 14)),), Kind.LATE, 10_000),
    ],
)
def test_what_the_acquirer_says_otherwise(rows: tuple[SettlementRow, ...], kind: Kind, actual: int | None) -> None:
    assert found(settled=rows) == [(Side.ACQUIRER, kind, Part.SALE, 10_000, actual)]


@pytest.mark.parametrize(
    "rows",
    [
        (replace(SETTLED, amount_minor=9_500, fee_minor=None),),
        (replace(SETTLED, settled_on=date(2026, 3, 13)),),
        (replace(SETTLED, amount_minor=4_000), replace(SETTLED, amount_minor=6_000, row_id="R2")),
    ],
    ids=["net of its fee", "within 72 hours", "in two parts"],
)
def test_what_is_let_pass(rows: tuple[SettlementRow, ...]) -> None:
    assert found(settled=rows) == []


def test_a_settlement_counts_from_a_late_commit() -> None:
    late = replace(TAKEN, committed_at=T0 + timedelta(hours=30))
    row = replace(SETTLED, settled_on=date(2026, 3, 14))
    assert [(side, kind) for side, kind, *_ in found(provider=(late,), settled=(row,))] == [(Side.PROVIDER, Kind.LATE)]


def test_refunds_are_awaited_too() -> None:
    refunded = replace(PAYMENT, refund_minor=2_500, refunded_at=T0 + timedelta(days=2))
    row = replace(SETTLED, row_id="R2", kind=SettlementKind.REFUND, amount_minor=2_500, fee_minor=None)
    row = replace(row, settled_on=date(2026, 3, 13))
    assert found(refunded, settled=(SETTLED, row)) == []
    assert found(refunded) == [(Side.ACQUIRER, Kind.UNSETTLED, Part.REFUND, 2_500, None)]
    assert found(settled=(SETTLED, row)) == [(Side.ACQUIRER, Kind.OTHER_AMOUNT, Part.REFUND, 0, 2_500)]


def test_a_chargeback_and_money_in_suspense_are_found_beside_a_good_sale() -> None:
    back = replace(SETTLED, row_id="R2", kind=SettlementKind.CHARGEBACK)
    assert found(settled=(SETTLED, back)) == [(Side.ACQUIRER, Kind.CHARGED_BACK, Part.CHARGEBACK, None, 10_000)]
    assert found(replace(PAYMENT, suspense_minor=700)) == [(Side.LEDGER, Kind.IN_SUSPENSE, Part.SALE, 10_000, -700)]


def test_what_was_written_off_as_lost_and_then_came() -> None:
    lost = replace(PAYMENT, lost_minor=10_000)
    assert found(lost) == [(Side.ACQUIRER, Kind.SETTLED_AFTER_LOSS, Part.SALE, None, 10_000)]


def test_rows_of_no_payment_of_ours() -> None:
    stranger = judge_unlinked(TAKEN)
    assert stranger is not None
    assert (stranger.kind, stranger.expected_minor, stranger.actual_minor) == (Kind.MISSING_CAPTURE, None, 10_000)
    assert judge_unlinked(replace(TAKEN, state="DECLINED")) is None
    unknown = judge_unlinked_settlement(SETTLED)
    assert isinstance(unknown, Finding)
    assert unknown.kind is Kind.SETTLED_UNKNOWN
    assert judge_unlinked_settlement(replace(SETTLED, kind=SettlementKind.FEE)) is None
    assert judge_unlinked_settlement(replace(SETTLED, kind=SettlementKind.PAYOUT)) is None


# --- which payment a row is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("h00ab12cd34ef", "H00AB12CD34EF"),
        (" 000H00-AB12 CD34.EF ", "H00AB12CD34EF"),
        ("000", ""),
        ("************1111", ""),
        ("ÆØÅ-12", "12"),
    ],
)
def test_how_references_are_compared(written: str, compared: str) -> None:
    assert normal_reference(written) == compared


def test_a_reference_decides_first() -> None:
    other = replace(PAYMENT, session_id="S2", host_key="H99")
    assert link_settlement(SETTLED, (PAYMENT,), (other,), RULES) == (PAYMENT, Rule.REFERENCE)
    assert link_settlement(SETTLED, (PAYMENT, other), (), RULES) is None  # two payments: nobody guesses


@pytest.mark.parametrize(
    ("keys", "changes", "rule"),
    [
        (("H00AB12C",), {}, Rule.CUT_REFERENCE),
        (("12CD34EF",), {}, Rule.CUT_REFERENCE),
        (("H00AB12CD34EFXYZ",), {}, Rule.CUT_REFERENCE),
        (("H00AB12",), {}, None),  # too short to be believed
        (("X00AB12CD",), {}, None),
        (("H00AB12C",), {"amount_minor": 12_000}, None),
        ((), {}, Rule.AMOUNT_TIME),
        ((), {"amount_minor": 9_990}, None),
        ((), {"settled_on": date(2026, 3, 14)}, None),
        ((), {"settled_on": date(2026, 3, 9)}, None),
        ((), {"currency": "SEK"}, None),
        ((), {"kind": SettlementKind.REFUND}, None),
    ],
)
def test_then_the_tolerance_rules(keys: tuple[str, ...], changes: dict[str, Any], rule: Rule | None) -> None:
    row = replace(SETTLED, keys=keys, **changes)
    linked = link_settlement(row, (), (PAYMENT,), RULES)
    assert linked == (None if rule is None else (PAYMENT, rule))
    twin = replace(PAYMENT, session_id="S2")
    assert link_settlement(row, (), (PAYMENT, twin), RULES) is None  # between two nobody guesses


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"at": T0 + timedelta(minutes=10)}, True),
        ({"at": T0 + timedelta(minutes=11)}, False),
        ({"at": None}, False),
        ({"terminal_serial": "P2"}, False),
        ({"committed_minor": 9_999}, False),
        ({"currency": "SEK"}, False),
        ({"state": "CANCELLED"}, False),
    ],
)
def test_a_transaction_that_names_nothing_is_known_by_terminal_time_and_amount(
    changes: dict[str, Any], fits: bool
) -> None:
    row = replace(TAKEN, transaction_id="other", **changes)
    assert link_transaction(row, (PAYMENT,), RULES) == (PAYMENT if fits else None)


def test_the_rules_are_data() -> None:
    strict = replace(RULES, fee_percent=Decimal(0))
    net = replace(SETTLED, amount_minor=9_900, fee_minor=None)
    assert found(settled=(net,)) == []
    assert [kind for _, kind, *_ in found(settled=(net,), rules=strict)] == [Kind.OTHER_AMOUNT]
    fixed = replace(strict, fee_fixed_minor=100)
    assert found(settled=(net,), rules=fixed) == []
