"""Tables that people send: what is read, and what is refused with a reason."""

from __future__ import annotations

import csv
import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from csms.terminals.sheet import MOST_BYTES, SheetError, csv_text, read_sheet

NEEDED = ("serial", "station_serial")
#: A SIM card's number: as a number, a spreadsheet keeps fifteen digits of it.
SIM = "8947080037021414114"


def workbook(*rows: list[object]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_as_spreadsheets_write_it(separator: str, encoding: str) -> None:
    lines = [["Serial", "STATION-serial", "note"], ["A1", "Ærlig 1", "x"], ["", "", ""], ["A2", '"S;,2"', ""]]
    text = "\r\n".join(separator.join(line) for line in lines)
    rows = read_sheet(text.encode(encoding), NEEDED, ("sim_serial",))
    assert [(row.line, row.cells) for row in rows] == [
        (2, {"serial": "A1", "station_serial": "Ærlig 1"}),
        (4, {"serial": "A2", "station_serial": "S;,2"}),
    ]


def test_a_row_in_several_lines_is_counted_where_it_begins() -> None:
    rows = read_sheet(b'serial,station_serial\nA1,"S\n1"\nA2,S2\n', NEEDED)
    assert [(row.line, row.cells["serial"]) for row in rows] == [(2, "A1"), (4, "A2")]
    assert "line break" in rows[0].problems[0]


def test_xlsx_as_spreadsheets_write_it() -> None:
    rows = read_sheet(
        workbook([], ["serial", "Station Serial", "sim_serial"], ["A1", 4711, SIM], ["A2", 4711.0, int(SIM)]),
        NEEDED,
        ("sim_serial",),
    )
    assert rows[0].cells == {"serial": "A1", "station_serial": "4711", "sim_serial": SIM}
    assert (rows[1].line, rows[1].cells["station_serial"]) == (4, "4711")
    assert "rounded" in rows[1].problems[0]


def test_a_number_that_a_spreadsheet_rounded_is_not_taken() -> None:
    rows = read_sheet(b"serial;station_serial\nA1;8,94708E+18\n", NEEDED)
    assert "format its cells as text" in rows[0].problems[0]


def test_a_card_number_is_kept_nowhere() -> None:
    pan = "4111" + "1" * 12
    (row,) = read_sheet(f"serial,station_serial\n{pan},S1\n".encode(), NEEDED)
    assert pan not in str(row)
    assert "card number" in row.problems[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"serial,station_serial\n", "no row below"),
        (b"serial\nA1\n", "no column station_serial"),
        (b"serial,station_serial,Serial\nA1,S1,A1\n", "serial twice"),
        (b"serial,station_serial\n\xe6,S1\n", "CSV UTF-8"),
        (b"serial,station_serial\n\0,S1\n", "NUL"),
        (b'serial,station_serial\n"A1"x,S1\n', "Line 2 is no CSV"),
        (b'serial,station_serial\n"A1', "no CSV"),
        (b"serial,station_serial\n" + b"," * 100 + b"\n", "columns"),
        (b"PK\x03\x04 no workbook", "cannot be read"),
        (b"x" * (MOST_BYTES + 1), "larger than"),
        (b"serial,station_serial\n" + b"A1,S1\n" * 11, "more than 10 rows"),
        (b"a," + b"y" * 200_000 + b"\n", "no CSV"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(content: bytes, says: str) -> None:
    with pytest.raises(SheetError, match=says):
        read_sheet(content, NEEDED, most_rows=10)


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "parts",
    [
        {"xl/worksheets/sheet1.xml": b"0" * (2 * 1024 * 1024)},  # a thousand times what it is packed
        {f"{n}.bin": random.Random(n).randbytes(1000) * 1000 for n in range(34)},
        {f"p{n}": b"" for n in range(201)},
    ],
    ids=["ratio", "sum", "parts"],
)
def test_a_zip_bomb_is_not_unpacked(parts: dict[str, bytes]) -> None:
    with pytest.raises(SheetError, match="unpacked"):
        read_sheet(zipped(parts), NEEDED)


@pytest.mark.parametrize("content", [zipped({"a": b"b"}), zipped({})[:10] + b"PK\x03\x04"])
def test_a_zip_that_is_no_workbook_is_refused(content: bytes) -> None:
    with pytest.raises(SheetError):
        read_sheet(content, NEEDED)


def test_cells_without_a_column_are_told() -> None:
    for content in (
        b"serial,station_serial\nA1,S1,more\n",
        workbook(["serial", "station_serial"], ["A1", "S1", "more"]),
    ):
        (row,) = read_sheet(content, NEEDED)
        assert "more cells" in row.problems[0]
    (row,) = read_sheet(b"serial,station_serial\nA1,S1,,\n", NEEDED)
    assert row.problems == ()


def test_a_misspelt_optional_column_is_not_passed_over() -> None:
    with pytest.raises(SheetError, match="'SIM serail', which is not known"):
        read_sheet(b"serial,station_serial,SIM serail\nA1,S1,1\n", NEEDED, ("sim_serial",))
    both = read_sheet(b"serial,station_serial,sim_serial,sim_serial_2\nA1,S1,1,2\n", NEEDED, ("sim_serial",))
    assert both[0].cells == {"serial": "A1", "station_serial": "S1", "sim_serial": "1"}


def test_entities_are_not_expanded() -> None:
    good = workbook(["serial", "station_serial"], ["A1", "S1"])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            text = old.read(part)
            if part == "xl/worksheets/sheet1.xml":
                text = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + text
            new.writestr(part, text)
    with pytest.raises(SheetError, match="cannot be read"):
        read_sheet(out.getvalue(), NEEDED)


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(content: bytes) -> None:
    for sent in (content, b"PK\x03\x04" + content, b"serial,station_serial\n" + content):
        try:
            rows = read_sheet(sent, NEEDED)
        except SheetError:
            continue
        assert all(set(row.cells) >= {"serial", "station_serial"} for row in rows)


def test_no_cell_that_is_written_is_a_formula() -> None:
    text = csv_text(["a", "b"], [["=1+1", None], ["-x", 'say "hi", twice']])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["'=1+1", ""], ["'-x", 'say "hi", twice']]
