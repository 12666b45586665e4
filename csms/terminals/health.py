"""Terminal health: online and offline with their history, firmware where known, taps and failures per day.

All of it is counted from facts, in the commit that journals them, so each counts once. A failure is a tap whose hold
was declined or went unanswered; a tap refused before any hold (occupied, out of service) is counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.due_dates import local_day
from csms.terminals.time_zones import zones
from sessions import facts
from sessions.commands import Command
from sessions.directory import ArmState
from sessions.rows import insert_for, upsert
from storage import care_schema as t
from storage import schema as s

_COUNTED = ("taps", "held", "refused", "declined", "unanswered")


async def keep_presence(
    connection: AsyncConnection, found: Sequence[facts.TerminalStateReported], _: datetime
) -> list[Command]:
    """Keep each change between online and offline; the same again is none."""
    p = t.terminal_presence.c
    serials = {fact.serial for fact in found}
    newest = select(func.max(p.presence_id)).where(p.serial.in_(serials)).group_by(p.serial)
    query = select(p.serial, p.online).where(p.presence_id.in_(newest))
    last: dict[str, bool] = dict((await connection.execute(query)).all())
    rows = []
    for fact in found:
        if last.get(fact.serial) is not fact.online:
            last[fact.serial] = fact.online
            rows.append({"serial": fact.serial, "online": fact.online, "state": fact.state[:20], "since": fact.at})
    if rows:
        await connection.execute(t.terminal_presence.insert(), rows)
    told = {fact.serial: fact for fact in found if fact.firmware}
    if told:
        firmware = [
            {"serial": serial, "firmware": fact.firmware[:60], "firmware_at": fact.at}
            for serial, fact in sorted(told.items())
        ]
        await upsert(connection, t.terminal_health, ["serial"], firmware)
    return []


async def keep_taps(connection: AsyncConnection, found: Sequence[facts.CardPresented], _: datetime) -> list[Command]:
    """Count taps, and those that were refused: the journal has no session for them.

    A card at an interaction that was over, or is nobody's, is no tap.
    """
    arms = {fact.arm_id for fact in found}
    taken = select(s.arms.c.arm_id).where(s.arms.c.arm_id.in_(arms), s.arms.c.state == ArmState.PRESENTED.value)
    presented = set((await connection.execute(taken)).scalars())
    keys = [fact.key for fact in found]
    lone = select(s.journal.c.fact_key).where(s.journal.c.fact_key.in_(keys), s.journal.c.session_id.is_(None))
    refused = set((await connection.execute(lone)).scalars())
    taps = [fact for fact in found if fact.arm_id in presented]
    events = [(fact.serial, fact.at, "taps") for fact in taps]
    events += [(fact.serial, fact.at, "refused") for fact in taps if fact.key in refused]
    await _count(connection, events)
    last = {fact.serial: fact.at for fact in sorted(taps, key=lambda fact: fact.at)}
    if last:
        rows = [{"serial": serial, "tapped_at": at} for serial, at in sorted(last.items())]
        await upsert(connection, t.terminal_health, ["serial"], rows)
    return []


async def keep_held(connection: AsyncConnection, found: Sequence[facts.PaymentHeld], _: datetime) -> list[Command]:
    """Count holds, however late they were found."""
    return await _keep_outcomes(connection, found, "held")


async def keep_declined(
    connection: AsyncConnection, found: Sequence[facts.PaymentDeclined], _: datetime
) -> list[Command]:
    """Count declined taps; a decline that a look-up found was counted as unanswered."""
    return await _keep_outcomes(connection, [fact for fact in found if _of_the_tap(fact)], "declined")


async def keep_unanswered(
    connection: AsyncConnection, found: Sequence[facts.PaymentUnanswered], _: datetime
) -> list[Command]:
    """Count taps whose hold went unanswered, once each: the look-ups that follow are not taps."""
    return await _keep_outcomes(connection, [fact for fact in found if _of_the_tap(fact)], "unanswered")


def _of_the_tap(fact: facts.SessionFact) -> bool:
    return fact.key.startswith(f"{fact.session_id}:authorise:")


async def _keep_outcomes(connection: AsyncConnection, found: Sequence[facts.SessionFact], what: str) -> list[Command]:
    c = s.sessions.c
    ids = {fact.session_id for fact in found}
    query = select(c.session_id, c.terminal_serial).where(c.session_id.in_(ids), c.terminal_serial.is_not(None))
    serials = dict((await connection.execute(query)).all()) if ids else {}
    await _count(
        connection, [(serials[fact.session_id], fact.at, what) for fact in found if fact.session_id in serials]
    )
    return []


async def _count(connection: AsyncConnection, events: Iterable[tuple[str, datetime, str]]) -> None:
    """Add up (serial, when, what) by days of the owner's calendar."""
    listed = list(events)
    if not listed:
        return
    c = s.terminals.c
    query = select(c.serial, c.owner_id).where(c.serial.in_({serial for serial, _, _ in listed}))
    owners = dict((await connection.execute(query)).all())
    zone_by_owner = await zones(connection)
    days: dict[tuple[str, date], Counter[str]] = {}
    for serial, at, what in listed:
        day = local_day(at, zone_by_owner[owners.get(serial, "")])
        days.setdefault((serial, day), Counter())[what] += 1
    rows: list[dict[str, Any]] = [
        {"serial": serial, "day": day} | {name: counted[name] for name in _COUNTED}
        for (serial, day), counted in sorted(days.items())
    ]
    insert = insert_for(connection)(t.terminal_days).values(rows)
    added = {name: t.terminal_days.c[name] + insert.excluded[name] for name in _COUNTED}
    await connection.execute(insert.on_conflict_do_update(index_elements=["serial", "day"], set_=added))


KEEPERS = {
    facts.TerminalStateReported: (keep_presence,),
    facts.CardPresented: (keep_taps,),
    facts.PaymentHeld: (keep_held,),
    facts.PaymentDeclined: (keep_declined,),
    facts.PaymentUnanswered: (keep_unanswered,),
}
