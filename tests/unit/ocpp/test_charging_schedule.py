"""Whether a car's schedule keeps to its profile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from csms.ocpp.charging_schedule import keeps_to

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def schedule(*steps: tuple[int, float], **more: Any) -> dict[str, Any]:
    periods = [{"startPeriod": start, "limit": limit} for start, limit in steps]
    return {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": periods} | more


@pytest.mark.parametrize(
    ("car", "ours", "fits"),
    [
        (schedule((0, 100)), schedule((0, 100)), True),
        (schedule((0, 102)), schedule((0, 100)), False),
        (schedule((0, 100.5)), schedule((0, 100)), True),  # rounded
        (schedule((0, 100)), schedule((0, 100), (60, 50)), False),  # too much from the second minute on
        (schedule((0, 100), (60, 50)), schedule((0, 100), (60, 50)), True),
        (schedule((0, 100), duration=60), schedule((0, 100), (60, 50)), True),  # it ends before that
        (schedule((0, 50), (60, 100)), schedule((0, 50), duration=60), True),  # ours says nothing of later
        (schedule((0, 100)), schedule((0, 50), startSchedule="2026-11-23T13:00:00Z"), False),  # in an hour
        (schedule((0, 100)), schedule((0, 500), (1800, 50), startSchedule="2026-11-23T11:00:00Z"), False),
        (schedule((0, 40)), schedule((0, 500), (1800, 50), startSchedule="2026-11-23T11:00:00Z"), True),
        (schedule((0, 16), chargingRateUnit="A"), schedule((0, 10)), True),  # cannot be compared
        (schedule(), schedule((0, 10)), True),
        ({}, schedule((0, 10)), True),
        ({"chargingSchedulePeriod": "x", "chargingRateUnit": "W"}, schedule((0, 10)), True),
    ],
)
def test_keeps_to(car: dict[str, Any], ours: dict[str, Any], fits: bool) -> None:
    assert keeps_to(car, NOON, {"chargingSchedule": [ours]}) is fits


def test_it_is_held_to_the_schedule_that_it_chose() -> None:
    profile = {"chargingSchedule": [schedule((0, 10)), schedule((0, 100), id=2)]}
    assert keeps_to(schedule((0, 90), id=2), NOON, profile)
    assert not keeps_to(schedule((0, 90), id=1), NOON, profile)
    assert keeps_to(schedule((0, 90)), NOON, {})
