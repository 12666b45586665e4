"""Writing entry sets into the ledger: once under a key of their own, into one book, never edited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM, EntrySet
from storage import schema as t


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An entry set on its way into the ledger. ``set_key``: unique for ever; a second one is an IntegrityError.

    ``book``: whose ("platform", "owner:…"). ``owner_id``: whose sale it was, or whose balance it changes.
    """

    set_key: str
    entries: EntrySet
    session_id: str | None = None
    book: str = PLATFORM
    owner_id: str = PLATFORM


async def post(connection: AsyncConnection, postings: Iterable[Posting], now: datetime) -> None:
    """Write them in the caller's transaction. One statement."""
    rows: list[dict[str, Any]] = [
        {
            "set_key": posting.set_key,
            "line": line,
            "session_id": posting.session_id,
            "account": entry.account.value,
            "amount_minor": entry.amount_minor,
            "currency": entry.currency,
            "booked_at": now,
            "book": posting.book,
            "owner_id": posting.owner_id,
        }
        for posting in postings
        for line, entry in enumerate(posting.entries.entries)
    ]
    if rows:
        await connection.execute(t.ledger.insert(), rows)
