"""Reconciliation: one payment as three sides tell of it, and what differs. Pure.

Our ledger is what we claim; the provider (whose terminals take the card) and the acquirer (who pays out) are asked. A
side that has told nothing yet of a time is not held against anybody: a payment is only missing where its side has told
of everything up to a **horizon** that the payment should have reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

COMMITTED = "COMMITTED"
PAYMENT = "PAYMENT"


class Side(StrEnum):
    """Whose word differs from the ledger's."""

    PROVIDER = "provider"
    ACQUIRER = "acquirer"
    LEDGER = "ledger"  # the ledger is not done with it itself


class Kind(StrEnum):
    """What is left of a comparison."""

    UNKNOWN_AT_PROVIDER = "unknown at provider"  # captured, say our books; the provider has no such payment
    MISSING_CAPTURE = "missing capture"  # the provider took money of which our books know nothing
    OTHER_AMOUNT = "other amount"
    DOUBLED = "doubled"  # taken, or settled, twice
    LATE = "late"  # committed or settled after the time for it
    OTHER_CURRENCY = "other currency"
    UNSETTLED = "unsettled"  # captured, and the acquirer never paid it out
    SETTLED_UNKNOWN = "settled unknown"  # paid out, and nobody knows for what
    SETTLED_AFTER_LOSS = "settled after loss"  # written off as lost, and then it came
    CHARGED_BACK = "charged back"  # the acquirer took it back for the driver's bank
    IN_SUSPENSE = "in suspense"  # captured, and no bill explains it


class Part(StrEnum):
    """Which money of a payment."""

    SALE = "sale"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


class SettlementKind(StrEnum):
    """What a row of an acquirer's settlement is."""

    SALE = "sale"
    REFUND = "refund"
    FEE = "fee"  # of the contract, not of one payment
    CHARGEBACK = "chargeback"
    PAYOUT = "payout"  # a lump sum at the bank: what its parts are stands elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is let pass, and for how long a side is waited for. Set by the operator, by account where that is needed."""

    late_commit: timedelta = timedelta(hours=24)
    late_settlement: timedelta = timedelta(hours=72)
    time_window: timedelta = timedelta(minutes=10)  # around the hold: a provider's row that names no payment we know
    fee_percent: Decimal = Decimal(5)  # a settlement without a fee of its own may be lower by so much,
    fee_fixed_minor: int = 0  # and by this
    shortest_reference: int = 8  # a cut reference of so many characters still names a payment


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedPayment:
    """Our side. Amounts in minor units of ``currency``; keys as `billing.payment_links` compares them."""

    session_id: str
    currency: str
    sale_minor: int
    held_at: datetime
    due_from: datetime  # the end of the charge: from then on a capture is awaited
    captured_at: datetime | None = None
    refund_minor: int = 0
    refunded_at: datetime | None = None
    lost_minor: int = 0
    suspense_minor: int = 0
    resolved: bool = True
    terminal_serial: str = ""
    host_key: str = ""
    merchant_key: str = ""
    payment_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTransaction:
    """The provider's side. Amounts in minor units; ``committed_minor`` None: never committed."""

    transaction_id: str
    state: str
    currency: str
    terminal_serial: str = ""
    kind: str = PAYMENT
    authorised_minor: int | None = None
    committed_minor: int | None = None
    at: datetime | None = None
    committed_at: datetime | None = None
    ingested_at: datetime

    @property
    def taken_minor(self) -> int:
        """What it took from the driver."""
        return (self.committed_minor or 0) if self.state == COMMITTED and self.kind == PAYMENT else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRow:
    """The acquirer's side. ``amount_minor`` is never negative; ``fee_minor`` None: it may be net of a fee."""

    row_id: str
    kind: SettlementKind
    amount_minor: int
    currency: str
    settled_on: date
    fee_minor: int | None = None
    reference: str = ""
    keys: tuple[str, ...] = ()
    merchant_id: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Of what time the sides have told everything. None: nothing yet."""

    provider_from: datetime | None = None
    provider_until: datetime | None = None
    settled_from: date | None = None
    settled_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What differs. ``expected_minor``: ours; ``actual_minor``: theirs; None: no such thing on that side."""

    side: Side
    kind: Kind
    part: Part = Part.SALE
    expected_minor: int | None
    actual_minor: int | None
    currency: str
    actual_currency: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``final``: time alone cannot change it; only a new row, or a new entry in the ledger, can."""

    findings: tuple[Finding, ...]
    final: bool


def judge(
    payment: BookedPayment,
    provider: Sequence[ProviderTransaction],
    settled: Sequence[SettlementRow],
    horizon: Horizon,
    rules: Rules,
) -> Verdict:
    """Compare the sides of one payment. ``provider`` and ``settled`` are what was found to be it."""
    by_provider, told = _provider(payment, provider, horizon, rules)
    committed = [row.committed_at for row in provider if row.taken_minor and row.committed_at]
    paid_at = min(committed, default=payment.captured_at or payment.due_from)
    by_acquirer, settled_told = _acquirer(payment, settled, paid_at, horizon, rules)
    found = [*by_provider, *by_acquirer]
    if payment.suspense_minor:
        found.append(_ours(payment, Side.LEDGER, Kind.IN_SUSPENSE, -payment.suspense_minor))
    return Verdict(tuple(found), told and settled_told)


def judge_unlinked(row: ProviderTransaction) -> Finding | None:
    """What a provider's transaction means that is no payment of ours: money that our books do not have."""
    if not row.taken_minor:
        return None
    return Finding(
        side=Side.PROVIDER,
        kind=Kind.MISSING_CAPTURE,
        expected_minor=None,
        actual_minor=row.taken_minor,
        currency=row.currency,
        actual_currency=row.currency,
        detail=f"transaction {row.transaction_id} at terminal {row.terminal_serial or '?'} is no payment of ours",
    )


