"""Finding out which payment each row of the other sides is: in chunks, each committed with what follows from it.

A row that has its payment keeps it; one without is tried again in each run, since our side may come later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from math import ceil
from typing import Any

import orjson
from sqlalchemy import ColumnElement, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.payment_links import Rule, link_settlement, link_transaction
from billing.reconciliation import COMMITTED, BookedPayment, Rules, SettlementKind, SettlementRow
from csms.payouts.booked_payments import booked, look_again
from csms.payouts.discrepancies import provider_subject, resolve, settlement_subject
from csms.payouts.provider_transactions import transaction
from storage import reconciliation_schema as t
from storage.engine import writing
from storage.failpoint import failpoint

AT_ONCE = 1000
BY_TOLERANCE_AT_ONCE = 50  # each asks about a time and a place of its own
_OF_PAYMENTS = (SettlementKind.SALE, SettlementKind.REFUND, SettlementKind.CHARGEBACK)

#: A row's key → (session's id, rule).
Links = dict[str, tuple[str, str]]


async def link(engine: AsyncEngine, account_id: str, rules: Rules, now: datetime) -> int:
    """Link what can be linked of an account; return how many rows."""
    linked = await _each(engine, account_id, now, _transactions_by_reference, AT_ONCE, rules)
    linked += await _each(engine, account_id, now, _transactions_by_tolerance, BY_TOLERANCE_AT_ONCE, rules)
    linked += await _each(engine, account_id, now, _settlements_by_reference, AT_ONCE, rules)
    return linked + await _each(engine, account_id, now, _settlements_by_tolerance, BY_TOLERANCE_AT_ONCE, rules)


async def _each(
    engine: AsyncEngine, account_id: str, now: datetime, find: Callable[..., Any], at_once: int, rules: Rules
) -> int:
    """Go over an account's unlinked rows in their order; one commit a chunk."""
    after, linked = "", 0
    while True:
        async with writing(engine) as connection:
            last, links, table = await find(connection, account_id, after, at_once, rules)
            if last is None:
                return linked
            after = last
            if links:
                await _write(connection, table, account_id, links, now)
                failpoint("reconciliation.before")
        linked += len(links)
        failpoint("reconciliation.after")


async def _write(connection: AsyncConnection, table: Any, account_id: str, links: Links, now: datetime) -> None:
    of_provider = table is t.provider_transactions
    key = table.c.transaction_id if of_provider else table.c.row_id
    statement = update(table).where(table.c.account_id == account_id, key == bindparam("of"))
    rows = [{"of": name, "to": session_id, "by": rule} for name, (session_id, rule) in links.items()]
    await connection.execute(statement.values(session_id=bindparam("to"), rule=bindparam("by")), rows)
    sessions = {session_id for session_id, _ in links.values()}
    await look_again(connection, t.booked_payments.c.session_id.in_(sorted(sessions)))
    names = [provider_subject(account_id, name) if of_provider else settlement_subject(name) for name in links]
    await resolve(connection, names, "it is a payment of ours", now)


# --- the provider's ---------------------------------------------------------------------------------------------------


async def _transactions_by_reference(
    connection: AsyncConnection, account_id: str, after: str, at_once: int, _: Rules
) -> tuple[str | None, Links, Any]:
    p, b = t.provider_transactions.c, t.booked_payments.c
    query = (
        select(p.transaction_id)
        .where(p.account_id == account_id, p.session_id.is_(None), p.transaction_id > after)
        .order_by(p.transaction_id)
        .limit(at_once)
    )
    names = list((await connection.execute(query)).scalars())
    mine = select(b.payment_ref, b.session_id).where(b.account_id == account_id, b.payment_ref.in_(names))
    found = (await connection.execute(mine)).all() if names else []
    links = {row.payment_ref: (row.session_id, Rule.REFERENCE.value) for row in found}
    return (names[-1] if names else None), links, t.provider_transactions


async def _transactions_by_tolerance(
    connection: AsyncConnection, account_id: str, after: str, at_once: int, rules: Rules
) -> tuple[str | None, Links, Any]:
    p, b = t.provider_transactions.c, t.booked_payments.c
    query = (
        select(t.provider_transactions)
        .where(p.account_id == account_id, p.session_id.is_(None), p.state == COMMITTED, p.transaction_id > after)
        .order_by(p.transaction_id)
        .limit(at_once)
    )
    rows = [transaction(row) for row in await connection.execute(query)]
    if not rows:
        return None, {}, t.provider_transactions
    near = [
        and_(
            b.terminal_serial == row.terminal_serial,
            b.held_at.between(row.at - rules.time_window, row.at + rules.time_window),
        )
        for row in rows
        if row.at is not None
    ]
    candidates = await _payments(connection, account_id, near)
    links = {}
    for row in rows:
        if (found := link_transaction(row, candidates, rules)) is not None:
            links[row.transaction_id] = (found.session_id, Rule.TERMINAL_TIME.value)
    return rows[-1].transaction_id, links, t.provider_transactions


