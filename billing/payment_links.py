"""Which payment a provider's transaction or an acquirer's row is: by its reference first, then by tolerance. Pure.

A tolerance rule decides only where exactly one payment fits; between two nobody guesses, and the row stays unlinked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from billing.pan import redact_pans
from billing.reconciliation import BookedPayment, ProviderTransaction, Rules, SettlementKind, SettlementRow, agrees

LONGEST = 64


class Rule(StrEnum):
    """By what a row was found to be a payment."""

    REFERENCE = "reference"  # the same, but for case, signs and leading zeros
    CUT_REFERENCE = "cut reference"  # a part of it, and amount and time fit
    TERMINAL_TIME = "terminal and time"  # no reference of ours: the terminal, the time and the amount fit
    AMOUNT_TIME = "amount and time"  # no reference at all: amount and time fit


def kept_reference(text: str) -> str:
    """A reference as it may be stored: without a card number in it, at most 64 characters."""
    return redact_pans(text.strip())[:LONGEST]


def normal_reference(text: str) -> str:
    """A reference as it is compared: capitals and digits only, no leading zeros. "" for none, and for a masked one."""
    if "*" in text:
        return ""
    return re.sub(r"[^A-Z0-9]", "", text.upper()).lstrip("0")[:LONGEST]


def normal_references(texts: Iterable[str]) -> tuple[str, ...]:
    """The different ones, in order."""
    return tuple(dict.fromkeys(key for text in texts if (key := normal_reference(text))))


def link_transaction(
    row: ProviderTransaction, candidates: Sequence[BookedPayment], rules: Rules
) -> BookedPayment | None:
    """The payment that ``row`` is although it names none of ours: same terminal, same time, same amount.

    ``candidates``: payments at its terminal. One that has a transaction already may be it too: taken twice.
    """
    if row.at is None or not row.taken_minor:
        return None
    fits = [
        each
        for each in candidates
        if each.terminal_serial == row.terminal_serial
        and abs(each.held_at - row.at) <= rules.time_window
        and (each.sale_minor, each.currency) == (row.taken_minor, row.currency)
    ]
    return fits[0] if len(fits) == 1 else None


def link_settlement(
    row: SettlementRow, named: Sequence[BookedPayment], candidates: Sequence[BookedPayment], rules: Rules
) -> tuple[BookedPayment, Rule] | None:
    """The payment that ``row`` settles, and by which rule.

    ``named``: payments with one of its references. ``candidates``: payments without a settlement, of about its amount.
    """
    by_id = {each.session_id: each for each in named}
    if len(by_id) == 1:
        return next(iter(by_id.values())), Rule.REFERENCE
    if by_id or row.kind is not SettlementKind.SALE:
        return None
    fits = {each.session_id: each for each in candidates if _amount_and_time_fit(row, each, rules)}
    if row.keys:
        cut = [each for each in fits.values() if _is_cut(row.keys, each, rules)]
        return (cut[0], Rule.CUT_REFERENCE) if len(cut) == 1 else None
    exact = [each for each in fits.values() if each.sale_minor == row.amount_minor]
    return (exact[0], Rule.AMOUNT_TIME) if len(exact) == 1 else None


def _amount_and_time_fit(row: SettlementRow, payment: BookedPayment, rules: Rules) -> bool:
    """Settled after it was taken and in time, for its amount or for what a fee left of it."""
    taken = payment.captured_at or payment.due_from
    first, last = datetime.combine(row.settled_on, time(), tzinfo=UTC), row.settled_on + timedelta(days=1)
    in_time = first - rules.late_settlement <= taken < datetime.combine(last, time(), tzinfo=UTC)
    return in_time and row.currency == payment.currency and agrees([row], payment.sale_minor, rules)


def _is_cut(keys: Sequence[str], payment: BookedPayment, rules: Rules) -> bool:
    """Whether one of the references begins or ends one of the payment's, or the other way round."""
    mine = [key for key in (payment.host_key, payment.merchant_key, payment.payment_key) if key]
    return any(
        min(len(theirs), len(ours)) >= rules.shortest_reference
        and (ours.startswith(theirs) or ours.endswith(theirs) or theirs.startswith(ours) or theirs.endswith(ours))
        for theirs in keys
        for ours in mine
    )
