"""Payouts: statements become a batch, the batch a payment file, and the bank says what became of each payment.

A batch is proposed by one person and, unless the settings say otherwise, released by another. The release makes the
file, once, in the commit that books it: what each owner was owed is in transit then. A statement is in one batch that
was not cancelled; its number is the payment's EndToEndId, by which the bank's word is matched.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException
from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import ledger
from billing.ledger import Account
from billing.money import format_money
from billing.statement import EntryKind, payout_key
from csms.payouts.payment_file import BankAccount, Debtor, Payment, PaymentFileError, payment_file
from sessions.books import Posting, post
from sessions.rows import next_number
from storage import owner_schema as o
from storage import payout_schema as t
from storage import schema as s
from storage.engine import reading, writing

PROPOSED, RELEASED, CANCELLED = "proposed", "released", "cancelled"
IN_TRANSIT, EXECUTED, RETURNED = "in transit", "executed", "returned"
#: The counter of batch numbers.
NUMBERS = "payout-batch"


class PayoutRefusedError(Exception):
    """It cannot be done; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """A statement to be paid out. ``waits``: why it cannot be yet, or ""."""

    statement_id: str
    owner_id: str
    currency: str
    amount_minor: int
    creditor: str
    account: BankAccount | None
    waits: str


async def payable(connection: AsyncConnection, currency: str | None = None) -> list[Payable]:
    """Statements with a payout that no batch pays yet, the oldest first."""
    c, paid = t.statements.c, t.payouts
    owners = o.owners.c
    query = (
        select(c.statement_id, c.owner_id, c.currency, c.payout_minor, owners.legal_name, owners.iban, owners.bic)
        .join_from(t.statements, o.owners, owners.owner_id == c.owner_id)
        .outerjoin(paid, and_(paid.c.statement_id == c.statement_id, paid.c.state != CANCELLED))
        .where(c.payout_minor > 0, paid.c.statement_id.is_(None))
        .order_by(c.statement_id)
    )
    if currency is not None:
        query = query.where(c.currency == currency)
    return [_payable(row) for row in await connection.execute(query)]


def _payable(row: Any) -> Payable:
    account, waits = bank_account(row.iban, row.bic)
    return Payable(
        statement_id=row.statement_id,
        owner_id=row.owner_id,
        currency=row.currency,
        amount_minor=row.payout_minor,
        creditor=row.legal_name,
        account=account,
        waits=waits,
    )


def bank_account(iban: str | None, bic: str | None) -> tuple[BankAccount | None, str]:
    """An owner's account, checked; or None, and why nothing can be paid to it."""
    if not iban:
        return None, "The owner has no bank account: enter its IBAN."
    try:
        checked = IBAN(iban)
        bank = BIC(bic) if bic else checked.bic
    except SchwiftyException:
        return None, "The owner's IBAN or BIC is not valid: enter it anew."
    return BankAccount(iban=checked.compact, bic=bank.compact if bank else None), ""


async def propose(
    connection: AsyncConnection,
    debtor: Debtor,
    currency: str,
    *,
    execution_date: date,
    by: str,
    creator: str,
    now: datetime,
) -> str:
    """Put every statement that can be paid in ``currency`` into a batch; return its id. Raises `PayoutRefusedError`."""
    if currency not in debtor.accounts:
        raise PayoutRefusedError(f"No account in {currency} is configured: add one to payouts.accounts.")
    batch_id = f"PB{await next_number(connection, NUMBERS):08}"  # locks: of two proposals one sees what the other took
    found = await payable(connection, currency)
    ready = [one for one in found if one.account is not None]
    if not ready:
        waiting = f"; {len(found)} wait: {found[0].waits}" if found else ""
        raise PayoutRefusedError(f"No statement in {currency} can be paid out now{waiting}.")
    await connection.execute(
        t.payout_batches.insert().values(
            batch_id=batch_id,
            state=PROPOSED,
            currency=currency,
            execution_date=execution_date,
            payments=len(ready),
            total_minor=sum(one.amount_minor for one in ready),
            created_by=by,
            creator=creator,
            created_at=now,
        )
    )
    rows = [
        {
            "batch_id": batch_id,
            "statement_id": one.statement_id,
            "owner_id": one.owner_id,
            "state": PROPOSED,
            "currency": currency,
            "amount_minor": one.amount_minor,
            "creditor": one.creditor,
            "iban": one.account.iban,
            "bic": one.account.bic,
        }
        for one in ready
        if one.account is not None
    ]
    await connection.execute(t.payouts.insert(), rows)
    return batch_id