async def _payments(
    connection: AsyncConnection, account_id: str, near: Sequence[ColumnElement[bool]], *more: ColumnElement[bool]
) -> list[BookedPayment]:
    if not near:
        return []
    b = t.booked_payments.c
    query = select(t.booked_payments).where(b.account_id == account_id, or_(*near), *more)
    return [booked(row) for row in await connection.execute(query)]


# --- the acquirer's ---------------------------------------------------------------------------------------------------


def settlement(row: Any) -> SettlementRow:
    """A row of `settlement_rows`."""
    return SettlementRow(
        row_id=row.row_id,
        kind=SettlementKind(row.kind),
        amount_minor=row.amount_minor,
        fee_minor=row.fee_minor,
        currency=row.currency,
        settled_on=row.settled_on,
        reference=row.reference,
        keys=tuple(orjson.loads(row.keys)),
        merchant_id=row.merchant_id,
        line=row.line,
    )


async def _unlinked(connection: AsyncConnection, account_id: str, after: str, at_once: int) -> list[SettlementRow]:
    r = t.settlement_rows.c
    kinds = [kind.value for kind in _OF_PAYMENTS]
    query = (
        select(t.settlement_rows)
        .where(r.account_id == account_id, r.session_id.is_(None), r.row_id > after, r.kind.in_(kinds))
        .order_by(r.row_id)
        .limit(at_once)
    )
    return [settlement(row) for row in await connection.execute(query)]


async def _settlements_by_reference(
    connection: AsyncConnection, account_id: str, after: str, at_once: int, rules: Rules
) -> tuple[str | None, Links, Any]:
    rows = await _unlinked(connection, account_id, after, at_once)
    if not rows:
        return None, {}, t.settlement_rows
    b = t.booked_payments.c
    keys = sorted({key for row in rows for key in row.keys})
    named: dict[str, dict[str, BookedPayment]] = {}
    for column in (b.host_key, b.merchant_key, b.payment_key) if keys else ():
        for payment in await _payments(connection, account_id, [column.in_(keys)]):
            for key in (payment.host_key, payment.merchant_key, payment.payment_key):
                named.setdefault(key, {})[payment.session_id] = payment
    links: Links = {}
    for row in rows:
        mine = [payment for key in row.keys for payment in named.get(key, {}).values()]
        if (found := link_settlement(row, mine, (), rules)) is not None:
            links[row.row_id] = (found[0].session_id, found[1].value)
    return rows[-1].row_id, links, t.settlement_rows


async def _settlements_by_tolerance(
    connection: AsyncConnection, account_id: str, after: str, at_once: int, rules: Rules
) -> tuple[str | None, Links, Any]:
    rows = await _unlinked(connection, account_id, after, at_once)
    if not rows:
        return None, {}, t.settlement_rows
    sales = [row for row in rows if row.kind is SettlementKind.SALE]
    r, b = t.settlement_rows.c, t.booked_payments.c
    settled = exists().where(r.session_id == b.session_id, r.kind == SettlementKind.SALE.value)
    candidates = await _payments(connection, account_id, [_about(row, rules) for row in sales], ~settled)
    by_amount: dict[int, list[BookedPayment]] = {}
    for payment in candidates:
        by_amount.setdefault(payment.sale_minor, []).append(payment)
    found = {}
    for row in sales:
        low, high = _amounts(row, rules)
        near = [each for amount, of in by_amount.items() if low <= amount <= high for each in of]
        if (its := link_settlement(row, (), near, rules)) is not None:
            found[row.row_id] = (its[0].session_id, its[1].value)
    claims = Counter(session_id for session_id, _ in found.values())
    links = {row_id: link for row_id, link in found.items() if claims[link[0]] == 1}  # between two nobody guesses
    return rows[-1].row_id, links, t.settlement_rows


def _amounts(row: SettlementRow, rules: Rules) -> tuple[int, int]:
    """Of which amounts a payment can be that ``row`` settles: its own, or more where a fee may be off already."""
    if row.fee_minor is not None or not row.keys:
        return row.amount_minor, row.amount_minor
    share = 1 - Fraction(rules.fee_percent) / 100
    return row.amount_minor, ceil((row.amount_minor + rules.fee_fixed_minor) / share)


def _about(row: SettlementRow, rules: Rules) -> ColumnElement[bool]:
    b = t.booked_payments.c
    low, high = _amounts(row, rules)
    day = datetime.combine(row.settled_on, time(), tzinfo=UTC)
    amount = b.sale_minor == low if low == high else b.sale_minor.between(low, high)
    return and_(amount, b.captured_at >= day - rules.late_settlement, b.captured_at < day + timedelta(days=1))
