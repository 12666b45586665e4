"""The consolidated statement: what a site owner is owed for a period, and what becomes of it. Pure.

All ways of paying together: what was sold, what was refunded, the platform's fees, licences, corrections, what was
carried. Amounts in minor units; what is in the owner's favour is positive. Closed once, never edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache

from pydantic import TypeAdapter

from billing.cost import VatLine
from billing.receipt import Issuer
from billing.terms import Period
from billing.way import Way

REFUND_OWED = "refund-owed"
_LICENCE = "licence-order:"
_PAYOUT = "payout:"
_STATEMENT = "statement:"


class EntryKind(StrEnum):
    """What a ledger entry means to a statement."""

    SALE = "sale"  # also what takes a sale back to book it anew
    REFUND = "refund"
    FEES = "fees"
    LICENCE = "licence"
    RETURNED = "returned"  # a payout that came back
    CORRECTION = "correction"  # whatever else was booked, by name
    FACILITATED = "facilitated"  # paid through the owner's own processor: never owed, but a fee is
    PAYOUT = "payout"  # pays the statement out: not part of its sum


def kind_of_entry(set_key: str, session_id: str | None) -> EntryKind:
    """What an entry on OWNER_PAYABLE is, by the key of its set."""
    if session_id is not None:
        what = set_key.removeprefix(f"{session_id}:").split(":")[0]
        if what in {"owed", REFUND_OWED}:
            return EntryKind.SALE if what == "owed" else EntryKind.REFUND
        return EntryKind.CORRECTION
    if set_key.startswith(_PAYOUT):
        return EntryKind.RETURNED
    if set_key.startswith(_LICENCE):
        return EntryKind.LICENCE
    return EntryKind.FEES if set_key.startswith(_STATEMENT) else EntryKind.CORRECTION


def payout_key(statement_id: str, what: str) -> str:
    """The key of what is booked about a statement's payout."""
    return f"{_PAYOUT}{statement_id}:{what}"


def fees_key(statement_id: str) -> str:
    """The key of a statement's fees."""
    return f"{_STATEMENT}{statement_id}:fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaySums:
    """One way of paying. ``vat``, ``refund_vat``: per rate, of what was sold and of what was refunded."""

    way: Way
    sessions: int
    gross_minor: int
    refunds: int
    refunded_minor: int
    vat: tuple[VatLine, ...]
    refund_vat: tuple[VatLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """The platform's fees, without VAT but for ``vat_minor``. A corrected session may give some back."""

    sessions: int
    fixed_minor: int
    percent_minor: int
    facilitated_sessions: int
    facilitation_minor: int
    vat_percent: Decimal
    vat_minor: int

    @property
    def net_minor(self) -> int:
        """All of them, without VAT."""
        return self.fixed_minor + self.percent_minor + self.facilitation_minor

    @property
    def total_minor(self) -> int:
        """All of them, with VAT."""
        return self.net_minor + self.vat_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Anything booked that is no session's sale or refund. ``booked``: the key of its entries in the ledger."""

    kind: EntryKind
    booked: str
    booked_at: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One owner, one currency, one period. ``statement_id`` "" and ``closed_at`` None: a preview.

    ``period_end`` is the first moment after it. ``facilitated_minor``: collected by the owner's own processor, and
    never here. Raises ``ValueError`` unless opening + all that is stated = payout + carried.
    """

    statement_id: str
    owner_id: str
    owner: Issuer
    platform: Issuer
    currency: str
    language: str
    time_zone: str
    period: Period
    period_start: datetime
    period_end: datetime
    closed_at: datetime | None
    ways: tuple[WaySums, ...]
    fees: Fees
    facilitated_minor: int
    items: tuple[Item, ...]
    opening_minor: int
    minimum_payout_minor: int
    payout_minor: int
    carried_minor: int

    def __post_init__(self) -> None:
        if self.opening_minor + self.stated_minor != self.payout_minor + self.carried_minor:
            raise ValueError(f"Statement {self.statement_id} does not add up.")

    @property
    def gross_minor(self) -> int:
        """All sales, VAT included."""
        return sum(way.gross_minor for way in self.ways)

    @property
    def refunded_minor(self) -> int:
        """All refunds, VAT included."""
        return sum(way.refunded_minor for way in self.ways)

    @property
    def stated_minor(self) -> int:
        """What the period changed: the sum of its ledger entries."""
        items = sum(item.amount_minor for item in self.items)
        return self.gross_minor - self.refunded_minor - self.fees.total_minor + items

    @property
    def balance_minor(self) -> int:
        """What is owed at the end of the period, before anything is paid out."""
        return self.opening_minor + self.stated_minor

    def items_minor(self, kind: EntryKind) -> int:
        """The sum of the items of one kind."""
        return sum(item.amount_minor for item in self.items if item.kind is kind)


def paid_out(balance_minor: int, minimum_payout_minor: int) -> int:
    """What of a balance is paid out: all, or nothing. What is not above zero, or below the minimum, is carried."""
    return balance_minor if balance_minor > 0 and balance_minor >= minimum_payout_minor else 0


@cache
def _adapter() -> TypeAdapter[Statement]:
    return TypeAdapter(Statement)


def statement_to_json(statement: Statement) -> str:
    """The statement as JSON text; `statement_from_json` gives back an equal one."""
    return _adapter().dump_json(statement).decode()


def statement_from_json(text: str) -> Statement:
    """A statement from its JSON text. Raises ``ValueError``."""
    return _adapter().validate_json(text)
