"""What a tap means: stop my charge, start one here, choose where, or no (EC 7–9, 21–24, 45)."""

from __future__ import annotations

from typing import Any

import pytest

from sessions import facts as f
from sessions.commands import AuthoriseHold, Message, ShowOnTerminal, ShowSelection, StopCharging
from sessions.directory import Admission
from sessions.facts import ChargingState, EvseStatus
from sessions.tables import Charging
from tests.unit.sessions.examples import HOLD, at
from tests.unit.sessions.premises import POLICY, Premises

BOTH = (("CS1", 1), ("CS1", 2))


def holds(p: Premises) -> list[AuthoriseHold]:
    return [c for c in p.commands if isinstance(c, AuthoriseHold)]


def test_a_tap_opens_a_session_on_the_only_evse_and_asks_for_the_armed_hold() -> None:
    p = Premises()
    s = p.tap("A1")
    assert s is not None
    assert (s.charging, s.claim, s.currency, s.issuer_id) == (Charging.WAITING, "CS1/1", "EUR", "I1")
    assert [(c.arm_id, c.hold_minor, c.card_ref) for c in holds(p)] == [("A1", HOLD, "card-a")]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda p: p.station("CS1", connected=False), Message.STATION_OFFLINE),
        (lambda p: p.station("CS1", admission=Admission.HELD), Message.STATION_OFFLINE),
        (lambda p: p.station("CS1", admission=Admission.REFUSED), Message.STATION_OFFLINE),
        (lambda p: p.evse("CS1", 1, status=EvseStatus.FAULTED), Message.EVSE_FAULTED),
        (lambda p: p.evse("CS1", 1, status=EvseStatus.UNAVAILABLE), Message.EVSE_FAULTED),
        (lambda p: p.evse("CS1", 1, status=EvseStatus.RESERVED), Message.EVSE_RESERVED),
        (
            lambda p: p.evse("CS1", 1, status=EvseStatus.OCCUPIED, charging_state=ChargingState.CHARGING),
            Message.EVSE_OCCUPIED,
        ),
        (lambda p: p.evse("CS1", 1, status=EvseStatus.OCCUPIED, raw_status="Finishing"), Message.EVSE_OCCUPIED),
        (lambda p: p.evse("CS1", 1, tariff_id="nok"), Message.EVSE_OCCUPIED),  # EC 45: another currency
        (lambda p: p.evse("CS1", 1, tariff_id=None), Message.EVSE_OCCUPIED),
    ],
)
def test_ec_9_what_cannot_be_sold_is_refused_before_any_hold(prepare: Any, message: Message) -> None:
    p = Premises()
    prepare(p)
    assert p.tap("A1") is None
    assert (holds(p), p.last_message) == ([], message)
    (shown,) = [c for c in p.commands if isinstance(c, ShowOnTerminal)]
    assert (shown.arm_id, shown.ends_interaction) == ("A1", True)


@pytest.mark.parametrize("state", [None, ChargingState.EV_CONNECTED, ChargingState.IDLE])
def test_ec_2_a_car_that_waits_is_welcome(state: ChargingState | None) -> None:
    p = Premises()
    p.evse("CS1", 1, status=EvseStatus.OCCUPIED, charging_state=state)
    assert p.tap("A1") is not None


def test_ec_21_the_same_card_stops_its_charge() -> None:
    p = Premises()
    p.charge("A1")
    s = p.tap("A2", seconds=600)
    assert s is not None
    assert (s.session_id, s.charging, s.stop_by) == ("S-A1", Charging.STOPPING, "card")
    assert len([c for c in p.commands if isinstance(c, StopCharging)]) == 1
    assert len(holds(p)) == 1


def test_ec_7_the_same_card_before_the_start_gives_the_hold_back() -> None:
    p = Premises()
    p.tap("A1")
    s = p.tap("A2", seconds=5)
    assert s is not None
    assert (s.session_id, s.charging, len(p.ws.sessions), len(holds(p))) == ("S-A1", Charging.NOT_STARTED, 1, 1)


def test_the_same_card_after_its_charge_begins_another() -> None:
    p = Premises()
    s = p.charge("A1")
    p.see(
        f.TransactionEnded(key="e", at=at(60), station_id="CS1", transaction_id=s.transaction_id, station_time=at(60))
    )
    again = p.tap("A2", seconds=120)
    assert again is not None
    assert again.session_id == "S-A2"


def test_ec_22_another_card_is_refused_without_a_hold() -> None:
    p = Premises()
    p.charge("A1")
    assert p.tap("A2", who="card-b", seconds=600) is None
    assert (p.last_message, len(holds(p))) == (Message.OTHER_CARD, 1)
    assert p.ws.sessions["S-A1"].charging is Charging.CHARGING


def test_ec_8_the_second_driver_at_one_evse_is_refused_while_the_first_is_authorised() -> None:
    p = Premises()
    p.terminal("P2", (("CS1", 1),))
    assert p.tap("A1") is not None
    assert p.tap("A2", who="card-b", serial="P2") is None
    assert len(holds(p)) == 1


