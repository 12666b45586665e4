"""Every state × every event: the tables decide, nothing beside them; a pair without a row changes nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from billing.payment import HOLD_OPEN, PAYMENT_TABLE, RESOLVED, Payment, PaymentEvent
from billing.payment import after as payment_after
from sessions import facts
from sessions.commands import CaptureHold, ReleaseHold, StartCharging, Timer
from sessions.session import Session
from sessions.tables import CHARGING_TABLE, CLAIMING, OVER, RUNNING, Charging, ChargingEvent
from sessions.tables import after as charging_after
from tests.unit.sessions.examples import POLICY, card, deadline, decided, ended, fact, held, session, started, updated

CHARGING_FACTS: dict[ChargingEvent, facts.Fact] = {
    ChargingEvent.EVSE_CHOSEN: facts.EvseChosen(
        key="chosen", at=card().at, serial="P1", session_id="S1", choice="CS1/1"
    ),
    ChargingEvent.CHOICE_TIMED_OUT: deadline(Timer.CHOICE, 30),
    ChargingEvent.START_ACCEPTED: fact(facts.StartAccepted),
    ChargingEvent.START_REFUSED: fact(facts.StartRefused, reason="Rejected"),
    ChargingEvent.START_UNANSWERED: fact(facts.StartUnanswered),
    ChargingEvent.START_TIMED_OUT: deadline(Timer.START, 125),
    ChargingEvent.TRANSACTION_STARTED: started(),
    ChargingEvent.TRANSACTION_ENDED: ended(),
    ChargingEvent.STOP_REQUESTED: fact(facts.StopRequested, by="operator"),
    ChargingEvent.SETTLE: deadline(Timer.SETTLE, 48 * 3600),
}

PAYMENT_FACTS: dict[PaymentEvent, facts.Fact] = {
    PaymentEvent.HOLD_CONFIRMED: held(),
    PaymentEvent.DECLINE: fact(facts.PaymentDeclined, reason="Declined"),
    PaymentEvent.AUTHORISE_UNANSWERED: fact(facts.PaymentUnanswered),
    PaymentEvent.LOOK_UP_EXHAUSTED: fact(facts.PaymentNotFound, seconds=POLICY.look_up_for_s),
    PaymentEvent.CAPTURE_CONFIRMED: fact(facts.CaptureConfirmed, amount_minor=2000),
    PaymentEvent.CAPTURE_UNANSWERED: fact(facts.CaptureUnanswered),
    PaymentEvent.CAPTURE_FAILED: fact(facts.CaptureRefused, outcome="failed"),
    PaymentEvent.RELEASE_CONFIRMED: fact(facts.HoldReleased, payment_ref="P-1"),
}

#: Moved by a joint rule on top of the fact's own row: where the two tables meet.
RULES_MOVE = {
    (Charging.WAITING, Payment.HELD),
    (Charging.WAITING, Payment.NONE),
    (Charging.WAITING, Payment.DECLINED),
    (Charging.WAITING, Payment.NOT_HELD),
}


def settled(start: Session) -> Session:
    """The session without what a rule adds of its own."""
    return replace(start, closed_at=None)


@pytest.mark.parametrize(("state", "event"), list(product(Charging, CHARGING_FACTS)))
def test_charge_moves_as_the_table_says(state: Charging, event: ChargingEvent) -> None:
    # A payment on the way keeps the joint rules out of it.
    start = session(state, Payment.AUTHORISING)
    new = decided(start, CHARGING_FACTS[event]).session
    assert new.charging is charging_after(state, event)
    if event not in CHARGING_TABLE[state]:
        assert settled(new).charging is start.charging
        assert new.payment is start.payment


@pytest.mark.parametrize(("state", "event"), list(product(Payment, PAYMENT_FACTS)))
def test_payment_moves_as_the_table_says(state: Payment, event: PaymentEvent) -> None:
    # A running charge keeps the joint rules out of it.
    start = session(Charging.CHARGING, state)
    if state in {Payment.CAPTURING, Payment.CAPTURE_UNKNOWN, Payment.WRITTEN_OFF}:
        start = replace(start, capture_minor=2000)
    decision = decided(start, PAYMENT_FACTS[event])
    assert decision.session.payment is payment_after(state, event)
    if event not in PAYMENT_TABLE[state]:
        assert not decision.entry_sets
        assert decision.session.held_minor == start.held_minor
        assert decision.session.captured_minor == start.captured_minor
        assert not [c for c in decision.commands if isinstance(c, CaptureHold | ReleaseHold | StartCharging)]


def reachable(table: Any, begin: Any) -> set[Any]:
    found, new = {begin}, [begin]
    while new:
        for target in table[new.pop()].values():
            if target not in found:
                found.add(target)
                new.append(target)
    return found


def test_every_charging_state_is_reachable_and_every_event_has_a_row() -> None:
    assert reachable(CHARGING_TABLE, Charging.CHOOSING) == set(Charging)
    assert {event for rows in CHARGING_TABLE.values() for event in rows} == set(ChargingEvent)
    decided_here = {ChargingEvent.START, ChargingEvent.GIVE_UP}
    after_all = {ChargingEvent.FOUND_RUNNING, ChargingEvent.FOUND_RUNNING_SETTLED}  # test_dangling.py
    assert set(CHARGING_FACTS) | decided_here | after_all == set(ChargingEvent)


def test_every_payment_state_is_reachable_and_every_event_has_a_row() -> None:
    elsewhere = reachable(PAYMENT_TABLE, Payment.AT_STATION)  # a payment begins here, or at a station's own terminal
    assert reachable(PAYMENT_TABLE, Payment.NONE) | elsewhere == set(Payment)
    assert {event for rows in PAYMENT_TABLE.values() for event in rows} == set(PaymentEvent)
    decided_here = {PaymentEvent.AUTHORISE, PaymentEvent.CAPTURE, PaymentEvent.RELEASE}
    assert set(PAYMENT_FACTS) | decided_here == set(PaymentEvent)


def test_no_row_leads_nowhere() -> None:
    for table in (CHARGING_TABLE, PAYMENT_TABLE):
        for state, rows in table.items():
            assert state not in rows.values(), f"{state} has a row that stays where it is"


def test_states_are_sorted_into_the_sets_that_rules_use() -> None:
    assert set(Charging) == {Charging.CHOOSING} | CLAIMING | RUNNING | OVER
    assert not CLAIMING & RUNNING
    assert not (CLAIMING | RUNNING) & OVER
    assert set(Payment) == {Payment.AT_STATION, Payment.AUTHORISING, Payment.UNKNOWN} | HOLD_OPEN | RESOLVED
    assert not HOLD_OPEN & RESOLVED


@pytest.mark.parametrize("state", sorted(RESOLVED))
def test_only_a_late_success_leaves_a_resolved_payment(state: Payment) -> None:
    late = {PaymentEvent.HOLD_CONFIRMED, PaymentEvent.CAPTURE_CONFIRMED, PaymentEvent.AUTHORISE}
    assert set(PAYMENT_TABLE[state]) <= late


@pytest.mark.parametrize(
    ("charging", "payment"),
    [pair for pair in product(Charging, Payment) if pair not in RULES_MOVE],
)
@pytest.mark.parametrize(
    "stray",
    [
        facts.StopAccepted(key="k", at=card().at, session_id="S1"),
        facts.StopRefused(key="k", at=card().at, session_id="S1", reason="offline"),
        facts.ReleaseUnanswered(key="k", at=card().at, session_id="S1"),
        facts.StationConnected(key="k", at=card().at, station_id="CS1", version="ocpp1.6"),
    ],
    ids=lambda f: type(f).__name__,
)
def test_a_fact_without_a_handler_asks_for_nothing(charging: Charging, payment: Payment, stray: facts.Fact) -> None:
    decision = decided(session(charging, payment, cost=None), stray)
    assert decision.session.charging is charging
    if payment is not Payment.HELD or charging not in OVER:
        assert decision.session.payment is payment
        assert decision.commands == ()
        assert decision.entry_sets == ()


@pytest.mark.parametrize("state", list(Charging))
def test_updated_counts_as_a_start_only_where_a_transaction_is_awaited(state: Charging) -> None:
    new = decided(session(state, Payment.AUTHORISING), updated(20)).session
    assert new.charging is charging_after(state, ChargingEvent.TRANSACTION_STARTED)
