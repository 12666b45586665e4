"""The session report as rows of cells, as CSV and as XLSX.

What a spreadsheet would take for a formula is written as text. Amounts are in major units, times by the clock of the
owner's time zone with its offset.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from billing.money import to_major
from csms.payouts.session_report import SUMS, ReportedSession, Totals, amounts

Cell = str | int | Decimal | None

_MONEY = tuple(name.removesuffix("_minor") for name in SUMS if name.endswith("_minor"))
SESSION = (
    *("session_id", "settled_at", "started_at", "ended_at", "site", "station_id", "evse_id", "terminal", "processor"),
    *("way", "receipt", "currency", "energy_wh", *_MONEY),
)
LINE = ("session_id", "way", "currency", "dimension", "quantity", "unit", "unit_price", "vat_percent", "amount")
VAT = ("session_id", "way", "currency", "vat_percent", "rate_net", "rate_vat", "rate_gross")
WAY_TOTAL = ("way", "currency", "sessions", "energy_wh", *_MONEY)
VAT_TOTAL = VAT[1:]

#: A spreadsheet takes a text that begins so for a formula, or passes over what hides one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def session_cells(session: ReportedSession, zone: ZoneInfo) -> tuple[Cell, ...]:
    """The cells of `SESSION`."""
    currency = session.cost.currency
    return (
        session.session_id,
        *(_local(at, zone) for at in (session.closed_at, session.started_at, session.ended_at)),
        *(session.site, session.station_id, session.evse_id, session.terminal_serial, session.processor.value),
        *(session.way.value, session.receipt_number, currency),
        *_summed(amounts(session), currency),
    )


def line_cells(session: ReportedSession) -> list[tuple[Cell, ...]]:
    """The cells of `LINE`, for each price line."""
    currency = session.cost.currency
    about = (session.session_id, session.way.value, currency)
    return [
        (*about, str(x.dimension), x.quantity, x.unit, x.unit_price, x.vat_percent, _major(x.amount_minor, currency))
        for x in session.cost.lines
    ]


def vat_cells(session: ReportedSession) -> list[tuple[Cell, ...]]:
    """The cells of `VAT`, for each rate."""
    currency = session.cost.currency
    about = (session.session_id, session.way.value, currency)
    return [
        (*about, x.vat_percent, *(_major(n, currency) for n in (x.net_minor, x.vat_minor, x.gross_minor)))
        for x in session.cost.vat
    ]


def way_total_cells(totals: Totals) -> list[tuple[Cell, ...]]:
    """The cells of `WAY_TOTAL`."""
    return [
        (total.way.value, total.currency, total.sessions, *_summed(total.sums, total.currency))
        for total in totals.ways()
    ]


def vat_total_cells(totals: Totals) -> list[tuple[Cell, ...]]:
    """The cells of `VAT_TOTAL`."""
    return [
        (total.way.value, total.currency, rate, *(_major(amount, total.currency) for amount in sums))
        for total in totals.ways()
        for rate, sums in sorted(total.rates.items(), key=lambda item: (item[0] is not None, item[0] or 0))
    ]


def _summed(sums: dict[str, int], currency: str) -> tuple[Cell, ...]:
    return tuple(_major(sums[name], currency) if name.endswith("_minor") else sums[name] for name in SUMS)


def _major(amount_minor: int, currency: str) -> Decimal | int:
    """A session without a tariff has no currency, and no amounts."""
    return to_major(amount_minor, currency) if currency else amount_minor


def _local(at: datetime | None, zone: ZoneInfo) -> str | None:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else None


# --- CSV --------------------------------------------------------------------------------------------------------------

#: One table for all: what a row is stands in ``record``: session, line, vat, total, vat total.
CSV_COLUMNS = ("record", *SESSION, *LINE[3:], *VAT[4:], "sessions")


class CsvReport:
    """Writes the report's rows as CSV (RFC 4180, UTF-8), piece by piece."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._text = io.StringIO(newline="")
        self._rows = csv.DictWriter(self._text, CSV_COLUMNS, restval="")
        self._rows.writeheader()

    def add(self, sessions: Iterable[ReportedSession]) -> bytes:
        """Each session, then its lines, then its VAT rates."""
        for session in sessions:
            self._write("session", SESSION, session_cells(session, self._zone))
            for cells in line_cells(session):
                self._write("line", LINE, cells)
            for cells in vat_cells(session):
                self._write("vat", VAT, cells)
        return self._taken()

    def end(self, totals: Totals) -> bytes:
        """The totals."""
        for cells in way_total_cells(totals):
            self._write("total", WAY_TOTAL, cells)
        for cells in vat_total_cells(totals):
            self._write("vat total", VAT_TOTAL, cells)
        return self._taken()

    def _write(self, record: str, columns: tuple[str, ...], cells: tuple[Cell, ...]) -> None:
        self._rows.writerow({"record": record} | {n: csv_text(cell) for n, cell in zip(columns, cells, strict=True)})

    def _taken(self) -> bytes:
        taken = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return taken.encode()


def csv_text(cell: Cell) -> str:
    """A cell as CSV has it. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


# --- XLSX -------------------------------------------------------------------------------------------------------------


class XlsxReport:
    """Writes the report's rows as XLSX, a sheet for each kind, without keeping them in memory. It blocks."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._book = Workbook(write_only=True)
        titles = (("Sessions", SESSION), ("Price lines", LINE), ("VAT", VAT), ("Totals", WAY_TOTAL))
        self._sheets = {title: self._sheet(title, columns) for title, columns in (*titles, ("VAT totals", VAT_TOTAL))}

    def _sheet(self, title: str, columns: tuple[str, ...]) -> Any:
        sheet = self._book.create_sheet(title)
        sheet.freeze_panes = "A2"
        sheet.append(columns)
        return sheet

    def add(self, sessions: Iterable[ReportedSession]) -> None:
        """Each session, its lines and its VAT rates."""
        for session in sessions:
            self._write("Sessions", session_cells(session, self._zone))
            for cells in line_cells(session):
                self._write("Price lines", cells)
            for cells in vat_cells(session):
                self._write("VAT", cells)

    def end(self, totals: Totals, file: BinaryIO) -> None:
        """The totals; then the workbook goes into ``file``."""
        for cells in way_total_cells(totals):
            self._write("Totals", cells)
        for cells in vat_total_cells(totals):
            self._write("VAT totals", cells)
        self._book.save(file)

    def _write(self, title: str, cells: tuple[Cell, ...]) -> None:
        sheet = self._sheets[title]
        sheet.append([_xlsx_cell(sheet, cell) if isinstance(cell, str) else cell for cell in cells])


def _xlsx_cell(sheet: Any, text: str) -> Any:
    """A text, and never a formula."""
    clean = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text)
    if not clean.startswith(_FORMULA):
        return clean
    cell = WriteOnlyCell(sheet, value=clean)
    cell.data_type = "s"
    cell.quotePrefix = True
    return cell