async def release(engine: AsyncEngine, debtor: Debtor, batch_id: str, *, by: str, token_id: str, now: datetime) -> None:
    """Make the payment file and book it. Raises `PayoutRefusedError`, `PaymentFileError`: nothing is written then."""
    async with reading(engine) as connection:
        batch, rows = await _releasable(connection, debtor, batch_id, token_id)
    content = await asyncio.to_thread(
        payment_file,
        debtor,
        [_payment(row) for row in rows],
        batch_id=batch_id,
        currency=batch.currency,
        execution_date=batch.execution_date,
        created_at=now,
    )
    async with writing(engine) as connection:
        batch, rows = await _releasable(connection, debtor, batch_id, token_id)  # nobody was quicker
        await _send(connection, rows, now)
        await connection.execute(
            update(t.payouts)
            .where(t.payouts.c.batch_id == batch_id, t.payouts.c.state == PROPOSED)
            .values(state=IN_TRANSIT)
        )
        await connection.execute(
            update(t.payout_batches)
            .where(t.payout_batches.c.batch_id == batch_id)
            .values(
                state=RELEASED,
                released_by=by,
                released_at=now,
                file=content.decode(),
                file_sha256=hashlib.sha256(content).hexdigest(),
            )
        )


async def _releasable(
    connection: AsyncConnection, debtor: Debtor, batch_id: str, token_id: str
) -> tuple[Any, list[Any]]:
    batch = await locked_batch(connection, batch_id)
    if batch.state != PROPOSED:
        raise PayoutRefusedError(f"The batch is {batch.state} already.")
    if debtor.four_eyes and batch.creator == token_id:
        raise PayoutRefusedError("Another person has to release what you proposed (payouts.four_eyes).")
    if batch.currency not in debtor.accounts:
        raise PaymentFileError(f"No account in {batch.currency} is configured: add one to payouts.accounts.")
    owners = o.owners.c
    query = (
        select(t.payouts, owners.iban.label("iban_now"), owners.bic.label("bic_now"))
        .join(o.owners, owners.owner_id == t.payouts.c.owner_id)
        .where(t.payouts.c.batch_id == batch_id)
        .order_by(t.payouts.c.statement_id)
    )
    rows = list((await connection.execute(query)).all())
    for row in rows:
        if bank_account(row.iban_now, row.bic_now)[0] != BankAccount(iban=row.iban, bic=row.bic):
            raise PayoutRefusedError(
                f"The bank account of {row.creditor} ({row.owner_id}) was changed since this batch was proposed: "
                "find out who changed it, then cancel the batch and propose another one."
            )
    return batch, rows


def _payment(row: Any) -> Payment:
    return Payment(
        end_to_end_id=row.statement_id,
        creditor=row.creditor,
        account=BankAccount(iban=row.iban, bic=row.bic),
        amount_minor=row.amount_minor,
        description=f"Statement {row.statement_id}",
    )


