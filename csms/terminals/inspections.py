"""Inspections: somebody looks at a terminal for damage, foreign stickers and unusual cables, and watches it power on.

One is owed in every week in which the terminal is live (a week of the owner's calendar), and when it comes into storage
or out of it. What is owed is a duty; any inspection fulfils the weekly one. A failed inspection takes the terminal out
of use in its own transaction, and points to the incident that it opened or found.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import incidents
from csms.terminals.calendar import Entry, Span
from csms.terminals.due_dates import DAY, WEEK, day_begins, local_day, week_ends, week_of
from csms.terminals.inventory import FOLLOWERS, GUARDS, MoveRefusedError, State
from csms.terminals.reminder_words import named, say
from csms.terminals.reminders import remind
from csms.terminals.rounds import Round
from csms.terminals.time_zones import Zones, zone_of, zones
from csms.terminals.whereabouts import last_stored, was_live, whereabouts
from sessions.rows import insert_for
from storage import care_schema as t
from storage import schema as s

#: An inspection this long before a terminal comes into storage is the one that was owed.
SHORTLY_BEFORE = timedelta(hours=24)
#: An inspection owed at once is overdue after this.
AT_ONCE = timedelta(hours=24)
WEEKS_SHOWN = 4


class Occasion(StrEnum):
    """Why an inspection is made."""

    WEEKLY = "weekly"
    BEFORE_STORAGE = "before storage"
    AFTER_STORAGE = "after storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was seen. ``logo_at_power_on``: the provider's logo showed when it was powered on."""

    damage: bool
    foreign_stickers: bool
    unusual_cables: bool
    logo_at_power_on: bool

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; nothing: it passed."""
        found = {
            "damage": self.damage,
            "foreign stickers": self.foreign_stickers,
            "unusual cables": self.unusual_cables,
            "no logo at power-on": not self.logo_at_power_on,
        }
        return [name for name, wrong in found.items() if wrong]

    @property
    def incident(self) -> incidents.Kind:
        """What a failed inspection is reported as."""
        if self.foreign_stickers or self.unusual_cables:
            return incidents.Kind.TAMPERING
        return incidents.Kind.DAMAGE if self.damage else incidents.Kind.DOUBT


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What became of an inspection. ``incident_number``: of the incident that a failed one opened, or found open."""

    inspection_id: str
    passed: bool
    incident_id: str | None = None
    incident_number: int | None = None


async def record_inspection(
    connection: AsyncConnection,
    serial: str,
    occasion: Occasion,
    findings: Findings,
    *,
    made_at: datetime,
    inspected_by: str,
    remarks: str,
    recorded_by: str,
    now: datetime,
) -> Inspected:
    """Write an inspection down, in the caller's transaction, with all that follows from it.

    Raises `MoveRefusedError` for a serial nobody knows.
    """
    query = select(s.terminals.c.owner_id).where(s.terminals.c.serial == serial).with_for_update()
    owner_id = (await connection.execute(query)).scalar()
    if owner_id is None:
        raise MoveRefusedError(f"There is no terminal {serial!r} in the inventory.")
    inspection_id, faults = f"ins_{secrets.token_hex(6)}", findings.faults
    reported = None
    if faults:
        said = f"Inspection ({occasion.value}) by {inspected_by}: {', '.join(faults)}. {remarks}".strip()
        reported = await incidents.report(
            connection,
            serial,
            findings.incident,
            description=said,
            by=inspected_by,
            now=now,
            inspection_id=inspection_id,
        )
    row = {
        "inspection_id": inspection_id,
        "serial": serial,
        "owner_id": owner_id,
        "occasion": occasion.value,
        "made_at": made_at,
        "inspected_by": inspected_by,
        "damage": findings.damage,
        "foreign_stickers": findings.foreign_stickers,
        "unusual_cables": findings.unusual_cables,
        "logo_at_power_on": findings.logo_at_power_on,
        "passed": not faults,
        "remarks": remarks,
        "incident_id": reported.incident_id if reported else None,
        "recorded_by": recorded_by,
        "recorded_at": now,
    }
    await connection.execute(t.inspections.insert().values(row))
    await _fulfil(connection, serial, occasion, made_at, inspection_id)
    return Inspected(
        inspection_id=inspection_id,
        passed=not faults,
        incident_id=reported.incident_id if reported else None,
        incident_number=reported.number if reported else None,
    )


def _open() -> Any:
    d = t.inspection_duties.c
    return d.done_at.is_(None) & d.lapsed_at.is_(None)


async def _fulfil(
    connection: AsyncConnection, serial: str, occasion: Occasion, made_at: datetime, inspection_id: str
) -> None:
    d = t.inspection_duties.c
    meant = d.occasion.in_([Occasion.WEEKLY.value, occasion.value])
    mine = (d.serial == serial, meant, d.owed_from <= made_at, _open())
    values = {"done_at": made_at, "inspection_id": inspection_id}
    await connection.execute(update(t.inspection_duties).where(*mine).values(values))


