"""Events: what a station's monitors told, and which alerts are over (2.0.1 N07, N08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.monitoring import ComponentVariable
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from storage import diagnostics_schema as t

#: 2.0.1 EventTriggerEnumType: a threshold was passed.
ALERTING = "Alerting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """2.0.1 EventDataType. ``cleared``: it tells that an earlier alert is over."""

    event_id: int | None
    station_time: datetime
    trigger: str
    notification_type: str
    about: ComponentVariable
    actual_value: str
    cause: int | None = None
    tech_code: str | None = None
    tech_info: str | None = None
    cleared: bool = False
    transaction_id: str | None = None
    monitor_id: int | None = None
    severity: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EventsNotified(StationFact):
    """The station told of events. Key: their content, since a message may be sent again."""

    events: tuple[Event, ...]


async def keep_events(connection: AsyncConnection, found: Sequence[EventsNotified], now: datetime) -> list[Command]:
    """Write the events; one that clears ends the alerts of its monitor before it."""
    for fact in found:
        for event in fact.events:
            if event.cleared:
                await _clear(connection, fact.station_id, event)
            values = asdict(event)
            values |= values.pop("about")
            values["at"] = values.pop("station_time")
            values["severity"] = await _severity(connection, fact.station_id, event)
            await connection.execute(t.events.insert().values(station_id=fact.station_id, recorded_at=now, **values))
    return []


async def _clear(connection: AsyncConnection, station_id: str, event: Event) -> None:
    e = t.events.c
    same: list[ColumnElement[bool]]
    if event.monitor_id is not None:
        same = [e.monitor_id == event.monitor_id]
    else:
        same = [e[name].is_not_distinct_from(value) for name, value in asdict(event.about).items()]
    over = (e.station_id == station_id, e.trigger == ALERTING, e.cleared.is_(False), e.cleared_at.is_(None), *same)
    await connection.execute(update(t.events).where(*over).values(cleared_at=event.station_time))


async def _severity(connection: AsyncConnection, station_id: str, event: Event) -> int | None:
    """2.1 tells it; on 2.0.1 it is the monitor's."""
    if event.severity is not None or event.monitor_id is None:
        return event.severity
    m = t.monitors.c
    query = select(m.severity).where(m.station_id == station_id, m.monitor_id == event.monitor_id)
    return (await connection.execute(query)).scalar()


KEEPERS = {EventsNotified: (keep_events,)}