def judge_unlinked_settlement(row: SettlementRow) -> Finding | None:
    """What a settlement means that is of no payment of ours. Fees and lump sums are of none."""
    if row.kind in (SettlementKind.FEE, SettlementKind.PAYOUT):
        return None
    return Finding(
        side=Side.ACQUIRER,
        kind=Kind.SETTLED_UNKNOWN,
        part=Part(row.kind.value),
        expected_minor=None,
        actual_minor=row.amount_minor,
        currency=row.currency,
        actual_currency=row.currency,
        detail=f"settled on {row.settled_on} as {row.reference or 'nothing that is named'}",
    )


# --- the provider -----------------------------------------------------------------------------------------------------


def _provider(
    payment: BookedPayment, rows: Sequence[ProviderTransaction], horizon: Horizon, rules: Rules
) -> tuple[list[Finding], bool]:
    due = payment.due_from + rules.late_commit
    told = horizon.provider_until is None or horizon.provider_until >= due
    if not rows:
        looked = horizon.provider_until is not None and told
        looked = looked and horizon.provider_from is not None and payment.held_at >= horizon.provider_from
        if looked and payment.sale_minor:
            return [_ours(payment, Side.PROVIDER, Kind.UNKNOWN_AT_PROVIDER, None)], True
        return [], told and payment.resolved
    taken = [row for row in rows if row.taken_minor]
    found = _taken(payment, rows, taken)
    late = [row for row in taken if row.committed_at is not None and row.committed_at > due]
    if late:
        hours = (late[0].committed_at or due) - payment.due_from
        detail = f"committed {hours // timedelta(hours=1)} h after the end of the charge"
        found.append(_ours(payment, Side.PROVIDER, Kind.LATE, late[0].taken_minor, detail=detail))
    return found, payment.resolved


def _taken(
    payment: BookedPayment, rows: Sequence[ProviderTransaction], taken: Sequence[ProviderTransaction]
) -> list[Finding]:
    total = sum(row.taken_minor for row in taken)
    if len(taken) > 1:
        names = ", ".join(sorted(row.transaction_id for row in taken))[:200]
        return [_ours(payment, Side.PROVIDER, Kind.DOUBLED, total, detail=f"committed as {names}")]
    if taken and payment.sale_minor and taken[0].currency != payment.currency:
        return [_ours(payment, Side.PROVIDER, Kind.OTHER_CURRENCY, total, currency=taken[0].currency)]
    if total == payment.sale_minor:
        return []
    if not payment.sale_minor:
        if not payment.resolved:
            return []  # its capture is under way
        currency = taken[0].currency
        return [_ours(payment, Side.PROVIDER, Kind.MISSING_CAPTURE, total, expected=None, currency=currency)]
    detail = "" if taken else f"the provider has it as {rows[0].state}"
    return [_ours(payment, Side.PROVIDER, Kind.OTHER_AMOUNT, total, detail=detail)]


