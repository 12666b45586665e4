"""Whose fact is this? Unknown, missing and repeated ids, cable first, superseded transactions (bar 5, EC 2, 6, 37)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sessions import facts as f
from sessions.commands import StopCharging
from sessions.directory import ArmState
from sessions.facts import ChargingState, EvseStatus, TokenStatus
from sessions.session import Origin
from sessions.tables import Charging
from tests.unit.sessions.examples import TARIFF, at, sample
from tests.unit.sessions.premises import Premises, began, over, tapped


def updated(transaction_id: str, *, seconds: float, **more: object) -> f.TransactionUpdated:
    values = {"evse_id": 1, "station_time": at(seconds)} | more
    return f.TransactionUpdated(
        key=f"u:{seconds}", at=at(seconds), station_id="CS1", transaction_id=transaction_id, **values  # type: ignore[arg-type]
    )  # fmt: skip


def reading(seconds: float, wh: int, **more: object) -> f.EnergyMetered:
    return f.EnergyMetered(
        key=f"m:{seconds}", at=at(seconds), station_id="CS1", samples=(sample(wh, seconds),), **more  # type: ignore[arg-type]
    )  # fmt: skip


# --- starts -----------------------------------------------------------------------------------------------------------


def test_a_start_is_matched_by_the_remote_start_id_without_a_tag() -> None:
    p = Premises()
    opened = p.tap("A1")
    assert opened is not None
    p.see(f.PaymentHeld(key="h", at=at(1), session_id="S-A1", payment_ref="P", amount_minor=5000))
    p.see(began("CS1", 1, "TX", remote_start_id=opened.remote_start_id, seconds=5))
    assert (p.ws.sessions["S-A1"].transaction_id, len(p.ws.sessions)) == ("TX", 1)


def test_a_tag_is_matched_whatever_its_case_and_on_another_connector() -> None:
    p = Premises()
    p.tap("A1")
    p.see(f.PaymentHeld(key="h", at=at(1), session_id="S-A1", payment_ref="P", amount_minor=5000))
    p.see(began("CS1", 2, None, token="tag-a1", seconds=5))
    s = p.ws.sessions["S-A1"]
    assert s.place is not None
    assert (s.charging, s.place.evse_id, s.flags) == (Charging.CHARGING, 2, ("other-evse",))


def test_a_start_resent_with_other_content_gets_the_same_transaction() -> None:
    """A 1.6 station that corrected its clock in between sends another key for the same start."""
    p = Premises()
    s = p.charge("A1", None)  # type: ignore[arg-type]
    assert s.transaction_id == "1"
    result = p.see(began("CS1", 1, None, token=s.id_token, seconds=60, register=3))
    assert [r.session.session_id for r in result.routed] == ["S-A1"]
    assert (p.ws.sessions["S-A1"].transaction_id, len(p.ws.sessions), p.ws.next_transaction) == ("1", 1, 1)


@pytest.mark.parametrize(
    ("token", "origin", "status"),
    [
        ("good", Origin.RFID, TokenStatus.ACCEPTED),
        ("blocked", Origin.UNAUTHORISED, TokenStatus.BLOCKED),
        ("never heard of", Origin.UNAUTHORISED, TokenStatus.UNKNOWN),
    ],
)
def test_a_start_nobody_asked_for_is_a_session_by_its_token(token: str, origin: Origin, status: TokenStatus) -> None:
    p = Premises()
    p.see(began("CS1", 1, None, token=token))
    (s,) = p.ws.sessions.values()
    assert (s.origin, s.token_status, s.transaction_id) == (origin, status, "1")
    stopped = [c for c in p.commands if isinstance(c, StopCharging)]
    assert bool(stopped) == (origin is Origin.UNAUTHORISED)


def test_an_rfid_tag_may_charge_again_and_again() -> None:
    """Unlike our one-time tags, its second start is a second session."""
    p = Premises()
    p.see(began("CS1", 1, None, token="GOOD"))
    p.see(over("CS1", "1", seconds=100))
    p.see(began("CS1", 1, None, token="GOOD", seconds=200))
    assert sorted(s.transaction_id or "" for s in p.ws.sessions.values()) == ["1", "2"]


def operator_starts(p: Premises, token: str = "GOOD", kind: str = "ISO14443", *, evse_id: int = 1) -> None:
    """An operator asks for a charge with a driver's own token."""
    p.see(
        f.OperatorStarted(
            key=f"o:{evse_id}", at=at(0), station_id="CS1", session_id=f"OP{evse_id}", evse_id=evse_id, id_token=token,
            id_token_type=kind, remote_start_id=evse_id, receipt_token=f"r{evse_id}", operator="Ola",
        )
    )  # fmt: skip


