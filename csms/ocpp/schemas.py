"""Validation against the `ocpp` package's own JSON schemas, compiled once per action with `jsonschema-rs`.

The package's own validation costs hundreds of microseconds a message; this costs single ones. Problems are described by
place and rule, never by value: values may be id tokens or worse.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs
import orjson

_PACKAGES = {"ocpp1.6": ("ocpp.v16", ""), "ocpp2.0.1": ("ocpp.v201", "Request"), "ocpp2.1": ("ocpp.v21", "Request")}


#: More than ten times what the largest payload of the recorded stations has.
MANY_VALUES = 2_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule of the schema that a payload breaks. ``rule``: type | required | additionalProperties | maxLength | …"""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path or 'payload'}: breaks {self.rule}"


@cache
def actions(version: str) -> frozenset[str]:
    """Every action the version has schemas for, in either direction."""
    package, suffix = _PACKAGES[version]
    names = (entry.name for entry in importlib.resources.files(package).joinpath("schemas").iterdir())
    requests = {name.removesuffix(".json") for name in names if name.endswith(f"{suffix}.json")}
    return frozenset(name.removesuffix(suffix) for name in requests if not name.endswith("Response"))


@cache
def unanswered(version: str) -> frozenset[str]:
    """Every action that is sent without an answer: its schema is neither a request's nor a response's."""
    package, suffix = _PACKAGES[version]
    names = (entry.name for entry in importlib.resources.files(package).joinpath("schemas").iterdir())
    plain = {name.removesuffix(".json") for name in names if suffix and name.endswith(".json")}
    return frozenset(name for name in plain if not name.endswith((suffix, "Response")))


def request_problems(version: str, action: str, payload: Any) -> list[Problem]:
    """What is wrong with a request's payload; empty if nothing is. KeyError for an action without a schema."""
    return _problems(_validator(version, action, "request"), payload)


def send_problems(version: str, action: str, payload: Any) -> list[Problem]:
    """What is wrong with the payload of a message that nobody answers. KeyError for one without a schema."""
    return _problems(_validator(version, action, "send"), payload)


def response_problems(version: str, action: str, payload: Any) -> list[Problem]:
    """What is wrong with an answer's payload; empty if nothing is."""
    return _problems(_validator(version, action, "response"), payload)


def _problems(validator: Any, payload: Any) -> list[Problem]:
    if validator.is_valid(payload):
        return []
    found = []
    for error in _errors(validator, payload):
        path = ".".join(str(part) for part in error.instance_path)
        rule = str(error.schema_path[-1]) if error.schema_path else "schema"
        found.append(Problem(path, rule))
    return found


def _errors(validator: Any, payload: Any) -> list[jsonschema_rs.ValidationError]:
    """All errors of a payload of ordinary size; the first of a huge one, whose list would take seconds to make."""
    if _values(payload, MANY_VALUES) < MANY_VALUES:
        return list(validator.iter_errors(payload))
    try:
        validator.validate(payload)
    except jsonschema_rs.ValidationError as first:
        return [first]
    return []


def _values(payload: Any, most: int) -> int:
    """How many values there are in a payload; counts no further than ``most``."""
    count, waiting = 0, [payload]
    while waiting and count < most:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return count


@cache
def _validator(version: str, action: str, direction: str) -> Any:
    if action not in (actions(version) if direction != "send" else unanswered(version)):
        raise KeyError(action)
    package, suffix = _PACKAGES[version]
    ending = {"request": suffix, "response": "Response", "send": ""}[direction]
    schema = importlib.resources.files(package).joinpath("schemas", f"{action}{ending}.json")
    text = schema.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return jsonschema_rs.validator_for(orjson.loads(text), validate_formats=False)
