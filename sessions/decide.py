"""`decide`: a session, a fact, the time → what follows. Pure: no clock, no randomness, no I/O.

First the fact moves the two tables (`sessions.tables.CHARGING_TABLE`, `billing.payment.PAYMENT_TABLE`); then the joint
rules are applied until none fits. A fact that no row knows changes nothing: late, repeated and reordered facts are
normal here. Comments name the edge case (EC n) of the money rules that a branch obeys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from billing import ledger
from billing.cost import Cost, cap_cost
from billing.ledger import EntrySet
from billing.payment import RESOLVED, Payment, PaymentEvent
from billing.payment import after as payment_after
from billing.pricing import affordable_s, price
from billing.usage import Period, Usage
from sessions import facts, meter
from sessions.commands import (
    AnyCommand,
    AuthoriseHold,
    CaptureHold,
    LookUpHold,
    Message,
    ReachDeadline,
    ReleaseHold,
    ShowOnTerminal,
    ShowSelection,
    StartCharging,
    StopCharging,
    Timer,
)
from sessions.session import Authorisation, Decision, Origin, Policy, Session
from sessions.tables import OVER, RUNNING, Charging, ChargingEvent
from sessions.tables import after as charging_after

_LONGEST_LOOK_UP_INTERVAL_S = 3600

#: Ends that the station, not the driver or the car, brought about (2.0.1 ReasonEnumType).
STATION_FAULTS = frozenset(
    {"EmergencyStop", "GroundFault", "ImmediateReset", "OvercurrentFault", "PowerLoss", "PowerQuality", "Reboot"}
)


@dataclass(slots=True)
class _Work:
    """A decision in the making."""

    s: Session
    now: datetime
    policy: Policy
    commands: list[AnyCommand] = field(default_factory=list)
    entry_sets: list[tuple[str, EntrySet]] = field(default_factory=list)

    def set(self, **changes: Any) -> None:
        self.s = replace(self.s, **changes)

    def flag(self, reason: str) -> None:
        if reason not in self.s.flags:
            self.set(flags=(*self.s.flags, reason))

    def charging(self, event: ChargingEvent) -> bool:
        """Move the charge; return whether the table has a row."""
        new = charging_after(self.s.charging, event)
        moved = new is not self.s.charging
        if moved:
            self.set(charging=new)
        return moved

    def payment(self, event: PaymentEvent) -> bool:
        """Move the payment; return whether the table has a row."""
        new = payment_after(self.s.payment, event)
        moved = new is not self.s.payment
        if moved:
            self.set(payment=new)
        return moved

    def book(self, what: str, entries: EntrySet) -> None:
        self.entry_sets.append((f"{self.s.session_id}:{what}", entries))

    def timer(self, timer: Timer, due_at: datetime, number: int = 0) -> None:
        key = f"{self.s.session_id}:timer:{timer}:{number}"
        self.commands.append(ReachDeadline(key=key, session_id=self.s.session_id, due_at=due_at, timer=timer))

    def show(self, message: Message, *, arm_id: str | None = None, receipt: bool = False, **parameters: str) -> None:
        """Say something on the terminal, if there is one. With ``arm_id`` the interaction ends with it."""
        if self.s.terminal_serial is None:
            return
        label = self.s.place.label if self.s.place else ""
        self.commands.append(
            ShowOnTerminal(
                key=f"{self.s.session_id}:show:{message}:{arm_id or ''}",
                session_id=self.s.session_id,
                serial=self.s.terminal_serial,
                message=message,
                language=self.s.language,
                parameters={"evse": label, "currency": self.s.currency, **parameters},
                receipt_url_token=self.s.receipt_token if receipt else None,
                arm_id=arm_id,
                ends_interaction=arm_id is not None,
            )
        )


def decide(session: Session, fact: facts.AnyFact, now: datetime, policy: Policy) -> Decision:
    """Return what follows from ``fact`` for ``session`` at ``now`` (aware UTC)."""
    work = _Work(s=session, now=now, policy=policy)
    handler = _HANDLERS.get(type(fact))
    if handler is not None:
        handler(work, fact)
    while any(rule(work) for rule in JOINT_RULES):
        pass
    return Decision(session=work.s, commands=tuple(work.commands), entry_sets=tuple(work.entry_sets))


# --- the tap ----------------------------------------------------------------------------------------------------------


def _card_presented(w: _Work, fact: facts.CardPresented) -> None:
    if fact.session_id != w.s.session_id:  # EC 7, 21: the same card again ends the session it opened
        w.show(Message.STOPPING, arm_id=fact.arm_id)
        _stop_requested(w, by="card")
        return
    if w.s.charging is Charging.CHOOSING:
        items = tuple((f"{place.station_id}/{place.evse_id}", place.label) for place, _ in w.s.choices)
        w.commands.append(
            ShowSelection(
                key=f"{w.s.session_id}:select:{fact.arm_id}",
                session_id=w.s.session_id,
                serial=fact.serial,
                items=items,
                language=w.s.language,
            )
        )
        w.timer(Timer.CHOICE, w.now + timedelta(seconds=w.policy.choice_timeout_s))
        return
    _authorise(w)


def _evse_chosen(w: _Work, fact: facts.EvseChosen) -> None:
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


def _authorise(w: _Work) -> None:
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
            arm_id=w.s.arm_id,
            card_ref=w.s.card.card_ref,
            hold_minor=w.s.hold_minor,
            currency=w.s.currency,
            language=w.s.language,
        )
    )


# --- the hold ---------------------------------------------------------------------------------------------------------


def _payment_held(w: _Work, fact: facts.PaymentHeld) -> None:
    known = w.s.authorisation.payment_ref
    if known == fact.payment_ref:
        return
    if known:  # a second hold for one tap: give it back at once, and have somebody look
        w.flag("second-hold")
        w.set(hold_number=w.s.hold_number + 1)
        _release(w, fact.payment_ref)
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


def _payment_declined(w: _Work, fact: facts.PaymentDeclined) -> None:
    if w.payment(PaymentEvent.DECLINE):
        w.set(end_reason=fact.reason)
        w.show(Message.DECLINED, arm_id=w.s.arm_id)


def _payment_unanswered(w: _Work, _: facts.PaymentUnanswered) -> None:
    if w.payment(PaymentEvent.AUTHORISE_UNANSWERED):
        w.timer(Timer.PAYMENT, w.now + timedelta(seconds=w.policy.payment_timeout_s))
    if w.s.payment is Payment.UNKNOWN:
        _look_up_again(w)


def _payment_not_found(w: _Work, _: facts.PaymentNotFound) -> None:
    if w.s.payment is not Payment.UNKNOWN:
        return
    if w.now - w.s.opened_at >= timedelta(seconds=w.policy.look_up_for_s):
        w.payment(PaymentEvent.LOOK_UP_EXHAUSTED)
    else:
        _look_up_again(w)


def _look_up_again(w: _Work) -> None:
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
            arm_id=w.s.arm_id,
            card_ref=w.s.card.card_ref,
        )
    )


# --- start and stop ---------------------------------------------------------------------------------------------------


def _start_accepted(w: _Work, fact: facts.StartAccepted) -> None:
    if w.charging(ChargingEvent.START_ACCEPTED):
        if fact.transaction_id and w.s.transaction_id is None:
            w.set(transaction_id=fact.transaction_id)  # 2.0.1, cable first: the transaction that was waiting
        w.show(Message.PLUG_IN, minutes=str(max(1, w.policy.connection_timeout_s // 60)))


def _start_refused(w: _Work, fact: facts.StartRefused) -> None:
    if w.charging(ChargingEvent.START_REFUSED):  # EC 3
        w.set(end_reason=fact.reason)
        w.show(Message.STATION_OFFLINE if fact.reason == "offline" else Message.START_REFUSED)


def _start_unanswered(w: _Work, _: facts.StartUnanswered) -> None:
    w.charging(ChargingEvent.START_UNANSWERED)  # EC 4: unknown; the start timer decides


def _stop(w: _Work, fact: facts.StopRequested) -> None:
    _stop_requested(w, by=fact.by)


def _stop_requested(w: _Work, *, by: str) -> None:
    running = w.s.charging is Charging.CHARGING
    if not w.charging(ChargingEvent.STOP_REQUESTED):
        return
    w.set(stop_by=by)
    if running:
        _ask_to_stop(w)
    elif not w.s.end_reason:
        w.set(end_reason=f"cancelled by {by}")


def _ask_to_stop(w: _Work) -> None:
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


# --- the transaction --------------------------------------------------------------------------------------------------


def _transaction_started(w: _Work, fact: facts.TransactionStarted) -> None:
    late = w.s.charging is Charging.NOT_STARTED
    moved = w.charging(ChargingEvent.TRANSACTION_STARTED)
    if not moved and w.s.charging not in RUNNING:
        return
    if w.s.started_at is None:
        _adopt(w, fact)
        w.set(meter=_begun(w, fact, fact.register_wh))
    _metered(w, fact.samples, fact.charging_state, fact.station_time, first=True)
    if late:  # EC 5: the energy is free, and somebody should see that it happened
        w.set(unpaid=True)
        w.flag("late-start")
        _ask_to_stop(w)
    elif w.s.origin is Origin.UNAUTHORISED:
        if w.charging(ChargingEvent.STOP_REQUESTED):
            w.flag("unauthorised-transaction")
            w.set(stop_by="operator")
            _ask_to_stop(w)
    elif moved:
        w.show(Message.CHARGING, receipt=True)


def _transaction_updated(w: _Work, fact: facts.TransactionUpdated) -> None:
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
            _ask_to_stop(w)
        else:
            w.show(Message.CHARGING, receipt=True)
        _metered(w, fact.samples, fact.charging_state, fact.station_time, first=True)
        return
    _metered(w, fact.samples, fact.charging_state, fact.station_time)


def _energy_metered(w: _Work, fact: facts.EnergyMetered) -> None:
    if w.s.charging in RUNNING:
        _metered(w, fact.samples, None, w.now)


def _transaction_ended(w: _Work, fact: facts.TransactionEnded) -> None:
    register = str(fact.register_wh) if fact.register_wh is not None else ""
    if w.s.charging is Charging.ENDED:
        if register and w.s.end_register_wh and register != w.s.end_register_wh:  # EC 51: keep the first
            w.flag("second-end-differs")
        return
    if w.s.charging is Charging.LOST:  # EC 14: after a provisional settlement an operator compares
        w.flag("late-end")
        return
    if w.s.charging is Charging.NOT_STARTED:
        w.set(unpaid=True)
        w.flag("late-start")
        return
    if not w.charging(ChargingEvent.TRANSACTION_ENDED):
        return
    if w.s.started_at is None:  # the start was never told (short of memory, or lost): the end's own samples count
        _adopt(w, fact)
        w.set(meter=_begun(w, fact, None))
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


def _adopt(w: _Work, fact: facts.TransactionFact) -> None:
    """Take over what the transaction's first event says."""
    place = w.s.place
    if place is not None and fact.evse_id and place.evse_id != fact.evse_id:  # EC 6: accepted by its tag
        place = replace(place, evse_id=fact.evse_id)
        w.flag("other-evse")
    w.set(
        transaction_id=fact.transaction_id,
        place=place,
        started_at=meter.judge_time(fact.station_time, w.now) or w.now,
    )


