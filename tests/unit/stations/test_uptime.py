"""Uptime: connected, and neither faulted nor unavailable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from csms.stations.history import Span, Uptime, uptime
from sessions.facts import EvseStatus

T0 = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # the day Norway's clocks go back: seconds are counted, not wall clocks
UP, FAULTED, UNAVAILABLE = EvseStatus.AVAILABLE, EvseStatus.FAULTED, EvseStatus.UNAVAILABLE


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def span(begin: float, end: float) -> Span:
    return Span(begin=at(begin), end=at(end))


def hours(found: Uptime) -> tuple[float, float, float, float]:
    return found.up_s / 3600, found.offline_s / 3600, found.faulted_s / 3600, found.unavailable_s / 3600


DAY = span(0, 24)


@pytest.mark.parametrize(
    ("online", "statuses", "expected"),
    [
        ([span(-5, 30)], [(-1, UP)], (24, 0, 0, 0)),
        ([span(-5, 30)], [(6, UP)], (18, 0, 0, 0)),  # not observed before it was first heard of
        ([span(0, 6), span(7, 24)], [(-1, UP)], (23, 1, 0, 0)),
        ([span(0, 10), span(8, 24)], [(-1, UP)], (24, 0, 0, 0)),  # a new socket before the old one was found dead
        ([span(0, 24)], [(-1, UP), (3, FAULTED), (5, UP), (20, UNAVAILABLE)], (18, 0, 2, 4)),
        ([span(0, 4), span(6, 24)], [(-1, UP), (3, FAULTED), (8, UP)], (19, 2, 3, 0)),  # offline counts before faulted
        ([span(0, 24)], [(-1, EvseStatus.OCCUPIED), (2, EvseStatus.RESERVED)], (24, 0, 0, 0)),
        ([], [(-1, UP)], (0, 24, 0, 0)),
        ([span(0, 24)], [], (0, 0, 0, 0)),
        ([span(25, 30)], [(26, UP)], (0, 0, 0, 0)),
    ],
)
def test_uptime(
    online: list[Span], statuses: list[tuple[float, EvseStatus]], expected: tuple[float, float, float, float]
) -> None:
    found = uptime(1, online, [(at(h), status) for h, status in statuses], DAY)
    assert hours(found) == expected
    assert found.observed_s == sum(expected) * 3600
    assert found.ratio == (expected[0] / sum(expected) if sum(expected) else None)
