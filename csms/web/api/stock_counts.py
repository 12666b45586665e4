"""Stock-taking: counts of terminals, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import func, select

from csms.terminals.inventory import State
from csms.terminals.sheet import MOST_ROWS
from csms.terminals.stock_taking import (
    CountRefusedError,
    Find,
    Kind,
    Verdict,
    add_finds,
    finish_count,
    start_count,
)
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, FreeText, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.sent_file import sent_sheet
from storage import terminal_schema as t
from storage.engine import reading, writing

resource = Resource(
    "stock-taking",
    parameters={
        "count_id": {
            "type": "string",
            "pattern": "^cnt_[0-9a-f]{12}$",
            "description": "As it was answered.",
            "example": "cnt_0123456789ab",
        }
    },
    owned={"count_id": owned_by(t.stock_counts.c.owner_id, t.stock_counts.c.count_id)},
)


class CountShown(Shown):
    """A count."""

    count_id: str
    owner_id: str | None = Field(description="Whose terminals are counted; null: all.")
    site_id: str | None = Field(description="Where; null: wherever they are.")
    counted_by: str = Field(description="Who counts.")
    started_by: str
    started_at: datetime
    finished_by: str | None
    finished_at: datetime | None
    found: int = Field(description="How many serial numbers have been found.")


class FindingShown(Shown):
    """What the count says of a serial number."""

    serial: str
    verdict: Verdict = Field(description="found; missing: expected here, not found; strange.")
    kind: Kind = Field(description="What is strange about it.")
    detail: str = Field(description="What it means, and what to do.")
    proposal: State | None = Field(
        description="The state it could be moved to: POST /terminals/{serial}/moves. Nothing was moved by the count."
    )


class CountWithReport(CountShown):
    """A count, and what it came to once it was finished."""

    missing: int
    strange: int
    findings: list[FindingShown]


class NewCount(Body):
    """A count to begin."""

    owner_id: str | None = Field(
        None, max_length=32, description="Whose terminals; null: all, or the caller's owner's."
    )
    site_id: str | None = Field(None, max_length=60, description="Only at this site of that owner's.")
    counted_by: FreeText = Field(min_length=1, max_length=80, description="The person who counts.")


class FindTold(Body):
    """A terminal that was found."""

    serial: FreeText = Field(min_length=1, max_length=40, description="As its type plate says.")
    site_id: str | None = Field(None, max_length=60, description="Where; null: at the site that is counted.")
    place: FreeText = Field("", max_length=200, description="Where there.")


class FindsTold(Body):
    """What was found."""

    found: list[FindTold] = Field(min_length=1, max_length=500)


@resource.get("/stock-counts", Page[CountShown], query=PageQuery, owners=True)
async def list_stock_counts(call: ApiCall) -> Page[CountShown]:
    """List counts, the newest first."""
    c = t.stock_counts.c
    keys = [c.started_at, c.count_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, call.mine(_counts(), c.owner_id), keys, call.query, _shown, newest_first=True
        )


@resource.operation(
    "POST",
    "/stock-counts",
    role=Role.OPERATOR,
    body=NewCount,
    answers={201: CountShown},
    errors=(404, 409),
    owners=True,
)
async def start_stock_count(call: ApiCall) -> Reply:
    """Begin to count. Then tell what is found, and finish."""
    new: NewCount = call.body
    owner_id = new.owner_id or call.owner_id
    call.require_mine(owner_id)
    try:
        async with writing(call.api.engine) as connection:
            count_id = await start_count(
                connection,
                owner_id=owner_id,
                site_id=new.site_id,
                counted_by=new.counted_by,
                by=call.caller.actor,
                now=call.now,
            )
    except CountRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return Reply(await _count(call, count_id), 201, {"Location": f"{PREFIX}/stock-counts/{count_id}"})


@resource.operation(
    "POST",
    "/stock-counts/{count_id}/finds",
    role=Role.OPERATOR,
    body=FindsTold,
    answers={200: CountShown},
    errors=(409,),
    owners=True,
)
async def tell_stock_finds(call: ApiCall) -> CountShown:
    """Tell what was found, one by one or many at once. What was told already is not counted twice."""
    return await _add(call, [Find(told.serial, told.site_id, told.place) for told in call.body.found])


@resource.operation(
    "POST",
    "/stock-counts/{count_id}/finds-list",
    role=Role.OPERATOR,
    answers={200: CountShown},
    errors=(400, 409, 422),
    takes_file=True,
    owners=True,
)
async def import_stock_finds(call: ApiCall) -> CountShown:
    """Tell what was found by a list, CSV or XLSX, with a column serial and, if need be, site_id and place.

    All of it or nothing: a row that cannot be read is named.
    """
    sent = await sent_sheet(call, ("serial",), ("site_id", "place"), most_rows=MOST_ROWS)
    for row in sent.rows:
        if row.problems or not row.cells["serial"] or len(row.cells["serial"]) > 40:
            reason = "; ".join(row.problems) or "the serial number is missing, or has more than 40 characters"
            raise Problem(422, f"Line {row.line}: {reason}. Nothing was counted.")
    return await _add(
        call,
        [
            Find(row.cells["serial"], row.cells.get("site_id", "")[:60] or None, row.cells.get("place", "")[:200])
            for row in sent.rows
        ],
    )


@resource.operation(
    "POST",
    "/stock-counts/{count_id}/end",
    role=Role.OPERATOR,
    answers={200: CountWithReport},
    errors=(409,),
    owners=True,
)
async def finish_stock_count(call: ApiCall) -> CountWithReport:
    """Finish a count: what is missing, what is strange. It changes no terminal; it proposes. Again: nothing changes."""
    count_id = await _known(call)
    try:
        async with writing(call.api.engine) as connection:
            await finish_count(connection, count_id, by=call.caller.actor, now=call.now)
    except CountRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return await get_stock_count(call)


@resource.get("/stock-counts/{count_id}", CountWithReport, owners=True)
async def get_stock_count(call: ApiCall) -> CountWithReport:
    """Show a count, and its report once it is finished."""
    shown = await _count(call, call.path["count_id"])
    f = t.stock_findings.c
    query = select(t.stock_findings).where(f.count_id == shown.count_id).order_by(f.serial)
    async with reading(call.api.engine) as connection:
        rows = (await connection.execute(query)).all()
    findings = [FindingShown(**{name: getattr(row, name) for name in FindingShown.model_fields}) for row in rows]
    return CountWithReport(
        **shown.model_dump(),
        missing=sum(finding.verdict is Verdict.MISSING for finding in findings),
        strange=sum(finding.verdict is Verdict.STRANGE for finding in findings),
        findings=findings,
    )


async def _add(call: ApiCall, finds: Iterable[Find]) -> CountShown:
    count_id = await _known(call)
    try:
        async with writing(call.api.engine) as connection:
            await add_finds(connection, count_id, finds, call.now)
    except CountRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return await _count(call, count_id)


async def _known(call: ApiCall) -> str:
    """The id of the count a path names. Raises `Problem` 404."""
    return (await _count(call, call.path["count_id"])).count_id


def _counts() -> Any:
    finds = select(func.count()).where(t.stock_finds.c.count_id == t.stock_counts.c.count_id)
    return select(t.stock_counts, finds.correlate(t.stock_counts).scalar_subquery().label("found"))


async def _count(call: ApiCall, count_id: str) -> CountShown:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(_counts().where(t.stock_counts.c.count_id == count_id))).first()
    if row is None:
        raise Problem(404, "There is no count of this id.")
    return _shown(row)


def _shown(row: Any) -> CountShown:
    return CountShown(**{name: getattr(row, name) for name in CountShown.model_fields})
