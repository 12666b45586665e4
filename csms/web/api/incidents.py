"""Incidents, and the button: in doubt, don't use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.terminals import incidents
from csms.terminals.incidents import IncidentRefusedError, Kind, Outcome, Progress
from csms.terminals.inventory import MoveRefusedError
from csms.web.api.access import Role
from csms.web.api.care import care_id, refused, require_terminal
from csms.web.api.operation import PREFIX, ApiCall, Body, FreeText, Reply, Resource, Shown, etag, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from storage import care_schema as t
from storage.engine import reading, writing

resource = Resource(
    "incidents",
    parameters={"incident_id": care_id("inc", "incident")},
    owned={"incident_id": owned_by(t.incidents.c.owner_id, t.incidents.c.incident_id)},
)


class Contact(Body):
    """Somebody who can be reached about it."""

    name: FreeText = Field(max_length=80, description="Name.")
    phone: FreeText = Field("", max_length=40, description="Phone number.")
    email: FreeText = Field("", max_length=254, description="E-mail address.")


class InDoubt(Body):
    """Nothing has to be said."""

    text: FreeText = Field("", max_length=4000, description="What makes you doubt it.")


class IncidentReported(Body):
    """What happened."""

    kind: Kind = Field(description="loss, theft, damage, tampering, destruction or doubt.")
    description: FreeText = Field("", max_length=8000, description="What happened: what, where, when, seen by whom.")
    reported_by: FreeText = Field("", max_length=80, description="Name of who reports it; the token's if left out.")


class NoticeEdit(Body):
    """What the notice is to hold; what is left out stays."""

    description: FreeText | None = Field(None, max_length=8000, description="The full description.")
    actions_taken: FreeText | None = Field(None, max_length=8000, description="The actions taken.")
    actions_planned: FreeText | None = Field(None, max_length=8000, description="The actions planned, and by when.")
    information_secured: FreeText | None = Field(None, max_length=8000, description="How information is secured.")
    terminals_secured: FreeText | None = Field(None, max_length=8000, description="How the terminals are secured.")
    contacts: list[Contact] | None = Field(None, max_length=20, description="Who can be reached about it.")


class NoticeGiven(Body):
    """Who gives it."""

    given_by: FreeText = Field(min_length=2, max_length=80, pattern=r"\S", description="Name of who gives the notice.")


class Closing(Body):
    """How it ended."""

    outcome: Outcome = Field(description="How it ended.")
    closed_by: FreeText = Field(min_length=2, max_length=80, pattern=r"\S", description="Name of who decides that.")
    remarks: FreeText = Field("", max_length=4000, description="Anything else.")
    put_back: bool = Field(False, description="Put the terminal back to where it was before the incident.")


class EntryShown(Shown):
    """What was done."""

    at: datetime
    by: str
    what: str


class IncidentShown(Shown):
    """An incident."""

    incident_id: str
    number: int
    serial: str
    owner_id: str
    kind: Kind
    state: Progress
    reported_at: datetime
    reported_by: str
    was_state: str = Field(description="Where the terminal was in the inventory.")
    inspection_id: str | None = Field(description="The failed inspection that found it.")
    notice_due_at: datetime = Field(description="24 hours after the report.")
    description: str
    actions_taken: str
    actions_planned: str
    information_secured: str
    terminals_secured: str
    contacts: list[Contact]
    missing: dict[str, str] = Field(description="What the notice still lacks, and what to write there.")
    notified_at: datetime | None
    notified_by: str | None
    outcome: Outcome | None
    closed_at: datetime | None
    closed_by: str | None


class IncidentWithHistory(IncidentShown):
    """An incident and what was done about it."""

    history: list[EntryShown]


class IncidentFilter(PageQuery):
    """Which incidents."""

    serial: str | None = Field(None, max_length=40, description="Only this terminal's.")
    state: Progress | None = Field(None, description="Only in this state.")
    kind: Kind | None = Field(None, description="Only of this kind.")


@resource.operation(
    "POST",
    "/terminals/{serial}/in-doubt",
    role=Role.SUPPORT,
    body=InDoubt,
    answers={201: IncidentWithHistory, 200: IncidentWithHistory},
    errors=(409,),
    owners=True,
    may_be_empty=True,
)
async def in_doubt_do_not_use(call: ApiCall) -> Reply:
    """In doubt, don't use: one button. The terminal takes no cards any more, and an incident is open.

    Nothing has to be sent. 200: an incident was open already.
    """
    return await _report(call, Kind.DOUBT, call.body.text, "")


@resource.operation(
    "POST",
    "/terminals/{serial}/incidents",
    role=Role.SUPPORT,
    body=IncidentReported,
    answers={201: IncidentWithHistory, 200: IncidentWithHistory},
    errors=(409,),
    owners=True,
)
async def report_incident(call: ApiCall) -> Reply:
    """Report a loss, a theft, damage, tampering or destruction: the terminal takes no cards any more, at once.

    The notice to the platform is due within 24 hours. 200: an incident of this kind was open already.
    """
    return await _report(call, call.body.kind, call.body.description, call.body.reported_by)


@resource.get("/incidents", Page[IncidentShown], query=IncidentFilter, owners=True)
async def list_incidents(call: ApiCall) -> Page[IncidentShown]:
    """List incidents, the newest first."""
    i = t.incidents.c
    query = call.mine(select(t.incidents), i.owner_id)
    for name in ("serial", "state", "kind"):
        if getattr(call.query, name) is not None:
            query = query.where(i[name] == str(getattr(call.query, name)))
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [i.number], call.query, lambda row: IncidentShown(**_values(row)), newest_first=True
        )


@resource.get("/incidents/{incident_id}", IncidentWithHistory, owners=True)
async def get_incident(call: ApiCall) -> Reply:
    """Show an incident, what its notice still lacks, and what was done about it."""
    async with reading(call.api.engine) as connection:
        return await _reply(connection, call.path["incident_id"], 200)


@resource.operation(
    "PATCH",
    "/incidents/{incident_id}",
    role=Role.SUPPORT,
    body=NoticeEdit,
    answers={200: IncidentWithHistory},
    errors=(409,),
    edits=True,
    owners=True,
)
async def edit_incident(call: ApiCall) -> Reply:
    """Write what the notice is to hold, bit by bit."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        call.require_revision(row.revision)
        changes = call.body.model_dump(exclude_none=True)
        if changes:
            try:
                await incidents.amend(connection, row, changes, by=call.caller.actor, now=call.now)
            except IncidentRefusedError as error:
                raise _refused(error) from None
        return await _reply(connection, row.incident_id, 200)


