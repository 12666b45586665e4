"""Frames that cross, come late, under another's id, or on another line (bar 3): each has one outcome, the right one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.ocpp.connection import Answered, Errored, NoAnswer, NotSent
from csms.ocpp.options import OcppOptions
from sessions import facts
from sessions.commands import StartCharging, StopCharging
from sessions.ports import Accepted, Unknown
from tests.wire.station import Central, Station, running

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
YES = {"status": "Accepted"}
AT = "2026-11-23T11:59:30Z"
each_version = pytest.mark.parametrize("version", VERSIONS)


def begins(version: str, evse_id: int) -> tuple[str, dict[str, Any]]:
    """The message that begins a transaction at an EVSE."""
    if version == "ocpp1.6":
        payload: dict[str, Any] = {"connectorId": evse_id, "idTag": "TAG", "meterStart": evse_id, "timestamp": AT}
        return "StartTransaction", payload
    return "TransactionEvent", {
        "eventType": "Started",
        "timestamp": AT,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": f"tx-{evse_id}"},
        "evse": {"id": evse_id},
        "idToken": {"idToken": "TAG", "type": "Central"},
    }


# --- two connectors ---------------------------------------------------------------------------------------------------


@each_version
async def test_two_connectors_at_once_each_get_their_own_answer(central: Central, version: str) -> None:
    """Both messages are under way before the first is answered; its commit takes long, and none overtakes."""
    committed = asyncio.Event()
    central.inbox.gate = lambda fact: committed if getattr(fact, "evse_id", 0) == 1 else None
    station = await central.connect("CP1", version)
    for message_id, evse_id in (("a", 1), ("b", 2)):
        await station.send(2, message_id, *begins(version, evse_id))
    await central.inbox.until(lambda: any(isinstance(f, facts.TransactionStarted) for f in central.inbox.waiting))
    assert not central.inbox.of(facts.TransactionStarted)
    committed.set()
    first, second = await station.next_answer(), await station.next_answer()
    assert [first[:2], second[:2]] == [[3, "a"], [3, "b"]]
    assert [f.evse_id for f in central.inbox.of(facts.TransactionStarted)] == [1, 2]
    if version == "ocpp1.6":
        assert first[2]["transactionId"] != second[2]["transactionId"]


@each_version
async def test_starts_at_two_connectors_go_out_in_turn_and_keep_their_answers(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    asked = [
        asyncio.create_task(
            central.stations.start(
                StartCharging(key=f"k{n}", station_id="CP1", evse_id=n, id_token=f"TAG{n}", remote_start_id=n)
            )
        )
        for n in (1, 2)
    ]
    for n, answer in ((1, YES), (2, {"status": "Rejected"})):
        call = await station.next_call()
        assert call[3].get("connectorId", call[3].get("evseId")) == n
        assert await station.calls_so_far() == []  # one at a time
        await station.answer(call, answer)
    outcomes = [await task for task in asked]
    assert outcomes[0] == Accepted()
    assert type(outcomes[1]).__name__ == "Refused"


# --- two sockets ------------------------------------------------------------------------------------------------------


@each_version
async def test_a_second_socket_takes_over_and_no_call_is_left_hanging(central: Central, version: str) -> None:
    old = await central.connect("CP1", version)
    line = await central.line()
    sent, behind = (asyncio.create_task(line.call("ClearCache", {})) for _ in range(2))
    in_flight = await old.next_call()
    new = await central.connect("CP1", version)
    assert await sent == NoAnswer("connection lost")  # it may have taken effect
    assert await behind == NotSent()
    code, reason = await old.closed()
    assert (code, "replaced" in reason) == (1000, True)
    while central.server.connections.get("CP1") in {line, None}:
        await asyncio.sleep(0)
    # The old call's answer, on the new line, is an answer to nothing.
    reply = asyncio.create_task(central.server.connections["CP1"].call("ClearCache", {}))
    call = await new.next_call()
    await new.send(3, in_flight[1], {"status": "Rejected"})
    assert (await new.ask("Heartbeat", {}))[0] == 3
    assert not reply.done()
    await new.answer(call, YES)
    assert await reply == Answered(YES)
    assert central.inbox.findings() == ["unexpected-answer"]


@each_version
async def test_the_same_message_on_both_sockets_is_one(central: Central, version: str) -> None:
    """The old line's message is being written when the station, which heard nothing, comes back and says it again."""
    committed = asyncio.Event()
    central.inbox.gate = lambda fact: committed if isinstance(fact, facts.TransactionStarted) else None
    old = await central.connect("CP1", version)
    await old.send(2, "m1", *begins(version, 1))
    await central.inbox.until(lambda: any(isinstance(f, facts.TransactionStarted) for f in central.inbox.waiting))
    new = await central.connect("CP1", version)
    committed.set()
    answer = await new.ask(*begins(version, 1))
    assert answer[0] == 3
    await central.inbox.until(lambda: not central.inbox.waiting)
    assert len(central.inbox.of(facts.TransactionStarted)) == 1
    if version == "ocpp1.6":
        assert answer[2]["transactionId"] == 101


