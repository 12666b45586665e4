"""Discrepancies: what differs between ledger, provider and acquirer; explaining, giving notice, and repairing it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import Field
from sqlalchemy import ColumnElement, and_, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reconciliation import Kind, Part, Side
from billing.repair import Proposal, Remedy, remedies
from csms.payouts import discrepancies as moves
from csms.payouts.discrepancies import MoveRefusedError, State, finding_of
from csms.payouts.provider_notices import NoticeRefusedError, write_notice
from csms.payouts.repairs import MADE, RepairOrdered, next_repair_id, proposals, written
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Moment, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.reconciliation import account_id_of, account_name, acquirer_visible
from storage import reconciliation_schema as t
from storage.engine import reading, writing

_D, _N = t.discrepancies.c, t.provider_notices.c

resource = Resource(
    "discrepancies",
    parameters={
        "discrepancy_id": {
            "type": "string",
            "pattern": r"^dis_[0-9a-f]{16}$",
            "description": "As it is listed.",
            "example": "dis_0123456789abcdef",
        },
        "notice_id": {
            "type": "string",
            "pattern": r"^ntc_[0-9a-f]{16}$",
            "description": "As it was answered.",
            "example": "ntc_0123456789abcdef",
        },
    },
    owned={
        "discrepancy_id": owned_by(_D.owner_id, _D.discrepancy_id),
        "notice_id": owned_by(_N.owner_id, _N.notice_id),
    },
)


class DiscrepancyShown(Shown):
    """What differs. Amounts in minor units; null: no such thing on that side."""

    discrepancy_id: str
    side: Side = Field(description="Whose word differs from ours.")
    kind: Kind
    part: Part = Field(description="Which money of the payment.")
    state: State
    account: str
    owner_id: str
    session_id: str | None = Field(description="The payment of ours; null: there is none.")
    expected_minor: int | None = Field(description="What our books say.")
    actual_minor: int | None = Field(description="What the other side says.")
    currency: str
    actual_currency: str
    detail: str
    found_at: datetime
    changed_at: datetime


class EventShown(Shown):
    """Something that became of it."""

    at: datetime
    state: State = Field(description="Where it stood from then on.")
    by: str = Field(description="Who; `reconciliation`: by itself.")
    note: str


class EntryShown(Shown):
    """One side of a posting."""

    set: int = Field(description="Entries of one set add up to zero.")
    account: str
    amount_minor: int = Field(description="Positive: debit; negative: credit.")
    currency: str


class RepairShown(Shown):
    """A repair that was made, or that came too late."""

    repair_id: str
    remedy: Remedy
    outcome: Literal["made", "stale"]
    entries: list[EntryShown]
    by: str
    reason: str
    made_at: datetime


class ProviderWord(Shown):
    """What the provider says of the payment."""

    transaction_id: str
    terminal_serial: str
    state: str
    committed_minor: int | None
    currency: str
    committed_at: datetime | None
    rule: str | None = Field(description="How it was found to be this payment.")


class AcquirerWord(Shown):
    """What the acquirer says of the payment."""

    settlement_id: str
    line: int
    kind: str
    amount_minor: int
    fee_minor: int | None
    currency: str
    settled_on: str
    reference: str
    rule: str | None = Field(description="How it was found to be this payment.")


class DiscrepancyDetails(DiscrepancyShown):
    """A discrepancy with its evidence, its history and its repairs."""

    provider: list[ProviderWord]
    acquirer: list[AcquirerWord]
    history: list[EventShown]
    repairs: list[RepairShown]


class DiscrepancyFilter(PageQuery):
    """Which discrepancies."""

    state: State | None = Field(None, description="Only in this state.")
    side: Side | None = Field(None, description="Only this side's.")
    kind: Kind | None = Field(None, description="Only of this kind.")
    account: str | None = Field(None, max_length=40, description="Only of this account.")
    owner_id: str | None = Field(None, max_length=32, description="Only of this owner.")
    session_id: str | None = Field(None, max_length=40, description="Only about this session.")
    since: Moment | None = Field(None, description="Found not before.")


class DecisionBody(Body):
    """A decision about a discrepancy."""

    state: Literal["open", "explained", "closed"]
    note: str = Field(min_length=3, max_length=500, description="Why: it stays in the history.")


class ProposalShown(Shown):
    """What a remedy would write. Nothing has been written."""

    remedy: Remedy
    possible: bool
    says: str = Field(description="What it does, or why it cannot be done.")
    digest: str | None = Field(description="Names exactly this proposal; send it to have it written.")
    entries: list[EntryShown]


class ProposalsShown(Shown):
    """Every remedy of a discrepancy; none: explain it, or wait for what settles it."""

    items: list[ProposalShown]


class RepairBody(Body):
    """An order to write what was proposed."""

    remedy: Remedy
    digest: str = Field(pattern=r"^[0-9a-f]{16}$", description="Of the proposal that was looked at.")
    reason: str = Field(min_length=3, max_length=400, description="Why: it is journalled with your name.")


class NoticeBody(Body):
    """Of which discrepancies the provider is given notice."""

    discrepancy_ids: list[str] = Field(min_length=1, max_length=200)


class NoticeShown(Shown):
    """A notice to the provider."""

    notice_id: str
    account: str
    owner_id: str
    recipient: str = Field(description="Empty: to be downloaded and sent by hand.")
    subject: str
    discrepancy_ids: list[str]
    written_by: str
    written_at: datetime
    sent_at: datetime | None
    problem: str | None = Field(description="Why it was not sent.")


def _visible(call: ApiCall) -> ColumnElement[bool]:
    """What an account's acquirer says is for its holder alone."""
    own = _D.account_id != ""
    if call.owner_id is None:
        return not_(and_(_D.side == Side.ACQUIRER.value, own))
    return and_(_D.owner_id == call.owner_id, not_(and_(_D.side == Side.ACQUIRER.value, not_(own))))


