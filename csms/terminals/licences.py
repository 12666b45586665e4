"""Licences of terminals: assigned, started, renewed; and the reminders of their ends.

A terminal takes cards with two: an activation, once, and a plan that runs. What the gate asks
(`sessions.rows.out_of_service`) is on the terminal's row, written by the commit that assigns: ``activated_at``, and
``licensed_until``, the end of the last plan and of its grace period.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.licence import (
    EXPIRING,
    REMIND_DAYS,
    LicenceKind,
    LicenceState,
    licence_state,
    licensed_until,
    plan_ends_at,
    plan_starts_at,
    reminder_days,
)
from csms.terminals.inventory import State
from csms.terminals.reminder_words import say
from csms.terminals.reminders import remind
from csms.terminals.rounds import Round
from storage import licence_schema as t
from storage import schema as s
from storage.owner_schema import owners

_l = t.licences.c
_renewal = t.licences.alias("renewal")
#: Whether another plan begins where this one ends.
RENEWED: ColumnElement[bool] = exists().where(_renewal.c.renews == _l.licence_id)
#: A terminal that is there no more needs no plan, and nobody is reminded of it.
_GONE = (State.RETURNED, State.LOST, State.STOLEN)


class AssignmentRefusedError(Exception):
    """The licence cannot be assigned to this terminal; the text says why, and what to do."""


async def assign(
    connection: AsyncConnection, licence_id: str, serial: str, *, by: str, now: datetime, grace_days: int
) -> None:
    """Assign a licence to a terminal of the same owner, in the caller's transaction; it begins.

    A plan for a terminal whose plan still runs begins when that one ends; otherwise at once. Assigning it to the same
    terminal again changes nothing. Raises `AssignmentRefusedError`.
    """
    terminals = select(s.terminals).where(s.terminals.c.serial == serial).with_for_update()
    terminal = (await connection.execute(terminals)).first()
    found = select(t.licences).where(_l.licence_id == licence_id).with_for_update()
    licence = (await connection.execute(found)).first()
    if licence is None:
        raise AssignmentRefusedError("There is no such licence.")
    if terminal is None or terminal.owner_id != licence.owner_id:
        raise AssignmentRefusedError(f"There is no terminal {serial!r} of the licence's owner: register it first.")
    if licence.serial == serial:
        return
    if licence.serial is not None:
        raise AssignmentRefusedError("This licence is assigned to another terminal already: take another one.")
    if licence.confirmed_at is None:
        raise AssignmentRefusedError("The order of this licence is not confirmed yet.")
    if terminal.licence_exempt:
        raise AssignmentRefusedError("This is one of the operator's own terminals: it needs no licence.")
    if terminal.inventory_state in _GONE:
        raise AssignmentRefusedError(f"Terminal {serial} is {terminal.inventory_state}: keep the licence for another.")
    values = {"serial": serial, "assigned_by": by[:80], "assigned_at": now}
    if licence.kind == LicenceKind.ACTIVATION.value:
        if terminal.activated_at is not None:
            raise AssignmentRefusedError(f"Terminal {serial} is activated already: keep the licence for another.")
        values |= {"activates": serial, "starts_at": now}
        terminal_values: dict[str, Any] = {"activated_at": now}
    else:
        plan, until = await _plan(connection, licence.owner_id, serial, now, grace_days)
        values |= plan
        terminal_values = {"licensed_until": max(until, terminal.licensed_until or until)}
    await connection.execute(update(t.licences).where(_l.licence_id == licence_id).values(values))
    await connection.execute(update(s.terminals).where(s.terminals.c.serial == serial).values(terminal_values))


async def _plan(
    connection: AsyncConnection, owner_id: str, serial: str, now: datetime, grace_days: int
) -> tuple[dict[str, Any], datetime]:
    """When the plan runs, and until when the terminal is licensed by it."""
    zone_name = (await connection.execute(select(owners.c.time_zone).where(owners.c.owner_id == owner_id))).scalar_one()
    zone = ZoneInfo(zone_name)
    others = select(_l.licence_id, _l.ends_at).where(_l.serial == serial, _l.kind == LicenceKind.PLAN.value)
    ends = {row.ends_at: row.licence_id for row in await connection.execute(others)}
    starts_at = plan_starts_at(ends, now)
    ends_at = plan_ends_at(starts_at, zone)
    plan = {"starts_at": starts_at, "ends_at": ends_at, "renews": ends.get(starts_at)}
    return plan, licensed_until(ends_at, grace_days, zone)


def state_of(row: Any, now: datetime) -> LicenceState:
    """The state of a row of `with_renewal`."""
    return licence_state(
        now,
        confirmed=row.confirmed_at is not None,
        assigned=row.serial is not None,
        ends_at=row.ends_at,
        renewed=row.renewed,
    )


def with_renewal() -> Select[Any]:
    """Licences, and whether each is renewed."""
    return select(t.licences, RENEWED.label("renewed"))


def in_state(state: LicenceState, now: datetime) -> ColumnElement[bool]:
    """The rows that `state_of` gives that state."""
    expiring = and_(_l.ends_at > now, _l.ends_at <= now + EXPIRING, ~RENEWED)
    return {
        LicenceState.NEW: _l.confirmed_at.is_(None),
        LicenceState.AVAILABLE: and_(_l.confirmed_at.is_not(None), _l.serial.is_(None)),
        LicenceState.ACTIVE: and_(
            _l.serial.is_not(None),
            or_(_l.ends_at.is_(None), and_(_l.ends_at > now, or_(_l.ends_at > now + EXPIRING, RENEWED))),
        ),
        LicenceState.EXPIRING: and_(_l.serial.is_not(None), expiring),
        LicenceState.EXPIRED: and_(_l.serial.is_not(None), _l.ends_at <= now),
    }[state]


def plan_end() -> ColumnElement[Any]:
    """When the last plan of a row of `terminals` ends, without its grace period; NULL: it never had one."""
    ends = select(func.max(_l.ends_at)).where(_l.serial == s.terminals.c.serial)
    return ends.correlate(s.terminals).scalar_subquery()


async def remind_of_ends(r: Round) -> None:
    """Remind owners of plans that end in 90, 30 and 7 days and are not renewed."""
    rows = await r.connection.execute(
        select(t.licences, owners.c.time_zone)
        .join(owners, owners.c.owner_id == _l.owner_id)
        .join(s.terminals, s.terminals.c.serial == _l.serial)
        .where(
            _l.ends_at > r.due_at,
            _l.ends_at <= r.due_at + timedelta(days=max(REMIND_DAYS)),
            ~RENEWED,
            s.terminals.c.inventory_state.not_in(_GONE),
        )
        .order_by(_l.ends_at, _l.licence_id)
    )
    for row in rows.all():
        days = reminder_days(r.due_at, row.ends_at)
        if days is None:
            continue
        last_day = (row.ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo(row.time_zone)).date()
        await remind(
            r.connection,
            r.now,
            key=f"licence:{row.licence_id}:{days}",
            owner_id=row.owner_id,
            kind="licence",
            about=row.serial,
            subject=say("licence_ends", serial=row.serial, days=days),
            body=[say("licence_what", plan=row.name, serial=row.serial, day=last_day)],
            due_on=last_day,
        )


ROUND = (remind_of_ends,)
