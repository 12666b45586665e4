"""Statements: periods without a gap, sums without a remainder."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cost import VatLine, vat_contained
from billing.receipt import Issuer
from billing.statement import (
    EntryKind,
    Item,
    Statement,
    kind_of_entry,
    paid_out,
    payout_key,
    statement_from_json,
    statement_to_json,
)
from billing.statement_csv import statement_csv
from billing.statement_pdf import render_statement_pdf
from billing.statement_period import period_end, period_start
from billing.statement_view import statement_view
from billing.tally import Charged, Tally, split
from billing.terms import Period, Terms
from billing.way import Way

# Oslo and Lord Howe have summer time (of one hour and of half an hour), Santiago and Beirut jump at midnight.
ZONES = ("Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "Pacific/Apia")


@given(
    st.integers(0, 10 * 366 * 86_400).map(
        lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    st.sampled_from(ZONES),
    st.sampled_from(list(Period)),
)
def test_periods_follow_one_another_without_gap_or_overlap(at: datetime, name: str, period: Period) -> None:
    zone = ZoneInfo(name)
    start = period_start(at, period, zone)
    end = period_end(start, period, zone)
    assert start <= at < end
    assert period_end(at, period, zone) == end
    assert period_start(end, period, zone) == end
    assert period_start(end - timedelta(microseconds=1), period, zone) == start
    first = start.astimezone(zone)
    assert period is not Period.WEEK or first.weekday() == 0
    assert period is not Period.MONTH or first.day == 1


@pytest.mark.parametrize(
    ("start", "period", "hours"),
    [
        ((2024, 2, 1), Period.MONTH, 29 * 24),
        ((2026, 3, 29), Period.DAY, 23),
        ((2026, 10, 25), Period.DAY, 25),
        ((2026, 3, 23), Period.WEEK, 167),
        ((2026, 12, 1), Period.MONTH, 744),
    ],
)
def test_days_of_the_owners_zone_count(start: tuple[int, int, int], period: Period, hours: int) -> None:
    oslo = ZoneInfo("Europe/Oslo")
    begin = datetime(*start, tzinfo=oslo).astimezone(UTC)
    assert period_end(begin, period, oslo) - begin == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("key", "session_id", "kind"),
    [
        ("S1:owed", "S1", EntryKind.SALE),
        ("S1:owed:0", "S1", EntryKind.SALE),
        ("S1:owed:0:reversed", "S1", EntryKind.SALE),
        ("S1:refund-owed:rfd_1", "S1", EntryKind.REFUND),
        ("S1:repair:1", "S1", EntryKind.CORRECTION),
        ("licence-order:7", None, EntryKind.LICENCE),
        (payout_key("ST00000001", "returned"), None, EntryKind.RETURNED),
        ("repair:1", None, EntryKind.CORRECTION),
        ("S1:owed", None, EntryKind.CORRECTION),
    ],
)
def test_entries_are_known_by_their_keys(key: str, session_id: str | None, kind: EntryKind) -> None:
    assert kind_of_entry(key, session_id) is kind


def test_a_balance_is_paid_out_whole_or_not_at_all() -> None:
    assert [paid_out(minor, 100) for minor in (-5, 0, 99, 100, 101)] == [0, 0, 0, 100, 101]
    assert [paid_out(minor, 0) for minor in (-5, 0, 1)] == [0, 0, 1]


@given(
    st.integers(-100_000, 100_000),
    st.integers(-20_000, 20_000),
    st.lists(st.integers(0, 50_000), max_size=3),
)
def test_a_booked_amount_is_split_without_a_remainder(gross: int, vat: int, parts: list[int]) -> None:
    lines = [vat_contained(part, Decimal(5 * n)) for n, part in enumerate(parts, 1)]
    made = split(gross, vat, lines)
    assert sum(line.gross_minor for line in made) == gross
    assert sum(line.vat_minor for line in made) == vat
    assert all(line.net_minor + line.vat_minor == line.gross_minor for line in made)


def test_fees_are_taken_once_and_follow_corrections() -> None:
    terms = Terms(fee_fixed_minor=100, fee_percent=Decimal("1.5"), facilitation_fee_minor=30)
    tally = Tally()
    tally.sale("new", Way.CARD, 1000, [vat_contained(1000, Decimal(25))])
    tally.sale("more", Way.RFID, 500, [vat_contained(500, Decimal(25))])
    tally.sale("gone", Way.RFID, -1000, [VatLine(Decimal(25), -800, -200, -1000)])
    tally.refund("old", Way.CARD, 200, [vat_contained(200, Decimal(25))])
    tally.facilitated("own", Way.CARD, 700)
    earlier = {
        "more": Charged(1000, terms.fee_minor(1000, "NOK")),
        "gone": Charged(1000, terms.fee_minor(1000, "NOK")),
        "old": Charged(4000, terms.fee_minor(4000, "NOK")),
    }
    fees = tally.fees(terms, "NOK", earlier)
    # new: 100 + 15; more: the fee of 1500 (100 + 23) less that of 1000 (100 + 15); gone: all back; old: as it was
    assert (fees.fixed_minor, fees.percent_minor, fees.facilitation_minor) == (0, 15 + 8 - 15, 30)
    assert (fees.sessions, fees.facilitated_sessions) == (0, 1)
    assert fees.vat_minor == 10  # 25 % of 38 is 9.5
    assert [way.sessions for way in tally.ways(earlier)] == [1, 0, 0, 0]


def statement(**changes: object) -> Statement:
    tally = Tally()
    tally.sale("a", Way.CARD, 12_345, split(12_345, 2469, [vat_contained(12_345, Decimal(25))]))
    tally.refund("a", Way.CARD, 345, [vat_contained(345, Decimal(25))])
    terms, at = Terms(fee_percent=Decimal(3), minimum_payout_minor=500), datetime(2026, 1, 31, 23, tzinfo=UTC)
    fees = tally.fees(terms, "NOK", {})
    items = (
        Item(kind=EntryKind.LICENCE, booked="licence-order:1", booked_at=at, amount_minor=-1000),
        Item(kind=EntryKind.CORRECTION, booked="repair:1", booked_at=at, amount_minor=7),
    )
    owner = Issuer("Båthavn & Sønner <AS>", ("Brygga 1",), "NO", "911222333")
    fields: dict[str, object] = {
        "statement_id": "ST00000012",
        "owner_id": "own_a",
        "owner": owner,
        "platform": Issuer("Operatør AS", (), "NO", "999888777"),
        "currency": "NOK",
        "language": "nb",
        "time_zone": "Europe/Oslo",
        "period": Period.MONTH,
        "period_start": datetime(2025, 12, 31, 23, tzinfo=UTC),
        "period_end": at,
        "closed_at": at,
        "ways": tally.ways({}),
        "fees": fees,
        "facilitated_minor": 0,
        "items": items,
        "opening_minor": -10,
        "minimum_payout_minor": 500,
        "payout_minor": -10 + 12_345 - 345 - fees.total_minor - 1000 + 7,
        "carried_minor": 0,
    }
    return Statement(**fields | changes)  # type: ignore[arg-type]  # per test


def test_a_statement_that_does_not_add_up_is_none() -> None:
    with pytest.raises(ValueError, match="does not add up"):
        statement(carried_minor=1)


def test_json_gives_back_an_equal_statement() -> None:
    assert statement_from_json(statement_to_json(statement())) == statement()


def test_csv_and_pdf_say_the_same_sums() -> None:
    made = statement()
    rows = list(csv.DictReader(io.StringIO(statement_csv(made))))
    parts = [r for r in rows if r["section"] in {"opening", "sales", "refunds", "fees", "licence", "corrections"}]
    assert sum(Decimal(r["amount"]) for r in parts) == Decimal(made.balance_minor) / 100
    view = statement_view(made, "en")
    assert view.result == ("Payout", "NOK 105.34")
    assert ("Refunds", "NOK -3.45") in view.balance
    assert view.notes == (
        "A balance below NOK 5.00 is carried to the next statement.",
        "A refund gives no platform fee back.",
    )
    assert statement_view(made, "nb").title == "Samlet avregning"
    assert render_statement_pdf(made, "nb") == render_statement_pdf(made, "nb")
