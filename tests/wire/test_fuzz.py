"""Some thousand hostile frames through the line in every version, the same ones and others each time.

`python -m benchmarks.fuzz` sends as many as one likes.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from csms.ocpp import connection as line
from csms.ocpp import frames
from csms.ocpp.dialect import StationContext
from csms.ocpp.message import Ask
from csms.ocpp.versions import DIALECTS
from sessions import facts
from tests.wire import fuzzing
from tests.wire.fuzzing import Found, Fuzzer, stored

FRAMES = 6_000
FRAMES_KEPT = 300


@pytest.mark.parametrize("seed", [1, random.randrange(2**32)], ids=["seed 1", "any seed"])
async def test_hostile_frames_are_answered_and_nothing_breaks(seed: int) -> None:
    fuzzer = Fuzzer(seed)  # what it finds names the seed
    await fuzzer.run(FRAMES)
    await fuzzer.close()
    outcomes = fuzzer.tally.outcomes
    expected = {"answered", "silence", "NotImplemented", "SecurityError", "our call: refused, an error"}
    assert expected <= set(outcomes), outcomes  # it went everywhere


async def test_a_database_keeps_what_comes_of_hostile_frames(database_url: str) -> None:
    """The same with the service, its keepers and the frame log behind the line: whatever is let through can be kept."""
    async with stored(database_url) as behind:
        for seed in (2, random.randrange(2**32)):
            fuzzer = Fuzzer(seed, behind)
            await fuzzer.run(FRAMES_KEPT)
            await fuzzer.close()


async def no_answer(*_: object) -> None:
    """A handler that forgets to."""


async def raises(*_: object) -> dict[str, Any]:
    raise KeyError("idTag")


def cannot_learn(_: object) -> list[facts.Fact]:
    raise KeyError("status")


async def wrong_answer(*_: object) -> dict[str, Any]:
    return {"status": "Perhaps"}


async def twice(self: line.Connection, call: frames.Call) -> None:
    for _ in range(2):
        await self._send("result", frames.call_result(call.message_id, {}), call.message_id, call.action)


def other_id(message_id: str, payload: dict[str, Any]) -> str:
    return frames.call_error(message_id[:10] + "x", "GenericError", "")


@pytest.mark.parametrize(
    ("where", "what", "broken", "says"),
    [
        (DIALECTS["ocpp1.6"].answers, "Heartbeat", no_answer, "not valid|exception"),
        (
            DIALECTS["ocpp1.6"].answers,
            "Authorize",
            raises,
            "internal error\nlogged: ..station FUZZ-ACCEPTED: Authorize could not be",
        ),
        (DIALECTS["ocpp1.6"].answers, "BootNotification", wrong_answer, "an answer that is not valid"),
        (DIALECTS["ocpp1.6"].asks, "ClearCache", cannot_learn, "its answer to ClearCache could not"),
        (line.Connection, "_answer", twice, "answered 2 times|not valid"),
        (line.Connection, "_answer", no_answer, "answered 0 times"),
        (line.Connection, "_reply", no_answer, "still waiting"),
        (line.Connection, "_malformed", raises, "KeyError"),
        (frames, "call_result", other_id, "answered with the id"),
        (StationContext, "unique_key", lambda *_: "a\0b", "key has a NUL"),
    ],
)
async def test_it_finds_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, where: Any, what: str, broken: Any, says: str
) -> None:
    """A fuzzer that finds nothing says something only if it would have."""
    monkeypatch.setattr(fuzzing, "PATIENCE_S", 0.1)
    if isinstance(where, dict):
        monkeypatch.setitem(
            where, what, replace(where[what], **{"learn" if isinstance(where[what], Ask) else "handler": broken})
        )
    else:
        monkeypatch.setattr(where, what, broken)
    with pytest.raises(Found, match=says):
        await Fuzzer(1).run(FRAMES)
