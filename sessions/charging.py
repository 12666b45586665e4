"""What follows from what the station does: start, metering, stop, end; and from deadlines that pass. Pure.

Comments name the edge case (EC n) of the money rules that a branch obeys.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing.payment import RESOLVED, Payment
from sessions import facts, meter
from sessions.commands import Message, Timer
from sessions.cost import cost_so_far, projected_minor
from sessions.dangling import (
    ask_to_stop,
    end_still_counts,
    found_running,
    listen,
    settle,
    showed_itself,
    silent,
    waited_for_end,
)
from sessions.direct import settlement_missing
from sessions.session import Origin, Session
from sessions.tables import OVER, RUNNING, Charging, ChargingEvent
from sessions.work import Work


def start_accepted(w: Work, fact: facts.StartAccepted) -> None:
    """The station will try; the driver has to plug in."""
    if w.charging(ChargingEvent.START_ACCEPTED):
        if fact.transaction_id and w.s.transaction_id is None:
            w.set(transaction_id=fact.transaction_id)  # 2.0.1, cable first: the transaction that was waiting
        w.show(Message.PLUG_IN, minutes=str(max(1, w.policy.connection_timeout_s // 60)))


def start_refused(w: Work, fact: facts.StartRefused) -> None:
    """No charge: the hold goes back (EC 3)."""
    if w.charging(ChargingEvent.START_REFUSED):  # EC 3
        w.set(end_reason=fact.reason)
        w.show(Message.STATION_OFFLINE if fact.reason == "offline" else Message.START_REFUSED)


def start_unanswered(w: Work, _: facts.StartUnanswered) -> None:
    """Unknown: the transaction, or the start timer, decides (EC 4)."""
    w.charging(ChargingEvent.START_UNANSWERED)  # EC 4: unknown; the start timer decides


def stop(w: Work, fact: facts.StopRequested) -> None:
    """Somebody asked for the end."""
    stop_requested(w, by=fact.by)


def stop_requested(w: Work, *, by: str) -> None:
    """End the charge, or give it up where none has begun. ``by``: card | operator | limit."""
    running = w.s.charging is Charging.CHARGING
    if not w.charging(ChargingEvent.STOP_REQUESTED):
        return
    w.set(stop_by=by)
    if running:
        ask_to_stop(w)
    elif not w.s.end_reason:
        w.set(end_reason=f"cancelled by {by}")


# --- the transaction --------------------------------------------------------------------------------------------------


def transaction_started(w: Work, fact: facts.TransactionStarted) -> None:
    """The charge begins; or, too late, is stopped and free (EC 5)."""
    late = w.s.charging is Charging.NOT_STARTED
    moved = w.charging(ChargingEvent.TRANSACTION_STARTED)
    if not moved and w.s.charging not in RUNNING:
        return
    if w.s.started_at is None:
        _adopt(w, fact)
        w.set(meter=_begun(w, fact, fact.register_wh))
    _metered(w, fact.samples, fact.charging_state, fact.station_time, first=True)
    showed_itself(w, meter.judge_time(fact.station_time, w.now), offline=fact.offline)
    if moved:
        listen(w)
    if late:  # EC 5: the energy is free, and somebody should see that it happened
        w.set(unpaid=True)
        w.flag("late-start")
        ask_to_stop(w)
    elif w.s.origin is Origin.UNAUTHORISED:
        if w.charging(ChargingEvent.STOP_REQUESTED):
            w.flag("unauthorised-transaction")
            w.set(stop_by="operator")
            ask_to_stop(w)
    elif moved:
        w.show(Message.CHARGING, receipt=True)


def transaction_updated(w: Work, fact: facts.TransactionUpdated) -> None:
    """Readings and states; with a cable first it may be the first event that names our start."""
    told_of = meter.judge_time(fact.station_time, w.now)
    found_running(w, told_of, offline=fact.offline)
    if w.s.charging in OVER and w.s.charging is not Charging.NOT_STARTED:
        return
    if w.s.charging not in RUNNING:
        # Cable first (2.0.1 C03): the first event that names our start may be an Updated.
        late = w.s.charging is Charging.NOT_STARTED
        if not w.charging(ChargingEvent.TRANSACTION_STARTED):
            return
        _adopt(w, fact)
        w.set(meter=_begun(w, fact, None))
        if late:
            w.set(unpaid=True)
            w.flag("late-start")
            ask_to_stop(w)
        else:
            w.show(Message.CHARGING, receipt=True)
        _metered(w, fact.samples, fact.charging_state, fact.station_time, first=True)
        showed_itself(w, told_of, offline=fact.offline)
        listen(w)
        return
    _metered(w, fact.samples, fact.charging_state, fact.station_time)
    showed_itself(w, told_of, offline=fact.offline)


def energy_metered(w: Work, fact: facts.EnergyMetered) -> None:
    """Readings of a running transaction. Only where they name it do they show that it runs."""
    newest = max((s.station_time for s in fact.samples), default=None)
    told_of = meter.judge_time(newest, w.now) if newest is not None else None
    named = fact.transaction_id is not None and fact.transaction_id == w.s.transaction_id
    if named:
        found_running(w, told_of)
    if w.s.charging in RUNNING:
        _metered(w, fact.samples, None, w.now)
        if named:
            showed_itself(w, told_of)
        else:
            w.set(heard_at=w.now)


def transaction_ended(w: Work, fact: facts.TransactionEnded) -> None:
    """The charge is over; what was metered is judged for the last time."""
    register = str(fact.register_wh) if fact.register_wh is not None else ""
    if w.s.charging is Charging.ENDED:
        if register and w.s.end_register_wh and register != w.s.end_register_wh:  # EC 51: keep the first
            w.flag("second-end-differs")
        return
    if w.s.charging is Charging.LOST and not end_still_counts(w):
        w.flag("late-end")  # EC 14: after a provisional settlement an operator compares
        return
    if w.s.charging is Charging.NOT_STARTED:
        w.set(unpaid=True)
        w.flag("late-start")
        return
    given_up = w.s
    if not w.charging(ChargingEvent.TRANSACTION_ENDED):
        return
    if w.s.started_at is None:  # the start was never told (short of memory, or lost): the end's own samples count
        first = replace(fact, station_time=min((s.station_time for s in fact.samples), default=fact.station_time))
        _adopt(w, first)
        w.set(meter=_begun(w, first, None))
        w.flag("start-missing")
    power = w.s.max_power_w or w.policy.max_power_w
    metered = meter.read(w.s.meter, fact.samples, seen_at=w.now, max_power_w=power, first_is_begin=True)
    if fact.charging_state is not None:
        metered = meter.state_changed(metered, fact.charging_state, station_time=fact.station_time, seen_at=w.now)
    metered = meter.end(
        metered, register_wh=fact.register_wh, station_time=fact.station_time, seen_at=w.now, max_power_w=power
    )
    w.set(
        meter=metered,
        ended_at=meter.judge_time(fact.station_time, w.now) or w.now,
        end_reason=fact.reason,
        end_register_wh=register,
        flags=tuple(dict.fromkeys((*w.s.flags, *metered.flags))),
    )
    if given_up.charging is Charging.LOST:
        _correct(w, given_up)


def _correct(w: Work, given_up: Session) -> None:
    """The end came after all: price anew. What was asked for already is not asked again; it can only have been less."""
    w.set(cost=None, provisional=False, lost_at=None)
    corrected = cost_so_far(w.s)
    if corrected is not None and corrected.total_minor < given_up.capture_minor:
        w.s = given_up
        w.flag("late-end")
    else:
        w.flag("late-end-counted")


def _adopt(w: Work, fact: facts.TransactionFact) -> None:
    """Take over what the transaction's first event says."""
    place = w.s.place
    if place is not None and fact.evse_id and place.evse_id != fact.evse_id:  # EC 6: accepted by its tag
        place = replace(place, evse_id=fact.evse_id)
        w.flag("other-evse")
    w.set(
        transaction_id=fact.transaction_id,
        connector_id=fact.connector_id,
        place=place,
        started_at=meter.judge_time(fact.station_time, w.now) or w.now,
    )


