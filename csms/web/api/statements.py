"""Statements: what each owner is owed for each period, to read and to download. Owners' users see their own."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy import Select, and_, select

from billing.statement import EntryKind, Statement, statement_from_json
from billing.statement_csv import statement_csv
from billing.statement_pdf import render_statement_pdf
from billing.terms import Period
from billing.way import Way
from csms.payouts import payouts
from csms.payouts.drafts import draft
from csms.payouts.statements import current_period
from csms.web.api.operation import ApiCall, Body, Moment, Resource, Shown, nothing_of_yours, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import owner_schema as o
from storage import payout_schema as t
from storage.engine import reading

resource = Resource(
    "statements",
    parameters={
        "statement_id": {
            "type": "string",
            "pattern": r"^ST[0-9]{8,10}$",
            "description": "The statement's number.",
            "example": "ST00000001",
        }
    },
    owned={"statement_id": owned_by(t.statements.c.owner_id, t.statements.c.statement_id)},
)
_HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


class VatShown(Shown):
    """One VAT rate."""

    vat_percent: Decimal | None
    net_minor: int
    vat_minor: int
    gross_minor: int


class WayShown(Shown):
    """One way of paying."""

    way: Way
    sessions: int
    gross_minor: int
    refunds: int = Field(description="How many.")
    refunded_minor: int
    vat: list[VatShown] = Field(description="Of what was sold.")
    refund_vat: list[VatShown] = Field(description="Of what was refunded.")


class FeesShown(Shown):
    """The platform's fees, without VAT but for the last two."""

    sessions: int
    fixed_minor: int
    percent_minor: int
    facilitated_sessions: int = Field(description="Paid through the owner's own processor.")
    facilitation_minor: int
    vat_percent: Decimal
    vat_minor: int
    total_minor: int


class ItemShown(Shown):
    """Anything else that was booked."""

    kind: EntryKind
    booked: str = Field(description="The key of its entries in the ledger.")
    booked_at: datetime
    amount_minor: int


class PartyShown(Shown):
    """Who."""

    name: str
    address: list[str]
    country: str
    organisation_number: str
    vat_number: str


class StatementSummary(Shown):
    """A statement's result. Amounts in minor units; positive is in the owner's favour."""

    statement_id: str = Field(description="Its number; empty: a preview.")
    owner_id: str
    currency: str
    period_start: datetime
    period_end: datetime = Field(description="The first moment after it.")
    closed_at: datetime | None
    opening_minor: int = Field(description="Carried from the one before.")
    payout_minor: int
    carried_minor: int = Field(description="Carried to the next.")


class StatementListed(StatementSummary):
    """A statement, and what became of its payout."""

    payout_state: Literal["none", "waiting", "proposed", "in transit", "executed", "returned"] = Field(
        description="none: nothing is paid out; waiting: no payment file has it yet; returned: it is in the next one."
    )
    waits: str = Field(description="Why it cannot be paid out, where it cannot.")


class StatementDetails(StatementSummary):
    """A whole statement: opening + gross − refunded − fees + items = payout + carried."""

    owner: PartyShown
    platform: PartyShown
    time_zone: str
    period: Period
    gross_minor: int
    refunded_minor: int
    ways: list[WayShown]
    fees: FeesShown
    items: list[ItemShown] = Field(description="Licences, returned payouts, corrections.")
    balance_minor: int
    minimum_payout_minor: int
    facilitated_minor: int = Field(description="Collected by the owner's own processor, and never here.")


class StatementFilter(PageQuery):
    """Which statements."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="Only in this currency.")
    since: Moment | None = Field(None, description="Whose period ends after.")


class PreviewQuery(Body):
    """Which owner's."""

    owner_id: str | None = Field(None, max_length=32, description="Whose; an owner's user may leave it out.")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="Null: the owner's own.")


class LanguageQuery(Body):
    """In which language."""

    lang: Literal["en", "nb"] | None = Field(None, description="Null: the owner's.")


