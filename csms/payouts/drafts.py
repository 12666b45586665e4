"""A statement in the making: reads what is booked and not stated yet, in pieces, and adds it up. Writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cost import Cost, VatLine
from billing.cost_json import cost_from_json, vat_from_json
from billing.ledger import PLATFORM, Account
from billing.receipt import Issuer
from billing.statement import REFUND_OWED, EntryKind, Item, Statement, kind_of_entry, paid_out
from billing.tally import Charged, SessionTally, Tally, split
from billing.terms import terms_from_json
from billing.way import Way
from storage import owner_schema as o
from storage import payout_schema as t
from storage import schema as s

READ_AT_ONCE = 1000
_CAPTURED = "%:capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a statement will say, and the entries it covers: (entry id, kind, what it adds to the balance)."""

    statement: Statement
    entries: list[tuple[int, str, int]]
    sessions: dict[str, SessionTally]

    def numbered(self, statement_id: str, closed_at: datetime) -> Statement:
        """The statement, closed."""
        return replace(self.statement, statement_id=statement_id, closed_at=closed_at)


async def draft(connection: AsyncConnection, owner: Any, currency: str, start: datetime, end: datetime) -> Draft:
    """Add up what is booked before ``end`` and stands on no statement of this owner (a row of `owners`) yet."""
    terms = terms_from_json(owner.terms).in_currency(owner.currency, currency)
    tally, entries = Tally(), list[tuple[int, str, int]]()
    async for rows in _pieces(connection, owner.owner_id, currency, end):
        refunds = await _refunds(connection, rows)
        entries += [_add(tally, row, refunds) for row in rows]
    earlier = await _earlier(connection, tally.sessions)
    opening_minor = await _carried(connection, owner.owner_id, currency)
    fees = tally.fees(terms, currency, earlier)
    changed_minor = sum(amount_minor for _, _, amount_minor in entries) - fees.total_minor
    payout_minor = paid_out(opening_minor + changed_minor, terms.minimum_payout_minor)
    statement = Statement(
        statement_id="",
        owner_id=owner.owner_id,
        owner=party(owner),
        platform=party(await _platform(connection)),
        currency=currency,
        language=owner.language,
        time_zone=owner.time_zone,
        period=terms.period,
        period_start=start,
        period_end=end,
        closed_at=None,
        ways=tally.ways(earlier),
        fees=fees,
        facilitated_minor=tally.facilitated_minor,
        items=tuple(tally.items),
        opening_minor=opening_minor,
        minimum_payout_minor=terms.minimum_payout_minor,
        payout_minor=payout_minor,
        carried_minor=opening_minor + changed_minor - payout_minor,
    )
    return Draft(statement=statement, entries=entries, sessions=tally.sessions)


def party(owner: Any) -> Issuer:
    """A row of `owners` as statements name it."""
    return Issuer(
        name=owner.legal_name,
        address=tuple(orjson.loads(owner.address)),
        country=owner.country,
        organisation_number=owner.organisation_number,
        vat_number=owner.vat_number,
    )


async def currencies_to_state(connection: AsyncConnection, owner_id: str, end: datetime) -> set[str]:
    """In which currencies something is booked and not stated, or was carried."""
    booked = _unstated(select(s.ledger.c.currency).distinct(), owner_id, end)
    found = set((await connection.execute(booked)).scalars())
    c = t.statements.c
    stated = set((await connection.execute(select(c.currency).distinct().where(c.owner_id == owner_id))).scalars())
    return found | {currency for currency in stated if await _carried(connection, owner_id, currency)}


def _unstated(query: Select[Any], owner_id: str, end: datetime) -> Select[Any]:
    """Held to what is the owner's, booked before ``end``, and stands on no statement."""
    c, stated = s.ledger.c, t.statement_entries
    owed = and_(c.book == PLATFORM, c.account == Account.OWNER_PAYABLE.value)
    collected = (c.book == f"owner:{owner_id}", c.account == Account.ACQUIRER.value, c.set_key.like(_CAPTURED))
    return (
        query.outerjoin_from(s.ledger, stated, stated.c.entry_id == c.entry_id)
        .where(stated.c.entry_id.is_(None), c.owner_id == owner_id, c.booked_at < end)
        .where(c.account.in_([Account.OWNER_PAYABLE.value, Account.ACQUIRER.value]), or_(owed, and_(*collected)))
    )


