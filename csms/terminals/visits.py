"""Visits: maintenance people are announced, verified by the platform, and known at the door by a code.

Whoever is not verified touches no terminal; a replacement is taken down only for a verified visitor who has been let
in, and within the visit's time. Of the visitor's document nothing is kept but its last characters.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from csms.terminals.calendar import Entry, Span
from csms.terminals.due_dates import local_day
from csms.terminals.inventory import MOVES, State, move
from csms.terminals.reminder_words import say
from csms.terminals.reminders import remind
from csms.terminals.time_zones import zone_of
from storage import care_schema as t
from storage import schema as s

#: Letters and digits that nobody mistakes for one another when they are said at a door.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
MOST_WRONG = 5
#: So much earlier, or later, a visitor may stand at the door, or a replacement be written down.
TOLERANCE = timedelta(hours=2)
_ENTERS_FROM = frozenset({State.ORDERED, State.STORED, State.ONBOARDING})


class Standing(StrEnum):
    """How a visit stands."""

    ANNOUNCED = "announced"
    VERIFIED = "verified"  # the platform knows this person
    REFUSED = "refused"
    CANCELLED = "cancelled"
    ARRIVED = "arrived"  # the code was right


class Fate(StrEnum):
    """What becomes of a terminal that was replaced."""

    IN_REPAIR = "in repair"
    RETURNED = "returned"


class VisitRefusedError(Exception):
    """It cannot be done with this visit; the text says why, and what to do."""


def new_code() -> str:
    """A code for the door: 8 characters, 39 bits; five wrong ones end the visit."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


def code_hash(visit_id: str, code: str) -> str:
    """As it is kept. Case, spaces and dashes do not matter: it is said aloud."""
    said = "".join(one for one in code.upper() if one.isalnum())
    return hashlib.sha256(f"{visit_id}:{said}".encode()).hexdigest()


async def announce(
    connection: AsyncConnection,
    *,
    owner_id: str,
    serials: Sequence[str],
    visitor: str,
    company: str,
    document_ending: str,
    purpose: str,
    starts_at: datetime,
    ends_at: datetime,
    by: str,
    now: datetime,
) -> str:
    """Announce a visit to terminals of one owner; its id. The platform is asked to verify it.

    Raises `VisitRefusedError` for terminals that are not this owner's.
    """
    c = s.terminals.c
    wanted = sorted(set(serials))
    mine = set(
        (await connection.execute(select(c.serial).where(c.serial.in_(wanted), c.owner_id == owner_id))).scalars()
    )
    strange = [serial for serial in wanted if serial not in mine]
    if strange:
        raise VisitRefusedError(f"No terminal of this owner: {', '.join(strange[:5])}.")
    visit_id = f"vis_{secrets.token_hex(6)}"
    await connection.execute(
        t.visits.insert().values(
            visit_id=visit_id,
            owner_id=owner_id,
            visitor=visitor,
            company=company,
            document_ending=document_ending,
            purpose=purpose,
            starts_at=starts_at,
            ends_at=ends_at,
            state=Standing.ANNOUNCED.value,
            announced_by=by,
            announced_at=now,
        )
    )
    await connection.execute(
        t.visit_terminals.insert(), [{"visit_id": visit_id, "serial": serial} for serial in wanted]
    )
    day = local_day(starts_at, await zone_of(connection, owner_id))
    await remind(
        connection,
        now,
        key=f"visit:{visit_id}:announced",
        owner_id=PLATFORM,
        kind="visit",
        about=visit_id,
        subject=say("visit_announced", owner=owner_id),
        body=[say("visit_announced_what", company=company, day=day, serials=", ".join(wanted), purpose=purpose)],
        due_on=day,
    )
    return visit_id


async def locked(connection: AsyncConnection, visit_id: str) -> Any:
    """The visit, nobody else's until the commit; None if there is none."""
    query = select(t.visits).where(t.visits.c.visit_id == visit_id).with_for_update()
    return (await connection.execute(query)).first()


async def _change(connection: AsyncConnection, row: Any, **values: Any) -> None:
    await connection.execute(update(t.visits).where(t.visits.c.visit_id == row.visit_id).values(values))


