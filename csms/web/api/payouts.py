"""Payouts: batches of statements, their payment files, and what the bank says of them."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date, datetime, timedelta
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.pan import redact_pans
from csms.payouts import payouts, returns
from csms.payouts.payment_file import PaymentFileError
from csms.payouts.payouts import PayoutRefusedError
from csms.payouts.return_files import MAX_BYTES, ReturnFileError
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.sent_file import sent_content
from storage import payout_schema as t
from storage.engine import reading, writing

resource = Resource(
    "payouts",
    parameters={
        "batch_id": {
            "type": "string",
            "pattern": r"^PB[0-9]{8,10}$",
            "description": "The batch's number.",
            "example": "PB00000001",
        }
    },
)
#: A bank takes no payment that is due much later.
FURTHEST = timedelta(days=60)


class PayableShown(Shown):
    """A statement that is to be paid out, and is in no batch."""

    statement_id: str
    owner_id: str
    currency: str
    amount_minor: int
    creditor: str
    waits: str = Field(description="Why it cannot be paid out; empty: the next batch has it.")


class Payable(Shown):
    """All that is to be paid out."""

    items: list[PayableShown]


class PayoutShown(Shown):
    """One payment."""

    statement_id: str = Field(description="Also the payment's EndToEndId.")
    owner_id: str
    state: Literal["proposed", "in transit", "executed", "returned", "cancelled"]
    amount_minor: int
    creditor: str
    iban: str
    bic: str | None
    executed_at: datetime | None
    returned_at: datetime | None
    return_reason: str | None


class BatchShown(Shown):
    """A batch of payouts."""

    batch_id: str = Field(description="Also the payment file's MsgId.")
    state: Literal["proposed", "released", "cancelled"]
    currency: str
    execution_date: date
    payments: int
    total_minor: int
    created_by: str
    created_at: datetime
    released_by: str | None
    released_at: datetime | None
    file_sha256: str | None


class BatchDetails(BatchShown):
    """A batch and its payments."""

    payouts: list[PayoutShown]


class BatchWanted(Body):
    """A batch: every statement in the currency that can be paid out."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217.")
    execution_date: date | None = Field(None, description="When the bank is to pay; null: today.")


class PayoutReturned(Body):
    """A return that no file tells, or tells with another amount."""

    reason: str = Field(min_length=3, max_length=200, description="What the bank said.")


class LineShown(Shown):
    """One thing the bank said."""

    reference: str = Field(description="EndToEndId, or the batch's number.")
    said: str = Field(description="executed, returned (also: rejected), or pending.")
    outcome: str = Field(
        description="executed, returned, pending; or why nothing was booked: booked before, amount differs, "
        "unknown reference."
    )
    amount: str = Field(description="Major units; empty: the file does not say it.")
    currency: str
    reason: str


class ReportShown(Shown):
    """What a return file said, and what became of it."""

    kind: str = Field(description="pain.002, camt.053, camt.054.")
    again: bool = Field(description="It was imported before: nothing was changed now.")
    others: int = Field(description="Entries that name no payment of anybody.")
    lines: list[LineShown]


class ReturnFileShown(Shown):
    """A return file that was imported."""

    sha256: str
    kind: str
    imported_by: str
    imported_at: datetime


@resource.get("/payable-statements", Payable)
async def list_payable_statements(call: ApiCall) -> Payable:
    """List the statements that are to be paid out and are in no batch, and why some have to wait."""
    async with reading(call.api.engine) as connection:
        found = await payouts.payable(connection)
    return Payable(items=[PayableShown.of(one) for one in found])


@resource.get("/payout-batches", Page[BatchShown], query=PageQuery)
async def list_payout_batches(call: ApiCall) -> Page[BatchShown]:
    """List payout batches, the newest first."""
    c = t.payout_batches.c
    query = select(*(c[name] for name in BatchShown.model_fields))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.batch_id], call.query, BatchShown.of, newest_first=True)


@resource.get("/payout-batches/{batch_id}", BatchDetails)
async def get_payout_batch(call: ApiCall) -> BatchDetails:
    """Show a batch and its payments: this is what a second person looks at before it is released."""
    batch_id = call.path["batch_id"]
    async with reading(call.api.engine) as connection:
        batch = await _batch(connection, batch_id)
        query = select(t.payouts).where(t.payouts.c.batch_id == batch_id).order_by(t.payouts.c.statement_id)
        paid = (await connection.execute(query)).all()
    return BatchDetails.of(batch, payouts=[PayoutShown.of(row) for row in paid])


@resource.operation(
    "POST", "/payout-batches", role=Role.OPERATOR, body=BatchWanted, answers={201: BatchDetails}, errors=(409,)
)
async def propose_payout_batch(call: ApiCall) -> Reply:
    """Put every statement in a currency that can be paid out into a batch. Nothing is booked or sent yet."""
    today = call.now.date()
    execution_date = call.body.execution_date or today
    if not today <= execution_date <= today + FURTHEST:
        raise Problem(422, f"execution_date is from today to {FURTHEST.days} days from now.")
    async with writing(call.api.engine) as connection:
        call.path["batch_id"] = await _or_refuse(
            payouts.propose(
                connection,
                call.api.debtor,
                call.body.currency,
                execution_date=execution_date,
                by=call.caller.actor,
                creator=call.caller.token_id,
                now=call.now,
            )
        )
    location = f"{PREFIX}/payout-batches/{call.path['batch_id']}"
    return Reply(await get_payout_batch(call), 201, {"Location": location})