# --- the acquirer -----------------------------------------------------------------------------------------------------


def _acquirer(
    payment: BookedPayment, rows: Sequence[SettlementRow], paid_at: datetime, horizon: Horizon, rules: Rules
) -> tuple[list[Finding], bool]:
    of = {kind: [row for row in rows if row.kind is kind] for kind in SettlementKind}
    sales, refunds = of[SettlementKind.SALE], of[SettlementKind.REFUND]
    found, final = _settled(payment, sales, payment.sale_minor, Part.SALE, paid_at, horizon, rules)
    if sales and payment.lost_minor:
        total = sum(row.amount_minor for row in sales)
        found.append(_ours(payment, Side.ACQUIRER, Kind.SETTLED_AFTER_LOSS, total, expected=None))
    if payment.refund_minor or refunds:
        refunded_at = payment.refunded_at or paid_at
        more, told = _settled(payment, refunds, payment.refund_minor, Part.REFUND, refunded_at, horizon, rules)
        found += more
        final = final and told
    if back := of[SettlementKind.CHARGEBACK]:
        total = sum(row.amount_minor for row in back)
        currency = back[0].currency
        found.append(
            _ours(payment, Side.ACQUIRER, Kind.CHARGED_BACK, total, Part.CHARGEBACK, expected=None, currency=currency)
        )
    return found, final


def _settled(
    payment: BookedPayment,
    rows: Sequence[SettlementRow],
    expected: int,
    part: Part,
    since: datetime,
    horizon: Horizon,
    rules: Rules,
) -> tuple[list[Finding], bool]:
    due = since + rules.late_settlement
    if not rows:
        told = horizon.settled_until is None or _day(horizon.settled_until) > due
        looked = told and horizon.settled_from is not None and since >= _day(horizon.settled_from)
        if looked and expected:
            return [_ours(payment, Side.ACQUIRER, Kind.UNSETTLED, None, part, expected=expected)], True
        return [], told
    found = []
    total = sum(row.amount_minor for row in rows)
    if any(row.currency != payment.currency for row in rows):
        other = next(row.currency for row in rows if row.currency != payment.currency)
        found.append(_ours(payment, Side.ACQUIRER, Kind.OTHER_CURRENCY, total, part, expected=expected, currency=other))
    elif len(rows) > 1 and expected and all(agrees([row], expected, rules) for row in rows):
        lines = ", ".join(f"{row.settled_on}" for row in rows)[:200]
        found.append(
            _ours(payment, Side.ACQUIRER, Kind.DOUBLED, total, part, expected=expected, detail=f"settled on {lines}")
        )
    elif not agrees(rows, expected, rules):
        found.append(_ours(payment, Side.ACQUIRER, Kind.OTHER_AMOUNT, total, part, expected=expected))
    first = min(row.settled_on for row in rows)
    if _day(first) > due:
        detail = f"settled on {first}, {(_day(first) - since) // timedelta(hours=1)} h after it was taken"
        found.append(_ours(payment, Side.ACQUIRER, Kind.LATE, total, part, expected=expected, detail=detail))
    return found, True


def agrees(rows: Sequence[SettlementRow], expected: int, rules: Rules) -> bool:
    """Whether ``rows`` settle ``expected``: to the minor unit, or, where they tell no fee, less one within bounds."""
    short = expected - sum(row.amount_minor for row in rows)
    if short == 0 or any(row.fee_minor is not None for row in rows):
        return short == 0
    return 0 <= short <= expected * Fraction(rules.fee_percent) / 100 + rules.fee_fixed_minor


def _day(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


_OURS = object()


def _ours(
    payment: BookedPayment,
    side: Side,
    kind: Kind,
    actual: int | None,
    part: Part = Part.SALE,
    *,
    expected: object = _OURS,
    currency: str = "",
    detail: str = "",
) -> Finding:
    return Finding(
        side=side,
        kind=kind,
        part=part,
        expected_minor=payment.sale_minor if expected is _OURS else expected,  # type: ignore[arg-type]  # int or None
        actual_minor=actual,
        currency=payment.currency,
        actual_currency=currency or payment.currency,
        detail=detail,
    )