def test_a_drivers_own_token_begins_the_charge_it_was_asked_for_and_no_other() -> None:
    p = Premises()
    operator_starts(p)
    p.see(began("CS1", 2, None, token="GOOD", seconds=5))  # the same driver at the other EVSE
    p.see(began("CS1", 1, None, token="good", seconds=6))
    assert (p.ws.sessions["OP1"].transaction_id, p.ws.sessions["OP1"].flags) == ("2", ())
    assert [s.origin for s in p.ws.at_station("CS1") if s.session_id != "OP1"] == [Origin.RFID]


def test_a_drivers_own_token_does_not_revive_what_was_given_up() -> None:
    """Unlike a one-time tag, which means its own session for ever."""
    for kind, expected in (("ISO14443", Charging.NOT_STARTED), (f.ONE_TIME, Charging.STOPPING)):
        p = Premises()
        operator_starts(p, kind=kind)
        p.see(f.StartRefused(key="r", at=at(1), session_id="OP1", reason="Rejected"))
        p.see(began("CS1", 1, None, token="GOOD", seconds=86_400))
        assert p.ws.sessions["OP1"].charging is expected


UNSET_CLOCK = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "again", "register", "same"),
    [
        (UNSET_CLOCK, at(60), 700, True),  # the clock was set in between
        (at(0), UNSET_CLOCK, 700, True),
        (at(0), at(59), 700, True),
        (at(0), at(7200), 700, False),  # nothing was delivered, and the driver came back
        (at(0), at(59), 701, False),
    ],
)
def test_an_rfid_start_told_again_with_a_corrected_clock_is_the_same(
    first: datetime, again: datetime, register: int, same: bool
) -> None:
    p = Premises()
    p.see(began("CS1", 1, None, token="GOOD", register=700, station_time=first))
    p.see(began("CS1", 1, None, token="good", register=register, station_time=again, seconds=7200))
    assert sorted(s.transaction_id or "" for s in p.ws.sessions.values()) == (["1"] if same else ["1", "2"])


def test_the_same_content_gives_the_same_session_id() -> None:
    first, second = Premises(), Premises()
    for p in (first, second):
        p.see(began("CS1", 1, None, token="GOOD"))
    assert list(first.ws.sessions) == list(second.ws.sessions)


# --- cable first ------------------------------------------------------------------------------------------------------


def test_ec_2_a_cable_first_transaction_waits_for_the_tap() -> None:
    p = Premises()
    p.see(began("CS1", 1, "TX", samples=(sample(700, 0),)))
    assert (p.ws.sessions, p.ws.evse("CS1", 1).waiting is not None) == ({}, True)
    p.tap("A1", seconds=30)
    p.see(f.PaymentHeld(key="h", at=at(31), session_id="S-A1", payment_ref="P", amount_minor=5000))
    p.see(f.StartAccepted(key="a", at=at(32), session_id="S-A1", transaction_id="TX"))
    p.see(updated("TX", seconds=33))
    s = p.ws.sessions["S-A1"]
    assert (s.charging, s.meter.begin_wh, s.meter.begin_at) == (Charging.CHARGING, Decimal(700), at(33))
    assert p.ws.evse("CS1", 1).waiting is None


def test_a_cable_first_transaction_may_be_authorised_at_the_stations_reader() -> None:
    p = Premises()
    p.see(began("CS1", 1, "TX", samples=(sample(700, 0),)))
    p.see(updated("TX", seconds=20, id_token="GOOD"))
    (s,) = p.ws.sessions.values()
    assert (s.origin, s.transaction_id, s.charging, s.meter.begin_wh) == (
        Origin.RFID,
        "TX",
        Charging.CHARGING,
        Decimal(700),
    )


def test_a_cable_pulled_before_any_tap_leaves_nothing() -> None:
    p = Premises()
    p.see(began("CS1", 1, "TX"))
    p.see(over("CS1", "TX", seconds=60, evse_id=1))
    assert (p.ws.sessions, p.ws.evse("CS1", 1).waiting) == ({}, None)


def test_a_charge_authorised_before_the_cable_gets_its_evse_and_price_with_it() -> None:
    p = Premises()
    p.see(began("CS1", None, "TX", token="GOOD"))
    (s,) = p.ws.sessions.values()
    assert (s.place.evse_id if s.place else None, s.tariff, s.charging) == (0, None, Charging.CHARGING)
    p.see(began("CS1", 1, "OTHER", token="GOOD", seconds=5))  # somebody else's, elsewhere
    p.see(updated("TX", seconds=10, evse_id=2))
    placed = p.ws.sessions[s.session_id]
    assert placed.place is not None
    assert (placed.place.evse_id, placed.tariff, placed.currency) == (2, TARIFF, "EUR")
    assert (placed.charging, placed.flags) == (Charging.CHARGING, ())


