"""Licences: a year of the calendar, grace, states, reminders, prices."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ledger import Account, balance, licence_sale
from billing.licence import (
    EXPIRING,
    LicenceState,
    day_begins,
    licence_state,
    licensed_until,
    line_price,
    plan_ends_at,
    plan_starts_at,
    reminder_days,
)

OSLO = ZoneInfo("Europe/Oslo")
ZONES = [OSLO, ZoneInfo("Africa/Cairo"), ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia"), ZoneInfo("UTC")]
NOON = datetime(2027, 3, 15, 12, 0, tzinfo=UTC)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0, zone: ZoneInfo = OSLO) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        (local(2026, 11, 23, 13), local(2027, 11, 24)),  # an ordinary day: all of the same date a year later
        (local(2026, 12, 31, 23, 59), local(2028, 1, 1)),
        (local(2027, 1, 1), local(2028, 1, 1)),  # begins with a day: that day counts
        (local(2024, 2, 29, 13), local(2025, 3, 1)),  # there is no such date: the last of the month
        (local(2024, 2, 29), local(2025, 3, 1)),
        (local(2023, 2, 28, 13), local(2024, 2, 29)),
        (local(2023, 3, 1), local(2024, 3, 1)),
        (local(2026, 3, 29, 12), local(2027, 3, 30)),  # the clock was put forward that day
        (local(2026, 10, 25, 2, 30), local(2027, 10, 26)),  # and back
    ],
)
def test_a_plan_runs_a_year_of_the_calendar(starts: datetime, ends: datetime) -> None:
    assert plan_ends_at(starts, OSLO) == ends


def test_the_owners_zone_says_which_day_it_is() -> None:
    starts = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)  # half past midnight in Oslo, evening in New York
    assert plan_ends_at(starts, OSLO) == local(2028, 1, 2)
    new_york = ZoneInfo("America/New_York")
    assert plan_ends_at(starts, new_york) == local(2028, 1, 1, zone=new_york)


def test_a_day_may_begin_at_one() -> None:
    """Cairo puts its clock forward at midnight: that day has no midnight, and a plan that begins with it counts it."""
    cairo = ZoneInfo("Africa/Cairo")
    begins = day_begins(date(2026, 4, 24), cairo)
    assert begins == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert begins.astimezone(cairo).hour == 1
    assert plan_ends_at(begins, cairo) == day_begins(date(2027, 4, 24), cairo)


@given(st.integers(0, 40 * 365 * 24 * 60), st.sampled_from(ZONES))
def test_no_plan_is_shorter_than_a_year_and_renewals_do_not_creep(minute: int, zone: ZoneInfo) -> None:
    begin = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    ends = [plan_ends_at(begin, zone)]
    for _ in range(8):
        ends.append(plan_ends_at(ends[-1], zone))
    first = ends[0].astimezone(zone).date() - begin.astimezone(zone).date()
    assert timedelta(days=365) <= first <= timedelta(days=367)
    days = [at.astimezone(zone).date() for at in ends]
    assert all(day_begins(day, zone) == at for day, at in zip(days, ends, strict=True))
    assert [day.year for day in days] == list(range(days[0].year, days[0].year + 9))
    assert len({(day.month, day.day) for day in days} - {(2, 29)}) == 1


def test_a_renewal_bought_early_begins_at_the_end_and_a_late_one_at_once() -> None:
    soon, later, over = NOON + timedelta(days=3), NOON + timedelta(days=368), NOON - timedelta(days=1)
    assert plan_starts_at([soon, over], NOON) == soon
    assert plan_starts_at([soon, later], NOON) == later
    assert plan_starts_at([over, NOON], NOON) == NOON
    assert plan_starts_at([], NOON) == NOON


def test_grace_is_counted_in_days_of_the_calendar() -> None:
    assert licensed_until(local(2027, 3, 20), 14, OSLO) == local(2027, 4, 3)  # summer time began in between
    assert licensed_until(local(2027, 3, 20), 0, OSLO) == local(2027, 3, 20)


def test_states() -> None:
    def read(
        ends: datetime | None = None, *, assigned: bool = True, confirmed: bool = True, renewed: bool = False
    ) -> str:
        return licence_state(NOON, confirmed=confirmed, assigned=assigned, ends_at=ends, renewed=renewed).value

    moment = timedelta(microseconds=1)
    assert read(assigned=False, confirmed=False) == "new"
    assert read(assigned=False) == "available"
    assert read() == "active"  # an activation
    assert read(NOON + EXPIRING + moment) == "active"
    assert read(NOON + EXPIRING) == read(NOON + moment) == "expiring"
    assert read(NOON + moment, renewed=True) == "active"
    assert read(NOON) == read(NOON, renewed=True) == "expired"
    assert {state.value for state in LicenceState} == {"new", "available", "active", "expiring", "expired"}


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=90, microseconds=1), None),
        (timedelta(days=90), 90),
        (timedelta(days=31), 90),
        (timedelta(days=30), 30),
        (timedelta(days=7, seconds=1), 30),
        (timedelta(days=7), 7),
        (timedelta(microseconds=1), 7),
        (timedelta(0), None),
        (timedelta(days=-1), None),
    ],
)
def test_reminders_are_due_90_30_and_7_days_before(left: timedelta, days: int | None) -> None:
    assert reminder_days(NOON, NOON + left) == days


def test_what_a_line_costs() -> None:
    price = line_price(199_990, 3, Decimal("25"))
    assert (price.net_minor, price.vat_minor, price.gross_minor) == (599_970, 149_993, 749_963)  # half up, once
    assert line_price(0, 5, Decimal(25)).gross_minor == 0
    assert line_price(100, 1, Decimal("25.5")).vat_minor == 26


def test_a_sale_shrinks_what_the_owner_is_owed() -> None:
    sale = licence_sale(599_970, 149_993, "NOK")
    assert balance(sale.entries) == {
        Account.OWNER_PAYABLE: 749_963,
        Account.LICENCE_REVENUE: -599_970,
        Account.VAT_PAYABLE: -149_993,
    }
    assert licence_sale(0, 0, "NOK").entries == ()
    assert len(licence_sale(100, 0, "NOK").entries) == 2
    with pytest.raises(ValueError, match="negative"):
        licence_sale(-1, 0, "NOK")
