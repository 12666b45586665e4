"""What an example of a station's message is, for the tables of every version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Payload = dict[str, Any]
AT = "2026-11-23T11:59:30Z"


@dataclass(frozen=True)
class Example:
    """``facts``: names of the facts a valid one makes. ``broken``: (name, payload, the CALLERROR's code or None).

    None: taken all the same, with the finding ``schema``.
    """

    action: str
    payload: Payload
    facts: tuple[str, ...] = ("StationEventRecorded",)
    answer: Payload | None = None
    broken: tuple[tuple[str, Any, str | None], ...] = field(default=())


def strict(
    action: str,
    payload: Payload,
    required: str,
    wrong: Payload,
    answer: Payload | None = None,
    long: Payload | None = None,
    facts: tuple[str, ...] = ("StationEventRecorded",),
) -> Example:
    """A message of 2.0.1 or 2.1 for which the schema is the law; by default it is only kept."""
    broken: list[tuple[str, Any, str | None]] = [
        ("missing", {key: value for key, value in payload.items() if key != required}, "OccurrenceConstraintViolation"),
        ("wrong type", {**payload, **wrong}, "TypeConstraintViolation"),
        ("extra field", {**payload, "colour": "red"}, "FormatViolation"),
    ]
    if long is not None:
        broken.append(("too long", {**payload, **long}, "PropertyConstraintViolation"))
    return Example(action, payload, facts=facts, answer={} if answer is None else answer, broken=tuple(broken))
