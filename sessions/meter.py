"""What a station's registers prove. Pure.

Stations mislabel units, repeat the register per phase, send old samples again, and have wrong clocks. The rules, in one
sentence: *never more than physics allows, a falling register is not believed, what cannot be proven is flagged and not
charged.* (edge cases 28–34 of the money rules)

- A reading is **proven** when, taken as its unit says (default Wh), it lies between the last proven register and what
  the EVSE could have delivered since. Only proven readings are billed.
- A reading that is impossible as labelled but possible in the other unit (kWh ↔ Wh) is a **guess**: kept, so that a
  later proven reading can confirm it, never billed; if the session ends on a guess, it is flagged for review.
- Per-phase registers are never added up: some stations repeat the whole on each phase. The largest is the proven part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from billing.usage import Period
from sessions.facts import ChargingState, Sample

REGISTER = "Energy.Active.Import.Register"

#: Slack of the upper bound, in seconds at full power: samples are stamped up to this much late or early.
STAMP_SLACK_S = 10
#: Registers are rounded by stations (meterStop is whole Wh): this much below the last one is not a fall.
ROUNDING_WH = Decimal(1)
#: A station's clock is believed from here …
EARLIEST_CLOCK_YEAR = 2020
#: … and up to this far ahead of ours.
CLOCK_AHEAD = timedelta(minutes=5)

_KILO = Decimal(1000)
_QUARTER_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch since the last reading in which the car did, or did not, ask for power."""

    start: datetime
    parked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A transaction's metering so far. Registers in Decimal Wh; times aware UTC, judged (see `judge_time`)."""

    begin_wh: Decimal | None = None
    begin_at: datetime | None = None
    begin_seen_at: datetime | None = None  # when we heard of it
    last_wh: Decimal | None = None  # last proven register
    last_at: datetime | None = None  # its time
    last_seen_at: datetime | None = None  # when we got it
    guess_wh: Decimal | None = None  # unproven register beyond `last_wh`
    power_w: int = 0  # average between the last two proven readings
    clock_trusted: bool = True
    segments: tuple[Segment, ...] = ()  # since last_at
    periods: tuple[Period, ...] = ()
    billed_wh: int = 0  # Σ periods.energy_wh
    flags: tuple[str, ...] = ()  # reasons for review
    findings: tuple[str, ...] = ()  # oddities that cost nobody anything
    signed: tuple[str, ...] = ()

    @property
    def energy_wh(self) -> int:
        """Proven energy, whole Wh, rounded down: the driver gets the benefit of the doubt."""
        if self.begin_wh is None or self.last_wh is None:
            return 0
        return max(0, int(self.last_wh - self.begin_wh))

    @property
    def unproven(self) -> bool:
        """Whether the newest register is only a guess."""
        return self.guess_wh is not None


def judge_time(station_time: datetime, seen_at: datetime) -> datetime | None:
    """Return ``station_time`` if a sane clock could have said it at ``seen_at``, else None (1970, the future)."""
    if station_time.year < EARLIEST_CLOCK_YEAR or station_time > seen_at + CLOCK_AHEAD:
        return None
    return station_time


def begin(
    meter: Meter, *, register_wh: Decimal | None, station_time: datetime, seen_at: datetime, parked: bool
) -> Meter:
    """Open the transaction's metering at its start event. ``register_wh``: the start register where it is known."""
    judged = judge_time(station_time, seen_at)
    at = judged or seen_at
    if meter.begin_at is not None:
        return meter
    return replace(
        meter,
        begin_at=at,
        begin_seen_at=seen_at,
        begin_wh=register_wh,
        last_wh=register_wh,
        last_at=at,
        last_seen_at=seen_at,
        clock_trusted=judged is not None,
        segments=(Segment(start=at, parked=parked),),
        findings=meter.findings if judged else _add(meter.findings, "clock-wrong"),
    )


def state_changed(meter: Meter, state: ChargingState, *, station_time: datetime, seen_at: datetime) -> Meter:
    """The car began or ceased to ask for power. Only SuspendedEV is parked: never bill the station's own pause."""
    if meter.begin_at is None:
        return meter
    parked = state is ChargingState.SUSPENDED_EV
    at = judge_time(station_time, seen_at) or seen_at
    floor = meter.segments[-1].start if meter.segments else meter.begin_at
    if meter.segments and meter.segments[-1].parked == parked:
        return meter
    return replace(meter, segments=(*meter.segments, Segment(start=max(at, floor), parked=parked)))


def read(
    meter: Meter, samples: Iterable[Sample], *, seen_at: datetime, max_power_w: int, first_is_begin: bool = False
) -> Meter:
    """Take readings in. ``first_is_begin``: these came with the start event, so the first register may open it."""
    ordered = sorted(samples, key=lambda s: s.station_time)
    for stamp, group in groupby(ordered, key=lambda s: s.station_time):
        entries = list(group)
        signed = tuple(s.signed for s in entries if s.signed)
        if signed:
            meter = replace(meter, signed=tuple(dict.fromkeys((*meter.signed, *signed))))
        reading = _register_of(entries)
        if reading is None:
            continue
        sample, per_phase = reading
        if per_phase:
            meter = replace(meter, findings=_add(meter.findings, "register-per-phase"))
        meter = _take(meter, sample, stamp, seen_at, max_power_w, first_is_begin)
    return meter


