"""What a statement's period is: days, weeks and months of the owner's time zone. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billing.terms import Period


def period_start(at: datetime, period: Period, zone: ZoneInfo) -> datetime:
    """When the period that ``at`` (aware) falls into began, UTC."""
    return _midnight(_first_day(at.astimezone(zone).date(), period), zone)


def period_end(start: datetime, period: Period, zone: ZoneInfo) -> datetime:
    """When the period that ``start`` (aware) falls into is over, UTC: the first moment that is not in it any more.

    A period that begins in the middle of another, because terms or time zone were changed, ends with that one.
    """
    first = _first_day(start.astimezone(zone).date(), period)
    if period is Period.DAY:
        after = first + timedelta(days=1)
    elif period is Period.WEEK:
        after = first + timedelta(days=7)
    else:
        after = (first + timedelta(days=31)).replace(day=1)
    return _midnight(after, zone)


def _first_day(day: date, period: Period) -> date:
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTH else day


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a local day. Where the clock jumps over midnight, it is the moment of the jump."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
