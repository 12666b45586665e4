"""Import lists: the terminals that come mounted in stations. Taken row by row, with a report of what was refused.

A row that is taken enters its terminal into the inventory, as ordered. Sending a list again enters nothing twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.inventory import State
from csms.terminals.registration import (
    Origin,
    Registration,
    RegistrationRefusedError,
    register,
    same_serial,
)
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
    reports = [await _take(connection, row, by, now, patterns, for_owner) for row in rows]
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


async def _take(
    connection: AsyncConnection,
    row: SheetRow,
    by: str,
    now: datetime,
    patterns: Mapping[str, str],
    for_owner: str | None,
) -> RowReport:
    cells = row.cells
    serial = fold_serial(cells["serial"])
    if row.problems:
        return RowReport(row.line, serial, Outcome.REFUSED, "; ".join(row.problems))
    if not cells["supplier_order"]:
        return RowReport(row.line, serial, Outcome.REFUSED, "The supplier's order is missing.")
    if for_owner is not None and cells["owner_id"] != for_owner:
        return RowReport(row.line, serial, Outcome.REFUSED, "There is no such owner: enter the owner first.")
    wanted = Registration(
        serial=serial,
        family=cells["family"],
        owner_id=cells["owner_id"],
        currency=cells["currency"].upper(),
        station_serial=cells["station_serial"],
        sim_serial=cells.get("sim_serial", ""),
        supplier_order=cells["supplier_order"][:80],
        origin=Origin.INTEGRATED,
        state=State.ORDERED,
    )
    if await _is_known(connection, wanted):
        return RowReport(row.line, serial, Outcome.KNOWN)
    try:
        async with connection.begin_nested():
            reason = f"import list, order {wanted.supplier_order}"
            await register(connection, wanted, by=by, now=now, patterns=patterns, for_owner=for_owner, reason=reason)
    except RegistrationRefusedError as refused:
        return RowReport(row.line, serial, Outcome.REFUSED, str(refused))
    except IntegrityError:
        return RowReport(row.line, serial, Outcome.REFUSED, "Somebody entered this terminal or SIM card meanwhile.")
    return RowReport(row.line, serial, Outcome.ENTERED)


async def _is_known(connection: AsyncConnection, wanted: Registration) -> bool:
    """Whether the terminal is in the inventory exactly as the row says."""
    found = (await connection.execute(select(s.terminals).where(same_serial(wanted.serial)))).first()
    return found is not None and (
        found.family,
        found.owner_id,
        found.currency,
        found.station_serial,
        found.sim_serial or "",
        found.supplier_order,
        found.origin,
    ) == (
        family_of(wanted.family).name,
        wanted.owner_id,
        wanted.currency,
        wanted.station_serial.strip(),
        fold_serial(wanted.sim_serial),
        wanted.supplier_order,
        Origin.INTEGRATED.value,
    )
