"""Pricing: what a usage costs under a tariff, by the rules of OCPI 2.3.0 (module Tariffs).

A period is cut wherever a restriction may begin or end to hold: at an amount of energy, at a duration, at a time of day
(by the location's wall clock, daylight saving included). Energy is spread evenly over its period; a cut falls on a
whole Wh and a whole microsecond, and the later part keeps the remainder. For each piece the first element that matches
and has a price in the dimension wins; a dimension without a match is free.

Quantities are integers and amounts fractions until the end, where they are rounded once per VAT rate, half up. With
the tax included, the gross amount is rounded and the VAT taken out of it; with the tax excluded, the net amount is
rounded and the VAT computed on the rounded figure, so that a receipt can be checked by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise

from billing.cost import Cost, CostLine, Unit, VatLine, displayed_time_price, no_cost, vat_contained, vat_on_top
from billing.money import apportion, exponent, round_half_up
from billing.price_limits import limited
from billing.tariff import DAYS, Dimension, PriceComponent, Restrictions, Tariff
from billing.usage import Period, Usage
from billing.wall_clock import wall_clock_borders

AFFORDABLE_LIMIT_S = 7 * 24 * 3600  # `affordable_s` looks no further

_PRINTED = (Dimension.ENERGY, Dimension.TIME, Dimension.PARKING_TIME, Dimension.FLAT)  # AFIR art. 5: kWh first
_QUANTITY = Decimal("0.0001")  # four decimals of a quantity are printed
_MIDNIGHT = time(0, 0)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_HOUR_US = 3600 * _SECOND_US
_BASE: dict[Dimension, int] = {  # how many of what is counted make one of what is priced
    Dimension.ENERGY: 1000,
    Dimension.TIME: _HOUR_US,
    Dimension.PARKING_TIME: _HOUR_US,
    Dimension.FLAT: 1,
}

_Line = tuple[Dimension, Decimal, Decimal | None]  # dimension, price as the tariff has it, VAT rate
_Winners = dict[Dimension, PriceComponent]
_Cut = tuple[int, int]  # a place within a period: µs and Wh since its start


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a period within which no restriction begins or ends to hold; energy in Wh, times in µs."""

    period: Period
    local: datetime  # the wall clock at its beginning
    elapsed_us: int  # since the session's start
    energy_before_wh: int  # of the session
    duration_us: int
    energy_wh: int

    @property
    def power_kw(self) -> Fraction | None:
        """The period's average; None where nobody knows it."""
        duration_us = (self.period.end - self.period.start) // _MICROSECOND
        if self.period.interpolated or not duration_us:
            return None
        return Fraction(self.period.energy_wh * _HOUR_US, 1000 * duration_us)


def _is_within(low: Decimal | int | None, value: Fraction | int | None, high: Decimal | int | None) -> bool:
    """Whether low ≤ value < high. A bound of None bounds nothing; an unknown value is within no bounds."""
    if low is None and high is None:
        return True
    return value is not None and (low is None or Fraction(low) <= value) and (high is None or value < Fraction(high))


def _clock_matches(restrictions: Restrictions, clock: time) -> bool:
    start = restrictions.start_time or _MIDNIGHT
    end = restrictions.end_time
    if end is None or end == _MIDNIGHT:  # 00:00 ends the day
        return clock >= start
    if end < start:  # wraps past midnight
        return clock >= start or clock < end
    return start <= clock < end


def _power_matches(restrictions: Restrictions, piece: _Piece) -> bool:
    if restrictions.min_power_kw is None and restrictions.max_power_kw is None:
        return True  # the power is not computed for nothing
    return _is_within(restrictions.min_power_kw, piece.power_kw, restrictions.max_power_kw)


