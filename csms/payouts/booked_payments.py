"""Our side of a reconciliation: what sessions and ledger say of each card payment, kept beside them.

It is read out of the ledger in the order of its entries, and can be made anew at any time: nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM, Account
from billing.payment import RESOLVED, Payment
from billing.payment_links import normal_reference
from billing.reconciliation import BookedPayment
from sessions.codec import decode
from sessions.rows import upsert, upsert_many
from sessions.session import Authorisation
from storage import reconciliation_schema as t
from storage import schema
from storage.engine import reading, writing
from storage.failpoint import failpoint

CURSOR = "booked_payments"
ENTRIES_AT_ONCE = 4000
#: Entries are numbered before they are committed: those of transactions that still run may have smaller numbers.
UNSURE = timedelta(hours=1)
#: Set keys of repairs: of the sale (they change what we say was taken), of a loss, of what the acquirer owes.
REPAIR, OF_SALE, OF_LOSS, OF_ACQUIRER = "repair:", "sale", "loss", "acquirer"

_TELLING = (Account.HOLD, Account.ACQUIRER, Account.SUSPENSE, Account.COLLECTION_LOSS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paid:
    """What is read of a session's state: the rest, most of it, is not even looked at."""

    session_id: str
    opened_at: datetime
    payment: Payment
    currency: str = ""
    owner_id: str = PLATFORM
    account_id: str = ""
    terminal_serial: str | None = None
    held_at: datetime | None = None
    ended_at: datetime | None = None
    captured_at: datetime | None = None
    authorisation: Authorisation


def repair_key(repair_id: str, about: str, number: int) -> str:
    """The set key of a repair's entries. ``about``: `OF_SALE`, `OF_LOSS` or `OF_ACQUIRER`."""
    return f"{REPAIR}{repair_id}:{about}:{number}"


def of_sale(ledger: Any) -> ColumnElement[bool]:
    """Entries that say what was taken for a session: not its refunds, nor repairs beside the sale."""
    mended = ledger.set_key.like(f"{REPAIR}%")
    refunds = or_(ledger.set_key.like("%refund%"), ledger.set_key.like("%credit%"))
    return or_(and_(mended, ledger.set_key.like(f"%:{OF_SALE}:%")), and_(not_(mended), not_(refunds)))


async def refresh(engine: AsyncEngine, now: datetime) -> int:
    """Take over what the ledger has got since the last time; return how many payments. One commit a chunk."""
    at, taken = await _cursor(engine), 0
    while True:
        async with writing(engine) as connection:
            entries = await _entries(connection, at)
            if not entries:
                return taken
            at = entries[-1].entry_id
            taken += await _take(connection, {row.session_id for row in entries if row.session_id})
            sure = max((row.entry_id for row in entries if row.booked_at < now - UNSURE), default=None)
            if sure is not None:
                await upsert(connection, t.ledger_cursors, ["name"], [{"name": CURSOR, "entry_id": sure}])
            failpoint("reconciliation.before")
        failpoint("reconciliation.after")


async def _cursor(engine: AsyncEngine) -> int:
    query = select(t.ledger_cursors.c.entry_id).where(t.ledger_cursors.c.name == CURSOR)
    async with reading(engine) as connection:
        return int((await connection.execute(query)).scalar() or 0)


async def _entries(connection: AsyncConnection, after: int) -> Sequence[Any]:
    e = schema.ledger.c
    query = select(e.entry_id, e.session_id, e.booked_at).where(e.entry_id > after, e.account.in_(_TELLING))
    return (await connection.execute(query.order_by(e.entry_id).limit(ENTRIES_AT_ONCE))).all()


async def _take(connection: AsyncConnection, session_ids: Iterable[str]) -> int:
    wanted = sorted(session_ids)
    if not wanted:
        return 0
    s = schema.sessions.c
    paid = select(s.session_id, s.state).where(s.session_id.in_(wanted), s.payment_ref.is_not(None))
    states = (await connection.execute(paid.where(s.terminal_serial.is_not(None)))).all()
    sums = await _sums(connection, [row.session_id for row in states])
    rows = [_row(decode(_Paid, row.state), sums[row.session_id]) for row in states if row.session_id in sums]
    await upsert_many(connection, t.booked_payments, ["session_id"], rows)
    return len(rows)