async def verify(connection: AsyncConnection, row: Any, *, by: str, now: datetime) -> str:
    """The platform knows this person: the code to give to the visitor, told this once. A new one replaces the old."""
    if row.state not in {Standing.ANNOUNCED.value, Standing.VERIFIED.value}:
        raise VisitRefusedError(f"This visit is {row.state}; announce another.")
    if row.ends_at + TOLERANCE < now:
        raise VisitRefusedError("This visit is over; announce another.")
    code = new_code()
    hashed = code_hash(row.visit_id, code)
    await _change(
        connection,
        row,
        state=Standing.VERIFIED.value,
        decided_by=by,
        decided_at=now,
        code_hash=hashed,
        wrong_codes=0,
    )
    day = local_day(row.starts_at, await zone_of(connection, row.owner_id))
    await remind(
        connection,
        now,
        key=f"visit:{row.visit_id}:verified",
        owner_id=row.owner_id,
        kind="visit",
        about=row.visit_id,
        subject=say("visit_verified", company=row.company, day=day),
        body=[
            say(
                "visit_verified_what",
                visitor=row.visitor,
                company=row.company,
                purpose=row.purpose,
                document=row.document_ending or say("document_not_told"),
            )
        ],
        due_on=day,
    )
    return code


async def refuse(connection: AsyncConnection, row: Any, *, reason: str, by: str, now: datetime) -> None:
    """The platform does not know this person: nobody is let in."""
    if row.state not in {Standing.ANNOUNCED.value, Standing.VERIFIED.value}:
        raise VisitRefusedError(f"This visit is {row.state} already.")
    await _change(
        connection,
        row,
        state=Standing.REFUSED.value,
        decided_by=by,
        decided_at=now,
        reason=reason,
        code_hash=None,
    )
    day = local_day(row.starts_at, await zone_of(connection, row.owner_id))
    await remind(
        connection,
        now,
        key=f"visit:{row.visit_id}:refused",
        owner_id=row.owner_id,
        kind="visit",
        about=row.visit_id,
        subject=say("visit_refused", company=row.company, day=day),
        body=[say("visit_refused_what", visitor=row.visitor, company=row.company, reason=reason)],
        due_on=day,
    )


async def cancel(connection: AsyncConnection, row: Any) -> None:
    """The visit does not take place."""
    if row.state not in {Standing.ANNOUNCED.value, Standing.VERIFIED.value}:
        raise VisitRefusedError(f"This visit is {row.state} already.")
    await _change(connection, row, state=Standing.CANCELLED.value, code_hash=None)


async def check_code(connection: AsyncConnection, row: Any, code: str, *, by: str, now: datetime) -> bool:
    """Whether the visitor's code is right: then they are let in. Five wrong ones, and the visit is refused."""
    if row.state not in {Standing.VERIFIED.value, Standing.ARRIVED.value} or row.code_hash is None:
        raise VisitRefusedError(f"Let nobody in: this visit is {row.state}, not verified by the platform.")
    if not row.starts_at - TOLERANCE <= now <= row.ends_at + TOLERANCE:
        raise VisitRefusedError("Let nobody in: this is not the time of the visit.")
    if hmac.compare_digest(row.code_hash, code_hash(row.visit_id, code)):
        if row.arrived_at is None:
            await _change(connection, row, state=Standing.ARRIVED.value, arrived_at=now, checked_by=by)
        return True
    wrong = row.wrong_codes + 1
    if wrong >= MOST_WRONG:
        await refuse_for_codes(connection, row, wrong, now)
    else:
        await _change(connection, row, wrong_codes=wrong)
    return False


async def refuse_for_codes(connection: AsyncConnection, row: Any, wrong: int, now: datetime) -> None:
    """Too many wrong codes: the visit is over, and the platform hears of it."""
    await _change(
        connection,
        row,
        state=Standing.REFUSED.value,
        reason=f"{wrong} wrong codes",
        code_hash=None,
        wrong_codes=wrong,
    )
    await remind(
        connection,
        now,
        key=f"visit:{row.visit_id}:codes",
        owner_id=PLATFORM,
        kind="visit",
        about=row.visit_id,
        subject=say("visit_codes", visit=row.visit_id, wrong=wrong),
        body=[say("visit_codes_what", visitor=row.visitor, company=row.company)],
        due_on=now.date(),
    )