@resource.get("/statements", Page[StatementListed], query=StatementFilter, owners=True)
async def list_statements(call: ApiCall) -> Page[StatementListed]:
    """List statements, the newest first."""
    c, paid, owner = t.statements.c, t.payouts, o.owners.c
    shown = [c[name] for name in StatementSummary.model_fields]
    query: Select[Any] = (
        select(*shown, paid.c.state.label("payout_state"), owner.iban, owner.bic)
        .join_from(t.statements, o.owners, owner.owner_id == c.owner_id)
        .outerjoin(paid, and_(paid.c.statement_id == c.statement_id, paid.c.state != payouts.CANCELLED))
    )
    query = call.mine(query, c.owner_id)
    for name in ("owner_id", "currency"):
        if getattr(call.query, name) is not None:
            query = query.where(c[name] == getattr(call.query, name))
    if call.query.since is not None:
        query = query.where(c.period_end > call.query.since)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.statement_id], call.query, _listed, newest_first=True)


def _listed(row: Any) -> StatementListed:
    waiting = row.payout_minor > 0 and row.payout_state is None
    return StatementListed.of(
        row,
        payout_state=row.payout_state or ("waiting" if waiting else "none"),
        waits=payouts.bank_account(row.iban, row.bic)[1] if waiting else "",
    )


@resource.get("/statement-preview", StatementDetails, query=PreviewQuery, errors=(404,), owners=True)
async def preview_statement(call: ApiCall) -> StatementDetails:
    """Show what the running period's statement would say now. Nothing is closed, and nothing is booked."""
    owner_id = call.query.owner_id or call.owner_id
    if owner_id is None:
        raise Problem(400, "Name the owner: owner_id.")
    call.require_mine(owner_id)
    async with reading(call.api.engine) as connection:
        owner = (await connection.execute(select(o.owners).where(o.owners.c.owner_id == owner_id))).first()
        if owner is None:
            raise nothing_of_yours() if call.owner_id else Problem(404, "There is no owner of this id.")
        start, end = await current_period(connection, owner)
        made = await draft(connection, owner, call.query.currency or owner.currency, start, end)
    return _details(made.statement)


@resource.get("/statements/{statement_id}", StatementDetails, owners=True)
async def get_statement(call: ApiCall) -> StatementDetails:
    """Show a statement, whole: this is also its machine-readable form."""
    return _details(await _statement(call))


@resource.get("/statements/{statement_id}/pdf", None, query=LanguageQuery, content_type="application/pdf", owners=True)
async def get_statement_pdf(call: ApiCall) -> web.Response:
    """Download a statement as PDF."""
    statement = await _statement(call)
    body = await asyncio.to_thread(render_statement_pdf, statement, call.query.lang or statement.language)
    return _file(body, "application/pdf", f"{statement.statement_id}.pdf")


@resource.get("/statements/{statement_id}/csv", None, content_type="text/csv", owners=True)
async def get_statement_csv(call: ApiCall) -> web.Response:
    """Download a statement as CSV."""
    statement = await _statement(call)
    return _file(statement_csv(statement).encode(), "text/csv", f"{statement.statement_id}.csv")


def _file(body: bytes, content_type: str, name: str) -> web.Response:
    headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=body, content_type=content_type, charset=_charset(content_type), headers=headers)


def _charset(content_type: str) -> str | None:
    return "utf-8" if content_type.startswith("text/") else None


async def _statement(call: ApiCall) -> Statement:
    query = select(t.statements.c.document).where(t.statements.c.statement_id == call.path["statement_id"])
    async with reading(call.api.engine) as connection:
        document = (await connection.execute(query)).scalar()
    if document is None:
        raise Problem(404, "There is no statement of this number.")
    return statement_from_json(document)


def _details(statement: Statement) -> StatementDetails:
    return StatementDetails.of(
        statement,
        owner=PartyShown.of(statement.owner),
        platform=PartyShown.of(statement.platform),
        ways=[
            WayShown.of(
                way,
                vat=[VatShown.of(line) for line in way.vat],
                refund_vat=[VatShown.of(line) for line in way.refund_vat],
            )
            for way in statement.ways
        ],
        fees=FeesShown.of(statement.fees),
        items=[ItemShown.of(item) for item in statement.items],
    )