@resource.operation(
    "POST",
    "/incidents/{incident_id}/notice",
    role=Role.SUPPORT,
    body=NoticeGiven,
    answers={200: IncidentWithHistory},
    errors=(409, 422),
    owners=True,
)
async def give_notice(call: ApiCall) -> Reply:
    """Give the platform the notice. One that lacks anything is refused, and told what is missing."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            await incidents.give_notice(connection, row, by=call.body.given_by.strip(), now=call.now)
        except IncidentRefusedError as error:
            raise _refused(error) from None
        return await _reply(connection, row.incident_id, 200)


@resource.operation(
    "POST",
    "/incidents/{incident_id}/closing",
    role=Role.OPERATOR,
    body=Closing,
    answers={200: IncidentWithHistory},
    errors=(409,),
)
async def close_incident(call: ApiCall) -> Reply:
    """Close an incident with its outcome. A terminal goes live again only after an inspection that passes."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            await incidents.close(
                connection,
                row,
                call.body.outcome,
                by=call.body.closed_by.strip(),
                remarks=call.body.remarks.strip(),
                put_back=call.body.put_back,
                now=call.now,
            )
        except IncidentRefusedError as error:
            raise _refused(error) from None
        except MoveRefusedError as error:
            raise refused(error) from None
        answer = await _reply(connection, row.incident_id, 200)
    call.api.service.wake(call.now)
    return answer


async def _report(call: ApiCall, kind: Kind, description: str, by: str) -> Reply:
    async with writing(call.api.engine) as connection:
        await require_terminal(call, connection)
        try:
            reported = await incidents.report(
                connection,
                call.path["serial"],
                kind,
                description=description,
                by=by.strip() or call.caller.actor,
                now=call.now,
            )
        except MoveRefusedError as error:
            raise refused(error) from None
        answer = await _reply(connection, reported.incident_id, 201 if reported.fresh else 200)
    call.api.service.wake(call.now)
    return answer


async def _locked(call: ApiCall, connection: Any) -> Any:
    row = await incidents.locked(connection, call.path["incident_id"])
    if row is None:
        raise _not_found()
    return row


async def _reply(connection: Any, incident_id: str, status: int) -> Reply:
    row = (await connection.execute(select(t.incidents).where(t.incidents.c.incident_id == incident_id))).first()
    if row is None:
        raise _not_found()
    e = t.incident_entries.c
    entries = await connection.execute(
        select(t.incident_entries).where(e.incident_id == incident_id).order_by(e.entry_id)
    )
    history = [EntryShown(at=entry.at, by=entry.by, what=entry.what) for entry in entries]
    headers = {"ETag": etag(row.revision)}
    if status == 201:
        headers["Location"] = f"{PREFIX}/incidents/{incident_id}"
    return Reply(IncidentWithHistory(**_values(row), history=history), status, headers)


def _values(row: Any) -> dict[str, Any]:
    made = {"contacts", "missing"}
    values = {name: getattr(row, name) for name in IncidentShown.model_fields if name not in made}
    given = row.notified_at is not None
    return values | {
        "contacts": orjson.loads(row.contacts),
        "missing": {} if given else incidents.lacking_of(row),
    }


def _not_found() -> Problem:
    return Problem(404, "There is no incident of this id.")


def _refused(error: IncidentRefusedError) -> Problem:
    if not error.missing:
        return refused(error)
    return Problem(
        422,
        str(error),
        errors=[FieldProblem(field=name, detail=f"Write {what}.") for name, what in error.missing.items()],
    )
