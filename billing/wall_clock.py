"""The wall clock: at which instants a restriction by time of day, weekday or date may begin or end to hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_STEP = timedelta(hours=12)  # no zone changes its offset twice within this time
_MICROSECOND = timedelta(microseconds=1)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _offset_changes(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The instants between start and end at which the clocks are put forward or back."""
    changes = []
    while start < end:
        stop = min(start + _STEP, end)
        if _offset(zone, start) != _offset(zone, stop):
            before, after = start, stop
            while after - before > _MICROSECOND:
                middle = before + (after - before) / 2
                if _offset(zone, middle) == _offset(zone, start):
                    before = middle
                else:
                    after = middle
            changes.append(after)
        start = stop
    return changes


def wall_clock_borders(zone: ZoneInfo, times: Iterable[time], start: datetime, end: datetime) -> list[datetime]:
    """The UTC instants strictly between ``start`` and ``end`` (aware) at which the local clock shows one of ``times``.

    An hour that is repeated when summer time ends gives both instants; one that is skipped gives the instants it would
    have had by the offsets before and after. The changes of the clock themselves are borders, too.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    times = tuple(times)
    borders = set(_offset_changes(zone, start, end))
    day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    while day <= last:
        for clock in times:
            for fold in (0, 1):
                borders.add(datetime.combine(day, clock.replace(fold=fold), tzinfo=zone).astimezone(UTC))
        day += timedelta(days=1)
    return sorted(border for border in borders if start < border < end)
