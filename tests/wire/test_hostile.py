"""Garbage, floods and card numbers from one station: said what is wrong, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import pytest

from csms.ocpp.options import OcppOptions
from sessions import facts
from tests.wire.messages import EXAMPLES
from tests.wire.station import Central, Station, running

VERSIONS = ("ocpp1.6", "ocpp2.0.1")
START = {"connectorId": 1, "idTag": "ABCDEF", "meterStart": 0, "timestamp": "2026-11-23T11:00:00Z"}


def pan() -> str:
    """A number that could be a card's: made when the test runs, so that none is written in this repository."""
    digits = [4, *(random.randrange(10) for _ in range(14))]
    doubled = [digit if place % 2 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)]
    return "".join(map(str, digits)) + str(-sum(doubled) % 10)


@pytest.fixture
async def neighbour(central: Central) -> AsyncIterator[Station]:
    """Another station, which must still be served when the test is over, and of which nothing was noted."""
    neighbour = await central.connect("NEIGHBOUR", "ocpp2.0.1")
    yield neighbour
    assert (await neighbour.ask("Heartbeat", {}))[0] == 3
    assert "NEIGHBOUR" in central.server.connections
    assert "NEIGHBOUR" not in {found.station_id for found in central.inbox.of(facts.ConformanceFound)}


# --- what is no frame -------------------------------------------------------------------------------------------------

#: (the message, its reason, the CALLERROR in 2.0.1's spelling, whether its message id can be read)
GARBAGE: list[tuple[str, str, str, bool]] = [
    ("", "not JSON", "RpcFrameworkError", False),
    ("hello", "not JSON", "RpcFrameworkError", False),
    ('[2,"m1","Heartbeat",{}', "not JSON", "RpcFrameworkError", False),
    ('[2,"m1","Heartbeat",{"a":NaN}]', "not JSON", "RpcFrameworkError", False),
    ("[" * 100_000, "not JSON", "RpcFrameworkError", False),
    ("[" * 100_000 + "]" * 100_000, "not JSON", "RpcFrameworkError", False),
    ('{"a":' * 40_000 + "1" + "}" * 40_000, "not JSON", "RpcFrameworkError", False),
    ("null", "not an OCPP-J array", "RpcFrameworkError", False),
    ("{}", "not an OCPP-J array", "RpcFrameworkError", False),
    ("[]", "not an OCPP-J array", "RpcFrameworkError", False),
    ('[2,"m1"]', "not an OCPP-J array", "RpcFrameworkError", False),
    ('[2,5,"Heartbeat",{}]', "message id is not a string of 1 to 36 characters", "RpcFrameworkError", False),
    ('[2,"","Heartbeat",{}]', "message id is not a string of 1 to 36 characters", "RpcFrameworkError", False),
    (
        f'[2,"{"m" * 37}","Heartbeat",{{}}]',
        "message id is not a string of 1 to 36 characters",
        "RpcFrameworkError",
        False,
    ),
    ('[3,"m1",[]]', "the answer's payload is not an object", "RpcFrameworkError", False),
    ('[2,"m1","Heartbeat"]', "a CALL has four elements", "RpcFrameworkError", True),
    ('[2,"m1","Heartbeat",{},{}]', "a CALL has four elements", "RpcFrameworkError", True),
    ('[2,"m1",5,{}]', "the action is not a name", "RpcFrameworkError", True),
    ('[2,"m1","",{}]', "the action is not a name", "RpcFrameworkError", True),
    (f'[2,"m1","{"A" * 65}",{{}}]', "the action is not a name", "RpcFrameworkError", True),
    ('[2,"m1","Heartbeat",[]]', "the payload is not an object", "FormatViolation", True),
    ('[2,"m1","Heartbeat",null]', "the payload is not an object", "FormatViolation", True),
    ('["2","m1","Heartbeat",{}]', "message type is not a number", "RpcFrameworkError", True),
    ('[true,"m1","Heartbeat",{}]', "message type is not a number", "RpcFrameworkError", True),
    ('[2.0,"m1","Heartbeat",{}]', "message type is not a number", "RpcFrameworkError", True),
    ('[5,"m1","NotSupported","",{}]', "message type 5 is not supported", "MessageTypeNotSupported", True),
    ('[6,"m1","NotifyPeriodicEventStream",{}]', "message type 6 is not supported", "MessageTypeNotSupported", True),
    ('[-1,"m1",{}]', "message type -1 is not supported", "MessageTypeNotSupported", True),
    ('[2,"m1","Heartbeat",{"a":' + "[" * 40 + "]" * 40 + "}]", "nested too deeply", "FormatViolation", True),
    ('[2,"m1","Heartbeat",{"a":' + "[" * 900 + "]" * 900 + "}]", "nested too deeply", "FormatViolation", True),
]
SPELLED_16 = {
    "FormatViolation": "FormationViolation",
    "RpcFrameworkError": "ProtocolError",
    "MessageTypeNotSupported": "ProtocolError",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("raw", "reason", "code", "readable"), GARBAGE, ids=[entry[0][:30] for entry in GARBAGE])
