"""The provider's side of a reconciliation: its transactions, read page by page up to where it has got.

Rows at the edge of a page come again, and so does whatever was ingested a little before the last reading's end: a
provider's index may fill up late. They are known by their ids, and cost nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.reconciliation import COMMITTED, ProviderTransaction
from csms.payouts.booked_payments import look_again
from csms.payouts.discrepancies import provider_subject, resolve
from sessions.provider_records import Page, ProviderRecords, ProviderUnavailableError
from sessions.rows import upsert, upsert_many
from storage import reconciliation_schema as t
from storage.engine import reading, writing
from storage.failpoint import failpoint

#: What was ingested so shortly before the end of the last reading is read again [A].
OVERLAP = timedelta(minutes=15)
#: Payments are looked for from so long before the first one of an account.
LEAD = timedelta(days=1)
MOST_PAGES = 50_000


async def read_account(engine: AsyncEngine, records: ProviderRecords, account_id: str, now: datetime) -> int | None:
    """Read what is new at the account's provider; return how many rows came, None where it cannot be asked at all.

    Each page is committed with the cursor that says so: a crash goes on where it was. Raises
    `ProviderUnavailableError`.
    """
    provider = await records.open(account_id)
    if provider is None:
        return None
    try:
        begun = await _begin(engine, account_id, now)
        since, offset, came = max(begun.read_from, begun.ingested_until - OVERLAP), 0, 0
        for _ in range(MOST_PAGES):
            page = await provider.page(since, offset)
            if not page.count:
                await _end(engine, account_id, now)
                return came
            if page.newest is None or page.newest < since:
                raise ProviderUnavailableError("it answers rows from before the time that was asked for")
            await _store(engine, account_id, page, min(page.newest, now))
            came += page.count
            since, offset = (since, offset + page.count) if page.newest == since else (page.newest, 0)
        raise ProviderUnavailableError(f"it did not come to an end within {MOST_PAGES} pages")
    finally:
        await provider.close()


async def note_problem(engine: AsyncEngine, account_id: str, problem: str, now: datetime) -> None:
    """Keep why a reading ended early."""
    await _begin(engine, account_id, now)
    async with writing(engine) as connection:
        mine = t.provider_cursors.c.account_id == account_id
        await connection.execute(update(t.provider_cursors).where(mine).values(problem=problem[:200], problem_at=now))


async def _begin(engine: AsyncEngine, account_id: str, now: datetime) -> Any:
    """The account's cursor, made when it is first read: from before its first payment on."""
    c, b = t.provider_cursors.c, t.booked_payments.c
    query = select(t.provider_cursors).where(c.account_id == account_id)
    async with reading(engine) as connection:
        if found := (await connection.execute(query)).first():
            return found
        first = (await connection.execute(select(func.min(b.held_at)).where(b.account_id == account_id))).scalar()
    begin = (first or now) - LEAD
    row = {"account_id": account_id, "read_from": begin, "ingested_until": begin}
    async with writing(engine) as connection:
        await upsert(connection, t.provider_cursors, ["account_id"], [row])
        await look_again(connection, b.account_id == account_id)  # nobody could say before that it was missing
        return (await connection.execute(query)).one()


async def _store(engine: AsyncEngine, account_id: str, page: Page, until: datetime) -> None:
    async with writing(engine) as connection:
        await store_transactions(connection, account_id, page.transactions, until)
        mine = t.provider_cursors.c.account_id == account_id
        ahead = t.provider_cursors.c.ingested_until < until
        await connection.execute(update(t.provider_cursors).where(mine, ahead).values(ingested_until=until))
        failpoint("reconciliation.before")
    failpoint("reconciliation.after")


async def store_transactions(
    connection: AsyncConnection, account_id: str, found: tuple[ProviderTransaction, ...], now: datetime
) -> None:
    """Write transactions, new and known, in the caller's transaction; what they are of is judged anew."""
    p = t.provider_transactions.c
    rows = {each.transaction_id: _row(account_id, each) for each in found}
    await upsert_many(connection, t.provider_transactions, ["account_id", "transaction_id"], list(rows.values()))
    known = select(p.session_id).where(
        p.account_id == account_id, p.transaction_id.in_(list(rows)), p.session_id.is_not(None)
    )
    await look_again(connection, t.booked_payments.c.session_id.in_(known))
    gone = [provider_subject(account_id, each.transaction_id) for each in found if each.state != COMMITTED]
    await resolve(connection, gone, "the provider says now that nothing was taken", now)


def _row(account_id: str, each: ProviderTransaction) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "transaction_id": each.transaction_id,
        "terminal_serial": each.terminal_serial,
        "kind": each.kind,
        "state": each.state,
        "authorised_minor": each.authorised_minor,
        "committed_minor": each.committed_minor,
        "currency": each.currency,
        "at": each.at,
        "committed_at": each.committed_at,
        "ingested_at": each.ingested_at,
    }


async def _end(engine: AsyncEngine, account_id: str, now: datetime) -> None:
    async with writing(engine) as connection:
        mine = t.provider_cursors.c.account_id == account_id
        read = {"read_until": now, "problem": None, "problem_at": None}
        await connection.execute(update(t.provider_cursors).where(mine).values(read))


def transaction(row: Any) -> ProviderTransaction:
    """A row of `provider_transactions`."""
    return ProviderTransaction(
        transaction_id=row.transaction_id,
        state=row.state,
        currency=row.currency,
        terminal_serial=row.terminal_serial,
        kind=row.kind,
        authorised_minor=row.authorised_minor,
        committed_minor=row.committed_minor,
        at=row.at,
        committed_at=row.committed_at,
        ingested_at=row.ingested_at,
    )
