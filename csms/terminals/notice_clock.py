"""The 24 hours within which an incident's notice is owed to the platform, and the reminders while they run.

Each reminder is a command that falls due at its hour, written with the report: exact across restarts, and hours of the
clock, whatever day it is put forward or back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from csms.terminals.calendar import Entry, Span
from csms.terminals.reminder_words import named, say
from csms.terminals.reminders import remind
from csms.terminals.time_zones import zone_of
from sessions.codec import register
from sessions.commands import Command
from sessions.rows import enqueue
from sessions.service import Dispatched, Service
from storage import care_schema as t
from storage.engine import writing

#: Hours after the report; at the last one the notice is overdue.
HOURS = (12, 20, 24)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RemindOfNotice(Command):
    """Remind of the notice that an incident owes, ``hours`` after its report."""

    incident_id: str
    hours: int


async def start_clock(connection: AsyncConnection, incident: Mapping[str, Any], now: datetime) -> None:
    """Start an incident's clock in the transaction that reports it: remind at once, and when the hours are over."""
    await _remind(connection, incident, 0, now)
    incident_id, began = incident["incident_id"], incident["reported_at"]
    timers = [
        RemindOfNotice(
            key=f"notice:{incident_id}:{hours}",
            due_at=began + timedelta(hours=hours),
            incident_id=incident_id,
            hours=hours,
        )
        for hours in HOURS
    ]
    await enqueue(connection, timers, now)


class NoticeDoer:
    """Reminds of notices. An attempt that a crash cut off is made again: the reminder's key is written once."""

    def __init__(self, service: Service, engine: AsyncEngine, now: Callable[[], datetime]) -> None:
        self._service = service
        self._engine = engine
        self._now = now

    async def __call__(self, command: RemindOfNotice, _: Dispatched) -> None:
        """Remind, unless the notice has been given or the incident is closed."""
        now = self._now()
        i = t.incidents.c
        query = select(t.incidents).where(i.incident_id == command.incident_id).with_for_update()
        async with writing(self._engine) as connection:
            row = (await connection.execute(query)).first()
            reminded = row is not None and row.notified_at is None and row.closed_at is None
            if row is not None and reminded:
                await _remind(connection, dict(row._mapping), command.hours, now)
        await self._service.complete(command.key)
        if reminded:
            self._service.wake(now)


async def _remind(connection: AsyncConnection, incident: Mapping[str, Any], hours: int, now: datetime) -> None:
    """Tell the owner; the platform hears of the start and of a notice that is overdue."""
    zone = await zone_of(connection, incident["owner_id"])
    due = incident["notice_due_at"].astimezone(zone)
    number, serial = incident["number"], incident["serial"]
    subject, deadline = say("notice_due", number=number, serial=serial, until=due), say("notice_until", until=due)
    if now >= incident["notice_due_at"]:
        subject = say("notice_overdue", number=number, serial=serial, until=due)
        deadline = say("notice_since", until=due)
    kind, reported_by = named(incident["kind"]), incident["reported_by"]
    what = say("incident_what", serial=serial, kind=kind, reported_by=reported_by)
    told = {incident["owner_id"]} | ({PLATFORM} if hours in {0, 24} else set())
    for owner_id in sorted(told):
        await remind(
            connection,
            now,
            key=f"notice:{incident['incident_id']}:{hours}:{owner_id}",
            owner_id=owner_id,
            kind="incident",
            about=f"incident {number}",
            subject=subject,
            body=[what, say("notice_what", deadline=deadline)],
            due_on=due.date(),
        )


async def contribute(connection: AsyncConnection, span: Span) -> list[Entry]:
    """The clocks that run."""
    i = t.incidents.c
    running = (i.owner_id == span.owner_id, i.notified_at.is_(None), i.closed_at.is_(None))
    found = []
    for row in await connection.execute(select(t.incidents).where(*running)):
        summary = say("calendar_notice", number=row.number, kind=named(row.kind), serial=row.serial)
        description = say("calendar_notice_what", at=row.reported_at.astimezone(span.zone))
        found.append(
            Entry(
                uid=f"notice-{row.incident_id}",
                starts=row.notice_due_at,
                summary=summary.written(span.language),
                description=description.written(span.language),
            )
        )
    return found


CALENDAR = (contribute,)
