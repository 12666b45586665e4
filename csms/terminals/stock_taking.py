"""Stock-taking: a person counts terminals, and what is missing or strange comes out. It changes no terminal.

What should be done about a finding is proposed as a move (`csms.terminals.inventory`), which somebody decides on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import State
from csms.terminals.registration import site_problems
from sessions.families import fold_serial
from sessions.rows import upsert
from storage import schema as s
from storage import terminal_schema as t
from storage.owner_schema import owners

#: So many serial numbers a count takes, and so many at once.
MOST_FINDS = 20_000
#: Where a terminal is in its owner's hands, so that a count is to find it.
_HERE = frozenset({State.STORED, State.ONBOARDING, State.LIVE, State.SUSPENDED})


class Verdict(StrEnum):
    """What a count says of a serial number."""

    FOUND = "found"
    MISSING = "missing"  # expected, and not found
    STRANGE = "strange"


class Kind(StrEnum):
    """What is strange about it."""

    NOTHING = ""
    NOT_FOUND = "not found"
    UNKNOWN = "unknown"  # no terminal of this serial number is known
    NOT_YOURS = "not yours"  # it belongs to another owner
    OTHER_PLACE = "other place"
    UNEXPECTED_STATE = "unexpected state"  # found, although it is lost, stolen, returned, ordered or in repair


@dataclass(frozen=True, slots=True)
class Finding:
    """What the count says of one serial number. ``proposal``: the state to move it to, if somebody decides so."""

    serial: str
    verdict: Verdict
    kind: Kind = Kind.NOTHING
    detail: str = ""
    proposal: State | None = None


@dataclass(frozen=True, slots=True)
class Stock:
    """A terminal as the inventory has it. ``mine``: it is of the owner whose terminals are counted."""

    serial: str
    state: State
    mine: bool
    site_id: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Find:
    """A serial number that was found, and where: None and "" where the counter did not say."""

    serial: str
    site_id: str | None = None
    place: str = ""


_FOUND_ALTHOUGH: dict[State, tuple[str, State | None]] = {
    State.LOST: ("It is here, although it was reported lost. Inspect it before it is used.", State.SUSPENDED),
    State.STOLEN: ("It is here, although it was reported stolen. Do not use it; inspect it.", State.SUSPENDED),
    State.RETURNED: ("It is here, although it was returned for good. Ask who brought it back.", None),
    State.ORDERED: ("It has arrived, and is still entered as ordered.", State.STORED),
    State.IN_REPAIR: ("It is here, although it is entered as in repair.", State.STORED),
}


def compare(stock: Iterable[Stock], finds: Sequence[Find], *, site_id: str | None) -> list[Finding]:
    """What a count comes to, by serial number. Pure.

    ``stock``: every terminal that is to be here, and every one that was found, by the inventory. ``site_id``: the site
    that is counted; None: wherever they are.
    """
    known = {fold_serial(terminal.serial): terminal for terminal in stock}
    found = {fold_serial(find.serial): find for find in finds}
    told = [_judged(serial, find, known.get(serial), site_id) for serial, find in found.items()]
    for serial, terminal in known.items():
        here = site_id is None or terminal.site_id == site_id
        if serial not in found and terminal.mine and here and terminal.state in _HERE:
            where = " · ".join(part for part in (terminal.site_id, terminal.place) if part) or "a place nobody entered"
            detail = f"It is entered as {terminal.state}, at {where}. Look again; report it lost if it stays away."
            told.append(Finding(terminal.serial, Verdict.MISSING, Kind.NOT_FOUND, detail, State.LOST))
    return sorted(told, key=lambda finding: finding.serial)


def _judged(serial: str, find: Find, terminal: Stock | None, counted_site: str | None) -> Finding:
    if terminal is None:
        detail = "No terminal of this serial number is known. Read it again; do not use a terminal nobody knows."
        return Finding(serial, Verdict.STRANGE, Kind.UNKNOWN, detail)
    if not terminal.mine:
        detail = "This terminal is not one of those that are counted: it is registered elsewhere. Tell the platform."
        return Finding(serial, Verdict.STRANGE, Kind.NOT_YOURS, detail)
    if terminal.state in _FOUND_ALTHOUGH:
        detail, proposal = _FOUND_ALTHOUGH[terminal.state]
        return Finding(terminal.serial, Verdict.STRANGE, Kind.UNEXPECTED_STATE, detail, proposal)
    at = counted_site or find.site_id
    if at is not None and terminal.site_id != at:
        entered = terminal.site_id or terminal.place or "no place"
        detail = f"It is at {at}, and entered at {entered}. Move it in the inventory, or back."
        return Finding(terminal.serial, Verdict.STRANGE, Kind.OTHER_PLACE, detail)
    return Finding(terminal.serial, Verdict.FOUND)


class CountRefusedError(Exception):
    """The count cannot be started, added to or finished; the text says why."""


async def start_count(
    connection: AsyncConnection,
    *,
    owner_id: str | None,
    site_id: str | None,
    counted_by: str,
    by: str,
    now: datetime,
) -> str:
    """Begin a count of an owner's terminals (None: of all), at a site of that owner (None: wherever they are).

    Returns its id. Raises `CountRefusedError`.
    """
    if owner_id is None and site_id is not None:
        raise CountRefusedError("A site is its owner's: say whose terminals are counted there.")
    if owner_id is not None:
        known = select(owners.c.owner_id).where(owners.c.owner_id == owner_id)
        if (await connection.execute(known)).first() is None:
            raise CountRefusedError("There is no such owner.")
        problems = await site_problems(connection, site_id, owner_id)
        if problems:
            raise CountRefusedError(" ".join(problems))
    count_id = f"cnt_{secrets.token_hex(6)}"
    values = {"count_id": count_id, "owner_id": owner_id, "site_id": site_id, "counted_by": counted_by}
    await connection.execute(t.stock_counts.insert().values(values | {"started_by": by[:80], "started_at": now}))
    return count_id


async def add_finds(connection: AsyncConnection, count_id: str, finds: Iterable[Find], now: datetime) -> int:
    """Write what was found; a serial number found again says anew where. Returns how many there are.

    Raises `CountRefusedError` when the count is finished, or too large.
    """
    count = await _open(connection, count_id)
    f = t.stock_finds.c
    known = set((await connection.execute(select(f.serial).where(f.count_id == count_id))).scalars())
    rows = {
        fold_serial(find.serial)[:40]: {"count_id": count_id, "serial": fold_serial(find.serial)[:40]}
        | {"site_id": find.site_id or count.site_id, "place": find.place, "found_at": now}
        for find in finds
    }
    if len(known | rows.keys()) > MOST_FINDS:
        raise CountRefusedError(f"A count takes {MOST_FINDS} serial numbers: count site by site.")
    listed = list(rows.values())
    for at in range(0, len(listed), 500):  # a statement has a limit of parameters
        await upsert(connection, t.stock_finds, ["count_id", "serial"], listed[at : at + 500])
    return len(known | rows.keys())


async def finish_count(connection: AsyncConnection, count_id: str, *, by: str, now: datetime) -> None:
    """Compare what was found with the inventory, and write the report with the end of the count: once.

    Finishing a finished count again changes nothing. Raises `CountRefusedError` when there is none.
    """
    count = await _locked(connection, count_id)
    if count.finished_at is not None:
        return
    rows = await connection.execute(select(t.stock_finds).where(t.stock_finds.c.count_id == count_id))
    finds = [Find(row.serial, row.site_id, row.place) for row in rows]
    c = s.terminals.c
    terminals = await connection.execute(
        select(c.serial, c.inventory_state, c.owner_id, c.site_id, c.place).order_by(c.serial)
    )
    stock = [
        Stock(row.serial, State(row.inventory_state), count.owner_id in {None, row.owner_id}, row.site_id, row.place)
        for row in terminals
    ]
    written = [_row(count_id, finding) for finding in compare(stock, finds, site_id=count.site_id)]
    if written:
        await connection.execute(t.stock_findings.insert(), written)
    ended = {"finished_by": by[:80], "finished_at": now}
    await connection.execute(update(t.stock_counts).where(t.stock_counts.c.count_id == count_id).values(ended))


def _row(count_id: str, finding: Finding) -> dict[str, Any]:
    return {
        "count_id": count_id,
        "serial": finding.serial,
        "verdict": finding.verdict.value,
        "kind": finding.kind.value,
        "detail": finding.detail,
        "proposal": finding.proposal.value if finding.proposal else None,
    }


async def _open(connection: AsyncConnection, count_id: str) -> Any:
    count = await _locked(connection, count_id)
    if count.finished_at is not None:
        raise CountRefusedError("This count is finished: start another one.")
    return count


async def _locked(connection: AsyncConnection, count_id: str) -> Any:
    query = select(t.stock_counts).where(t.stock_counts.c.count_id == count_id).with_for_update()
    count = (await connection.execute(query)).first()
    if count is None:
        raise CountRefusedError("There is no count of this id.")
    return count
