"""When what the calendar demands falls due. Pure: days are an owner's own, moments are UTC."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The day that ``at`` belongs to in ``zone``."""
    return at.astimezone(zone).date()


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of ``day`` in ``zone``, UTC. Midnight that the clock jumps over is where the jump ends."""
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def week_of(at: datetime, zone: ZoneInfo) -> date:
    """The Monday of the week that ``at`` belongs to in ``zone``."""
    day = local_day(at, zone)
    return day - DAY * day.weekday()


def week_ends(monday: date, zone: ZoneInfo) -> datetime:
    """The first moment of the week after, UTC: 7 days of the calendar, of 167 to 169 hours."""
    return day_begins(monday + WEEK, zone)


def months_later(day: date, months: int) -> date:
    """The same day of the month so many months on, or the month's last: 30 November + 3 is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