def test_ec_23_either_of_two_terminals_stops_the_charge() -> None:
    p = Premises()
    p.terminal("P2", (("CS1", 1),))
    p.charge("A1")
    s = p.tap("A2", serial="P2", seconds=600)
    assert s is not None
    assert (s.session_id, s.charging) == ("S-A1", Charging.STOPPING)


def test_the_same_card_at_a_terminal_elsewhere_is_a_new_charge() -> None:
    p = Premises()
    p.terminal("P2", (("CS2", 1),))
    p.charge("A1")
    s = p.tap("A2", serial="P2", seconds=600)
    assert s is not None
    assert s.session_id == "S-A2"
    assert p.ws.sessions["S-A1"].charging is Charging.CHARGING


# --- one terminal, several EVSEs --------------------------------------------------------------------------------------


def test_ec_24_a_touch_screen_offers_what_is_free() -> None:
    p = Premises(touch_screen=True, serves=(*BOTH, ("CS2", 1), ("CS2", 2)))
    p.evse("CS1", 2, status=EvseStatus.FAULTED)
    p.station("CS2", connected=False)
    p.evse("CS1", 1, label="North")
    assert p.tap("A1") is not None  # only one is left: nothing to choose
    assert len(holds(p)) == 1
    p = Premises(touch_screen=True, serves=(*BOTH, ("CS2", 1)))
    s = p.tap("A1")
    assert s is not None
    assert (s.charging, s.claim) == (Charging.CHOOSING, None)
    (selection,) = [c for c in p.commands if isinstance(c, ShowSelection)]
    assert selection.items == (("CS1/1", "CS1-1"), ("CS1/2", "CS1-2"), ("CS2/1", "CS2-1"))
    assert holds(p) == []


def chosen(choice: str, *, serial: str = "P1", seconds: float = 5) -> f.EvseChosen:
    return f.EvseChosen(key=f"c:{choice}:{serial}", at=at(seconds), serial=serial, session_id="S-A1", choice=choice)


def test_ec_24_the_choice_takes_the_evse_and_asks_for_the_hold() -> None:
    p = Premises(touch_screen=True, serves=BOTH)
    p.tap("A1")
    p.see(chosen("CS1/2"))
    s = p.ws.sessions["S-A1"]
    assert (s.charging, s.claim, len(holds(p))) == (Charging.WAITING, "CS1/2", 1)


@pytest.mark.parametrize("choice", ["CS1/2", "CS2/1", "nonsense"])
def test_ec_8_what_is_taken_or_was_never_offered_cannot_be_chosen(choice: str) -> None:
    p = Premises(touch_screen=True, serves=BOTH)
    p.terminal("P2", (("CS1", 2),))
    p.tap("A1")
    p.tap("A2", who="card-b", serial="P2", seconds=2)
    p.see(chosen(choice))
    assert p.ws.sessions["S-A1"].charging is Charging.NOT_STARTED
    assert p.last_message is Message.EVSE_OCCUPIED
    assert [c.arm_id for c in holds(p)] == ["A2"]


def test_a_choice_on_another_terminal_is_not_this_drivers() -> None:
    p = Premises(touch_screen=True, serves=BOTH)
    p.tap("A1")
    assert p.see(chosen("CS1/2", serial="P2")).routed == []


def test_walking_away_from_the_screen_leaves_it_to_the_next_driver() -> None:
    p = Premises(touch_screen=True, serves=BOTH)
    p.tap("A1")
    s = p.tap("A2", who="card-b", seconds=10)
    assert s is not None
    assert (s.session_id, s.charging) == ("S-A2", Charging.CHOOSING)
    assert p.ws.sessions["S-A1"].charging is Charging.NOT_STARTED


@pytest.mark.parametrize(
    ("plugged", "expected"),
    [
        ({}, None),
        ({2: 0}, "CS1/2"),
        ({1: 50, 2: 90}, "CS1/2"),
        ({1: 90, 2: 50}, "CS1/1"),
        ({2: 100 - POLICY.fresh_cable_s}, "CS1/2"),
        ({2: 99 - POLICY.fresh_cable_s}, None),
    ],
)
def test_without_a_touch_screen_the_freshest_cable_is_meant(plugged: dict[int, float], expected: str | None) -> None:
    """P6x: the EVSE whose cable was plugged in last, within the window; else the driver is asked to plug in first."""
    p = Premises(serves=BOTH)
    for evse_id, seconds in plugged.items():
        p.evse("CS1", evse_id, status=EvseStatus.OCCUPIED, plugged_at=at(seconds))
    s = p.tap("A1", seconds=100)
    assert (s.claim if s else None) == expected
    if expected is None:
        assert (p.last_message, holds(p)) == (Message.PLUG_IN_FIRST, [])
