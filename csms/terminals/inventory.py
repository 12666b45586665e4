"""The inventory: where every terminal is in its life, and how it came there. Nothing vanishes from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.rows import LIVE
from storage import schema as s
from storage import terminal_schema as t


class State(StrEnum):
    """Where a terminal is in its life. Only a live one takes cards."""

    ORDERED = "ordered"
    STORED = "stored"
    ONBOARDING = "onboarding"
    LIVE = LIVE
    SUSPENDED = "suspended"
    IN_REPAIR = "in repair"
    LOST = "lost"
    STOLEN = "stolen"
    RETURNED = "returned"


_GONE = frozenset({State.LOST, State.STOLEN})

#: What may follow what. Onboarding alone leads to live for the first time; after that a suspension can be lifted.
MOVES: dict[State, frozenset[State]] = {
    State.ORDERED: frozenset({State.STORED, State.ONBOARDING, State.RETURNED, *_GONE}),
    State.STORED: frozenset({State.ONBOARDING, State.SUSPENDED, State.IN_REPAIR, State.RETURNED, *_GONE}),
    State.ONBOARDING: frozenset({State.LIVE, State.STORED, State.SUSPENDED, State.IN_REPAIR, State.RETURNED, *_GONE}),
    State.LIVE: frozenset({State.SUSPENDED, State.STORED, State.IN_REPAIR, State.RETURNED, *_GONE}),
    State.SUSPENDED: frozenset({State.LIVE, State.STORED, State.ONBOARDING, State.IN_REPAIR, State.RETURNED, *_GONE}),
    State.IN_REPAIR: frozenset({State.STORED, State.ONBOARDING, State.RETURNED, *_GONE}),
    State.LOST: frozenset({State.STORED, State.SUSPENDED, State.STOLEN}),
    State.STOLEN: frozenset({State.STORED, State.SUSPENDED, State.LOST}),
    State.RETURNED: frozenset(),
}


class MoveRefusedError(Exception):
    """The terminal cannot go there from where it is; the text says why, and what it could do."""


#: What modules beside this one ask before a move, and what follows it, in its transaction: (connection, serial, from,
#: to, now). A guard raises `MoveRefusedError`.
MoveHook = Callable[[AsyncConnection, str, State, State, datetime], Awaitable[None]]
GUARDS: list[MoveHook] = []
FOLLOWERS: list[MoveHook] = []


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a terminal is. ``site_id``: a site of its owner's, or None. ``place``: where there, or somewhere else."""

    site_id: str | None
    place: str


async def move(
    connection: AsyncConnection,
    serial: str,
    to: State,
    *,
    by: str,
    reason: str,
    now: datetime,
    place: str = "",
    whereabouts: Whereabouts | None = None,
) -> State:
    """Move a terminal in the caller's transaction, and write down how; return the state it came from.

    Already being there is no move, and no error, unless it changes ``whereabouts`` (None: it stays where it is).
    Raises `MoveRefusedError` (also for a serial nobody knows). ``by``: a person's name, or what moved it.
    """
    query = select(s.terminals).where(s.terminals.c.serial == serial).with_for_update()
    found = (await connection.execute(query)).first()
    if found is None:
        raise MoveRefusedError(f"There is no terminal {serial!r} in the inventory.")
    at = State(found.inventory_state)
    was = Whereabouts(found.site_id, found.place)
    if at is to and whereabouts in {None, was}:
        return at
    if at is not to and to not in MOVES[at]:
        possible = ", ".join(sorted(MOVES[at])) or "nothing: it has left the inventory"
        raise MoveRefusedError(f"Terminal {serial} is {at}; from there it can become {possible}, not {to}.")
    if at is State.SUSPENDED and to is State.LIVE and not await _was_live(connection, found):
        raise MoveRefusedError(f"Terminal {serial} was never live: it becomes so by finishing its onboarding.")
    if at is not to:
        for guard in GUARDS:
            await guard(connection, serial, at, to, now)
    is_now = whereabouts or was
    values = {"inventory_state": to.value, "site_id": is_now.site_id, "place": is_now.place[:200]}
    await connection.execute(update(s.terminals).where(s.terminals.c.serial == serial).values(values))
    told = place or " · ".join(part for part in (is_now.site_id, is_now.place) if part)
    await record(connection, serial, at, to, by=by, reason=reason, now=now, place=told)
    if at is not to:
        for follow in FOLLOWERS:
            await follow(connection, serial, at, to, now)
    return at


async def _was_live(connection: AsyncConnection, terminal: Any) -> bool:
    """Whether it has been live: a terminal of the settings file always was."""
    if terminal.origin == "settings":
        return True
    m = t.terminal_moves.c
    query = select(m.move_id).where(m.serial == terminal.serial, m.to_state == State.LIVE.value).limit(1)
    return (await connection.execute(query)).first() is not None


async def record(
    connection: AsyncConnection,
    serial: str,
    was: State | None,
    to: State,
    *,
    by: str,
    reason: str,
    now: datetime,
    place: str = "",
) -> None:
    """Write a move into the history. ``was`` None: the terminal is entered into the inventory."""
    await connection.execute(
        t.terminal_moves.insert().values(
            serial=serial,
            from_state=was.value if was else None,
            to_state=to.value,
            place=place[:200],
            moved_by=by[:80],
            reason=reason,
            moved_at=now,
        )
    )
