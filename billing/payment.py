"""The payment's states and the table that moves between them. Pure.

Two-phase, as TigerBeetle's transfers: a hold resolves exactly once, by a capture of at most the held amount, by a
release, or by being written off. **Unknown is a state of its own**: ask the provider, never repeat blindly. Each "we
gave up" state has a row for the success that arrives late.
"""

from __future__ import annotations

from enum import StrEnum


class Payment(StrEnum):
    """Where the money stands. `docs/states.md` draws the table below."""

    AT_STATION = "at_station"  # the station's own terminal collects; its settlement is awaited
    NONE = "none"  # nothing to pay with a card: RFID, operator, free tariff
    AUTHORISING = "authorising"  # the provider has been, or is about to be, asked for a hold
    UNKNOWN = "unknown"  # nobody knows whether a hold stands: look it up
    DECLINED = "declined"  # no hold, said the provider
    NOT_HELD = "not_held"  # no hold was ever found; we gave up looking
    HELD = "held"
    CAPTURING = "capturing"  # capture decided, not confirmed; retried until it is
    CAPTURE_UNKNOWN = "capture_unknown"  # a capture went unanswered: looked up before it is tried again
    CAPTURED = "captured"
    RELEASING = "releasing"  # release decided, not confirmed; retried until it is
    RELEASED = "released"
    WRITTEN_OFF = "written_off"  # delivered, and not collectable


class PaymentEvent(StrEnum):
    """What can happen to a payment."""

    AUTHORISE = "authorise decided"
    HOLD_CONFIRMED = "hold confirmed"
    DECLINE = "declined"
    AUTHORISE_UNANSWERED = "authorise unanswered"
    LOOK_UP_EXHAUSTED = "look-up exhausted"
    CAPTURE = "capture decided"
    CAPTURE_CONFIRMED = "capture confirmed"
    CAPTURE_UNANSWERED = "capture unanswered"
    CAPTURE_FAILED = "capture failed for good"
    RELEASE = "release decided"
    RELEASE_CONFIRMED = "release confirmed"


_P, _E = Payment, PaymentEvent

#: state → event → next state. A pair that is not here changes nothing (a late or repeated event).
PAYMENT_TABLE: dict[Payment, dict[PaymentEvent, Payment]] = {
    _P.AT_STATION: {
        _E.CAPTURE_CONFIRMED: _P.CAPTURED,
        _E.CAPTURE_FAILED: _P.WRITTEN_OFF,
        _E.RELEASE_CONFIRMED: _P.RELEASED,
    },
    _P.NONE: {_E.AUTHORISE: _P.AUTHORISING},
    _P.AUTHORISING: {
        _E.HOLD_CONFIRMED: _P.HELD,
        _E.DECLINE: _P.DECLINED,
        _E.AUTHORISE_UNANSWERED: _P.UNKNOWN,
    },
    _P.UNKNOWN: {
        _E.HOLD_CONFIRMED: _P.HELD,
        _E.DECLINE: _P.DECLINED,
        _E.LOOK_UP_EXHAUSTED: _P.NOT_HELD,
    },
    # Late success after we gave up: the hold exists after all; a joint rule then releases it.
    _P.DECLINED: {_E.HOLD_CONFIRMED: _P.HELD},
    _P.NOT_HELD: {_E.HOLD_CONFIRMED: _P.HELD},
    _P.HELD: {_E.CAPTURE: _P.CAPTURING, _E.RELEASE: _P.RELEASING},
    _P.CAPTURING: {
        _E.CAPTURE_CONFIRMED: _P.CAPTURED,
        _E.CAPTURE_UNANSWERED: _P.CAPTURE_UNKNOWN,
        _E.CAPTURE_FAILED: _P.WRITTEN_OFF,
    },
    _P.CAPTURE_UNKNOWN: {
        _E.CAPTURE_CONFIRMED: _P.CAPTURED,
        _E.CAPTURE_FAILED: _P.WRITTEN_OFF,
    },
    # Late success of a capture that was reported as failed: the money came after all.
    _P.WRITTEN_OFF: {_E.CAPTURE_CONFIRMED: _P.CAPTURED},
    _P.RELEASING: {
        _E.RELEASE_CONFIRMED: _P.RELEASED,
        # The provider says the hold was captured, although we asked to release it: the books follow the provider.
        _E.CAPTURE_CONFIRMED: _P.CAPTURED,
    },
    _P.CAPTURED: {},
    _P.RELEASED: {},
}

#: Nothing more will be asked of the provider in these.
RESOLVED = frozenset({_P.NONE, _P.DECLINED, _P.NOT_HELD, _P.CAPTURED, _P.RELEASED, _P.WRITTEN_OFF})

#: A hold stands, as far as we know, and must still be resolved.
HOLD_OPEN = frozenset({_P.HELD, _P.CAPTURING, _P.CAPTURE_UNKNOWN, _P.RELEASING})


def after(state: Payment, event: PaymentEvent) -> Payment:
    """Return the state that follows; the same state where the table has no row for ``event``."""
    return PAYMENT_TABLE[state].get(event, state)