async def _require(call: ApiCall, connection: AsyncConnection, *, to_decide: bool = False) -> Any:
    """The path's discrepancy. Raises `Problem` 404, and 403 where an owner's user would decide about our money."""
    query = select(t.discrepancies).where(_D.discrepancy_id == call.path["discrepancy_id"], _visible(call))
    row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no discrepancy of this id.")
    if to_decide and call.owner_id is not None and not row.account_id:
        raise Problem(403, "This is in the platform's books: its people decide about it.")
    return row


@resource.get("/reconciliation/discrepancies", Page[DiscrepancyShown], query=DiscrepancyFilter, owners=True)
async def list_discrepancies(call: ApiCall) -> Page[DiscrepancyShown]:
    """List discrepancies, the newest first."""
    asked: DiscrepancyFilter = call.query
    query = select(t.discrepancies).where(_visible(call))
    for name in ("state", "side", "kind", "owner_id", "session_id"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(_D[name] == str(wanted))
    if asked.account is not None:
        query = query.where(_D.account_id == account_id_of(asked.account))
    if asked.since is not None:
        query = query.where(_D.found_at >= asked.since)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [_D.found_at, _D.discrepancy_id], asked, _shown, newest_first=True)


@resource.get("/reconciliation/discrepancies/{discrepancy_id}", DiscrepancyDetails, owners=True)
async def get_discrepancy(call: ApiCall) -> DiscrepancyDetails:
    """Show a discrepancy: what each side says, what became of it, and its repairs."""
    async with reading(call.api.engine) as connection:
        return await _details(call, connection)


@resource.operation(
    "POST",
    "/reconciliation/discrepancies/{discrepancy_id}/decision",
    role=Role.OPERATOR,
    body=DecisionBody,
    answers={200: DiscrepancyDetails},
    errors=(409,),
    owners=True,
)
async def decide_discrepancy(call: ApiCall) -> DiscrepancyDetails:
    """Explain a discrepancy, close it, or open it again. Money is not touched."""
    body: DecisionBody = call.body
    async with writing(call.api.engine) as connection:
        row = await _require(call, connection, to_decide=True)
        try:
            state = State(body.state)
            by, now = call.caller.actor, call.now
            await moves.move(connection, row.discrepancy_id, state, by=by, note=body.note, now=now)
        except MoveRefusedError as refused:
            raise Problem(409, str(refused)) from None
        return await _details(call, connection)


