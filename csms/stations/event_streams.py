"""Periodic event streams (OCPP 2.1 N11–N15): which are open, how often they come, and the newest value of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for
from storage import energy_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EventStreamOpened(StationFact):
    """A stream is open, or has new settings. ``monitor_id`` None: as before."""

    stream_id: int
    monitor_id: int | None
    interval_s: int | None
    values_at_once: int | None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EventStreamClosed(StationFact):
    """A stream is closed."""

    stream_id: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EventStreamReceived(StationFact):
    """Values came by a stream: how many, and the newest one."""

    stream_id: int
    count: int
    pending: int | None
    last_value: str
    last_value_at: datetime | None


async def keep_opened(
    connection: AsyncConnection, found: Sequence[EventStreamOpened], now: datetime
) -> Sequence[Command]:
    """Write the stream's settings."""
    for fact in found:
        settings = {"interval_s": fact.interval_s, "values_at_once": fact.values_at_once}
        if fact.monitor_id is not None:
            settings["monitor_id"] = fact.monitor_id
        await _write(connection, fact, {"open": True, "changed_at": now, **settings})
    return []


async def keep_closed(
    connection: AsyncConnection, found: Sequence[EventStreamClosed], now: datetime
) -> Sequence[Command]:
    """Close the stream."""
    c = t.event_streams.c
    for fact in found:
        mine = (c.station_id == fact.station_id, c.stream_id == fact.stream_id)
        await connection.execute(update(t.event_streams).where(*mine).values(open=False, changed_at=now))
    return []


async def keep_values(
    connection: AsyncConnection, found: Sequence[EventStreamReceived], now: datetime
) -> Sequence[Command]:
    """Write the newest value, and count the others."""
    c = t.event_streams.c
    for fact in found:
        newest = {"pending": fact.pending, "last_value": fact.last_value, "last_value_at": fact.last_value_at}
        changes = {**newest, "received": c.received + fact.count}
        await _write(connection, fact, newest, changes, {"open": True, "changed_at": now, "received": fact.count})
    return []


async def _write(
    connection: AsyncConnection,
    fact: EventStreamOpened | EventStreamReceived,
    values: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> None:
    first = {"received": 0, **(new or {}), **values}
    insert = insert_for(connection)(t.event_streams).values(
        station_id=fact.station_id, stream_id=fact.stream_id, **first
    )
    keys = ["station_id", "stream_id"]
    await connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes or values))


KEEPERS = {
    EventStreamOpened: (keep_opened,),
    EventStreamClosed: (keep_closed,),
    EventStreamReceived: (keep_values,),
}
