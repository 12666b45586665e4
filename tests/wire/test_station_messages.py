"""Each message of a station, valid and broken, over a socket: the answer, its spelling, the facts."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import Any

import pytest

from sessions import facts
from sessions.facts import TokenStatus
from tests.wire.messages import CENTRAL_ONLY, EXAMPLES
from tests.wire.messages_shape import Example
from tests.wire.station import Central, assert_valid_answer

#: OCPP-J 1.6 table 7 spells these in its own way.
SPELLED_16 = {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}
VALID = [
    pytest.param(version, example, id=f"{version}-{example.action}")
    for version in EXAMPLES
    for example in EXAMPLES[version]
]
BROKEN = [
    pytest.param(version, example, payload, code, id=f"{version}-{example.action}-{name}")
    for version, examples in EXAMPLES.items()
    for example in examples
    for name, payload, code in example.broken
]


PACKAGES = [("ocpp1.6", "ocpp.v16.call"), ("ocpp2.0.1", "ocpp.v201.call"), ("ocpp2.1", "ocpp.v21.call")]


@pytest.mark.parametrize(("version", "package"), PACKAGES)
def test_no_action_of_the_package_is_forgotten(version: str, package: str) -> None:
    calls = inspect.getmembers(importlib.import_module(package), inspect.isclass)
    actions = {name for name, kind in calls if kind.__module__ == package and not name.endswith("Payload")}
    stations = {example.action for example in EXAMPLES[version]}
    assert stations.isdisjoint(CENTRAL_ONLY[version])
    assert stations | CENTRAL_ONLY[version] == actions


@pytest.mark.parametrize(("version", "example"), VALID)
async def test_a_valid_message_is_answered_and_stored(central: Central, version: str, example: Example) -> None:
    central.directory.tokens["ABCDEF"] = TokenStatus.ACCEPTED
    station = await central.connect("CP1", version)
    kind, _, answer = await station.ask(example.action, example.payload)
    assert kind == 3
    assert_valid_answer(version, example.action, answer)
    if example.answer is not None:
        assert answer == example.answer
    assert tuple(central.inbox.kinds().elements()) == example.facts
    for recorded in central.inbox.of(facts.StationEventRecorded):
        assert (recorded.action, recorded.payload) == (example.action, example.payload)


@pytest.mark.parametrize(("version", "example", "payload", "code"), BROKEN)
async def test_a_broken_message_is_refused_in_words_or_taken_with_a_finding(
    central: Central, version: str, example: Example, payload: Any, code: str | None
) -> None:
    station = await central.connect("CP1", version)
    answer = await station.ask(example.action, payload)
    if code is None:
        assert answer[0] == 3, answer
        assert_valid_answer(version, example.action, answer[2])
        assert "schema" in central.inbox.findings()
        assert tuple(kind for kind in central.inbox.kinds() if kind != "ConformanceFound") == example.facts
    else:
        expected = SPELLED_16.get(code, code) if version == "ocpp1.6" else code
        assert (answer[0], answer[2]) == (4, expected), answer
        assert answer[3]
        assert set(central.inbox.kinds()) == {"ConformanceFound"}
    assert {found.action for found in central.inbox.of(facts.ConformanceFound)} == {example.action}
    assert (await station.ask("Heartbeat", {}))[0] == 3


@pytest.mark.parametrize("version", EXAMPLES)
async def test_an_unknown_action_is_not_implemented(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    assert (await station.ask("MakeCoffee", {}))[2] == "NotImplemented"
    # NotifySettlement is a station's in 2.1 alone; a periodic event stream is no CALL at all.
    expected = "NotImplemented" if version != "ocpp2.1" else "OccurrenceConstraintViolation"
    assert (await station.ask("NotifySettlement", {}))[2] == expected
    assert (await station.ask("NotifyPeriodicEventStream", {}))[2] == "NotImplemented"


@pytest.mark.parametrize("version", EXAMPLES)
async def test_a_central_systems_own_action_is_not_supported(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    for action in sorted(CENTRAL_ONLY[version]):
        assert (await station.ask(action, {}))[2] == "NotSupported", action
    assert not central.inbox.kinds()


async def test_the_answer_waits_for_the_commit(central: Central) -> None:
    """Nobody is answered before what was said is safe."""
    committed = asyncio.Event()
    central.inbox.gate = lambda fact: committed if isinstance(fact, facts.StationBooted) else None
    station = await central.connect("CP1", "ocpp1.6")
    asked = asyncio.create_task(station.ask("BootNotification", {"chargePointVendor": "m", "chargePointModel": "b"}))
    await central.inbox.until(lambda: any(isinstance(fact, facts.StationBooted) for fact in central.inbox.waiting))
    pong = await station.socket.ping()
    await pong  # what the server had to send before this, it has sent
    assert not asked.done()
    committed.set()
    assert (await asked)[0] == 3
