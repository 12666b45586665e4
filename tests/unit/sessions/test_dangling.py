"""Transactions whose end was never told: the evidence, the doubt, its deadline, and what comes after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.ledger import Account
from billing.payment import Payment
from sessions import facts as f
from sessions.commands import AskTransactionStatus, CaptureHold, ReachDeadline, StopCharging, Timer
from sessions.facts import ChargingState, EvseStatus
from sessions.session import Origin, Session
from sessions.tables import RUNNING, Charging
from tests.unit.sessions.examples import (
    POLICY,
    after,
    at,
    deadline,
    ended,
    fact,
    metered,
    of_kind,
    sample,
    session,
    started,
    updated,
)
from tests.unit.sessions.premises import Premises, began, over
from tests.unit.sessions.test_decide_edge_cases import books, total

DEADLINE_S = POLICY.lost_end_s


def back(seconds: float, *, booted: bool = False) -> f.Fact:
    if booted:
        return f.StationBooted(key=f"b:{seconds}", at=at(seconds), station_id="CS1", status="Accepted")
    return f.StationConnected(key=f"c:{seconds}", at=at(seconds), station_id="CS1", version="ocpp1.6")


def gone(seconds: float) -> f.Fact:
    return f.StationDisconnected(key=f"d:{seconds}", at=at(seconds), station_id="CS1", epoch=1)


def status(
    seconds: float, kind: EvseStatus = EvseStatus.AVAILABLE, state: ChargingState | None = None, **more: Any
) -> f.Fact:
    return f.EvseStatusReported(
        key=f"s:{seconds}", at=at(seconds), station_id="CS1", evse_id=1, connector_id=more.pop("connector_id", 1),
        status=kind, charging_state=state, **more,
    )  # fmt: skip


def told(seconds: float, *, ongoing: bool | None, waits: bool | None, transaction_id: str | None = "TX1") -> f.Fact:
    return f.TransactionStatusTold(
        key=f"t:{seconds}", at=at(seconds), station_id="CS1", transaction_id=transaction_id, ongoing=ongoing,
        messages_in_queue=waits,
    )  # fmt: skip


def charging(origin: Origin = Origin.CARD, **changes: Any) -> Session:
    """A charge since T0, with 10 kWh on the meter after half an hour."""
    payment = Payment.HELD if origin is Origin.CARD else Payment.NONE
    made, _ = after(session(Charging.CHARGING, payment, origin=origin, **changes), metered(1800, sample(10_000, 1800)))
    return made


def due(commands: Any, which: Timer) -> list[datetime | None]:
    return [c.due_at for c in of_kind(commands, ReachDeadline) if c.timer is which]


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_after_an_accepted_boot_the_station_is_asked_and_nothing_is_decided() -> None:
    s, commands = after(charging(), back(2000), back(2001, booted=True))
    (asked,) = of_kind(commands, AskTransactionStatus)
    assert (asked.station_id, asked.evse_id, asked.transaction_id) == ("CS1", 1, "TX1")
    assert (s.charging, due(commands, Timer.LOST_END)) == (Charging.CHARGING, [])
    assert len(of_kind(after(s, back(9000, booted=True))[1], AskTransactionStatus)) == 1  # and again at the next boot


def test_neither_ongoing_nor_queued_is_settled_at_once_on_the_last_proven_register() -> None:
    s, commands = after(charging(), back(2000, booted=True), told(2001, ongoing=False, waits=False))
    assert (s.charging, s.provisional, s.ended_at) == (Charging.LOST, True, at(1800))
    assert of_kind(commands, CaptureHold)[0].amount_minor == 1000
    assert s.flags == ("settled-provisionally",)


def test_ongoing_goes_on() -> None:
    s, commands = after(charging(), back(2000), status(2001), told(2002, ongoing=True, waits=False))
    assert (s.charging, s.doubted_at, s.away_since) == (Charging.CHARGING, None, None)
    s, _ = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S), deadline(Timer.LOST_END, 90_000))
    assert s.charging is Charging.CHARGING
    assert due(commands, Timer.LOST_END) == [at(2001 + DEADLINE_S)]


def test_an_end_in_the_queue_is_waited_for_until_the_deadline() -> None:
    s, commands = after(charging(), back(2000, booted=True), told(2001, ongoing=False, waits=True))
    assert (s.charging, due(commands, Timer.LOST_END)) == (Charging.CHARGING, [at(2001 + DEADLINE_S)])
    in_time, commands = after(s, ended(2100, register=12_000, station_time=at(1950)))
    assert (in_time.charging, of_kind(commands, CaptureHold)[0].amount_minor) == (Charging.ENDED, 1200)
    assert in_time.flags == ()
    too_late, _ = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S))
    assert too_late.charging is Charging.LOST


def test_what_the_queue_brings_renews_the_deadline() -> None:
    s, _ = after(charging(), back(2000, booted=True), told(2001, ongoing=False, waits=True))
    s, _ = after(s, updated(2200, sample(11_000, 1900), station_time=at(1900), offline=True))
    s, commands = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S))
    assert (s.charging, due(commands, Timer.LOST_END)) == (Charging.CHARGING, [at(2200 + DEADLINE_S)])
    s, _ = after(s, deadline(Timer.LOST_END, 2200 + DEADLINE_S))
    assert (s.charging, s.meter.energy_wh) == (Charging.LOST, 11_000)


@pytest.mark.parametrize(
    ("kind", "state", "doubted"),
    [
        (EvseStatus.AVAILABLE, None, True),
        (EvseStatus.RESERVED, None, True),
        (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED, True),  # 1.6 Preparing, Finishing
        (EvseStatus.OCCUPIED, None, False),  # all that 2.0.1 says
        (EvseStatus.OCCUPIED, ChargingState.CHARGING, False),
        (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EV, False),
        (EvseStatus.FAULTED, None, False),
        (EvseStatus.UNAVAILABLE, None, False),
    ],
)
def test_a_status_after_the_return_that_no_running_charge_allows(
    kind: EvseStatus, state: ChargingState | None, doubted: bool
) -> None:
    before, commands = after(charging(), status(1900, kind, state))
    assert (before.doubted_at, of_kind(commands, AskTransactionStatus)) == (None, [])  # it was not away
    s, commands = after(charging(), back(2000), status(2001, kind, state))
    assert (s.doubted_at is not None, len(of_kind(commands, AskTransactionStatus))) == (doubted, doubted)
    s, _ = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S))
    assert (s.charging is Charging.LOST) == doubted


def test_another_connectors_status_says_nothing() -> None:
    s = replace(charging(), connector_id=2)
    assert after(s, back(2000), status(2001))[0].doubted_at is None
    assert after(s, back(2000), status(2001, connector_id=2))[0].doubted_at is not None


@pytest.mark.parametrize(
    ("sign", "goes_on"),
    [
        (updated(2100, sample(11_000, 2100)), True),
        (metered(2100, sample(11_000, 2100), transaction_id="TX1"), True),
        (status(2100, EvseStatus.OCCUPIED, ChargingState.CHARGING), True),
        (told(2100, ongoing=True, waits=None), True),
        # Of the time before, by a clock that is not set, by whoever charges there now, or by nobody:
        (updated(2100, sample(11_000, 1900), station_time=at(1900)), False),
        (updated(2100, sample(11_000, 2100), offline=True), False),
        (updated(2100, station_time=datetime(1970, 1, 1, tzinfo=UTC)), False),
        (metered(2100, sample(11_000, 2100)), False),
        (status(2100), False),
        (told(2100, ongoing=None, waits=None), False),
    ],
)
def test_only_a_sign_of_now_settles_the_doubt_in_the_charges_favour(sign: f.Fact, goes_on: bool) -> None:
    s, _ = after(charging(), back(2000), status(2001), sign)
    assert (s.doubted_at is None) == goes_on
    s, _ = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S), deadline(Timer.LOST_END, 2100 + DEADLINE_S))
    assert (s.charging is Charging.CHARGING) == goes_on


def test_a_reading_at_the_evse_still_makes_the_bill_exact() -> None:
    s, _ = after(charging(), back(2000), status(2001), metered(2100, sample(11_000, 2100)))
    s, commands = after(s, deadline(Timer.LOST_END, 2001 + DEADLINE_S))
    assert of_kind(commands, CaptureHold)[0].amount_minor == 1100


def test_an_empty_queue_settles_what_is_doubted_and_nothing_else() -> None:
    empty = told(2100, ongoing=None, waits=False, transaction_id=None)
    assert after(charging(), back(2000), empty)[0].charging is Charging.CHARGING
    assert after(charging(), back(2000), status(2001), empty)[0].charging is Charging.LOST


def test_a_station_that_leaves_again_takes_its_queue_with_it() -> None:
    s, _ = after(charging(), back(2000), status(2001), gone(2050), deadline(Timer.LOST_END, 2001 + DEADLINE_S))
    assert s.charging is Charging.CHARGING
    s, commands = after(s, back(9000))
    assert due(commands, Timer.LOST_END) == [at(9000 + DEADLINE_S)]
    assert after(s, deadline(Timer.LOST_END, 9000 + DEADLINE_S))[0].charging is Charging.LOST


@pytest.mark.parametrize(
    ("register", "exact", "flags"),
    [
        (10_000, True, ("end-lost",)),
        (10_001, True, ("end-lost",)),  # registers are rounded
        (10_002, False, ("energy-unproven", "settled-provisionally")),
        (3, False, ("settled-provisionally",)),  # another meter
        (None, False, ("settled-provisionally",)),
    ],
)
def test_the_next_start_register_tells_whether_energy_was_missed(
    register: int | None, exact: bool, flags: tuple[str, ...]
) -> None:
    wh = None if register is None else Decimal(register)
    s, commands = after(charging(), fact(f.TransactionSuperseded, seconds=9000, register_wh=wh))
    assert (s.charging, s.provisional, s.flags) == (Charging.LOST, not exact, flags)
    assert of_kind(commands, CaptureHold)[0].amount_minor == 1000  # what is beyond is nobody's


# --- without a hold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [Origin.RFID, Origin.OPERATOR])
def test_without_a_hold_long_silence_is_looked_into_and_given_up(origin: Origin) -> None:
    waiting = session(Charging.ACCEPTED, origin=origin, remote_start_id=None)
    s, commands = after(waiting, started(0), updated(3600, sample(5000, 3600)))
    assert due(commands, Timer.SILENCE) == [at(POLICY.silence_s)]
    s, commands = after(s, deadline(Timer.SILENCE, POLICY.silence_s))
    assert (due(commands, Timer.SILENCE), of_kind(commands, AskTransactionStatus)) == (
        [at(POLICY.silence_s + 3600)],
        [],
    )
    when = POLICY.silence_s + 3600
    s, commands = after(s, deadline(Timer.SILENCE, when))
    assert len(of_kind(commands, AskTransactionStatus)) == 1
    alive, _ = after(s, told(when + 1, ongoing=True, waits=False), deadline(Timer.LOST_END, when + DEADLINE_S))
    assert alive.charging is Charging.CHARGING
    s, _ = after(s, deadline(Timer.LOST_END, when + DEADLINE_S))
    assert (s.charging, s.open, s.cost.total_minor if s.cost else None) == (Charging.LOST, False, 500)


def test_without_a_hold_a_station_that_takes_its_queue_away_for_good_is_given_up() -> None:
    s, _ = after(charging(Origin.RFID), back(2000), status(2001), gone(2050))
    when = POLICY.silence_s + 2000
    s, commands = after(s, deadline(Timer.SILENCE, when))
    assert due(commands, Timer.LOST_END) == [at(when + DEADLINE_S)]
    assert after(s, deadline(Timer.LOST_END, when + DEADLINE_S))[0].charging is Charging.LOST


def test_with_a_hold_silence_waits_for_the_holds_own_end() -> None:
    s, commands = after(session(Charging.ACCEPTED, Payment.HELD), started(0), deadline(Timer.SILENCE, 10**6))
    assert (s.charging, due(commands, Timer.SILENCE)) == (Charging.CHARGING, [])


# --- after all --------------------------------------------------------------------------------------------------------


def lost(origin: Origin = Origin.CARD) -> Session:
    s, _ = after(charging(origin), back(2000, booted=True), told(2001, ongoing=False, waits=False))
    assert s.charging is Charging.LOST
    return s


def test_a_late_end_of_a_charge_nobody_pays_for_corrects_it() -> None:
    s, _ = after(lost(Origin.RFID), ended(90_000, register=12_000, station_time=at(1990)))
    assert (s.charging, s.ended_at, s.provisional, s.open) == (Charging.ENDED, at(1990), False, False)
    assert s.cost is not None
    assert (s.meter.energy_wh, s.cost.total_minor, s.flags[-1]) == (12_000, 1200, "late-end-counted")


def test_a_late_end_before_the_capture_is_confirmed_is_in_the_books() -> None:
    s, commands = after(lost(), ended(2100, register=12_000, station_time=at(1990)))
    assert (s.charging, s.capture_minor, of_kind(commands, CaptureHold)) == (Charging.ENDED, 1000, [])
    s, booked = books(s, fact(f.CaptureConfirmed, seconds=2200, amount_minor=1000))
    assert (s.captured_minor, s.written_off_minor, s.receipt_due) == (1000, 200, True)
    assert (total(booked, Account.ACQUIRER), total(booked, Account.WRITTEN_OFF)) == (1000, 200)


@pytest.mark.parametrize("captured", [True, False])
def test_a_late_end_after_the_money_is_for_the_operator(captured: bool) -> None:
    s = lost()
    s = replace(s, payment=Payment.CAPTURED if captured else Payment.RELEASED, captured_minor=1000 * captured)
    late, commands = after(s, ended(2100, register=12_000))
    assert (late.charging, late.meter.energy_wh, late.flags[-1], commands) == (Charging.LOST, 10_000, "late-end", [])


def test_a_late_end_that_would_cost_less_than_was_asked_for_is_for_the_operator() -> None:
    idle = replace(lost(), capture_minor=1001)
    late, _ = after(idle, ended(2100, register=10_000, station_time=at(1990)))
    assert (late.charging, late.cost, late.flags[-1]) == (Charging.LOST, idle.cost, "late-end")


def test_a_free_charge_that_was_given_up_and_runs_goes_on() -> None:
    s, commands = after(lost(Origin.RFID), updated(2600, sample(14_000, 2600)))
    assert (s.charging, s.open, s.flags[-1]) == (Charging.CHARGING, True, "found-running")
    assert of_kind(commands, StopCharging) == []
    s, _ = after(s, ended(3600, register=20_000))
    assert (s.charging, s.cost.total_minor if s.cost else 0, s.provisional) == (Charging.ENDED, 2000, False)


def test_a_settled_charge_that_runs_is_stopped() -> None:
    s, _ = after(lost(), fact(f.CaptureConfirmed, seconds=2100, amount_minor=1000))
    s, commands = after(s, metered(2600, sample(14_000, 2600), transaction_id="TX1"))
    assert (s.charging, len(of_kind(commands, StopCharging)), s.flags[-1]) == (Charging.STOPPING, 1, "found-running")
    s, commands = after(s, ended(2700, register=14_100))
    assert (s.charging, s.captured_minor, of_kind(commands, CaptureHold)) == (Charging.ENDED, 1000, [])


def test_an_unpaid_one_is_stopped_and_free() -> None:
    free = replace(lost(), payment=Payment.RELEASED, capture_minor=0)
    s, commands = after(free, updated(2600, sample(14_000, 2600)))
    assert (s.charging, s.unpaid, len(of_kind(commands, StopCharging))) == (Charging.STOPPING, True, 1)


@pytest.mark.parametrize(
    "stale",
    [
        updated(2600, sample(11_000, 1990), station_time=at(1990)),
        updated(2600, sample(11_000, 2600), offline=True),
        metered(2600, sample(11_000, 1990), transaction_id="TX1"),
        metered(2600, sample(11_000, 2600)),
    ],
)
def test_what_was_stored_before_does_not_revive_it(stale: f.Fact) -> None:
    s = lost()
    assert after(s, stale)[0] == s


# --- whose evidence ---------------------------------------------------------------------------------------------------


def two_evses() -> Premises:
    """A paid charge at EVSE 1, one by token at EVSE 2."""
    p = Premises()
    p.charge("A1", "TX1")
    p.see(began("CS1", 2, "TX2", token="GOOD", seconds=10))
    return p


def states(p: Premises) -> list[Charging]:
    return [s.charging for s in p.ws.at_station("CS1")]


def test_a_boot_asks_for_each_running_charge_of_the_station() -> None:
    p = two_evses()
    p.see(f.StationBooted(key="p", at=at(50), station_id="CS1", status="Pending"))
    p.see(f.StationBooted(key="o", at=at(50), station_id="CS2", status="Accepted"))
    assert [c for c in p.commands if isinstance(c, AskTransactionStatus)] == []
    p.see(f.StationBooted(key="b", at=at(60), station_id="CS1", status="Accepted"))
    asked = [c.transaction_id for c in p.commands if isinstance(c, AskTransactionStatus)]
    assert asked == ["TX1", "TX2"]


def test_an_answer_is_for_its_transaction() -> None:
    p = two_evses()
    p.see(told(60, ongoing=False, waits=False, transaction_id="TX2"))
    assert states(p) == [Charging.CHARGING, Charging.LOST]
    p.see(told(61, ongoing=False, waits=False, transaction_id="somebody's"))
    assert states(p) == [Charging.CHARGING, Charging.LOST]


def test_an_old_lines_farewell_is_not_the_stations() -> None:
    p = two_evses()
    p.see(f.StationConnected(key="c", at=at(50), station_id="CS1", version="ocpp2.0.1"))
    p.see(status(60))
    p.see(f.StationDisconnected(key="d", at=at(70), station_id="CS1", epoch=1))
    assert p.ws.sessions["S-A1"].doubted_until is not None


def test_the_end_of_the_one_before_tells_its_register_to_the_next() -> None:
    p = Premises()
    p.charge("A1", None)  # type: ignore[arg-type]
    p.see(metered(1800, sample(5_000, 1800), transaction_id="1"))
    p.see(began("CS1", 1, None, token="GOOD", seconds=9000, register=5_000))
    old = p.ws.sessions["S-A1"]
    assert (old.charging, old.provisional, old.flags) == (Charging.LOST, False, ("end-lost",))


@pytest.mark.parametrize("again", ["start", "update"])
def test_what_comes_again_of_an_ended_charge_does_not_end_the_next(again: str) -> None:
    """A resend with other content (a corrected clock) has another key; the charge that runs now is somebody else's."""
    p = Premises()
    first = p.charge("A1", None)  # type: ignore[arg-type]
    p.see(over("CS1", "1", seconds=100))
    p.see(began("CS1", 1, None, token="GOOD", seconds=200, register=10_000))
    if again == "start":
        p.see(began("CS1", 1, None, token=first.id_token, seconds=300))
    else:
        p.see(replace(updated(300), transaction_id="1"))
    running = [s for s in p.ws.at_station("CS1") if s.charging in RUNNING]
    assert [s.origin for s in running] == [Origin.RFID]