async def _pieces(connection: AsyncConnection, owner_id: str, currency: str, end: datetime) -> AsyncIterator[list[Any]]:
    c, vat = s.ledger.c, s.ledger.alias("vat")
    vat_minor = (
        select(func.sum(vat.c.amount_minor))
        .where(vat.c.set_key == c.set_key, vat.c.account == Account.INPUT_VAT.value)
        .scalar_subquery()
    )
    query = _unstated(
        select(c.entry_id, c.set_key, c.session_id, c.book, c.amount_minor, c.booked_at, vat_minor.label("vat_minor")),
        owner_id,
        end,
    )
    query = query.where(c.currency == currency).order_by(c.entry_id).limit(READ_AT_ONCE)
    after = 0
    while rows := (await connection.execute(query.where(c.entry_id > after))).all():
        yield await _with_sessions(connection, rows)
        after = rows[-1].entry_id


@dataclass(frozen=True, slots=True)
class _Entry:
    row: Any
    kind: EntryKind
    way: Way
    lines: tuple[VatLine, ...]


async def _with_sessions(connection: AsyncConnection, rows: Iterable[Any]) -> list[_Entry]:
    """Entries with the way of paying and the VAT rates of their sessions."""
    found: dict[str, Any] = {}
    sold = {row.session_id for row in rows if row.session_id is not None}
    if sold:
        c = s.sessions.c
        query = select(c.session_id, c.way, c.state).where(c.session_id.in_(sold))
        found = {row.session_id: row for row in await connection.execute(query)}
    entries = []
    for row in rows:
        kind = kind_of_entry(row.set_key, row.session_id) if row.book == PLATFORM else EntryKind.FACILITATED
        session = found.get(row.session_id)
        if session is None and kind in {EntryKind.SALE, EntryKind.REFUND}:
            kind = EntryKind.CORRECTION  # booked about a session that is not there
        way = Way(session.way) if session else Way.CARD
        lines = _lines(session.state) if session and kind is EntryKind.SALE else ()
        entries.append(_Entry(row, kind, way, lines))
    return entries


def _lines(state: str) -> tuple[VatLine, ...]:
    """The VAT lines of a session's bill: reading all of the session takes ten times as long."""
    session = orjson.loads(state)
    return vat_from_json(session["cost"]["vat"]) if session["cost"] else ()


async def _refunds(connection: AsyncConnection, entries: Iterable[_Entry]) -> dict[str, Cost]:
    """What was paid back, by the key of its entries."""
    keys = {_refund_of(entry.row.set_key): entry.row.set_key for entry in entries if entry.kind is EntryKind.REFUND}
    if not keys:
        return {}
    query = select(t.refunds.c.refund_id, t.refunds.c.cost).where(t.refunds.c.refund_id.in_(keys))
    return {keys[row.refund_id]: cost_from_json(orjson.loads(row.cost)) for row in await connection.execute(query)}


def _refund_of(set_key: str) -> str:
    return set_key.partition(f":{REFUND_OWED}:")[2]


def _add(tally: Tally, entry: _Entry, refunds: dict[str, Cost]) -> tuple[int, str, int]:
    row, kind = entry.row, entry.kind
    amount_minor, vat_minor = -row.amount_minor, int(row.vat_minor or 0)  # PostgreSQL's sums are numeric
    if kind is EntryKind.FACILITATED:
        tally.facilitated(row.session_id, entry.way, row.amount_minor)
        amount_minor = 0
    elif kind is EntryKind.SALE:
        tally.sale(row.session_id, entry.way, amount_minor, split(amount_minor, vat_minor, entry.lines))
    elif kind is EntryKind.REFUND:
        back = refunds.get(row.set_key)
        lines = split(-amount_minor, -vat_minor, back.vat if back else ())
        tally.refund(row.session_id, entry.way, -amount_minor, lines)
    else:
        tally.items.append(Item(kind=kind, booked=row.set_key, booked_at=row.booked_at, amount_minor=amount_minor))
    return row.entry_id, kind.value, amount_minor


async def _earlier(connection: AsyncConnection, sessions: Iterable[str]) -> dict[str, Charged]:
    """What earlier statements said of these sessions."""
    c, wanted = t.statement_sessions.c, list(sessions)
    found: dict[str, Charged] = {}
    for first in range(0, len(wanted), READ_AT_ONCE):
        query = (
            select(c.session_id, func.sum(c.gross_minor).label("gross"), func.sum(c.fee_minor).label("fee"))
            .where(c.session_id.in_(wanted[first : first + READ_AT_ONCE]))
            .group_by(c.session_id)
        )
        for row in await connection.execute(query):
            found[row.session_id] = Charged(int(row.gross), int(row.fee))
    return found


async def _carried(connection: AsyncConnection, owner_id: str, currency: str) -> int:
    c = t.statements.c
    newest = (
        select(c.carried_minor)
        .where(c.owner_id == owner_id, c.currency == currency)
        .order_by(c.period_start.desc())
        .limit(1)
    )
    return int((await connection.execute(newest)).scalar() or 0)


async def _platform(connection: AsyncConnection) -> Any:
    return (await connection.execute(select(o.owners).where(o.owners.c.owner_id == PLATFORM))).one()