def end(
    meter: Meter, *, register_wh: Decimal | None, station_time: datetime, seen_at: datetime, max_power_w: int
) -> Meter:
    """Close the metering at the end event; ``register_wh``: 1.6 meterStop. Flags what the end leaves unproven."""
    if register_wh is not None:
        stop = Sample(station_time=station_time, value=register_wh, unit="Wh", context="Transaction.End")
        meter = _take(meter, stop, station_time, seen_at, max_power_w, first_is_begin=False)
    at = judge_time(station_time, seen_at)
    if at is None:
        meter = replace(meter, clock_trusted=False, findings=_add(meter.findings, "clock-wrong"))
    elif meter.last_at is not None and at > meter.last_at:
        meter = _advance(meter, meter.last_wh, at, seen_at)
    if meter.unproven:
        meter = replace(meter, flags=_add(meter.flags, "energy-unproven"))
    if meter.begin_wh is None:
        meter = replace(meter, flags=_add(meter.flags, "no-start-register"))
    return meter


def usage(meter: Meter) -> tuple[Period, ...]:
    """The periods to price. Without a clock to trust, one instant with the energy: time fees are waived."""
    if meter.clock_trusted:
        return meter.periods
    if meter.begin_at is None:
        return ()
    return (Period(start=meter.begin_at, end=meter.begin_at, energy_wh=meter.energy_wh, parked=False),)


def _register_of(entries: list[Sample]) -> tuple[Sample, bool] | None:
    """Choose the register among one instant's samples: unphased before per-phase, outlet before elsewhere."""
    registers = [
        s
        for s in entries
        if s.measurand == REGISTER and s.value is not None and s.location in {None, "Outlet", "Cable"}
    ]
    if not registers:
        return None
    whole = [s for s in registers if s.phase is None]
    if whole:
        return whole[-1], False
    return max(registers, key=_as_labelled), True


def register_of(samples: Iterable[Sample]) -> Decimal | None:
    """The earliest register among ``samples``, Wh as labelled; None if there is none."""
    found = _registers(samples)
    return _as_labelled(found[0]) if found else None


def last_register(samples: Iterable[Sample]) -> tuple[Sample, Decimal] | None:
    """The latest register among ``samples``, and its Wh as labelled; None if there is none."""
    found = _registers(samples)
    return (found[-1], _as_labelled(found[-1])) if found else None


def _registers(samples: Iterable[Sample]) -> list[Sample]:
    ordered = sorted(samples, key=lambda s: s.station_time)
    instants = (_register_of(list(group)) for _, group in groupby(ordered, key=lambda s: s.station_time))
    return [reading[0] for reading in instants if reading is not None]


def _as_labelled(sample: Sample) -> Decimal:
    value = (sample.value or Decimal(0)) * Decimal(10) ** sample.multiplier
    return value * _KILO if sample.unit == "kWh" else value


def _take(
    meter: Meter, sample: Sample, stamp: datetime, seen_at: datetime, max_power_w: int, first_is_begin: bool
) -> Meter:
    value = _as_labelled(sample)
    if not value.is_finite() or value < 0:
        return replace(meter, flags=_add(meter.flags, "register-negative"))
    judged = judge_time(stamp, seen_at)
    at = judged or seen_at
    if judged is None:
        meter = replace(meter, clock_trusted=False, findings=_add(meter.findings, "clock-wrong"))
    if meter.begin_wh is None or meter.last_wh is None or meter.last_at is None:
        if meter.begin_at is None and not first_is_begin:
            return meter  # a reading outside any transaction proves nothing here
        return replace(
            meter,
            begin_wh=value,
            last_wh=value,
            begin_at=meter.begin_at or at,
            begin_seen_at=meter.begin_seen_at or seen_at,
            last_at=max(meter.last_at or at, meter.begin_at or at),
            last_seen_at=seen_at,
            segments=meter.segments or (Segment(start=at, parked=False),),
        )
    if judged is not None and at < meter.last_at and value <= meter.last_wh:
        return meter  # an old sample again (replay, or the whole series inside the end event)
    ceiling = _ceiling(meter, at, judged is not None, seen_at, max_power_w)
    floor = meter.last_wh - ROUNDING_WH
    if floor <= value <= ceiling:
        begin_wh, last_at = meter.begin_wh, meter.last_at
        return _advance(replace(meter, guess_wh=None), max(value, begin_wh), max(at, last_at), seen_at)
    # Impossible as labelled. Possible in the other unit?
    other = value / _KILO if sample.unit == "kWh" else value * _KILO
    if floor <= other <= ceiling:
        guess = max(other, meter.guess_wh or other)
        return replace(meter, guess_wh=guess, findings=_add(meter.findings, "unit-mislabelled"))
    if value < floor:
        return replace(meter, flags=_add(meter.flags, "register-fell"))
    return replace(meter, flags=_add(meter.flags, "register-impossible"))


