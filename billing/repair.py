"""Repair of money: what a remedy would write into the ledger. Pure; nothing is ever edited.

A proposal is made from what the books hold now and from what they should hold: the difference is what is written. Who
carries it is the remedy's: *correct* lets the books say what really happened (with it, what the owner is owed); *loss*
leaves sale and owner alone, and the one who carries the collection risk bears it; *suspense* parks the money until
somebody knows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing.cost import Cost, cap_cost, no_cost
from billing.ledger import Account, Entry, EntrySet, Kind
from billing.reconciliation import Finding, Part, Side
from billing.reconciliation import Kind as Difference

#: What a sale moves beside the receivable; holds and refunds are other sets, and stay as they are.
_OF_A_SALE = (Account.REVENUE, Account.VAT_PAYABLE, Account.SUSPENSE, Account.WRITTEN_OFF, Account.WRITTEN_OFF_CONTRA)
_OF_THE_OWNER = (Account.OWNER_SHARE, Account.INPUT_VAT, Account.OWNER_PAYABLE)


class Remedy(StrEnum):
    """How a discrepancy is mended."""

    CORRECT = "correct"
    LOSS = "loss"
    SUSPENSE = "suspense"


class NoRemedyError(ValueError):
    """This remedy does not mend that; the text says why, and what does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the ledger holds of a session, by account, without its refunds; and what it was to cost.

    ``cost``: the session's, None where it was never priced; ``delivered_minor``: before it was cut to what was taken.
    ``owed``: whether what is taken is the owner's to have.
    """

    currency: str
    sums: Mapping[Account, int]
    cost: Cost | None = None
    delivered_minor: int = 0
    owed: bool = False
    resolved: bool = True

    @property
    def taken_minor(self) -> int:
        """What the books say was captured."""
        return self.sums.get(Account.ACQUIRER, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a remedy would write, in the order in which it is written. ``digest``: of exactly this."""

    remedy: Remedy
    says: str
    sets: tuple[EntrySet, ...]
    digest: str


def remedies(finding: Finding) -> tuple[Remedy, ...]:
    """Which remedies there are; none: explain it, or wait."""
    match finding.side, finding.kind:
        case Side.PROVIDER, Difference.UNKNOWN_AT_PROVIDER:
            return (Remedy.CORRECT, Remedy.LOSS, Remedy.SUSPENSE)
        case Side.PROVIDER, Difference.MISSING_CAPTURE | Difference.DOUBLED | Difference.OTHER_CURRENCY:
            return (Remedy.CORRECT, Remedy.SUSPENSE)
        case Side.PROVIDER, Difference.OTHER_AMOUNT:
            short = (finding.actual_minor or 0) < (finding.expected_minor or 0)
            return (Remedy.CORRECT, Remedy.LOSS, Remedy.SUSPENSE) if short else (Remedy.CORRECT, Remedy.SUSPENSE)
        case Side.ACQUIRER, Difference.UNSETTLED | Difference.CHARGED_BACK:
            return (Remedy.LOSS, Remedy.SUSPENSE)
        case Side.ACQUIRER, Difference.OTHER_AMOUNT:
            return (Remedy.LOSS, Remedy.SUSPENSE)
        case Side.ACQUIRER, Difference.DOUBLED | Difference.SETTLED_UNKNOWN:
            return (Remedy.SUSPENSE,)
        case Side.ACQUIRER, Difference.SETTLED_AFTER_LOSS:
            return (Remedy.LOSS, Remedy.SUSPENSE)
        case Side.LEDGER, Difference.IN_SUSPENSE:
            return (Remedy.CORRECT,)
    return ()


def propose(remedy: Remedy, finding: Finding, books: Books | None) -> Proposal:
    """What ``remedy`` would write. ``books``: the session's, None where no session is known.

    Raises `NoRemedyError`: it does not fit the finding, the session is not over, or there would be nothing to write.
    """
    if remedy not in remedies(finding):
        others = ", ".join(remedies(finding)) or "an explanation, or the next settlement"
        raise NoRemedyError(f"{remedy} does not mend {finding.kind!r}: {others} does.")
    if books is not None and not books.resolved:
        raise NoRemedyError("The session's payment is still under way: wait until its capture or release is known.")
    says, sets = _sets(remedy, finding, books)
    sets = tuple(entry_set for entry_set in sets if entry_set.entries)
    if not sets:
        raise NoRemedyError("The books say already what this would write: there is nothing to repair.")
    written = "|".join(f"{e.account}:{e.amount_minor}:{e.currency}" for each in sets for e in (*each.entries,))
    held = "|".join(f"{account}:{amount}" for account, amount in sorted(books.sums.items()) if amount) if books else ""
    digest = hashlib.sha256(f"{remedy}|{written}|{held}".encode()).hexdigest()[:16]
    return Proposal(remedy=remedy, says=says, sets=sets, digest=digest)


