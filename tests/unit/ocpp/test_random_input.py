"""Whatever bytes and whatever JSON: a frame or a reason, an answer or `Unusable`; never anything else."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.ocpp import frames
from csms.ocpp.dialect import StationContext, Unusable, decimal, moment, whole
from csms.ocpp.schemas import actions, request_problems
from csms.ocpp.versions import DIALECTS, Dialect
from sessions import codec, facts
from tests.wire.inbox import MemoryDirectory, RecordingInbox
from tests.wire.messages import EXAMPLES
from tests.wire.station import assert_valid_answer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
#: Those that read what they are given; the others are only called with what the schema allows.
HANDLERS = [
    pytest.param(dialect, action, id=f"{dialect.version}-{action}")
    for dialect in DIALECTS.values()
    for action, message in sorted(dialect.answers.items())
    if message.tolerant and dialect.version in EXAMPLES
]
#: No deadline: a slow machine is no failure.
many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
few = settings(many, max_examples=40)

texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["Started", "Ended", "Available", "Occupied", "1", "-1", "1e9", "NaN", "Infinity", "kWh", "SignedData"]
    ),
    st.sampled_from(["2026-11-23T12:00:00Z", "1970-01-01T00:00:00+14:00", "0001-01-01T00:00:00+01:00", "2026-W48-1"]),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def fields_of(payload: Any) -> set[str]:
    """Every field name in a payload, so that random ones hit what handlers look for."""
    if isinstance(payload, dict):
        return set(payload) | {name for item in payload.values() for name in fields_of(item)}
    if isinstance(payload, list):
        return {name for item in payload for name in fields_of(item)}
    return set()


NAMES = sorted({name for examples in EXAMPLES.values() for example in examples for name in fields_of(example.payload)})
NAMES += ["transactionData", "reason", "offline", "multiplier", "unitOfMeasure", "signedMeterValue", "phase", "format"]
named = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)),
    max_leaves=10,
)


def context() -> StationContext:
    return StationContext(
        station_id="CP1",
        version="any",
        inbox=RecordingInbox(),
        directory=MemoryDirectory(),
        now=lambda: NOW,
        held=False,
        heartbeat_interval_s=300,
        held_retry_s=60,
        connection_nonce="n",
    )


def assert_frame(frame: frames.Frame) -> None:
    if isinstance(frame, frames.Malformed):
        assert frame.reason
    elif isinstance(frame, frames.Call):
        assert 0 < len(frame.message_id) <= frames.MAX_ID
        assert 0 < len(frame.action) <= frames.MAX_ACTION
        assert isinstance(frame.payload, dict)
    elif isinstance(frame, frames.CallError):
        assert len(frame.code) <= 50
        assert len(frame.description) <= 255


# --- frames -----------------------------------------------------------------------------------------------------------


@many
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_any_bytes_are_a_frame_or_a_reason(raw: bytes | str) -> None:
    assert_frame(frames.parse(raw))


@many
@given(st.text(alphabet='[]{}",:0123456789.eE-+\\u truefalsn', max_size=60))
def test_almost_json_is_a_frame_or_a_reason(raw: str) -> None:
    assert_frame(frames.parse(raw))


@many
@given(values)
def test_any_json_is_a_frame_or_a_reason(value: Any) -> None:
    assert_frame(frames.parse(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)))


@many
@given(
    st.lists(values, max_size=6), st.one_of(st.integers(min_value=-1, max_value=7), values), st.one_of(texts, values)
)
def test_any_array_is_a_frame_or_a_reason(rest: list[Any], kind: Any, message_id: Any) -> None:
    raw = orjson.dumps([kind, message_id, *rest]).decode()
    assert_frame(frames.parse(raw))


@many
@given(
    st.text(alphabet=string.printable, min_size=1, max_size=36),
    st.dictionaries(st.text(max_size=10), scalars, max_size=4),
)
def test_what_we_write_can_be_read(message_id: str, payload: dict[str, Any]) -> None:
    assert json.loads(frames.call(message_id, "Reset", payload)) == [2, message_id, "Reset", payload]
    assert json.loads(frames.call_result(message_id, payload)) == [3, message_id, payload]
    error = json.loads(frames.call_error(message_id, "GenericError", "why" * 200))
    assert error == [4, message_id, "GenericError", ("why" * 200)[:255], {}]


# --- handlers ---------------------------------------------------------------------------------------------------------


async def survive(dialect: Dialect, action: str, payload: dict[str, Any]) -> None:
    """The handler answers validly or raises `Unusable`; what it made can be written down and read again."""
    ctx = context()
    inbox = ctx.inbox
    assert isinstance(inbox, RecordingInbox)
    try:
        answer = await dialect.answers[action].handler(ctx, payload)
    except Unusable as unusable:
        assert str(unusable)  # noqa: PT017
        assert not [fact for fact in inbox.facts if not isinstance(fact, facts.ConformanceFound)]
    else:
        assert_valid_answer(dialect.version, action, answer)
        assert orjson.loads(orjson.dumps(answer)) == answer
    for fact in inbox.facts:
        assert codec.decode_fact(codec.kind_of(fact), codec.encode(fact)) == fact


@pytest.mark.parametrize(("dialect", "action"), HANDLERS)
@few
@given(payload=st.dictionaries(st.sampled_from(NAMES), named, max_size=5))
async def test_a_random_payload_is_answered_or_unusable(dialect: Dialect, action: str, payload: dict[str, Any]) -> None:
    await survive(dialect, action, payload)


@pytest.mark.parametrize(("dialect", "action"), HANDLERS)
@few
@given(data=st.data())
async def test_a_valid_payload_with_random_fields_is_answered_or_unusable(
    dialect: Dialect, action: str, data: st.DataObject
) -> None:
    (example,) = [example for example in EXAMPLES[dialect.version] if example.action == action]
    payload = dict(example.payload)
    if payload:
        broken = data.draw(st.dictionaries(st.sampled_from(sorted(payload)), named, max_size=2))
        payload |= broken
    await survive(dialect, action, payload)


@pytest.mark.parametrize("version", DIALECTS)
@many
@given(payload=named)
def test_the_schemas_judge_anything(version: str, payload: Any) -> None:
    for action in ("MeterValues", "StopTransaction") if version == "ocpp1.6" else ("TransactionEvent", "NotifyReport"):
        for problem in request_problems(version, action, payload):
            assert problem.rule
            assert len(str(problem)) < 2000


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@few
@given(data=st.data())
async def test_what_is_only_kept_is_kept_whatever_it_is(dialect: Dialect, data: st.DataObject) -> None:
    kept = [action for action, message in dialect.answers.items() if not message.tolerant]
    action = data.draw(st.sampled_from(sorted(kept)))
    await survive(dialect, action, data.draw(st.dictionaries(st.sampled_from(NAMES), named, max_size=5)))


def test_an_action_without_a_schema_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        request_problems("ocpp1.6", "TransactionEvent", {})
    assert "TransactionEvent" not in actions("ocpp1.6")


# --- readers ----------------------------------------------------------------------------------------------------------


@many
@given(named)
def test_readers_return_what_they_promise(value: Any) -> None:
    number, at, integer = decimal(value), moment(value), whole({"n": value}, "n")
    assert number is None or (number.is_finite() and abs(number) < 10**15)
    assert at is None or at.utcoffset() == NOW.utcoffset()
    assert integer is None or (type(integer) is int and -(2**31) <= integer < 2**31)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00+00:00"),
        ("2026-11-23T12:00:00", "2026-11-23T12:00:00+00:00"),
        ("2026-11-23T13:00:00+01:00", "2026-11-23T12:00:00+00:00"),
        ("2026-11-23T12:00:00.5Z", "2026-11-23T12:00:00.500000+00:00"),
        ("2026-11-23T12:00:00.123456789Z", "2026-11-23T12:00:00.123456+00:00"),
        (" 2026-11-23T12:00:00Z ", "2026-11-23T12:00:00+00:00"),
    ],
)
def test_times_as_stations_write_them(said: str, read: str) -> None:
    at = moment(said)
    assert at is not None
    assert at.isoformat() == read


@pytest.mark.parametrize(
    "said", ["", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+10:00", 5, None, "2" * 50]
)
def test_what_is_no_time(said: object) -> None:
    assert moment(said) is None


@pytest.mark.parametrize(
    "said", ["", "NaN", "Infinity", "-inf", "1e15", "1 kWh", "1_000", "١٢", True, None, [], "9" * 41]
)
def test_what_is_no_number(said: object) -> None:
    assert decimal(said) is None
