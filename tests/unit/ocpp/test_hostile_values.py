"""Values that no schema forbids and that must harm neither the frame they come in nor its station's line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.pan import contains_pan
from csms.ocpp import frames
from csms.ocpp.dialect import StationContext, decimal, text, whole
from csms.ocpp.schemas import MANY_VALUES, request_problems
from sessions import facts
from tests.wire.inbox import MemoryDirectory, RecordingInbox

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def card_number() -> str:
    """Sixteen digits that pass for a card number."""
    return next(number for number in (f"400000000000{n:04}" for n in range(100)) if contains_pan(number))


def parsed(*frame: Any) -> frames.Frame:
    return frames.parse(json.dumps(frame))


def test_a_message_id_that_passes_for_a_card_number_is_answered_under_it() -> None:
    number = card_number()
    assert parsed(2, number, "Heartbeat", {}) == frames.Call(number, "Heartbeat", {})
    assert parsed(3, number, {}) == frames.CallResult(number, {})
    assert parsed(4, number, "InternalError", "", {}) == frames.CallError(number, "InternalError", "")


def test_a_card_number_is_masked_everywhere_else() -> None:
    number = card_number()
    payload = {"idTag": number, number: 1, "list": [f"card {number}"], "meterStart": int(number)}
    frame = parsed(2, number, "StartTransaction", payload)
    assert isinstance(frame, frames.Call)
    assert not contains_pan(json.dumps([frame.action, frame.payload]))
    assert frame.payload["idTag"] == "*" * 12 + number[-4:]
    assert frame.payload["meterStart"] is None
    error = parsed(4, "a", number, number, {})
    assert isinstance(error, frames.CallError)
    assert not contains_pan(f"{error.code} {error.description}")


@pytest.mark.parametrize("beside", ["", card_number()])
@pytest.mark.parametrize("depth", [frames.MAX_DEPTH, 300, 900, 100_000])
def test_deep_nesting_is_refused_whatever_is_in_it(depth: int, beside: str) -> None:
    deep = '{"a":' * depth + f'"{beside}"' + "}" * depth
    assert isinstance(frames.parse(f'[2,"a","Heartbeat",{deep}]'), frames.Malformed)
    lists = "[" * depth + f'"{beside}"' + "]" * depth
    assert isinstance(frames.parse(f'[2,"a","Heartbeat",{lists}]'), frames.Malformed)


def test_a_signed_record_is_kept_to_the_character() -> None:
    """A meter's serial number may pass for a card number; masked, the signature would not fit any more."""
    record = json.dumps({"signedMeterData": f'OCMF|{{"MS":"{card_number()}"}}|{{"SD":"00"}}'})
    sampled: dict[str, Any] = {"format": "SignedData", "value": record, "measurand": card_number()}
    frame = parsed(2, "a", "StopTransaction", {"transactionData": [{"sampledValue": [sampled]}]})
    assert isinstance(frame, frames.Call)
    kept = frame.payload["transactionData"][0]["sampledValue"][0]
    assert kept["value"] == record
    assert not contains_pan(kept["measurand"])

    signed = {"signedMeterData": card_number(), "publicKey": card_number()}
    frame = parsed(2, "a", "TransactionEvent", {"meterValue": [{"sampledValue": [{"signedMeterValue": signed}]}]})
    assert isinstance(frame, frames.Call)
    kept = frame.payload["meterValue"][0]["sampledValue"][0]["signedMeterValue"]
    assert kept["signedMeterData"] == card_number()
    assert not contains_pan(kept["publicKey"])


def test_a_raw_value_is_no_signed_record() -> None:
    frame = parsed(2, "a", "MeterValues", {"format": "Raw", "value": card_number()})
    assert isinstance(frame, frames.Call)
    assert not contains_pan(frame.payload["value"])


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (0, 0),
        (-1, -1),
        (2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31)),
        ("7", 7),
        (7.0, 7),
        (2**31, None),
        (-(2**31) - 1, None),
        (2**63, None),
        (1e300, None),
        ("9" * 20, None),
        ("9" * 21, None),
        (7.5, None),
        (True, None),
        ("seven", None),
        (None, None),
        ([7], None),
    ],
)
def test_whole_numbers_have_32_bits(said: object, read: int | None) -> None:
    assert whole({"n": said}, "n") == read


def test_text_has_no_nul() -> None:
    assert text({"n": "a\0b\0"}, "n") == "ab"
    assert text({"n": "\0" * 5 + "abc"}, "n", 2) == "ab"


async def test_a_finding_that_cannot_be_stored_is_let_go_and_tried_again() -> None:
    inbox = RecordingInbox()
    ctx = StationContext(
        station_id="CP1",
        version="ocpp1.6",
        inbox=inbox,
        directory=MemoryDirectory(),
        now=lambda: NOW,
        held=False,
        heartbeat_interval_s=300,
        held_retry_s=60,
        connection_nonce="n",
    )
    inbox.failing = (facts.ConformanceFound,)
    await ctx.finding("schema", "first")
    assert inbox.findings() == []
    inbox.failing = ()
    await ctx.finding("schema", "second")
    await ctx.finding("schema", "third")
    assert [found.detail for found in inbox.of(facts.ConformanceFound)] == ["second"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("0.15005000000000002", "0.15005000000000002"),
        (0.15005000000000002, "0.15005000000000002"),
        (0.1, "0.1"),
        (-3, "-3"),
        ("1e3", "1E+3"),
        ("999999999999999", "999999999999999"),
        ("1e15", None),
        ("9e999999999", None),
        ("-9e999999999", None),
        (1e300, None),
        ("1e-999999999", "0"),
        ("0e999999999", "0"),
        ("NaN", None),
        ("sNaN", None),
        ("-Infinity", None),
        ("9" * 41, None),
        ("1,5", None),
        (True, None),
        (None, None),
    ],
)
def test_numbers_are_read_as_written_if_they_can_be_true(said: object, read: str | None) -> None:
    number = decimal(said)
    assert (None if number is None else str(number)) == read


def test_a_huge_broken_payload_is_refused_by_its_first_problem() -> None:
    """Listing them all would hold every station up for seconds."""
    few = {"connectorId": 1, "meterValue": [{"timestamp": 5, "sampledValue": [{}, {}]}]}
    assert len(request_problems("ocpp1.6", "MeterValues", few)) == 3
    many = {"connectorId": 1, "meterValue": [{"timestamp": 5, "sampledValue": [{}] * MANY_VALUES}]}
    assert len(request_problems("ocpp1.6", "MeterValues", many)) == 1
    sampled = {"timestamp": "2026-11-23T11:00:00Z", "sampledValue": [{"value": "1"}] * MANY_VALUES}
    assert request_problems("ocpp1.6", "MeterValues", {"connectorId": 1, "meterValue": [sampled]}) == []
