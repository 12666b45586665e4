"""Visits of maintenance people, and what they replaced."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import visits
from csms.terminals.inventory import MoveRefusedError
from csms.terminals.visits import Fate, Standing, VisitRefusedError
from csms.web.api.access import Role
from csms.web.api.care import care_id, refused
from csms.web.api.operation import PREFIX, ApiCall, Body, FreeText, Moment, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import care_schema as t
from storage import schema as s
from storage.engine import reading, writing

resource = Resource(
    "visits",
    parameters={"visit_id": care_id("vis", "visit")},
    owned={"visit_id": owned_by(t.visits.c.owner_id, t.visits.c.visit_id)},
)

LONGEST = timedelta(days=14)


class VisitAnnounced(Body):
    """Who comes, when, to which terminals, and what for."""

    serials: list[str] = Field(min_length=1, max_length=100, description="Terminals, all of one owner.")
    visitor: FreeText = Field(min_length=2, max_length=80, pattern=r"\S", description="Name of who comes.")
    company: FreeText = Field(min_length=2, max_length=120, pattern=r"\S", description="Who sends them.")
    document_ending: str = Field(
        "", pattern=r"^[A-Za-z0-9]{0,4}$", description="Last 4 characters of the id document. More is not kept."
    )
    purpose: FreeText = Field(min_length=3, max_length=2000, pattern=r"\S", description="What for.")
    starts_at: Moment = Field(description="From when.")
    ends_at: Moment = Field(description="Until when; 14 days later at most.")


class Code(Body):
    """What the visitor says."""

    door_code: str = Field(min_length=1, max_length=20, description="The code, as it is said.")


class Refusal(Body):
    """Why not."""

    reason: FreeText = Field(min_length=3, max_length=1000, pattern=r"\S", description="Why.")


class ReplacementMade(Body):
    """One terminal for another."""

    old_serial: str = Field(min_length=1, max_length=40, description="The terminal that was taken away.")
    new_serial: str = Field(min_length=1, max_length=40, description="The terminal that was put in its place.")
    old_state: Fate = Field(Fate.IN_REPAIR, description="in repair, or returned for good.")
    reason: FreeText = Field(min_length=3, max_length=1000, pattern=r"\S", description="Why.")


class ReplacementShown(Shown):
    """A replacement."""

    old_serial: str
    new_serial: str
    old_state: str
    reason: str
    recorded_by: str
    recorded_at: datetime


class VisitShown(Shown):
    """A visit."""

    visit_id: str
    owner_id: str
    visitor: str
    company: str
    document_ending: str
    purpose: str
    starts_at: datetime
    ends_at: datetime
    state: Standing = Field(description="verified: the platform knows this person. arrived: the code was right.")
    announced_by: str
    announced_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    wrong_codes: int
    arrived_at: datetime | None
    checked_by: str | None


class VisitWithTerminals(VisitShown):
    """A visit, its terminals, and what was replaced."""

    serials: list[str]
    replacements: list[ReplacementShown]


class VisitVerified(VisitWithTerminals):
    """A visit that is verified."""

    code: str = Field(description="For the visitor to say at the door. Told this once.")


class CodeChecked(Shown):
    """Whether the code is right."""

    right: bool
    advice: str
    visit: VisitWithTerminals


class VisitFilter(PageQuery):
    """Which visits."""

    state: Standing | None = Field(None, description="Only in this state.")


@resource.operation(
    "POST",
    "/visits",
    role=Role.SUPPORT,
    body=VisitAnnounced,
    answers={201: VisitWithTerminals},
    errors=(404,),
    owners=True,
)
async def announce_visit(call: ApiCall) -> Reply:
    """Announce maintenance people. The platform verifies them; until then nobody is let in."""
    said: VisitAnnounced = call.body
    if said.ends_at <= said.starts_at or said.ends_at - said.starts_at > LONGEST:
        raise Problem(422, "ends_at has to be after starts_at, and no more than 14 days.")
    if said.ends_at <= call.now:
        raise Problem(422, "The visit is over already: announce visits before they take place.")
    async with writing(call.api.engine) as connection:
        c = s.terminals.c
        query = call.mine(select(c.owner_id).where(c.serial == said.serials[0]), c.owner_id)
        owner_id = (await connection.execute(query)).scalar()
        if owner_id is None:
            raise Problem(404, "There is no such terminal: the first of serials.")
        try:
            visit_id = await visits.announce(
                connection,
                owner_id=owner_id,
                serials=said.serials,
                visitor=said.visitor.strip(),
                company=said.company.strip(),
                document_ending=said.document_ending,
                purpose=said.purpose.strip(),
                starts_at=said.starts_at,
                ends_at=said.ends_at,
                by=call.caller.actor,
                now=call.now,
            )
        except VisitRefusedError as error:
            raise Problem(404, str(error)) from None
        shown = await _whole(connection, visit_id)
    call.api.service.wake(call.now)
    return Reply(VisitWithTerminals(**shown), 201, {"Location": f"{PREFIX}/visits/{visit_id}"})


@resource.get("/visits", Page[VisitShown], query=VisitFilter, owners=True)
async def list_visits(call: ApiCall) -> Page[VisitShown]:
    """List visits, the latest first."""
    v = t.visits.c
    query = call.mine(select(t.visits), v.owner_id)
    if call.query.state is not None:
        query = query.where(v.state == call.query.state.value)
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection,
            query,
            [v.starts_at, v.visit_id],
            call.query,
            lambda row: VisitShown(**_values(row)),
            newest_first=True,
        )


@resource.get("/visits/{visit_id}", VisitWithTerminals, owners=True)
async def get_visit(call: ApiCall) -> VisitWithTerminals:
    """Show a visit, its terminals, and what was replaced."""
    async with reading(call.api.engine) as connection:
        return VisitWithTerminals(**await _whole(connection, call.path["visit_id"]))


@resource.operation(
    "POST", "/visits/{visit_id}/verification", role=Role.OPERATOR, answers={200: VisitVerified}, errors=(409,)
)
async def verify_visit(call: ApiCall) -> Reply:
    """Verify a visit: the platform knows this person. Answers the code that the visitor says at the door."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            code = await visits.verify(connection, row, by=call.caller.actor, now=call.now)
        except VisitRefusedError as error:
            raise refused(error) from None
        shown = VisitVerified(**await _whole(connection, row.visit_id), code=code)
    call.api.service.wake(call.now)
    return Reply(shown, 200, {"Cache-Control": "no-store"})


