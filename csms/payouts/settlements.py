"""Acquirers' settlements: files that were uploaded, their rows, and what is booked of them.

A file is known by its content and its rows by what they say, so that the same file twice, or two that overlap, change
nothing. A file's rows are written in chunks; the last commit books them: the acquirer paid, and kept its fee.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import orjson
from sqlalchemy import and_, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import ledger
from billing.ledger import PLATFORM
from billing.pan import redact_pans
from billing.reconciliation import SettlementKind, SettlementRow
from billing.settlement_file import RefusedRow, SettlementFile
from csms.payouts.booked_payments import look_again
from sessions.books import Posting, post
from sessions.commands import Command
from sessions.rows import enqueue, insert_for
from storage import reconciliation_schema as t
from storage.engine import writing
from storage.failpoint import failpoint

AT_ONCE = 1000
REFUSED_KEPT = 200
#: A settlement of a day tells of payments of some days before.
BEFORE = timedelta(days=7)

READING, BOOKED = "reading", "booked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way in. ``owner_id``: whose account it is; the platform's own: "platform"."""

    account_id: str
    owner_id: str
    format: str
    name: str
    content_hash: str
    by: str

    @property
    def file_id(self) -> str:
        """The same for the same content of the same account."""
        return f"stl_{hashlib.sha256(f'{self.account_id}|{self.content_hash}'.encode()).hexdigest()[:24]}"


async def take(
    engine: AsyncEngine, upload: Upload, file: SettlementFile, now: datetime, then: Sequence[Command] = ()
) -> bool:
    """Write a file and book it; False where it was there already. A file that a crash cut off is gone on with.

    ``then``: commands that are put into the outbox by the commit that books it.
    """
    file_id = upload.file_id
    async with writing(engine) as connection:
        insert = insert_for(connection)(t.settlement_files).values(_file(upload, file, now))
        await connection.execute(insert.on_conflict_do_nothing(index_elements=["file_id"]))
        if await _state(connection, file_id) == BOOKED:
            return False
    for at in range(0, len(file.rows), AT_ONCE):
        async with writing(engine) as connection:
            rows = [_row(upload, file_id, row) for row in file.rows[at : at + AT_ONCE]]
            insert = insert_for(connection)(t.settlement_rows)
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["row_id"]), rows)
            failpoint("reconciliation.before")
        failpoint("reconciliation.after")
    async with writing(engine) as connection:
        if await _state(connection, file_id) != BOOKED:  # another upload of it may have been quicker
            await _book(connection, upload, file, now)
            await enqueue(connection, then, now)
        failpoint("reconciliation.before")
    failpoint("reconciliation.after")
    return True


async def _state(connection: AsyncConnection, file_id: str) -> str:
    f = t.settlement_files.c
    return str((await connection.execute(select(f.state).where(f.file_id == file_id).with_for_update())).scalar_one())


async def _book(connection: AsyncConnection, upload: Upload, file: SettlementFile, now: datetime) -> None:
    r, f = t.settlement_rows.c, t.settlement_files.c
    taken = select(func.count()).select_from(t.settlement_rows).where(r.file_id == upload.file_id)
    values = {"state": BOOKED, "rows_taken": (await connection.execute(taken)).scalar_one()}
    await connection.execute(update(t.settlement_files).where(f.file_id == upload.file_id).values(values))
    sums = await _sums(connection, upload.file_id)
    book = f"owner:{upload.owner_id}" if upload.account_id else PLATFORM
    postings = [
        Posting(
            set_key=f"settlement:{upload.file_id}:{currency}",
            entries=ledger.acquirer_settlement(gross, fee, currency),
            book=book,
            owner_id=upload.owner_id,
        )
        for currency, (gross, fee) in sorted(sums.items())
    ]
    await post(connection, postings, now)
    if file.settled_from and file.settled_until:  # what it should tell of can be missing from now on
        b = t.booked_payments.c
        first = datetime.combine(file.settled_from, time(), tzinfo=UTC) - BEFORE
        last = datetime.combine(file.settled_until, time(), tzinfo=UTC) + timedelta(days=1)
        captured = (b.captured_at >= first, b.captured_at < last)
        await look_again(connection, b.account_id == upload.account_id, *captured, beside_a_run=True)


async def _sums(connection: AsyncConnection, file_id: str) -> dict[str, tuple[int, int]]:
    """Gross and fee by currency, of the rows that this file brought. Payouts are told in another file's rows."""
    r = t.settlement_rows.c
    sign = case((r.kind == SettlementKind.SALE.value, 1), else_=-1)
    gross = and_(r.kind != SettlementKind.PAYOUT.value, r.kind != SettlementKind.FEE.value)
    query = (
        select(
            r.currency,
            func.sum(case((gross, r.amount_minor * sign), else_=0)).label("gross"),
            func.sum(case((gross, func.coalesce(r.fee_minor, 0)), else_=0)).label("of_rows"),
            func.sum(case((r.kind == SettlementKind.FEE.value, r.amount_minor), else_=0)).label("fees"),
        )
        .where(r.file_id == file_id)
        .group_by(r.currency)
    )
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in await connection.execute(query):
        sums[row.currency] = int(row.gross), int(row.of_rows) + int(row.fees)
    return sums


def _file(upload: Upload, file: SettlementFile, now: datetime) -> dict[str, Any]:
    return {
        "file_id": upload.file_id,
        "account_id": upload.account_id,
        "owner_id": upload.owner_id,
        "format": upload.format,
        "name": redact_pans(upload.name)[:120],
        "state": READING,
        "rows_read": len(file.rows) + len(file.refused),
        "rows_taken": 0,
        "refused": orjson.dumps([[row.line, row.reason] for row in file.refused[:REFUSED_KEPT]]).decode(),
        "rows_refused": len(file.refused),
        "settled_from": file.settled_from,
        "settled_until": file.settled_until,
        "uploaded_by": upload.by,
        "uploaded_at": now,
    }


def _row(upload: Upload, file_id: str, row: SettlementRow) -> dict[str, Any]:
    return {
        "row_id": row.row_id,
        "file_id": file_id,
        "line": row.line,
        "account_id": upload.account_id,
        "owner_id": upload.owner_id,
        "kind": row.kind.value,
        "amount_minor": row.amount_minor,
        "fee_minor": row.fee_minor,
        "currency": row.currency,
        "settled_on": row.settled_on,
        "merchant_id": row.merchant_id,
        "reference": row.reference,
        "keys": orjson.dumps(row.keys).decode(),
    }


def refused_rows(text: str) -> list[RefusedRow]:
    """What a file's `refused` says."""
    return [RefusedRow(line, reason) for line, reason in orjson.loads(text)]
