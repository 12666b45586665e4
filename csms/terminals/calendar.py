"""The care of an owner's terminals as a calendar (iCalendar, RFC 5545): what falls due, and when.

A noun with dates lists ``CALENDAR = (contribute,)``; ``async def contribute(connection, span)`` returns its entries,
and `csms.nouns.calendars` finds it. An entry's uid stays; its SEQUENCE rises whenever what it says has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import State
from csms.terminals.reminder_words import say
from sessions.rows import upsert
from storage import care_schema as t
from storage import schema as s

#: So far ahead entries are shown, and so often programs are asked to look again.
AHEAD = timedelta(days=400)
REFRESH = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whose calendar, in whose language, by whose clock, and when it is read (UTC)."""

    owner_id: str
    language: str
    zone: ZoneInfo
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. ``uid``: unique in this system and stable. ``starts``: a day of the owner's, or a moment (UTC)."""

    uid: str
    starts: date
    summary: str
    description: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with what the entry says."""
        said = "\0".join((self.starts.isoformat(), self.summary, self.description))
        return hashlib.sha256(said.encode()).hexdigest()


Contributor = Callable[[AsyncConnection, Span], Awaitable[Sequence[Entry]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An entry as calendars are told of it. ``changed_at``: when it last began to say something else (UTC)."""

    entry: Entry
    sequence: int
    changed_at: datetime


async def read(connection: AsyncConnection, span: Span, contributors: Iterable[Contributor]) -> list[Told]:
    """What the owner's calendar says now; changes since it was last read are written, with their sequence."""
    entries = [entry for contribute in contributors for entry in await contribute(connection, span)]
    c = t.calendar_entries.c
    known: dict[str, Any] = {}
    uids = [entry.uid for entry in entries]
    for first in range(0, len(uids), 500):
        query = select(t.calendar_entries).where(c.uid.in_(uids[first : first + 500]))
        known |= {row.uid: row for row in await connection.execute(query)}
    told, changed = [], []
    for entry in entries:
        row = known.get(entry.uid)
        if row is None or row.fingerprint != entry.fingerprint:
            sequence, changed_at = (0 if row is None else row.sequence + 1), span.now
            changed.append({"uid": entry.uid, "fingerprint": entry.fingerprint, "sequence": sequence})
        else:
            sequence, changed_at = row.sequence, row.changed_at
        told.append(Told(entry=entry, sequence=sequence, changed_at=changed_at))
    for first in range(0, len(changed), 500):
        rows = [row | {"changed_at": span.now} for row in changed[first : first + 500]]
        await upsert(connection, t.calendar_entries, ["uid"], rows)
    return told


def render(told: Iterable[Told], zone: ZoneInfo, name: str, domain: str) -> bytes:
    """The calendar as a file. ``domain``: this system's, at the end of each UID. Pure."""
    made = icalendar.Calendar()
    made.add("prodid", "-//Tapvolt//Care of terminals//EN")
    made.add("version", "2.0")
    made.add("method", "PUBLISH")
    made.add("x-wr-calname", name)
    made.add("x-wr-timezone", zone.key)
    made.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    for one in sorted(told, key=lambda one: one.entry.uid):
        made.add_component(_event(one, zone, domain))
    made.add_missing_timezones()
    ics: bytes = made.to_ical()
    return ics


def _event(told: Told, zone: ZoneInfo, domain: str) -> icalendar.Event:
    entry, event = told.entry, icalendar.Event()
    event.add("uid", f"{entry.uid}@{domain}")
    event.add("dtstamp", told.changed_at)
    event.add("last-modified", told.changed_at)
    event.add("sequence", told.sequence)
    event.add("summary", entry.summary)
    if entry.description:
        event.add("description", entry.description)
    if isinstance(entry.starts, datetime):
        event.add("dtstart", entry.starts.astimezone(zone))
        event.add("duration", timedelta(0))
    else:
        event.add("dtstart", entry.starts)
        event.add("dtend", entry.starts + timedelta(days=1))
    event.add("transp", "TRANSPARENT")  # it blocks nobody's day
    return event


async def contribute(connection: AsyncConnection, span: Span) -> list[Entry]:
    """The ends of terminals' licences, the grace period included."""
    c = s.terminals.c
    mine = (c.owner_id == span.owner_id, c.licence_exempt.is_(False), c.licensed_until.is_not(None))
    here = c.inventory_state.not_in([State.RETURNED.value, State.LOST.value, State.STOLEN.value])
    near = c.licensed_until.between(span.now - AHEAD, span.now + AHEAD)
    rows = await connection.execute(select(c.serial, c.licensed_until).where(*mine, here, near))
    return [
        Entry(
            uid=f"licence-{row.serial}",
            starts=row.licensed_until.astimezone(span.zone).date(),
            summary=say("calendar_licence", serial=row.serial).written(span.language),
            description=say("calendar_licence_what").written(span.language),
        )
        for row in rows
    ]


CALENDAR = (contribute,)
