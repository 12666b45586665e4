"""What keeps a charge within its hold besides our own stop: the station's limits, and what it says of them. Pure.

A bounded TxProfile guards while the station is offline, on every version. On 2.1 the station can end a transaction at
a cost by itself (E16). Whether it can is known by its echo of the limit; and it can do so to the unit only where it
computes the cost itself. Elsewhere our answers tell it the cost, and our own stop, which looks ahead, comes first.
"""

from __future__ import annotations

from billing.money import to_minor
from billing.pricing import affordable_s
from billing.usage import Usage
from sessions import facts, meter
from sessions.commands import LimitCharging
from sessions.tables import RUNNING
from sessions.work import Work

#: 2.1 TriggerReasonEnumType: the transaction goes on after a power cut.
RESUMED = "TxResumed"


def offline_limit(w: Work) -> tuple[int | None, int | None]:
    """Watts, and for how many more seconds the hold covers them; (None, None) where nothing can or need be bounded."""
    s = w.s
    if not (w.policy.offline_limit and s.place and s.place.max_power_w and s.held_minor and s.tariff is not None):
        return None, None
    used = Usage(periods=meter.usage(s.meter) if s.meter.periods else ())
    limit_s = affordable_s(s.tariff, s.held_minor, s.place.max_power_w, w.now, used)
    return (s.place.max_power_w, limit_s) if limit_s else (None, None)


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
    s = w.s
    limit_w, limit_s = offline_limit(w)
    if limit_w is None or limit_s is None or s.place is None or s.transaction_id is None:
        return
    w.commands.append(
        LimitCharging(
            key=f"{s.session_id}:limit:{fact.key}"[:200],
            session_id=s.session_id,
            station_id=s.place.station_id,
            evse_id=s.place.evse_id,
            transaction_id=s.transaction_id,
            remote_start_id=s.remote_start_id or 0,
            limit_w=limit_w,
            limit_s=limit_s,
        )
    )
