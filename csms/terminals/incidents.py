"""Incidents: a terminal is lost, stolen, damaged, tampered with, destroyed, or somebody is in doubt about it.

Reporting one takes the terminal out of use in the same transaction. The owner then has 24 hours to give notice to the
platform (`csms.terminals.notice_clock`); a notice that lacks anything is refused, and an incident closes only with an
outcome and by a named person.

A lost terminal is suspended and then lost, a stolen one suspended and then stolen; both moves stand in the inventory's
history. One that is ordered, in repair, gone or returned takes no cards anyway and stays where it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import GUARDS, MOVES, MoveRefusedError, State, move
from csms.terminals.notice_clock import start_clock
from sessions.rows import counter, set_counter
from storage import care_schema as t
from storage import schema as s

NOTICE_WITHIN = timedelta(hours=24)
COUNTER = "incident"
UNEXPLAINED = "In doubt about it; nothing was written."


class Kind(StrEnum):
    """What happened."""

    LOSS = "loss"
    THEFT = "theft"
    DAMAGE = "damage"
    TAMPERING = "tampering"
    DESTRUCTION = "destruction"
    DOUBT = "doubt"  # in doubt, don't use


class Outcome(StrEnum):
    """How an incident ended."""

    FOUND = "found"
    REPAIRED = "repaired"
    REPLACED = "replaced"
    RETURNED = "returned"
    WRITTEN_OFF = "written off"
    FALSE_ALARM = "false alarm"


class Progress(StrEnum):
    """How far an incident is."""

    OPEN = "open"
    NOTIFIED = "notified"
    CLOSED = "closed"


class IncidentRefusedError(Exception):
    """It cannot be done with this incident; ``missing``: what a notice still lacks."""

    def __init__(self, text: str, missing: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.missing = dict(missing or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a report came to. ``fresh``: it opened the incident, rather than finding it open."""

    incident_id: str
    number: int
    fresh: bool


#: What a notice must hold: the column, and what to write there.
NOTICE: Mapping[str, str] = {
    "description": "the full description of what happened: what, where, when, seen by whom",
    "actions_taken": "the actions taken so far",
    "actions_planned": "the actions planned, and by when",
    "information_secured": "how information is secured: passwords and keys changed, recordings kept, or why not needed",
    "terminals_secured": "how this terminal and the others at the site are secured",
    "contacts": "at least one person who can be reached, with a name and a phone number or an e-mail address",
}
_PUT_OUT_OF_USE = frozenset({State.STORED, State.ONBOARDING, State.LIVE})
_GONE = {Kind.LOSS: State.LOST, Kind.THEFT: State.STOLEN}
_MAY_GO_BACK = frozenset({Outcome.FOUND, Outcome.REPAIRED, Outcome.FALSE_ALARM})


def missing(notice: Mapping[str, Any]) -> dict[str, str]:
    """What the notice still lacks: field → what to write there. ``contacts``: a list of name, phone, email."""
    lacking = {name: what for name, what in NOTICE.items() if name != "contacts" and _blank(notice.get(name))}
    if notice.get("description") == UNEXPLAINED:
        lacking["description"] = NOTICE["description"]
    reachable = [
        contact
        for contact in notice.get("contacts") or ()
        if not _blank(contact.get("name")) and not (_blank(contact.get("phone")) and _blank(contact.get("email")))
    ]
    return lacking if reachable else lacking | {"contacts": NOTICE["contacts"]}


def _blank(text: Any) -> bool:
    return not str(text or "").strip()


def lacking_of(row: Any) -> dict[str, str]:
    """`missing`, of a row of `incidents`."""
    return missing({name: getattr(row, name) for name in NOTICE} | {"contacts": orjson.loads(row.contacts)})