def _sets(remedy: Remedy, finding: Finding, books: Books | None) -> tuple[str, tuple[EntrySet, ...]]:
    if finding.side is Side.ACQUIRER:
        return _acquirer(remedy, finding)
    if books is None or remedy is Remedy.SUSPENSE:
        amount = _surplus(finding)
        says = "what was taken is booked, and waits in suspense for whoever knows what it was for"
        if amount < 0:
            says = "what was booked and never taken is parked in suspense; the sale stays until somebody decides"
        return says, _moved(Account.ACQUIRER, Account.SUSPENSE, amount, finding)
    if remedy is Remedy.LOSS:
        short = (finding.expected_minor or 0) - (finding.actual_minor or 0)
        says = "the sale stays, and with it what the owner is owed; what was never taken is a loss"
        return says, _moved(Account.COLLECTION_LOSS, Account.ACQUIRER, short, finding)
    if finding.kind is Difference.OTHER_CURRENCY:
        gone = _difference(books, _target(books, 0))
        taken = Entry(Account.ACQUIRER, finding.actual_minor or 0, finding.actual_currency)
        parked = Entry(Account.SUSPENSE, -(finding.actual_minor or 0), finding.actual_currency)
        says = "the sale is taken back in its currency; what was taken in the other waits in suspense"
        return says, (*gone, EntrySet(Kind.REPAIR, (taken, parked)))
    taken_minor = books.taken_minor if finding.kind is Difference.IN_SUSPENSE else finding.actual_minor or 0
    says = "the books say what was taken: the sale as far as the session's bill explains it, the rest in suspense"
    return says, _difference(books, _target(books, taken_minor))


def _acquirer(remedy: Remedy, finding: Finding) -> tuple[str, tuple[EntrySet, ...]]:
    """What is left of the acquirer's receivable is moved away: the sale, and the owner, are not touched."""
    expected, actual = finding.expected_minor or 0, finding.actual_minor or 0
    # Booked as settled, a refund and a chargeback raise the receivable again.
    left = {Part.SALE: expected - actual, Part.REFUND: actual - expected, Part.CHARGEBACK: actual}[finding.part]
    if remedy is Remedy.SUSPENSE:
        says = "what was settled beyond the books, or short of them, waits in suspense"
        return says, _moved(Account.SUSPENSE, Account.ACQUIRER, left, finding)
    says = "what the acquirer never settles is a loss: whoever carries the collection risk bears it"
    if left < 0:
        says = "it was settled after all: the loss is taken back"
    return says, _moved(Account.COLLECTION_LOSS, Account.ACQUIRER, left, finding)


def _surplus(finding: Finding) -> int:
    """What was taken beyond what is booked; below zero: what is booked and was not taken."""
    return (finding.actual_minor or 0) - (finding.expected_minor or 0)


def _moved(debit: Account, credit: Account, amount: int, finding: Finding) -> tuple[EntrySet, ...]:
    currency = finding.currency
    entries = (Entry(debit, amount, currency), Entry(credit, -amount, currency)) if amount else ()
    return (EntrySet(Kind.REPAIR, entries),)


def _target(books: Books, taken_minor: int) -> dict[Account, int]:
    """What the books of a session hold whose provider took ``taken_minor``: never more than the bill explains."""
    cost = books.cost or no_cost(books.currency)
    billed, _ = cap_cost(cost, taken_minor)
    beyond = max(books.delivered_minor, billed.total_minor) - billed.total_minor
    target = {
        Account.ACQUIRER: taken_minor,
        Account.REVENUE: -billed.net_minor,
        Account.VAT_PAYABLE: -billed.vat_minor,
        Account.SUSPENSE: billed.total_minor - taken_minor,
        Account.WRITTEN_OFF: beyond,
        Account.WRITTEN_OFF_CONTRA: -beyond,
    }
    share = billed if books.owed else no_cost(books.currency)
    return target | {
        Account.OWNER_SHARE: share.net_minor,
        Account.INPUT_VAT: share.vat_minor,
        Account.OWNER_PAYABLE: -share.total_minor,
    }


def _difference(books: Books, target: Mapping[Account, int]) -> tuple[EntrySet, ...]:
    """What brings the books to the target: the sale, and, as a set of its own, what the owner is owed."""

    def entries(accounts: Iterable[Account]) -> tuple[Entry, ...]:
        changes = {account: target[account] - books.sums.get(account, 0) for account in accounts}
        return tuple(Entry(account, change, books.currency) for account, change in changes.items() if change)

    sale = EntrySet(Kind.REPAIR, entries((Account.ACQUIRER, *_OF_A_SALE)))
    return sale, EntrySet(Kind.OWED, entries(_OF_THE_OWNER))


def sums_of(entries: Iterable[Entry]) -> dict[Account, int]:
    """What stands on each account of a sale, in minor units; entries of one currency."""
    sums: dict[Account, int] = defaultdict(int)
    for entry in entries:
        if entry.account in (Account.ACQUIRER, *_OF_A_SALE, *_OF_THE_OWNER):
            sums[entry.account] += entry.amount_minor
    return dict(sums)


def fee_kept_back(amount_minor: int, currency: str) -> EntrySet:
    """What an acquirer settled less than was captured, and is taken for its fee."""
    fee, receivable = (
        Entry(Account.ACQUIRER_FEES, amount_minor, currency),
        Entry(Account.ACQUIRER, -amount_minor, currency),
    )
    return EntrySet(Kind.ACQUIRER_SETTLEMENT, (fee, receivable))