def _begun(w: _Work, fact: facts.TransactionFact, register_wh: Any) -> meter.Meter:
    return meter.begin(
        w.s.meter,
        register_wh=register_wh,
        station_time=fact.station_time,
        seen_at=w.now,
        parked=fact.charging_state is facts.ChargingState.SUSPENDED_EV,
    )


def _metered(
    w: _Work,
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
        _stop_requested(w, by="limit")  # EC 15, 16: never let the cost pass the hold


def charging_state_reported(
    session: Session, state: facts.ChargingState, station_time: datetime | None, now: datetime
) -> Session:
    """1.6 tells suspension by StatusNotification, which names no transaction: the store finds the running session."""
    if session.charging not in RUNNING:
        return session
    changed = meter.state_changed(session.meter, state, station_time=station_time or now, seen_at=now)
    return session if changed is session.meter else replace(session, meter=changed)


# --- deadlines --------------------------------------------------------------------------------------------------------


def _deadline(w: _Work, fact: facts.DeadlineReached) -> None:
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
                    _ask_to_stop(w)
                else:
                    w.flag("stop-unheeded")
                    if w.s.payment in RESOLVED:  # nothing to bill, so nothing to wait for: the EVSE is given up
                        _settle_provisionally(w)
        case Timer.HOLD_ENDING:
            _stop_requested(w, by="limit")
        case Timer.SETTLE:
            _settle_provisionally(w)


def _settle_provisionally(w: _Work) -> None:
    """EC 11, 13: on the last proven register; what the meter doubted is for the operator to see."""
    if not w.charging(ChargingEvent.SETTLE):
        return
    w.set(provisional=True, ended_at=w.s.meter.last_at or w.now, end_reason="end never reported")
    for reason in (*w.s.meter.flags, *(("energy-unproven",) if w.s.meter.unproven else ()), "settled-provisionally"):
        w.flag(reason)


# --- capture and release ----------------------------------------------------------------------------------------------


def _capture_confirmed(w: _Work, fact: facts.CaptureConfirmed) -> None:
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
    if w.s.held_minor > amount:
        w.book("release", ledger.release(w.s.held_minor - amount, w.s.currency))
    if beyond:  # EC 16: above the hold, or above what the provider took
        w.book("write_off", ledger.write_off(beyond, w.s.currency))


def _captured_nothing(w: _Work) -> None:
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))
    else:
        _capture_failed(w, "nothing")


