"""Refunds: proposed with the entries they would write, decided by a person, confirmed when the acquirer has paid."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cost_json import cost_from_json
from billing.ledger import PLATFORM, Account
from billing.pan import redact_pans
from billing.refund import RefundError
from csms.payouts import refunds
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import payout_schema as t
from storage import schema as s
from storage.engine import reading, writing

resource = Resource(
    "refunds",
    parameters={
        "refund_id": {
            "type": "string",
            "pattern": r"^rfd_[0-9a-f]{24}$",
            "description": "As it was answered.",
            "example": "rfd_0123456789abcdef01234567",
        }
    },
)

#: Collected by an owner's own processor.
OWNERS = "own processor"
_HOW: dict[str, str] = {
    Account.ACQUIRER: "Ask the acquirer to refund this amount of the authorisation with host_reference; the terminals' "
    "cloud has no refund. Then confirm with the acquirer's reference.",
    OWNERS: "The owner's own processor collected: the owner asks its acquirer to refund this amount of the "
    "authorisation with host_reference. Then confirm with the acquirer's reference.",
    Account.STATION_ACQUIRER: "The station's own terminal collected: ask its provider to refund this amount, with the "
    "payment's reference. Then confirm with the provider's reference.",
    Account.CONTRACTS: "Nothing was paid with a card: credit this amount on the next bill of the contract behind the "
    "id token. Then confirm with that bill's number.",
}


class VatShare(Body):
    """What to pay back under one VAT rate."""

    vat_percent: Decimal | None = Field(ge=0, le=100, description="The rate, as on the receipt; null: no VAT.")
    gross_minor: int = Field(gt=0, lt=2**53, description="With VAT, minor units.")


class RefundWanted(Body):
    """A refund. Without an amount: all that is left."""

    amount_minor: int | None = Field(
        None, gt=0, lt=2**53, description="With VAT, minor units; taken from each VAT rate in proportion."
    )
    vat_lines: list[VatShare] | None = Field(None, min_length=1, max_length=20, description="Or per VAT rate.")
    reason: str = Field(min_length=3, max_length=500, description="Why; it is kept with the refund.")

    @model_validator(mode="after")
    def _one_amount(self) -> RefundWanted:
        if self.amount_minor is not None and self.vat_lines is not None:
            raise ValueError("give amount_minor or vat_lines, not both")
        rates = [line.vat_percent for line in self.vat_lines or ()]
        if len(set(rates)) != len(rates):
            raise ValueError("name each VAT rate once")
        return self


class RefundConfirmed(Body):
    """That the money went back."""

    acquirer_reference: str = Field(
        min_length=1,
        max_length=80,
        description="The refund's own reference, as the acquirer or its settlement says it.",
    )


class VatLineShown(Shown):
    """One VAT rate."""

    vat_percent: Decimal | None
    net_minor: int
    vat_minor: int
    gross_minor: int


class EntryShown(Shown):
    """A ledger entry: positive is a debit."""

    book: str
    account: str
    amount_minor: int
    currency: str


class RefundShown(Shown):
    """A refund."""

    refund_id: str
    session_id: str
    owner_id: str
    state: Literal["proposed", "asked", "confirmed", "withdrawn"] = Field(
        description="proposed: nothing is booked; asked: booked, the acquirer is to pay; confirmed: it has."
    )
    currency: str
    amount_minor: int = Field(description="With VAT.")
    vat_lines: list[VatLineShown]
    reason: str
    host_reference: str = Field(description="The acquirer's reference of the authorisation.")
    what_to_do: str = Field(description="How the money is paid back.")
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    credit_note_url: str | None = Field(description="Null: not decided, or no sales document was issued.")
    confirmed_by: str | None
    confirmed_at: datetime | None
    acquirer_reference: str | None


class RefundWithEntries(RefundShown):
    """A refund and its ledger entries: what it would write while it is proposed, afterwards what it has written."""

    entries: list[EntryShown]


class RefundFilter(PageQuery):
    """Which refunds."""

    session_id: str | None = Field(None, max_length=40, description="Only of this session.")
    owner_id: str | None = Field(None, max_length=32, description="Only of this owner's sessions.")
    state: Literal["proposed", "asked", "confirmed", "withdrawn"] | None = Field(None, description="Only these.")


@resource.get("/refunds", Page[RefundShown], query=RefundFilter)
async def list_refunds(call: ApiCall) -> Page[RefundShown]:
    """List refunds, the newest first."""
    c = t.refunds.c
    query = select(t.refunds)
    for name in ("session_id", "owner_id", "state"):
        if getattr(call.query, name) is not None:
            query = query.where(c[name] == getattr(call.query, name))
    async with reading(call.api.engine) as connection:
        keys = [c.proposed_at, c.refund_id]
        return await fetch_page(
            connection, query, keys, call.query, lambda row: RefundShown(**_shown(call, row)), newest_first=True
        )


@resource.get("/refunds/{refund_id}", RefundWithEntries)
async def get_refund(call: ApiCall) -> RefundWithEntries:
    """Show a refund and its entries."""
    async with reading(call.api.engine) as connection:
        return await _details(call, connection, call.path["refund_id"])


@resource.operation(
    "POST",
    "/sessions/{session_id}/refunds",
    role=Role.SUPPORT,
    body=RefundWanted,
    answers={201: RefundWithEntries},
    errors=(409,),
)
async def propose_refund(call: ApiCall) -> Reply:
    """Propose a refund: nothing is booked, the answer shows the entries that it would write."""
    body: RefundWanted = call.body
    session_id = call.path["session_id"]
    async with writing(call.api.engine) as connection:
        known = select(s.sessions.c.session_id).where(s.sessions.c.session_id == session_id)
        if (await connection.execute(known)).first() is None:
            raise Problem(404, "There is no session of this id.")
        try:
            refund_id = await refunds.propose(
                connection,
                session_id,
                amount_minor=body.amount_minor,
                by_rate={line.vat_percent: line.gross_minor for line in body.vat_lines} if body.vat_lines else None,
                reason=redact_pans(body.reason),
                by=call.caller.actor,
                now=call.now,
            )
        except RefundError as refused:
            raise Problem(409, str(refused)) from None
        shown = await _details(call, connection, refund_id)
    return Reply(shown, 201, {"Location": f"{PREFIX}/refunds/{refund_id}"})


@resource.operation(
    "POST", "/refunds/{refund_id}/decision", role=Role.OPERATOR, answers={200: RefundWithEntries}, errors=(409,)
)
async def decide_refund(call: ApiCall) -> RefundWithEntries:
    """Carry a proposed refund out: its entries are booked, and its credit note is issued, in one commit.

    Asked for twice it is carried out once. The money itself is paid back by the acquirer: `what_to_do` says how.
    """
    refund_id = call.path["refund_id"]
    async with reading(call.api.engine) as connection:
        row = await _row(connection, refund_id)
    if row.state == refunds.WITHDRAWN:
        raise Problem(409, "This proposal was withdrawn; make another one.")
    try:
        await call.api.service.submit(refunds.decided(refund_id, row.session_id, call.caller.actor, call.now))
    except RefundError as refused:
        raise Problem(409, str(refused)) from None
    return await get_refund(call)


@resource.operation(
    "POST", "/refunds/{refund_id}/withdrawal", role=Role.SUPPORT, answers={200: RefundWithEntries}, errors=(409,)
)
async def withdraw_refund(call: ApiCall) -> RefundWithEntries:
    """Withdraw a proposal that nobody has decided on."""
    return await _moved(call, refunds.withdraw)


@resource.operation(
    "POST",
    "/refunds/{refund_id}/confirmation",
    role=Role.OPERATOR,
    body=RefundConfirmed,
    answers={200: RefundWithEntries},
    errors=(409,),
)
async def confirm_refund(call: ApiCall) -> RefundWithEntries:
    """Enter that the acquirer has paid a refund back."""
    reference = redact_pans(call.body.acquirer_reference)
    by, now = call.caller.actor, call.now
    return await _moved(call, lambda c, refund_id: refunds.confirm(c, refund_id, reference=reference, by=by, now=now))


async def _moved(call: ApiCall, move: Any) -> RefundWithEntries:
    refund_id = call.path["refund_id"]
    async with writing(call.api.engine) as connection:
        await _row(connection, refund_id)
        try:
            await move(connection, refund_id)
        except RefundError as refused:
            raise Problem(409, str(refused)) from None
        return await _details(call, connection, refund_id)


async def _row(connection: AsyncConnection, refund_id: str) -> Any:
    row = (await connection.execute(select(t.refunds).where(t.refunds.c.refund_id == refund_id))).first()
    if row is None:
        raise Problem(404, "There is no refund of this id.")
    return row


def _shown(call: ApiCall, row: Any) -> dict[str, Any]:
    cost = cost_from_json(orjson.loads(row.cost))
    base = call.api.public_url.rstrip("/")
    own = {name: getattr(row, name) for name in RefundShown.model_fields if hasattr(row, name)}
    return own | {
        "vat_lines": [VatLineShown.of(line) for line in cost.vat],
        "what_to_do": _HOW[row.receivable if row.book == PLATFORM else OWNERS],
        "credit_note_url": f"{base}/r/{row.receipt_token}" if row.receipt_token else None,
    }


async def _details(call: ApiCall, connection: AsyncConnection, refund_id: str) -> RefundWithEntries:
    row = await _row(connection, refund_id)
    sold = await refunds.sold_by(connection, row.session_id)
    back = cost_from_json(orjson.loads(row.cost))
    entries = [
        EntryShown(
            book=posting.book, account=entry.account.value, amount_minor=entry.amount_minor, currency=entry.currency
        )
        for posting in sold.postings(refund_id, back)
        for entry in posting.entries.entries
    ]
    return RefundWithEntries(**_shown(call, row), entries=entries)
