"""The edge cases of the money rules that `decide` covers, by their number (EC n)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.ledger import Account, EntrySet, balance, open_hold
from billing.payment import Payment
from billing.tariff import simple_tariff
from sessions import facts as f
from sessions.commands import (
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
from sessions.cost import STATION_FAULTS, cost_so_far, projected_minor
from sessions.decide import decide
from sessions.facts import ChargingState
from sessions.session import Origin, Policy, Session
from sessions.tables import Charging
from tests.unit.sessions.examples import (
    FREE,
    HOLD,
    PLACE,
    POLICY,
    T0,
    after,
    at,
    card,
    deadline,
    decided,
    ended,
    fact,
    held,
    metered,
    of_kind,
    sample,
    session,
    started,
    updated,
)

IDLE = simple_tariff(
    "idle", "EUR", hold_minor=HOLD, per_kwh=Decimal("0.5"), per_session=Decimal(1), idle_per_minute=Decimal("0.1")
)
TIMED = simple_tariff("timed", "EUR", hold_minor=HOLD, per_minute=Decimal("0.1"))


def messages(commands: object) -> list[Message]:
    return [command.message for command in of_kind(commands, ShowOnTerminal)]


def timer(commands: object, which: Timer) -> datetime | None:
    due = [c.due_at for c in of_kind(commands, ReachDeadline) if c.timer is which]
    return due[0] if due else None


def books(start: Session, *steps: f.Fact) -> tuple[Session, dict[str, EntrySet]]:
    """The session after the steps, and all it booked."""
    booked: dict[str, EntrySet] = {}
    for step in steps:
        decision = decided(start, step)
        start = decision.session
        booked |= decision.entry_sets
    return start, booked


def total(booked: dict[str, EntrySet], account: Account) -> int:
    return balance(entry for entries in booked.values() for entry in entries.entries).get(account, 0)


def charging(**changes: object) -> Session:
    return session(Charging.CHARGING, Payment.HELD, **changes)  # type: ignore[arg-type]


# --- start ------------------------------------------------------------------------------------------------------------


def test_the_straight_way_from_tap_to_receipt() -> None:
    s, commands = after(session(), card(), held(), fact(f.StartAccepted), started(), ended(3600, register=20_000))
    assert [type(c) for c in commands if not isinstance(c, ShowOnTerminal | ReachDeadline)] == [
        AuthoriseHold,
        StartCharging,
        CaptureHold,
    ]
    assert of_kind(commands, CaptureHold)[0].amount_minor == 2000
    assert messages(commands) == [Message.PLUG_IN, Message.CHARGING, Message.FINISHED]
    s, booked = books(session(), card(), held(), started(), ended(3600, register=20_000))
    s, more = books(s, fact(f.CaptureConfirmed, seconds=3700, amount_minor=2000))
    assert (s.payment, s.receipt_due, s.closed_at, s.flags) == (Payment.CAPTURED, True, at(3700), ())
    booked |= more
    assert (total(booked, Account.ACQUIRER), total(booked, Account.HOLD)) == (2000, 0)
    assert (total(booked, Account.REVENUE), total(booked, Account.VAT_PAYABLE)) == (-1600, -400)


def test_ec_1_never_plugged_in_is_released_at_the_timeout_and_five_seconds() -> None:
    s, commands = after(session(), card(), held(), fact(f.StartAccepted))
    assert timer(commands, Timer.START) == at(3 + POLICY.connection_timeout_s + POLICY.connection_margin_s)
    decision = decided(s, deadline(Timer.START, 128))
    assert decision.session.charging is Charging.NOT_STARTED
    assert [c.payment_ref for c in of_kind(decision.commands, ReleaseHold)] == ["P-1"]
    assert messages(decision.commands) == [Message.NOT_STARTED]


def test_ec_2_a_transaction_that_waited_is_begun_by_its_updated_event() -> None:
    s, _ = after(session(), card(), held(), fact(f.StartAccepted, transaction_id="TX1"))
    assert s.transaction_id == "TX1"
    s, commands = after(s, updated(12, sample(100, 12), state=ChargingState.CHARGING))
    assert (s.charging, s.started_at, s.meter.begin_wh) == (Charging.CHARGING, at(12), Decimal(100))
    assert messages(commands) == [Message.CHARGING]


@pytest.mark.parametrize(
    ("reason", "message"), [("Rejected", Message.START_REFUSED), ("offline", Message.STATION_OFFLINE)]
)
def test_ec_3_a_refused_start_releases_at_once_and_says_why(reason: str, message: Message) -> None:
    s, commands = after(session(), card(), held(), fact(f.StartRefused, reason=reason))
    assert (s.charging, s.payment, s.end_reason) == (Charging.NOT_STARTED, Payment.RELEASING, reason)
    assert len(of_kind(commands, ReleaseHold)) == 1
    assert messages(commands)[-1] is message


def test_ec_4_an_unanswered_start_waits_for_the_station_and_is_then_released() -> None:
    s, commands = after(session(), card(), held(), fact(f.StartUnanswered))
    assert (s.charging, of_kind(commands, ReleaseHold)) == (Charging.START_UNKNOWN, [])
    assert after(s, started())[0].charging is Charging.CHARGING
    assert after(s, deadline(Timer.START, 128))[0].payment is Payment.RELEASING


def test_ec_5_a_start_after_the_release_is_stopped_free_and_flagged() -> None:
    s, _ = after(session(), card(), held(), fact(f.StartRefused, reason="Rejected"))
    s, _ = after(s, fact(f.HoldReleased, seconds=6, payment_ref="P-1"))
    assert s.closed_at is not None
    s, commands = after(s, started(60), ended(120, register=1000))
    assert (s.unpaid, s.flags, s.charging) == (True, ("late-start",), Charging.ENDED)
    assert [c.transaction_id for c in of_kind(commands, StopCharging)] == ["TX1"]
    assert s.cost is not None
    assert (s.cost.total_minor, s.captured_minor, s.closed_at) == (0, 0, at(120))


def test_ec_5_by_an_updated_event_and_by_an_end_alone() -> None:
    gone, _ = after(session(), card(), held(), fact(f.StartRefused, reason="Rejected"))
    s, commands = after(gone, updated(60))
    assert (s.unpaid, s.charging, len(of_kind(commands, StopCharging))) == (True, Charging.STOPPING, 1)
    s, commands = after(gone, ended(60))
    assert (s.unpaid, s.flags, commands) == (True, ("late-start",), [])


def test_ec_5_a_late_start_that_nobody_can_stop_does_not_keep_the_evse() -> None:
    s, _ = after(session(Charging.NOT_STARTED, Payment.RELEASED), started(60))
    for n in range(1, POLICY.stop_attempts + 1):
        assert s.charging is Charging.STOPPING
        s, _ = after(s, deadline(Timer.STOP, 60 + 60 * n))
    assert (s.charging, s.stops_asked, s.open) == (Charging.LOST, POLICY.stop_attempts, False)
    assert {"late-start", "stop-unheeded"} <= set(s.flags)


def test_ec_6_a_start_on_another_connector_is_accepted_by_its_tag() -> None:
    s, _ = after(session(), card(), held(), started(evse_id=2))
    assert s.place is not None
    assert (s.place.evse_id, s.place.label, s.flags) == (2, PLACE.label, ("other-evse",))


@pytest.mark.parametrize("state", [Charging.STARTING, Charging.ACCEPTED, Charging.CHARGING])
def test_ec_7_21_the_same_card_again_ends_what_it_began(state: Charging) -> None:
    s, commands = after(session(state, Payment.HELD), card(session_id="other", arm_id="A2"))
    running = state is Charging.CHARGING
    assert s.charging is (Charging.STOPPING if running else Charging.NOT_STARTED)
    assert len(of_kind(commands, StopCharging)) == running
    assert len(of_kind(commands, ReleaseHold)) == (not running)
    assert messages(commands)[0] is Message.STOPPING
    assert of_kind(commands, AuthoriseHold) == []


def test_ec_7_a_tap_told_twice_asks_for_one_hold() -> None:
    s, commands = after(session(), card(), card(), held(), card())
    assert (len(of_kind(commands, AuthoriseHold)), s.payment) == (1, Payment.HELD)


def test_ec_8_an_evse_taken_during_the_choice_is_refused_without_a_hold() -> None:
    choosing = replace(session(Charging.CHOOSING), choices=())  # the router keeps only what is still free
    chosen = f.EvseChosen(key="c", at=at(5), serial="P1", session_id="S1", choice="CS1/1")
    s, commands = after(choosing, chosen)
    assert (s.charging, s.payment, s.open) == (Charging.NOT_STARTED, Payment.NONE, False)
    assert messages(commands) == [Message.EVSE_OCCUPIED]


@pytest.mark.parametrize("reason", sorted(STATION_FAULTS))
def test_ec_10_a_fault_before_energy_costs_nothing(reason: str) -> None:
    s, commands = after(charging(tariff=IDLE), ended(600, register=0, reason=reason))
    assert (s.payment, len(of_kind(commands, ReleaseHold))) == (Payment.RELEASING, 1)
    assert messages(commands) == [Message.NOT_CHARGED]


# --- during -----------------------------------------------------------------------------------------------------------


def test_ec_11_13_a_station_that_never_returns_is_settled_on_the_last_proven_register() -> None:
    s, commands = after(session(), card(), held(), started(), metered(1800, sample(10_000, 1800)))
    assert timer(commands, Timer.SETTLE) == at(3 + POLICY.hold_lifetime_s)
    s, commands = after(s, deadline(Timer.SETTLE, 3 + POLICY.hold_lifetime_s))
    assert (s.charging, s.provisional, s.ended_at) == (Charging.LOST, True, at(1800))
    assert of_kind(commands, CaptureHold)[0].amount_minor == 1000
    assert "settled-provisionally" in s.flags


def test_ec_13_without_any_register_it_is_released() -> None:
    s, commands = after(session(), card(), held(), started(register=None), deadline(Timer.SETTLE, 200_000))
    assert (s.payment, len(of_kind(commands, ReleaseHold))) == (Payment.RELEASING, 1)


def test_ec_13_what_the_meter_doubted_is_told_when_settled() -> None:
    doubted = metered(1800, sample("9000", 1800, unit="kWh"))
    s, _ = after(charging(), metered(900, sample(5000, 900)), metered(950, sample(10, 950)), doubted)
    s, _ = after(s, deadline(Timer.SETTLE, 200_000))
    assert {"register-fell", "energy-unproven", "settled-provisionally"} <= set(s.flags)


def test_ec_14_a_late_end_after_a_provisional_settlement_is_for_the_operator() -> None:
    s, _ = after(charging(), metered(1800, sample(10_000, 1800)), deadline(Timer.SETTLE, 200_000))
    s, _ = after(s, fact(f.CaptureConfirmed, seconds=200_001, amount_minor=1000))
    late, commands = after(s, ended(300_000, register=30_000))
    assert (late.capture_minor, late.meter.energy_wh, commands, late.flags[-1]) == (1000, 10_000, [], "late-end")


def test_ec_14_an_end_days_later_but_in_the_window_is_captured_exactly() -> None:
    s, commands = after(charging(), ended(100_000, register=20_000, station_time=at(3600)))
    assert (of_kind(commands, CaptureHold)[0].amount_minor, s.ended_at, s.provisional) == (2000, at(3600), False)


def test_ec_15_the_charge_is_stopped_before_the_cost_can_pass_the_hold() -> None:
    """150 kW for a minute are 2.5 kWh, 250 minor units: at 47 500 Wh the next minute may still be paid."""
    s, commands = after(charging(), metered(1800, sample(47_500, 1800)))
    assert (s.charging, projected_minor(s, POLICY)) == (Charging.CHARGING, 5000)
    s, commands = after(charging(), metered(1800, sample(47_510, 1800)))
    assert (s.charging, s.stop_by, len(of_kind(commands, StopCharging))) == (Charging.STOPPING, "limit", 1)


def test_ec_16_what_overshoots_the_hold_is_written_off() -> None:
    s, commands = after(charging(), ended(3600, register=60_000))
    assert of_kind(commands, CaptureHold)[0].amount_minor == HOLD
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=3700, amount_minor=HOLD))
    assert s.cost is not None
    assert (s.written_off_minor, s.cost.total_minor, s.receipt_due, s.flags) == (1000, HOLD, True, ())
    assert (total(booked, Account.WRITTEN_OFF), total(booked, Account.ACQUIRER)) == (1000, HOLD)


def test_ec_18_idle_counts_when_the_car_is_full_and_not_when_the_station_waits() -> None:
    full, _ = after(charging(tariff=IDLE), updated(1200, sample(2000, 1200), state=ChargingState.SUSPENDED_EV))
    waits, _ = after(charging(tariff=IDLE), updated(1200, sample(2000, 1200), state=ChargingState.SUSPENDED_EVSE))
    costs = [after(s, ended(2400, register=2000))[0].cost for s in (full, waits)]
    assert [c.total_minor for c in costs if c] == [100 + 100 + 200, 100 + 100]


def test_ec_26_an_emergency_stop_costs_what_was_delivered_and_no_idle_fee() -> None:
    full, _ = after(charging(tariff=IDLE), updated(1200, sample(2000, 1200), state=ChargingState.SUSPENDED_EV))
    s, _ = after(full, ended(2400, register=2000, reason="EmergencyStop"))
    assert s.cost is not None
    assert s.cost.total_minor == 200


def test_ec_20_unplugged_at_the_car_is_captured() -> None:
    s, commands = after(charging(), ended(3600, reason="EVDisconnected"))
    assert (s.end_reason, of_kind(commands, CaptureHold)[0].amount_minor) == ("EVDisconnected", 2000)


def test_ec_24_a_choice_is_asked_for_and_expires_in_seconds() -> None:
    s, commands = after(session(Charging.CHOOSING), card())
    assert of_kind(commands, ShowSelection)[0].items == (("CS1/1", "Bay 1"),)
    assert timer(commands, Timer.CHOICE) == at(POLICY.choice_timeout_s)
    s, commands = after(s, deadline(Timer.CHOICE, 30))
    assert (s.charging, s.open, messages(commands)) == (Charging.NOT_STARTED, False, [Message.CHOICE_TIMED_OUT])
    late = f.EvseChosen(key="c", at=at(31), serial="P1", session_id="S1", choice="CS1/1")
    assert decided(s, late).commands == ()


def test_ec_24_the_choice_is_bound_to_the_tap() -> None:
    chosen = f.EvseChosen(key="c", at=at(5), serial="P1", session_id="S1", choice="CS1/1")
    s, commands = after(session(Charging.CHOOSING), card(), chosen)
    assert (s.place, s.choices) == (PLACE, ())
    assert of_kind(commands, AuthoriseHold)[0].arm_id == "A1"


# --- meter ------------------------------------------------------------------------------------------------------------


def test_ec_27_without_energy_the_hold_is_released_whatever_the_time() -> None:
    s, commands = after(charging(tariff=TIMED), ended(3600, register=0))
    assert (s.payment, of_kind(commands, CaptureHold)) == (Payment.RELEASING, [])


def test_ec_27_without_energy_a_disclosed_start_fee_is_owed_and_no_more() -> None:
    parked = updated(600, sample(0, 600), state=ChargingState.SUSPENDED_EV)
    _, commands = after(charging(tariff=IDLE), parked, ended(3600, register=0))
    assert of_kind(commands, CaptureHold)[0].amount_minor == 100


def test_ec_28_a_fall_bills_the_proven_part_and_asks_for_a_look() -> None:
    s, commands = after(charging(), metered(1800, sample(10_000, 1800)), ended(3600, register=3))
    assert (of_kind(commands, CaptureHold)[0].amount_minor, s.flags) == (1000, ("register-fell",))


def test_ec_29_a_start_that_was_never_told_bills_from_the_ends_own_samples() -> None:
    samples = (sample(500, 20, context="Transaction.Begin"), sample(8500, 3600, context="Transaction.End"))
    s, commands = after(session(), card(), held(), ended(3600, register=None, samples=samples))
    assert (s.flags, of_kind(commands, CaptureHold)[0].amount_minor) == (("start-missing",), 800)


def test_ec_30_an_unproven_register_is_flagged_and_not_charged() -> None:
    s, commands = after(charging(), ended(3600, register=9_000_000))
    assert (s.payment, s.flags) == (Payment.RELEASING, ("register-impossible",))
    assert len(of_kind(commands, ReleaseHold)) == 1


def test_ec_34_a_clock_of_1970_counts_from_receipt_and_waives_time() -> None:
    past = datetime(1970, 1, 1, tzinfo=UTC)
    s, _ = after(session(tariff=TIMED), card(), held(), started(60, station_time=past))
    s, _ = after(s, ended(3600, register=5000, station_time=past))
    assert (s.started_at, s.ended_at) == (at(60), at(3600))
    assert s.cost is not None
    assert s.cost.total_minor == 0


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "not_found", "unanswered"])
def test_ec_38_a_capture_refused_for_good_is_written_off_in_full(outcome: str) -> None:
    s, _ = after(charging(), ended(3600, register=60_000))
    s, booked = books(s, fact(f.CaptureRefused, seconds=3700, outcome=outcome))
    assert (s.payment, s.written_off_minor, s.receipt_due) == (Payment.WRITTEN_OFF, 6000, False)
    assert set(s.flags) == {f"capture-{outcome}", "capture-failed"}
    assert total(booked, Account.WRITTEN_OFF) == 6000
    assert total(booked, Account.HOLD) == -HOLD  # the hold's own set was booked before


def test_ec_38_money_that_comes_after_all_waits_in_suspense() -> None:
    s, _ = after(charging(), ended(3600), fact(f.CaptureRefused, seconds=3700, outcome="unanswered"))
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=9000, amount_minor=2000))
    assert (s.payment, s.captured_minor) == (Payment.CAPTURED, 2000)
    assert "captured-after-write-off" in s.flags
    assert (total(booked, Account.SUSPENSE), open_hold(e for b in booked.values() for e in b.entries)) == (-2000, 0)


def test_ec_39_an_unanswered_capture_is_not_asked_again() -> None:
    s, commands = after(charging(), ended(3600), fact(f.CaptureUnanswered, seconds=3700))
    assert (s.payment, len(of_kind(commands, CaptureHold))) == (Payment.CAPTURE_UNKNOWN, 1)
    s, commands = after(s, fact(f.CaptureConfirmed, seconds=3800, amount_minor=2000))
    assert (s.payment, of_kind(commands, CaptureHold)) == (Payment.CAPTURED, [])


@pytest.mark.parametrize(
    ("amount", "flagged", "suspense", "written_off", "receipt"),
    [
        (1999, True, 0, 1, True),  # less than asked: our bill follows
        (2000, False, 0, 0, True),
        (2001, True, -2001, 0, False),  # more than the bill, though the hold would cover it
        (HOLD, True, -HOLD, 0, False),
        (HOLD + 1, True, -HOLD - 1, 0, False),  # above the hold
    ],
)
def test_the_books_follow_what_the_provider_says_it_captured(
    amount: int, flagged: bool, suspense: int, written_off: int, receipt: bool
) -> None:
    s, first = books(session(), card(), held(), started(), ended(3600))
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=3700, amount_minor=amount))
    booked |= first
    assert (s.captured_minor, s.receipt_due, "capture-amount-differs" in s.flags) == (amount, receipt, flagged)
    assert (total(booked, Account.SUSPENSE), total(booked, Account.WRITTEN_OFF)) == (suspense, written_off)
    assert (total(booked, Account.ACQUIRER), total(booked, Account.HOLD)) == (amount, 0)


def test_above_the_hold_no_receipt_is_owed_even_where_it_equals_the_cost() -> None:
    s, _ = after(charging(), ended(3600, register=50_010))
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=3700, amount_minor=HOLD + 1))
    assert (s.receipt_due, total(booked, Account.SUSPENSE)) == (False, -HOLD - 1)


@pytest.mark.parametrize("amount", [0, -5])
def test_a_capture_of_nothing_is_a_capture_that_failed(amount: int) -> None:
    s, _ = after(charging(), ended(3600))
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=3700, amount_minor=amount))
    assert (s.payment, s.captured_minor, "capture-nothing" in s.flags) == (Payment.WRITTEN_OFF, 0, True)
    assert total(booked, Account.WRITTEN_OFF) == 2000


@pytest.mark.parametrize("amount", [0, -5])
def test_a_hold_of_nothing_starts_nothing(amount: int) -> None:
    s, commands = after(session(), card(), held(amount))
    assert (s.charging, s.payment, s.held_minor) == (Charging.NOT_STARTED, Payment.RELEASING, 0)
    assert (of_kind(commands, StartCharging), messages(commands)) == ([], [Message.DECLINED])
    assert len(of_kind(commands, ReleaseHold)) == 1
    s, _ = after(s, fact(f.HoldReleased, seconds=9, payment_ref="P-1"))
    assert not s.open


def test_a_hold_of_another_amount_is_flagged_and_bounds_the_capture() -> None:
    s, commands = after(session(), card(), held(1500), started(), ended(3600))
    assert (s.flags, of_kind(commands, CaptureHold)[0].amount_minor) == (("hold-amount-differs",), 1500)


def test_a_second_hold_for_one_tap_is_given_back_at_once() -> None:
    s, commands = after(session(), card(), held(), held(ref="P-2"))
    assert (s.authorisation.payment_ref, s.hold_number, s.flags) == ("P-1", 2, ("second-hold",))
    assert [c.payment_ref for c in of_kind(commands, ReleaseHold)] == ["P-2"]
    s, commands = after(s, fact(f.HoldReleased, seconds=9, payment_ref="P-2"))
    assert (s.payment, commands) == (Payment.HELD, [])


def test_a_second_hold_that_was_captured_is_in_suspense() -> None:
    s, _ = after(session(), card(), held(), held(ref="P-2"))
    refused = fact(f.ReleaseRefused, seconds=9, payment_ref="P-2", outcome="captured", amount_minor=700)
    s, booked = books(s, refused)
    assert (s.payment, total(booked, Account.SUSPENSE)) == (Payment.HELD, -700)
    assert "second-hold-unreleased" in s.flags


@pytest.mark.parametrize("outcome", ["failed", "not_found", "unanswered"])
def test_ec_43_a_release_that_cannot_be_confirmed_is_closed_and_flagged(outcome: str) -> None:
    s, _ = after(session(), card(), held(), fact(f.StartRefused, reason="Rejected"))
    s, _ = after(s, fact(f.ReleaseUnanswered, seconds=6))
    assert s.payment is Payment.RELEASING
    s, booked = books(s, fact(f.ReleaseRefused, seconds=9, payment_ref="P-1", outcome=outcome))
    assert (s.payment, s.flags, s.open) == (Payment.RELEASED, (f"release-{outcome}",), False)
    assert total(booked, Account.HOLD) == -HOLD


def test_a_release_that_turns_out_captured_is_in_suspense() -> None:
    s, _ = after(session(), card(), held(), fact(f.StartRefused, reason="Rejected"))
    refused = fact(f.ReleaseRefused, seconds=9, payment_ref="P-1", outcome="captured", amount_minor=HOLD)
    s, booked = books(s, refused)
    assert (s.payment, s.captured_minor, total(booked, Account.SUSPENSE)) == (Payment.CAPTURED, HOLD, -HOLD)
    assert ("captured-instead-of-released" in s.flags, s.receipt_due) == (True, False)


def test_ec_50_a_free_tariff_takes_no_hold_and_costs_zero() -> None:
    s, commands = after(session(tariff=FREE), card(), started(), ended(3600))
    assert of_kind(commands, AuthoriseHold) == of_kind(commands, CaptureHold) == []
    assert s.cost is not None
    assert (s.cost.total_minor, s.payment, s.open) == (0, Payment.NONE, False)


def test_ec_51_a_second_end_with_another_register_keeps_the_first_and_is_flagged() -> None:
    s, _ = after(charging(), ended(3600, register=20_000))
    same, _ = after(s, ended(3700, register=20_000))
    other, commands = after(s, ended(3700, register=25_000))
    assert (same.flags, other.flags, commands) == ((), ("second-end-differs",), [])
    assert (other.capture_minor, other.meter.energy_wh) == (2000, 20_000)


# --- nobody knows whether a hold stands -------------------------------------------------------------------------------


def test_an_unanswered_authorisation_is_looked_up_never_repeated() -> None:
    s, commands = after(session(), card(), fact(f.PaymentUnanswered, seconds=0))
    assert (s.payment, len(of_kind(commands, AuthoriseHold))) == (Payment.UNKNOWN, 1)
    waits = [(c.due_at - T0).total_seconds() for c in of_kind(commands, LookUpHold)]
    for seconds in (10, 60, 200):
        s, commands = after(s, fact(f.PaymentNotFound, seconds=seconds))
        waits += [(c.due_at - at(seconds)).total_seconds() for c in of_kind(commands, LookUpHold)]
    assert waits == [1, 20, 40, 80]
    s, commands = after(s, fact(f.PaymentNotFound, seconds=POLICY.look_up_for_s))
    assert (s.payment, s.charging, s.open, of_kind(commands, LookUpHold)) == (
        Payment.NOT_HELD,
        Charging.NOT_STARTED,
        False,
        [],
    )


def test_a_driver_is_not_kept_waiting_and_a_hold_found_later_is_released() -> None:
    s, commands = after(session(), card(), fact(f.PaymentUnanswered, seconds=0))
    assert timer(commands, Timer.PAYMENT) == at(POLICY.payment_timeout_s)
    s, commands = after(s, deadline(Timer.PAYMENT, 60))
    assert (s.charging, s.open, messages(commands)) == (Charging.NOT_STARTED, True, [Message.PAYMENT_UNKNOWN])
    s, commands = after(s, held(seconds=80))
    assert (s.payment, of_kind(commands, StartCharging)) == (Payment.RELEASING, [])


def test_a_hold_found_in_time_starts_the_charge() -> None:
    s, commands = after(session(), card(), fact(f.PaymentUnanswered, seconds=0), held(seconds=20))
    assert (s.charging, len(of_kind(commands, StartCharging))) == (Charging.STARTING, 1)
    assert after(s, deadline(Timer.PAYMENT, 60))[0].charging is Charging.STARTING


def test_a_hold_after_a_decline_is_released() -> None:
    s, commands = after(session(), card(), fact(f.PaymentDeclined, reason="Declined"))
    assert (s.charging, s.open, messages(commands)) == (Charging.NOT_STARTED, False, [Message.DECLINED])
    s, commands = after(s, held(seconds=30))
    assert (s.payment, s.open, len(of_kind(commands, ReleaseHold))) == (Payment.RELEASING, True, 1)


# --- stop, timers, limits ---------------------------------------------------------------------------------------------


def test_a_stop_is_asked_for_again_until_it_is_heeded() -> None:
    s, commands = after(charging(), fact(f.StopRequested, by="operator"))
    assert timer(commands, Timer.STOP) == at(4 + POLICY.stop_retry_s)
    for n in range(POLICY.stop_attempts + 2):
        s, more = after(s, deadline(Timer.STOP, 70 + n))
        commands += more
    assert len(of_kind(commands, StopCharging)) == POLICY.stop_attempts
    assert len({c.key for c in commands}) == len(commands)
    assert (s.flags, s.charging) == (("stop-unheeded",), Charging.STOPPING)  # a hold stands: its end settles it
    assert after(s, ended(3600))[0].payment is Payment.CAPTURING


def test_the_charge_is_stopped_while_the_hold_can_still_be_captured() -> None:
    _, commands = after(session(), card(), held())
    due = timer(commands, Timer.HOLD_ENDING)
    assert due == at(3 + POLICY.hold_lifetime_s - POLICY.hold_margin_s)
    s, commands = after(charging(), deadline(Timer.HOLD_ENDING, 170_000))
    assert (s.charging, s.stop_by, len(of_kind(commands, StopCharging))) == (Charging.STOPPING, "limit", 1)


def test_a_start_carries_a_limit_only_where_the_power_is_known() -> None:
    _, commands = after(session(), card(), held())
    start = of_kind(commands, StartCharging)[0]
    assert (start.limit_w, start.limit_s) == (150_000, 1200)  # 50 kWh at 150 kW
    unknown = session(place=replace(PLACE, max_power_w=None))
    assert of_kind(after(unknown, card(), held())[1], StartCharging)[0].limit_s is None
    without = decide(after(session(), card())[0], held(), at(3), Policy(offline_limit=False))
    assert of_kind(without.commands, StartCharging)[0].limit_s is None


def test_a_transaction_that_nobody_allowed_is_stopped_and_never_charged() -> None:
    unauthorised = session(Charging.ACCEPTED, origin=Origin.UNAUTHORISED, remote_start_id=None)
    s, commands = after(unauthorised, started())
    assert (s.flags, len(of_kind(commands, StopCharging))) == (("unauthorised-transaction",), 1)
    s, commands = after(s, started(20), ended(600))
    assert s.cost is not None
    assert (s.cost.total_minor, s.open, of_kind(commands, CaptureHold)) == (0, False, [])


def test_an_rfid_session_is_priced_and_not_captured() -> None:
    rfid = session(Charging.ACCEPTED, origin=Origin.RFID, remote_start_id=None)
    s, commands = after(rfid, started(), ended(3600))
    assert s.cost is not None
    assert (s.cost.total_minor, s.open, of_kind(commands, CaptureHold)) == (2000, False, [])


def test_a_session_without_a_tariff_has_no_cost() -> None:
    assert cost_so_far(session(Charging.CHARGING, tariff=None)) is None
    s, _ = after(session(Charging.CHARGING, tariff=None, origin=Origin.RFID), ended(3600))
    assert (s.cost, s.open) == (None, False)


def test_no_message_without_a_terminal() -> None:
    _, commands = after(session(origin=Origin.OPERATOR), fact(f.StopRequested, by="operator"))
    assert messages(commands) == []
