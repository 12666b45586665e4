"""Many cases at once: a file with a terminal a row, each started by itself; a report of what was refused, and why."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from openpyxl import Workbook
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from csms.terminals import onboarding
from csms.terminals.checklist import Origin, Processor
from csms.terminals.inventory import State
from csms.terminals.onboarding import CaseRefusedError, EventKind, NewCase, OnboardingOptions
from csms.terminals.sheet import SheetRow, csv_text
from storage import onboarding_schema as t
from storage import schema as s
from storage.engine import writing

REQUIRED = ("terminal serial", "origin")
OPTIONAL = ("processor", "station", "comment")
COLUMNS = (*REQUIRED, *OPTIONAL)
_SERIAL = re.compile(r"[A-Za-z0-9 ._/-]{1,40}")


class RowOutcome(StrEnum):
    """What became of a row."""

    STARTED = "started"
    ALREADY = "already"  # this row, or another file, started the terminal's case before
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RowReport:
    """A row of the report. ``problems``: (column, reason)."""

    row: int
    serial: str
    outcome: RowOutcome
    case_id: int | None
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    """Who imports what. ``owner_id``: held to this owner's terminals; ``sha256``: of the file, so it is taken once."""

    owner_id: str | None
    by: str
    sha256: str


async def import_rows(
    engine: AsyncEngine,
    rows: list[SheetRow],
    who: Importing,
    options: OnboardingOptions,
    now: Callable[[], datetime],
) -> list[RowReport]:
    """Start a case for each row, in a transaction of its own. The same file again starts nothing a second time."""
    seen: dict[str, int] = {}
    reports = []
    for row in rows:
        serial = row.cells["terminal serial"]
        problems = _problems(row, seen)
        seen.setdefault(serial, row.line)
        if problems:
            reports.append(RowReport(row.line, serial[:40], RowOutcome.REFUSED, None, tuple(problems)))
            continue
        try:
            async with writing(engine) as connection:
                reports.append(await _take(connection, row, who, options, now()))
        except _Refused as refused:
            problem = ((refused.column, str(refused)),)
            reports.append(RowReport(row.line, serial, RowOutcome.REFUSED, refused.case_id, problem))
    return reports


class _Refused(Exception):
    """The row is refused: roll back what it has written."""

    def __init__(self, column: str, text: str, case_id: int | None = None) -> None:
        super().__init__(text)
        self.column = column
        self.case_id = case_id


def _problems(row: SheetRow, seen: dict[str, int]) -> list[tuple[str, str]]:
    """What is wrong with the row as it is written."""
    cells = row.cells
    problems = [
        (column, problem.removeprefix(column).strip())
        for column in COLUMNS
        for problem in row.problems
        if problem.startswith(column)
    ]
    if problems:
        return problems
    serial = cells["terminal serial"]
    if not serial:
        problems.append(("terminal serial", "It is missing: write the serial number on the terminal's label."))
    elif not _SERIAL.fullmatch(serial):
        problems.append(("terminal serial", "No serial number looks like that: letters and digits, 40 at most."))
    elif serial in seen:
        problems.append(("terminal serial", f"It stands in row {seen[serial]} already: take one of them out."))
    for column, kind in (("origin", Origin), ("processor", Processor)):
        said = cells.get(column, "").lower()
        if (said or column == "origin") and said not in list(kind):
            problems.append((column, f"Write one of {', '.join(kind)}."))
    return problems


