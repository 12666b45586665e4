"""`decide`: a session, a fact, the time → what follows. Pure: no clock, no randomness, no I/O.

First the fact moves the two tables (`sessions.tables.CHARGING_TABLE`, `billing.payment.PAYMENT_TABLE`); then the joint
rules are applied until none fits. A fact that no row knows changes nothing: late, repeated and reordered facts are
normal here. Comments name the edge case (EC n) of the money rules that a branch obeys.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from billing import ledger
from billing.cost import Cost
from billing.ledger import EntrySet
from billing.payment import Payment, PaymentEvent
from sessions import charging, dangling, direct, facts, limits, settlement, settling, tapping
from sessions.commands import CaptureHold, Message, StartCharging, Timer
from sessions.cost import cost_so_far
from sessions.session import Decision, Origin, Policy, Session
from sessions.settling import release
from sessions.tables import Charging, ChargingEvent
from sessions.work import Work


def decide(session: Session, fact: facts.Fact, now: datetime, policy: Policy) -> Decision:
    """Return what follows from ``fact`` for ``session`` at ``now`` (aware UTC)."""
    work = Work(s=session, now=now, policy=policy)
    if isinstance(fact, facts.TransactionFact):
        limits.told(work, fact)
        direct.authorised(work, fact)
    handler = _HANDLERS.get(type(fact))
    if handler is not None:
        handler(work, fact)
    while any(rule(work) for rule in JOINT_RULES):
        pass
    return Decision(session=work.s, commands=tuple(work.commands), entry_sets=tuple(work.entry_sets))


# --- joint rules ------------------------------------------------------------------------------------------------------


def _rule_start(w: Work) -> bool:
    """A hold stands (or none is needed) and the EVSE waits: start."""
    s = w.s
    if s.charging is not Charging.WAITING or s.payment not in {Payment.HELD, Payment.NONE} or s.place is None:
        return False
    w.charging(ChargingEvent.START)
    limit_w, limit_s = limits.offline_limit(w)
    w.commands.append(
        StartCharging(
            key=f"{s.session_id}:start",
            session_id=s.session_id,
            station_id=s.place.station_id,
            evse_id=s.place.evse_id,
            id_token=s.id_token,
            id_token_type=s.id_token_type,
            remote_start_id=s.remote_start_id or 0,
            payment_ref=s.authorisation.payment_ref if s.held_minor else "",
            limit_w=limit_w,
            limit_s=limit_s,
        )
    )
    wait_s = w.policy.connection_timeout_s + w.policy.connection_margin_s
    w.timer(Timer.START, w.now + timedelta(seconds=wait_s))
    return True


def _rule_give_up(w: Work) -> bool:
    """No hold: no start."""
    if w.s.charging is Charging.WAITING and w.s.payment in {Payment.DECLINED, Payment.NOT_HELD}:
        return w.charging(ChargingEvent.GIVE_UP)
    return False


def _rule_release(w: Work) -> bool:
    """The charge never began and a hold stands: give it back."""
    if w.s.charging is not Charging.NOT_STARTED or w.s.payment is not Payment.HELD:
        return False
    w.payment(PaymentEvent.RELEASE)
    release(w, w.s.authorisation.payment_ref)
    return True


def _rule_price(w: Work) -> bool:
    """The charge is over: what did it cost? Once."""
    s = w.s
    if s.charging not in {Charging.ENDED, Charging.LOST} or s.cost is not None or s.tariff is None:
        return False
    w.set(cost=cost_so_far(s))
    return True


def _rule_settle(w: Work) -> bool:
    """The charge is over and priced, and the hold stands: capture the cost (at most the hold), or release it all."""
    s = w.s
    if s.charging not in {Charging.ENDED, Charging.LOST} or s.payment is not Payment.HELD:
        return False
    total = 0 if s.cost is None or s.unpaid else s.cost.total_minor
    amount = min(total, s.held_minor)
    # EC 27: nothing was delivered, nothing is charged, unless a disclosed fee says otherwise; never capture 0.
    if amount <= 0 or s.terminal_serial is None:
        w.payment(PaymentEvent.RELEASE)
        release(w, s.authorisation.payment_ref)
        w.show(Message.NOT_CHARGED)
        return True
    w.payment(PaymentEvent.CAPTURE)
    w.set(capture_minor=amount)
    w.commands.append(
        CaptureHold(
            key=f"{s.session_id}:capture",
            session_id=s.session_id,
            serial=s.terminal_serial,
            account_id=s.account_id,
            payment_ref=s.authorisation.payment_ref,
            amount_minor=amount,
            held_minor=s.held_minor,
            currency=s.currency,
            language=s.language,
        )
    )
    w.show(Message.FINISHED, receipt=True, amount_minor=str(amount))
    return True


def _rule_contract(w: Work) -> bool:
    """A charge without a card is over and priced: whoever is behind the token owes it, the platform owes the owner."""
    s = w.s
    if s.origin not in {Origin.RFID, Origin.OPERATOR} or s.cost is None or s.unpaid or s.cost == s.contract:
        return False
    if s.contract is not None:
        _book_contract(w, s.contract, f"{s.contracts - 1}:reversed", ledger.reversal)
    _book_contract(w, s.cost, str(s.contracts), lambda entries: entries)
    w.set(contract=s.cost, contracts=s.contracts + 1)
    return True


def _book_contract(w: Work, cost: Cost, number: str, turned: Callable[[EntrySet], EntrySet]) -> None:
    if cost.total_minor == 0:
        return
    w.book(f"contract:{number}", turned(ledger.contract(cost)))
    if w.s.owed_to_owner:
        w.book(f"owed:{number}", turned(ledger.owed(cost)))


def _rule_receipt(w: Work) -> bool:
    """Money was taken: a sales document is owed, in this very commit."""
    s = w.s
    explained = s.cost is not None and 0 < s.captured_minor == s.cost.total_minor
    explained = explained and (s.captured_minor <= s.held_minor or s.origin is Origin.DIRECT)
    if s.payment is Payment.CAPTURED and explained and not s.receipt_due:
        w.set(receipt_due=True)
        return True
    return False


def _rule_close(w: Work) -> bool:
    """Charge and payment are both over."""
    if w.s.closed_at is None and not w.s.open:
        w.set(closed_at=w.now)
        return True
    if w.s.closed_at is not None and w.s.open:  # a late success reopened it
        w.set(closed_at=None)
        return True
    return False


#: Applied in this order until none fits.
JOINT_RULES: tuple[Callable[[Work], bool], ...] = (
    _rule_give_up,
    _rule_start,
    _rule_release,
    _rule_price,
    _rule_settle,
    direct.rule_settled,
    _rule_contract,
    _rule_receipt,
    _rule_close,
)

_HANDLERS: dict[type[facts.Fact], Callable[[Work, Any], None]] = {
    facts.CardPresented: tapping.card_presented,
    facts.EvseChosen: tapping.evse_chosen,
    facts.PaymentHeld: tapping.payment_held,
    facts.PaymentDeclined: tapping.payment_declined,
    facts.PaymentUnanswered: tapping.payment_unanswered,
    facts.PaymentNotFound: tapping.payment_not_found,
    facts.StartAccepted: charging.start_accepted,
    facts.StartRefused: charging.start_refused,
    facts.StartUnanswered: charging.start_unanswered,
    facts.StopRequested: charging.stop,
    facts.TransactionStarted: charging.transaction_started,
    facts.TransactionUpdated: charging.transaction_updated,
    facts.EnergyMetered: charging.energy_metered,
    facts.TransactionEnded: charging.transaction_ended,
    facts.TransactionStatusTold: dangling.status_told,
    limits.EvChargingNeedsTold: limits.needs_told,
    facts.TransactionSuperseded: dangling.superseded,
    facts.EvseStatusReported: dangling.status_reported,
    facts.StationConnected: dangling.station_back,
    facts.StationBooted: dangling.station_back,
    facts.StationDisconnected: dangling.station_gone,
    settlement.SettlementNotified: direct.settlement_notified,
    facts.DeadlineReached: charging.deadline,
    facts.CaptureConfirmed: settling.capture_confirmed,
    facts.CaptureUnanswered: settling.capture_unanswered,
    facts.CaptureRefused: settling.capture_refused,
    facts.HoldReleased: settling.hold_released,
    facts.ReleaseRefused: settling.release_refused,
}