@each_version
async def test_message_ids_begin_again_with_each_line_and_mean_nothing(central: Central, version: str) -> None:
    """Small numbers, the same after every restart: what was 1 is now another message, and what was 2 is told as 1."""
    action, first = begins(version, 1)
    _, second = begins(version, 2)
    answers = []
    for told in ((first, second), (second, first), (first,)):
        station = await central.connect("CP1", version)
        for number, payload in enumerate(told, 1):
            await station.send(2, str(number), action, payload)
            answer = await station.next_answer()
            assert answer[:2] == [3, str(number)]
            answers.append((payload is first, answer[2]))
    assert [f.evse_id for f in central.inbox.of(facts.TransactionStarted)] == [1, 2]
    for is_first in (True, False):  # each time the same answer
        mine = [answer for was_first, answer in answers if was_first == is_first]
        assert all(answer == mine[0] for answer in mine)


# --- crossing and late ------------------------------------------------------------------------------------------------


@each_version
async def test_calls_that_cross_under_the_same_id_are_both_answered(central: Central, version: str) -> None:
    """Each side chooses its ids alone, so a CALL of theirs may bear the id of ours."""
    station = await central.connect("CP1", version)
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    ours = await station.next_call()
    await station.send(2, ours[1], "Heartbeat", {})
    answer = await station.next_answer()
    assert (answer[0], answer[1], "currentTime" in answer[2]) == (3, ours[1], True)
    assert not reply.done()
    await station.answer(ours, YES)
    assert await reply == Answered(YES)
    assert central.inbox.findings() == []


@each_version
async def test_calls_of_the_station_between_our_call_and_its_answer(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    start = StartCharging(key="k", station_id="CP1", evse_id=1, id_token="TAG", remote_start_id=1)
    outcome = asyncio.create_task(central.stations.start(start))
    call = await station.next_call()
    assert (await station.ask(*begins(version, 1)))[0] == 3  # the transaction overtakes the answer
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert not outcome.done()
    await station.answer(call, YES)
    assert await outcome == Accepted()
    assert len(central.inbox.of(facts.TransactionStarted)) == 1


@asynccontextmanager
async def timed_out(version: str) -> AsyncIterator[tuple[Central, Station, list[Any]]]:
    """A call that ran into its timeout; from now on there is time enough."""
    async with running(OcppOptions(call_timeout_s=0.05)) as central:
        station = await central.connect("CP1", version)
        line = await central.line()
        assert await line.call("ClearCache", {}) == NoAnswer("timeout")
        line._options = OcppOptions()
        yield central, station, await station.next_call()


@each_version
@pytest.mark.parametrize("kind", [3, 4])
async def test_an_answer_after_its_timeout_is_not_the_next_calls(version: str, kind: int) -> None:
    async with timed_out(version) as (central, station, first):
        line = central.server.connections["CP1"]
        reply = asyncio.create_task(line.call("GetLocalListVersion", {}))
        call = await station.next_call()
        await station.send(kind, first[1], *([YES] if kind == 3 else ["InternalError", "late", {}]))
        assert (await station.ask("Heartbeat", {}))[0] == 3
        assert not reply.done()
        answer = {"listVersion": 3} if version == "ocpp1.6" else {"versionNumber": 3}
        await station.answer(call, answer)
        assert await reply == Answered(answer)
        assert central.inbox.findings() == ["unexpected-answer"]


@each_version
async def test_a_start_whose_answer_comes_late_is_unknown_and_not_asked_again(version: str) -> None:
    async with running(OcppOptions(call_timeout_s=0.05)) as central:
        station = await central.connect("CP1", version)
        await central.line()
        start = StartCharging(key="k", station_id="CP1", evse_id=1, id_token="TAG", remote_start_id=1)
        assert await central.stations.start(start) == Unknown("timeout")
        await station.answer(await station.next_call(), YES)
        assert await station.calls_so_far() == []
        assert central.inbox.findings() == ["unexpected-answer"]


@each_version
async def test_an_answer_under_a_wrong_id_is_passed_over(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    stop = StopCharging(key="k", station_id="CP1", transaction_id="7")
    outcome = asyncio.create_task(central.stations.stop(stop))
    call = await station.next_call()
    for wrong in (call[1][::-1], "-1", "1"):
        await station.send(3, wrong, {"status": "Rejected"})
    await station.send(4, "somebody-elses", "InternalError", "", {})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert not outcome.done()
    await station.answer(call, YES)
    assert await outcome == Accepted()
    assert central.inbox.findings() == ["unexpected-answer"]


@each_version
async def test_the_first_of_two_answers_counts(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    await station.send(4, call[1], "NotSupported", "no cache", {})
    await station.answer(call, YES)
    assert await reply == Errored("NotSupported", "no cache")
    again = asyncio.create_task(line.call("ClearCache", {}))
    await station.answer(await station.next_call(), YES)
    assert await again == Answered(YES)
