"""Import lists: the terminals that come mounted in stations. Taken row by row, with a report of what was refused.

A row that is taken enters its terminal into the inventory, as ordered. Sending a list again enters nothing twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import State
from csms.terminals.registration import FOLDED, Origin, Registration, enter, look_up, problems_of
from csms.terminals.sheet import SheetRow
from sessions.families import family_of, fold_serial
from storage import schema as s
from storage import terminal_schema as t

NEEDED = ("serial", "family", "station_serial", "owner_id", "currency", "supplier_order")
OPTIONAL = ("sim_serial",)
#: So many rows a list may have: it is one commit, and charges wait for it.
MOST_TERMINALS = 500


class Outcome(StrEnum):
    """What became of a row."""

    ENTERED = "entered"
    KNOWN = "known"  # its terminal is in the inventory exactly so
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RowReport:
    """A row and what became of it. ``reason``: why it was refused."""

    line: int
    serial: str
    outcome: Outcome
    reason: str = ""


async def take_list(
    connection: AsyncConnection,
    rows: Sequence[SheetRow],
    *,
    name: str,
    sha256: str,
    by: str,
    now: datetime,
    patterns: Mapping[str, str],
    for_owner: str | None,
) -> str:
    """Enter a list's terminals, and the list with its report, in the caller's transaction; return the list's id.

    ``for_owner``: the owner whose user sent it, and to whom alone rows may belong; None for the platform's people.
    """
    if len(rows) > MOST_TERMINALS:
        raise ValueError(f"A list has {MOST_TERMINALS} rows at most, not {len(rows)}.")
    wanted = {row.line: _wanted(row) for row in rows if not _row_problem(row, for_owner)}
    known = await look_up(connection, list(wanted.values()))
    listed = await _listed(connection, wanted.values())
    reports, taken = list[RowReport](), list[Registration]()
    for row in rows:
        serial = fold_serial(row.cells["serial"])
        one = wanted.get(row.line)
        if one is None:
            reports.append(RowReport(row.line, serial, Outcome.REFUSED, _row_problem(row, for_owner)))
        elif listed.get(serial) == _told(one):
            reports.append(RowReport(row.line, serial, Outcome.KNOWN))
        elif problems := problems_of(one, known, patterns, for_owner):
            reports.append(RowReport(row.line, serial, Outcome.REFUSED, " ".join(problems)))
        else:
            reports.append(RowReport(row.line, serial, Outcome.ENTERED))
            known.add(one)
            taken.append(one)
    await enter(connection, taken, known, by=by, now=now, reason=f"import list {name}")
    list_id = f"iml_{secrets.token_hex(6)}"
    counts = {outcome.value: sum(report.outcome is outcome for report in reports) for outcome in Outcome}
    values = {"list_id": list_id, "name": name, "sha256": sha256, "owner_id": for_owner}
    await connection.execute(
        t.terminal_import_lists.insert().values(values | counts | {"imported_by": by[:80], "imported_at": now})
    )
    told = [
        {"list_id": list_id, "line": report.line, "serial": report.serial[:40]}
        | {"outcome": report.outcome.value, "reason": report.reason}
        for report in reports
    ]
    await connection.execute(t.terminal_import_rows.insert(), told)
    return list_id


def _row_problem(row: SheetRow, for_owner: str | None) -> str:
    """What keeps a row from being looked at."""
    if row.problems:
        return "; ".join(row.problems)
    if not row.cells["supplier_order"]:
        return "The supplier's order is missing."
    if for_owner is not None and row.cells["owner_id"] != for_owner:
        return "There is no such owner: enter the owner first."
    return ""


def _wanted(row: SheetRow) -> Registration:
    cells = row.cells
    return Registration(
        serial=cells["serial"],
        family=cells["family"],
        owner_id=cells["owner_id"],
        currency=cells["currency"].upper(),
        station_serial=cells["station_serial"],
        sim_serial=cells.get("sim_serial", ""),
        supplier_order=cells["supplier_order"][:80],
        origin=Origin.INTEGRATED,
        state=State.ORDERED,
    )


async def _listed(connection: AsyncConnection, wanted: Iterable[Registration]) -> dict[str, tuple[str, ...]]:
    """Of the integrated terminals among these, what their lists told; by folded serial number."""
    serials = {fold_serial(one.serial) for one in wanted}
    query = select(s.terminals).where(FOLDED.in_(serials), s.terminals.c.origin == Origin.INTEGRATED.value)
    names = ("family", "owner_id", "currency", "station_serial", "sim_serial", "supplier_order")
    return {
        fold_serial(row.serial): tuple(getattr(row, name) or "" for name in names)
        for row in await connection.execute(query)
    }


def _told(wanted: Registration) -> tuple[str, ...]:
    return (
        family_of(wanted.family).name,
        wanted.owner_id,
        wanted.currency,
        wanted.station_serial.strip(),
        fold_serial(wanted.sim_serial),
        wanted.supplier_order,
    )
