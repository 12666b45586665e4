"""Payments at a station's own terminal (2.1 C18–C23): the station collects, we price, book and write the receipt. Pure.

The station's word on the money and the end of the charge may come in either order: the joint rule waits for both.
"""

from __future__ import annotations

from datetime import timedelta

from billing import ledger
from billing.cost import cap_cost
from billing.money import to_minor
from billing.payment import Payment, PaymentEvent
from sessions import facts
from sessions.commands import Timer
from sessions.session import Origin
from sessions.settlement import SettlementNotified, SettlementStatus
from sessions.tables import RUNNING, Charging
from sessions.work import Work


def authorised(w: Work, fact: facts.TransactionFact) -> None:
    """Keep what the station's terminal says it has authorised; it may rise meanwhile (C23)."""
    if w.s.origin is Origin.DIRECT and fact.limit_cost is not None and w.s.currency:
        w.set(hold_minor=max(to_minor(fact.limit_cost, w.s.currency), 0))


def settlement_notified(w: Work, fact: SettlementNotified) -> None:
    """Take the station's word once; another one later is for an operator."""
    s = w.s
    if s.origin is not Origin.DIRECT:
        w.flag("settlement-unexpected")
        return
    if not s.currency:
        w.flag("settlement-without-tariff")
        return
    if fact.psp_ref.upper() != s.id_token:
        w.flag("settlement-reference-differs")
    if fact.buyer is not None and s.buyer is None:
        w.set(buyer=fact.buyer)
    amount = max(to_minor(fact.amount, s.currency), 0)
    if fact.status is SettlementStatus.FAILED:
        w.flag("settlement-failed")  # C22: the station may try again; the deadline decides
    elif s.settled_minor is not None:
        if fact.status is not SettlementStatus.SETTLED or amount != s.settled_minor:
            w.flag("second-settlement-differs")
    elif fact.status is SettlementStatus.SETTLED:
        w.set(settled_minor=amount, settled_at=fact.settled_at)
    else:
        w.set(settlement_refused=fact.status.value)


def settlement_missing(w: Work) -> None:
    """Nobody told what became of the payment."""
    if w.s.payment is Payment.AT_STATION:
        w.flag("settlement-missing")
        w.set(settlement_refused="missing")


def rule_settled(w: Work) -> bool:
    """The charge is over and priced: book what the station's terminal collected, or wait for its word."""
    s = w.s
    if s.origin is not Origin.DIRECT or s.payment not in {Payment.AT_STATION, Payment.WRITTEN_OFF}:
        return False
    if s.charging in RUNNING or s.charging is Charging.ACCEPTED:
        return False
    if s.settled_minor:
        _collected(w, s.settled_minor)
        return True
    if s.payment is Payment.WRITTEN_OFF:
        return False
    if s.settlement_refused or s.settled_minor == 0:
        _not_collected(w)
        return True
    if not s.settlement_awaited:
        w.set(settlement_awaited=True)
        w.timer(Timer.SETTLEMENT, w.now + timedelta(seconds=w.policy.hold_lifetime_s))
        return True
    return False


def _collected(w: Work, amount: int) -> None:
    after_write_off = w.s.payment is Payment.WRITTEN_OFF
    w.payment(PaymentEvent.CAPTURE_CONFIRMED)
    w.set(captured_minor=amount, captured_at=w.s.settled_at or w.now)
    cost = w.s.cost
    if cost is None or amount != cost.total_minor:
        w.flag("settlement-differs")
    if after_write_off:
        w.flag("captured-after-write-off")
    if cost is None or after_write_off or amount > cost.total_minor:
        w.book("settlement", ledger.unexplained_settlement(amount, w.s.currency))
        return
    billed, beyond = cap_cost(cost, amount)
    w.set(cost=billed, written_off_minor=beyond)
    w.book("settlement", ledger.settlement(billed))
    if beyond:
        w.book("write_off", ledger.write_off(beyond, w.s.currency))


def _not_collected(w: Work) -> None:
    """Nothing was delivered, and nothing is paid; or it is lost."""
    lost = w.s.cost.total_minor if w.s.cost else 0
    if not lost:
        w.payment(PaymentEvent.RELEASE_CONFIRMED)
        return
    w.payment(PaymentEvent.CAPTURE_FAILED)
    w.flag("settlement-refused")
    w.set(written_off_minor=lost)
    w.book("write_off", ledger.write_off(lost, w.s.currency))