async def _send(connection: AsyncConnection, rows: Iterable[Any], now: datetime) -> None:
    """Book payments as sent; the entry that takes them out of OWNER_PAYABLE belongs to the statement it pays."""
    sent = {payout_key(row.statement_id, "sent"): row for row in rows}
    await post(
        connection,
        [
            Posting(set_key=key, entries=ledger.payout(row.amount_minor, row.currency), owner_id=row.owner_id)
            for key, row in sent.items()
        ],
        now,
    )
    keys = list(sent)
    for first in range(0, len(keys), 1000):
        some = keys[first : first + 1000]
        mine = (s.ledger.c.set_key.in_(some), s.ledger.c.account == Account.OWNER_PAYABLE.value)
        found = await connection.execute(select(s.ledger.c.entry_id, s.ledger.c.set_key).where(*mine))
        entries = [
            {
                "entry_id": entry.entry_id,
                "statement_id": sent[entry.set_key].statement_id,
                "kind": EntryKind.PAYOUT.value,
                "amount_minor": -sent[entry.set_key].amount_minor,
            }
            for entry in found
        ]
        await connection.execute(t.statement_entries.insert(), entries)


async def cancel(connection: AsyncConnection, batch_id: str) -> None:
    """Give a proposed batch up; its statements can be paid by another one. Raises `PayoutRefusedError`."""
    batch = await locked_batch(connection, batch_id)
    if batch.state != PROPOSED:
        raise PayoutRefusedError(f"The batch is {batch.state}; only a proposed one can be cancelled.")
    for table in (t.payout_batches, t.payouts):
        await connection.execute(update(table).where(table.c.batch_id == batch_id).values(state=CANCELLED))


async def locked_batch(connection: AsyncConnection, batch_id: str) -> Any:
    """The batch's row, locked until the commit. Raises `PayoutRefusedError` if there is none."""
    query = select(t.payout_batches).where(t.payout_batches.c.batch_id == batch_id).with_for_update()
    batch = (await connection.execute(query)).first()
    if batch is None:
        raise PayoutRefusedError("There is no payout batch of this id.")
    return batch


async def sent(connection: AsyncConnection, *, statement_id: str = "", batch_id: str = "") -> list[Any]:
    """Payouts that went out, of a statement or of a batch, locked until the commit."""
    c = t.payouts.c
    query = select(t.payouts).where(c.state.in_([IN_TRANSIT, EXECUTED, RETURNED])).order_by(c.statement_id)
    query = query.where(c.statement_id == statement_id) if statement_id else query.where(c.batch_id == batch_id)
    return list((await connection.execute(query.with_for_update())).all())


async def book_executed(connection: AsyncConnection, payout: Any, now: datetime) -> bool:
    """The payment has left the bank account; False if that, or its return, is known already."""
    if payout.state != IN_TRANSIT:
        return False
    entries = ledger.payout_executed(payout.amount_minor, payout.currency)
    await _book(connection, payout, "executed", entries, now)
    await _set(connection, payout, state=EXECUTED, executed_at=now)
    return True


async def book_returned(connection: AsyncConnection, payout: Any, reason: str, now: datetime) -> bool:
    """The payment was rejected or came back: it goes into the owner's next statement. False if that is known."""
    if payout.state == RETURNED:
        return False
    executed = payout.state == EXECUTED
    entries = ledger.payout_returned(payout.amount_minor, payout.currency, executed=executed)
    await _book(connection, payout, "returned", entries, now)
    await _set(connection, payout, state=RETURNED, returned_at=now, return_reason=reason[:200])
    return True


async def _book(connection: AsyncConnection, payout: Any, what: str, entries: ledger.EntrySet, now: datetime) -> None:
    key = payout_key(payout.statement_id, what)
    await post(connection, [Posting(set_key=key, entries=entries, owner_id=payout.owner_id)], now)


async def _set(connection: AsyncConnection, payout: Any, **changes: Any) -> None:
    c = t.payouts.c
    mine = (c.batch_id == payout.batch_id, c.statement_id == payout.statement_id)
    await connection.execute(update(t.payouts).where(*mine).values(changes))


def in_words(payout: Any) -> str:
    """A payout for a person."""
    return f"{format_money(payout.amount_minor, payout.currency, 'en')} to {payout.creditor}"