async def _owe(connection: AsyncConnection, duty: dict[str, Any]) -> bool:
    """Write a duty, once for ever; it is done if an inspection that fulfils it has been made. False: known."""
    insert = insert_for(connection)(t.inspection_duties).values(duty)
    written = await connection.execute(insert.on_conflict_do_nothing(index_elements=["duty_key"]))
    if not written.rowcount:
        return False
    i = t.inspections.c
    fits = (i.serial == duty["serial"], i.made_at >= duty["owed_from"])
    query = select(i.inspection_id, i.made_at).where(*fits).order_by(i.made_at).limit(1)
    if duty["occasion"] != Occasion.WEEKLY.value:
        query = query.where(i.occasion == duty["occasion"])
    made = (await connection.execute(query)).first()
    if made is not None:
        mine = t.inspection_duties.c.duty_key == duty["duty_key"]
        values = {"done_at": made.made_at, "inspection_id": made.inspection_id}
        await connection.execute(update(t.inspection_duties).where(mine).values(values))
    return made is None


# --- by the calendar --------------------------------------------------------------------------------------------------


async def owe_weekly(r: Round) -> None:
    """Whatever is live owes the inspection of its week."""
    zone_by_owner = await zones(r.connection)
    known = set((await r.connection.execute(select(t.inspection_duties.c.duty_key).where(_this_week(r)))).scalars())
    for terminal in await whereabouts(r.connection, r.due_at):
        if terminal.state is not State.LIVE:
            continue
        zone = zone_by_owner[terminal.owner_id]
        monday = week_of(r.due_at, zone)
        key = f"weekly:{terminal.serial}:{monday.isoformat()}"
        if key in known:
            continue
        await _owe(
            r.connection,
            {
                "duty_key": key,
                "serial": terminal.serial,
                "owner_id": terminal.owner_id,
                "occasion": Occasion.WEEKLY.value,
                "owed_from": day_begins(monday, zone),
                "due_at": week_ends(monday, zone),
            },
        )


def _this_week(r: Round) -> Any:
    d = t.inspection_duties.c
    return (d.occasion == Occasion.WEEKLY.value) & (d.due_at > r.due_at) & (d.owed_from <= r.due_at)


async def remind_of_overdue(r: Round) -> None:
    """Remind of each duty that is overdue, once. Weekly ones lapse where the terminal was not live at the end."""
    d = t.inspection_duties.c
    rows = (await r.connection.execute(select(t.inspection_duties).where(_open(), d.due_at <= r.due_at))).all()
    live_at: dict[datetime, set[str]] = {}
    zone_by_owner = await zones(r.connection)
    for row in rows:
        if row.occasion == Occasion.WEEKLY.value:
            if row.due_at not in live_at:
                there = await whereabouts(r.connection, row.due_at)
                live_at[row.due_at] = {one.serial for one in there if one.state is State.LIVE}
            if row.serial not in live_at[row.due_at]:
                await _lapse(r.connection, d.duty_key == row.duty_key, r.due_at)
                continue
        elif r.due_at - row.due_at < AT_ONCE:
            continue
        await _remind(r.connection, row._mapping, r.now, zone_by_owner, overdue=True)


async def _remind(
    connection: AsyncConnection, duty: Any, now: datetime, zone_by_owner: Zones, *, overdue: bool
) -> None:
    serial, occasion = duty["serial"], named(duty["occasion"])
    due_on = local_day(duty["due_at"], zone_by_owner[duty["owner_id"]])
    last_day = due_on - DAY if duty["occasion"] == Occasion.WEEKLY.value else due_on
    subject = say("inspection_due", serial=serial, occasion=occasion)
    if overdue:
        subject = say("inspection_overdue", serial=serial, occasion=occasion, day=last_day)
    await remind(
        connection,
        now,
        key=f"inspection:{duty['duty_key']}:{'overdue' if overdue else 'due'}",
        owner_id=duty["owner_id"],
        kind="inspection",
        about=serial,
        subject=subject,
        body=[say("inspection_what", serial=serial), say("in_doubt")],
        due_on=last_day,
    )


async def _lapse(connection: AsyncConnection, which: Any, now: datetime) -> None:
    await connection.execute(update(t.inspection_duties).where(which, _open()).values(lapsed_at=now))


# --- storage ----------------------------------------------------------------------------------------------------------

_GONE = frozenset({State.LOST, State.STOLEN, State.RETURNED, State.IN_REPAIR})