def test_where_a_station_has_one_evse_it_need_not_be_named() -> None:
    p = Premises()
    del p.ws.evses["CS1", 2]
    p.see(began("CS1", None, "TX", token="GOOD"))
    (s,) = p.ws.sessions.values()
    assert (s.place.evse_id if s.place else None, s.tariff) == (1, TARIFF)


# --- ends and readings ------------------------------------------------------------------------------------------------


def two_running() -> Premises:
    """Two transactions at the two EVSEs of one station, their registers at 5 and at 50 kWh."""
    p = Premises(serves=(("CS1", 1),))
    p.terminal("P2", (("CS1", 2),))
    p.charge("A1", None)  # type: ignore[arg-type]
    p.charge("A2", None, who="card-b", serial="P2", seconds=10)  # type: ignore[arg-type]
    p.see(reading(1800, 5_000, transaction_id="1"))
    p.see(reading(1801, 50_000, transaction_id="2"))
    return p


def states(p: Premises) -> tuple[Charging, Charging]:
    return p.ws.sessions["S-A1"].charging, p.ws.sessions["S-A2"].charging


def test_two_sessions_at_one_station_are_kept_apart() -> None:
    p = two_running()
    assert [s.meter.energy_wh for s in p.ws.sessions.values()] == [5_000, 50_000]
    p.see(over("CS1", "2", register=51_000))
    assert states(p) == (Charging.CHARGING, Charging.ENDED)
    p.see(over("CS1", "1", register=6_000, seconds=3700))
    assert [s.meter.energy_wh for s in p.ws.sessions.values()] == [6_000, 51_000]


@pytest.mark.parametrize("unusable", ["-1", "0", None, "4711"])
def test_ec_37_an_end_without_a_usable_id_is_matched_by_its_tag(unusable: str | None) -> None:
    p = two_running()
    p.see(over("CS1", unusable, register=60_000, id_token="tag-a2"))
    assert states(p) == (Charging.CHARGING, Charging.ENDED)


def test_ec_37_or_by_the_only_register_that_fits() -> None:
    p = two_running()
    p.see(over("CS1", "-1", register=6_000))  # the other one has 50 kWh already
    assert states(p) == (Charging.ENDED, Charging.STOPPING)


def test_ec_37_or_by_the_only_evse_that_fits() -> None:
    p = two_running()
    p.see(over("CS1", "-1", register=None, evse_id=1))
    assert states(p)[0] is Charging.ENDED


def test_ec_37_where_two_fit_none_is_ended() -> None:
    """Never charge on a guess: both go on, and are settled when something proves more."""
    p = two_running()
    before = states(p)
    assert p.see(over("CS1", "-1", register=60_000)).routed == []
    assert states(p) == before


def test_ec_37_a_wrong_clock_does_not_hinder_the_match_a_too_early_end_does() -> None:
    for when, expected in ((datetime(1970, 1, 1, tzinfo=UTC), Charging.ENDED), (at(-3600), Charging.CHARGING)):
        p = Premises()
        p.charge("A1", None)  # type: ignore[arg-type]
        p.see(over("CS1", "-1", register=6_000, station_time=when))
        assert p.ws.sessions["S-A1"].charging is expected


@pytest.mark.parametrize(
    ("first", "again", "register", "ends_the_next"),
    [
        (UNSET_CLOCK, at(3700), 10_000, False),  # its clock was set in between
        (at(3600), at(3630), 10_000, False),
        (at(3600), at(3700), 10_000, True),  # a charge that got nothing
        (at(3600), at(3630), 10_001, True),
    ],
)
def test_an_end_without_a_usable_id_told_again_ends_no_other_charge(
    first: datetime, again: datetime, register: int, ends_the_next: bool
) -> None:
    p = Premises()
    p.see(began("CS1", 1, None, token="GOOD"))
    p.see(over("CS1", "-1", station_time=first))
    p.see(began("CS1", 1, None, token="GOOD", seconds=3610, register=10_000))
    p.see(over("CS1", "-1", station_time=again, register=register, seconds=3700))
    older, newer = sorted(p.ws.sessions.values(), key=lambda s: s.opened_at)
    assert older.charging is Charging.ENDED
    assert (newer.charging is Charging.ENDED) == ends_the_next


def test_a_reading_without_an_id_goes_to_the_evses_transaction() -> None:
    p = two_running()
    p.see(reading(1900, 5_500, evse_id=1))
    p.see(reading(1901, 5_600, evse_id=1, transaction_id="-1"))
    assert p.ws.sessions["S-A1"].meter.energy_wh == 5_600
    assert p.see(reading(1902, 9_000)).routed == []  # neither id nor EVSE: nobody's
    assert p.see(reading(1903, 9_000, evse_id=0)).routed == []  # the station's own meter


