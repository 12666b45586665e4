"""What keeps a charge within its hold besides our own stop: the station's limits, and what it says of them. Pure.

A bounded TxProfile guards while the station is offline, on every version. On 2.1 the station can end a transaction at
a cost by itself (E16). Whether it can is known by its echo of the limit; and it can do so to the unit only where it
computes the cost itself. Elsewhere our answers tell it the cost, and our own stop, which looks ahead, comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from billing.money import to_minor
from billing.pricing import affordable_s
from billing.usage import Usage
from sessions import facts, meter
from sessions.codec import register
from sessions.commands import LimitCharging
from sessions.tables import RUNNING
from sessions.work import Work

#: 2.1 TriggerReasonEnumType: the transaction goes on after a power cut.
RESUMED = "TxResumed"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EvChargingNeedsTold(facts.StationFact):
    """A car said what it wants (2.0.1 K15). ``max_power_w``: what it can take; ``max_periods``: of a schedule.

    ``needs``: 2.0.1 ChargingNeedsType.
    """

    evse_id: int
    max_power_w: int | None
    max_periods: int | None
    departs_at: datetime | None
    needs: dict[str, Any]


def offline_limit(w: Work) -> tuple[int | None, int | None]:
    """Watts, and for how many more seconds the hold covers them; (None, None) where nothing can or need be bounded."""
    power_w = w.s.place.max_power_w if w.s.place else None
    limit_s = _affordable_s(w, power_w) if power_w else None
    return (power_w, limit_s) if limit_s else (None, None)


def _affordable_s(w: Work, power_w: int) -> int | None:
    """For how many more seconds the hold covers ``power_w``; None where nothing can or need be bounded."""
    s = w.s
    if not (w.policy.offline_limit and s.held_minor and s.tariff is not None):
        return None
    used = Usage(periods=meter.usage(s.meter) if s.meter.periods else ())
    return affordable_s(s.tariff, s.held_minor, power_w, w.now, used)


def needs_told(w: Work, fact: EvChargingNeedsTold) -> None:
    """2.0.1 K15, K17: a car is given what the EVSE and it can do, and no more than the hold covers."""
    bounds = [bound for bound in (w.s.max_power_w, fact.max_power_w) if bound]
    limit_w = min(bounds, default=w.policy.max_power_w)
    one_period = fact.max_periods is not None and fact.max_periods < 2  # our own stop remains
    _limit(w, fact, limit_w, None if one_period else _affordable_s(w, limit_w))


def told(w: Work, fact: facts.TransactionFact) -> None:
    """Learn from a transaction's event whether the station keeps to the hold by itself."""
    s = w.s
    if not s.held_minor:
        return
    confirmed = fact.limit_cost is not None and to_minor(fact.limit_cost, s.currency) == s.held_minor
    if fact.trigger == RESUMED or fact.limit_cost is not None:
        w.set(limit_confirmed=confirmed)
    if fact.cost_at_station:
        w.set(cost_at_station=True)
    if fact.trigger == RESUMED and s.charging in RUNNING:
        _limit_again(w, fact)


def _limit_again(w: Work, fact: facts.TransactionFact) -> None:
    """The station forgot the TxProfile with its power."""
    limit_w, limit_s = offline_limit(w)
    if limit_w is not None:
        _limit(w, fact, limit_w, limit_s)


def _limit(w: Work, fact: facts.Fact, limit_w: int, limit_s: int | None) -> None:
    s = w.s
    if s.place is None or s.transaction_id is None:
        return
    w.commands.append(
        LimitCharging(
            key=f"{s.session_id}:limit:{fact.key}"[:200],
            session_id=s.session_id,
            station_id=s.place.station_id,
            evse_id=s.place.evse_id,
            transaction_id=s.transaction_id,
            # The number of its profile; where we did not start it, one that is always the same.
            remote_start_id=s.remote_start_id or crc32(s.session_id.encode()) & 0x7FFF_FFFF,
            limit_w=limit_w,
            limit_s=limit_s,
        )
    )