async def follow(connection: AsyncConnection, serial: str, at: State, to: State, now: datetime) -> None:
    """A move into storage, or out of it into use, owes an inspection at once; one that is gone owes none.

    A new terminal lies in its box, and its onboarding looks at the same things: it owes one once it has been live.
    """
    d = t.inspection_duties.c
    mine = d.serial == serial
    if to in _GONE:
        await _lapse(connection, mine, now)
        return
    if to is State.STORED:
        await _lapse(connection, mine & (d.occasion == Occasion.AFTER_STORAGE.value), now)
        if at is not State.ORDERED:
            await _owe_at_once(connection, serial, Occasion.BEFORE_STORAGE, now - SHORTLY_BEFORE, now)
    elif to in {State.ONBOARDING, State.LIVE}:
        stored = await last_stored(connection, serial)
        if stored is None or not await was_live(connection, serial, stored.move_id):
            return
        await _lapse(connection, mine & (d.occasion == Occasion.BEFORE_STORAGE.value), now)
        await _owe_at_once(connection, serial, Occasion.AFTER_STORAGE, stored.moved_at, now)


async def _owe_at_once(
    connection: AsyncConnection, serial: str, occasion: Occasion, owed_from: datetime, now: datetime
) -> None:
    stored = await last_stored(connection, serial)
    owner_id = (
        await connection.execute(select(s.terminals.c.owner_id).where(s.terminals.c.serial == serial))
    ).scalar_one()
    duty = {
        "duty_key": f"{occasion.value}:{serial}:{stored.move_id}",
        "serial": serial,
        "owner_id": owner_id,
        "occasion": occasion.value,
        "owed_from": owed_from,
        "due_at": now,
    }
    if await _owe(connection, duty):
        zone_by_owner = Zones({owner_id: await zone_of(connection, owner_id)})
        await _remind(connection, duty, now, zone_by_owner, overdue=False)


async def inspection_due(connection: AsyncConnection, serial: str) -> str:
    """Why the terminal cannot go live before somebody has inspected it; "": nothing forbids it."""
    i = t.inspections.c
    newest = select(i.made_at, i.passed).where(i.serial == serial).order_by(i.made_at.desc(), i.recorded_at.desc())
    last = (await connection.execute(newest.limit(1))).first()
    if last is not None and not last.passed:
        return (
            f"The last inspection of terminal {serial} failed: have it mended, inspect it, and record that it passes."
        )
    stored = await last_stored(connection, serial)
    if stored is None or not await was_live(connection, serial, stored.move_id):
        return ""
    after = (i.occasion == Occasion.AFTER_STORAGE.value, i.passed, i.made_at >= stored.moved_at)
    if (await connection.execute(newest.where(*after).limit(1))).first() is None:
        return f"Terminal {serial} comes out of storage: record an inspection (after storage) that passes."
    return ""


async def guard(connection: AsyncConnection, serial: str, at: State, to: State, now: datetime) -> None:
    """No terminal goes live over a failed inspection, or out of storage without one."""
    if to is State.LIVE:
        due = await inspection_due(connection, serial)
        if due:
            raise MoveRefusedError(due)


async def contribute(connection: AsyncConnection, span: Span) -> Sequence[Entry]:
    """Duties that are open, and the weeks to come of what is live. All-day: the last day on which it is in time."""
    d = t.inspection_duties.c
    rows = (await connection.execute(select(t.inspection_duties).where(d.owner_id == span.owner_id, _open()))).all()
    found, owed = [], {row.duty_key for row in rows}
    for row in rows:
        due_on = local_day(row.due_at, span.zone)
        if row.occasion == Occasion.WEEKLY.value:
            due_on -= DAY
        found.append(_entry(row.duty_key, row.serial, row.occasion, due_on, span.language))
    c = s.terminals.c
    live = select(c.serial).where(c.owner_id == span.owner_id, c.inventory_state == State.LIVE.value)
    monday = week_of(span.now, span.zone)
    for serial in (await connection.execute(live.order_by(c.serial))).scalars():
        for week in range(1, WEEKS_SHOWN + 1):
            begins = monday + WEEK * week
            key = f"weekly:{serial}:{begins.isoformat()}"
            if key not in owed:  # an entry stands in a calendar once
                found.append(_entry(key, serial, Occasion.WEEKLY.value, begins + WEEK - DAY, span.language))
    return found


def _entry(duty_key: str, serial: str, occasion: str, due_on: Any, language: str) -> Entry:
    return Entry(
        uid=f"inspection-{duty_key.replace(' ', '-')}",
        starts=due_on,
        summary=say("calendar_inspection", serial=serial, occasion=named(occasion)).written(language),
        description=say("calendar_inspection_what").written(language),
    )


ROUND = (owe_weekly, remind_of_overdue)
CALENDAR = (contribute,)
GUARDS.append(guard)
FOLLOWERS.append(follow)