def _capture_unanswered(w: _Work, _: facts.CaptureUnanswered) -> None:
    w.payment(PaymentEvent.CAPTURE_UNANSWERED)  # EC 39: the doer looks it up before it tries again


def _capture_refused(w: _Work, fact: facts.CaptureRefused) -> None:
    _capture_failed(w, fact.outcome)


def _capture_failed(w: _Work, outcome: str) -> None:
    if not w.payment(PaymentEvent.CAPTURE_FAILED):  # EC 38: written off, never a duplicate
        return
    w.flag(f"capture-{outcome}")
    w.flag("capture-failed")
    w.book("release", ledger.release(w.s.held_minor, w.s.currency))
    # All that was delivered, also what the hold would not have covered (EC 16).
    lost_minor = w.s.cost.total_minor if w.s.cost else w.s.capture_minor
    w.set(written_off_minor=lost_minor)
    w.book("write_off", ledger.write_off(lost_minor, w.s.currency))


def _hold_released(w: _Work, fact: facts.HoldReleased) -> None:
    if fact.payment_ref != w.s.authorisation.payment_ref:
        return  # the second hold of one tap, given back: it was never in the books
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))


def _release_refused(w: _Work, fact: facts.ReleaseRefused) -> None:
    if fact.payment_ref != w.s.authorisation.payment_ref:
        w.flag("second-hold-unreleased")
        if fact.outcome == "captured" and fact.amount_minor > 0:  # money we never asked for: in suspense
            w.book(f"unexplained:{fact.payment_ref}", ledger.unexplained(fact.amount_minor, 0, w.s.currency))
        return
    if fact.outcome == "captured":
        w.flag("captured-instead-of-released")
        _capture_confirmed(w, facts.CaptureConfirmed(
            key=fact.key, at=fact.at, session_id=fact.session_id, amount_minor=fact.amount_minor
        ))  # fmt: skip
        return
    w.flag(f"release-{fact.outcome}")
    # Unknown at the provider, or expired there: no hold stands any more.
    if w.payment(PaymentEvent.RELEASE_CONFIRMED):
        w.book("release", ledger.release(w.s.held_minor, w.s.currency))


