"""Every message of every version, both ways, with every payload that its schema allows or forbids.

The payloads are `tests.wire.schema_payloads`' tables. One test per message sends all of them over one line; what it
says when it fails are the names of the cases.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable
from typing import Any

import pytest

from csms.ocpp.connection import Answered, Errored
from csms.ocpp.options import OcppOptions
from csms.ocpp.schemas import actions, unanswered
from csms.ocpp.versions import DIALECTS
from sessions import codec, facts
from tests.wire.schema_payloads import Case, table
from tests.wire.station import Central, Station, assert_valid_answer, running

ANSWERS = [(version, action) for version, dialect in DIALECTS.items() for action in sorted(dialect.answers)]
SENDS = [(version, action) for version, dialect in DIALECTS.items() for action in sorted(dialect.sends)]
ASKS = [(version, action) for version, dialect in DIALECTS.items() for action in sorted(dialect.asks)]
#: Nothing here is about floods.
PATIENT = OcppOptions(burst=10**9)

#: OCPP-J 1.6 table 7.
CODES_16 = {
    *("NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation"),
    *("PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError"),
}
#: 2.0.1 part 4 §4.3.
CODES_2 = {
    *("FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented", "NotSupported"),
    *("OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError"),
    *("SecurityError", "TypeConstraintViolation"),
}
#: The schema's rule → what a refusal may be called, in 2.0.1's spelling. A wrong type is no value of an enumeration.
REFUSALS = {
    "type": {"TypeConstraintViolation", "PropertyConstraintViolation"},
    "required": {"OccurrenceConstraintViolation"},
    "additionalProperties": {"FormatViolation"},
}
SPELLED_16 = {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}

#: Valid by the schema, and still nothing that can be acted upon: versions, cases, why.
UNUSABLE = (
    ("ocpp1.6", "Authorize-empty-idTag", "an id tag is asked about, and there is none"),
    ("ocpp1.6", "StartTransaction-empty-idTag", "a transaction that nobody started cannot be anybody's"),
    ("ocpp1.6", "StartTransaction-least-connectorId", "§4.8: connectors are numbered from 1"),
    ("ocpp1.6", "StatusNotification-least-connectorId", "§4.9: connectors are numbered from 1, 0 is the station"),
    ("ocpp2.*", "Authorize-empty-idToken.idToken", "an id token is asked about, and there is none"),
    ("ocpp2.0.1", "StatusNotification-least-evseId", "EVSEs are numbered from 1; 2.1's schema says it"),
    ("ocpp2.1", "NotifySettlement-empty-pspRef", "money is booked by the payment's reference"),
    ("ocpp2.*", "TransactionEvent-empty-transactionInfo.transactionId", "a transaction's events are told by its id"),
)


def test_no_message_is_forgotten() -> None:
    """Whatever the `ocpp` package has a schema for is a station's, ours, or both."""
    for version, dialect in DIALECTS.items():
        assert actions(version) == {*dialect.answers, *dialect.asks}
        assert unanswered(version) == set(dialect.sends)


def is_unusable(version: str, case: Case) -> bool:
    """Whether `UNUSABLE` says so."""
    return any(re.fullmatch(versions, version) and re.fullmatch(names, case.name) for versions, names, _ in UNUSABLE)


def assert_storable(found: Iterable[facts.Fact]) -> None:
    """What handlers make of a payload can be written down and read again."""
    for fact in found:
        assert codec.decode_fact(codec.kind_of(fact), codec.encode(fact)) == fact


# --- a station's ------------------------------------------------------------------------------------------------------


def complaint(version: str, action: str, case: Case, answer: list[Any]) -> str:
    """What is wrong with the answer to a payload; empty if nothing is."""
    if answer[0] == 3:
        assert_valid_answer(version, action, answer[2])
        if case.kind == "invalid" and not DIALECTS[version].answers[action].tolerant:
            return f"{case.name} was taken"
        return f"{case.name} was taken, although it is said to be unusable" if is_unusable(version, case) else ""
    _, _, code, description, _ = answer
    if code == "InternalError" or code not in (CODES_16 if version == "ocpp1.6" else CODES_2) or not description:
        return f"{case.name} was refused with {code}: {description!r}"
    if case.kind == "invalid":
        expected = REFUSALS.get(case.rule, {"PropertyConstraintViolation"})
        expected = {SPELLED_16.get(name, name) for name in expected} if version == "ocpp1.6" else expected
        return "" if code in expected else f"{case.name} was refused as {code}"
    if case.kind == "unformatted" or is_unusable(version, case):
        return ""
    return f"{case.name} was refused as {code}: {description}"


@pytest.mark.parametrize(("version", "action"), ANSWERS)
async def test_every_payload_of_a_station_is_answered(version: str, action: str) -> None:
    """A valid one validly, a broken one with what is wrong, or with a finding by a message that must be taken."""
    broken = [case for case in table(version, action) if case.kind == "invalid"]
    whole = [case for case in table(version, action) if case.kind != "invalid"]
    async with running(PATIENT) as central:
        station = await central.connect("CP1", version)
        wrong = [complaint(version, action, case, await station.ask(action, case.payload)) for case in whole]
        assert "schema" not in central.inbox.findings()
        wrong += [complaint(version, action, case, await station.ask(action, case.payload)) for case in broken]
        assert not broken or "schema" in central.inbox.findings()
        assert await station.calls_so_far() == []  # it still speaks, and has said nothing else
        assert_storable(central.inbox.facts)
    assert not [said for said in wrong if said]


