"""Where terminals were at a moment: what the calendar demanded of them then, however late it is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import State
from storage import schema as s
from storage import terminal_schema as t


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalThen:
    """A terminal and the state it was in."""

    serial: str
    owner_id: str
    family: str
    state: State


async def whereabouts(connection: AsyncConnection, at: datetime) -> list[TerminalThen]:
    """Every terminal that was in the inventory at ``at``, by serial number.

    A terminal is now where its last move left it; at an earlier moment it was where the next move after it began.
    """
    m = t.terminal_moves.c
    after = select(func.min(m.move_id)).where(m.moved_at > at).group_by(m.serial)
    began: dict[str, str | None] = {
        row.serial: row.from_state
        for row in await connection.execute(select(m.serial, m.from_state).where(m.move_id.in_(after)))
    }
    c = s.terminals.c
    rows = await connection.execute(select(c.serial, c.owner_id, c.family, c.inventory_state).order_by(c.serial))
    found = []
    for row in rows:
        state = began.get(row.serial, row.inventory_state)
        if state is not None:
            found.append(TerminalThen(serial=row.serial, owner_id=row.owner_id, family=row.family, state=State(state)))
    return found


def came_to(state: State) -> ColumnElement[bool]:
    """Moves that brought a terminal to ``state``; another place in the same state is none."""
    m = t.terminal_moves.c
    return (m.to_state == state.value) & (m.from_state.is_(None) | (m.from_state != state.value))


async def last_stored(connection: AsyncConnection, serial: str) -> Any:
    """The move that brought the terminal into storage last (move_id, moved_at), or None."""
    m = t.terminal_moves.c
    query = select(m.move_id, m.moved_at).where(m.serial == serial, came_to(State.STORED))
    return (await connection.execute(query.order_by(m.move_id.desc()).limit(1))).first()


async def was_live(connection: AsyncConnection, serial: str, by_move: int) -> bool:
    """Whether the terminal had been live when the move ``by_move`` began."""
    m = t.terminal_moves.c
    live = (m.from_state == State.LIVE.value) | (m.to_state == State.LIVE.value)
    query = select(m.move_id).where(m.serial == serial, live, m.move_id <= by_move).limit(1)
    return (await connection.execute(query)).first() is not None