def _ceiling(meter: Meter, at: datetime, clock_sane: bool, seen_at: datetime, max_power_w: int) -> Decimal:
    """The most the register can show: last proven + power × time, the longer of their clock and ours.

    Nor more than that since the begin: where one reading counts by our clock and the next by theirs, the same seconds
    would count twice.
    """
    assert meter.last_wh is not None and meter.last_at is not None and meter.last_seen_at is not None  # noqa: S101, PT018
    believed = clock_sane and meter.clock_trusted

    def delivered(since: datetime, seen_since: datetime) -> Decimal:
        ours = (seen_at - seen_since).total_seconds()
        theirs = (at - since).total_seconds() if believed else 0.0
        return Decimal(max_power_w) * Decimal(str(max(ours, theirs, 0.0) + STAMP_SLACK_S)) / Decimal(3600)

    ceiling = meter.last_wh + delivered(meter.last_at, meter.last_seen_at)
    if meter.begin_wh is None or meter.begin_at is None or meter.begin_seen_at is None:
        return ceiling
    return min(ceiling, meter.begin_wh + delivered(meter.begin_at, meter.begin_seen_at))


def _advance(meter: Meter, register_wh: Decimal | None, at: datetime, seen_at: datetime) -> Meter:
    """Move to a proven register at ``at``: what was delivered since goes to the stretches in which the car asked."""
    assert meter.last_at is not None  # noqa: S101
    total = meter.billed_wh
    if register_wh is not None and meter.begin_wh is not None:
        total = max(0, int(register_wh - meter.begin_wh))
    gained = total - meter.billed_wh
    pieces = _pieces(meter, at)
    asking = [n for n, piece in enumerate(pieces) if not piece.parked] or list(range(len(pieces)))
    weights = {n: max((pieces[n].end - pieces[n].start).total_seconds(), 0.0) for n in asking}
    whole = sum(weights.values())
    placed = 0
    periods = meter.periods
    for n, piece in enumerate(pieces):
        share = 0
        if n in weights and gained > 0:
            last = n == asking[-1]
            share = gained - placed if last else int(gained * Decimal(str(weights[n])) / Decimal(str(whole or 1.0)))
            placed += share
        periods = _append(periods, replace(piece, energy_wh=share))
    if gained < 0:
        periods = _take_back(periods, -gained)
    seconds = (at - meter.last_at).total_seconds()
    power = int(Decimal(max(gained, 0)) * 3600 / Decimal(str(seconds))) if seconds > 0 else meter.power_w
    parked = meter.segments[-1].parked if meter.segments else False
    return replace(
        meter,
        last_wh=register_wh,
        last_at=at,
        last_seen_at=seen_at,
        power_w=power,
        segments=(Segment(start=at, parked=parked),),
        periods=periods,
        billed_wh=total,
    )


def _pieces(meter: Meter, at: datetime) -> list[Period]:
    """The stretches between the last reading and ``at``."""
    assert meter.last_at is not None  # noqa: S101
    segments = meter.segments or (Segment(start=meter.last_at, parked=False),)
    pieces = []
    for n, segment in enumerate(segments):
        start = max(segment.start, meter.last_at)
        stop = segments[n + 1].start if n + 1 < len(segments) else at
        start, stop = min(start, at), min(stop, at)
        if stop > start or n + 1 == len(segments):
            pieces.append(Period(start=start, end=max(start, stop), energy_wh=0, parked=segment.parked))
    return pieces


def _append(periods: tuple[Period, ...], new: Period) -> tuple[Period, ...]:
    """Add a period; merge with the last where both lie in one quarter of an hour (tariffs change on those at most)."""
    if new.start == new.end and new.energy_wh == 0:
        return periods
    if periods:
        last = periods[-1]
        same_quarter = int(last.start.timestamp()) // _QUARTER_S == int(new.start.timestamp()) // _QUARTER_S
        if last.parked == new.parked and last.end == new.start and same_quarter:
            return (*periods[:-1], replace(last, end=new.end, energy_wh=last.energy_wh + new.energy_wh))
    return (*periods, new)


def _take_back(periods: tuple[Period, ...], surplus_wh: int) -> tuple[Period, ...]:
    """A final register may be rounded below the last sample: take the difference out of the newest periods."""
    kept = list(periods)
    for n in range(len(kept) - 1, -1, -1):
        cut = min(surplus_wh, kept[n].energy_wh)
        kept[n] = replace(kept[n], energy_wh=kept[n].energy_wh - cut)
        surplus_wh -= cut
        if not surplus_wh:
            break
    return tuple(kept)


def _add(reasons: tuple[str, ...], reason: str) -> tuple[str, ...]:
    return reasons if reason in reasons else (*reasons, reason)