@resource.operation(
    "POST", "/payout-batches/{batch_id}/release", role=Role.OPERATOR, answers={200: BatchDetails}, errors=(409,)
)
async def release_payout_batch(call: ApiCall) -> BatchDetails:
    """Make the payment file, once, and book its payments as in transit.

    With payouts.four_eyes another token than the proposal's has to do it. Upload the file to the bank afterwards.
    """
    async with reading(call.api.engine) as connection:
        await _batch(connection, call.path["batch_id"])
    await _or_refuse(
        payouts.release(
            call.api.engine,
            call.api.debtor,
            call.path["batch_id"],
            by=call.caller.actor,
            token_id=call.caller.token_id,
            now=call.now,
        )
    )
    return await get_payout_batch(call)


@resource.operation(
    "POST", "/payout-batches/{batch_id}/cancellation", role=Role.OPERATOR, answers={200: BatchDetails}, errors=(409,)
)
async def cancel_payout_batch(call: ApiCall) -> BatchDetails:
    """Give a proposed batch up; its statements can be paid out by another one."""
    async with writing(call.api.engine) as connection:
        await _batch(connection, call.path["batch_id"])
        await _or_refuse(payouts.cancel(connection, call.path["batch_id"]))
    return await get_payout_batch(call)


@resource.get(
    "/payout-batches/{batch_id}/file", None, role=Role.OPERATOR, errors=(409,), content_type="application/xml"
)
async def get_payment_file(call: ApiCall) -> web.Response:
    """Download the payment file (ISO 20022 pain.001): the same bytes every time. Give it to the bank once."""
    async with reading(call.api.engine) as connection:
        batch = await _batch(connection, call.path["batch_id"])
    if batch.file is None:
        raise Problem(409, f"The batch is {batch.state}: its file is made when it is released.")
    headers = {
        "Content-Disposition": f'attachment; filename="{batch.batch_id}.xml"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=batch.file.encode(), content_type="application/xml", charset="utf-8", headers=headers)


@resource.operation(
    "POST", "/payout-batches/{batch_id}/execution", role=Role.OPERATOR, answers={200: BatchDetails}, errors=(409,)
)
async def execute_payout_batch(call: ApiCall) -> BatchDetails:
    """Enter that a released batch has left the bank account, where no camt file tells it."""
    async with writing(call.api.engine) as connection:
        batch = await _batch(connection, call.path["batch_id"])
        if batch.state != payouts.RELEASED:
            raise Problem(409, f"The batch is {batch.state}; only a released one can have been executed.")
        for one in await payouts.sent(connection, batch_id=batch.batch_id):
            await payouts.book_executed(connection, one, call.now)
    return await get_payout_batch(call)


@resource.operation(
    "POST",
    "/statements/{statement_id}/payout-return",
    role=Role.OPERATOR,
    body=PayoutReturned,
    answers={200: PayoutShown},
    errors=(409,),
)
async def return_payout(call: ApiCall) -> PayoutShown:
    """Enter that a payout came back, where no file tells it: the owner is owed it again, in the next statement."""
    statement_id = call.path["statement_id"]
    async with writing(call.api.engine) as connection:
        found = await payouts.sent(connection, statement_id=statement_id)
        if not found:
            raise Problem(404, "No payout of this statement was sent.")
        if not await payouts.book_returned(connection, found[0], redact_pans(call.body.reason), call.now):
            raise Problem(409, "This payout is booked as returned already.")
        (returned,) = await payouts.sent(connection, statement_id=statement_id)
    return PayoutShown.of(returned)


@resource.operation(
    "POST", "/return-files", role=Role.OPERATOR, takes_file=True, answers={200: ReportShown}, errors=(400,)
)
async def import_return_file(call: ApiCall) -> ReportShown:
    """Import what the bank says of payments: pain.002, camt.053 or camt.054, as the request's body.

    Payments are matched by EndToEndId. What came back goes into the owner's next statement. The same file twice changes
    nothing.
    """
    _, content = await sent_content(call, MAX_BYTES, f"A return file may have {MAX_BYTES} bytes.")
    try:
        report = await returns.import_return_file(call.api.engine, content, by=call.caller.actor, now=call.now)
    except ReturnFileError as refused:
        raise Problem(400, str(refused)) from None
    return _report(report)


@resource.get("/return-files", Page[ReturnFileShown], query=PageQuery)
async def list_return_files(call: ApiCall) -> Page[ReturnFileShown]:
    """List the return files that were imported, the newest first."""
    c = t.return_files.c
    query = select(*(c[name] for name in ReturnFileShown.model_fields))
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection,
            query,
            [c.imported_at, c.sha256],
            call.query,
            ReturnFileShown.of,
            newest_first=True,
        )


def _report(report: returns.Report) -> ReportShown:
    return ReportShown.of(report, lines=[LineShown.of(line) for line in report.lines])


async def _batch(connection: AsyncConnection, batch_id: str) -> Any:
    query = select(t.payout_batches).where(t.payout_batches.c.batch_id == batch_id)
    row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no payout batch of this number.")
    return row


async def _or_refuse(doing: Awaitable[Any]) -> Any:
    try:
        return await doing
    except (PayoutRefusedError, PaymentFileError) as refused:
        raise Problem(409, str(refused)) from None