async def _sums(connection: AsyncConnection, session_ids: list[str]) -> dict[str, Any]:
    e = schema.ledger.c
    receivable, sale = e.account == Account.ACQUIRER, of_sale(e)
    repaired = e.set_key.like(f"{REPAIR}%")
    refund = and_(receivable, not_(sale), not_(repaired))

    def total(condition: ColumnElement[bool], label: str) -> Any:
        return func.coalesce(func.sum(case((condition, e.amount_minor), else_=0)), 0).label(label)

    beside = and_(repaired, e.set_key.like(f"%:{OF_ACQUIRER}:%"))
    query = (
        select(
            e.session_id,
            total(and_(receivable, sale), "sale"),
            total(refund, "refund"),
            total(e.account == Account.COLLECTION_LOSS, "lost"),
            total(and_(e.account == Account.SUSPENSE, not_(beside)), "suspense"),
            func.max(case((refund, e.booked_at))).label("refunded_at"),
        )
        .where(e.session_id.in_(session_ids), e.account.in_(_TELLING))
        .group_by(e.session_id)
    )
    return {row.session_id: row for row in await connection.execute(query)}


def _row(session: _Paid, sums: Any) -> dict[str, Any]:
    paid = session.authorisation
    held_at = session.held_at or session.opened_at
    captured_at = session.captured_at if sums.sale else None
    # A station's clock can be wrong: the end of the charge lies between the hold and the capture.
    due_from = min(
        max(session.ended_at or held_at, held_at), captured_at or datetime.max.replace(tzinfo=held_at.tzinfo)
    )
    return {
        "session_id": session.session_id,
        "account_id": session.account_id,
        "owner_id": session.owner_id,
        "book": f"owner:{session.owner_id}" if session.account_id else PLATFORM,
        "terminal_serial": session.terminal_serial,
        "currency": session.currency,
        "sale_minor": int(sums.sale),
        "refund_minor": -int(sums.refund),
        "lost_minor": int(sums.lost),
        "suspense_minor": -int(sums.suspense),
        "resolved": session.payment in RESOLVED,
        "held_at": held_at,
        "due_from": due_from,
        "captured_at": captured_at,
        "refunded_at": sums.refunded_at,
        "payment_ref": paid.payment_ref[:64],
        "host_key": normal_reference(paid.host_reference),
        "merchant_key": normal_reference(paid.merchant_reference),
        "payment_key": normal_reference(paid.payment_ref),
        "needs_look": True,
    }


async def look_again(connection: AsyncConnection, *conditions: ColumnElement[bool], beside_a_run: bool = False) -> None:
    """Have the payments that meet ``conditions`` judged anew.

    ``beside_a_run``: one may be judging them just now. Those that wait are written too, so that this waits for it.
    """
    b = t.booked_payments
    if not beside_a_run:
        conditions = (*conditions, not_(b.c.needs_look))
    # Locked in the order in which runs do it: neither waits for the other for ever.
    mine = select(b.c.session_id).where(*conditions).order_by(b.c.session_id).with_for_update().correlate(None)
    await connection.execute(update(b).where(b.c.session_id.in_(mine)).values(needs_look=True))


def booked(row: Any) -> BookedPayment:
    """A row of `booked_payments`."""
    return BookedPayment(
        session_id=row.session_id,
        currency=row.currency,
        sale_minor=row.sale_minor,
        held_at=row.held_at,
        due_from=row.due_from,
        captured_at=row.captured_at,
        refund_minor=row.refund_minor,
        refunded_at=row.refunded_at,
        lost_minor=row.lost_minor,
        suspense_minor=row.suspense_minor,
        resolved=row.resolved,
        terminal_serial=row.terminal_serial or "",
        host_key=row.host_key,
        merchant_key=row.merchant_key,
        payment_key=row.payment_key,
    )