async def test_what_is_no_frame_is_answered_with_why(
    central: Central, neighbour: Station, version: str, raw: str, reason: str, code: str, readable: bool
) -> None:
    station = await central.connect("CP1", version)
    await station.socket.send(raw)
    if readable:
        spelled = SPELLED_16[code] if version == "ocpp1.6" else code
        assert await station.next_answer() == [4, "m1", spelled, reason, {}]
    elif version == "ocpp2.0.1":
        assert await station.next_answer() == [4, "-1", code, reason, {}]
    answer = await station.ask("Heartbeat", {})  # 1.6 has no way to say it without an id; the line goes on
    assert answer[0] == 3
    (found,) = central.inbox.of(facts.ConformanceFound)
    assert (found.code, found.detail) == ("malformed-frame", reason)
    assert central.inbox.kinds() == {"ConformanceFound": 1}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_binary_message_is_refused(central: Central, neighbour: Station, version: str) -> None:
    station = await central.connect("CP1", version)
    await station.socket.send(json.dumps([2, "m1", "StartTransaction", START]).encode())
    assert (await station.ask("Heartbeat", {}) if version == "ocpp1.6" else await station.next_answer())[0] in {3, 4}
    (found,) = central.inbox.of(facts.ConformanceFound)
    assert found.detail == "a binary message; OCPP-J is text"
    assert not central.inbox.of(facts.TransactionStarted)