@resource.get("/reconciliation/discrepancies/{discrepancy_id}/proposals", ProposalsShown, owners=True)
async def list_repair_proposals(call: ApiCall) -> ProposalsShown:
    """Show what each remedy would write into the ledger: a dry run."""
    async with reading(call.api.engine) as connection:
        row = await _require(call, connection)
        made = await proposals(connection, row)
    items = []
    for remedy, each in zip(remedies(finding_of(row)), made, strict=True):
        if isinstance(each, Proposal):
            entries = [EntryShown.model_validate(entry) for entry in written(each.sets)]
            shown = ProposalShown(remedy=remedy, possible=True, says=each.says, digest=each.digest, entries=entries)
        else:
            shown = ProposalShown(remedy=remedy, possible=False, says=str(each), digest=None, entries=[])
        items.append(shown)
    return ProposalsShown(items=items)


@resource.operation(
    "POST",
    "/reconciliation/discrepancies/{discrepancy_id}/repairs",
    role=Role.OPERATOR,
    body=RepairBody,
    answers={201: DiscrepancyDetails},
    errors=(409,),
    owners=True,
)
async def repair_discrepancy(call: ApiCall) -> Reply:
    """Write what was proposed, in your name. If the books have changed since, nothing is written."""
    body: RepairBody = call.body
    async with reading(call.api.engine) as connection:
        row = await _require(call, connection, to_decide=True)
        repair_id = await next_repair_id(connection, row.discrepancy_id)
    await call.api.service.submit(
        RepairOrdered(
            key=f"repair:{repair_id}",
            at=call.now,
            repair_id=repair_id,
            discrepancy_id=row.discrepancy_id,
            remedy=body.remedy,
            digest=body.digest,
            by=call.caller.actor,
            reason=body.reason,
        )
    )
    async with reading(call.api.engine) as connection:
        r = t.repairs.c
        outcome = (await connection.execute(select(r.outcome).where(r.repair_id == repair_id))).scalar_one()
        if outcome != MADE:
            raise Problem(
                409,
                "Nothing was written: the books, or the discrepancy, are not what the proposal was made from. "
                "Look at the proposals again.",
            )
        return Reply(await _details(call, connection), 201)


@resource.operation(
    "POST",
    "/reconciliation/notices",
    role=Role.OPERATOR,
    body=NoticeBody,
    answers={201: NoticeShown},
    errors=(409, 422),
    owners=True,
)
async def write_provider_notice(call: ApiCall) -> Reply:
    """Give the provider the notice that the terms demand, of discrepancies of one account.

    It is sent to `reconciliation.provider_email` where that is set; else download it and send it by hand.
    """
    body: NoticeBody = call.body
    async with writing(call.api.engine) as connection:
        query = select(_D.discrepancy_id, _D.account_id).where(_D.discrepancy_id.in_(body.discrepancy_ids))
        seen = (await connection.execute(query.where(_visible(call)))).all()
        if len(seen) != len(set(body.discrepancy_ids)):
            raise Problem(422, "discrepancy_ids: one of them is not there.")
        if call.owner_id is not None and not all(row.account_id for row in seen):
            raise Problem(409, "The platform gives notice of what its own processor says.")
        try:
            options, by, now = call.api.reconciliation, call.caller.actor, call.now
            notice_id = await write_notice(connection, body.discrepancy_ids, options, by=by, now=now)
        except (NoticeRefusedError, MoveRefusedError) as refused:
            raise Problem(409, str(refused)) from None
        row = (await connection.execute(select(t.provider_notices).where(_N.notice_id == notice_id))).one()
    call.api.service.wake(call.now)
    return Reply(_notice(row), 201, {"Location": f"{PREFIX}/reconciliation/notices/{notice_id}"})