def test_a_new_transaction_ends_the_one_before_whose_end_was_lost() -> None:
    p = Premises()
    p.charge("A1", None)  # type: ignore[arg-type]
    p.see(reading(1800, 5_000, transaction_id="1"))
    p.see(began("CS1", 1, None, token="GOOD", seconds=9000))
    old = p.ws.sessions["S-A1"]
    assert (old.charging, old.capture_minor, old.provisional) == (Charging.LOST, 500, True)
    assert p.ws.running_at("CS1", 1) is not old


def test_a_transaction_at_the_other_evse_ends_nothing() -> None:
    p = Premises()
    p.charge("A1", None)  # type: ignore[arg-type]
    p.see(began("CS1", 2, None, token="GOOD", seconds=9000))
    assert p.ws.sessions["S-A1"].charging is Charging.CHARGING


def test_facts_of_unknown_sessions_go_nowhere() -> None:
    p = Premises()
    assert p.see(f.StopRequested(key="s", at=at(0), session_id="nobody", by="operator")).routed == []
    assert p.see(over("CS1", "4711")).routed == []
    assert p.see(updated("4711", seconds=5)).routed == []


# --- stations ---------------------------------------------------------------------------------------------------------


def test_each_connection_raises_the_epoch_and_an_old_farewell_is_ignored() -> None:
    p = Premises()
    connected = f.StationConnected(key="c", at=at(0), station_id="CS1", version="ocpp1.6")
    assert (p.see(connected).epoch, p.see(connected).epoch) == (2, 3)
    p.see(f.StationDisconnected(key="d2", at=at(1), station_id="CS1", epoch=2))
    assert p.ws.stations["CS1"].connected
    p.see(f.StationDisconnected(key="d3", at=at(2), station_id="CS1", epoch=3))
    assert not p.ws.stations["CS1"].connected


@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
def test_a_boot_is_written_down(status: str) -> None:
    p = Premises()
    p.see(f.StationBooted(key="b", at=at(0), station_id="CS1", status=status, vendor="V" * 99))
    assert (p.ws.stations["CS1"].boot_status, p.ws.stations["CS1"].vendor) == (status, "V" * 60)


def status(kind: EvseStatus, seconds: float, *, evse_id: int = 1, **more: object) -> f.EvseStatusReported:
    return f.EvseStatusReported(
        key=f"st:{seconds}", at=at(seconds), station_id="CS1", evse_id=evse_id, connector_id=1, status=kind, **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_cable_is_fresh_from_when_the_evse_became_occupied() -> None:
    p = Premises()
    p.see(status(EvseStatus.OCCUPIED, 10))
    p.see(status(EvseStatus.OCCUPIED, 20))
    assert p.ws.evse("CS1", 1).plugged_at == at(10)
    p.see(status(EvseStatus.AVAILABLE, 30))
    assert p.ws.evse("CS1", 1).plugged_at is None
    p.see(status(EvseStatus.FAULTED, 40, evse_id=0))  # the station itself
    assert p.ws.evse("CS1", 1).status is EvseStatus.AVAILABLE


def test_a_status_tells_the_running_session_of_the_cars_pause() -> None:
    p = Premises()
    p.charge("A1", None)  # type: ignore[arg-type]
    p.see(status(EvseStatus.OCCUPIED, 600, charging_state=ChargingState.SUSPENDED_EV))
    s = p.ws.sessions["S-A1"]
    assert [segment.parked for segment in s.meter.segments] == [False, True]
    assert p.ws.evse("CS1", 1).plugged_at is None  # not a fresh cable: its charge runs


# --- terminals --------------------------------------------------------------------------------------------------------


def test_only_an_open_interaction_of_that_terminal_takes_a_card() -> None:
    p = Premises()
    p.terminal("P2", (("CS2", 1),))
    p.tap("A1")
    again = replace(tapped("A1"), key="callback")
    assert p.see(again).routed == []  # presented already
    assert p.see(tapped("invented")).routed == []
    p.see(f.ArmOpened(key="o", at=at(0), serial="P2", arm_id="A9", hold_minor=1, currency="EUR"))
    assert p.see(tapped("A9", serial="P1")).routed == []  # somebody else's
    p.see(f.ArmClosed(key="x", at=at(0), serial="P2", arm_id="A9"))
    assert p.ws.arms["A9"].state is ArmState.CLOSED
    assert p.see(tapped("A9", serial="P2")).routed == []


def test_an_operator_starts_only_on_a_free_evse() -> None:
    p = Premises()
    ask = f.OperatorStarted(
        key="o1", at=at(0), station_id="CS1", session_id="OP1", evse_id=1, id_token="T", remote_start_id=1,
        receipt_token="r1", operator="Ola",
    )  # fmt: skip
    p.see(ask)
    assert p.ws.sessions["OP1"].charging is Charging.STARTING
    assert p.see(replace(ask, key="o2", session_id="OP2")).routed == []
