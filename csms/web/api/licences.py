"""Licences: which there are, in which state, and at which terminals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from billing.licence import Included, LicenceKind, LicenceState
from csms.terminals.licence_orders import included
from csms.terminals.licences import AssignmentRefusedError, assign, in_state, state_of, with_renewal
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import licence_schema as t
from storage.engine import reading, writing

resource = Resource(
    "licences",
    parameters={
        "licence_id": {
            "type": "string",
            "pattern": "^lic_[0-9a-f]{12}$",
            "description": "As it is listed.",
            "example": "lic_0123456789ab",
        }
    },
    owned={"licence_id": owned_by(t.licences.c.owner_id, t.licences.c.licence_id)},
)


class LicenceShown(Shown):
    """A licence."""

    licence_id: str
    owner_id: str
    order_id: str
    sku: str
    kind: LicenceKind
    name: str
    includes: list[Included]
    state: LicenceState = Field(
        description="new: its order is not confirmed; available: to be assigned; active; expiring: 90 days or less are "
        "left and no renewal follows; expired."
    )
    serial: str | None = Field(description="The terminal it is assigned to.")
    assigned_by: str | None
    assigned_at: datetime | None
    starts_at: datetime | None = Field(description="A renewal begins when the plan before it ends.")
    ends_at: datetime | None = Field(description="null: it does not end.")
    renewed: bool = Field(description="Another plan begins where this one ends.")


class LicenceFilter(PageQuery):
    """Which licences."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")
    state: LicenceState | None = Field(None, description="Only in this state.")
    kind: LicenceKind | None = Field(None, description="Only these.")
    serial: str | None = Field(None, max_length=40, description="Only of this terminal.")
    order_id: str | None = Field(None, max_length=32, description="Only of this order.")


class Assignment(Body):
    """Which terminal."""

    serial: str = Field(min_length=1, max_length=40, description="The terminal's serial number.")


@resource.get("/licences", Page[LicenceShown], query=LicenceFilter, owners=True)
async def list_licences(call: ApiCall) -> Page[LicenceShown]:
    """List licences."""
    c, asked, now = t.licences.c, call.query, call.now
    query = call.mine(with_renewal(), c.owner_id)
    for name in ("owner_id", "kind", "serial", "order_id"):
        if getattr(asked, name) is not None:
            query = query.where(c[name] == getattr(asked, name))
    if asked.state is not None:
        query = query.where(in_state(asked.state, now))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.licence_id], asked, lambda row: _shown(row, now))


@resource.get("/licences/{licence_id}", LicenceShown, owners=True)
async def get_licence(call: ApiCall) -> LicenceShown:
    """Show a licence."""
    query = with_renewal().where(t.licences.c.licence_id == call.path["licence_id"])
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no licence of this id.")
    return _shown(row, call.now)


@resource.operation(
    "POST",
    "/licences/{licence_id}/assignment",
    role=Role.OPERATOR,
    body=Assignment,
    answers={200: LicenceShown},
    errors=(409,),
    owners=True,
)
async def assign_licence(call: ApiCall) -> LicenceShown:
    """Assign a licence to a terminal of the same owner; it begins at once.

    A plan for a terminal whose plan still runs begins when that one ends. Assigned for good: it cannot be moved.
    """
    await get_licence(call)
    try:
        async with writing(call.api.engine) as connection:
            await assign(
                connection,
                call.path["licence_id"],
                call.body.serial,
                by=call.caller.actor,
                now=call.now,
                grace_days=call.api.licence_grace_days,
            )
    except AssignmentRefusedError as refused:
        raise Problem(409, str(refused)) from None
    call.api.wake(call.body.serial)
    return await get_licence(call)


def _shown(row: Any, now: datetime) -> LicenceShown:
    made = {"includes": included(row.includes), "state": state_of(row, now)}
    return LicenceShown(**{n: getattr(row, n) for n in LicenceShown.model_fields if n not in made}, **made)
