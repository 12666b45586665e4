"""Inspections: recording them, what is owed and overdue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.terminals.inspections import Findings, Occasion, record_inspection
from csms.terminals.inventory import MoveRefusedError
from csms.web.api.access import Role
from csms.web.api.care import care_id, refused, require_terminal
from csms.web.api.operation import PREFIX, ApiCall, Body, FreeText, Moment, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import care_schema as t
from storage.engine import reading, writing

resource = Resource(
    "inspections",
    parameters={"inspection_id": care_id("ins", "inspection")},
    owned={"inspection_id": owned_by(t.inspections.c.owner_id, t.inspections.c.inspection_id)},
)

#: So old an inspection may be when it is recorded.
OLDEST = timedelta(days=62)


class InspectionMade(Body):
    """What was seen; every item is answered."""

    occasion: Occasion = Field(Occasion.WEEKLY, description="weekly, before storage or after storage.")
    inspected_by: FreeText = Field(min_length=2, max_length=80, pattern=r"\S", description="Name of who looked at it.")
    damage: bool = Field(description="The housing is damaged.")
    foreign_stickers: bool = Field(description="There are stickers on it that are not the provider's or ours.")
    unusual_cables: bool = Field(description="There are cables at it that do not belong there.")
    logo_at_power_on: bool = Field(description="The provider's logo showed when it was powered on.")
    made_at: Moment | None = Field(None, description="When; now if it is left out.")
    remarks: FreeText = Field("", max_length=4000, description="Anything else.")


class InspectionShown(Shown):
    """An inspection."""

    inspection_id: str
    serial: str
    owner_id: str
    occasion: Occasion
    made_at: datetime
    inspected_by: str
    damage: bool
    foreign_stickers: bool
    unusual_cables: bool
    logo_at_power_on: bool
    passed: bool = Field(description="If not, the terminal was suspended at once.")
    remarks: str
    incident_id: str | None = Field(description="The incident of a failed one.")
    recorded_by: str
    recorded_at: datetime


class DutyShown(Shown):
    """An inspection that is owed."""

    duty_key: str
    serial: str
    owner_id: str
    occasion: Occasion
    owed_from: datetime = Field(description="An inspection made since then fulfils it.")
    due_at: datetime = Field(description="Until when it is in time.")
    done_at: datetime | None
    inspection_id: str | None
    lapsed_at: datetime | None = Field(description="The terminal was no longer where it was owed.")
    overdue: bool


class InspectionFilter(PageQuery):
    """Which inspections."""

    serial: str | None = Field(None, max_length=40, description="Only this terminal's.")
    passed: bool | None = Field(None, description="Only those that passed, or failed.")


class DutyFilter(PageQuery):
    """Which duties."""

    serial: str | None = Field(None, max_length=40, description="Only this terminal's.")
    open: bool | None = Field(True, description="Only those that are open; false: only the others.")
    overdue: bool | None = Field(None, description="true: only those that are open and overdue.")


@resource.operation(
    "POST",
    "/terminals/{serial}/inspections",
    role=Role.SUPPORT,
    body=InspectionMade,
    answers={201: InspectionShown},
    errors=(409,),
    owners=True,
)
async def record_an_inspection(call: ApiCall) -> Reply:
    """Record an inspection. A failed one suspends the terminal at once and opens an incident, or points to one.

    Photos follow: `POST /inspections/{inspection_id}/photos`.
    """
    made: InspectionMade = call.body
    made_at = made.made_at or call.now
    if made_at > call.now + timedelta(minutes=5):
        raise Problem(422, "made_at is in the future: record an inspection once it has been made.")
    if made_at < call.now - OLDEST:
        raise Problem(422, f"made_at is more than {OLDEST.days} days ago: inspect the terminal again.")
    async with writing(call.api.engine) as connection:
        await require_terminal(call, connection)
        try:
            inspected = await record_inspection(
                connection,
                call.path["serial"],
                made.occasion,
                Findings(
                    damage=made.damage,
                    foreign_stickers=made.foreign_stickers,
                    unusual_cables=made.unusual_cables,
                    logo_at_power_on=made.logo_at_power_on,
                ),
                made_at=min(made_at, call.now),
                inspected_by=made.inspected_by.strip(),
                remarks=made.remarks.strip(),
                recorded_by=call.caller.actor,
                now=call.now,
            )
        except MoveRefusedError as error:
            raise refused(error) from None
        row = (await connection.execute(_one(inspected.inspection_id))).one()
    call.api.service.wake(call.now)
    return Reply(_shown(row), 201, {"Location": f"{PREFIX}/inspections/{inspected.inspection_id}"})


@resource.get("/inspections", Page[InspectionShown], query=InspectionFilter, owners=True)
async def list_inspections(call: ApiCall) -> Page[InspectionShown]:
    """List inspections, the newest first."""
    i = t.inspections.c
    query = call.mine(select(t.inspections), i.owner_id)
    for name in ("serial", "passed"):
        if getattr(call.query, name) is not None:
            query = query.where(i[name] == getattr(call.query, name))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [i.made_at, i.inspection_id], call.query, _shown, newest_first=True)


@resource.get("/inspections/{inspection_id}", InspectionShown, owners=True)
async def get_inspection(call: ApiCall) -> InspectionShown:
    """Show an inspection."""
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(_one(call.path["inspection_id"]))).first()
    if row is None:
        raise Problem(404, "There is no inspection of this id.")
    return _shown(row)


@resource.get("/inspection-duties", Page[DutyShown], query=DutyFilter, owners=True)
async def list_inspection_duties(call: ApiCall) -> Page[DutyShown]:
    """List the inspections that are owed, those due first at the top; `?overdue=true` for what should worry you."""
    d, asked = t.inspection_duties.c, call.query
    query = call.mine(select(t.inspection_duties), d.owner_id)
    is_open = d.done_at.is_(None) & d.lapsed_at.is_(None)
    if asked.serial is not None:
        query = query.where(d.serial == asked.serial)
    if asked.overdue:
        query = query.where(is_open, d.due_at <= call.now)
    elif asked.open is not None:
        query = query.where(is_open if asked.open else ~is_open)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [d.due_at, d.duty_key], asked, lambda row: _duty(row, call.now))


def _one(inspection_id: str) -> Any:
    return select(t.inspections).where(t.inspections.c.inspection_id == inspection_id)


def _shown(row: Any) -> InspectionShown:
    return InspectionShown(**{name: getattr(row, name) for name in InspectionShown.model_fields})


def _duty(row: Any, now: datetime) -> DutyShown:
    values = {name: getattr(row, name) for name in DutyShown.model_fields if name != "overdue"}
    return DutyShown(**values, overdue=row.done_at is None and row.lapsed_at is None and row.due_at <= now)
