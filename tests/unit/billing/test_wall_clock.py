"""Borders by the local clock, daylight saving included."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.wall_clock import wall_clock_borders

OSLO = ZoneInfo("Europe/Oslo")


def utc(day: int, hour: int, minute: int = 0, *, month: int) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_an_ordinary_day() -> None:
    borders = wall_clock_borders(OSLO, frozenset({time(0), time(8)}), utc(1, 5, month=7), utc(2, 6, month=7))
    assert borders == [utc(1, 6, month=7), utc(1, 22, month=7)]  # both ends are left out


def test_a_repeated_hour_shows_a_time_twice_and_the_change_is_a_border() -> None:
    borders = wall_clock_borders(OSLO, frozenset({time(2, 30)}), utc(24, 22, month=10), utc(25, 10, month=10))
    assert borders == [utc(25, 0, 30, month=10), utc(25, 1, month=10), utc(25, 1, 30, month=10)]


def test_a_skipped_hour_has_its_change_as_a_border() -> None:
    borders = wall_clock_borders(OSLO, frozenset({time(0)}), utc(28, 23, 30, month=3), utc(29, 10, month=3))
    assert borders == [utc(29, 1, month=3)]


@pytest.mark.parametrize("name", ["Europe/Oslo", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
def test_between_two_borders_the_clock_runs_even_and_passes_no_time(name: str) -> None:
    """Seen minute by minute through a year: whether it is before or after noon changes only at a border."""
    zone, times = ZoneInfo(name), frozenset({time(0), time(12)})
    start = utc(1, 0, month=1)
    borders = set(wall_clock_borders(zone, times, start, start + timedelta(days=365)))
    moment, was = start, None
    while moment < start + timedelta(days=365):
        local = moment.astimezone(zone)
        now = (local.date(), local.hour >= 12, local.utcoffset())
        assert was is None or was == now or moment in borders
        moment, was = moment + timedelta(minutes=15), now
