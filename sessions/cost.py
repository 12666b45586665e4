"""What a session costs: so far, in the end, and at worst by the next sample. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from billing.cost import Cost
from billing.pricing import price
from billing.usage import Period, Usage
from sessions import meter
from sessions.session import Origin, Policy, Session

#: Ends that the station, not the driver or the car, brought about (2.0.1 ReasonEnumType).
STATION_FAULTS = frozenset(
    {"EmergencyStop", "GroundFault", "ImmediateReset", "OvercurrentFault", "PowerLoss", "PowerQuality", "Reboot"}
)


def cost_so_far(session: Session) -> Cost | None:
    """The cost of what is proven; None where there is no tariff."""
    if session.tariff is None:
        return None
    return price(session.tariff, Usage(periods=_billable(session)))


def cost_at(session: Session, now: datetime) -> Cost | None:
    """The cost of a running charge at ``now``: what is proven, and the time since. None where there is no tariff.

    To be shown, not to be charged: the next register may tell the time since otherwise.
    """
    m = session.meter
    periods = _billable(session)
    if session.tariff is None or not periods or not m.clock_trusted or m.last_at is None or now <= m.last_at:
        return cost_so_far(session)
    parked = m.segments[-1].parked if m.segments else False
    since = Period(start=m.last_at, end=now, energy_wh=0, parked=parked)
    return price(session.tariff, Usage(periods=(*periods, since)))


def payable_minor(session: Session, cost: Cost) -> int:
    """What the driver pays of a cost: nothing where the charge is free, never more than the hold."""
    if session.unpaid:
        return 0
    return min(cost.total_minor, session.held_minor) if session.held_minor else cost.total_minor


def _billable(s: Session) -> tuple[Period, ...]:
    """The periods that the driver has to pay for."""
    if s.unpaid or s.origin is Origin.UNAUTHORISED:
        return ()
    periods = meter.usage(s.meter)
    if not s.meter.energy_wh:
        if s.end_reason in STATION_FAULTS:  # EC 10
            return ()
        return tuple(_instant(period) for period in periods[:1])  # EC 27: at most the disclosed fee per session
    if s.end_reason in STATION_FAULTS:  # EC 26: what was delivered, no idle fee
        return tuple(_instant(p) if p.parked else p for p in periods if not p.parked or p.energy_wh)
    return periods


def _instant(period: Period) -> Period:
    return replace(period, end=period.start)


def projected_minor(session: Session, policy: Policy) -> int:
    """The cost at the next sample in the worst case: full power for one interval more, incl. VAT, minor units.

    Where the station itself computes the cost and ends at the hold (`sessions.limits`), nothing need be looked ahead.
    """
    m = session.meter
    if session.tariff is None or m.last_at is None:
        return 0
    if session.limit_confirmed and session.cost_at_station:
        return price(session.tariff, Usage(periods=m.periods)).total_minor
    # Without a configured maximum the car's own power is the best bound there is, with a quarter on top.
    power_w = session.max_power_w or min(policy.max_power_w, m.power_w * 5 // 4)
    more_wh = power_w * policy.sample_interval_s // 3600
    start = m.last_at
    stop = start + timedelta(seconds=policy.sample_interval_s)
    parked = m.segments[-1].parked if m.segments else False
    ahead = Period(start=start, end=stop, energy_wh=more_wh, parked=parked)
    return price(session.tariff, Usage(periods=(*m.periods, ahead))).total_minor
