"""The checklists, the states of a case, and what the machine concludes: all pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.terminals import checklist as c
from csms.terminals.checklist import (
    CaseState,
    Origin,
    Party,
    Processor,
    StepState,
    Who,
    case_state,
    checklist,
    every_step,
    stale,
    unmet,
)
from csms.terminals.verdicts import IN_THE_DATABASE, JUDGES, Known, Place, Price
from sessions.directory import Admission
from sessions.verification import Answering, CloudSilent, CredentialsRefused, NotReached, Reached, TerminalUnknown

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PATHS = list(product(Origin, Processor))


def known() -> Known:
    """Everything as it should be."""
    place = Place(
        station_id="CP",
        evse_id=1,
        admission=Admission.ACCEPTED,
        connected=True,
        booted=True,
        station_reports="SN 1",
        owner_id="own_1",
        tariff_id="T",
        price=Price(tariff_id="T", currency="NOK", owner_id="platform"),
    )
    return Known(
        now=NOW,
        serial="N1",
        station_serial="sn-1",
        currency="NOK",
        owner_id="own_1",
        owner_currency="NOK",
        account_id="acc_1",
        account_now="acc_1",
        licence_exempt=False,
        activated_at=NOW,
        licensed_until=NOW + timedelta(days=1),
        places=(place,),
        untransferred=None,
        unmet=(),
        test_passed=True,
        called_back_at=NOW,
        answers=Answering(True, "IDLE"),
        reached=Reached(),
    )


def test_the_four_checklists_differ_by_what_has_to_be_moved_and_confirmed() -> None:
    found = {path: {s.code for s in checklist(*path, battery=True)} for path in PATHS}
    always = set.intersection(*found.values())
    assert found[Origin.INTEGRATED, Processor.PLATFORM] == always
    assert found[Origin.OWN, Processor.PLATFORM] == always | {"transfer"}
    assert found[Origin.OWN, Processor.OWN] == always | {"requirements"}
    assert found[Origin.INTEGRATED, Processor.OWN] == always | {"transfer", "requirements"}


@pytest.mark.parametrize("path", PATHS)
def test_a_family_without_a_battery_has_none_to_charge(path: tuple[Origin, Processor]) -> None:
    with_one, without = ({s.code for s in checklist(*path, battery=b)} for b in (True, False))
    assert with_one - without == {"charged"}


@pytest.mark.parametrize("path", PATHS)
def test_what_a_step_depends_on_stands_before_it(path: tuple[Origin, Processor]) -> None:
    seen: list[str] = []
    for step in checklist(*path, battery=False):
        assert set(step.depends_on) <= set(seen), step.code
        seen.append(step.code)
    assert len(seen) == len(set(seen))


def test_no_machine_step_is_a_persons_word() -> None:
    for step in every_step().values():
        assert (step.who is Who.MACHINE) == (step.code in JUDGES or step.code == c.TEST)
        assert not (step.who is Who.MACHINE and (step.waivable or step.asks))
        assert step.mend.endswith(".")
        assert len(step.code) <= 20
    assert set(IN_THE_DATABASE) <= set(JUDGES)


def test_the_states_of_a_case() -> None:
    steps = checklist(Origin.OWN, Processor.PLATFORM, battery=True)
    states: dict[str, StepState] = {}
    assert case_state(steps, states) == (CaseState.OPEN, None)
    states["housing"] = StepState.PASSED
    assert case_state(steps, states) == (CaseState.IN_PROGRESS, None)
    states["transfer"] = StepState.FAILED
    assert case_state(steps, states) == (CaseState.WAITING, Party.PROVIDER)
    states["stickers"] = StepState.FAILED  # the first one in the list has the turn
    assert case_state(steps, states) == (CaseState.WAITING, Party.OWNER)
    states = dict.fromkeys((step.code for step in steps), StepState.PASSED)
    assert case_state(steps, states) == (CaseState.READY, None)
    states["personnel"] = StepState.WAIVED
    assert case_state(steps, states) == (CaseState.READY, None)


@given(st.sampled_from(PATHS), st.booleans(), st.data())
def test_ready_is_only_what_has_every_step_settled(
    path: tuple[Origin, Processor], battery: bool, data: st.DataObject
) -> None:
    steps = checklist(*path, battery=battery)
    states = {s.code: data.draw(st.sampled_from(StepState)) for s in steps}
    state, party = case_state(steps, states)
    assert (state is CaseState.READY) == (set(states.values()) <= {StepState.PASSED, StepState.WAIVED})
    assert (party is not None) == (state is CaseState.WAITING)


def test_dependencies_are_met_by_what_passed_or_was_waived() -> None:
    step = every_step()["storage_test"]
    assert unmet(step, {}) == ["test_transaction"]
    assert unmet(step, {"test_transaction": StepState.FAILED}) == ["test_transaction"]
    assert unmet(step, {"test_transaction": StepState.PASSED}) == []


def test_how_old_a_verification_may_be() -> None:
    day = timedelta(hours=24)
    assert stale(None, NOW, day)
    assert not stale(NOW - day, NOW, day)
    assert stale(NOW - day - timedelta(seconds=1), NOW, day)


def test_all_is_well() -> None:
    assert {judge(known()).state for judge in JUDGES.values()} == {StepState.PASSED}


def _placed(**values: Any) -> dict[str, object]:
    return {"places": (replace(known().places[0], **values),)}


@pytest.mark.parametrize(
    ("code", "values", "says"),
    [
        ("answers", {"answers": Answering(False, "IDLE")}, "offline"),
        ("answers", {"answers": CredentialsRefused()}, "API key"),
        ("answers", {"answers": TerminalUnknown()}, "TT number"),
        ("answers", {"answers": CloudSilent("timeout")}, "(timeout)"),
        ("answers", {"account_now": ""}, "Cancel the case"),
        ("callback", {"reached": NotReached("TLS fails there")}, "TLS fails there"),
        ("callback", {"called_back_at": None}, "allow-list"),
        ("station", {"places": ()}, "serves no EVSE"),
        ("station", _placed(admission=None), "never connected"),
        ("station", _placed(admission=Admission.HELD), "waits to be admitted"),
        ("station", _placed(admission=Admission.REFUSED), "was refused"),
        ("station", _placed(connected=False), "not connected"),
        ("station", _placed(booted=False), "Restart it"),
        ("station", _placed(owner_id="own_2"), "not this owner's"),
        ("station", _placed(station_reports="SN-2"), "number sn-1, but it serves SN-2 (CP). Correct"),
        ("prices", {"places": ()}, "serves no EVSE"),
        ("prices", {"owner_currency": "EUR"}, "the owner's EUR"),
        ("prices", _placed(tariff_id=None, price=None), "has no tariff"),
        ("prices", _placed(price=None), "not there"),
        ("prices", _placed(price=Price(tariff_id="T", currency="SEK", owner_id="own_1")), "sold in SEK"),
        ("prices", _placed(price=Price(tariff_id="T", currency="NOK", owner_id="own_2")), "not this owner's"),
        ("licences", {"activated_at": None}, "activation"),
        ("licences", {"licensed_until": None}, "plan"),
        ("licences", {"licensed_until": NOW}, "Renew"),
        ("transfer", {"untransferred": "TT-1 is open."}, "TT-1 is open."),
        ("requirements", {"unmet": ("routing",)}, "routing"),
        ("requirements", {"account_id": "", "account_now": ""}, "names no processor"),
    ],
)
def test_what_is_wrong_is_said(code: str, values: dict[str, object], says: str) -> None:
    verdict = JUDGES[code](replace(known(), **values))  # type: ignore[arg-type]
    assert (verdict.code, verdict.state) == (code, StepState.FAILED)
    assert says in verdict.text
    assert verdict.text.endswith(".")


def test_one_of_the_stations_is_the_one_it_was_bought_for() -> None:
    two = replace(known().places[0], station_id="CP2", station_reports="SN-2")
    for places in (
        (two, *known().places),
        (replace(two, station_reports=""),),  # it reports none
        (replace(two, station_id="SN1"),),  # its identity is its serial number
    ):
        assert JUDGES["station"](replace(known(), places=places)).state is StepState.PASSED
    assert JUDGES["station"](replace(known(), places=(two,))).state is StepState.FAILED
    settings_file = replace(known(), places=(two,), station_serial="")
    assert JUDGES["station"](settings_file).state is StepState.PASSED


def test_what_was_not_asked_is_open() -> None:
    nothing = replace(known(), answers=None, reached=None)
    assert JUDGES["answers"](nothing).state is JUDGES["callback"](nothing).state is StepState.OPEN
    untested = replace(known(), called_back_at=None, test_passed=False)
    assert JUDGES["callback"](untested).state is StepState.OPEN


def test_the_operators_own_need_no_licence() -> None:
    exempt = replace(known(), licence_exempt=True, activated_at=None, licensed_until=None)
    assert JUDGES["licences"](exempt).state is StepState.PASSED