async def report(
    connection: AsyncConnection,
    serial: str,
    kind: Kind,
    *,
    description: str,
    by: str,
    now: datetime,
    inspection_id: str | None = None,
) -> Reported:
    """Report an incident in the caller's transaction: the terminal is out of use with its commit.

    The same again finds the one that is open. A doubt about a terminal with an open incident belongs to that one; a
    doubt that turns out to be something takes its name. Raises `MoveRefusedError` for a serial nobody knows.
    """
    terminal = await _lock(connection, serial)
    await _put_out_of_use(connection, serial, State(terminal.inventory_state), kind, by, description, now)
    found = await _open_one(connection, serial, kind)
    if found is not None:
        await _join(connection, found, kind, description, by, now)
        return Reported(incident_id=found.incident_id, number=found.number, fresh=False)
    incident_id, number = f"inc_{secrets.token_hex(6)}", await counter(connection, COUNTER) + 1
    await set_counter(connection, COUNTER, number)
    row = {
        "incident_id": incident_id,
        "number": number,
        "serial": serial,
        "owner_id": terminal.owner_id,
        "kind": kind.value,
        "state": Progress.OPEN.value,
        "reported_at": now,
        "reported_by": by,
        "was_state": terminal.inventory_state,
        "inspection_id": inspection_id,
        "notice_due_at": now + NOTICE_WITHIN,
        "description": description.strip() or UNEXPLAINED,
        "actions_taken": "",
        "actions_planned": "",
        "information_secured": "",
        "terminals_secured": "",
        "contacts": "[]",
    }
    await connection.execute(t.incidents.insert().values(row))
    await note(connection, incident_id, by, now, f"Reported: {kind.value}.")
    await start_clock(connection, row, now)
    return Reported(incident_id=incident_id, number=number, fresh=True)


async def _lock(connection: AsyncConnection, serial: str) -> Any:
    """The terminal's row, nobody else's until the commit."""
    c = s.terminals.c
    query = select(c.owner_id, c.inventory_state).where(c.serial == serial).with_for_update()
    found = (await connection.execute(query)).first()
    if found is None:
        raise MoveRefusedError(f"There is no terminal {serial!r} in the inventory.")
    return found


async def _put_out_of_use(
    connection: AsyncConnection, serial: str, at: State, kind: Kind, by: str, why: str, now: datetime
) -> None:
    reason = f"{kind.value}: {why.strip() or UNEXPLAINED}"
    if at in _PUT_OUT_OF_USE:
        await move(connection, serial, State.SUSPENDED, by=by, reason=reason, now=now)
        at = State.SUSPENDED
    gone = _GONE.get(kind)
    if gone is not None and gone in MOVES[at]:
        await move(connection, serial, gone, by=by, reason=reason, now=now)


async def _open_one(connection: AsyncConnection, serial: str, kind: Kind) -> Any:
    """The open incident that a report of ``kind`` belongs to, or None."""
    i = t.incidents.c
    query = select(t.incidents).where(i.serial == serial, i.closed_at.is_(None)).order_by(i.number.desc())
    found = (await connection.execute(query)).all()
    same = [row for row in found if row.kind == kind.value]
    doubts = [row for row in found if row.kind == Kind.DOUBT.value]
    if kind is Kind.DOUBT:
        return next(iter(same or found), None)
    return next(iter(same or doubts), None)


async def _join(connection: AsyncConnection, found: Any, kind: Kind, why: str, by: str, now: datetime) -> None:
    changes: dict[str, Any] = {}
    if kind is not Kind.DOUBT and found.kind == Kind.DOUBT.value:
        changes["kind"] = kind.value
    if found.description == UNEXPLAINED and why.strip():
        changes["description"] = why.strip()
    if changes:
        await _change(connection, found, changes)
    await note(connection, found.incident_id, by, now, f"Reported again: {kind.value}. {why}".strip())


async def _change(connection: AsyncConnection, row: Any, changes: Mapping[str, Any]) -> None:
    mine = t.incidents.c.incident_id == row.incident_id
    await connection.execute(update(t.incidents).where(mine).values(**changes, revision=row.revision + 1))


async def note(connection: AsyncConnection, incident_id: str, by: str, now: datetime, what: str) -> None:
    """Write into the incident's history."""
    await connection.execute(
        t.incident_entries.insert().values(incident_id=incident_id, at=now, by=by[:80], what=what[:4000])
    )


