"""Moves of terminals: from place to place and from state to state, by whom and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.terminals.inventory import MoveRefusedError, State, Whereabouts, move
from csms.terminals.registration import site_problems
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, FreeText, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.terminals import refusal, require_terminal
from storage import terminal_schema as t
from storage.engine import reading, writing

resource = Resource("terminals")


class MoveShown(Shown):
    """A move."""

    move_id: int
    serial: str
    from_state: State | None = Field(description="null: it was entered into the inventory.")
    to_state: State
    place: str = Field(description="Where it was from then on.")
    moved_by: str
    reason: str
    moved_at: datetime


class NewMove(Body):
    """A move: to another state, another place, or both."""

    to: State | None = Field(None, description="Its new state; null: as it is.")
    site_id: str | None = Field(None, max_length=60, description="With place: where it is now. A site of its owner's.")
    place: FreeText | None = Field(
        None, max_length=200, description="Where there, or somewhere else. Without site_id and place it stays."
    )
    reason: FreeText = Field(min_length=1, max_length=500, description="Why.")
    moved_by: FreeText = Field("", max_length=80, description="The person who moved it, where it is not the caller.")


@resource.get("/terminals/{serial}/moves", Page[MoveShown], query=PageQuery, owners=True)
async def list_terminal_moves(call: ApiCall) -> Page[MoveShown]:
    """List every move of a terminal, the newest first."""
    await require_terminal(call)
    m = t.terminal_moves.c
    query = select(t.terminal_moves).where(m.serial == call.path["serial"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [m.move_id], call.query, _shown, newest_first=True)


@resource.operation(
    "POST",
    "/terminals/{serial}/moves",
    role=Role.OPERATOR,
    body=NewMove,
    answers={201: MoveShown},
    errors=(409,),
    owners=True,
)
async def move_terminal(call: ApiCall) -> Reply:
    """Move a terminal. From suspended back to live by the platform alone; to live for the first time by its onboarding.

    A terminal that was lost, stolen or returned stays in the inventory.
    """
    row, wanted = await require_terminal(call), call.body
    to = wanted.to or State(row.inventory_state)
    _require_allowed(call, State(row.inventory_state), to)
    whereabouts = None
    if wanted.site_id is not None or wanted.place is not None:
        whereabouts = Whereabouts(wanted.site_id, wanted.place or "")
    by = f"{wanted.moved_by}, by {call.caller.name}" if wanted.moved_by else call.caller.actor
    try:
        async with writing(call.api.engine) as connection:
            problems = await site_problems(connection, wanted.site_id, row.owner_id)
            if problems:
                raise refusal(problems)
            await move(connection, row.serial, to, by=by, reason=wanted.reason, now=call.now, whereabouts=whereabouts)
    except MoveRefusedError as refused:
        raise Problem(409, str(refused)) from None
    call.api.wake(row.serial)
    m = t.terminal_moves.c
    newest = select(t.terminal_moves).where(m.serial == row.serial).order_by(m.move_id.desc()).limit(1)
    async with reading(call.api.engine) as connection:
        found = (await connection.execute(newest)).first()
    if found is None:
        raise Problem(409, "It is there already, so nothing was moved.")
    return Reply(_shown(found), 201)


def _require_allowed(call: ApiCall, at: State, to: State) -> None:
    """What has a way of its own is not done by hand."""
    if at is to:
        return
    if to is State.ONBOARDING:
        raise Problem(409, "A terminal comes into onboarding by opening a case for it.")
    if to is State.LIVE and at is State.ONBOARDING:
        raise Problem(409, "A terminal becomes live by finishing its onboarding case.")
    if to is State.LIVE and call.owner_id is not None:
        raise Problem(409, "A suspension is lifted by the platform: ask there, and say what was found.")


def _shown(row: Any) -> MoveShown:
    return MoveShown(**{name: getattr(row, name) for name in MoveShown.model_fields})
