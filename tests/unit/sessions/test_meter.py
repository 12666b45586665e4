"""What registers prove (EC 28–31, 34, 37 of the money rules): never more than physics, never a falling register."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing.usage import Usage
from sessions.facts import ChargingState, Sample
from sessions.meter import CLOCK_AHEAD, Meter, begin, end, judge_time, read, state_changed, usage
from tests.unit.sessions.examples import at, sample

POWER_W = 22_000
EPOCH = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)


def begun(register: int | None = 0, *, parked: bool = False) -> Meter:
    wh = None if register is None else Decimal(register)
    return begin(Meter(), register_wh=wh, station_time=at(0), seen_at=at(0), parked=parked)


def reading(meter: Meter, *samples: Sample, seen: float | None = None) -> Meter:
    seen_at = max(s.station_time for s in samples) if seen is None else at(seen)
    return read(meter, samples, seen_at=seen_at, max_power_w=POWER_W)


def finished(meter: Meter, register: int | None, seconds: float) -> Meter:
    wh = None if register is None else Decimal(register)
    return end(meter, register_wh=wh, station_time=at(seconds), seen_at=at(seconds), max_power_w=POWER_W)


@pytest.mark.parametrize(
    ("value", "unit", "multiplier"),
    [(5000, "Wh", 0), (5000, None, 0), ("5.0", "kWh", 0), (5, "Wh", 3), (5_000_000, "Wh", -3), (50, "kWh", -1)],
)
def test_units_and_multipliers_give_the_same_energy(value: float | str, unit: str | None, multiplier: int) -> None:
    meter = reading(begun(), sample(value, 1800, unit=unit, multiplier=multiplier))
    assert (meter.energy_wh, meter.flags, meter.findings) == (5000, (), ())


def test_kilowatt_hours_called_watt_hours_are_a_guess_flagged_and_not_billed() -> None:
    """EC 30: 20,005 kWh labelled Wh lies below the start register of 20,000,000 Wh."""
    meter = reading(begun(20_000_000), sample("20005", 1800, unit="Wh"))
    assert meter.unproven
    assert (meter.energy_wh, meter.findings) == (0, ("unit-mislabelled",))
    meter = finished(meter, None, 1801)
    assert meter.energy_wh == 0
    assert meter.flags == ("energy-unproven",)


def test_watt_hours_called_kilowatt_hours_are_a_guess_until_the_end_proves_them() -> None:
    meter = reading(begun(), sample("5000", 1800, unit="kWh"))
    assert (meter.energy_wh, meter.unproven) == (0, True)
    meter = finished(meter, 5001, 1860)
    assert (meter.energy_wh, meter.unproven, meter.flags) == (5001, False, ())


def test_a_register_repeated_per_phase_is_not_added_up() -> None:
    phases = [sample(5000, 1800, phase=phase) for phase in ("L1", "L2", "L3")]
    meter = reading(begun(), *phases)
    assert (meter.energy_wh, meter.findings) == (5000, ("register-per-phase",))
    assert reading(begun(), *phases, sample(6000, 1800)).energy_wh == 6000  # the whole beside its phases


def test_the_register_without_a_phase_is_taken_before_the_phases() -> None:
    meter = reading(begun(), sample(3000, 1800, phase="L1"), sample(9000, 1800), sample(3000, 1800, phase="L2"))
    assert (meter.energy_wh, meter.findings) == (9000, ())


@pytest.mark.parametrize(
    "stranger",
    [
        sample(9000, 1800, measurand="Power.Active.Import"),
        sample(9000, 1800, measurand="Energy.Active.Import.Interval"),
        sample(9000, 1800, measurand="Energy.Active.Export.Register"),
        sample(9000, 1800, location="Inlet"),
        sample(9000, 1800, location="EV"),
    ],
    ids=lambda s: f"{s.measurand} {s.location or ''}",
)
def test_other_measurands_and_places_prove_nothing(stranger: Sample) -> None:
    assert reading(begun(), stranger).energy_wh == 0


def test_a_signed_record_without_a_number_is_kept_verbatim_once() -> None:
    signed = sample(None, 1800, signed='{"signedMeterData":"T0NNRg=="}')
    meter = reading(reading(begun(), signed), signed)
    assert (meter.energy_wh, meter.signed) == (0, ('{"signedMeterData":"T0NNRg=="}',))


def test_a_falling_register_is_not_believed_and_flagged() -> None:
    """EC 28: only the provable positive delta is billed."""
    meter = reading(begun(), sample(5000, 1800), seen=1800)
    meter = reading(meter, sample(4000, 2400))
    assert (meter.energy_wh, meter.flags) == (5000, ("register-fell",))
    meter = finished(meter, 100, 3600)
    assert (meter.energy_wh, meter.flags) == (5000, ("register-fell",))


@pytest.mark.parametrize("value", ["-5", "NaN", "Infinity", "-0.001"])
def test_a_negative_or_absurd_register_is_flagged(value: str) -> None:
    meter = reading(begun(), sample(value, 1800))
    assert (meter.energy_wh, meter.flags) == (0, ("register-negative",))


def test_a_meter_stop_rounded_below_the_last_sample_is_no_fall() -> None:
    meter = finished(reading(begun(), sample("5000.7", 1800)), 5000, 1805)
    assert (meter.energy_wh, meter.flags) == (5000, ())
    assert Usage(usage(meter)).energy_wh == 5000


def test_rounding_may_not_go_below_the_start() -> None:
    meter = finished(begun(100), 99, 60)
    assert (meter.energy_wh, meter.flags, meter.last_wh) == (0, (), Decimal(100))


def test_more_than_the_evse_can_deliver_is_not_billed() -> None:
    """EC 30: half an hour at 22 kW is 11 kWh; ten seconds' slack are 61 Wh."""
    assert reading(begun(), sample(11_061, 1800)).energy_wh == 11_061
    meter = reading(begun(), sample(11_062, 1800))
    assert (meter.energy_wh, meter.flags) == (0, ("register-impossible",))


