"""Files of onboarding: a case's attachments, and lists of terminals to start many cases at once."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select

from csms.stations.file_store import Shelf, TooLarge
from csms.terminals import onboarding
from csms.terminals import onboarding_import as imports
from csms.terminals.case_attachments import AT_MOST, NotTaken, Sniffed, name_with_ending
from csms.terminals.onboarding import EventKind
from csms.terminals.onboarding_import import Importing, RowOutcome
from csms.web.api.access import Role
from csms.web.api.onboarding import AttachmentShown, attachment_shown, require_case
from csms.web.api.operation import PREFIX, ApiCall, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.sent_file import sent_sheet
from csms.web.uploads import Interrupted, plain_name, read_chunks
from storage import onboarding_schema as t
from storage.engine import reading, writing

resource = Resource(
    "onboarding",
    parameters={
        "attachment_id": {
            "type": "string",
            "pattern": r"^att_[0-9a-f]{24}$",
            "description": "As the case lists it.",
            "example": "att_0123456789abcdef01234567",
        },
        "import_id": {
            "type": "string",
            "pattern": r"^imp_[0-9a-f]{24}$",
            "description": "As it was answered.",
            "example": "imp_0123456789abcdef01234567",
        },
    },
    owned={"import_id": owned_by(t.onboarding_imports.c.owner_id, t.onboarding_imports.c.import_id)},
)


class FileName(BaseModel):
    """What the file is called."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field("file", min_length=1, max_length=200, description="Its name.")