async def replace_terminal(
    connection: AsyncConnection,
    row: Any,
    old_serial: str,
    new_serial: str,
    fate: Fate,
    *,
    reason: str,
    by: str,
    now: datetime,
) -> None:
    """One terminal for another, in the caller's transaction: the old one's EVSEs are the new one's, which is onboarded.

    Written twice, it is one. Raises `VisitRefusedError`, `MoveRefusedError`.
    """
    r = t.replacements.c
    same = (r.visit_id == row.visit_id, r.old_serial == old_serial, r.new_serial == new_serial)
    if (await connection.execute(select(r.visit_id).where(*same))).first() is not None:
        return
    if row.state != Standing.ARRIVED.value:
        raise VisitRefusedError(
            f"A replacement needs a visitor whom the platform verified and who was let in by the code; this visit is "
            f"{row.state}. Do not use the new terminal."
        )
    if not row.arrived_at - TOLERANCE <= now <= row.ends_at + TOLERANCE:
        raise VisitRefusedError("The time of this visit is over: announce another, and have it verified.")
    v, c = t.visit_terminals.c, s.terminals.c
    announced = select(v.serial).where(v.visit_id == row.visit_id, v.serial == old_serial)
    if (await connection.execute(announced)).first() is None:
        raise VisitRefusedError(f"Terminal {old_serial} is not one that this visit was announced for.")
    query = select(c.serial, c.owner_id, c.currency, c.inventory_state).where(c.serial.in_([old_serial, new_serial]))
    found = {one.serial: one for one in await connection.execute(query.order_by(c.serial).with_for_update())}
    old, new = found.get(old_serial), found.get(new_serial)
    if new is None or old is None or new_serial == old_serial:
        raise VisitRefusedError(f"There is no terminal {new_serial!r} in the inventory: register it first.")
    if new.owner_id != row.owner_id or old.owner_id != row.owner_id:
        raise VisitRefusedError(f"Terminal {new_serial} is not this owner's.")
    if new.currency != old.currency:
        raise VisitRefusedError(f"Terminal {new_serial} takes {new.currency}, the old one {old.currency}.")
    if State(new.inventory_state) not in _ENTERS_FROM:
        raise VisitRefusedError(f"Terminal {new_serial} is {new.inventory_state}: a new one comes out of storage.")
    why = f"replaced by {new_serial} at visit {row.visit_id}: {reason}"
    await move(connection, old_serial, State(fate.value), by=by, reason=why, now=now)
    why = f"replaces {old_serial} at visit {row.visit_id}: {reason}"
    if State.ONBOARDING in MOVES[State(new.inventory_state)]:
        await move(connection, new_serial, State.ONBOARDING, by=by, reason=why, now=now)
    e = s.terminal_evses.c
    await connection.execute(s.terminal_evses.delete().where(e.serial == new_serial))
    await connection.execute(update(s.terminal_evses).where(e.serial == old_serial).values(serial=new_serial))
    await connection.execute(
        t.replacements.insert().values(
            old_serial=old_serial,
            new_serial=new_serial,
            visit_id=row.visit_id,
            old_state=fate.value,
            reason=reason,
            recorded_by=by,
            recorded_at=now,
        )
    )


async def contribute(connection: AsyncConnection, span: Span) -> list[Entry]:
    """Visits to come, those that are verified and those that are not."""
    v = t.visits.c
    states = [Standing.ANNOUNCED.value, Standing.VERIFIED.value]
    query = select(t.visits).where(v.owner_id == span.owner_id, v.state.in_(states), v.ends_at >= span.now)
    found = []
    for row in await connection.execute(query):
        summary, description = say("calendar_visit", company=row.company).written(span.language), row.purpose
        if row.state != Standing.VERIFIED.value:
            summary = say("calendar_visit_open", company=row.company).written(span.language)
            description = say("calendar_visit_open_what", purpose=row.purpose).written(span.language)
        found.append(Entry(uid=f"visit-{row.visit_id}", starts=row.starts_at, summary=summary, description=description))
    return found


CALENDAR = (contribute,)