def _matches(restrictions: Restrictions, piece: _Piece) -> bool:
    """Whether every restriction holds at the beginning of the piece, and so throughout it."""
    if restrictions.none:
        return True
    day = piece.local.date()
    return (
        (restrictions.start_date is None or day >= restrictions.start_date)
        and (restrictions.end_date is None or day < restrictions.end_date)
        and (not restrictions.day_of_week or DAYS[day.weekday()] in restrictions.day_of_week)
        and _clock_matches(restrictions, piece.local.time())
        and _is_within(restrictions.min_kwh, Fraction(piece.energy_before_wh, 1000), restrictions.max_kwh)
        and _is_within(restrictions.min_duration_s, Fraction(piece.elapsed_us, _SECOND_US), restrictions.max_duration_s)
        and _power_matches(restrictions, piece)
    )


def _borders(tariff: Tariff) -> tuple[frozenset[int], frozenset[int], frozenset[time]]:
    """Where restrictions begin and end: session energy in Wh, session durations in µs, times of day."""
    energies, durations, clocks = set(), set(), set()
    for restrictions in (element.restrictions for element in tariff.elements):
        energies |= {int(kwh * 1000) for kwh in (restrictions.min_kwh, restrictions.max_kwh) if kwh is not None}
        spans = (restrictions.min_duration_s, restrictions.max_duration_s)
        durations |= {span * _SECOND_US for span in spans if span is not None}
        times = {clock for clock in (restrictions.start_time, restrictions.end_time) if clock is not None}
        if times or restrictions.start_date or restrictions.end_date or restrictions.day_of_week:
            clocks |= times | {_MIDNIGHT}
    return frozenset(energies), frozenset(durations), frozenset(clocks)


