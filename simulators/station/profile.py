"""Charging profiles as power limits over time (OCPP 1.6 §3.13, OCPP 2.0.1 part 2, block K)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

VOLTAGE_V = 230
RECURRENCE = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}
MAX_PURPOSES = ("ChargePointMaxProfile", "ChargingStationMaxProfile")


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start_s`` seconds into the schedule, at most ``limit_w`` W."""

    start_s: int
    limit_w: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One charging profile. ``start`` is None for a schedule that counts from the transaction's begin.

    ``duration_s`` ends the *profile*, not the charge: afterwards it sets no limit. Who wants charging to end writes a
    last period with the limit 0.
    """

    profile_id: int
    stack_level: int
    purpose: str
    periods: tuple[Period, ...]
    start: datetime | None = None
    duration_s: int | None = None
    recurrence: timedelta | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: str | None = None

    def limit_w(self, moment: datetime, began: datetime | None) -> int | None:
        """The limit at ``moment`` for a transaction that began at ``began``; None when the profile sets none."""
        if (self.valid_from and moment < self.valid_from) or (self.valid_to and moment >= self.valid_to):
            return None
        into = self._seconds_into(moment, began)
        if into is None or (self.duration_s is not None and into >= self.duration_s):
            return None
        limit = None
        for period in self.periods:
            if period.start_s <= into:
                limit = period.limit_w
        return limit

    def next_change(self, moment: datetime, began: datetime | None) -> datetime | None:
        """The first moment after ``moment`` at which the limit may be another."""
        moments = [m for m in (self.valid_from, self.valid_to) if m]
        start = self.start or began
        if start is not None:
            if self.recurrence and moment >= start:
                start += (moment - start) // self.recurrence * self.recurrence
            edges = [p.start_s for p in self.periods] + ([self.duration_s] if self.duration_s is not None else [])
            moments += [start + timedelta(seconds=edge) for edge in edges]
            if self.recurrence:
                moments.append(start + self.recurrence)
        return min((m for m in moments if m > moment), default=None)

    def _seconds_into(self, moment: datetime, began: datetime | None) -> Decimal | None:
        start = self.start or began
        if start is None or moment < start:
            return None
        passed = moment - start
        if self.recurrence:
            passed %= self.recurrence
        return Decimal(passed // timedelta(microseconds=1)) / 1_000_000


def parse_profile(payload: dict[str, Any], received_at: datetime) -> Profile:
    """Read a ``ChargingProfile`` of either version.

    Raises ``ValueError`` when it holds no schedule, or a schedule whose first period does not start at 0.
    """
    schedule = payload["chargingSchedule"]
    if isinstance(schedule, list):  # 2.0.1 allows up to three, for ISO 15118; a station without it takes the first
        if not schedule:
            raise ValueError("no schedule")
        schedule = schedule[0]
    per_unit = VOLTAGE_V if schedule["chargingRateUnit"] == "A" else 1
    periods = []
    for item in schedule["chargingSchedulePeriod"]:
        phases = item.get("numberPhases", 3) if per_unit != 1 else 1
        periods.append(Period(item["startPeriod"], int(Decimal(str(item["limit"])) * per_unit * phases)))
    if not periods or periods[0].start_s != 0:
        raise ValueError("the first period starts at 0")
    kind = payload["chargingProfileKind"]
    start = moment_of(schedule.get("startSchedule"))
    if kind == "Relative":
        start = None
    elif start is None and kind == "Recurring":
        start = received_at
    return Profile(
        profile_id=payload.get("chargingProfileId", payload.get("id", 0)),
        stack_level=payload["stackLevel"],
        purpose=payload["chargingProfilePurpose"],
        periods=tuple(sorted(periods, key=lambda period: period.start_s)),
        start=start,
        duration_s=schedule.get("duration"),
        recurrence=RECURRENCE[payload.get("recurrencyKind", "Daily")] if kind == "Recurring" else None,
        valid_from=moment_of(payload.get("validFrom")),
        valid_to=moment_of(payload.get("validTo")),
        transaction_id=None if payload.get("transactionId") is None else str(payload["transactionId"]),
    )


def moment_of(text: str | None) -> datetime | None:
    """An RFC 3339 time; None for none. Raises ``ValueError`` when it has no time zone."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text}")
    return moment


def limit_w(profiles: Iterable[Profile], moment: datetime, began: datetime | None) -> int | None:
    """What the profiles allow together: the least of the maximum profile's limit and the transaction's.

    A TxProfile replaces the default; within one purpose the highest stack level that sets a limit rules.
    """
    by_purpose: dict[str, tuple[int, int]] = {}
    for profile in profiles:
        limit = profile.limit_w(moment, began)
        if limit is None:
            continue
        purpose = "Max" if profile.purpose in MAX_PURPOSES else profile.purpose
        if purpose not in by_purpose or profile.stack_level >= by_purpose[purpose][0]:
            by_purpose[purpose] = (profile.stack_level, limit)
    limits = [by_purpose["Max"][1]] if "Max" in by_purpose else []
    if "TxProfile" in by_purpose:
        limits.append(by_purpose["TxProfile"][1])
    elif "TxDefaultProfile" in by_purpose:
        limits.append(by_purpose["TxDefaultProfile"][1])
    return min(limits, default=None)