def test_old_samples_sent_again_change_nothing() -> None:
    first = [sample(1000 * n, 600 * n) for n in range(1, 5)]
    meter = reading(begun(), *first)
    again = finished(reading(meter, *first, seen=2500), 4000, 2500)
    once = finished(meter, 4000, 2500)
    assert (again.energy_wh, again.flags, again.periods) == (4000, (), once.periods)


def test_samples_in_any_order_within_a_message_are_read_in_order_of_time() -> None:
    series = [sample(1000 * n, 600 * n) for n in range(1, 5)]
    assert reading(begun(), *reversed(series)) == reading(begun(), *series)


def test_a_wrong_clock_bills_energy_and_waives_time() -> None:
    """EC 34: the time of receipt counts, and time fees are waived."""
    meter = begin(Meter(), register_wh=Decimal(0), station_time=EPOCH, seen_at=at(0), parked=False)
    stamp = Sample(station_time=EPOCH + timedelta(minutes=30), value=Decimal(5000))
    meter = read(meter, [stamp], seen_at=at(1800), max_power_w=POWER_W)
    meter = end(meter, register_wh=Decimal(6000), station_time=EPOCH, seen_at=at(2400), max_power_w=POWER_W)
    assert (meter.energy_wh, meter.clock_trusted, meter.findings) == (6000, False, ("clock-wrong",))
    (only,) = usage(meter)
    assert (only.start, only.end, only.energy_wh) == (at(0), at(0), 6000)


def test_a_clock_that_goes_wrong_on_the_way_waives_time_too() -> None:
    meter = reading(begun(), sample(2000, 900))
    meter = read(meter, [Sample(station_time=EPOCH, value=Decimal(4000))], seen_at=at(1800), max_power_w=POWER_W)
    assert (meter.energy_wh, len(usage(meter))) == (4000, 1)
    assert usage(meter)[0].start == usage(meter)[0].end


def test_clocks_are_believed_within_bounds() -> None:
    now = at(0)
    assert judge_time(now - timedelta(days=30), now) == now - timedelta(days=30)  # replayed after an outage
    assert judge_time(now + CLOCK_AHEAD, now) == now + CLOCK_AHEAD
    assert judge_time(now + CLOCK_AHEAD + timedelta(seconds=1), now) is None
    assert judge_time(datetime(2019, 12, 31, 23, 59, tzinfo=UTC), now) is None


def test_an_outage_replayed_at_once_is_bounded_by_the_stations_clock() -> None:
    """Four hours of samples arrive within a second of ours: the station's time allows them."""
    series = [sample(20_000 * n, 3600 * n) for n in range(1, 5)]
    meter = reading(begun(), *series, seen=4 * 3600)
    assert (meter.energy_wh, meter.flags) == (80_000, ())


def test_float_noise_of_stations_is_cut_off_once() -> None:
    """Registers such as 0.30000000000000004 kWh: no Wh is gained or lost over many samples."""
    noisy = [sample(str(n * 0.1), 60 * n, unit="kWh") for n in range(1, 31)]
    meter = reading(begun(), *noisy)
    assert meter.energy_wh == 3000 == Usage(usage(meter)).energy_wh


def test_without_a_start_register_the_first_reading_begins() -> None:
    """EC 29: and somebody looks when there was none at all."""
    meter = read(begun(None), [sample(7000, 5)], seen_at=at(5), max_power_w=POWER_W, first_is_begin=True)
    assert (meter.begin_wh, meter.energy_wh) == (Decimal(7000), 0)
    assert reading(meter, sample(8000, 905)).energy_wh == 1000
    assert finished(begun(None), None, 60).flags == ("no-start-register",)


