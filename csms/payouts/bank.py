"""What the acquirer pays to the platform's bank account, in the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import ledger
from billing.ledger import PLATFORM
from sessions.books import Posting, post
from storage import schema as s


async def book_settlement(
    connection: AsyncConnection,
    settlement_id: str,
    *,
    gross_minor: int,
    fee_minor: int,
    currency: str,
    now: datetime,
    book: str = PLATFORM,
    owner_id: str = PLATFORM,
) -> bool:
    """Book a settlement in the caller's transaction: BANK and ACQUIRER_FEES debit, ACQUIRER credit.

    ``settlement_id``: unique for ever, at most 180 characters; False if it is booked already, and nothing is written.
    ``gross_minor``: what was settled before the acquirer's fee; negative: refunds outweighed the sales. ``book``,
    ``owner_id``: an owner's own, for what an own processor collected.
    """
    set_key = f"acquirer-settlement:{settlement_id}"
    known = select(s.ledger.c.entry_id).where(s.ledger.c.set_key == set_key).limit(1)
    if (await connection.execute(known)).first() is not None:
        return False
    entries = ledger.acquirer_settlement(gross_minor, fee_minor, currency)
    await post(connection, [Posting(set_key=set_key, entries=entries, book=book, owner_id=owner_id)], now)
    return True
