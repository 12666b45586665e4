"""Transactions whose end was never told: what makes us doubt that one still runs, and what settles the doubt. Pure.

A station that was away may have lost the end, or may still have it in its queue. So a doubt, once there is evidence for
it, waits: for the queue, for a sign that the charge goes on, or for its deadline. A sign is only one that tells of the
time after the doubt: what a station stored before it went away proves nothing of now.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.payment import Payment
from sessions import facts, meter
from sessions.commands import AskTransactionStatus, StopCharging, Timer
from sessions.facts import ChargingState, EvseStatus
from sessions.session import Origin
from sessions.tables import RUNNING, Charging, ChargingEvent
from sessions.work import Work

#: What an EVSE cannot be while a transaction runs (1.6 §4.9; 2.0.1 stations are asked, and may say otherwise).
_FREE = frozenset({EvseStatus.AVAILABLE, EvseStatus.RESERVED})
_NOT_CHARGING = frozenset({ChargingState.IDLE, ChargingState.EV_CONNECTED})
#: Money in these has been taken or given back: a late end cannot change it any more.
_SETTLED = frozenset({Payment.CAPTURED, Payment.RELEASING, Payment.RELEASED, Payment.WRITTEN_OFF})


# --- evidence ---------------------------------------------------------------------------------------------------------


def station_back(w: Work, fact: facts.StationConnected | facts.StationBooted) -> None:
    """The station connected, or was accepted after a boot: only what it says from now on shows that a charge runs."""
    if w.s.charging not in RUNNING:
        return
    w.set(away_since=w.now)
    if w.s.doubted_at is not None:
        _wait(w)
    if isinstance(fact, facts.StationBooted):
        _ask(w)


def station_gone(w: Work, _: facts.StationDisconnected) -> None:
    """A doubt waits for the station's queue, so its deadline runs only while the station is there."""
    if w.s.doubted_at is not None:
        w.set(doubted_until=None)


def status_reported(w: Work, fact: facts.EvseStatusReported) -> None:
    """1.6 tells by it how the charge goes; after a return it may be one that no running transaction allows."""
    if w.s.charging not in RUNNING:
        return
    state = fact.charging_state
    if state is not None:
        at = fact.station_time or w.now
        changed = meter.state_changed(w.s.meter, state, station_time=at, seen_at=w.now)
        if changed is not w.s.meter:
            w.set(meter=changed)
    if state is not None and state not in _NOT_CHARGING:
        showed_itself(w, w.now)
        return
    other = None not in {fact.connector_id, w.s.connector_id} and fact.connector_id != w.s.connector_id
    if w.s.away_since is not None and not other and (fact.status in _FREE or state in _NOT_CHARGING):
        _doubt(w)


def status_told(w: Work, fact: facts.TransactionStatusTold) -> None:
    """E14: it goes on; or its end is in the station's queue; or its end is lost."""
    if w.s.charging not in RUNNING:
        return
    waits = fact.messages_in_queue
    if fact.ongoing:
        showed_itself(w, w.now)
    elif waits is False and (fact.ongoing is False or w.s.doubted_at is not None):
        settle(w)
    elif fact.ongoing is False:
        _doubt(w, asked=True)


def superseded(w: Work, fact: facts.TransactionSuperseded) -> None:
    """Another transaction runs where this one ran. Its start register tells whether we missed any energy."""
    if w.s.charging not in RUNNING:
        return
    last = w.s.meter.last_wh
    missed = None if fact.register_wh is None or last is None else fact.register_wh - last
    if missed is not None and missed > meter.ROUNDING_WH:  # delivered to whom, and until when, nobody can prove
        w.flag("energy-unproven")
    settle(w, exact=missed is not None and abs(missed) <= meter.ROUNDING_WH)


def showed_itself(w: Work, station_time: datetime | None, *, offline: bool = False) -> None:
    """A message of the transaction came that tells of ``station_time`` (None: its clock cannot be believed)."""
    doubted = w.s.doubted_at or w.s.away_since
    w.set(heard_at=w.now)
    if doubted is None:
        return
    if not offline and station_time is not None and station_time >= doubted:
        w.set(away_since=None, doubted_at=None, doubted_until=None)
    elif w.s.doubted_until is not None:  # its queue is coming in: the end may be the next
        w.set(doubted_until=w.now + timedelta(seconds=w.policy.lost_end_s))


# --- the doubt --------------------------------------------------------------------------------------------------------


def _doubt(w: Work, *, asked: bool = False) -> None:
    if w.s.doubted_at is not None:
        return
    w.set(doubted_at=w.now)
    _wait(w)
    if not asked:
        _ask(w)


