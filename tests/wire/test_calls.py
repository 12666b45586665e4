"""What the central system asks of a station: one call at a time, each with an outcome, whatever the station does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from csms.ocpp.connection import Answered, Errored, NoAnswer, NotSent
from csms.ocpp.options import OcppOptions
from sessions import facts
from sessions.commands import StartCharging, StopCharging
from sessions.ports import Accepted, Offline, Refused, StationOutcome, Unknown
from tests.wire.station import NOW, Central, assert_valid_call, running

VERSIONS = ("ocpp1.6", "ocpp2.0.1")
RESET = {"ocpp1.6": {"type": "Soft"}, "ocpp2.0.1": {"type": "Immediate"}}
START = StartCharging(key="k", station_id="CP1", evse_id=2, id_token="ONETIME23", remote_start_id=77)
BOUNDED = StartCharging(
    key="k", station_id="CP1", evse_id=2, id_token="ONETIME23", remote_start_id=77, limit_w=22000, limit_s=5400
)
STOP = StopCharging(key="k", station_id="CP1", transaction_id="101")


# --- one outstanding call, in order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_calls_go_out_one_after_the_other(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    line = await central.line()
    wanted = ["ClearCache", "Reset", "GetLocalListVersion"]
    payloads: list[dict[str, Any]] = [{}, RESET[version], {}]
    calls = [asyncio.create_task(line.call(*call)) for call in zip(wanted, payloads, strict=True)]
    answers: list[dict[str, Any]] = [
        {"status": "Accepted"},
        {"status": "Rejected"},
        {"listVersion": 3} if version == "ocpp1.6" else {"versionNumber": 3},
    ]
    sent = []
    for answer in answers:
        call = await station.next_call()
        sent.append(call)
        assert await station.calls_so_far() == []
        await station.answer(call, answer)
    assert [call[2] for call in sent] == wanted
    assert len({call[1] for call in sent}) == 3
    assert [await call for call in calls] == [Answered(answer) for answer in answers]
    assert central.inbox.findings() == []


async def test_a_call_may_come_before_the_answer_to_ours(central: Central) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    assert (await station.ask("StatusNotification", status))[0] == 3
    assert not reply.done()
    await station.answer(call, {"status": "Accepted"})
    assert await reply == Answered({"status": "Accepted"})


async def test_a_refusal_is_heard(central: Central) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    await station.send(4, call[1], "NotSupported", "no cache here", {})
    assert await reply == Errored("NotSupported", "no cache here")


@pytest.mark.parametrize("frame", [["NotSupported"], [None], [{"a": 1}, 5], ["x" * 500, "y" * 500, []], ["\0", "a\0b"]])
async def test_a_refusal_of_odd_shape_is_one_too(central: Central, frame: list[Any]) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    await station.send(4, call[1], *frame)
    errored = await reply
    assert isinstance(errored, Errored)
    assert len(errored.code) <= 50
    assert len(errored.description) <= 255
    assert "\0" not in errored.code + errored.description  # it is written down


@pytest.mark.parametrize("payload", [None, [], "Accepted", 5])
async def test_an_answer_that_is_no_object_is_waited_for_no_longer(central: Central, payload: Any) -> None:
    """It may have taken effect, as with no answer at all; the next call can go out."""
    station = await central.connect("CP1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    await station.send(3, (await station.next_call())[1], payload)
    assert await reply == NoAnswer("its answer could not be read")
    assert central.inbox.findings() == ["malformed-frame"]
    behind = asyncio.create_task(line.call("GetLocalListVersion", {}))
    await station.answer(await station.next_call(), {"listVersion": 1})
    assert await behind == Answered({"listVersion": 1})


async def test_no_answer_in_time_and_the_next_call_goes_out() -> None:
    async with running(OcppOptions(call_timeout_s=0.01)) as central:
        station = await central.connect("CP1")
        line = await central.line()
        assert await line.call("ClearCache", {}) == NoAnswer("timeout")
        late = await station.next_call()
        await station.answer(late, {"status": "Accepted"})
        await central.inbox.first(facts.ConformanceFound)
        assert central.inbox.findings() == ["unexpected-answer"]
        assert await line.call("ClearCache", {}) == NoAnswer("timeout")
        assert (await station.next_call())[2] == "ClearCache"


@pytest.mark.parametrize("kind", [3, 4])
async def test_an_answer_to_nothing_is_a_finding(central: Central, kind: int) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    await station.send(kind, "nobody-asked", {} if kind == 3 else "GenericError", "", {})
    await station.send(kind, "-1", {} if kind == 3 else "GenericError", "", {})
    reply = asyncio.create_task(line.call("ClearCache", {}))
    call = await station.next_call()
    await station.send(3, "another-id", {"status": "Rejected"})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert not reply.done()
    await station.answer(call, {"status": "Accepted"})
    await station.answer(call, {"status": "Rejected"})
    assert await reply == Answered({"status": "Accepted"})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    assert central.inbox.findings() == ["unexpected-answer"]  # counted once a connection


async def test_a_line_lost_while_waiting(central: Central) -> None:
    """The one that was sent may have taken effect; those behind it were certainly not sent."""
    station = await central.connect("CP1")
    line = await central.line()
    sent, behind = (asyncio.create_task(line.call("ClearCache", {})) for _ in range(2))
    await station.next_call()
    await station.socket.close()
    assert await sent == NoAnswer("connection lost")
    assert await behind == NotSent()
    assert await line.call("ClearCache", {}) == NotSent()


async def test_stopping_the_server_ends_the_waiting() -> None:
    async with running() as central:
        station = await central.connect("CP1")
        line = await central.line()
        reply = asyncio.create_task(line.call("ClearCache", {}))
        await station.next_call()
        await central.server.stop()
        assert await reply == NoAnswer("connection lost")
        assert (await station.closed())[0] == 1001


async def test_a_caller_that_gives_up_frees_the_line(central: Central) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    given_up = asyncio.create_task(line.call("ClearCache", {}))
    await station.next_call()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    reply = asyncio.create_task(line.call("GetLocalListVersion", {}))
    await station.answer(await station.next_call(), {"listVersion": 1})
    assert await reply == Answered({"listVersion": 1})


async def test_a_wrong_answer_is_handed_on_with_a_finding(central: Central) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    reply = asyncio.create_task(line.call("ClearCache", {}))
    await station.answer(await station.next_call(), {"status": "Perhaps"})
    assert await reply == Answered({"status": "Perhaps"})
    found = await central.inbox.first(facts.ConformanceFound)
    assert (found.code, found.action) == ("answer-invalid", "ClearCache")


@pytest.mark.parametrize("payload", [{"type": "Sideways"}, {}, {"type": "Soft", "colour": "red"}])
async def test_we_send_nothing_that_breaks_the_schema(central: Central, payload: dict[str, Any]) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    with pytest.raises(ValueError, match=r"Reset is not valid ocpp1\.6"):
        await line.call("Reset", payload)
    assert await station.calls_so_far() == []


# --- remote start and stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("command", [START, BOUNDED])
async def test_the_start_as_it_goes_out(central: Central, version: str, command: StartCharging) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    outcome = asyncio.create_task(central.stations.start(command))
    call = await station.next_call()
    await station.answer(call, {"status": "Accepted"})
    assert await outcome == Accepted()
    _, _, action, payload = call
    package_version = version.removeprefix("ocpp")
    assert_valid_call(package_version, action, payload)
    profile = payload.pop("chargingProfile", None)
    if version == "ocpp1.6":
        assert (action, payload) == ("RemoteStartTransaction", {"idTag": "ONETIME23", "connectorId": 2})
    else:
        token = {"idToken": "ONETIME23", "type": "Central"}
        assert (action, payload) == (
            "RequestStartTransaction",
            {"idToken": token, "remoteStartId": 77, "evseId": 2},
        )
    if command is START:
        assert profile is None
        return
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"]) == ("TxProfile", "Relative")
    assert "transactionId" not in profile
    schedules = profile["chargingSchedule"]
    (schedule,) = [schedules] if version == "ocpp1.6" else schedules
    assert schedule["chargingRateUnit"] == "W"
    assert "duration" not in schedule  # a schedule that ends would set the charge free
    assert schedule["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 22000},
        {"startPeriod": 5400, "limit": 0},
    ]


OUTCOMES: list[tuple[list[Any], StationOutcome]] = [
    ([3, {"status": "Accepted"}], Accepted()),
    ([3, {"status": "Accepted", "transactionId": "tx-9"}], Accepted("tx-9")),
    ([3, {"status": "Accepted", "transactionId": 5}], Accepted()),
    ([3, {"status": "Accepted", "transactionId": "t\0x" + "9" * 300}], Accepted("tx" + "9" * 62)),
    ([3, {"status": "Rejected"}], Refused("Rejected")),
    ([3, {"status": "Rejected", "statusInfo": {"reasonCode": "Not\0Enabled" * 9}}], Refused(("NotEnabled" * 9)[:60])),
    ([3, {"status": "Rejected", "statusInfo": {"reasonCode": "NotEnabled"}}], Refused("NotEnabled")),
    ([3, {"status": "Rejected", "statusInfo": "no"}], Refused("Rejected")),
    ([4, "InternalError", "", {}], Refused("InternalError")),
    # No answer anyone could act on: it may have taken effect.
    ([3, {}], Unknown("the answer says neither Accepted nor Rejected")),
    ([3, {"status": "accepted"}], Unknown("the answer says neither Accepted nor Rejected")),
    ([3, {"status": ["Accepted"]}], Unknown("the answer says neither Accepted nor Rejected")),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("answer", "outcome"), OUTCOMES)
async def test_what_an_answer_means(central: Central, version: str, answer: list[Any], outcome: StationOutcome) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    for ask in (central.stations.start(START), central.stations.stop(STOP)):
        asked = asyncio.create_task(ask)
        call = await station.next_call()
        await station.send(answer[0], call[1], *answer[1:])
        assert await asked == outcome


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_stop_as_it_goes_out(central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    outcome = asyncio.create_task(central.stations.stop(STOP))
    call = await station.next_call()
    await station.answer(call, {"status": "Accepted"})
    assert await outcome == Accepted()
    expected = ("RemoteStopTransaction", 101) if version == "ocpp1.6" else ("RequestStopTransaction", "101")
    assert (call[2], call[3]) == (expected[0], {"transactionId": expected[1]})


@pytest.mark.parametrize("transaction_id", ["", "-1", "tx-9", "1.5"])
async def test_a_16_station_cannot_be_asked_to_stop_what_has_no_number(central: Central, transaction_id: str) -> None:
    station = await central.connect("CP1")
    await central.line()
    command = StopCharging(key="k", station_id="CP1", transaction_id=transaction_id)
    assert await central.stations.stop(command) == Refused("the transaction has no 1.6 id")
    assert await station.calls_so_far() == []


async def test_what_cannot_be_said_in_the_version_is_refused(central: Central) -> None:
    """1.6's idTag has 20 characters at most: nothing was sent, and a doer must not try for ever."""
    station = await central.connect("CP1")
    await central.line()
    command = StartCharging(key="k", station_id="CP1", evse_id=1, id_token="A" * 30, remote_start_id=1)
    outcome = await central.stations.start(command)
    assert isinstance(outcome, Refused)
    assert "RemoteStartTransaction is not valid ocpp1.6" in outcome.reason
    assert await station.calls_so_far() == []


async def test_a_station_that_is_not_there_is_offline(central: Central) -> None:
    assert await central.stations.start(START) == Offline()
    assert await central.stations.stop(STOP) == Offline()


async def test_a_station_that_hangs_up_instead_of_answering_is_unknown(central: Central) -> None:
    station = await central.connect("CP1")
    await central.line()
    first, behind = (asyncio.create_task(central.stations.start(START)) for _ in range(2))
    await station.next_call()
    await station.socket.close()
    assert await first == Unknown("connection lost")
    assert await behind == Offline()


async def test_a_station_that_says_nothing_is_unknown() -> None:
    async with running(OcppOptions(call_timeout_s=0.01)) as central:
        await central.connect("CP1")
        await central.line()
        assert await central.stations.start(START) == Unknown("timeout")


async def test_the_profile_ends_long_after_the_session(central: Central) -> None:
    station = await central.connect("CP1")
    await central.line()
    outcome = asyncio.create_task(central.stations.start(BOUNDED))
    call = await station.next_call()
    await station.answer(call, {"status": "Accepted"})
    await outcome
    assert call[3]["chargingProfile"]["validTo"] == f"{(NOW + timedelta(days=7)):%Y-%m-%dT%H:%M:%S}.000Z"
