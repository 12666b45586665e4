"""Statements: each period of each owner is closed once, in one transaction with its number, its fees and its entries.

The daily round finds whose periods have ended; each owner's are closed one after the other by a command, so that one
owner's trouble is not another's, and a crash leaves whole periods. What a statement covers is written down entry by
entry (`statement_entries`): whatever is booked later, about whatever time, stands on the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import ledger
from billing.ledger import PLATFORM
from billing.statement import EntryKind, fees_key, statement_to_json
from billing.statement_period import period_end, period_start
from billing.terms import terms_from_json
from csms.payouts.drafts import Draft, currencies_to_state, draft
from csms.terminals.calendar import Entry, Span
from csms.terminals.reminder_words import say
from csms.terminals.rounds import Round
from sessions.books import Posting, post
from sessions.codec import register
from sessions.commands import Command
from sessions.rows import next_number
from sessions.service import Dispatched, Service
from storage import owner_schema as o
from storage import payout_schema as t
from storage import schema as s
from storage.engine import writing

log = logging.getLogger(__name__)

#: The counter of statement numbers: one gap-free series.
NUMBERS = "statement"
INSERT_AT_ONCE = 2000


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStatements(Command):
    """Close an owner's periods that were over at ``until``."""

    owner_id: str
    until: datetime
    lane: str = "statements"


class StatementDoer:
    """Closes statements; each period is a transaction of its own."""

    def __init__(self, service: Service, engine: AsyncEngine, now: Callable[[], datetime]) -> None:
        self._service = service
        self._engine = engine
        self._now = now

    async def __call__(self, command: CloseStatements, _: Dispatched) -> None:
        """Close what is due, the oldest first. Taken up again, it goes on where it was."""
        while await close_next(self._engine, command.owner_id, command.until, self._now()):
            pass
        await self._service.complete(command.key)


async def close_due(r: Round) -> None:
    """The round's step: whose periods have ended by now?"""
    known = await _closed_until(r.connection)
    for owner in await r.connection.execute(select(o.owners).where(o.owners.c.owner_id != PLATFORM)):
        try:
            _, end = next_period(owner, known.get(owner.owner_id))
        except (ValueError, KeyError):
            log.exception("owner %s: its terms or time zone cannot be read; no statement is closed", owner.owner_id)
            continue
        if end <= r.due_at:
            key = f"statements:{owner.owner_id}:{r.day.isoformat()}"
            r.commands.append(CloseStatements(key=key, owner_id=owner.owner_id, until=r.due_at))


ROUND = (close_due,)


async def contribute(connection: AsyncConnection, span: Span) -> list[Entry]:
    """When the owner's next statement is due (`csms.terminals.calendar`); terms that cannot be read tell nothing."""
    query = select(o.owners).where(o.owners.c.owner_id == span.owner_id, o.owners.c.owner_id != PLATFORM)
    owner = (await connection.execute(query)).first()
    if owner is None:
        return []
    known = await _closed_until(connection, span.owner_id)
    try:
        start, end = next_period(owner, known.get(span.owner_id))
    except (ValueError, KeyError):
        return []
    first_day = start.astimezone(span.zone).date()
    return [
        Entry(
            uid=f"statement:{span.owner_id}:{first_day:%Y%m%d}",
            starts=end.astimezone(span.zone).date(),
            summary=say("calendar_statement").written(span.language),
            description=say("calendar_statement_what", day=first_day).written(span.language),
        )
    ]


CALENDAR = (contribute,)


def next_period(owner: Any, closed_until: datetime | None) -> tuple[datetime, datetime]:
    """The period to be closed next: it begins where the last one ended, or with the owner. Raises ``ValueError``."""
    terms, zone = terms_from_json(owner.terms), ZoneInfo(owner.time_zone)
    start = closed_until or period_start(owner.created_at, terms.period, zone)
    return start, period_end(start, terms.period, zone)


async def _closed_until(connection: AsyncConnection, owner_id: str | None = None) -> dict[str, datetime]:
    """Until when each owner's statements are closed."""
    c = t.statements.c
    query = select(c.owner_id, func.max(c.period_end).label("closed_until")).group_by(c.owner_id)
    if owner_id is not None:
        query = query.where(c.owner_id == owner_id)
    return {row.owner_id: row.closed_until for row in await connection.execute(query)}


async def current_period(connection: AsyncConnection, owner: Any) -> tuple[datetime, datetime]:
    """The owner's period that is not closed yet, the oldest."""
    return next_period(owner, (await _closed_until(connection, owner.owner_id)).get(owner.owner_id))


async def close_next(engine: AsyncEngine, owner_id: str, until: datetime, now: datetime) -> bool:
    """Close the owner's oldest open period, in all its currencies, if it was over at ``until``; whether there was one.

    In the owner's own currency there is a statement for every period, also for an empty one.
    """
    async with writing(engine) as connection:
        query = select(o.owners).where(o.owners.c.owner_id == owner_id).with_for_update()
        owner = (await connection.execute(query)).first()
        if owner is None:
            return False
        start, end = await current_period(connection, owner)
        if end > until:
            return False
        others = await currencies_to_state(connection, owner_id, end)
        for currency in [owner.currency, *sorted(others - {owner.currency})]:
            made = await draft(connection, owner, currency, start, end)
            await _close(connection, made, now)
    return True


async def _close(connection: AsyncConnection, made: Draft, now: datetime) -> None:
    statement = made.numbered(f"ST{await next_number(connection, NUMBERS):08}", now)
    statement_id = statement.statement_id
    await connection.execute(
        t.statements.insert().values(
            statement_id=statement_id,
            owner_id=statement.owner_id,
            currency=statement.currency,
            period_start=statement.period_start,
            period_end=statement.period_end,
            closed_at=now,
            opening_minor=statement.opening_minor,
            payout_minor=statement.payout_minor,
            carried_minor=statement.carried_minor,
            document=statement_to_json(statement),
        )
    )
    entries = [dict(zip(("entry_id", "kind", "amount_minor"), entry, strict=True)) for entry in made.entries]
    entries += await _take_fees(connection, made, statement_id, now)
    sessions = [
        {
            "session_id": session_id,
            "way": session.way.value,
            "own_processor": session.own_processor,
            "gross_minor": session.gross_minor,
            "refunded_minor": session.refunded_minor,
            "fee_minor": session.fee_minor,
        }
        for session_id, session in made.sessions.items()
    ]
    for table, rows in ((t.statement_entries, entries), (t.statement_sessions, sessions)):
        for first in range(0, len(rows), INSERT_AT_ONCE):
            some = [row | {"statement_id": statement_id} for row in rows[first : first + INSERT_AT_ONCE]]
            await connection.execute(table.insert(), some)


async def _take_fees(
    connection: AsyncConnection, made: Draft, statement_id: str, now: datetime
) -> list[dict[str, Any]]:
    """Book the fees; the entry that takes them stands on this very statement."""
    fees = made.statement.fees
    entry_set = ledger.fees(fees.net_minor, fees.vat_minor, made.statement.currency)
    posting = Posting(set_key=fees_key(statement_id), entries=entry_set, owner_id=made.statement.owner_id)
    await post(connection, [posting], now)
    taken = (s.ledger.c.set_key == posting.set_key, s.ledger.c.account == ledger.Account.OWNER_PAYABLE.value)
    rows = await connection.execute(select(s.ledger.c.entry_id, s.ledger.c.amount_minor).where(*taken))
    return [{"entry_id": r.entry_id, "kind": EntryKind.FEES.value, "amount_minor": -r.amount_minor} for r in rows]
