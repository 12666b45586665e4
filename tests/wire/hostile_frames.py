"""Frames as no station should send them, and some as they should.

They come from the messages' schemas, valid and broken, from other versions, from what was sent before; then values are
swapped for odd ones, keys doubled, text cut, repeated and mixed up. The same random numbers make the same frames.
"""

from __future__ import annotations

import json
import random
from collections import deque
from typing import Any, Protocol

from csms.ocpp.schemas import actions
from csms.ocpp.versions import DIALECTS
from tests.wire.schema_payloads import Case, table

REMEMBERED = 200

#: Put where another value was; as text, since what is put there may be changed again.
ODD = tuple(
    map(
        json.dumps,
        [
            *[None, True, False, 0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64 - 1, 0.1, -0.5],
            *[1e15, 1e308, -1e308, 5e-324, "", " ", "\0", "a\0b", "x" * 300, "x" * 20_000, "\U0001d54f" * 40],
            *["\u202eabc", "\ufeff", "e\u0301", "\x7f\x1b[2J", "NaN", "Infinity", "1e5", "1e999999999", "-1", "1_000"],
            *["\u0663", "0x10", "null", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59.999999999+23:59", "2026-W48-1"],
            *[
                "0001-01-01T00:00:00+23:59",
                "kWh",
                "Wh",
                "SignedData",
                "Started",
                "Ended",
                "Accepted",
                "{{7*7}}",
                "%s%n",
            ],
            *[
                "'; drop table stations; --",
                [],
                [[]],
                [None],
                {},
                {"": {}},
                {"a": [{"b": None}]},
                [{}] * 50,
                [0] * 3000,
            ],
            {str(number): number for number in range(300)},
        ],
    )
)
#: Written into the text where no JSON library would put them.
ODD_TEXT = (
    *("\\ud800", "\\udfff\\ud800", "\\u0000", "\0", "\ufeff", "\x85", "\\", '"', "1" * 400, "-", "1e999", "0" * 30),
    *("NaN", "[" * 40, "]" * 40, '{"a":' * 40, "[" * 2000, '"a":1,"a":2,', ",", ":", "{}", "[]", "null", "\\u00", "\n"),
)


class AskedLine(Protocol):
    """What a frame is for: ``call_id`` and ``action`` are those of the call that waits for an answer, or empty."""

    version: str
    call_id: str
    action: str


class HostileFrames:
    """Makes them. What it made last may come again."""

    def __init__(self, chance: random.Random) -> None:
        self._random = chance
        self._count = 0
        self._before: deque[str] = deque(maxlen=REMEMBERED)
        self._actions = {version: sorted(actions(version)) for version in DIALECTS}
        self._sources = (self._from_schema, self._odd_value, self._odd_text, self._replay, self._answer, self._foreign)

    def next(self, line: AskedLine) -> str:
        """One more, as text; it need not be JSON."""
        text = self._random.choices(self._sources, (30, 25, 15, 5, 15, 10))[0](line)
        self._before.append(text)
        return text

    def _message_id(self, line: AskedLine) -> str:
        self._count += 1
        new = f"m{self._count}"
        return self._random.choice((new, new, "m1", "-1", line.call_id or "m2", "\U0001f50c" * 36, "m\0"))

    def _case(self, version: str, direction: str = "request", action: str = "") -> tuple[str, Case]:
        action = action or self._random.choice(self._actions[version])
        return action, self._random.choice(table(version, action, direction))

    def _call(self, line: AskedLine) -> list[Any]:
        handled = self._random.random() < 0.8
        action = self._random.choice(sorted(DIALECTS[line.version].answers)) if handled else ""
        action, case = self._case(line.version, action=action)
        return [2, self._message_id(line), action, case.payload]

    def _reply(self, line: AskedLine) -> list[Any]:
        message_id = line.call_id if self._random.random() < 0.9 else self._message_id(line)
        if self._random.random() < 0.2:
            code = self._random.choice(("NotSupported", "GenericError", "NoSuchCode", "x" * 300))
            return [4, message_id, code, "why" * self._random.randrange(200), {}]
        other = self._random.choice(sorted(DIALECTS[line.version].asks))
        _, case = self._case(line.version, "response", line.action if self._random.random() < 0.8 else other)
        return [3, message_id, case.payload]

    def _from_schema(self, line: AskedLine) -> str:
        return _text(self._call(line))

    def _answer(self, line: AskedLine) -> str:
        return _text(self._reply(line) if line.call_id else self._call(line))

    def _foreign(self, line: AskedLine) -> str:
        """Another version's message, or the payload of another action; or 2.1's frames without an answer."""
        if self._random.random() < 0.2:
            _, case = self._case("ocpp2.1", action="NotifyPeriodicEventStream")
            head = [6, self._message_id(line), "NotifyPeriodicEventStream", case.payload]
            error = [5, self._message_id(line), "FormatViolation", "why", {}]
            return _text(self._random.choice((head, error)))
        action, case = self._case(self._random.choice(list(DIALECTS)))
        other = self._random.choice(self._actions[line.version])
        return _text([2, self._message_id(line), self._random.choice((action, other)), case.payload])

    def _replay(self, line: AskedLine) -> str:
        return self._random.choice(self._before) if self._before else self._from_schema(line)

    def _frame(self, line: AskedLine) -> list[Any]:
        answers = line.call_id != "" and self._random.random() < 0.3
        return self._reply(line) if answers else self._call(line)

    def _odd_value(self, line: AskedLine) -> str:
        """A frame with values taken out, or swapped for odd ones; now and then its head too."""
        frame = json.loads(_text(self._frame(line)))
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            if self._random.random() < 0.15:
                frame[self._random.randrange(len(frame))] = self._random.choice((*range(-1, 9), self._odd()))
            elif self._random.random() < 0.05:
                frame = frame[: self._random.randrange(len(frame))] or [*frame, self._odd()]
            else:
                self._swap(frame[-1])
        return _text(frame)

    def _odd(self) -> Any:
        return json.loads(self._random.choice(ODD))

    def _swap(self, value: Any) -> None:
        """Change one place somewhere inside of ``value``."""
        while isinstance(value, dict | list) and value:
            key = self._random.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
            inside = value[key]
            if isinstance(inside, dict | list) and inside and self._random.random() < 0.8:
                value = inside
            elif self._random.random() < 0.15:
                del value[key]
                return
            else:
                value[key] = self._random.choice((*[self._odd()] * 20, [inside], {"a": inside}, f" {inside} "))
                return

    def _odd_text(self, line: AskedLine) -> str:
        """The text of a frame cut, repeated, mixed up; or with something in it that is no JSON."""
        text = _text(self._frame(line))[:5000]
        for _ in range(self._random.choice((1, 1, 2, 4))):
            start = self._random.randrange(len(text) + 1)
            end = min(len(text), start + self._random.choice((0, 0, 1, 1, 2, 8, 50)))
            put = self._random.choice(("", chr(self._random.randrange(0xD800)), text[start:end] * 2, *ODD_TEXT))
            text = text[:start] + put + text[end:]
        return text


def _text(frame: list[Any]) -> str:
    return json.dumps(frame, ensure_ascii=False)