def _release(w: _Work, payment_ref: str) -> None:
    if w.s.terminal_serial is None:
        return
    w.commands.append(
        ReleaseHold(
            key=f"{w.s.session_id}:release:{payment_ref}",
            session_id=w.s.session_id,
            serial=w.s.terminal_serial,
            payment_ref=payment_ref,
            language=w.s.language,
        )
    )


# --- money ------------------------------------------------------------------------------------------------------------


def cost_so_far(session: Session) -> Cost | None:
    """The cost of what is proven; None where there is no tariff."""
    if session.tariff is None:
        return None
    return price(session.tariff, Usage(periods=_billable(session)))


def _billable(s: Session) -> tuple[Period, ...]:
    """The periods that the driver has to pay for."""
    if s.unpaid or s.origin is Origin.UNAUTHORISED:
        return ()
    periods = meter.usage(s.meter)
    if not s.meter.energy_wh:
        if s.end_reason in STATION_FAULTS:  # EC 10
            return ()
        return tuple(_instant(period) for period in periods[:1])  # EC 27: at most the disclosed fee per session
    if s.end_reason in STATION_FAULTS:  # EC 26: what was delivered, no idle fee
        return tuple(_instant(p) if p.parked else p for p in periods if not p.parked or p.energy_wh)
    return periods


