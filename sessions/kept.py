"""Keepers of what is only kept: a station's words, its breaches of the standard, a terminal's state.

A keeper gets the facts of one type that a batch brought, in the batch's own commit. Rooms above add theirs
(`csms.stations`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions import facts
from sessions.commands import Command
from sessions.rows import insert_for
from storage import schema as t

#: Keeps facts of one type in the commit that journals them; what it returns is done after the commit.
Keeper = Callable[[AsyncConnection, Sequence[Any], datetime], Awaitable[Sequence[Command]]]


async def keep_events(
    connection: AsyncConnection, found: Sequence[facts.StationEventRecorded], now: datetime
) -> list[Command]:
    """Write messages that carry state and decide nothing."""
    rows = [
        {
            "station_id": fact.station_id,
            "action": fact.action,
            "recorded_at": now,
            "payload": orjson.dumps(fact.payload, default=str).decode(),
        }
        for fact in found
    ]
    await connection.execute(t.station_events.insert(), rows)
    return []


async def keep_findings(
    connection: AsyncConnection, found: Sequence[facts.ConformanceFound], now: datetime
) -> list[Command]:
    """Count breaches of the standard; the first one's detail stays."""
    counted: dict[tuple[str, str, str], dict[str, object]] = {}
    for fact in found:
        key = (fact.station_id, fact.code, fact.action)
        row = counted.setdefault(
            key,
            dict(zip(("station_id", "code", "action"), key, strict=True))
            | {"detail": fact.detail[:1000], "occurrences": 0, "first_at": now, "last_at": now},
        )
        row["occurrences"] = int(str(row["occurrences"])) + 1
    insert = insert_for(connection)(t.findings).values(list(counted.values()))
    again = {
        "occurrences": t.findings.c.occurrences + insert.excluded.occurrences,
        "last_at": insert.excluded.last_at,
    }
    await connection.execute(insert.on_conflict_do_update(index_elements=["station_id", "code", "action"], set_=again))
    return []


async def keep_terminal_states(
    connection: AsyncConnection, found: Sequence[facts.TerminalStateReported], now: datetime
) -> list[Command]:
    """Write the newest state of each terminal."""
    newest = {fact.serial: fact for fact in found}
    for serial, fact in newest.items():
        values = {"online": fact.online, "state": fact.state[:20], "seen_at": now}
        await connection.execute(update(t.terminals).where(t.terminals.c.serial == serial).values(values))
    return []


KEEPERS: Mapping[type[facts.Fact], Sequence[Keeper]] = {
    facts.StationEventRecorded: (keep_events,),
    facts.ConformanceFound: (keep_findings,),
    facts.TerminalStateReported: (keep_terminal_states,),
}