def test_start_and_stop_registers_suffice() -> None:
    """EC 29."""
    meter = finished(begun(1_000_000), 1_020_000, 3600)
    assert (meter.energy_wh, meter.flags) == (20_000, ())
    assert [p.energy_wh for p in usage(meter)] == [20_000]


def test_begin_counts_once() -> None:
    meter = begun(100)
    assert begin(meter, register_wh=Decimal(5), station_time=at(9), seen_at=at(9), parked=True) == meter


# --- time -------------------------------------------------------------------------------------------------------------


def changed(meter: Meter, state: ChargingState, seconds: float) -> Meter:
    return state_changed(meter, state, station_time=at(seconds), seen_at=at(seconds))


def test_only_the_cars_own_pause_is_parking() -> None:
    """EC 18, 19: the station's pause is never billed as idle; energy goes to the stretches that asked for power."""
    meter = changed(begun(), ChargingState.SUSPENDED_EVSE, 600)
    meter = changed(meter, ChargingState.CHARGING, 900)
    meter = changed(meter, ChargingState.SUSPENDED_EV, 1800)
    meter = finished(meter, 6000, 3600)
    assert [(p.start, p.end, p.energy_wh, p.parked) for p in usage(meter)] == [
        (at(0), at(1800), 6000, False),
        (at(1800), at(3600), 0, True),
    ]


def test_a_car_that_wakes_up_stops_parking() -> None:
    meter = changed(begun(parked=True), ChargingState.CHARGING, 1200)
    meter = changed(changed(meter, ChargingState.CHARGING, 1300), ChargingState.SUSPENDED_EV, 2400)
    meter = finished(meter, 4000, 3000)
    assert [(p.parked, p.energy_wh) for p in usage(meter)] == [(True, 0), (False, 4000), (True, 0)]


def test_energy_while_all_was_parked_is_still_billed() -> None:
    meter = finished(begun(parked=True), 500, 900)
    assert [(p.parked, p.energy_wh) for p in usage(meter)] == [(True, 500)]


def test_periods_merge_within_a_quarter_of_an_hour_and_not_beyond() -> None:
    """Tariffs change at most on quarters: 61 samples an hour are five periods, not sixty-one."""
    meter = reading(begun(), *[sample(100 * n, 60 * n) for n in range(1, 62)])
    periods = usage(meter)
    assert len(periods) == 5
    assert [p.start for p in periods] == [at(900 * n) for n in range(5)]
    assert [p.energy_wh for p in periods] == [1500, 1500, 1500, 1500, 100]


def test_the_end_after_the_last_reading_adds_time_and_no_energy() -> None:
    meter = finished(reading(begun(), sample(1000, 600)), None, 1200)
    assert (usage(meter)[-1].end, meter.energy_wh) == (at(1200), 1000)


def test_a_state_outside_a_transaction_is_nothing() -> None:
    assert changed(Meter(), ChargingState.SUSPENDED_EV, 5) == Meter()
    assert reading(Meter(), sample(5, 5)) == Meter()


events = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-700, 900), st.integers(-2_000, 9_000), st.sampled_from(["Wh", "kWh"])),
        st.tuples(st.just("1970"), st.integers(0, 900), st.integers(0, 9_000), st.just("Wh")),
        st.tuples(st.just("state"), st.integers(-60, 900), st.integers(0, 4), st.just("")),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@example([("state", 232, 0, ""), ("read", -232, 123, "Wh")], 1608, False)  # by our clock once, then by the station's
@given(events, st.one_of(st.none(), st.integers(0, 60_000)), st.booleans())
def test_periods_add_up_to_the_proven_energy(
    happenings: list[tuple[str, int, int, str]], stop: int | None, parked: bool
) -> None:
    """Whatever is read: Σ periods = proven energy, in order, never above full power × time, never taken back."""
    meter, clock, register = begun(parked=parked), 0.0, 0
    for kind, seconds, value, unit in happenings:
        clock += max(seconds, 0)
        stamp = at(clock + min(seconds, 0))
        if kind == "state":
            state = list(ChargingState)[value]
            meter = state_changed(meter, state, station_time=stamp, seen_at=at(clock))
        else:
            register = max(0, register + value)
            taken = Sample(station_time=EPOCH if kind == "1970" else stamp, value=Decimal(register), unit=unit)
            meter = read(meter, [taken], seen_at=at(clock), max_power_w=POWER_W)
        assert Usage(meter.periods).energy_wh == meter.energy_wh == meter.billed_wh
    before = meter.energy_wh
    meter = finished(meter, stop, clock + 1)
    assert Usage(meter.periods).energy_wh == Usage(usage(meter)).energy_wh == meter.energy_wh
    assert before - 1 <= meter.energy_wh
    slack_s = 10 * (len(happenings) + 1)
    assert meter.energy_wh <= POWER_W * (clock + 1 + slack_s) / 3600
