"""Restrictions, the wall clock, grace, limits, rounding, and what a hold still affords."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.cost import Adjustment, Cost, CostLine, VatLine, cap_cost, cost_of, no_cost
from billing.cost_json import cost_from_json, cost_to_json
from billing.pricing import AFFORDABLE_LIMIT_S, affordable_s, price
from billing.tariff import DayOfWeek, Dimension, PriceComponent, PriceLimit, Tariff, TaxIncluded, simple_tariff
from billing.usage import Period, Usage
from tests.unit.billing.examples import NORWAY, T0, component, element, period, tariff, usage

OSLO = ZoneInfo("Europe/Oslo")
NIGHT = element(component("ENERGY", "1"), start_time=time(22), end_time=time(6))
DAY = element(component("ENERGY", "3"))


def quantities(cost: Cost) -> dict[str, Decimal]:
    """Quantity by unit price: tells which rate got how much."""
    return {str(line.unit_price.normalize()): line.quantity.normalize() for line in cost.lines}


def local(day: int, hour: int, minute: int = 0, *, month: int = 7, fold: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=OSLO, fold=fold)


def test_the_first_element_that_matches_wins_per_dimension() -> None:
    case = tariff(
        element(component("ENERGY", "9"), min_kwh=Decimal(50)),
        element(component("ENERGY", "1")),
        element(component("ENERGY", "5"), component("FLAT", "2")),
    )
    assert quantities(price(case, usage(period(0, 60, 10_000)))) == {"1": Decimal(10), "2": Decimal(1)}


def test_a_dimension_without_a_match_is_free() -> None:
    case = tariff(element(component("ENERGY", "1"), min_kwh=Decimal(4)))
    cost = price(case, usage(period(0, 60, 10_000)))
    assert quantities(cost) == {"1": Decimal(6)}
    assert cost.total_minor == 600


def test_energy_bounds_are_inclusive_below_and_exclusive_above() -> None:
    case = tariff(
        element(component("ENERGY", "1"), max_kwh=Decimal(4)), element(component("ENERGY", "2"), min_kwh=Decimal(4))
    )
    assert quantities(price(case, usage(period(0, 10, 4000), period(10, 10, 1)))) == {
        "1": Decimal(4),
        "2": Decimal("0.001"),
    }


def test_energy_without_time_is_priced_and_cut_by_energy() -> None:
    case = tariff(element(component("ENERGY", "1"), max_kwh=Decimal(4)), element(component("ENERGY", "2")))
    cost = price(case, usage(period(0, 0, 10_000)))
    assert quantities(cost) == {"1": Decimal(4), "2": Decimal(6)}


def test_durations_run_over_the_whole_session() -> None:
    case = tariff(
        element(component("TIME", "60"), min_duration_s=1800, max_duration_s=3600), element(component("TIME", "6"))
    )
    cost = price(case, usage(period(0, 20), period(20, 20), period(40, 40)))
    assert quantities(cost) == {"0.1": Decimal(50), "1": Decimal(30)}


def test_power_is_the_average_of_the_period() -> None:
    case = tariff(element(component("TIME", "60"), min_power_kw=Decimal(50)), element(component("TIME", "6")))
    cost = price(case, usage(period(0, 30, 25_000), period(30, 30, 24_999)))
    assert quantities(cost) == {"1": Decimal(30), "0.1": Decimal(30)}


def test_unknown_power_meets_no_power_restriction() -> None:
    case = tariff(element(component("ENERGY", "9"), max_power_kw=Decimal(50)), element(component("ENERGY", "1")))
    assert quantities(price(case, usage(period(0, 0, 1000)))) == {"1": Decimal(1)}


def test_a_night_rate_wraps_midnight_on_the_local_clock() -> None:
    case = tariff(NIGHT, DAY, time_zone="Europe/Oslo")
    cost = price(case, Usage((Period(local(1, 20), local(2, 8), 12_000),)))
    assert quantities(cost) == {"3": Decimal(4), "1": Decimal(8)}


def test_midnight_ends_the_day() -> None:
    evening = element(component("ENERGY", "1"), start_time=time(18), end_time=time(0))
    cost = price(tariff(evening, DAY, time_zone="Europe/Oslo"), Usage((Period(local(1, 17), local(2, 2), 9_000),)))
    assert quantities(cost) == {"3": Decimal(3), "1": Decimal(6)}


def test_one_sided_times() -> None:
    late = element(component("ENERGY", "1"), start_time=time(23))
    early = element(component("ENERGY", "2"), end_time=time(1))
    used = Usage((Period(local(1, 22), local(2, 2), 4_000),))
    cost = price(tariff(late, early, DAY, time_zone="Europe/Oslo"), used)
    assert quantities(cost) == {"1": Decimal(1), "2": Decimal(1), "3": Decimal(2)}


def test_dates_are_local_and_end_dates_exclusive() -> None:
    """Edge case 36: over new year, the old price until local midnight."""
    old = element(component("ENERGY", "1"), end_date=date(2027, 1, 1))
    new = element(component("ENERGY", "2"), start_date=date(2027, 1, 1))
    start = datetime(2026, 12, 31, 22, tzinfo=OSLO)
    cost = price(
        tariff(old, new, time_zone="Europe/Oslo"),
        Usage((Period(start, datetime(2027, 1, 1, 1, tzinfo=OSLO), 3_000),)),
    )
    assert quantities(cost) == {"1": Decimal(2), "2": Decimal(1)}


def test_a_change_of_vat_splits_the_vat_lines() -> None:
    old = element(component("ENERGY", "1.25", "25"), end_date=date(2027, 1, 1))
    new = element(component("ENERGY", "1.12", "12"))
    start = datetime(2026, 12, 31, 23, tzinfo=OSLO)
    cost = price(
        tariff(old, new, tax_included="YES", time_zone="Europe/Oslo"),
        Usage((Period(start, start + timedelta(hours=2), 20_000),)),
    )
    assert cost.vat == (VatLine(Decimal(25), 1000, 250, 1250), VatLine(Decimal(12), 1000, 120, 1120))


def test_days_of_the_week_change_at_local_midnight() -> None:
    weekend = element(component("ENERGY", "1"), day_of_week=frozenset({DayOfWeek.SATURDAY, DayOfWeek.SUNDAY}))
    friday = Period(local(3, 23), local(4, 2), 3_000)  # 3 July 2026 is a Friday
    assert quantities(price(tariff(weekend, DAY, time_zone="Europe/Oslo"), Usage((friday,)))) == {
        "3": Decimal(1),
        "1": Decimal(2),
    }


def test_the_25_hour_day_repeats_a_rate_and_durations_count_every_hour() -> None:
    """Edge case 35: 25 October 2026, 03:00 becomes 02:00 again; 02:00-02:30 applies twice."""
    twice = element(component("TIME", "60"), start_time=time(2), end_time=time(2, 30))
    case = tariff(twice, element(component("TIME", "6")), time_zone="Europe/Oslo")
    start, end = local(25, 0, month=10), local(26, 0, month=10)
    cost = price(case, Usage((Period(start, end, 0),)))
    assert quantities(cost) == {"0.1": Decimal(24 * 60), "1": Decimal(60)}


def test_the_23_hour_day_skips_a_rate() -> None:
    """29 March 2026, 02:00 becomes 03:00: the 02:00-02:30 rate never applies, 02:30-04:00 only from 03:00."""
    skipped = element(component("TIME", "60"), start_time=time(2), end_time=time(2, 30))
    cut = element(component("TIME", "12"), start_time=time(2, 30), end_time=time(4))
    case = tariff(skipped, cut, element(component("TIME", "6")), time_zone="Europe/Oslo")
    cost = price(case, Usage((Period(local(29, 0, month=3), local(30, 0, month=3), 0),)))
    assert quantities(cost) == {"0.1": Decimal(22 * 60), "0.2": Decimal(60)}


def test_many_small_periods_cost_what_one_long_one_does() -> None:
    case = tariff(NIGHT, DAY, time_zone="Europe/Oslo")
    start = local(1, 20)
    whole = Usage((Period(start, start + timedelta(hours=12), 12_000),))
    steps = Usage(
        tuple(
            Period(start + timedelta(minutes=5 * step), start + timedelta(minutes=5 * step + 5), 83 + (step % 3 == 0))
            for step in range(144)
        )
    )
    assert steps.energy_wh == 12_000
    assert abs(price(case, steps).total_minor - price(case, whole).total_minor) <= 1


def test_values_missing_and_a_rate_by_time_of_day_bill_the_cheapest() -> None:
    """Edge case 29. An hour at night, eleven by day, and nobody knows when the energy flowed."""
    case = tariff(NIGHT, element(component("ENERGY", "3"), component("TIME", "6")), time_zone="Europe/Oslo")
    cost = price(case, Usage((Period(local(1, 5), local(1, 17), 12_000, interpolated=True),)))
    assert quantities(cost) == {"1": Decimal(12), "0.1": Decimal(720)}  # time is known, and billed as ever


def test_interpolated_energy_that_may_have_been_free_is_free() -> None:
    case = tariff(element(component("ENERGY", "3"), start_time=time(6), end_time=time(22)), time_zone="Europe/Oslo")
    assert price(case, Usage((Period(local(1, 5), local(1, 17), 12_000, interpolated=True),))).total_minor == 0


def test_interpolated_energy_keeps_its_energy_bands() -> None:
    case = tariff(element(component("ENERGY", "1"), max_kwh=Decimal(4)), element(component("ENERGY", "2")))
    cost = price(case, Usage((Period(T0, T0 + timedelta(hours=1), 10_000, interpolated=True),)))
    assert quantities(cost) == {"1": Decimal(4), "2": Decimal(6)}


def test_idle_grace_is_once_per_session_over_all_parked_time() -> None:
    case = simple_tariff("t", "EUR", idle_per_minute=Decimal(1), idle_grace_s=600, hold_minor=9000)
    used = usage(period(0, 10), period(10, 6, parked=True), period(16, 10), period(26, 9, parked=True))
    assert price(case, used).total_minor == 500  # 15 parked minutes, ten of them free
    assert price(case, usage(period(0, 10, parked=True))).total_minor == 0


def test_flat_is_charged_once_even_where_elements_change() -> None:
    case = tariff(
        element(component("FLAT", "2"), max_kwh=Decimal(1)), element(component("FLAT", "3"), component("ENERGY", "1"))
    )
    cost = price(case, usage(period(0, 10, 2_000), period(10, 10, 2_000)))
    assert [line.unit_price for line in cost.lines if line.dimension is Dimension.FLAT] == [Decimal(2)]


def test_no_usage_costs_nothing_but_a_plug_in_costs_the_flat_fee() -> None:
    case = tariff(element(component("FLAT", "2")))
    assert price(case, Usage()) == no_cost("EUR")
    assert price(case, usage(period(0, 0))).total_minor == 200


def test_a_free_tariff_gives_a_line_of_zero() -> None:
    """Edge case 50: cost 0.00, not omitted."""
    cost = price(simple_tariff("free", "NOK", hold_minor=0), usage(period(0, 60, 20_000)))
    assert (cost.total_minor, [line.amount_minor for line in cost.lines]) == (0, [0])
    assert cost.lines[0].quantity == 20


@pytest.mark.parametrize(
    ("currency", "per_kwh", "total"), [("ISK", "0.25", 3), ("NOK", "0.25", 250), ("BHD", "0.25", 2500)]
)
def test_rounds_to_the_currencys_exponent(currency: str, per_kwh: str, total: int) -> None:
    """Edge case 44: 2.5 ISK is 3 ISK."""
    case = simple_tariff("t", currency, per_kwh=Decimal(per_kwh), hold_minor=90_000)
    assert price(case, usage(period(0, 60, 10_000))).total_minor == total


def test_rounds_once_per_rate_and_the_lines_still_add_up() -> None:
    case = tariff(element(*(component(kind, "0.335", "25") for kind in ("ENERGY", "FLAT"))), tax_included="YES")
    cost = price(case, usage(period(0, 60, 1_000)))
    assert cost.total_minor == 67  # 0.335 twice; 0.34 twice would be 0.68
    assert [line.amount_minor for line in cost.lines] == [34, 33]
    assert cost.vat == (VatLine(Decimal(25), 54, 13, 67),)


def test_thirds_are_exact() -> None:
    """20 minutes at 0.03 an hour is exactly one cent, and 10 minutes round half up."""
    case = tariff(element(component("TIME", "0.03")))
    assert price(case, usage(period(0, 20))).total_minor == 1
    assert price(case, usage(period(0, 10))).total_minor == 1
    assert price(case, usage(period(0, 9))).total_minor == 0


def test_no_vat_and_zero_vat_are_told_apart() -> None:
    case = tariff(element(component("ENERGY", "1"), component("FLAT", "1", "0")))
    assert [line.vat_percent for line in price(case, usage(period(0, 1, 1000))).vat] == [None, Decimal(0)]


@pytest.mark.parametrize(
    ("low", "high", "energy_wh", "net", "total"),
    [
        (PriceLimit(Decimal(5)), None, 1_000, 500, 625),
        (PriceLimit(None, Decimal(5)), None, 1_000, 400, 500),
        (PriceLimit(Decimal(5), Decimal(6)), None, 0, 500, 600),  # nothing used: all of it is the limit
        (PriceLimit(Decimal(1)), None, 2_000, 200, 250),
        (None, PriceLimit(Decimal(5)), 8_000, 500, 625),
        (None, PriceLimit(None, Decimal(5)), 8_000, 400, 500),
        (None, PriceLimit(Decimal(5), Decimal(6)), 8_000, 500, 600),
        (None, PriceLimit(Decimal(5), Decimal(6)), 4_900, 490, 600),  # only the side after taxes is reached
    ],
)
def test_limits_before_and_after_taxes(
    low: PriceLimit | None, high: PriceLimit | None, energy_wh: int, net: int, total: int
) -> None:
    case = tariff(element(component("ENERGY", "1", "25")), min_price=low, max_price=high)
    cost = price(case, usage(period(0, 60, energy_wh)))
    assert (cost.net_minor, cost.total_minor) == (net, total)


def test_limits_without_any_vat_bound_one_amount() -> None:
    both = PriceLimit(Decimal(5), Decimal(6))
    case = tariff(element(component("ENERGY", "1")), max_price=both)
    assert price(case, usage(period(0, 60, 8_000))).vat == (VatLine(None, 500, 0, 500),)
    assert price(tariff(element(component("ENERGY", "1")), min_price=both), usage(period(0, 60))).total_minor == 600


# --- periods ----------------------------------------------------------------------------------------------------------


def test_periods_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Period(datetime(2026, 7, 1), T0, 0)  # noqa: DTZ001 — that is the point
    with pytest.raises(ValueError, match="before it starts"):
        Period(T0, T0 - timedelta(seconds=1), 0)
    with pytest.raises(ValueError, match="negative"):
        Period(T0, T0, -1)
    with pytest.raises(ValueError, match="overlap"):
        usage(period(0, 10), period(9, 1))


def test_periods_count_real_time_over_a_change_of_the_clock() -> None:
    counted = Period(local(25, 1, month=10), local(25, 4, month=10), 0)
    assert counted.end - counted.start == timedelta(hours=4)
    assert counted.start.tzinfo is UTC


# --- what a cost is ---------------------------------------------------------------------------------------------------


def test_a_cost_that_does_not_add_up_is_refused() -> None:
    line = CostLine(Dimension.FLAT, Decimal(1), "session", Decimal(1), None, 100)
    vat = VatLine(None, 100, 0, 100)
    assert cost_of("EUR", [line], [vat]).total_minor == 100
    for lines, vats, total in (((line,), (), 100), ((), (vat,), 100), ((line,), (vat,), 101)):
        with pytest.raises(ValueError, match="add up"):
            Cost("EUR", lines, vats, 100, 0, total)


def test_a_cost_above_the_hold_is_capped_per_rate_and_the_rest_written_off() -> None:
    """Edge case 16."""
    case = tariff(element(component("ENERGY", "1", "25"), component("FLAT", "1", "15")), tax_included="YES")
    cost = price(case, usage(period(0, 60, 9_000)))
    capped, written_off = cap_cost(cost, 777)
    assert (capped.total_minor, written_off) == (777, 223)
    assert [line.gross_minor for line in capped.vat] == [699, 78]
    assert [line.vat_minor for line in capped.vat] == [140, 10]
    off = [line for line in capped.lines if line.dimension is Adjustment.ABOVE_HOLD]
    assert [line.amount_minor for line in off] == [-201, -22]
    assert cap_cost(cost, 1000) == (cost, 0)
    assert cap_cost(cost, 0)[0].total_minor == 0
    with pytest.raises(ValueError, match="negative"):
        cap_cost(cost, -1)


# --- what a hold affords ----------------------------------------------------------------------------------------------


def test_affordable_to_the_second() -> None:
    case = simple_tariff("t", "EUR", per_kwh=Decimal(1), hold_minor=1000)
    # 36 kW is 10 Wh a second, and 10 Wh are one cent.
    assert affordable_s(case, 1000, 36_000, T0, Usage()) == 1000
    assert affordable_s(case, 1000, 36_000, T0 + timedelta(minutes=10), usage(period(0, 10, 6_000))) == 400
    assert affordable_s(case, 1000, 36_000, T0, usage(period(0, 10, 11_000))) == 0


def test_affordable_for_ever() -> None:
    assert affordable_s(simple_tariff("f", "EUR", hold_minor=0), 0, 150_000, T0, Usage()) is None
    case = tariff(element(component("ENERGY", "1")), max_price=PriceLimit(None, Decimal(10)))
    assert affordable_s(case, 1000, 150_000, T0, Usage()) is None
    assert affordable_s(case, 999, 150_000, T0, Usage()) is not None


def test_affordable_parked_time_starts_after_the_grace() -> None:
    case = simple_tariff("t", "EUR", idle_per_minute=Decimal(1), idle_grace_s=600, hold_minor=1000)
    assert affordable_s(case, 1000, 0, T0, Usage(), parked=True) == 600 + 600
    assert affordable_s(case, 1000, 0, T0, Usage()) is None


def test_affordable_from_a_clock_that_is_behind() -> None:
    case = simple_tariff("t", "EUR", per_kwh=Decimal(1), hold_minor=1000)
    assert affordable_s(case, 1000, 36_000, T0, usage(period(0, 10, 6_000))) == 400


@given(
    power_w=st.integers(1, 400_000),
    hold_minor=st.integers(0, 50_000),
    used_wh=st.integers(0, 50_000),
    after=st.integers(0, 24 * 60),
)
@settings(deadline=None, max_examples=60)
def test_affordable_is_the_last_second_that_fits(power_w: int, hold_minor: int, used_wh: int, after: int) -> None:
    case = tariff(NIGHT, element(component("ENERGY", "3", "25"), component("TIME", "1", "25")), time_zone="Europe/Oslo")
    used = usage(period(after, 30, used_wh))
    start = used.periods[-1].end

    def total(seconds: int) -> int:
        more = Period(start, start + timedelta(seconds=seconds), power_w * seconds // 3600)
        return price(case, Usage((*used.periods, more))).total_minor

    seconds = affordable_s(case, hold_minor, power_w, start, used)
    if seconds is None:
        assert total(AFFORDABLE_LIMIT_S) <= hold_minor
    else:
        assert seconds == 0 or total(seconds) <= hold_minor
        assert total(seconds + 1) > hold_minor


# --- properties -------------------------------------------------------------------------------------------------------

amounts = st.decimals(min_value=0, max_value=20, places=3)
rates = st.sampled_from([None, Decimal(0), Decimal("5.2"), Decimal(15), Decimal(25)])


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    def components() -> list[PriceComponent]:
        kinds = draw(st.lists(st.sampled_from(list(Dimension)), min_size=1, unique=True))
        return [PriceComponent(kind, draw(amounts), draw(rates), draw(st.integers(1, 900))) for kind in kinds]

    restricted = element(
        *components(),
        start_time=time(draw(st.integers(0, 11))),
        end_time=time(draw(st.integers(12, 23))),
        max_kwh=draw(st.none() | st.decimals(min_value=1, max_value=50, places=3)),
    )
    after_taxes = st.decimals(min_value=10, max_value=30, places=2)
    before_taxes = st.none() | st.decimals(min_value=1, max_value=10, places=2)
    included: TaxIncluded = draw(st.sampled_from(["YES", "NO"]))
    return tariff(
        restricted,
        element(*components()),
        currency=draw(st.sampled_from(["ISK", "NOK", "BHD"])),
        tax_included=included,
        min_price=draw(st.none() | st.builds(PriceLimit, st.just(Decimal(1)), st.none() | st.just(Decimal(2)))),
        max_price=draw(st.none() | st.builds(PriceLimit, before_taxes, after_taxes)),
        idle_grace_s=draw(st.integers(0, 1200)),
        time_zone="Europe/Oslo",
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    start = T0 + timedelta(minutes=draw(st.integers(0, 200_000)))
    periods = []
    for _ in range(draw(st.integers(0, 5))):
        end = start + timedelta(seconds=draw(st.integers(0, 40_000)))
        periods.append(
            Period(start, end, draw(st.integers(0, 60_000)), draw(st.booleans()), interpolated=draw(st.booleans()))
        )
        start = end
    return Usage(tuple(periods))


@given(tariffs(), usages(), st.integers(0, 5_000))
@settings(deadline=None)
def test_every_cost_adds_up_and_survives_json_and_capping(case: Tariff, used: Usage, max_minor: int) -> None:
    cost = price(case, used)
    capped, written_off = cap_cost(cost, max_minor)
    assert capped.total_minor == min(cost.total_minor, max_minor)
    assert capped.total_minor + written_off == cost.total_minor
    for each in (cost, capped):
        assert each.total_minor >= 0
        assert sum(line.amount_minor for line in each.lines) == each.total_minor
        assert sum(line.net_minor for line in each.vat) + sum(line.vat_minor for line in each.vat) == each.total_minor
        assert all(line.vat_minor >= 0 and line.net_minor >= 0 for line in each.vat)
        for vat in each.vat:
            under = [line.amount_minor for line in each.lines if line.vat_percent == vat.vat_percent]
            assert sum(under) == vat.gross_minor
        assert cost_from_json(cost_to_json(each)) == each


@given(usages(), st.integers(1, 900))
@settings(deadline=None)
def test_a_restriction_that_never_holds_changes_nothing(used: Usage, step: int) -> None:
    """A tariff without restrictions is counted period by period, one with them in pieces: the same comes out."""
    plain = element(*(component(kind, "1.23", "25", step) for kind in Dimension))
    never = element(component("ENERGY", "9"), start_date=date(2099, 1, 1), min_kwh=Decimal(5), min_duration_s=999)
    one, other = tariff(plain, idle_grace_s=600), tariff(never, plain, idle_grace_s=600)
    assert price(one, used) == price(other, used)


@given(usages())
@settings(deadline=None)
def test_no_energy_is_lost_in_the_cutting(used: Usage) -> None:
    case = tariff(
        element(component("ENERGY", "1"), start_time=time(6), end_time=time(22), min_kwh=Decimal("7.777")),
        element(component("ENERGY", "2"), max_duration_s=5_000),
        element(component("ENERGY", "3")),
        time_zone="Europe/Oslo",
    )
    billed = sum(line.quantity for line in price(case, used).lines)
    assert billed * 1000 == used.energy_wh


@given(st.integers(0, 100_000), st.integers(0, 100_000), amounts, rates)
@settings(deadline=None)
def test_more_energy_never_costs_less(one_wh: int, other_wh: int, per_kwh: Decimal, rate: Decimal | None) -> None:
    case = simple_tariff("t", "NOK", per_kwh=per_kwh, per_session=Decimal(1), vat_percent=rate, hold_minor=1)
    less, more = sorted((one_wh, other_wh))
    assert price(case, usage(period(0, 60, less))).total_minor <= price(case, usage(period(0, 60, more))).total_minor


def test_norway_by_hand() -> None:
    """21.437 kWh at 5.00, 30 min at 0.50 after the grace, 3.00 to start: 125.185, rounded once."""
    cost = price(NORWAY, usage(period(0, 45, 21_437), period(45, 40, parked=True)))
    assert cost.total_minor == 12_519
    assert cost.vat == (VatLine(Decimal(25), 10_015, 2_504, 12_519),)