def _instant(period: Period) -> Period:
    return replace(period, end=period.start)


def projected_minor(session: Session, policy: Policy) -> int:
    """The cost at the next sample in the worst case: full power for one interval more, incl. VAT, minor units."""
    m = session.meter
    if session.tariff is None or m.last_at is None:
        return 0
    # Without a configured maximum the car's own power is the best bound there is, with a quarter on top.
    power_w = session.max_power_w or min(policy.max_power_w, m.power_w * 5 // 4)
    more_wh = power_w * policy.sample_interval_s // 3600
    start = m.last_at
    stop = start + timedelta(seconds=policy.sample_interval_s)
    parked = m.segments[-1].parked if m.segments else False
    ahead = Period(start=start, end=stop, energy_wh=more_wh, parked=parked)
    return price(session.tariff, Usage(periods=(*m.periods, ahead))).total_minor


# --- joint rules ------------------------------------------------------------------------------------------------------


def _rule_start(w: _Work) -> bool:
    """A hold stands (or none is needed) and the EVSE waits: start."""
    s = w.s
    if s.charging is not Charging.WAITING or s.payment not in {Payment.HELD, Payment.NONE} or s.place is None:
        return False
    w.charging(ChargingEvent.START)
    limit_w = limit_s = None
    if w.policy.offline_limit and s.place.max_power_w and s.held_minor and s.tariff is not None:
        limit_w = s.place.max_power_w
        limit_s = affordable_s(s.tariff, s.held_minor, limit_w, w.now, Usage(periods=()))
    w.commands.append(
        StartCharging(
            key=f"{s.session_id}:start",
            session_id=s.session_id,
            station_id=s.place.station_id,
            evse_id=s.place.evse_id,
            id_token=s.id_token,
            remote_start_id=s.remote_start_id or 0,
            limit_w=limit_w if limit_s else None,
            limit_s=limit_s or None,
        )
    )
    wait_s = w.policy.connection_timeout_s + w.policy.connection_margin_s
    w.timer(Timer.START, w.now + timedelta(seconds=wait_s))
    return True


def _rule_give_up(w: _Work) -> bool:
    """No hold: no start."""
    if w.s.charging is Charging.WAITING and w.s.payment in {Payment.DECLINED, Payment.NOT_HELD}:
        return w.charging(ChargingEvent.GIVE_UP)
    return False


def _rule_release(w: _Work) -> bool:
    """The charge never began and a hold stands: give it back."""
    if w.s.charging is not Charging.NOT_STARTED or w.s.payment is not Payment.HELD:
        return False
    w.payment(PaymentEvent.RELEASE)
    _release(w, w.s.authorisation.payment_ref)
    return True


def _rule_price(w: _Work) -> bool:
    """The charge is over: what did it cost? Once."""
    s = w.s
    if s.charging not in {Charging.ENDED, Charging.LOST} or s.cost is not None or s.tariff is None:
        return False
    w.set(cost=cost_so_far(s))
    return True


def _rule_settle(w: _Work) -> bool:
    """The charge is over and priced, and the hold stands: capture the cost (at most the hold), or release it all."""
    s = w.s
    if s.charging not in {Charging.ENDED, Charging.LOST} or s.payment is not Payment.HELD:
        return False
    total = 0 if s.cost is None or s.unpaid else s.cost.total_minor
    amount = min(total, s.held_minor)
    # EC 27: nothing was delivered, nothing is charged, unless a disclosed fee says otherwise; never capture 0.
    if amount <= 0 or s.terminal_serial is None:
        w.payment(PaymentEvent.RELEASE)
        _release(w, s.authorisation.payment_ref)
        w.show(Message.NOT_CHARGED)
        return True
    w.payment(PaymentEvent.CAPTURE)
    w.set(capture_minor=amount)
    w.commands.append(
        CaptureHold(
            key=f"{s.session_id}:capture",
            session_id=s.session_id,
            serial=s.terminal_serial,
            payment_ref=s.authorisation.payment_ref,
            amount_minor=amount,
            held_minor=s.held_minor,
            currency=s.currency,
            language=s.language,
        )
    )
    w.show(Message.FINISHED, receipt=True, amount_minor=str(amount))
    return True


def _rule_receipt(w: _Work) -> bool:
    """Money was taken: a sales document is owed, in this very commit."""
    s = w.s
    explained = s.cost is not None and 0 < s.captured_minor == s.cost.total_minor <= s.held_minor
    if s.payment is Payment.CAPTURED and explained and not s.receipt_due:
        w.set(receipt_due=True)
        return True
    return False


def _rule_close(w: _Work) -> bool:
    """Charge and payment are both over."""
    if w.s.closed_at is None and not w.s.open:
        w.set(closed_at=w.now)
        return True
    if w.s.closed_at is not None and w.s.open:  # a late success reopened it
        w.set(closed_at=None)
        return True
    return False


#: Applied in this order until none fits.
JOINT_RULES: tuple[Callable[[_Work], bool], ...] = (
    _rule_give_up,
    _rule_start,
    _rule_release,
    _rule_price,
    _rule_settle,
    _rule_receipt,
    _rule_close,
)

_HANDLERS: dict[type[facts.Fact], Callable[[_Work, Any], None]] = {
    facts.CardPresented: _card_presented,
    facts.EvseChosen: _evse_chosen,
    facts.PaymentHeld: _payment_held,
    facts.PaymentDeclined: _payment_declined,
    facts.PaymentUnanswered: _payment_unanswered,
    facts.PaymentNotFound: _payment_not_found,
    facts.StartAccepted: _start_accepted,
    facts.StartRefused: _start_refused,
    facts.StartUnanswered: _start_unanswered,
    facts.StopRequested: _stop,
    facts.TransactionStarted: _transaction_started,
    facts.TransactionUpdated: _transaction_updated,
    facts.EnergyMetered: _energy_metered,
    facts.TransactionEnded: _transaction_ended,
    facts.DeadlineReached: _deadline,
    facts.CaptureConfirmed: _capture_confirmed,
    facts.CaptureUnanswered: _capture_unanswered,
    facts.CaptureRefused: _capture_refused,
    facts.HoldReleased: _hold_released,
    facts.ReleaseRefused: _release_refused,
}