async def locked(connection: AsyncConnection, incident_id: str) -> Any:
    """The incident, nobody else's until the commit; None if there is none."""
    query = select(t.incidents).where(t.incidents.c.incident_id == incident_id).with_for_update()
    return (await connection.execute(query)).first()


async def amend(connection: AsyncConnection, row: Any, changes: Mapping[str, Any], *, by: str, now: datetime) -> None:
    """Fill in what the notice is to hold. Raises `IncidentRefusedError` once it is closed."""
    if row.state == Progress.CLOSED.value:
        raise IncidentRefusedError("This incident is closed; report another if something new happened.")
    values = dict(changes)
    if "contacts" in values:
        values["contacts"] = orjson.dumps(values["contacts"]).decode()
    await _change(connection, row, values)
    await note(connection, row.incident_id, by, now, f"Changed: {', '.join(sorted(values))}.")


async def give_notice(connection: AsyncConnection, row: Any, *, by: str, now: datetime) -> None:
    """Give the platform notice. Raises `IncidentRefusedError` that says what is missing; late is taken, and told."""
    if row.notified_at is not None:
        return
    if row.state == Progress.CLOSED.value:
        raise IncidentRefusedError("This incident is closed.")
    lacking = lacking_of(row)
    if lacking:
        raise IncidentRefusedError("The notice is not complete: write what is missing, then give it again.", lacking)
    await _change(connection, row, {"state": Progress.NOTIFIED.value, "notified_at": now, "notified_by": by})
    late = now - row.notice_due_at
    said = f" Late by {int(late.total_seconds() // 60)} minutes." if late > timedelta(0) else ""
    await note(connection, row.incident_id, by, now, f"Notice given to the platform.{said}")


async def close(
    connection: AsyncConnection, row: Any, outcome: Outcome, *, by: str, remarks: str, put_back: bool, now: datetime
) -> None:
    """Close with an outcome. ``put_back``: the terminal goes back to where it was, where nothing else forbids it.

    Raises `IncidentRefusedError`, `MoveRefusedError`.
    """
    if row.state == Progress.CLOSED.value:
        raise IncidentRefusedError("This incident is closed already.")
    if row.notified_at is None and outcome is not Outcome.FALSE_ALARM:
        raise IncidentRefusedError("The notice to the platform has not been given; only a false alarm closes without.")
    changes = {"state": Progress.CLOSED.value, "outcome": outcome.value, "closed_at": now, "closed_by": by}
    await _change(connection, row, changes)
    await note(connection, row.incident_id, by, now, f"Closed: {outcome.value}. {remarks}".strip())
    at = State((await _lock(connection, row.serial)).inventory_state)
    reason = f"incident {row.number}: {outcome.value}"
    if outcome is Outcome.FOUND and at in {State.LOST, State.STOLEN}:
        await move(connection, row.serial, State.SUSPENDED, by=by, reason=reason, now=now)
    if outcome is Outcome.RETURNED:
        await move(connection, row.serial, State.RETURNED, by=by, reason=reason, now=now)
    if put_back:
        back = State(row.was_state)
        if outcome not in _MAY_GO_BACK:
            raise IncidentRefusedError(f"A terminal whose incident ended as {outcome.value!r} is not put back.")
        if back not in _PUT_OUT_OF_USE:
            raise IncidentRefusedError(f"The terminal was {back.value} already; move it where it is to go.")
        await move(connection, row.serial, back, by=by, reason=reason, now=now)


async def guard(connection: AsyncConnection, serial: str, at: State, to: State, now: datetime) -> None:
    """In doubt, don't use: a terminal with an open incident does not go live."""
    if to is not State.LIVE:
        return
    i = t.incidents.c
    query = select(i.number, i.kind).where(i.serial == serial, i.closed_at.is_(None)).order_by(i.number).limit(1)
    found = (await connection.execute(query)).first()
    if found is not None:
        raise MoveRefusedError(
            f"Terminal {serial} has an open incident, number {found.number} ({found.kind}): close it with its outcome."
        )


GUARDS.append(guard)
