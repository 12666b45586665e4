"""Filling a database with a month, in bulk: what would take the service hours is copied in."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from sqlalchemy import Table, make_url

from sessions.rows import session_row
from storage import owner_schema, schema
from tests.month.payments import BEGIN, MonthOwner, Paid

_LEDGER = ("set_key", "line", "session_id", "account", "amount_minor", "currency", "booked_at", "book", "owner_id")


async def fill(url: str, owners: Sequence[MonthOwner], paid: Sequence[Paid]) -> None:
    """Write owners, processor accounts, terminals, sessions and ledger into a fresh database."""
    tables: list[tuple[Table, Sequence[str], list[tuple[Any, ...]]]] = []
    for table, rows in (
        (owner_schema.owners, [_owner(owner) for owner in owners]),
        (owner_schema.processor_accounts, [_account(owner) for owner in owners if owner.account_id]),
        (schema.terminals, [_terminal(owner, serial) for owner in owners for serial in owner.serials]),
        (schema.sessions, [session_row(each.session) for each in paid]),
    ):
        names = list(rows[0]) if rows else []
        tables.append((table, names, [tuple(row.values()) for row in rows]))
    tables.append((schema.ledger, _LEDGER, list(_entries(paid))))
    await (_postgres if url.startswith("postgres") else _sqlite)(url, tables)


def _entries(paid: Iterable[Paid]) -> Iterable[tuple[Any, ...]]:
    """In the order of time, as the service numbers them."""
    for each in sorted(paid, key=lambda each: each.session.opened_at):
        s = each.session
        for name, entry_set in each.sets:
            at = s.held_at if name == "hold" else s.closed_at
            for line, entry in enumerate(entry_set.entries):
                key = f"{s.session_id}:{name}"
                account = entry.account.value
                yield key, line, s.session_id, account, entry.amount_minor, entry.currency, at, s.book, s.owner_id


async def _sqlite(url: str, tables: Sequence[tuple[Table, Sequence[str], list[tuple[Any, ...]]]]) -> None:
    def write() -> None:
        connection = sqlite3.connect(make_url(url).database or "")
        connection.execute("PRAGMA synchronous = OFF")
        for table, names, rows in tables:
            marks = ", ".join("?" * len(names))
            statement = f"INSERT INTO {table.name} ({_quoted(names)}) VALUES ({marks})"
            connection.executemany(statement, [[_plain(value) for value in row] for row in rows])
        connection.commit()
        connection.execute("ANALYZE")
        connection.close()

    await asyncio.to_thread(write)


def _plain(value: Any) -> Any:
    """A time as SQLAlchemy writes it into SQLite."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


async def _postgres(url: str, tables: Sequence[tuple[Table, Sequence[str], list[tuple[Any, ...]]]]) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        for table, names, rows in tables:
            await connection.copy_records_to_table(table.name, records=rows, columns=list(names))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _owner(owner: MonthOwner) -> dict[str, Any]:
    return {
        "owner_id": owner.owner_id,
        "legal_name": f"Owner {owner.number} AS",
        "organisation_number": f"{900_000_000 + owner.number}",
        "vat_number": f"{900_000_000 + owner.number}MVA",
        "address": "[]",
        "country": "NO",
        "currency": owner.currency,
        "language": "en",
        "time_zone": "Europe/Oslo",
        "contacts": "[]",
        "terms": "{}",
        "created_at": BEGIN,
    }


def _account(owner: MonthOwner) -> dict[str, Any]:
    return {
        "account_id": owner.account_id,
        "owner_id": owner.owner_id,
        "name": "own",
        "base_url": "https://cps.mypayter.com",
        "domain": owner.owner_id,
        "merchant_id": owner.merchant_id,
        "acquirer": "Acquirer",
        "credentials": "",
        "data_url": "",
        "created_at": BEGIN,
    }


def _terminal(owner: MonthOwner, serial: str) -> dict[str, Any]:
    return {
        "serial": serial,
        "family": "P68",
        "currency": owner.currency,
        "language": "en",
        "owner_id": owner.owner_id,
        "account_id": owner.account_id,
    }