def _wait(w: Work) -> None:
    until = w.now + timedelta(seconds=w.policy.lost_end_s)
    w.set(doubted_until=until)
    _remind(w, Timer.LOST_END, until)


def _remind(w: Work, timer: Timer, until: datetime) -> None:
    """Set a timer of its own each time: one that fell due early, by a clock set back, is set again."""
    w.set(reminders=w.s.reminders + 1)
    w.timer(timer, until, w.s.reminders)


def _ask(w: Work) -> None:
    if w.s.transaction_id is None or w.s.place is None:
        return
    number = w.s.statuses_asked + 1
    w.set(statuses_asked=number)
    w.commands.append(
        AskTransactionStatus(
            key=f"{w.s.session_id}:status:{number}",
            session_id=w.s.session_id,
            station_id=w.s.place.station_id,
            evse_id=w.s.place.evse_id,
            transaction_id=w.s.transaction_id,
        )
    )


def waited_for_end(w: Work) -> None:
    """The deadline of a doubt: neither the end nor a sign came."""
    until = w.s.doubted_until
    if until is None:
        return
    if w.now < until:
        _remind(w, Timer.LOST_END, until)
    else:
        settle(w)


def listen(w: Work) -> None:
    """Where no hold runs out, silence is what keeps a lost charge from holding its EVSE for ever."""
    if w.s.held_minor:
        return
    until = (w.s.heard_at or w.now) + timedelta(seconds=w.policy.silence_s)
    _remind(w, Timer.SILENCE, until)


def silent(w: Work) -> None:
    """Nothing was heard of the transaction for long: doubt it, or listen on."""
    if w.s.charging not in RUNNING or w.s.held_minor:
        return
    if w.now - (w.s.heard_at or w.now) >= timedelta(seconds=w.policy.silence_s):
        w.set(heard_at=w.now)
        if w.s.doubted_at is not None and w.s.doubted_until is None:
            _wait(w)  # the station took its queue away, and has not come back for long
        _doubt(w)
    listen(w)


# --- given up, and what comes after all -------------------------------------------------------------------------------


def settle(w: Work, *, exact: bool = False) -> None:
    """EC 11, 13: on the last proven register; what the meter doubted is for the operator to see.

    ``exact``: the next transaction's start register shows that nothing more was delivered.
    """
    if not w.charging(ChargingEvent.SETTLE):
        return
    w.set(
        provisional=not exact,
        ended_at=w.s.meter.last_at or w.now,
        end_reason="end never reported",
        lost_at=w.now,
        doubted_at=None,
        doubted_until=None,
    )
    unproven = ("energy-unproven",) if w.s.meter.unproven else ()
    for reason in (*w.s.meter.flags, *unproven, "end-lost" if exact else "settled-provisionally"):
        w.flag(reason)


def end_still_counts(w: Work) -> bool:
    """Whether the end of a charge that was given up comes before its money was taken or given back (EC 14)."""
    return w.s.charging is Charging.LOST and w.s.payment not in _SETTLED


def found_running(w: Work, station_time: datetime | None, *, offline: bool = False) -> bool:
    """A charge that was given up shows itself after that: it goes on, or, where its money is settled, is stopped."""
    lost = w.s.lost_at
    if w.s.charging is not Charging.LOST or lost is None or "found-running" in w.s.flags:
        return False
    if offline or station_time is None or station_time < lost:
        return False
    goes_on = w.s.payment in {Payment.NONE, Payment.AT_STATION} and w.s.origin is not Origin.UNAUTHORISED
    goes_on = goes_on and not w.s.unpaid and not w.s.stop_by
    w.charging(ChargingEvent.FOUND_RUNNING if goes_on else ChargingEvent.FOUND_RUNNING_SETTLED)
    w.flag("found-running")
    w.set(lost_at=None, ended_at=None, end_reason="", heard_at=w.now, away_since=None)
    if goes_on:
        w.set(cost=None, provisional=False)
        listen(w)
        return True
    if w.s.payment in {Payment.RELEASING, Payment.RELEASED, Payment.WRITTEN_OFF}:
        w.set(unpaid=True)
    ask_to_stop(w)
    return True


def ask_to_stop(w: Work) -> None:
    """Command the station to stop, and set the time to ask again."""
    if w.s.transaction_id is None or w.s.place is None:
        return
    number = w.s.stops_asked + 1
    w.set(stops_asked=number)
    w.commands.append(
        StopCharging(
            key=f"{w.s.session_id}:stop:{number}",
            session_id=w.s.session_id,
            station_id=w.s.place.station_id,
            transaction_id=w.s.transaction_id,
        )
    )
    w.timer(Timer.STOP, w.now + timedelta(seconds=w.policy.stop_retry_s), number)
