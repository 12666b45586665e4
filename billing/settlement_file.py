"""An acquirer's settlement as a file told it: rows that are taken, and rows that are refused with their reason. Pure.

Reasons never repeat what stood in the file: it may hold anything.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from billing.money import exponent
from billing.payment_links import kept_reference, normal_references
from billing.reconciliation import SettlementKind, SettlementRow

AMOUNT_LIMIT = 10**12  # minor units; a larger figure is not money that an acquirer settles in a row
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2200, 1, 1)


class UnreadableFileError(ValueError):
    """The file is none of this format; the text says what was expected."""


class RowRefused(ValueError):
    """A row cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """``line``: the row's number in the file, from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SettlementFile:
    """What a file tells. ``settled_from``/``settled_until``: the days it tells everything of; None: of none."""

    rows: tuple[SettlementRow, ...]
    refused: tuple[RefusedRow, ...]
    settled_from: date | None
    settled_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One row as it was read. ``own_id``: the acquirer's number of it, "" for none."""

    line: int
    kind: SettlementKind
    amount_minor: int
    currency: str
    settled_on: date
    fee_minor: int | None = None
    references: Sequence[str] = ()
    merchant_id: str = ""
    own_id: str = ""


def checked(said: Said, merchant_id: str) -> SettlementRow:
    """A row of ours, its id still open. Raises `RowRefused`. ``merchant_id``: whose file it is, "" for anybody's."""
    if not 0 <= said.amount_minor <= AMOUNT_LIMIT:
        raise RowRefused("the amount is no amount that is settled in one row")
    if said.fee_minor is not None and abs(said.fee_minor) > AMOUNT_LIMIT:
        raise RowRefused("the fee is no fee")
    if not FIRST_DAY <= said.settled_on <= LAST_DAY:
        raise RowRefused("the date is not of this century")
    try:
        exponent(said.currency)
    except ValueError:
        raise RowRefused("the currency is no ISO 4217 code that is known") from None
    if merchant_id and said.merchant_id and said.merchant_id != merchant_id:
        raise RowRefused("it is another merchant's: its merchant id is not this account's")
    references = [reference for reference in map(kept_reference, said.references) if reference]
    return SettlementRow(
        row_id=kept_reference(said.own_id),
        kind=said.kind,
        amount_minor=said.amount_minor,
        fee_minor=said.fee_minor,
        currency=said.currency,
        settled_on=said.settled_on,
        reference=references[0] if references else "",
        keys=normal_references(references)[:6],
        merchant_id=kept_reference(said.merchant_id)[:40],
        line=said.line,
    )


def numbered(rows: Iterable[SettlementRow], account_id: str) -> tuple[SettlementRow, ...]:
    """The rows with ids that are the same whenever the same row comes again, in this file or in one that overlaps.

    A row without a number of its own is known by all it says; of those that say the same, the first in one file is the
    first in another.
    """
    seen: Counter[str] = Counter()
    made = []
    for row in rows:
        said = row.row_id and f"#{row.row_id}"
        said = said or "|".join(
            (*row.keys, row.kind, str(row.amount_minor), str(row.fee_minor), row.currency, row.settled_on.isoformat())
        )
        seen[said] += 1
        occurrence = 1 if row.row_id else seen[said]
        digest = hashlib.sha256(f"{account_id}|{said}|{occurrence}".encode()).hexdigest()[:40]
        made.append(replace(row, row_id=f"set_{digest}"))
    return tuple(made)


def file_of(
    rows: Sequence[SettlementRow],
    refused: Sequence[RefusedRow],
    account_id: str,
    settled_from: date | None = None,
    settled_until: date | None = None,
) -> SettlementFile:
    """The file put together; where it does not say of which days it tells, they are those of its rows."""
    days = [row.settled_on for row in rows]
    return SettlementFile(
        rows=numbered(rows, account_id),
        refused=tuple(refused),
        settled_from=settled_from or min(days, default=None),
        settled_until=settled_until or max(days, default=None),
    )
