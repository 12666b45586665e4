"""The wall clock: at which instants a restriction by time of day, weekday or date may begin or end to hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def _local(zone: ZoneInfo, day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, tzinfo=zone).astimezone(UTC)


def _change(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The instant after ``start`` and up to ``end`` at which the clock is put forward or back, if there is one."""
    before_offset = start.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == before_offset:
        return []
    before, after = start, end
    while after - before > _MICROSECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == before_offset:
            before = middle
        else:
            after = middle
    return [after]


@lru_cache(maxsize=1024)  # every period of a day's sessions asks for the same few days
def _borders_of(zone: ZoneInfo, times: frozenset[time], day: date) -> tuple[datetime, ...]:
    """The borders of one local day."""
    clocks = {_local(zone, day, clock.replace(fold=fold)) for clock in times for fold in (0, 1)}
    return tuple(clocks.union(_change(zone, _local(zone, day, time(0)), _local(zone, day + _DAY, time(0)))))


def wall_clock_borders(zone: ZoneInfo, times: frozenset[time], start: datetime, end: datetime) -> list[datetime]:
    """The UTC instants strictly between ``start`` and ``end`` (aware) at which the local clock shows one of ``times``.

    An hour that is repeated when summer time ends gives both instants; one that is skipped gives the instants it would
    have had by the offsets before and after. The changes of the clock themselves are borders, too.
    """
    day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    borders: set[datetime] = set()
    while day <= last:
        borders.update(_borders_of(zone, times, day))
        day += _DAY
    return sorted(border for border in borders if start < border < end)
