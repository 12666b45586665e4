"""The meter, the car and the profiles count exactly; the clock is a function of the wall's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.clock import SimClock
from simulators.station.car import Car
from simulators.station.evse import Evse
from simulators.station.meter import W_US_PER_WH, Meter
from simulators.station.profile import limit_w, parse_profile
from simulators.station.transaction import Authorization, Transaction

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def charging_evse(car: Car, power_w: int = 11_000) -> Evse:
    evse = Evse(1, power_w, NOON, car=car, authorization=Authorization("A", "Local", remote=False))
    evse.transaction = Transaction("T", 1, evse.read("Transaction.Begin"), evse.authorization, "EVConnected")
    return evse


@given(st.lists(st.integers(0, 3_600_000_000), max_size=20))
def test_energy_does_not_depend_on_how_time_is_cut(steps_us: list[int]) -> None:
    cut, whole = charging_evse(Car(battery_wh=3_000)), charging_evse(Car(battery_wh=3_000))
    for step in steps_us:
        cut.advance(cut.settled_to + timedelta(microseconds=step))
    whole.advance(NOON + timedelta(microseconds=sum(steps_us)))
    assert cut.meter == whole.meter
    assert cut.car == whole.car


def test_a_constant_power_is_exact() -> None:
    evse = charging_evse(Car())
    evse.advance(NOON + timedelta(minutes=20))
    assert evse.meter.register_w_us == 11_000 * 20 * 60 * 1_000_000
    assert evse.register_wh == evse.delivered_wh == 3666


def test_a_car_tapers_and_stops_by_itself() -> None:
    evse = charging_evse(Car(battery_wh=1_000, soc_percent=70, max_power_w=10_000, taper_from_percent=80))
    powers = []
    while (change := evse.next_change()) is not None:
        powers.append(evse.power_w)
        evse.advance(change)
    assert powers == [10_000, *(500 * room for room in range(20, 0, -1))]
    assert evse.state == "SuspendedEV"
    assert evse.delivered_wh == 300
    evse.advance(NOON + timedelta(days=1))
    assert evse.delivered_wh == 300


def test_a_register_never_falls() -> None:
    meter = Meter(5)
    with pytest.raises(ValueError, match="never falls"):
        meter.add(-1)
    assert Meter(W_US_PER_WH - 1).register_wh == 0


def profile(purpose: str = "TxProfile", kind: str = "Relative", stack: int = 0, **schedule: Any) -> Any:
    usual = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 5000}]}
    return parse_profile(
        {
            "chargingProfileId": stack,
            "stackLevel": stack,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": kind,
            "chargingSchedule": usual | schedule,
        },
        NOON,
    )


def test_a_profile_of_limited_duration_sets_no_limit_afterwards() -> None:
    short = profile(duration=60)
    assert short.limit_w(NOON + timedelta(seconds=59), NOON) == 5000
    assert short.limit_w(NOON + timedelta(seconds=60), NOON) is None
    assert short.next_change(NOON, NOON) == NOON + timedelta(seconds=60)


def test_profiles_combine_by_purpose_and_stack_level() -> None:
    low = profile(chargingSchedulePeriod=[{"startPeriod": 0, "limit": 3000}])
    high = profile(stack=1, chargingSchedulePeriod=[{"startPeriod": 0, "limit": 7000}])
    default = profile("TxDefaultProfile", chargingSchedulePeriod=[{"startPeriod": 0, "limit": 1000}])
    most = profile("ChargePointMaxProfile", "Absolute", startSchedule="2026-01-01T00:00:00Z")
    assert limit_w([low, high], NOON, NOON) == 7000
    assert limit_w([low, high, default, most], NOON, NOON) == 5000
    assert limit_w([default, most], NOON, NOON) == 1000
    assert limit_w([], NOON, NOON) is None


def test_recurring_profiles_begin_again() -> None:
    periods = [{"startPeriod": 0, "limit": 0}, {"startPeriod": 3600, "limit": 16, "numberPhases": 1}]
    daily = profile(
        kind="Recurring", chargingRateUnit="A", chargingSchedulePeriod=periods, startSchedule="2026-11-01T12:00:00Z"
    )
    assert daily.limit_w(NOON, None) == 0
    assert daily.limit_w(NOON + timedelta(hours=2), None) == 16 * 230
    assert daily.next_change(NOON + timedelta(hours=2), None) == NOON + timedelta(days=1)


def test_bad_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="starts at 0"):
        profile(chargingSchedulePeriod=[{"startPeriod": 5, "limit": 1}])
    with pytest.raises(ValueError, match="without a zone"):
        profile(kind="Absolute", startSchedule="2026-01-01T00:00:00")


def test_clocks_with_the_same_anchor_agree() -> None:
    anchor = datetime.now(UTC) - timedelta(seconds=10)
    one, other = SimClock(60, anchor), SimClock(60, anchor)
    before, between, after = one.now(), other.now(), one.now()
    assert before <= between <= after
    assert before - anchor >= timedelta(minutes=10)
    other.set_offset(timedelta(hours=-1))
    assert other.now() < other.true_now() - timedelta(minutes=59)
    assert other.copy().offset == timedelta(hours=-1)


async def test_sleeping_reaches_the_moment() -> None:
    clock = SimClock(10_000)
    until = clock.now() + timedelta(seconds=100)
    await clock.sleep(100)
    assert clock.now() >= until


def test_a_clock_needs_a_speed_and_a_zone() -> None:
    with pytest.raises(ValueError, match="above 0"):
        SimClock(0)
    with pytest.raises(ValueError, match="time zone"):
        SimClock(1, datetime(2026, 1, 1))  # noqa: DTZ001
