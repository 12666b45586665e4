"""Uploaded lists: every way a file can be wrong is refused with a reason, and in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from csms.terminals.onboarding_import import COLUMNS, REQUIRED, template_csv, template_xlsx
from csms.terminals.spreadsheet import Row, SpreadsheetError, read


def workbook(*rows: tuple[str | int | None, ...]) -> bytes:
    book, made = Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(made)
    return made.getvalue()


def taken(raw: bytes, max_rows: int = 10) -> list[Row]:
    return read(raw, COLUMNS, REQUIRED, max_rows)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(separator: str) -> None:
    lines = ["Terminal_Serial  |ORIGIN|comment", "N1|own|æøå", "||", 'N2|integrated|"two\r\nlines"']
    raw = "\r\n".join(lines).replace("|", separator).encode("utf-8-sig")
    assert taken(raw) == [
        Row(2, {"terminal serial": "N1", "origin": "own", "comment": "æøå"}),
        Row(4, {"terminal serial": "N2", "origin": "integrated", "comment": "two\r\nlines"}),
    ]


def test_xlsx_numbers_are_read_as_they_look() -> None:
    raw = workbook(("terminal serial", "origin"), (20240000001, "own"), (None, None), ("0012", "integrated"))
    assert [(row.number, row.cells["terminal serial"]) for row in taken(raw)] == [(2, "20240000001"), (4, "0012")]


def test_the_templates_can_be_read() -> None:
    assert taken(template_csv()) == taken(template_xlsx())


def bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b"<a>" * 30_000_000)
    return made.getvalue()


def zipped(**parts: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return made.getvalue()


def laughing() -> bytes:
    """A workbook whose sheet defines entities."""
    made, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(workbook(("terminal serial", "origin"), ("N1", "own"))))
    with zipfile.ZipFile(made, "w") as file:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                content = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]>' + content
            file.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "header lacks"),
        (b"terminal serial,origin\n", "no rows"),
        (b"terminal serial\nN1\n", "lacks origin"),
        (b"terminal serial,origin,origin\nN1,own,own\n", "twice"),
        (b"terminal serial,origin,pin\nN1,own,1\n", "Column 3"),
        (b"terminal serial,origin\nN1,own,more\n", "Row 2 has more cells"),
        (b"terminal serial,origin\n" + b"N,own\n" * 11, "more than 10 rows"),
        (b"terminal serial,origin,comment\nN1,own," + b"x" * 2001, "2000 characters"),
        (b"terminal serial,origin,comment\nN1,own,x" + b"x" * 200_000, "quotes"),
        (b'terminal serial,origin\n"N1,own\n', "quotes"),
        (b"," * 60, "50 columns"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"terminal serial,origin\nN\x001,own\n", "NUL"),
        (b"PK\x03\x04 and no zip", "no XLSX"),
        (zipped(a=b"b"), "no XLSX"),
        (bomb(), "unpacks to more"),
        (zipped(**{f"p{n}": b"" for n in range(201)}), "unpacks to more"),
        (laughing(), "no XLSX"),
        (workbook(("terminal serial", "origin"), *((f"N{n}", "own") for n in range(11))), "more than 10 rows"),
        (workbook(tuple(f"c{n}" for n in range(60))), "50 columns"),
        (workbook(), "header lacks"),
    ],
    ids=range(21),
)
def test_what_cannot_be_read_is_refused_with_a_reason(raw: bytes, says: str) -> None:
    with pytest.raises(SpreadsheetError, match=says):
        taken(raw)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_rows_or_a_reason(raw: bytes, zip_like: bool) -> None:
    with contextlib.suppress(SpreadsheetError):
        rows = taken(b"PK\x03\x04" + raw if zip_like else b"terminal serial,origin\n" + raw)
        assert all(set(row.cells) == {"terminal serial", "origin"} for row in rows)