class TemplateFormat(BaseModel):
    """As what."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["csv", "xlsx"] = Field("csv", description="csv or xlsx.")


class RowProblem(Shown):
    """What is wrong in a cell."""

    column: str
    reason: str = Field(description="What is wrong, and what to do.")


class ImportedRow(Shown):
    """What became of a row."""

    row: int = Field(description="As the spreadsheet numbers it: the header is 1.")
    serial: str
    outcome: RowOutcome = Field(description="already: this row, or another file, started the terminal's case before.")
    case_id: int | None
    problems: list[RowProblem]


class ImportSummary(Shown):
    """An import."""

    import_id: str
    name: str
    sha256: str = Field(description="Of the file.")
    started: int
    already: int
    refused: int
    imported_by: str
    imported_at: datetime


class ImportReport(ImportSummary):
    """An import, row by row."""

    rows: list[ImportedRow]


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/attachments",
    role=Role.OPERATOR,
    query=FileName,
    takes_file=True,
    answers={201: AttachmentShown},
    errors=(409, 415, 507),
    owners=True,
)
async def attach_to_onboarding(call: ApiCall) -> Reply:
    """Attach a picture (JPEG, PNG, WebP), a PDF or a text to a case; the body is the file."""
    case = await require_case(call)
    a, limit = t.onboarding_attachments.c, call.api.onboarding.max_attachment_bytes
    async with reading(call.api.engine) as connection:
        count = (await connection.execute(select(func.count()).where(a.case_id == case.case_id))).scalar_one()
    if count >= AT_MOST:
        raise Problem(409, f"A case takes {AT_MOST} attachments at most.")
    too_large = Problem(413, f"The file is larger than the {limit} bytes of onboarding.max_attachment_bytes.")
    if (call.request.content_length or 0) > limit:
        raise too_large
    attachment_id = f"att_{secrets.token_hex(12)}"
    sniffed = Sniffed(read_chunks(call.request), limit)
    try:
        stored = await call.api.files.receive(Shelf.ATTACHMENTS, attachment_id, sniffed)
        media_type = sniffed.media_type()
    except TooLarge:
        raise too_large from None
    except Interrupted as interrupted:
        raise Problem(400, f"{interrupted} Send it again.") from None
    except NotTaken as refused:
        await call.api.files.remove(Shelf.ATTACHMENTS, attachment_id)
        raise Problem(415, str(refused)) from None
    except OSError:
        raise Problem(507, "The file could not be stored: look at the disk that files.folder is on.") from None
    values = {
        "attachment_id": attachment_id,
        "case_id": case.case_id,
        "name": name_with_ending(plain_name(call.query.name, "file"), media_type),
        "media_type": media_type,
        "size": stored.size,
        "sha256": stored.sha256,
        "uploaded_by": call.caller.actor,
        "uploaded_at": call.now,
    }
    async with writing(call.api.engine) as connection:
        await connection.execute(t.onboarding_attachments.insert().values(values))
        said = f"{values['name']}, {stored.size} bytes, SHA-256 {stored.sha256}"
        kind = EventKind.ATTACHMENT
        await onboarding.note(connection, case.case_id, kind, said, by=call.caller.actor, now=call.now)
    where = f"{PREFIX}/onboarding-cases/{case.case_id}/attachments/{attachment_id}"
    return Reply(AttachmentShown(**{k: v for k, v in values.items() if k != "case_id"}), 201, {"Location": where})


@resource.get(
    "/onboarding-cases/{case_id}/attachments/{attachment_id}",
    None,
    content_type="application/octet-stream",
    owners=True,
)
async def download_onboarding_attachment(call: ApiCall) -> web.StreamResponse:
    """Download an attachment."""
    a = t.onboarding_attachments.c
    mine = (a.case_id == call.path["case_id"], a.attachment_id == call.path["attachment_id"])
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.onboarding_attachments).where(*mine))).first()
    path = call.api.files.path(Shelf.ATTACHMENTS, call.path["attachment_id"])
    gone = Problem(404, "There is no such attachment in this case.")
    if row is None:
        raise gone
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        raise gone from None
    return web.Response(
        body=content,
        headers={
            "Content-Type": "application/octet-stream",  # whatever it holds, no browser is to run it
            "Content-Disposition": f'attachment; filename="{attachment_shown(row).name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        },
    )


@resource.operation(
    "POST",
    "/onboarding-imports",
    role=Role.OPERATOR,
    query=FileName,
    takes_file=True,
    answers={200: ImportReport},
    errors=(400, 422),
    owners=True,
)
async def import_onboarding(call: ApiCall) -> ImportReport:
    """Start a case for each row of a CSV or XLSX file (the body), and report what was refused and why.

    Columns: see the template. A row that is refused stops no other; the same file again starts nothing twice.
    """
    options = call.api.onboarding
    sent = await sent_sheet(call, imports.REQUIRED, imports.OPTIONAL, most_rows=options.max_import_rows)
    who = Importing(owner_id=call.owner_id, by=call.caller.actor, sha256=sent.sha256)
    reports = await imports.import_rows(call.api.engine, sent.rows, who, options, call.api.now)
    for report in reports:
        if report.outcome is RowOutcome.STARTED:
            call.api.wake(report.serial)
    told = [
        ImportedRow(
            row=made.row,
            serial=made.serial,
            outcome=made.outcome,
            case_id=made.case_id,
            problems=[RowProblem(column=column, reason=reason) for column, reason in made.problems],
        ).model_dump()
        for made in reports
    ]
    values = {
        "import_id": f"imp_{secrets.token_hex(12)}",
        "owner_id": call.owner_id,
        "name": plain_name(call.query.name, "file"),
        "sha256": sent.sha256,
        "report": orjson.dumps(told).decode(),
        "imported_by": call.caller.actor,
        "imported_at": call.now,
    }
    async with writing(call.api.engine) as connection:
        await connection.execute(t.onboarding_imports.insert().values(values))
    return await _import(call, str(values["import_id"]))


@resource.get("/onboarding-imports", Page[ImportSummary], query=PageQuery, owners=True)
async def list_onboarding_imports(call: ApiCall) -> Page[ImportSummary]:
    """List imports, the newest first."""
    i = t.onboarding_imports.c
    query = call.mine(select(t.onboarding_imports), i.owner_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [i.imported_at, i.import_id], call.query, _summary, newest_first=True
        )


@resource.get("/onboarding-imports/{import_id}", ImportReport, owners=True)
async def get_onboarding_import(call: ApiCall) -> ImportReport:
    """Show the report of an import."""
    return await _import(call, call.path["import_id"])


@resource.get(
    "/onboarding-import-template",
    None,
    query=TemplateFormat,
    content_type="application/octet-stream",
    owners=True,
)
async def download_onboarding_template(call: ApiCall) -> web.StreamResponse:
    """Download a file to fill in: a row for each of your terminals that is ordered or in store."""
    async with reading(call.api.engine) as connection:
        rows = await imports.to_fill_in(connection, call.owner_id, call.api.onboarding.max_import_rows)
    make = imports.template_csv if call.query.format == "csv" else imports.template_xlsx
    made = await asyncio.to_thread(make, rows)
    return web.Response(
        body=made,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="onboarding.{call.query.format}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _import(call: ApiCall, import_id: str) -> ImportReport:
    i = t.onboarding_imports.c
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.onboarding_imports).where(i.import_id == import_id))).first()
    if row is None:
        raise Problem(404, "There is no import of this id.")
    return ImportReport(**_summary(row).model_dump(), rows=orjson.loads(row.report))


def _summary(row: Any) -> ImportSummary:
    outcomes = [made["outcome"] for made in orjson.loads(row.report)]
    return ImportSummary(
        import_id=row.import_id,
        name=row.name,
        sha256=row.sha256,
        started=outcomes.count(RowOutcome.STARTED),
        already=outcomes.count(RowOutcome.ALREADY),
        refused=outcomes.count(RowOutcome.REFUSED),
        imported_by=row.imported_by,
        imported_at=row.imported_at,
    )
