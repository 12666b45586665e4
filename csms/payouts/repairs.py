"""Repairs: proposed first, then made by a named person, in the commit that journals it. Nothing is ever edited.

What a repair writes is worked out again in that commit: if the books have changed since the proposal was looked at,
nothing is written, and the repair is kept as stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cost import Adjustment
from billing.ledger import PLATFORM, Account, Entry, EntrySet
from billing.payment import RESOLVED
from billing.reconciliation import Side
from billing.repair import Books, NoRemedyError, Proposal, Remedy, propose, remedies, sums_of
from csms.payouts.booked_payments import OF_ACQUIRER, OF_LOSS, OF_SALE, of_sale, repair_key
from csms.payouts.discrepancies import MOVES, State, finding_of, move
from sessions.books import Posting, post
from sessions.codec import decode_session, register
from sessions.commands import Command
from sessions.facts import Fact
from sessions.session import Session
from storage import reconciliation_schema as t
from storage import schema

MADE, STALE = "made", "stale"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RepairOrdered(Fact):
    """A named person ordered what was proposed. ``digest``: of the proposal that they saw."""

    repair_id: str
    discrepancy_id: str
    remedy: Remedy
    digest: str
    by: str
    reason: str


async def proposals(connection: AsyncConnection, row: Any) -> list[Proposal | NoRemedyError]:
    """What each remedy of a discrepancy (a row of `discrepancies`) would write, or why it would not."""
    finding, books = finding_of(row), await _books(connection, row.session_id)
    made: list[Proposal | NoRemedyError] = []
    for remedy in remedies(finding):
        try:
            made.append(propose(remedy, finding, books))
        except NoRemedyError as reason:
            made.append(reason)
    return made


async def next_repair_id(connection: AsyncConnection, discrepancy_id: str) -> str:
    """The id of the repair that is ordered next: two people at once order the same one."""
    r = t.repairs.c
    query = select(func.count()).select_from(t.repairs).where(r.discrepancy_id == discrepancy_id)
    return f"{discrepancy_id}:{(await connection.execute(query)).scalar_one() + 1}"


async def _books(connection: AsyncConnection, session_id: str | None) -> Books | None:
    """What the ledger holds of a session's sale."""
    if session_id is None:
        return None
    s, e = schema.sessions.c, schema.ledger.c
    state = (await connection.execute(select(s.state).where(s.session_id == session_id).with_for_update())).scalar()
    if state is None:
        return None
    session = decode_session(state)
    sale = select(e.account, e.amount_minor, e.currency).where(e.session_id == session_id, of_sale(e))
    rows = await connection.execute(sale.where(e.currency == session.currency))
    return Books(
        currency=session.currency,
        sums=sums_of(Entry(Account(row.account), row.amount_minor, row.currency) for row in rows),
        cost=session.cost,
        delivered_minor=_delivered_minor(session),
        owed=session.owed_to_owner,
        resolved=session.payment in RESOLVED,
    )


def _delivered_minor(session: Session) -> int:
    """What the charge was worth before its bill was cut to what was taken."""
    if session.cost is None:
        return 0
    cut = any(line.dimension is Adjustment.ABOVE_HOLD for line in session.cost.lines)
    return session.cost.total_minor + (session.written_off_minor if cut else 0)


async def keep_repairs(connection: AsyncConnection, found: Sequence[RepairOrdered], now: datetime) -> list[Command]:
    """Write each repair's entries, unless what it was to mend has changed."""
    for fact in found:
        d = t.discrepancies.c
        query = select(t.discrepancies).where(d.discrepancy_id == fact.discrepancy_id).with_for_update()
        row = (await connection.execute(query)).one()
        proposal = await _still(connection, row, fact)
        sets: tuple[EntrySet, ...] = proposal.sets if proposal else ()
        if proposal is not None:
            await post(connection, await _postings(connection, row, fact, sets), now)
            note = f"{fact.remedy}: {fact.reason}"
            await move(connection, fact.discrepancy_id, State.REPAIRED, by=fact.by, note=note, now=now)
        repair = {
            "repair_id": fact.repair_id,
            "discrepancy_id": fact.discrepancy_id,
            "owner_id": row.owner_id,
            "remedy": fact.remedy.value,
            "outcome": MADE if proposal else STALE,
            "entries": orjson.dumps(written(sets)).decode(),
            "by": fact.by,
            "reason": fact.reason,
            "made_at": now,
        }
        await connection.execute(t.repairs.insert().values(repair))
    return []


async def _still(connection: AsyncConnection, row: Any, fact: RepairOrdered) -> Proposal | None:
    if State.REPAIRED not in MOVES[State(row.state)]:
        return None
    try:
        proposal = propose(fact.remedy, finding_of(row), await _books(connection, row.session_id))
    except NoRemedyError:
        return None
    return proposal if proposal.digest == fact.digest else None


async def _postings(
    connection: AsyncConnection, row: Any, fact: RepairOrdered, sets: Sequence[EntrySet]
) -> list[Posting]:
    about = OF_LOSS if fact.remedy is Remedy.LOSS else OF_SALE
    about = OF_ACQUIRER if row.side == Side.ACQUIRER else about
    b = t.booked_payments.c
    booked = (await connection.execute(select(b.book).where(b.session_id == row.session_id))).scalar()
    book = booked or (f"owner:{row.owner_id}" if row.account_id else PLATFORM)
    return [
        Posting(
            set_key=repair_key(fact.repair_id, about, number),
            entries=entry_set,
            session_id=row.session_id,
            book=book,
            owner_id=row.owner_id,
        )
        for number, entry_set in enumerate(sets, 1)
    ]


def written(sets: Sequence[EntrySet]) -> list[Mapping[str, Any]]:
    """Entry sets as JSON has them: amounts in minor units, positive = debit."""
    return [
        {"set": number, "account": entry.account.value, "amount_minor": entry.amount_minor, "currency": entry.currency}
        for number, entry_set in enumerate(sets, 1)
        for entry in entry_set.entries
    ]


KEEPERS = {RepairOrdered: (keep_repairs,)}
