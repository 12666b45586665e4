"""Reconciliation: the accounts that are reconciled, how far their sides have told, and the runs."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from billing.reconciliation import Side
from csms.payouts.reconciliation import run_of
from csms.payouts.settlements import BOOKED
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from sessions.rows import enqueue
from storage import owner_schema
from storage import reconciliation_schema as t
from storage.engine import reading, writing


async def _holder(connection: AsyncConnection, name: str) -> str | None:
    """Whose an account is."""
    if name == PLATFORM:
        return PLATFORM
    a = owner_schema.processor_accounts.c
    found: str | None = (await connection.execute(select(a.owner_id).where(a.account_id == name))).scalar()
    return found


resource = Resource(
    "reconciliation",
    parameters={
        "reconciled_account": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9_-]{1,40}$",
            "description": "A processor account, or `platform` for the platform's own.",
            "example": PLATFORM,
        }
    },
    owned={"reconciled_account": _holder},
)


class AccountShown(Shown):
    """How far an account's sides have told everything. Nothing is missed beyond that."""

    account: str = Field(description="A processor account's id, or `platform`.")
    owner_id: str
    provider_from: datetime | None = Field(description="Payments from before are not looked for at the provider.")
    provider_until: datetime | None = Field(description="When the provider was last read to its end.")
    provider_problem: str | None = Field(description="Why it was not, the last time.")
    settled_from: date | None = Field(description="First day of the settlements. The account holder's to see.")
    settled_until: date | None = Field(description="Last day of the settlements. The account holder's to see.")
    open_discrepancies: int = Field(description="That the caller may see.")


class RunShown(Shown):
    """One run."""

    run: str
    account: str
    begun_at: datetime
    ended_at: datetime | None
    counts: dict[str, int] = Field(description="Payments taken over, rows linked, payments judged, found anew.")
    problem: str | None = Field(description="Why the provider was not read to its end.")


class RunOrdered(Shown):
    """A run that will be made at once."""

    run: str


class RunFilter(PageQuery):
    """Which runs."""

    account: str | None = Field(None, max_length=40, description="Only of this account.")


def account_id_of(name: str) -> str:
    """The account's id: the platform's own has an empty one."""
    return "" if name == PLATFORM else name


def account_name(account_id: str) -> str:
    """How an account is shown."""
    return account_id or PLATFORM


def acquirer_visible(call: ApiCall, account_id: str) -> bool:
    """Whether the caller may see what an account's acquirer says: that is for its holder alone."""
    return bool(account_id) == (call.owner_id is not None)


async def require_account(call: ApiCall) -> tuple[str, str, str]:
    """(account's id, owner's id, merchant id) of the path's account. Raises `Problem` 404."""
    account_id = account_id_of(call.path["reconciled_account"])
    if not account_id:
        return "", PLATFORM, ""
    a = owner_schema.processor_accounts.c
    async with reading(call.api.engine) as connection:
        query = select(a.owner_id, a.merchant_id).where(a.account_id == account_id)
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no processor account of this id.")
    return account_id, row.owner_id, row.merchant_id


@resource.get("/reconciliation/accounts", Page[AccountShown], query=PageQuery, owners=True)
async def list_reconciled_accounts(call: ApiCall) -> Page[AccountShown]:
    """List the processor accounts that are reconciled, and how far their sides have told."""
    a, d = owner_schema.processor_accounts.c, t.discrepancies.c
    accounts = union_all(
        select(
            literal(PLATFORM).label("account"), literal("").label("account_id"), literal(PLATFORM).label("owner_id")
        ),
        select(a.account_id, a.account_id, a.owner_id),
    ).subquery()
    c, f = t.provider_cursors.c, t.settlement_files
    days = (
        select(f.c.account_id, func.min(f.c.settled_from).label("first"), func.max(f.c.settled_until).label("last"))
        .where(f.c.state == BOOKED)
        .group_by(f.c.account_id)
        .subquery()
    )
    theirs = accounts.c.account_id != "" if call.owner_id is not None else accounts.c.account_id == ""
    opened = (
        select(func.count())
        .where(d.account_id == accounts.c.account_id, d.state == "open", (d.side != Side.ACQUIRER.value) | theirs)
        .scalar_subquery()
    )
    query = (
        select(
            accounts,
            *(c.read_from, c.read_until, c.problem),
            *(days.c.first, days.c.last),
            opened.label("open_discrepancies"),
        )
        .outerjoin(t.provider_cursors, c.account_id == accounts.c.account_id)
        .outerjoin(days, days.c.account_id == accounts.c.account_id)
    )
    query = call.mine(query, accounts.c.owner_id)

    def shown(row: Any) -> AccountShown:
        seen = acquirer_visible(call, row.account_id)
        return AccountShown(
            account=row.account,
            owner_id=row.owner_id,
            provider_from=row.read_from,
            provider_until=row.read_until,
            provider_problem=row.problem,
            settled_from=row.first if seen else None,
            settled_until=row.last if seen else None,
            open_discrepancies=row.open_discrepancies,
        )

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [accounts.c.account], call.query, shown)


@resource.operation(
    "POST",
    "/reconciliation/accounts/{reconciled_account}/runs",
    role=Role.OPERATOR,
    answers={202: RunOrdered},
    owners=True,
)
async def order_reconciliation(call: ApiCall) -> Reply:
    """Reconcile an account now, besides its daily run."""
    account_id, _, _ = await require_account(call)
    run = run_of(account_id, uuid.uuid4().hex)
    async with writing(call.api.engine) as connection:
        await enqueue(connection, [run], call.now)
    call.api.service.wake(call.now)
    return Reply(RunOrdered(run=run.key), 202)


@resource.get("/reconciliation/runs", Page[RunShown], query=RunFilter, owners=True)
async def list_reconciliation_runs(call: ApiCall) -> Page[RunShown]:
    """List runs, the newest first."""
    asked: RunFilter = call.query
    r = t.reconciliation_runs.c
    query = call.mine(select(t.reconciliation_runs), r.owner_id)
    if asked.account is not None:
        query = query.where(r.account_id == account_id_of(asked.account))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [r.begun_at, r.run_key], asked, _run, newest_first=True)


def _run(row: Any) -> RunShown:
    return RunShown(
        run=row.run_key,
        account=account_name(row.account_id),
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        counts=orjson.loads(row.counts),
        problem=row.problem,
    )
