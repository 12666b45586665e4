"""When a station was connected and how its EVSEs stood: kept at every change, and added up to uptime."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessions.commands import Command
from sessions.facts import EvseStatus, EvseStatusReported, StationConnected, StationDisconnected
from storage import schema
from storage import sight_schema as t
from storage.engine import reading, writing


async def keep_connected(
    connection: AsyncConnection, found: Sequence[StationConnected], now: datetime
) -> list[Command]:
    """Open a row per connection. The station's row, written before, has the newest epoch."""
    s = schema.stations.c
    wanted = {fact.station_id for fact in found}
    query = select(s.station_id, s.epoch, s.node).where(s.station_id.in_(wanted))
    known = {row.station_id: row for row in await connection.execute(query)}
    rows = []
    for n, fact in enumerate(found):
        later = sum(1 for other in found[n + 1 :] if other.station_id == fact.station_id)
        row = known[fact.station_id]
        rows.append(
            {
                "station_id": fact.station_id,
                "epoch": row.epoch - later,
                "version": fact.version,
                "node": row.node,
                "remote_address": fact.remote_address[:64],
                "security_profile": fact.security_profile,
                "opened_at": now,
            }
        )
    await connection.execute(t.connections.insert(), rows)
    return []


async def keep_disconnected(
    connection: AsyncConnection, found: Sequence[StationDisconnected], now: datetime
) -> list[Command]:
    """Close the connection's row."""
    c = t.connections.c
    for fact in found:
        mine = (c.station_id == fact.station_id, c.epoch == fact.epoch, c.closed_at.is_(None))
        await connection.execute(update(t.connections).where(*mine).values(closed_at=now, reason=fact.reason[:200]))
    return []


async def keep_statuses(
    connection: AsyncConnection, found: Sequence[EvseStatusReported], now: datetime
) -> list[Command]:
    """Write a row where an EVSE's status is another than before."""
    s = t.evse_statuses.c
    for fact in found:
        before = select(s.status).where(s.station_id == fact.station_id, s.evse_id == fact.evse_id)
        last = (await connection.execute(before.order_by(s.status_id.desc()).limit(1))).scalar()
        if last != fact.status.value:
            await connection.execute(
                t.evse_statuses.insert().values(
                    station_id=fact.station_id,
                    evse_id=fact.evse_id,
                    status=fact.status.value,
                    error_code=fact.error_code[:60] or None,
                    at=now,
                )
            )
    return []


KEEPERS = {
    StationConnected: (keep_connected,),
    StationDisconnected: (keep_disconnected,),
    EvseStatusReported: (keep_statuses,),
}


async def close_what_a_crash_left(engine: AsyncEngine, node: str, now: datetime) -> None:
    """A process that starts has no sockets: what its predecessor left open was closed at the latest now."""
    c = t.connections.c
    async with writing(engine) as connection:
        await connection.execute(
            update(t.connections)
            .where(c.node == node, c.closed_at.is_(None))
            .values(closed_at=now, reason="this system was restarted")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time, from ``begin`` up to ``end``."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """How an EVSE stood in a period, in seconds. ``observed_s``: since it was first heard of."""

    evse_id: int
    observed_s: int
    up_s: int
    offline_s: int
    faulted_s: int
    unavailable_s: int

    @property
    def ratio(self) -> float | None:
        """The part of the observed time in which it could have charged; None if it was not observed."""
        return self.up_s / self.observed_s if self.observed_s else None


def uptime(
    evse_id: int, online: Iterable[Span], statuses: Sequence[tuple[datetime, EvseStatus]], period: Span
) -> Uptime:
    """Add up one EVSE. ``online`` may overlap; ``statuses`` are in order, the first may lie before the period.

    Down is: not connected, or Faulted, or Unavailable. Not connected counts before the status: nobody knows it then.
    """
    begin = min(max(period.begin, statuses[0][0]), period.end) if statuses else period.end
    times = {begin, period.end}
    spans = [span for span in online if span.end > begin and span.begin < period.end]
    for span in spans:
        times |= {max(span.begin, begin), min(span.end, period.end)}
    times |= {at for at, _ in statuses if begin < at < period.end}
    counted: dict[str, timedelta] = {}
    ordered = sorted(times)
    changed = [at for at, _ in statuses]
    for left, right in itertools.pairwise(ordered):
        connected = any(span.begin <= left and span.end >= right for span in spans)
        status = statuses[bisect.bisect_right(changed, left) - 1][1]
        how = status if connected and status in {EvseStatus.FAULTED, EvseStatus.UNAVAILABLE} else None
        name = "offline" if not connected else how.value if how else "up"
        counted[name] = counted.get(name, timedelta()) + (right - left)

    def seconds(name: str) -> int:
        return round(counted.get(name, timedelta()).total_seconds())

    parts = [seconds(name) for name in ("up", "offline", EvseStatus.FAULTED.value, EvseStatus.UNAVAILABLE.value)]
    up, offline, faulted, unavailable = parts
    return Uptime(
        evse_id=evse_id,
        observed_s=sum(parts),
        up_s=up,
        offline_s=offline,
        faulted_s=faulted,
        unavailable_s=unavailable,
    )


async def station_uptime(engine: AsyncEngine, station_id: str, period: Span) -> list[Uptime]:
    """The uptime of each EVSE of a station that has ever told its status."""
    c, s = t.connections.c, t.evse_statuses.c
    async with reading(engine) as connection:
        opened = select(c.opened_at, c.closed_at).where(c.station_id == station_id, c.opened_at < period.end)
        spans = [
            Span(begin=row.opened_at, end=row.closed_at or period.end)
            for row in await connection.execute(opened)
            if row.closed_at is None or row.closed_at > period.begin
        ]
        told = select(s.evse_id, s.at, s.status).where(s.station_id == station_id, s.at < period.end)
        by_evse: dict[int, list[tuple[datetime, EvseStatus]]] = {}
        for row in await connection.execute(told.order_by(s.status_id)):
            by_evse.setdefault(row.evse_id, []).append((row.at, EvseStatus(row.status)))
    return [uptime(evse_id, spans, by_evse[evse_id], period) for evse_id in sorted(by_evse) if evse_id > 0]