@resource.get("/reconciliation/notices", Page[NoticeShown], query=PageQuery, owners=True)
async def list_provider_notices(call: ApiCall) -> Page[NoticeShown]:
    """List notices to the provider, the newest first."""
    query = call.mine(select(t.provider_notices), _N.owner_id)
    async with reading(call.api.engine) as connection:
        keys = [_N.written_at, _N.notice_id]
        return await fetch_page(connection, query, keys, call.query, _notice, newest_first=True)


@resource.get("/reconciliation/notices/{notice_id}/text", None, content_type="text/plain", owners=True)
async def download_provider_notice(call: ApiCall) -> web.Response:
    """Download a notice as it was written."""
    async with reading(call.api.engine) as connection:
        query = select(t.provider_notices).where(_N.notice_id == call.path["notice_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no notice of this id.")
    named = {"Content-Disposition": f'attachment; filename="{row.notice_id}.txt"'}
    return web.Response(text=f"{row.subject}\n\n{row.body}", content_type="text/plain", charset="utf-8", headers=named)


# --- what is shown ----------------------------------------------------------------------------------------------------


async def _details(call: ApiCall, connection: AsyncConnection) -> DiscrepancyDetails:
    row = await _require(call, connection)
    e, r = t.discrepancy_events.c, t.repairs.c
    events = select(t.discrepancy_events).where(e.discrepancy_id == row.discrepancy_id).order_by(e.number)
    history = [
        EventShown(at=x.at, state=State(x.state), by=x.by, note=x.note) for x in await connection.execute(events)
    ]
    made = select(t.repairs).where(r.discrepancy_id == row.discrepancy_id).order_by(r.made_at, r.repair_id)
    p, s = t.provider_transactions.c, t.settlement_rows.c
    kind, _, name = row.subject.partition(":")
    account, name = row.account_id, name.rpartition(":")[2]
    theirs = and_(p.account_id == account, p.transaction_id == name)
    provider = p.session_id == row.session_id if row.session_id else theirs
    settled = s.session_id == row.session_id if row.session_id else s.row_id == name
    said: list[ProviderWord] = []
    if kind != "settlement":
        told = select(t.provider_transactions).where(provider).order_by(p.transaction_id)
        said = [_word(ProviderWord, each) for each in await connection.execute(told)]
    rows: list[AcquirerWord] = []
    if kind != "provider" and acquirer_visible(call, account):
        told = select(t.settlement_rows).where(settled).order_by(s.settled_on, s.row_id)
        rows = [_settled(each) for each in await connection.execute(told)]
    return DiscrepancyDetails(
        **_shown(row).model_dump(),
        provider=said,
        acquirer=rows,
        history=history,
        repairs=[_repair(each) for each in await connection.execute(made)],
    )


def _word(model: type[ProviderWord], row: Any) -> ProviderWord:
    return model(**{name: getattr(row, name) for name in model.model_fields})


def _settled(row: Any) -> AcquirerWord:
    told = {"settlement_id": row.file_id, "settled_on": row.settled_on.isoformat()}
    same = [name for name in AcquirerWord.model_fields if name not in told]
    return AcquirerWord(**{name: getattr(row, name) for name in same} | told)


def _repair(row: Any) -> RepairShown:
    entries = [EntryShown.model_validate(entry) for entry in orjson.loads(row.entries)]
    same = ("repair_id", "remedy", "outcome", "by", "reason", "made_at")
    return RepairShown(entries=entries, **{name: getattr(row, name) for name in same})


def _shown(row: Any) -> DiscrepancyShown:
    same = [name for name in DiscrepancyShown.model_fields if name != "account"]
    return DiscrepancyShown(account=account_name(row.account_id), **{name: getattr(row, name) for name in same})


def _notice(row: Any) -> NoticeShown:
    told = {"account": account_name(row.account_id), "discrepancy_ids": orjson.loads(row.discrepancy_ids)}
    return NoticeShown(**{name: getattr(row, name) for name in NoticeShown.model_fields if name not in told} | told)
