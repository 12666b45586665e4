"""Batteries of terminals in storage: charged every three months, or the terminal goes into tamper mode.

Months are the calendar's, days the owner's: stored on 30 November, it is due on the last of February.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.calendar import Entry, Span
from csms.terminals.due_dates import local_day, months_later
from csms.terminals.inventory import MoveRefusedError, State
from csms.terminals.reminder_words import say
from csms.terminals.reminders import remind
from csms.terminals.rounds import Round
from csms.terminals.time_zones import Zones, zones
from csms.terminals.whereabouts import came_to, whereabouts
from sessions.families import family_of
from storage import care_schema as t
from storage import schema as s
from storage import terminal_schema as moves

EVERY_MONTHS = 3
BEFORE = timedelta(days=14)


class Charge(StrEnum):
    """How a stored terminal's battery stands."""

    CHARGED = "charged"
    SOON = "soon"  # due within a fortnight
    DUE = "due"  # today
    MISSED = "missed"  # tamper mode threatens


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """The battery of a terminal in storage. ``since``: its last charge, or the day it was stored."""

    serial: str
    owner_id: str
    since: date
    due_on: date

    def at(self, day: date) -> Charge:
        """How it stands on ``day``."""
        if day > self.due_on:
            return Charge.MISSED
        if day == self.due_on:
            return Charge.DUE
        return Charge.SOON if day >= self.due_on - BEFORE else Charge.CHARGED


def charge_due(since: date) -> date:
    """When a battery charged, or stored, on ``since`` has to be charged again."""
    return months_later(since, EVERY_MONTHS)


def has_battery(family: str) -> bool:
    """Whether terminals of this family have a battery that must be kept charged."""
    return family_of(family).battery


async def batteries(connection: AsyncConnection, at: datetime, owner_id: str | None = None) -> list[Battery]:
    """Every battery in storage at ``at``, by serial number. ``owner_id``: only this owner's."""
    zone_by_owner = await zones(connection)
    m, b = moves.terminal_moves.c, t.battery_charges.c
    last = select(m.serial, func.max(m.moved_at)).where(came_to(State.STORED), m.moved_at <= at).group_by(m.serial)
    stored = dict((await connection.execute(last)).all())
    charged: dict[str, list[date]] = {}
    for row in await connection.execute(select(b.serial, b.charged_on)):
        charged.setdefault(row.serial, []).append(row.charged_on)
    found = []
    for terminal in await whereabouts(connection, at):
        mine = owner_id is None or terminal.owner_id == owner_id
        if not mine or terminal.state is not State.STORED or not has_battery(terminal.family):
            continue
        zone = zone_by_owner[terminal.owner_id]
        day = local_day(at, zone)
        known = [one for one in charged.get(terminal.serial, []) if one <= day]
        if terminal.serial in stored:
            known.append(local_day(stored[terminal.serial], zone))
        if known:
            since = max(known)
            found.append(
                Battery(serial=terminal.serial, owner_id=terminal.owner_id, since=since, due_on=charge_due(since))
            )
    return found


async def record_charge(
    connection: AsyncConnection, serial: str, *, charged_on: date, charged_by: str, recorded_by: str, now: datetime
) -> str:
    """Write down that somebody charged it; the charge's id. Raises `MoveRefusedError`: no such terminal, no battery."""
    c = s.terminals.c
    terminal = (await connection.execute(select(c.owner_id, c.family).where(c.serial == serial))).first()
    if terminal is None:
        raise MoveRefusedError(f"There is no terminal {serial!r} in the inventory.")
    if not has_battery(terminal.family):
        raise MoveRefusedError(f"A {terminal.family} has no battery that has to be charged.")
    charge_id = f"chg_{secrets.token_hex(6)}"
    await connection.execute(
        t.battery_charges.insert().values(
            charge_id=charge_id,
            serial=serial,
            owner_id=terminal.owner_id,
            charged_on=charged_on,
            charged_by=charged_by,
            recorded_by=recorded_by,
            recorded_at=now,
        )
    )
    return charge_id


async def remind_of_charges(r: Round) -> None:
    """Remind a fortnight before, on the day, and once it is missed; each once, whichever rounds were made late."""
    zone_by_owner: Zones = await zones(r.connection)
    for battery in await batteries(r.connection, r.due_at):
        day = local_day(r.due_at, zone_by_owner[battery.owner_id])
        stands = battery.at(day)
        if stands is Charge.CHARGED:
            continue
        subject = say("battery_due", serial=battery.serial, day=battery.due_on)
        body = [say("battery_what", serial=battery.serial, since=battery.since, months=EVERY_MONTHS)]
        if stands is Charge.MISSED:
            subject = say("battery_missed", serial=battery.serial, day=battery.due_on)
            body.append(say("battery_tamper"))
        await remind(
            r.connection,
            r.now,
            key=f"battery:{battery.serial}:{battery.due_on}:{stands.value}",
            owner_id=battery.owner_id,
            kind="battery",
            about=battery.serial,
            subject=subject,
            body=body,
            due_on=battery.due_on,
        )


async def contribute(connection: AsyncConnection, span: Span) -> list[Entry]:
    """The days on which batteries in storage are due."""
    today, found = local_day(span.now, span.zone), []
    for battery in await batteries(connection, span.now, span.owner_id):
        what = say("battery_tamper") if battery.at(today) is Charge.MISSED else say("calendar_battery_what")
        found.append(
            Entry(
                uid=f"battery-{battery.serial}-{battery.since.isoformat()}",
                starts=battery.due_on,
                summary=say("calendar_battery", serial=battery.serial).written(span.language),
                description=what.written(span.language),
            )
        )
    return found


ROUND = (remind_of_charges,)
CALENDAR = (contribute,)
