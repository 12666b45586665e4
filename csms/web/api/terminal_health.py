"""Terminal health and alarms."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.terminals.alarms import Kind
from csms.web.api.care import care_id, require_terminal
from csms.web.api.operation import ApiCall, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import care_schema as t
from storage import schema as s
from storage.engine import reading

resource = Resource(
    "terminal health",
    parameters={"alarm_id": care_id("alm", "alarm")},
    owned={"alarm_id": owned_by(t.alarms.c.owner_id, t.alarms.c.alarm_id)},
)


class HealthShown(Shown):
    """How a terminal is."""

    serial: str
    owner_id: str
    family: str
    inventory_state: str
    online: bool | None = Field(description="null: never heard of.")
    state: str | None = Field(description="The reader's state, as its cloud said it last.")
    seen_at: datetime | None = Field(description="When its cloud last told a change.")
    tapped_at: datetime | None = Field(description="The last tap.")
    firmware: str | None = Field(description="Where its cloud tells it.")
    firmware_at: datetime | None


class PresenceShown(Shown):
    """A change between online and offline."""

    presence_id: int
    online: bool
    state: str
    since: datetime


class DayShown(Shown):
    """A day of a terminal, by the owner's calendar."""

    day: date
    taps: int
    held: int = Field(description="Holds made.")
    refused: int = Field(description="Taps refused before any hold: occupied, reserved, out of service, …")
    declined: int = Field(description="Failures: the hold was declined.")
    unanswered: int = Field(description="Failures: nobody knew at first whether the hold was made.")


class AlarmShown(Shown):
    """An alarm."""

    alarm_id: str
    kind: Kind
    about: str = Field(description="Terminal, station or session.")
    owner_id: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None = Field(description="When it was over; null: it is not.")


class HealthFilter(PageQuery):
    """Which terminals."""

    online: bool | None = Field(None, description="Only those that are, or are not, online.")


class AlarmFilter(PageQuery):
    """Which alarms."""

    kind: Kind | None = Field(None, description="Only of this kind.")
    about: str | None = Field(None, max_length=80, description="Only about this.")
    open: bool | None = Field(None, description="Only those that are, or are not, over.")


def _health() -> Any:
    h, c = t.terminal_health.c, s.terminals.c
    known = select(
        *(c.serial, c.owner_id, c.family, c.inventory_state, c.online, c.state, c.seen_at),
        *(h.tapped_at, h.firmware, h.firmware_at),
    )
    return known.outerjoin(t.terminal_health, h.serial == c.serial)


@resource.get("/terminal-health", Page[HealthShown], query=HealthFilter, owners=True)
async def list_terminal_health(call: ApiCall) -> Page[HealthShown]:
    """List terminals and how they are."""
    c = s.terminals.c
    query = call.mine(_health(), c.owner_id)
    if call.query.online is not None:
        query = query.where(c.online.is_(call.query.online))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.serial], call.query, lambda row: HealthShown(**row._mapping))


@resource.get("/terminals/{serial}/health", HealthShown, owners=True)
async def get_terminal_health(call: ApiCall) -> HealthShown:
    """Show how a terminal is: online, last seen, firmware where known."""
    async with reading(call.api.engine) as connection:
        await require_terminal(call, connection)
        row = (await connection.execute(_health().where(s.terminals.c.serial == call.path["serial"]))).one()
    return HealthShown(**row._mapping)


@resource.get("/terminals/{serial}/presence", Page[PresenceShown], query=PageQuery, owners=True)
async def list_terminal_presence(call: ApiCall) -> Page[PresenceShown]:
    """List when a terminal went online and offline, the newest first."""
    p = t.terminal_presence.c
    async with reading(call.api.engine) as connection:
        await require_terminal(call, connection)
        query = select(t.terminal_presence).where(p.serial == call.path["serial"])
        return await fetch_page(
            connection,
            query,
            [p.presence_id],
            call.query,
            lambda row: PresenceShown(**{name: getattr(row, name) for name in PresenceShown.model_fields}),
            newest_first=True,
        )


@resource.get("/terminals/{serial}/days", Page[DayShown], query=PageQuery, owners=True)
async def list_terminal_days(call: ApiCall) -> Page[DayShown]:
    """List a terminal's taps and failures per day, the oldest first."""
    d = t.terminal_days.c
    async with reading(call.api.engine) as connection:
        await require_terminal(call, connection)
        query = select(t.terminal_days).where(d.serial == call.path["serial"])
        return await fetch_page(
            connection,
            query,
            [d.day],
            call.query,
            lambda row: DayShown(**{name: getattr(row, name) for name in DayShown.model_fields}),
        )


@resource.get("/alarms", Page[AlarmShown], query=AlarmFilter, owners=True)
async def list_alarms(call: ApiCall) -> Page[AlarmShown]:
    """List alarms, the newest first; `?open=true` for what should be looked at now."""
    a = t.alarms.c
    query = call.mine(select(t.alarms), a.owner_id)
    for name in ("kind", "about"):
        if getattr(call.query, name) is not None:
            query = query.where(a[name] == str(getattr(call.query, name)))
    if call.query.open is not None:
        query = query.where(a.closed_at.is_(None) if call.query.open else a.closed_at.is_not(None))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [a.opened_at, a.alarm_id], call.query, _alarm, newest_first=True)


@resource.get("/alarms/{alarm_id}", AlarmShown, owners=True)
async def get_alarm(call: ApiCall) -> AlarmShown:
    """Show an alarm."""
    async with reading(call.api.engine) as connection:
        query = select(t.alarms).where(t.alarms.c.alarm_id == call.path["alarm_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no alarm of this id.")
    return _alarm(row)


def _alarm(row: Any) -> AlarmShown:
    return AlarmShown(**{name: getattr(row, name) for name in AlarmShown.model_fields})