@pytest.mark.parametrize(("version", "action"), SENDS)
async def test_what_wants_no_answer_gets_none(version: str, action: str) -> None:
    """2.1 part 4, SEND: taken if it is valid, noted if it is not; nothing is said either way."""
    broken = [case for case in table(version, action) if case.kind == "invalid"]
    whole = [case for case in table(version, action) if case.kind in {"valid", "boundary"}]
    async with running(PATIENT) as central:
        station = await central.connect("CP1", version)
        for place, case in enumerate(whole):
            await station.send(6, f"s{place}", action, case.payload)
        assert await station.calls_so_far() == []  # its Heartbeat's answer is the first that comes
        assert central.inbox.findings() == []
        for place, case in enumerate(broken):
            await station.send(6, f"b{place}", action, case.payload)
        assert await station.calls_so_far() == []
        assert "schema" in central.inbox.findings()
        assert_storable(central.inbox.facts)


async def test_messages_that_a_station_makes_up_are_one_finding() -> None:
    """Or it could fill the store with a finding for each name it thinks of."""
    async with running(PATIENT) as central:
        station = await central.connect("CP1", "ocpp2.1")
        for name in ("Sing", "Dance", "Sing\0", "NotifyEvent"):
            await station.send(6, "s1", name, {})
        assert await station.calls_so_far() == []
        assert central.inbox.findings() == ["send-refused"]


def test_the_table_of_the_unusable_names_nothing_else() -> None:
    named = [case.name for version, action in ANSWERS for case in table(version, action) if is_unusable(version, case)]
    for _, names, _ in UNUSABLE:
        assert any(re.fullmatch(names, name) for name in named), names


# --- ours -------------------------------------------------------------------------------------------------------------


async def asked(central: Central, station: Station, action: str, request: Case, response: Case) -> str:
    """Send a call of ours and let the station answer it; what is wrong with what came of it."""
    line = await central.line()
    reply = asyncio.create_task(line.call(action, request.payload))
    call = await station.next_call()
    await station.answer(call, response.payload)
    heard = await reply
    if call[2:] != [action, request.payload]:
        return f"{request.name} went out as {call[2:]}"
    if station.version == "ocpp2.1" and response.kind == "invalid":  # part 4, CALLRESULTERROR
        _, message_id, code, *_ = await station.next_refusal()
        if message_id != call[1] or code not in CODES_2:
            return f"{response.name} was refused as {code} to {message_id}"
    if heard != Answered(response.payload):
        return f"{request.name}, answered by {response.name}, came back as {heard}"
    return ""


@pytest.mark.parametrize(("version", "action"), ASKS)
async def test_every_payload_of_ours_is_sent_and_every_answer_heard(version: str, action: str) -> None:
    requests = [case for case in table(version, action) if case.kind in {"valid", "boundary"}]
    responses = [case for case in table(version, action, "response") if case.kind in {"valid", "boundary"}]
    broken = [case for case in table(version, action, "response") if case.kind == "invalid"]
    async with running(PATIENT) as central:
        station = await central.connect("CP1", version)
        pairs = itertools.islice(
            zip(itertools.cycle(requests), itertools.cycle(responses), strict=False), max(len(requests), len(responses))
        )
        wrong = [await asked(central, station, action, *pair) for pair in pairs]
        assert central.inbox.findings() == []
        wrong += [await asked(central, station, action, requests[0], case) for case in broken]
        assert await station.calls_so_far() == []
        assert central.inbox.findings() == ["answer-invalid"] * bool(broken)
    assert not [said for said in wrong if said]


@pytest.mark.parametrize(("version", "action"), ASKS)
async def test_a_payload_of_ours_that_breaks_the_schema_is_not_sent(version: str, action: str) -> None:
    async with running(PATIENT) as central:
        station = await central.connect("CP1", version)
        line = await central.line()
        for case in table(version, action):
            if case.kind == "invalid":
                with pytest.raises(ValueError, match=f"{action} is not valid {version}"):
                    await line.call(action, case.payload)
        assert await station.calls_so_far() == []


@pytest.mark.parametrize(("version", "action"), ASKS)
async def test_every_refusal_of_ours_is_heard(version: str, action: str) -> None:
    smallest = table(version, action)[0]
    async with running(PATIENT) as central:
        station = await central.connect("CP1", version)
        line = await central.line()
        for code in sorted(CODES_16 if version == "ocpp1.6" else CODES_2):
            reply = asyncio.create_task(line.call(action, smallest.payload))
            await station.send(4, (await station.next_call())[1], code, "why", {})
            assert await reply == Errored(code, "why")
        assert await station.calls_so_far() == []
