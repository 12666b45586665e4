"""When what the calendar demands falls due: month ends, leap years, days on which the clock is put forward or back."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.terminals.batteries import Battery, Charge, charge_due, has_battery
from csms.terminals.due_dates import day_begins, local_day, months_later, week_ends, week_of

OSLO = ZoneInfo("Europe/Oslo")
HAVANA = ZoneInfo("America/Havana")  # the clock is put forward at midnight


@pytest.mark.parametrize(
    ("stored", "due"),
    [
        (date(2026, 11, 30), date(2027, 2, 28)),
        (date(2027, 11, 30), date(2028, 2, 29)),
        (date(2026, 11, 28), date(2027, 2, 28)),
        (date(2026, 1, 31), date(2026, 4, 30)),
        (date(2026, 10, 1), date(2027, 1, 1)),
        (date(2026, 12, 31), date(2027, 3, 31)),
    ],
)
def test_a_battery_is_due_three_months_of_the_calendar_later(stored: date, due: date) -> None:
    assert charge_due(stored) == due


@given(st.dates(date(1990, 1, 1), date(2190, 1, 1)), st.integers(0, 48))
def test_months_later_is_the_same_day_or_the_last(day: date, months: int) -> None:
    later = months_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == min(day.day, calendar.monthrange(later.year, later.month)[1])


def test_a_battery_stands_by_the_day() -> None:
    battery = Battery(serial="A", owner_id="o", since=date(2026, 11, 30), due_on=date(2027, 2, 28))
    stands = {
        day: battery.at(day) for day in (date(2027, 2, 13), date(2027, 2, 14), date(2027, 2, 28), date(2027, 3, 1))
    }
    assert list(stands.values()) == [Charge.CHARGED, Charge.SOON, Charge.DUE, Charge.MISSED]


def test_only_the_apollo_family_has_one() -> None:
    names = ("P66", "P66S", "P68", "Apollo", "Apollo Max", "Apollo Polar", "unheard of")
    assert [name for name in names if has_battery(name)] == ["Apollo", "Apollo Max", "Apollo Polar"]


def test_a_week_has_167_to_169_hours() -> None:
    lengths = {
        monday: (week_ends(monday, OSLO) - day_begins(monday, OSLO)) / timedelta(hours=1)
        for monday in (date(2026, 3, 23), date(2026, 3, 30), date(2026, 10, 19))
    }
    assert lengths == {date(2026, 3, 23): 167, date(2026, 3, 30): 168, date(2026, 10, 19): 169}


@given(st.integers(0, 20 * 366 * 24 * 60), st.sampled_from([OSLO, HAVANA]))
def test_every_moment_belongs_to_exactly_one_week(minutes: int, zone: ZoneInfo) -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    monday = week_of(at, zone)
    assert monday.weekday() == 0
    assert day_begins(monday, zone) <= at < week_ends(monday, zone)
    assert day_begins(local_day(at, zone), zone) <= at


def test_the_week_is_the_owners_own() -> None:
    sunday_night = datetime(2026, 3, 8, 22, 30, tzinfo=UTC)
    assert week_of(sunday_night, OSLO) == date(2026, 3, 2)  # 23:30
    assert week_of(sunday_night + timedelta(hours=1), OSLO) == date(2026, 3, 9)
    assert week_of(sunday_night + timedelta(hours=1), HAVANA) == date(2026, 3, 2)
