"""Return files, booked: each thing the bank says is matched by its reference, and told back with what became of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.money import to_major
from billing.pan import redact_pans
from csms.payouts import payouts
from csms.payouts.return_files import MAX_LINES, ReturnFile, ReturnFileError, Said, Told, read_return_file
from sessions.rows import insert_for
from storage import payout_schema as t
from storage.engine import writing

UNKNOWN = "unknown reference"
DIFFERS = "amount differs"
BOOKED_BEFORE = "booked before"
PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing the bank said. ``outcome``: executed, returned, or why nothing was booked."""

    reference: str
    said: str
    outcome: str
    amount: str
    currency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A file's lines. ``again``: it was imported before, and nothing was changed now."""

    kind: str
    lines: tuple[Line, ...]
    others: int
    again: bool = False


async def import_return_file(engine: AsyncEngine, content: bytes, *, by: str, now: datetime) -> Report:
    """Read a file and book what it says, all in one transaction. Raises `csms.payouts.return_files.ReturnFileError`."""
    read = await asyncio.to_thread(read_return_file, content)
    sha256 = hashlib.sha256(content).hexdigest()
    async with writing(engine) as connection:
        mine = {"sha256": sha256, "kind": read.kind, "imported_by": by, "imported_at": now, "report": ""}
        insert = insert_for(connection)(t.return_files).values(mine).on_conflict_do_nothing(index_elements=["sha256"])
        if not (await connection.execute(insert)).rowcount:
            query = select(t.return_files.c.report).where(t.return_files.c.sha256 == sha256)
            return report_from_json((await connection.execute(query)).scalar_one(), again=True)
        report = await _book_all(connection, read, now)
        done = orjson.dumps(asdict(report)).decode()
        await connection.execute(update(t.return_files).where(t.return_files.c.sha256 == sha256).values(report=done))
    return report


def report_from_json(text: str, *, again: bool = False) -> Report:
    """A stored report."""
    said = orjson.loads(text)
    lines = tuple(Line(**line) for line in said["lines"])
    return Report(kind=said["kind"], lines=lines, others=said["others"], again=again)


async def _book_all(connection: AsyncConnection, read: ReturnFile, now: datetime) -> Report:
    lines: list[Line] = []
    for told in read.told:
        found = await payouts.sent(connection, statement_id=told.end_to_end_id, batch_id=told.batch_id)
        if not found:
            lines.append(_line(told, told.end_to_end_id or told.batch_id, UNKNOWN))
        elif not _is_meant(told, found):
            lines.append(_line(told, told.end_to_end_id or told.batch_id, DIFFERS))
        else:
            lines += [_line(told, one.statement_id, await _book(connection, told, one, now)) for one in found]
        if len(lines) > MAX_LINES:
            raise ReturnFileError(f"The file says more than {MAX_LINES} things; ask the bank for smaller ones.")
    return Report(kind=read.kind, lines=tuple(lines), others=read.others)


def _is_meant(told: Told, found: Sequence[Any]) -> bool:
    """Whether the file means this amount; one that says none is believed. Of a batch: what was not returned before."""
    left = [one for one in found if one.state != payouts.RETURNED]
    if told.amount is None or not left:
        return True
    expected = to_major(sum(one.amount_minor for one in left), left[0].currency)
    return told.amount == expected and told.currency in {left[0].currency, ""}


async def _book(connection: AsyncConnection, told: Told, payout: Any, now: datetime) -> str:
    if told.said is Said.PENDING:
        return PENDING
    if told.said is Said.EXECUTED:
        return payouts.EXECUTED if await payouts.book_executed(connection, payout, now) else BOOKED_BEFORE
    reason = redact_pans(told.reason) or "returned by the bank"
    return payouts.RETURNED if await payouts.book_returned(connection, payout, reason, now) else BOOKED_BEFORE


def _line(told: Told, reference: str, outcome: str) -> Line:
    return Line(
        reference=redact_pans(reference),
        said=told.said.value,
        outcome=outcome,
        amount="" if told.amount is None else f"{told.amount:f}",
        currency=told.currency,
        reason=redact_pans(told.reason),
    )
