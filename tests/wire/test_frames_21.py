"""OCPP 2.1's own message types: SEND, which nobody answers, and CALLRESULTERROR, which answers an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from csms.ocpp.connection import Answered
from sessions import facts
from tests.wire.messages_shape import AT
from tests.wire.station import Central

STREAM = "NotifyPeriodicEventStream"
VALUES = {"id": 1, "pending": 0, "basetime": AT, "data": [{"t": 0, "v": "16.1"}, {"t": 1.5, "v": "16.2"}]}


async def test_a_send_is_taken_and_not_answered(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    await station.send(6, "s1", STREAM, VALUES)
    assert (await station.ask("Heartbeat", {}))[0] == 3  # the first answer there is
    assert central.inbox.kinds().total() == 1
    assert central.inbox.findings() == []


@pytest.mark.parametrize(
    ("frame", "finding"),
    [
        ([6, "s1", STREAM, {**VALUES, "id": "1"}], "schema"),
        ([6, "s1", STREAM, {}], "schema"),
        ([6, "s1", "Heartbeat", {}], "send-refused"),
        ([6, "s1", "MakeCoffee", {}], "send-refused"),
        ([6, "s1", STREAM], "malformed-frame"),
        ([6, "s1", STREAM, []], "malformed-frame"),
        ([6, "s1", 5, VALUES], "malformed-frame"),
    ],
)
async def test_a_wrong_send_is_a_finding_and_nothing_else(central: Central, frame: list[Any], finding: str) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    await station.send(*frame)
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert central.inbox.findings() == [finding]
    assert central.inbox.kinds() == {"ConformanceFound": 1}


async def test_a_send_that_cannot_be_stored_is_lost_and_the_line_goes_on(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    central.inbox.failing = (facts.StationFact,)
    await station.send(6, "s1", STREAM, VALUES)
    central.inbox.failing = ()
    assert (await station.ask("Heartbeat", {}))[0] == 3


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize("kind", [5, 6])
async def test_before_21_there_are_none(central: Central, version: str, kind: int) -> None:
    station = await central.connect("CP1", version)
    await station.send(kind, "s1", STREAM, VALUES, {})
    answer = await station.next_answer()
    assert answer[:2] == [4, "s1"]
    assert answer[3] == f"message type {kind} is not supported"


# --- an answer of the station that cannot be used ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"status": "Perhaps"}, "PropertyConstraintViolation"),
        ({}, "OccurrenceConstraintViolation"),
        ({"status": 5}, "TypeConstraintViolation"),
        ({"status": "Accepted", "colour": "red"}, "FormatViolation"),
    ],
)
async def test_an_invalid_answer_is_refused(central: Central, answer: dict[str, Any], code: str) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    await station.answer(call, answer)
    kind, message_id, said, why, _ = await station.next_refusal()
    assert (kind, message_id, said) == (5, call[1], code)
    assert why
    assert await reply == Answered(answer)  # whoever asked still hears it
    assert central.inbox.findings() == ["answer-invalid"]


async def test_an_answer_without_an_object_is_refused(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    await station.send(3, "m9", [])
    refusal = await station.next_refusal()
    assert refusal == [5, "m9", "RpcFrameworkError", "the answer's payload is not an object", {}]


async def test_201_hears_no_such_thing(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    await station.answer(await station.next_call(), {"status": "Perhaps"})
    assert await reply == Answered({"status": "Perhaps"})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert central.inbox.findings() == ["answer-invalid"]


# --- an answer of ours that the station cannot use --------------------------------------------------------------------


async def test_a_refused_answer_of_ours_is_a_finding_with_its_action(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    _, message_id, _ = await station.ask("Heartbeat", {})
    await station.send(5, message_id, "FormatViolation", "currentTime is no time", {})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    (found,) = central.inbox.of(facts.ConformanceFound)
    assert (found.code, found.action) == ("answer-refused", "Heartbeat")
    assert found.detail == "FormatViolation: currentTime is no time"


async def test_a_refusal_of_nothing_or_of_odd_shape_is_one_too(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.1")
    await station.send(5, "nobody-said", None)
    await station.send(5, "nobody-said", "x" * 500, {"a": 1})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    (found,) = central.inbox.of(facts.ConformanceFound)
    assert (found.code, found.action) == ("answer-refused", "")