def _begun(w: Work, fact: facts.TransactionFact, register_wh: Decimal | None) -> meter.Meter:
    return meter.begin(
        w.s.meter,
        register_wh=register_wh,
        station_time=fact.station_time,
        seen_at=w.now,
        parked=fact.charging_state is facts.ChargingState.SUSPENDED_EV,
    )


def _metered(
    w: Work,
    samples: tuple[facts.Sample, ...],
    state: facts.ChargingState | None,
    station_time: datetime,
    *,
    first: bool = False,
) -> None:
    power = w.s.max_power_w or w.policy.max_power_w
    metered = meter.read(w.s.meter, samples, seen_at=w.now, max_power_w=power, first_is_begin=first)
    if state is not None:
        metered = meter.state_changed(metered, state, station_time=station_time, seen_at=w.now)
    w.set(meter=metered)
    if w.s.charging is Charging.CHARGING and w.s.held_minor and projected_minor(w.s, w.policy) > w.s.held_minor:
        stop_requested(w, by="limit")  # EC 15, 16: never let the cost pass the hold


# --- deadlines --------------------------------------------------------------------------------------------------------


def deadline(w: Work, fact: facts.DeadlineReached) -> None:
    """A timer fell due: what it ends depends on whether that is still open."""
    match Timer(fact.timer):
        case Timer.CHOICE:
            if w.charging(ChargingEvent.CHOICE_TIMED_OUT):
                w.set(end_reason="no EVSE chosen")
                w.show(Message.CHOICE_TIMED_OUT, arm_id=w.s.arm_id)
        case Timer.PAYMENT:
            if w.s.payment is Payment.UNKNOWN and w.charging(ChargingEvent.GIVE_UP):
                w.set(end_reason="payment unknown")
                w.show(Message.PAYMENT_UNKNOWN)
        case Timer.START:
            if w.charging(ChargingEvent.START_TIMED_OUT):  # EC 1
                w.set(end_reason="never plugged in")
                w.show(Message.NOT_STARTED)
        case Timer.STOP:
            if w.s.charging is Charging.STOPPING:
                if w.s.stops_asked < w.policy.stop_attempts:
                    ask_to_stop(w)
                else:
                    w.flag("stop-unheeded")
                    if w.s.payment in RESOLVED:  # nothing to bill, so nothing to wait for: the EVSE is given up
                        settle(w)
        case Timer.HOLD_ENDING:
            stop_requested(w, by="limit")
        case Timer.LOST_END:
            waited_for_end(w)
        case Timer.SILENCE:
            silent(w)
        case Timer.SETTLEMENT:
            settlement_missing(w)
        case Timer.SETTLE:
            settle(w)
