"""Rows of an uploaded CSV or XLSX file, as text by column. Every byte is hostile: there are limits for all of it."""

from __future__ import annotations

import csv
import io
import itertools
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from openpyxl import load_workbook

MAX_COLUMNS = 50
MAX_CELL = 2000  # characters
MAX_UNPACKED_BYTES = 64 * 1024 * 1024  # of an XLSX file, all its parts together
MAX_PARTS = 200
MAX_RATIO = 200  # unpacked to packed, of one part above a megabyte


class SpreadsheetError(Exception):
    """The file cannot be read as a whole; the text says why, and what to send instead."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``number`` as a person sees it in a spreadsheet: the header is 1."""

    number: int
    cells: dict[str, str]


def read(raw: bytes, columns: Sequence[str], required: Sequence[str], max_rows: int) -> list[Row]:
    """The rows below the header; empty ones are left out. Raises `SpreadsheetError`.

    ``columns``: those there may be, by their names in lower case; capitals, spaces and underscores do not matter.
    """
    lines = _xlsx(raw, max_rows) if raw.startswith(b"PK\x03\x04") else _csv(raw)
    try:
        numbered = enumerate(lines, 1)
        header: list[str] = []
        for _, line in numbered:
            header = [_named(cell) for cell in line]
            break
        while header and not header[-1]:
            header.pop()
        _check_header(header, columns, required)
        rows: list[Row] = []
        for number, line in numbered:
            cells = [cell.strip() for cell in line]
            if not any(cells):
                continue
            if len(rows) >= max_rows:
                raise SpreadsheetError(f"It has more than {max_rows} rows: split it.")
            if any(cells[len(header) :]):
                raise SpreadsheetError(f"Row {number} has more cells than the header has columns.")
            if any(len(cell) > MAX_CELL for cell in cells):
                raise SpreadsheetError(f"Row {number} has a cell of more than {MAX_CELL} characters.")
            rows.append(Row(number, dict(itertools.zip_longest(header, cells[: len(header)], fillvalue=""))))
    except csv.Error:
        raise SpreadsheetError("It is no CSV that can be read: see to its quotes and its separators.") from None
    if not rows:
        raise SpreadsheetError("It has no rows below the header.")
    return rows


def _named(cell: str) -> str:
    return " ".join(cell.replace("_", " ").split()).lower()


def _check_header(header: list[str], columns: Sequence[str], required: Sequence[str]) -> None:
    known = ", ".join(columns)
    if any(name not in columns for name in header):
        places = [str(n) for n, name in enumerate(header, 1) if name not in columns]
        raise SpreadsheetError(f"Column {', '.join(places)} of the header is not known; use {known}.")
    if len(set(header)) < len(header):
        raise SpreadsheetError("A column stands twice in the header.")
    missing = [name for name in required if name not in header]
    if missing:
        raise SpreadsheetError(f"The header lacks {', '.join(missing)}; it may have {known}.")


def _csv(raw: bytes) -> Iterator[list[str]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpreadsheetError("It is neither XLSX nor CSV in UTF-8: save it as one of them.") from None
    if "\0" in text:
        raise SpreadsheetError("It holds NUL, so it is no CSV: save it as CSV in UTF-8, or as XLSX.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
        if len(line) > MAX_COLUMNS:
            raise SpreadsheetError(f"It has more than {MAX_COLUMNS} columns.")
        yield line


def _xlsx(raw: bytes, max_rows: int) -> Iterator[list[str]]:
    _check_parts(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
            try:
                sheet = book.worksheets[0]
                # One column more than is taken, to see that there are too many; blank rows are bounded as well.
                found = sheet.iter_rows(max_row=2 * max_rows + 1000, max_col=MAX_COLUMNS + 1, values_only=True)
                lines = [[_text(value) for value in line] for line in _trimmed(found)]
            finally:
                book.close()
    except SpreadsheetError:
        raise
    except Exception:  # whatever the library makes of a broken file
        raise SpreadsheetError("It is no XLSX file that can be read: save it anew, or send CSV.") from None
    yield from lines


def _trimmed(found: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    for line in found:
        if len(line) > MAX_COLUMNS and line[MAX_COLUMNS] is not None:
            raise SpreadsheetError(f"It has more than {MAX_COLUMNS} columns.")
        yield line[:MAX_COLUMNS]


def _check_parts(raw: bytes) -> None:
    """A zip may claim little and unpack to much: what its directory says is bounded before anything is unpacked."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(raw)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise SpreadsheetError("It is no XLSX file that can be read: save it anew, or send CSV.") from None
    bomb = any(part.file_size > 2**20 and part.file_size > MAX_RATIO * part.compress_size for part in parts)
    if bomb or len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
        raise SpreadsheetError("It unpacks to more than is taken: keep only the rows, or send CSV.")


def _text(value: Any) -> str:
    """A cell as a person reads it: a serial number that the spreadsheet took for a number has no decimals."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)
