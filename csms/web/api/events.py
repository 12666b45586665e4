"""Events that stations told of: alerts, changes, periodic values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import and_, not_, select

from csms.stations.events import ALERTING
from csms.web.api.monitoring import ComponentVariableShown
from csms.web.api.operation import ApiCall, Moment, Resource
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.stations import require_station
from storage import diagnostics_schema as t
from storage.engine import reading

resource = Resource("events")


class EventShown(ComponentVariableShown):
    """An event."""

    record_id: int
    event_id: int | None = Field(description="The station's number for it.")
    at: datetime = Field(description="By the station's clock.")
    recorded_at: datetime
    trigger: str = Field(description="Alerting: a threshold was passed. Delta: it changed. Periodic: it was time.")
    notification_type: str = Field(description="HardWiredNotification, HardWiredMonitor, PreconfiguredMonitor, …")
    cause: int | None = Field(description="The event_id of what caused it.")
    actual_value: str
    tech_code: str | None
    tech_info: str | None
    cleared: bool = Field(description="It tells that an alert is over.")
    cleared_at: datetime | None = Field(description="Of an alert: when it was over.")
    transaction_id: str | None
    monitor_id: int | None
    severity: int | None = Field(description="0 is the most urgent, 9 the least; null: not known.")


class EventFilter(PageQuery):
    """Which events."""

    component: str | None = Field(None, max_length=50, description="Only of this component.")
    variable: str | None = Field(None, max_length=50, description="Only of this variable.")
    trigger: str | None = Field(None, max_length=20, description="Only with this trigger.")
    notification_type: str | None = Field(None, max_length=40, description="Only of this kind of monitor.")
    monitor_id: int | None = Field(None, ge=-(2**31), lt=2**31, description="Only of this monitor.")
    cleared: bool | None = Field(None, description="Only those that tell, or do not tell, that an alert is over.")
    open: bool | None = Field(None, description="Only alerts that are not over; false: only the rest.")
    severity: int | None = Field(None, ge=0, le=9, description="Only this urgent or more.")
    since: Moment | None = Field(None, description="Not before, by the station's clock.")
    until: Moment | None = Field(None, description="Before, by the station's clock.")


@resource.get("/stations/{station_id}/events", Page[EventShown], query=EventFilter)
async def list_events(call: ApiCall) -> Page[EventShown]:
    """List a station's events, the newest first."""
    await require_station(call)
    e, asked = t.events.c, call.query
    query = select(t.events).where(e.station_id == call.path["station_id"])
    for name in ("component", "variable", "trigger", "notification_type", "monitor_id", "cleared"):
        if getattr(asked, name) is not None:
            query = query.where(e[name] == getattr(asked, name))
    if asked.open is not None:
        is_open = and_(e.trigger == ALERTING, e.cleared.is_(False), e.cleared_at.is_(None))
        query = query.where(is_open if asked.open else not_(is_open))
    if asked.severity is not None:
        query = query.where(e.severity <= asked.severity)
    if asked.since is not None:
        query = query.where(e.at >= asked.since)
    if asked.until is not None:
        query = query.where(e.at < asked.until)

    def shown(row: Any) -> EventShown:
        return EventShown(**{name: getattr(row, name) for name in EventShown.model_fields})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [e.record_id], asked, shown, newest_first=True)