@resource.operation(
    "POST",
    "/visits/{visit_id}/refusal",
    role=Role.OPERATOR,
    body=Refusal,
    answers={200: VisitWithTerminals},
    errors=(409,),
)
async def refuse_visit(call: ApiCall) -> VisitWithTerminals:
    """Refuse a visit: nobody is let in."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            await visits.refuse(connection, row, reason=call.body.reason.strip(), by=call.caller.actor, now=call.now)
        except VisitRefusedError as error:
            raise refused(error) from None
        shown = VisitWithTerminals(**await _whole(connection, row.visit_id))
    call.api.service.wake(call.now)
    return shown


@resource.operation(
    "POST",
    "/visits/{visit_id}/cancellation",
    role=Role.SUPPORT,
    answers={200: VisitWithTerminals},
    errors=(409,),
    owners=True,
)
async def cancel_visit(call: ApiCall) -> VisitWithTerminals:
    """Cancel a visit."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            await visits.cancel(connection, row)
        except VisitRefusedError as error:
            raise refused(error) from None
        return VisitWithTerminals(**await _whole(connection, row.visit_id))


@resource.operation(
    "POST",
    "/visits/{visit_id}/code-check",
    role=Role.SUPPORT,
    body=Code,
    answers={200: CodeChecked},
    errors=(409,),
    owners=True,
)
async def check_visit_code(call: ApiCall) -> CodeChecked:
    """Check, at the door, the code that the visitor says. Five wrong ones end the visit."""
    async with writing(call.api.engine) as connection:
        row = await _locked(call, connection)
        try:
            right = await visits.check_code(connection, row, call.body.door_code, by=call.caller.actor, now=call.now)
        except VisitRefusedError as error:
            raise refused(error) from None
        visit = VisitWithTerminals(**await _whole(connection, row.visit_id))
    call.api.service.wake(call.now)
    ending = f" Look at the document: it ends in {visit.document_ending}." if visit.document_ending else ""
    advice = f"Let {visit.visitor} in.{ending}" if right else "Let nobody in. Call the platform."
    return CodeChecked(right=right, advice=advice, visit=visit)


@resource.operation(
    "POST",
    "/visits/{visit_id}/replacements",
    role=Role.SUPPORT,
    body=ReplacementMade,
    answers={201: VisitWithTerminals},
    errors=(409,),
    owners=True,
)
async def record_replacement(call: ApiCall) -> Reply:
    """Record that a visitor replaced a terminal. Refused without the platform's verification.

    The old one is in repair or returned; the new one serves the old one's EVSEs once its onboarding is finished.
    """
    async with writing(call.api.engine) as connection:
        for serial in (call.body.old_serial, call.body.new_serial):
            c = s.terminals.c
            call.require_mine((await connection.execute(select(c.owner_id).where(c.serial == serial))).scalar())
        row = await _locked(call, connection)
        try:
            await visits.replace_terminal(
                connection,
                row,
                call.body.old_serial,
                call.body.new_serial,
                call.body.old_state,
                reason=call.body.reason.strip(),
                by=call.caller.actor,
                now=call.now,
            )
        except (VisitRefusedError, MoveRefusedError) as error:
            raise refused(error) from None
        return Reply(VisitWithTerminals(**await _whole(connection, row.visit_id)), 201)


async def _locked(call: ApiCall, connection: AsyncConnection) -> Any:
    row = await visits.locked(connection, call.path["visit_id"])
    if row is None:
        raise _not_found()
    return row


async def _whole(connection: AsyncConnection, visit_id: str) -> dict[str, Any]:
    v, r = t.visit_terminals.c, t.replacements.c
    row = (await connection.execute(select(t.visits).where(t.visits.c.visit_id == visit_id))).first()
    if row is None:
        raise _not_found()
    serials = await connection.execute(select(v.serial).where(v.visit_id == visit_id).order_by(v.serial))
    made = await connection.execute(
        select(t.replacements).where(r.visit_id == visit_id).order_by(r.recorded_at, r.old_serial)
    )
    replaced = [
        ReplacementShown(**{name: getattr(one, name) for name in ReplacementShown.model_fields}) for one in made
    ]
    return _values(row) | {"serials": list(serials.scalars()), "replacements": replaced}


def _values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in VisitShown.model_fields}


def _not_found() -> Problem:
    return Problem(404, "There is no visit of this id.")
