"""What counts as sold, which days a period has, and what a spreadsheet must not take for a formula."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from billing.cost import Cost, CostLine, VatLine, no_cost
from billing.payment import Payment
from billing.tariff import Dimension
from billing.way import Way
from csms.payouts.session_report import Processor, ReportedSession, Totals, period, processor_of, sold
from csms.payouts.session_report_table import CsvReport, XlsxReport, csv_text
from sessions.session import Origin, Session
from sessions.tables import Charging
from tests.unit.sessions.examples import session

OSLO = ZoneInfo("Europe/Oslo")


def cost(gross: int, currency: str = "EUR") -> Cost:
    vat = gross // 5
    line = CostLine(Dimension.ENERGY, Decimal(10), "kWh", Decimal(gross) / 1000, Decimal(25), gross)
    return Cost(currency, (line,), (VatLine(Decimal(25), gross - vat, vat, gross),), gross - vat, vat, gross)


def card(**changes: Any) -> Session:
    captured: dict[str, Any] = {"cost": cost(500), "captured_minor": 500}
    return replace(session(Charging.ENDED, Payment.CAPTURED), **captured | changes)


@pytest.mark.parametrize(
    ("settled", "gross"),
    [
        pytest.param(card(), 500, id="captured"),
        pytest.param(card(captured_minor=0, payment=Payment.WRITTEN_OFF, written_off_minor=500), 0, id="written-off"),
        pytest.param(card(captured_minor=600), 0, id="captured-and-not-explained"),
        pytest.param(card(flags=("captured-after-write-off",)), 0, id="captured-after-it-was-written-off"),
        pytest.param(card(cost=None, captured_minor=0, payment=Payment.RELEASED), 0, id="never-charged"),
        pytest.param(
            replace(session(Charging.ENDED, origin=Origin.RFID), cost=cost(700), contract=cost(700)), 700, id="rfid"
        ),
        pytest.param(replace(session(Charging.ENDED, origin=Origin.RFID), cost=cost(700), unpaid=True), 0, id="free"),
        pytest.param(session(Charging.ENDED, origin=Origin.UNAUTHORISED), 0, id="nobodys"),
        pytest.param(card(origin=Origin.DIRECT), 500, id="at-the-stations-own-terminal"),
    ],
)
def test_only_what_the_ledger_has_as_a_sale_was_sold(settled: Session, gross: int) -> None:
    assert sold(settled).total_minor == gross


def test_who_collects() -> None:
    assert processor_of(card()) is Processor.PLATFORM
    assert processor_of(card(account_id="acc_1")) is Processor.OWN
    assert processor_of(card(origin=Origin.DIRECT)) is Processor.STATION


def utc(month: int, day: int, hour: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "since", "until"),
    [
        ("2026-01-01", "2026-01-31", utc(12, 31, 23, 2025), utc(1, 31, 23)),
        ("2026-03-29", "2026-03-29", utc(3, 28, 23), utc(3, 29, 22)),  # 23 hours
        ("2026-10-25", "2026-10-25", utc(10, 24, 22), utc(10, 25, 23)),  # 25 hours
        ("2026-07-01", "2026-07-01", utc(6, 30, 22), utc(7, 1, 22)),
    ],
)
def test_days_are_the_owners(first: str, last: str, since: datetime, until: datetime) -> None:
    assert period(date.fromisoformat(first), date.fromisoformat(last), OSLO) == (since, until)


def test_days_follow_each_other_without_gap_or_overlap() -> None:
    days = [date(2026, 10, n) for n in range(24, 28)]
    spans = [period(day, day, OSLO) for day in days]
    assert [until for _, until in spans[:-1]] == [since for since, _ in spans[1:]]


@pytest.mark.parametrize(
    ("first", "last"), [(date(2026, 1, 2), date(2026, 1, 1)), (date(1, 1, 1), date(1, 1, 1)), (date(9999, 12, 31),) * 2]
)
def test_what_is_no_period_is_refused(first: date, last: date) -> None:
    with pytest.raises(ValueError, match="day"):
        period(first, last, OSLO)


# --- the tables -------------------------------------------------------------------------------------------------------


def line(**changes: Any) -> ReportedSession:
    values: dict[str, Any] = {
        "session_id": "S1",
        "closed_at": datetime(2026, 7, 1, 12, tzinfo=UTC),
        "started_at": None,
        "ended_at": None,
        "site": None,
        "station_id": "CS1",
        "evse_id": 1,
        "terminal_serial": "P1",
        "processor": Processor.PLATFORM,
        "way": Way.CARD,
        "receipt_number": 7,
        "energy_wh": 10_000,
        "cost": cost(500),
        "captured_minor": 500,
        "refunded_minor": 0,
        "written_off_minor": 0,
        "fee_minor": 12,
        "fee_vat_minor": 3,
    }
    return ReportedSession(**values | changes)


EVIL = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1")


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_is_a_formula_in_csv(evil: str) -> None:
    assert csv_text(evil) == f"'{evil}"


def test_numbers_are_numbers_in_csv_also_below_zero() -> None:
    assert [csv_text(cell) for cell in (Decimal("-1.50"), -2, Decimal("1E+3"), None, "a")] == [
        *("-1.50", "-2", "1000", "", "a"),
    ]


def test_no_text_is_a_formula_in_a_workbook() -> None:
    written, totals, file = XlsxReport(OSLO), Totals(), io.BytesIO()
    sessions = [line(station_id=evil, session_id=f"S{n}") for n, evil in enumerate((*EVIL, "a\x00b\x1f"))]
    for one in sessions:
        totals.add(one)
    written.add(sessions)
    written.end(totals, file)
    book = openpyxl.load_workbook(file)
    assert book.sheetnames == ["Sessions", "Price lines", "VAT", "Totals", "VAT totals"]
    assert [cell.data_type for sheet in book for row in sheet for cell in row if cell.data_type == "f"] == []
    column = [cell.value for cell in book["Sessions"]["F"]]
    assert column[:5] == ["station_id", *EVIL[:4]]
    assert column[-1] == "a\ufffdb\ufffd"
    assert [row[:4] for row in book["VAT totals"].iter_rows(values_only=True)][1] == ("card", "EUR", 25, 32)
    assert book["Totals"]["C2"].value == len(sessions)


def test_a_csv_begins_with_names_and_ends_with_totals() -> None:
    written, totals = CsvReport(OSLO), Totals()
    one = line()
    totals.add(one)
    rows = (written.add([one]) + written.end(totals)).decode().splitlines()
    assert rows[0].startswith("record,session_id,settled_at,started_at")
    assert rows[1].startswith(
        "session,S1,2026-07-01T14:00:00+02:00,,,,CS1,1,P1,platform,card,7,EUR,10000,4.00,1.00,5.00"
    )
    assert [row.split(",")[0] for row in rows[1:]] == ["session", "line", "vat", "total", "vat total"]


def test_a_session_without_a_tariff_has_no_currency_and_no_amounts() -> None:
    totals, written = Totals(), CsvReport(OSLO)
    free = line(cost=no_cost(""), captured_minor=0, fee_minor=0, fee_vat_minor=0)
    totals.add(free)
    assert written.add([free]) + written.end(totals)