async def test_ten_megabytes_are_too_much(central: Central, neighbour: Station) -> None:
    """Refused at the frame's head, before they are read; the rest of them is not taken in."""
    central.directory.add("CP1")
    reader, writer = await asyncio.open_connection("127.0.0.1", central.server.port)
    writer.write(
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    text, masked, long = 0x81, 0x80, 127
    writer.write(bytes([text, masked | long]) + (10_000_000).to_bytes(8, "big") + b"\0" * 4 + b"[" * 65_536)
    async with asyncio.timeout(30):
        kind, length = await reader.readexactly(2)
        said = await reader.readexactly(length)
    assert (kind, int.from_bytes(said[:2], "big")) == (0x88, 1009)
    assert b"10000000 bytes" in said
    writer.close()
    gone = await central.inbox.first(facts.StationDisconnected)
    assert (gone.station_id, gone.reason) == ("CP1", f"1009 {said[2:].decode()}")
    assert not central.inbox.of(facts.StationEventRecorded)
    again = await central.connect("CP1")
    assert (await again.ask("Heartbeat", {}))[0] == 3


async def test_text_that_is_no_text_closes_the_line(central: Central, neighbour: Station) -> None:
    station = await central.connect("CP1")
    await station.socket.send(b'[2,"m1","Heartbeat",{"a":"\xff"}]', text=True)
    assert (await station.closed())[0] == 1007
    gone = await central.inbox.first(facts.StationDisconnected)
    assert gone.reason.startswith("1007")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_line_that_only_carries_garbage_is_closed(neighbour: Station, central: Central, version: str) -> None:
    station = await central.connect("CP1", version)
    for _ in range(OcppOptions().bad_frames):
        await station.socket.send("garbage")
    assert await station.closed() == (1008, "too many malformed frames")
    gone = await central.inbox.first(facts.StationDisconnected)
    assert gone.reason == "1008 too many malformed frames"
    assert central.inbox.findings() == ["malformed-frame"]  # told once, not twenty times
    again = await central.connect("CP1", version)
    assert (await again.ask("Heartbeat", {}))[0] == 3


# --- values of the wrong kind -----------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, 0, -1, 2**31, 2**64 - 1, 1e300, "", "x" * 5000, "\x00", [], [[]], {}, {"a": {"b": []}}]


@pytest.mark.parametrize("version", VERSIONS)
async def test_odd_values_anywhere_are_answered(version: str) -> None:
    """Each field of each deciding message in turn is something else; whole numbers stay within 32 bits, as the
    standard's do, and no text has a NUL: the store could hold neither."""
    async with running(OcppOptions(burst=1_000_000)) as central:
        station = await central.connect("CP1", version)
        for example in EXAMPLES[version]:
            for field in {**example.payload, "reason": "", "transactionData": [], "meterValue": []}:
                for odd in ODD:
                    answer = await station.ask(example.action, {**example.payload, field: odd})
                    assert answer[0] in {3, 4}
                    assert answer[2] != "InternalError", (example.action, field, odd, answer)
    as_it_came = {"payload", "raw"}  # kept as JSON text
    for fact in central.inbox.facts:
        for name in {field.name for field in fields(fact)} - as_it_came:
            value = getattr(fact, name)
            assert not isinstance(value, int) or abs(value) < 2**31, (name, value)
            assert "\\x00" not in repr(value)


# --- floods -----------------------------------------------------------------------------------------------------------


async def test_a_flood_delays_its_own_station_alone() -> None:
    """So slow a rate that the flood's second message would be taken in a quarter of an hour."""
    async with running(OcppOptions(burst=1, messages_per_s=0.001)) as central:
        flood = await central.connect("FLOOD")
        for number in range(50):
            await flood.send(2, f"f{number}", "Heartbeat", {})
        found = await central.inbox.first(facts.ConformanceFound)
        assert (found.station_id, found.code) == ("FLOOD", "flood")
        calm = await central.connect("CALM")
        assert (await calm.ask("Heartbeat", {}))[0] == 3
        assert (await flood.next_answer())[1] == "f0"


async def test_long_messages_are_a_flood_sooner_than_short_ones() -> None:
    """A quarter of a million characters in a message: few of them would keep everybody waiting."""
    async with running(OcppOptions(burst=70, messages_per_s=0.001)) as central:
        short, long = await central.connect("SHORT"), await central.connect("LONG")
        for _ in range(60):
            assert (await short.ask("Heartbeat", {}))[0] == 3
        padding = "[]" + ",[]" * 80_000
        for number in range(2):
            await long.socket.send(f'[2,"m{number}","DataTransfer",{{"vendorId":[{padding}]}}]')
        await central.inbox.until(lambda: "flood" in central.inbox.findings())
        found = central.inbox.of(facts.ConformanceFound)
        assert {(fact.station_id, fact.code) for fact in found} == {("LONG", "schema"), ("LONG", "flood")}
        assert (await short.ask("Heartbeat", {}))[0] == 3


async def test_a_station_whose_commit_hangs_delays_itself_alone(central: Central, neighbour: Station) -> None:
    stuck = asyncio.Event()
    central.inbox.gate = lambda fact: stuck if isinstance(fact, facts.TransactionStarted) else None
    station = await central.connect("CP1")
    await station.send(2, "m1", "StartTransaction", START)
    for number in range(2, 60):
        await station.send(2, f"m{number}", "Heartbeat", {})
    await central.inbox.until(lambda: len(central.inbox.waiting) == 1)
    assert (await neighbour.ask("Heartbeat", {}))[0] == 3
    stuck.set()
    assert [(await station.next_answer())[1] for _ in range(59)] == [f"m{number}" for number in range(1, 60)]


# --- a store that fails -----------------------------------------------------------------------------------------------


async def test_what_could_not_be_stored_is_not_acknowledged(
    central: Central, neighbour: Station, caplog: pytest.LogCaptureFixture
) -> None:
    central.inbox.failing = (facts.TransactionStarted,)
    station = await central.connect("CP1")
    assert (await station.ask("StartTransaction", START))[2:4] == ["InternalError", "not stored; please send it again"]
    assert "StartTransaction could not be handled" in caplog.text
    central.inbox.failing = ()
    assert (await station.ask("StartTransaction", START))[2]["transactionId"] == 101


async def test_a_finding_that_cannot_be_stored_does_not_cost_the_line(central: Central, neighbour: Station) -> None:
    central.inbox.failing = (facts.ConformanceFound,)
    station = await central.connect("CP1", "ocpp2.0.1")
    await station.socket.send("garbage")
    assert (await station.next_answer())[:2] == [4, "-1"]
    await station.send(3, "nobody-asked", {})
    event = {"eventType": "Started", "transactionInfo": {"transactionId": "tx-1"}}  # half of it is missing
    assert (await station.ask("TransactionEvent", event))[0] == 3
    central.inbox.failing = ()
    assert (await station.ask("TransactionEvent", event))[0] == 3
    assert "schema" in central.inbox.findings()  # noted as soon as it can be


# --- card numbers -----------------------------------------------------------------------------------------------------


def _spaced(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, 16, 4))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("write", ["plain", "spaced", "escaped", "after an escape", "deep"])
async def test_a_card_number_goes_nowhere(
    central: Central, neighbour: Station, caplog: pytest.LogCaptureFixture, version: str, write: str
) -> None:
    caplog.set_level(logging.DEBUG)
    number = pan()
    shown = {
        "spaced": json.dumps(_spaced(number)),
        "escaped": f'"\\u{ord(number[0]):04x}{number[1:]}"',
        "after an escape": f'"card\\n{number}"',
        "deep": "[" * 700 + f'"{number}"' + "]" * 700,
    }.get(write, f'"{number}"')
    key = f'"{number}"' if write == "deep" else shown
    bare = number if write == "plain" else shown
    texts = [
        f'[2,"m1","Authorize",{{"idTag":{shown},"idToken":{{"idToken":{shown},"type":"Local"}}}}]',
        f'[2,"m2","StatusNotification",{{"connectorId":1,"errorCode":"NoError","status":"Faulted","info":{shown},'
        f'"connectorStatus":"Faulted","evseId":1,"timestamp":{shown}}}]',
        f'[2,"m3","DataTransfer",{{"vendorId":"v","data":{shown}}}]',
        f'[2,"m4","DataTransfer",{{"vendorId":"v","data":{bare}}}]',
        f'[2,"m5","StartTransaction",{{"connectorId":1,"idTag":{shown},"meterStart":{bare},"timestamp":{shown}}}]',
        f'[2,"m6","StopTransaction",{{"transactionId":{bare},"idTag":{shown},"reason":{shown},"meterStop":{bare}}}]',
        f'[2,"m7","TransactionEvent",{{"eventType":"Started","transactionInfo":{{"transactionId":{shown}}},'
        f'"idToken":{{"idToken":{shown},"type":"Local"}},"seqNo":{bare},"customData":{{"vendorId":"v","x":{bare}}}}}]',
        f'[2,"m8",{shown},{{}}]',
        f'[3,"m9",{{"status":{shown}}}]',
        f'[4,"m9",{shown},{shown},{{}}]',
        f'[2,"m10","BootNotification",{{"chargePointModel":{shown},"chargePointVendor":{shown},{key}:1}}]',
        f"{number} is my card",
    ]
    station = await central.connect("CP1", version)
    for text in texts:
        await station.socket.send(text)
    said: list[list[Any]] = []
    await station.send(2, "last", "Heartbeat", {})
    while not said or said[-1][1] != "last":
        said.append(await station.next_answer())
    assert central.inbox.facts
    everything = [caplog.text, *(str(record.__dict__) for record in caplog.records)]
    everything += [repr(fact) for fact in central.inbox.facts] + [json.dumps(answer) for answer in said]
    for text in everything:
        digits = text.replace(" ", "").replace("\\n", "\n")
        assert number not in digits


async def test_a_number_that_is_no_card_stays(central: Central, neighbour: Station) -> None:
    """A register, a serial number, an id of 20 digits: untouched."""
    station = await central.connect("CP1")
    for data in ("1700000000000000", "12345678901234567890", "40000000000000000001"):
        assert (await station.ask("DataTransfer", {"vendorId": "v", "data": data}))[0] == 3
    kept = [recorded.payload["data"] for recorded in central.inbox.of(facts.StationEventRecorded)]
    assert kept == ["1700000000000000", "12345678901234567890", "40000000000000000001"]
