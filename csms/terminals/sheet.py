"""Tables that people send and are given: CSV and XLSX read, CSV written. What is sent is hostile until it is read.

CSV: UTF-8 or UTF-16 (with its mark), separated by commas, semicolons or tabs. XLSX: the first worksheet. The first row
with anything in it names the columns; case, spaces, underscores and dashes in names do not matter. Columns nobody asked
for are passed over, unless their name looks like a misspelt one.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from openpyxl import load_workbook

from billing.pan import contains_pan

#: So many bytes a sheet may have, so many when unpacked, so many rows and so many characters a cell.
MOST_BYTES = 4 * 1024 * 1024
_MOST_UNPACKED = 32 * 1024 * 1024
_MOST_PARTS = 200
_MOST_RATIO = 200  # unpacked to packed, of a part above a megabyte
MOST_ROWS = 5000
_MOST_COLUMNS = 64
_MOST_IN_A_CELL = 400
_ZIP = b"PK\x03\x04"
#: A spreadsheet's numbers have 15 digits; what is longer was rounded when it was typed.
_EXACT = 10**15
#: How alike two names are (`difflib`'s ratio) for one to be taken for the other, misspelt.
_ALIKE = 0.8


class SheetError(Exception):
    """The table cannot be read at all; the text says why, and what to send instead."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row. ``line``: its number in the file. ``cells``: by the column's name, stripped; "" where nothing stands.

    ``problems``: what makes cells unreadable.
    """

    line: int
    cells: dict[str, str]
    problems: tuple[str, ...] = ()


def read_sheet(
    content: bytes, needed: Sequence[str], optional: Sequence[str] = (), *, most_rows: int = MOST_ROWS
) -> list[SheetRow]:
    """The rows of a CSV or XLSX file, empty ones left out. Blocks: an XLSX takes a while. Raises `SheetError`.

    ``needed``: columns that must be there; ``optional``: columns that may.
    """
    if len(content) > MOST_BYTES:
        raise SheetError(f"The file is larger than {MOST_BYTES // 1024 // 1024} MB: split it.")
    rows = _xlsx(content) if content.startswith(_ZIP) else _csv(content)
    filled = ((line, cells) for line, cells in rows if any(cell not in {None, ""} for cell in cells))
    headings = next(filled, None)
    if headings is None:
        raise SheetError("The file is empty.")
    named = [str(cell or "") for cell in headings[1]]
    while not named[-1]:  # there is one: the row is not empty
        named.pop()
    names = _columns(named, [*needed, *optional])
    missing = [name for name in needed if name not in names]
    if missing:
        raise SheetError(f"The first row names no column {', '.join(missing)}; it is to name {', '.join(needed)}.")
    _refuse_misspelt(named, names, optional)
    read: list[SheetRow] = []
    for line, cells in filled:
        if len(read) == most_rows:
            raise SheetError(f"The file has more than {most_rows} rows: split it.")
        row = _row(line, dict(zip(names, [*cells, *[None] * len(names)], strict=False)))
        if any(cell not in {None, ""} for cell in cells[len(names) :]):  # a comma in a text, without quotes about it
            row = replace(row, problems=(*row.problems, "it has more cells than the first row has columns"))
        read.append(row)
    if not read:
        raise SheetError("The file has headings, and no row below them.")
    return read


def _columns(headings: list[str], known: Sequence[str]) -> list[str]:
    by_folded = {_folded(name): name for name in known}
    names = [by_folded.get(_folded(heading), f" {n}") for n, heading in enumerate(headings)]
    found = [name for name in names if not name.startswith(" ")]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise SheetError(f"The first row names {', '.join(twice)} twice.")
    return names


def _refuse_misspelt(headings: list[str], names: list[str], optional: Sequence[str]) -> None:
    """Passed over, a misspelt optional column would lose what the sender believes was taken."""
    absent = {_folded(name): name for name in optional if name not in names}
    for heading, name in zip(headings, names, strict=True):
        like = get_close_matches(_folded(heading), absent, 1, _ALIKE) if name.startswith(" ") else []
        if like:
            meant = absent[like[0]]
            raise SheetError(
                f"The first row names a column {heading[:40]!r}, which is not known. If {meant} is meant, name it so; "
                f"if not, remove the column."
            )


def _folded(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


def _row(line: int, cells: dict[str, Any]) -> SheetRow:
    values, problems = dict[str, str](), list[str]()
    for name, cell in cells.items():
        if name.startswith(" "):  # nobody asked for this column
            continue
        value, problem = _text(cell)
        values[name] = value
        if problem:
            problems.append(f"{name} {problem}")
    return SheetRow(line, values, tuple(problems))


def _text(cell: Any) -> tuple[str, str]:
    """A cell as text, and what is wrong with it."""
    if cell is None:
        return "", ""
    if isinstance(cell, bool):
        return str(cell).lower(), ""
    if isinstance(cell, int | float):
        if abs(cell) >= _EXACT:
            return "", "is kept as a number, which the spreadsheet has rounded: format its cells as text, enter it anew"
        return (str(int(cell)) if cell == int(cell) else repr(cell)), ""
    if isinstance(cell, datetime | date):
        return cell.isoformat(), ""
    text = str(cell).strip()
    if len(text) > _MOST_IN_A_CELL:
        return "", f"is longer than {_MOST_IN_A_CELL} characters"
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return "", "holds a control character or a line break"
    if contains_pan(text):
        return "", "looks like a card number, and those are kept nowhere"
    if re.fullmatch(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+", text):
        return "", "was rounded by a spreadsheet (it reads 8.9E+18): format its cells as text, enter it anew"
    return text, ""


def _csv(content: bytes) -> Iterator[tuple[int, list[Any]]]:
    marked_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise SheetError("The file is neither XLSX nor CSV in UTF-8: save it as 'CSV UTF-8' or as XLSX.") from None
    if "\0" in text:
        raise SheetError("The file holds NUL: it is neither XLSX nor CSV. Save it as 'CSV UTF-8' or as XLSX.")
    head = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SheetError(f"Line {before + 1} is no CSV: {error}.") from None
        if len(cells) > _MOST_COLUMNS:
            raise SheetError(f"Line {before + 1} has more than {_MOST_COLUMNS} columns.")
        yield before + 1, [cell.strip() for cell in cells]
        before = reader.line_num


def _xlsx(content: bytes) -> Iterator[tuple[int, list[Any]]]:
    try:
        _check_parts(content)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        if not book.worksheets:
            raise SheetError("The workbook has no worksheet.")
        for line, cells in enumerate(book.worksheets[0].iter_rows(values_only=True, max_col=_MOST_COLUMNS), 1):
            if line > 2 * MOST_ROWS:
                raise SheetError(f"The worksheet has more than {MOST_ROWS} rows: split it.")
            yield line, list(cells)
    except SheetError:
        raise
    except Exception as error:  # whatever a broken or hostile workbook makes the library raise
        raise SheetError("The workbook cannot be read: save it anew as XLSX, or as 'CSV UTF-8'.") from error


def _check_parts(content: bytes) -> None:
    """A zip may hold little and unpack to much: what its directory says is bounded before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    bomb = any(part.file_size > 2**20 and part.file_size > _MOST_RATIO * part.compress_size for part in parts)
    if bomb or len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
        raise SheetError("The workbook is too large when unpacked: send one with this table alone.")


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file. A cell that a spreadsheet would take for a formula is prefixed, so that it stays a text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(headings)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
