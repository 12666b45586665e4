"""What follows from the provider's word on a capture or a release. Pure.

Comments name the edge case (EC n) of the money rules that a branch obeys.
"""

from __future__ import annotations

from billing import ledger
from billing.cost import cap_cost
from billing.payment import Payment, PaymentEvent
from sessions import facts
from sessions.commands import ReleaseHold
from sessions.work import Work


def capture_confirmed(w: Work, fact: facts.CaptureConfirmed) -> None:
    """The money is there: book the sale, the release of the rest, and what was lost."""
    if fact.amount_minor <= 0:  # "captured nothing" is a hold that is gone and money that never came
        _captured_nothing(w)
        return
    after_write_off = w.s.payment is Payment.WRITTEN_OFF
    if not w.payment(PaymentEvent.CAPTURE_CONFIRMED):
        return
    amount = fact.amount_minor
    w.set(captured_minor=amount, captured_at=fact.captured_at or w.now)
    if amount != w.s.capture_minor:
        w.flag("capture-amount-differs")
    if after_write_off:
        w.flag("captured-after-write-off")
    still_held = 0 if after_write_off else w.s.held_minor
    if w.s.cost is None or after_write_off or amount > min(w.s.cost.total_minor, w.s.held_minor):
        # The books follow the provider; what our own bill does not explain waits in suspense for an operator.
        w.book("unexplained", ledger.unexplained(amount, still_held, w.s.currency))
        if still_held > amount:
            w.book("release", ledger.release(still_held - amount, w.s.currency))
        return
    billed, beyond = cap_cost(w.s.cost, amount)
    w.set(cost=billed, written_off_minor=beyond)
    w.book("capture", ledger.capture(w.s.held_minor, billed, w.s.currency))
    if w.s.owed_to_owner:
        w.book("owed", ledger.owed(billed))
    if w.s.held_minor > amount:
        w.book("release", ledger.release(w.s.held_minor - amount, w.s.currency))
    if beyond:  # EC 16: above the hold, or above what the provider took
        w.book("write_off", ledger.write_off(beyond, w.s.currency))


def _captured_nothing(w: Work) -> None:
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))
    else:
        _capture_failed(w, "nothing")


def capture_unanswered(w: Work, _: facts.CaptureUnanswered) -> None:
    """It may have taken effect."""
    w.payment(PaymentEvent.CAPTURE_UNANSWERED)  # EC 39: the doer looks it up before it tries again


def capture_refused(w: Work, fact: facts.CaptureRefused) -> None:
    """It will not come: written off."""
    _capture_failed(w, fact.outcome)


def _capture_failed(w: Work, outcome: str) -> None:
    if not w.payment(PaymentEvent.CAPTURE_FAILED):  # EC 38: written off, never a duplicate
        return
    w.flag(f"capture-{outcome}")
    w.flag("capture-failed")
    w.book("release", ledger.release(w.s.held_minor, w.s.currency))
    # All that was delivered, also what the hold would not have covered (EC 16).
    lost_minor = w.s.cost.total_minor if w.s.cost else w.s.capture_minor
    w.set(written_off_minor=lost_minor)
    w.book("write_off", ledger.write_off(lost_minor, w.s.currency))


def hold_released(w: Work, fact: facts.HoldReleased) -> None:
    """The hold is gone, nothing was taken."""
    if fact.payment_ref != w.s.authorisation.payment_ref:
        return  # the second hold of one tap, given back: it was never in the books
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))


def release_refused(w: Work, fact: facts.ReleaseRefused) -> None:
    """The provider tells another end of the hold; the books follow it."""
    if fact.payment_ref != w.s.authorisation.payment_ref:
        w.flag("second-hold-unreleased")
        if fact.outcome == "captured" and fact.amount_minor > 0:  # money we never asked for: in suspense
            w.book(f"unexplained:{fact.payment_ref}", ledger.unexplained(fact.amount_minor, 0, w.s.currency))
        return
    if fact.outcome == "captured":
        w.flag("captured-instead-of-released")
        capture_confirmed(w, facts.CaptureConfirmed(
            key=fact.key, at=fact.at, session_id=fact.session_id, amount_minor=fact.amount_minor
        ))  # fmt: skip
        return
    w.flag(f"release-{fact.outcome}")
    # Unknown at the provider, or expired there: no hold stands any more.
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))


def release(w: Work, payment_ref: str) -> None:
    """Command the release of ``payment_ref``."""
    if w.s.terminal_serial is None:
        return
    w.commands.append(
        ReleaseHold(
            key=f"{w.s.session_id}:release:{payment_ref}",
            session_id=w.s.session_id,
            serial=w.s.terminal_serial,
            account_id=w.s.account_id,
            payment_ref=payment_ref,
            language=w.s.language,
        )
    )
