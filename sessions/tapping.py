"""What follows from a tap: the choice of an EVSE, the hold, and the search for a hold nobody is sure of. Pure.

Comments name the edge case (EC n) of the money rules that a branch obeys.
"""

from __future__ import annotations

from datetime import timedelta

from billing import ledger
from billing.payment import Payment, PaymentEvent
from sessions import facts
from sessions.charging import stop_requested
from sessions.commands import AuthoriseHold, LookUpHold, Message, ShowSelection, Timer
from sessions.session import Authorisation
from sessions.settling import release
from sessions.tables import Charging, ChargingEvent
from sessions.work import Work

_LONGEST_LOOK_UP_INTERVAL_S = 3600


def card_presented(w: Work, fact: facts.CardPresented) -> None:
    """A tap opens a session; the same card again ends it."""
    if fact.session_id != w.s.session_id:  # EC 7, 21: the same card again ends the session it opened
        w.show(Message.STOPPING, arm_id=fact.arm_id)
        stop_requested(w, by="card")
        return
    if w.s.charging is Charging.CHOOSING:
        items = tuple((f"{place.station_id}/{place.evse_id}", place.label) for place, _ in w.s.choices)
        w.commands.append(
            ShowSelection(
                key=f"{w.s.session_id}:select:{fact.arm_id}",
                session_id=w.s.session_id,
                serial=fact.serial,
                account_id=w.s.account_id,
                items=items,
                language=w.s.language,
            )
        )
        w.timer(Timer.CHOICE, w.now + timedelta(seconds=w.policy.choice_timeout_s))
        return
    _authorise(w)


def evse_chosen(w: Work, fact: facts.EvseChosen) -> None:
    """The driver chose on the screen."""
    if w.s.charging is not Charging.CHOOSING:
        return
    for place, tariff in w.s.choices:
        if f"{place.station_id}/{place.evse_id}" == fact.choice:
            w.set(place=place, tariff=tariff, choices=())
            w.charging(ChargingEvent.EVSE_CHOSEN)
            _authorise(w)
            return
    # Somebody else took it while the driver was reading (EC 8), or the screen sent what it was never offered.
    w.charging(ChargingEvent.CHOICE_TIMED_OUT)
    w.show(Message.EVSE_OCCUPIED, arm_id=w.s.arm_id)


def _authorise(w: Work) -> None:
    if w.s.tariff is None or w.s.tariff.is_free:  # EC 50: a free tariff takes no hold
        w.show(Message.STARTING, arm_id=w.s.arm_id)
        return
    if w.s.terminal_serial is None or w.s.arm_id is None or w.s.card is None:
        return
    if not w.payment(PaymentEvent.AUTHORISE):
        return  # asked for already: a hold is asked for once per tap
    w.commands.append(
        AuthoriseHold(
            key=f"{w.s.session_id}:authorise:{w.s.arm_id}",
            session_id=w.s.session_id,
            serial=w.s.terminal_serial,
            account_id=w.s.account_id,
            arm_id=w.s.arm_id,
            card_ref=w.s.card.card_ref,
            hold_minor=w.s.hold_minor,
            currency=w.s.currency,
            language=w.s.language,
        )
    )


# --- the hold ---------------------------------------------------------------------------------------------------------


def payment_held(w: Work, fact: facts.PaymentHeld) -> None:
    """The hold stands: book it, and set the clocks of its life."""
    known = w.s.authorisation.payment_ref
    if known == fact.payment_ref:
        return
    if known:  # a second hold for one tap: give it back at once, and have somebody look
        w.flag("second-hold")
        w.set(hold_number=w.s.hold_number + 1)
        release(w, fact.payment_ref)
        return
    if not w.payment(PaymentEvent.HOLD_CONFIRMED):
        return
    if fact.amount_minor != w.s.hold_minor:
        w.flag("hold-amount-differs")
    held_at = fact.held_at or w.now
    held_minor = max(fact.amount_minor, 0)
    w.set(
        held_minor=held_minor,
        held_at=held_at,
        hold_number=w.s.hold_number + 1,
        authorisation=Authorisation(
            payment_ref=fact.payment_ref,
            authorisation_code=fact.authorisation_code,
            host_reference=fact.host_reference,
            merchant_reference=fact.merchant_reference,
            terminal_transaction_id=fact.terminal_transaction_id,
            aid=fact.aid or (w.s.card.aid if w.s.card else ""),
        ),
    )
    if not held_minor:  # a hold of nothing bounds nothing: no charge on it
        if w.charging(ChargingEvent.GIVE_UP):
            w.set(end_reason="hold of nothing")
            w.show(Message.DECLINED, arm_id=w.s.arm_id)
        return
    w.book("hold", ledger.hold(held_minor, w.s.currency))
    ends_at = w.now + timedelta(seconds=w.policy.hold_lifetime_s)
    w.timer(Timer.HOLD_ENDING, ends_at - timedelta(seconds=w.policy.hold_margin_s))
    w.timer(Timer.SETTLE, ends_at)


def payment_declined(w: Work, fact: facts.PaymentDeclined) -> None:
    """No hold, said the provider."""
    if w.payment(PaymentEvent.DECLINE):
        w.set(end_reason=fact.reason)
        w.show(Message.DECLINED, arm_id=w.s.arm_id)


def payment_unanswered(w: Work, _: facts.PaymentUnanswered) -> None:
    """Nobody knows: look it up until somebody does."""
    if w.payment(PaymentEvent.AUTHORISE_UNANSWERED):
        w.timer(Timer.PAYMENT, w.now + timedelta(seconds=w.policy.payment_timeout_s))
    if w.s.payment is Payment.UNKNOWN:
        _look_up_again(w)


def payment_not_found(w: Work, _: facts.PaymentNotFound) -> None:
    """The provider knows of none: look again for a while, then give up."""
    if w.s.payment is not Payment.UNKNOWN:
        return
    if w.now - w.s.opened_at >= timedelta(seconds=w.policy.look_up_for_s):
        w.payment(PaymentEvent.LOOK_UP_EXHAUSTED)
    else:
        _look_up_again(w)


def _look_up_again(w: Work) -> None:
    if w.s.terminal_serial is None or w.s.arm_id is None or w.s.card is None:
        return
    number = w.s.look_ups + 1
    w.set(look_ups=number)
    wait_s = min(w.policy.look_up_interval_s * 2 ** min(number - 1, 12), _LONGEST_LOOK_UP_INTERVAL_S)
    if number == 1:
        wait_s = 1
    w.commands.append(
        LookUpHold(
            key=f"{w.s.session_id}:look_up:{number}",
            session_id=w.s.session_id,
            due_at=w.now + timedelta(seconds=wait_s),
            serial=w.s.terminal_serial,
            account_id=w.s.account_id,
            arm_id=w.s.arm_id,
            card_ref=w.s.card.card_ref,
        )
    )
