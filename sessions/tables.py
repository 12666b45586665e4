"""The charging table: how a session's charge moves from state to state. Pure data; `docs/states.md` is drawn from it.

The payment has its own table (`billing.payment`); `sessions.decide` joins the two with rules.
"""

from __future__ import annotations

from enum import StrEnum


class Charging(StrEnum):
    """Where the charge stands."""

    CHOOSING = "choosing"  # the driver is choosing an EVSE on the terminal's screen
    WAITING = "waiting"  # the EVSE is known; the payment is not
    STARTING = "starting"  # the station has been, or is about to be, asked to start
    START_UNKNOWN = "start_unknown"  # asked, no answer: it may have taken effect
    ACCEPTED = "accepted"  # the station will try; the driver has to plug in
    CHARGING = "charging"  # a transaction runs
    STOPPING = "stopping"  # asked to stop; the transaction still runs
    ENDED = "ended"
    NOT_STARTED = "not_started"  # gave up before any transaction
    LOST = "lost"  # gave up waiting for the end; settled on the last proven register


class ChargingEvent(StrEnum):
    """What can happen to the charge."""

    EVSE_CHOSEN = "EVSE chosen"
    CHOICE_TIMED_OUT = "choice timed out"
    START = "start decided"
    GIVE_UP = "payment failed"
    START_ACCEPTED = "start accepted"
    START_REFUSED = "start refused"
    START_UNANSWERED = "start unanswered"
    START_TIMED_OUT = "never plugged in"
    TRANSACTION_STARTED = "transaction started"
    TRANSACTION_ENDED = "transaction ended"
    STOP_REQUESTED = "stop requested"
    SETTLE = "end never reported"
    FOUND_RUNNING = "found running"
    FOUND_RUNNING_SETTLED = "found running after settlement"


_C, _E = Charging, ChargingEvent

#: state → event → next state. A pair that is not here changes nothing.
CHARGING_TABLE: dict[Charging, dict[ChargingEvent, Charging]] = {
    _C.CHOOSING: {
        _E.EVSE_CHOSEN: _C.WAITING,
        _E.CHOICE_TIMED_OUT: _C.NOT_STARTED,
        _E.STOP_REQUESTED: _C.NOT_STARTED,
    },
    _C.WAITING: {
        _E.START: _C.STARTING,
        _E.GIVE_UP: _C.NOT_STARTED,
        _E.STOP_REQUESTED: _C.NOT_STARTED,
    },
    _C.STARTING: {
        _E.START_ACCEPTED: _C.ACCEPTED,
        _E.START_REFUSED: _C.NOT_STARTED,
        _E.START_UNANSWERED: _C.START_UNKNOWN,
        _E.START_TIMED_OUT: _C.NOT_STARTED,
        _E.TRANSACTION_STARTED: _C.CHARGING,  # the transaction may overtake the answer
        _E.TRANSACTION_ENDED: _C.ENDED,
        _E.STOP_REQUESTED: _C.NOT_STARTED,
    },
    _C.START_UNKNOWN: {
        _E.START_ACCEPTED: _C.ACCEPTED,
        _E.START_REFUSED: _C.NOT_STARTED,
        _E.START_TIMED_OUT: _C.NOT_STARTED,
        _E.TRANSACTION_STARTED: _C.CHARGING,
        _E.TRANSACTION_ENDED: _C.ENDED,
        _E.STOP_REQUESTED: _C.NOT_STARTED,
    },
    _C.ACCEPTED: {
        _E.TRANSACTION_STARTED: _C.CHARGING,
        _E.TRANSACTION_ENDED: _C.ENDED,
        _E.START_TIMED_OUT: _C.NOT_STARTED,
        _E.STOP_REQUESTED: _C.NOT_STARTED,
    },
    _C.CHARGING: {
        _E.STOP_REQUESTED: _C.STOPPING,
        _E.TRANSACTION_ENDED: _C.ENDED,
        _E.SETTLE: _C.LOST,
    },
    _C.STOPPING: {
        _E.TRANSACTION_ENDED: _C.ENDED,
        _E.SETTLE: _C.LOST,
    },
    # Late successes, after we gave up:
    _C.NOT_STARTED: {_E.TRANSACTION_STARTED: _C.STOPPING},  # unpaid: stopped at once, its energy is free
    _C.LOST: {
        _E.TRANSACTION_ENDED: _C.ENDED,  # while the money is neither taken nor given back; else flagged
        _E.FOUND_RUNNING: _C.CHARGING,  # nothing to collect: it goes on
        _E.FOUND_RUNNING_SETTLED: _C.STOPPING,  # a hold resolves once: nobody would pay for the rest
    },
    _C.ENDED: {},
}

#: No transaction runs, and none is awaited.
OVER = frozenset({_C.ENDED, _C.NOT_STARTED, _C.LOST})
#: Between the tap and the transaction: the EVSE is claimed.
CLAIMING = frozenset({_C.WAITING, _C.STARTING, _C.START_UNKNOWN, _C.ACCEPTED})
#: A transaction runs.
RUNNING = frozenset({_C.CHARGING, _C.STOPPING})


def after(state: Charging, event: ChargingEvent) -> Charging:
    """Return the state that follows; the same state where the table has no row for ``event``."""
    return CHARGING_TABLE[state].get(event, state)
