"""Charging schedules compared: whether a car's keeps to the profile it was given (2.0.1 K15.FR.11, K15.FR.12)."""

from __future__ import annotations

from datetime import datetime, timedelta

from csms.ocpp.dialect import Payload, decimal, moment, objects, text, whole

#: A car may round.
SLACK = 1


def keeps_to(schedule: Payload, time_base: datetime, profile: Payload) -> bool:
    """Whether a car's schedule stays within ``profile`` (2.0.1 ChargingProfileType) wherever both say something.

    Schedules in other units, watts and amperes, cannot be compared, and are taken to fit.
    """
    given = _chosen(profile, whole(schedule, "id"))
    if given is None or text(given, "chargingRateUnit") != text(schedule, "chargingRateUnit"):
        return True
    car, ours = _steps(schedule), _steps(given)
    offset = time_base - (moment(given.get("startSchedule")) or time_base)  # relative: it starts with the charge
    ends = whole(given, "duration")
    moments = {start for start, _ in car} | {start - int(offset / timedelta(seconds=1)) for start, _ in ours}
    lasts = whole(schedule, "duration")
    for at in sorted(moments):
        since_ours = at + int(offset / timedelta(seconds=1))
        over = (lasts is not None and at >= lasts) or (ends is not None and since_ours >= ends)
        asked, allowed = _limit_at(car, at), _limit_at(ours, since_ours)
        if not over and asked is not None and allowed is not None and asked > allowed + SLACK:
            return False
    return True


def _chosen(profile: Payload, schedule_id: int | None) -> Payload | None:
    """The one of the profile's schedules that the car chose."""
    schedules = objects(profile, "chargingSchedule")
    named = [schedule for schedule in schedules if whole(schedule, "id") == schedule_id]
    return (named or schedules or [None])[0]  # type: ignore[list-item]


def _steps(schedule: Payload) -> list[tuple[int, float]]:
    """(seconds, limit) in order."""
    steps = []
    for period in objects(schedule, "chargingSchedulePeriod"):
        start, limit = whole(period, "startPeriod"), decimal(period.get("limit"))
        if start is not None and limit is not None:
            steps.append((start, float(limit)))
    return sorted(steps)


def _limit_at(steps: list[tuple[int, float]], at: int) -> float | None:
    """The limit that holds ``at`` seconds; None before the first."""
    held = [limit for start, limit in steps if start <= at]
    return held[-1] if held else None
