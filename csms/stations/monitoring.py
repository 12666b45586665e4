"""Monitors: what a station watches, as we set it and as it reports it (2.0.1 N02-N06)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.parts import Parted
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for
from storage import diagnostics_schema as t

#: 2.0.1 EventNotificationEnumType: set by a central system.
CUSTOM = "CustomMonitor"
#: What a monitoring base leaves of custom monitors: nothing, unless it is All (N03).
_KEEPS_CUSTOM = frozenset({"All"})

reports = Parted(t.monitoring_reports, t.monitoring_report_parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentVariable:
    """A variable of a component."""

    component: str
    component_instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    variable: str
    variable_instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """One monitor. ``value`` is a number as it was written; ``source``: 2.0.1 EventNotificationEnumType, if known."""

    monitor_id: int
    watches: ComponentVariable
    type: str
    value: str
    severity: int
    only_in_transaction: bool
    source: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorsSet(StationFact):
    """The station took these monitors."""

    monitors: tuple[Monitor, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorsCleared(StationFact):
    """The station removed these monitors, or does not know them."""

    monitor_ids: tuple[int, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringBaseSet(StationFact):
    """The station activated a set of monitors (N03); only All leaves the custom ones."""

    base: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringLevelSet(StationFact):
    """The station tells events of this severity and of more urgent ones (N05)."""

    level: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringReportAsked(StationFact):
    """The station answered that it will report its monitors, or not. ``entire``: all of them (N02)."""

    request_id: int
    status: str
    entire: bool
    request: dict[str, Any]
    requested_by: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorsReported(StationFact):
    """One part of a report of monitors."""

    request_id: int
    seq_no: int
    monitors: tuple[Monitor, ...]
    last: bool


async def keep_set(connection: AsyncConnection, found: Sequence[MonitorsSet], now: datetime) -> list[Command]:
    """Write the monitors."""
    for fact in found:
        await _write(connection, fact.station_id, fact.monitors, now, reported=False)
    return []


async def keep_cleared(connection: AsyncConnection, found: Sequence[MonitorsCleared], now: datetime) -> list[Command]:
    """Forget the monitors."""
    m = t.monitors.c
    for fact in found:
        gone = (m.station_id == fact.station_id, m.monitor_id.in_(fact.monitor_ids))
        await connection.execute(delete(t.monitors).where(*gone))
    return []


async def keep_base(connection: AsyncConnection, found: Sequence[MonitoringBaseSet], now: datetime) -> list[Command]:
    """Write the base, and forget the monitors that it ended."""
    m = t.monitors.c
    for fact in found:
        await _setting(connection, fact.station_id, now, base=fact.base[:20])
        if fact.base not in _KEEPS_CUSTOM:
            gone = (m.station_id == fact.station_id, m.source == CUSTOM)
            await connection.execute(delete(t.monitors).where(*gone))
    return []


async def keep_level(connection: AsyncConnection, found: Sequence[MonitoringLevelSet], now: datetime) -> list[Command]:
    """Write the level."""
    for fact in found:
        await _setting(connection, fact.station_id, now, level=fact.level)
    return []


async def keep_asked(
    connection: AsyncConnection, found: Sequence[MonitoringReportAsked], now: datetime
) -> list[Command]:
    """Write the request; a station that has no monitors has none from now on."""
    for fact in found:
        await reports.asked(
            connection,
            {
                "station_id": fact.station_id,
                "request_id": fact.request_id,
                "status": fact.status[:20],
                "request": orjson.dumps(fact.request).decode(),
                "entire": fact.entire,
                "requested_by": fact.requested_by[:80],
                "requested_at": now,
            },
        )
        if fact.entire and fact.status == "EmptyResultSet":
            await connection.execute(delete(t.monitors).where(t.monitors.c.station_id == fact.station_id))
        await _finish(connection, fact.station_id, fact.request_id, now)
    return []


async def keep_reported(connection: AsyncConnection, found: Sequence[MonitorsReported], now: datetime) -> list[Command]:
    """Write what the station says it has; once a full report is whole, forget what it did not name."""
    for fact in found:
        await _write(connection, fact.station_id, fact.monitors, now, reported=True)
        part = {"station_id": fact.station_id, "request_id": fact.request_id, "seq_no": fact.seq_no, "last": fact.last}
        body = orjson.dumps([_shown(monitor) for monitor in fact.monitors]).decode()
        await reports.part(connection, part | {"body": body}, {"entire": False, "requested_at": now})
        await _finish(connection, fact.station_id, fact.request_id, now)
    return []


async def _finish(connection: AsyncConnection, station_id: str, request_id: int, now: datetime) -> None:
    bodies = await reports.complete(connection, station_id, request_id, now)
    r, m = t.monitoring_reports.c, t.monitors.c
    head = select(r.entire, r.requested_at).where(r.station_id == station_id, r.request_id == request_id)
    row = (await connection.execute(head)).one()
    if bodies is None or not row.entire:
        return
    named = {monitor["monitor_id"] for body in bodies for monitor in orjson.loads(body)}
    gone = (m.station_id == station_id, m.monitor_id.not_in(named), m.updated_at <= row.requested_at)
    await connection.execute(delete(t.monitors).where(*gone))


async def _write(
    connection: AsyncConnection, station_id: str, monitors: Iterable[Monitor], now: datetime, *, reported: bool
) -> None:
    rows = {
        monitor.monitor_id: _shown(monitor) | {"station_id": station_id, "reported": reported, "updated_at": now}
        for monitor in monitors
    }
    if not rows:
        return
    insert = insert_for(connection)(t.monitors).values(list(rows.values()))
    changes = {name: insert.excluded[name] for name in next(iter(rows.values()))}
    changes |= {"source": func.coalesce(insert.excluded.source, t.monitors.c.source)}
    await connection.execute(insert.on_conflict_do_update(index_elements=["station_id", "monitor_id"], set_=changes))


def _shown(monitor: Monitor) -> dict[str, Any]:
    values = asdict(monitor)
    about: dict[str, Any] = values.pop("watches")
    return about | values


async def _setting(connection: AsyncConnection, station_id: str, now: datetime, **setting: Any) -> None:
    changes = setting | {"updated_at": now}
    insert = insert_for(connection)(t.monitoring_settings).values(changes | {"station_id": station_id})
    await connection.execute(insert.on_conflict_do_update(index_elements=["station_id"], set_=changes))


KEEPERS = {
    MonitorsSet: (keep_set,),
    MonitorsCleared: (keep_cleared,),
    MonitoringBaseSet: (keep_base,),
    MonitoringLevelSet: (keep_level,),
    MonitoringReportAsked: (keep_asked,),
    MonitorsReported: (keep_reported,),
}