def _cuts(period: Period, moments: Iterable[int], energies: Iterable[int]) -> list[_Cut]:
    """All cuts in order, the period's end last: each border with its share of the other quantity, rounded down."""
    duration_us = (period.end - period.start) // _MICROSECOND
    by_time = [(moment, period.energy_wh * moment // duration_us) for moment in moments]
    by_energy = [(duration_us * energy // period.energy_wh, energy) for energy in energies]
    return [*sorted(by_time + by_energy), (duration_us, period.energy_wh)]


def _winners(tariff: Tariff, piece: _Piece) -> _Winners:
    """Per dimension, the component of the first element that matches."""
    winners: _Winners = {}
    for element in tariff.elements:
        if _matches(element.restrictions, piece):
            for component in element.price_components:
                winners.setdefault(component.type, component)
    return winners


def _constant_winners(tariff: Tariff) -> _Winners | None:
    """The winners at all times, for a tariff without restrictions; None for the others."""
    if any(not element.restrictions.none for element in tariff.elements):
        return None
    return {component.type: component for component in reversed(tuple(tariff.components()))}


@dataclass(slots=True)
class _Tally:
    """The quantities of a session so far, by printed line; it grows period by period."""

    tariff: Tariff
    constant: _Winners | None
    borders: tuple[frozenset[int], frozenset[int], frozenset[time]]
    quantities: dict[_Line, int] = field(default_factory=dict)  # Wh, µs, sessions
    last: dict[Dimension, PriceComponent] = field(default_factory=dict)  # whose step size counts
    started_at: datetime | None = None
    energy_wh: int = 0
    parked_us: int = 0

    def copy(self) -> _Tally:
        return replace(self, quantities=dict(self.quantities), last=dict(self.last))

    def add(self, period: Period) -> None:
        """Count one more period. Periods come in order of time (`Usage` sees to that)."""
        if self.started_at is None:
            self.started_at = period.start
        if self.constant is not None:  # nothing is restricted: the whole period is one piece
            duration_us = (period.end - period.start) // _MICROSECOND
            self._add_piece(self.constant, duration_us, period.energy_wh, period.parked)
        else:
            self._add_in_pieces(period)
        self.energy_wh += period.energy_wh

    def _add_in_pieces(self, period: Period) -> None:
        moments, energies = self._borders_within(period)
        if period.interpolated:
            self._add_cheapest_energy(period, [0, *moments], [0, *energies, period.energy_wh])
        for begin, end in pairwise([(0, 0), *_cuts(period, moments, energies)]):
            piece = self._piece(period, begin, end)
            energy_wh = 0 if period.interpolated else piece.energy_wh  # that was counted above
            self._add_piece(_winners(self.tariff, piece), piece.duration_us, energy_wh, period.parked)

    def _elapsed_us(self, moment: datetime) -> int:
        assert self.started_at is not None  # noqa: S101 — set by `add`
        return (moment - self.started_at) // _MICROSECOND

    def _borders_within(self, period: Period) -> tuple[list[int], list[int]]:
        """The borders strictly within a period: µs since its start, and Wh since its start."""
        energies, durations, clocks = self.borders
        duration_us = (period.end - period.start) // _MICROSECOND
        before_us = self._elapsed_us(period.start)
        moments = {span - before_us for span in durations if 0 < span - before_us < duration_us}
        if clocks:
            instants = wall_clock_borders(self.tariff.zone, clocks, period.start, period.end)
            moments |= {(instant - period.start) // _MICROSECOND for instant in instants}
        amounts = {border - self.energy_wh for border in energies if 0 < border - self.energy_wh < period.energy_wh}
        return sorted(moments), sorted(amounts)

    def _piece(self, period: Period, begin: _Cut, end: _Cut) -> _Piece:
        moment = period.start + begin[0] * _MICROSECOND
        return _Piece(
            period=period,
            local=moment.astimezone(self.tariff.zone),
            elapsed_us=self._elapsed_us(moment),
            energy_before_wh=self.energy_wh + begin[1],
            duration_us=end[0] - begin[0],
            energy_wh=end[1] - begin[1],
        )

    def _add_piece(self, winners: _Winners, duration_us: int, energy_wh: int, parked: bool) -> None:
        if Dimension.FLAT not in self.last:  # once per session
            self._count(winners.get(Dimension.FLAT), 1)
        self._count(winners.get(Dimension.ENERGY), energy_wh)
        if parked:
            grace_us = max(0, self.tariff.idle_grace_s * _SECOND_US - self.parked_us)
            self._count(winners.get(Dimension.PARKING_TIME), max(0, duration_us - grace_us))
            self.parked_us += duration_us
        else:
            self._count(winners.get(Dimension.TIME), duration_us)

    def _add_cheapest_energy(self, period: Period, moments: Iterable[int], energies: Iterable[int]) -> None:
        """Nobody knows when the energy flowed: each band of it at the cheapest rate of the whole period."""
        moments = tuple(moments)
        for before_wh, after_wh in pairwise(energies):
            choices = [
                _winners(self.tariff, self._piece(period, (moment, before_wh), (moment, after_wh))).get(
                    Dimension.ENERGY
                )
                for moment in moments
            ]
            cheapest = min(choices, key=lambda choice: self.tariff.gross_price(choice) if choice else Decimal(0))
            self._count(cheapest, after_wh - before_wh)

    def _count(self, component: PriceComponent | None, quantity: int) -> None:
        if component is None or quantity == 0:
            return
        line = (component.type, component.price, component.vat_percent)
        self.quantities[line] = self.quantities.get(line, 0) + quantity
        self.last[component.type] = component

    def _stepped(self) -> dict[_Line, int]:
        """The quantities with step sizes applied: once to the energy, once to the time, at the last component's step.

        Time is not rounded up when parking follows; then the parking time is.
        """
        quantities = dict(self.quantities)
        timed = Dimension.PARKING_TIME if Dimension.PARKING_TIME in self.last else Dimension.TIME
        for dimension, unit in ((Dimension.ENERGY, 1), (timed, _SECOND_US)):
            component = self.last.get(dimension)
            if component is not None:
                total = sum(quantity for line, quantity in quantities.items() if line[0] is dimension)
                missing = -total % (component.step_size * unit)
                quantities[dimension, component.price, component.vat_percent] += missing
        return quantities

    def cost(self) -> Cost:
        """The cost of what was counted so far."""
        tariff = self.tariff
        if self.started_at is None:
            return no_cost(tariff.currency)
        quantities = self._stepped()
        per_major = 10 ** exponent(tariff.currency)
        amounts = {
            line: Fraction(quantity, _BASE[line[0]]) * Fraction(line[1]) * per_major
            for line, quantity in quantities.items()
        }
        ordered = sorted(quantities, key=lambda line: _PRINTED.index(line[0]))
        rates = list(dict.fromkeys(line[2] for line in ordered))
        lines: dict[_Line, CostLine] = {}
        vat = []
        for rate in rates:
            group = [line for line in ordered if line[2] == rate]
            vat_line = _vat_line(tariff, rate, sum((amounts[line] for line in group), Fraction(0)))
            vat.append(vat_line)
            shares = apportion(vat_line.gross_minor, [amounts[line] for line in group])
            for line, share in zip(group, shares, strict=True):
                lines[line] = _cost_line(tariff, line, quantities[line], share)
        return limited(tariff, [lines[line] for line in ordered], vat)


def _vat_line(tariff: Tariff, rate: Decimal | None, amount: Fraction) -> VatLine:
    """The one rounding per VAT rate."""
    if tariff.tax_included == "NO":
        return vat_on_top(round_half_up(amount), rate)
    return vat_contained(round_half_up(amount), rate)


def _cost_line(tariff: Tariff, line: _Line, quantity: int, amount_minor: int) -> CostLine:
    dimension, price, rate = line
    gross = tariff.gross_price(PriceComponent(dimension, price, rate))
    unit: Unit = "session"
    base = 1
    if dimension is Dimension.ENERGY:
        unit, base = "kWh", 1000
    elif dimension is not Dimension.FLAT:
        gross, unit = displayed_time_price(gross)
        base = _MINUTE_US if unit == "min" else _HOUR_US
    shown = (Decimal(quantity) / base).quantize(_QUANTITY, ROUND_HALF_UP)
    return CostLine(dimension, shown, unit, gross, rate, amount_minor)


def _tally(tariff: Tariff, usage: Usage) -> _Tally:
    tally = _Tally(tariff, _constant_winners(tariff), _borders(tariff))
    for period in usage.periods:
        tally.add(period)
    return tally


def price(tariff: Tariff, usage: Usage) -> Cost:
    """What the usage costs under the tariff, VAT included, after min_price and max_price; not capped at the hold.

    A usage without periods costs nothing, not even the flat fee. A free tariff gives lines of zero, not none.
    """
    return _tally(tariff, usage).cost()


def affordable_s(
    tariff: Tariff, hold_minor: int, power_w: int, start: datetime, used: Usage, *, parked: bool = False
) -> int | None:
    """For how many whole seconds more the hold covers the cost, at a steady ``power_w`` from ``start`` (aware) on.

    None: longer than `AFFORDABLE_LIMIT_S` (a free tariff, a capped price). 0: the hold is used up. A ``start`` before
    the end of what was used (clocks differ) counts from that end. ``parked``: the time is billed as parking time.
    """
    tally = _tally(tariff, used)
    start = start.astimezone(UTC)
    if used.periods:
        start = max(start, used.periods[-1].end)

    def is_covered(seconds: int) -> bool:
        extended = tally.copy()
        extended.add(Period(start, start + timedelta(seconds=seconds), power_w * seconds // 3600, parked))
        return extended.cost().total_minor <= hold_minor

    if is_covered(AFFORDABLE_LIMIT_S):
        return None
    covered, exceeded = 0, AFFORDABLE_LIMIT_S
    while exceeded - covered > 1:
        middle = (covered + exceeded) // 2
        if is_covered(middle):
            covered = middle
        else:
            exceeded = middle
    return covered
