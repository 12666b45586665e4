"""OCPP-J frames: bytes in, a checked frame out, or the reason why not. (OCPP-J 1.6 §4, 2.0.1 and 2.1 part 4 §4.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from billing.pan import contains_pan, redact_pans

MAX_ID = 36
MAX_ACTION = 64
#: Objects inside one another; the deepest OCPP payload has fewer than ten.
MAX_DEPTH = 32

CALL, CALL_RESULT, CALL_ERROR, CALL_RESULT_ERROR, SEND = 2, 3, 4, 5, 6
#: The message types of 1.6 and 2.0.1; 2.1 has all of them.
FIRST_KINDS = frozenset({CALL, CALL_RESULT, CALL_ERROR})
ALL_KINDS = FIRST_KINDS | {CALL_RESULT_ERROR, SEND}


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    message_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallResult:
    """An answer to our call."""

    message_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallError:
    """A refusal of our call."""

    message_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class CallResultError:
    """2.1: our answer could not be used."""

    message_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Send:
    """2.1: a message that nobody answers."""

    message_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Malformed:
    """No frame. ``message_id`` where one could be read, so that it can be answered; ``code`` in 2.0.1's spelling.

    ``kind``: the message type of what it was meant to be, where that decides about the answer.
    """

    reason: str
    code: str = "RpcFrameworkError"
    message_id: str | None = None
    kind: int = CALL


Frame = Call | CallResult | CallError | CallResultError | Send | Malformed


def parse(raw: str | bytes, kinds: frozenset[int] = ALL_KINDS) -> Frame:
    """Return the frame that ``raw`` is, of the message types ``kinds``. Card numbers in it are masked before anybody
    sees them.

    Not in the message id, which is never kept: an id of digits passes for a card number one time in twenty, and a
    masked one would answer nothing.
    """
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:  # also: nested too deep for the parser
        return Malformed("not JSON")
    if not isinstance(message, list) or len(message) < 3:
        return Malformed("not an OCPP-J array")
    kind, message_id = message[0], message[1]
    if not isinstance(message_id, str) or not message_id or len(message_id) > MAX_ID:
        return Malformed("message id is not a string of 1 to 36 characters")
    if _too_deep(message):
        return Malformed("nested too deeply", "FormatViolation", message_id)
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    if "\\" in text or contains_pan(text):  # an escape can hide a digit, or what stands before the first one
        message[2:] = _redacted(message[2:])
    if type(kind) is not int:
        return Malformed("message type is not a number", "RpcFrameworkError", message_id)
    if kind not in kinds:
        return Malformed(f"message type {kind} is not supported", "MessageTypeNotSupported", message_id)
    if kind in {CALL, SEND}:
        return _call(kind, message, message_id)
    if kind == CALL_RESULT:
        if not isinstance(message[2], dict):
            return Malformed("the answer's payload is not an object", "RpcFrameworkError", message_id, kind)
        return CallResult(message_id, message[2])
    description = message[3] if len(message) > 3 and isinstance(message[3], str) else ""
    refusal = CallError if kind == CALL_ERROR else CallResultError
    # Both are written down, and PostgreSQL's text takes no NUL.
    return refusal(message_id, str(message[2]).replace("\0", "")[:50], description.replace("\0", "")[:255])


def _call(kind: int, message: list[Any], message_id: str) -> Frame:
    if len(message) != 4:
        name = "CALL" if kind == CALL else "SEND"
        return Malformed(f"a {name} has four elements", "RpcFrameworkError", message_id, kind)
    action, payload = message[2], message[3]
    if not isinstance(action, str) or not 0 < len(action) <= MAX_ACTION:
        return Malformed("the action is not a name", "RpcFrameworkError", message_id, kind)
    if not isinstance(payload, dict):
        return Malformed("the payload is not an object", "FormatViolation", message_id, kind)
    return Call(message_id, action, payload) if kind == CALL else Send(message_id, action, payload)


def _too_deep(value: Any, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return True
    if isinstance(value, dict):
        return any(_too_deep(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return any(_too_deep(item, depth + 1) for item in value)
    return False


def _redacted(value: Any) -> Any:
    """Mask card numbers, but leave signed meter records alone: one changed character breaks the signature."""
    if isinstance(value, str):
        return redact_pans(value)
    if isinstance(value, dict):
        signed = "value" if value.get("format") == "SignedData" else "signedMeterData"
        return {redact_pans(key): item if key == signed else _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and contains_pan(str(value)):
        return None
    return value


def call(message_id: str, action: str, payload: dict[str, Any]) -> str:
    """Return the text of a CALL."""
    return orjson.dumps([CALL, message_id, action, payload]).decode()


def call_result(message_id: str, payload: dict[str, Any]) -> str:
    """Return the text of a CALLRESULT."""
    return orjson.dumps([CALL_RESULT, message_id, payload]).decode()


def call_error(message_id: str, code: str, description: str) -> str:
    """Return the text of a CALLERROR."""
    return orjson.dumps([CALL_ERROR, message_id, code, description[:255], {}]).decode()


def call_result_error(message_id: str, code: str, description: str) -> str:
    """Return the text of a CALLRESULTERROR (2.1)."""
    return orjson.dumps([CALL_RESULT_ERROR, message_id, code, description[:255], {}]).decode()