async def _take(
    connection: AsyncConnection, row: SheetRow, who: Importing, options: OnboardingOptions, now: datetime
) -> RowReport:
    serial = row.cells["terminal serial"]
    key = f"{who.owner_id or 'platform'}:{who.sha256}:{row.line}"
    c, terminals = t.onboarding_cases.c, s.terminals.c
    query = select(terminals.account_id).where(terminals.serial == serial)
    if who.owner_id is not None:
        query = query.where(terminals.owner_id == who.owner_id)
    found = (await connection.execute(query.with_for_update())).first()  # whoever imports it too waits here
    before = (await connection.execute(select(c.case_id).where(c.import_key == key))).scalar()
    if before is not None:
        return RowReport(row.line, serial, RowOutcome.ALREADY, before)
    origin = Origin(row.cells["origin"].lower())
    if found is not None:
        await _check(connection, row, found.account_id)
        running = select(c.case_id, c.origin).where(c.serial == serial, c.ended_at.is_(None))
        case = (await connection.execute(running)).first()
        if case is not None and case.origin == origin.value:
            return RowReport(row.line, serial, RowOutcome.ALREADY, case.case_id)
    new = NewCase(serial=serial, origin=origin, by=who.by, owner_id=who.owner_id, import_key=key)
    try:
        case_id = await onboarding.start(connection, new, options, now)
    except CaseRefusedError as refused:
        raise _Refused("terminal serial", str(refused), refused.case_id) from None
    said = row.cells.get("comment", "")
    if said:
        await onboarding.note(connection, case_id, EventKind.COMMENT, said, by=who.by, now=now)
    return RowReport(row.line, serial, RowOutcome.STARTED, case_id)


async def _check(connection: AsyncConnection, row: SheetRow, account_id: str) -> None:
    """Whether the row says of the terminal what the inventory says."""
    said = row.cells.get("processor", "").lower()
    actual = Processor.OWN if account_id else Processor.PLATFORM
    if said and said != actual:
        text = f"The terminal is set up for the {actual.value} processor: change that first, or write {actual.value}."
        raise _Refused("processor", text)
    station = row.cells.get("station", "")
    if station:
        places = select(s.terminal_evses.c.station_id).where(s.terminal_evses.c.serial == row.cells["terminal serial"])
        served = set((await connection.execute(places)).scalars())
        if station not in served:
            where = f"station {', '.join(sorted(served))}" if served else "no station yet"
            raise _Refused("station", f"The inventory has the terminal at {where}: correct the one that is wrong.")


_EXAMPLE = ("APO20240000001", Origin.INTEGRATED.value, Processor.PLATFORM.value, "CS1", "by the entrance")


async def to_fill_in(connection: AsyncConnection, owner_id: str | None, at_most: int) -> list[tuple[str, ...]]:
    """Rows for a template: the terminals that are ordered or in store, an owner's or (None) all; else an example."""
    k, p = s.terminals.c, s.terminal_evses.c
    query = select(k.serial, k.origin, k.account_id).where(k.inventory_state.in_([State.ORDERED, State.STORED]))
    if owner_id is not None:
        query = query.where(k.owner_id == owner_id)
    found = (await connection.execute(query.order_by(k.serial).limit(at_most))).all()
    places = (
        select(p.serial, p.station_id).where(p.serial.in_([row.serial for row in found])).order_by(p.position.desc())
    )
    stations = {row.serial: row.station_id for row in await connection.execute(places)}
    rows: list[tuple[str, ...]] = [
        (
            row.serial,
            row.origin if row.origin in list(Origin) else "",
            (Processor.OWN if row.account_id else Processor.PLATFORM).value,
            stations.get(row.serial, ""),
            "",
        )
        for row in found
    ]
    return rows or [_EXAMPLE]


def template_csv(rows: list[tuple[str, ...]]) -> bytes:
    """A file to fill in."""
    return csv_text(COLUMNS, rows).encode("utf-8-sig")


def template_xlsx(rows: list[tuple[str, ...]]) -> bytes:
    """The same as a workbook; serial numbers are text there, so that nothing is taken off them."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None  # noqa: S101 - a new workbook has one
    for row in (COLUMNS, *rows):
        sheet.append(row)
    for column in "ABCDE":
        sheet.column_dimensions[column].number_format = "@"
        sheet.column_dimensions[column].width = 22
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()
