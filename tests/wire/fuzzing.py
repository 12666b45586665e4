"""Hostile frames on the stations' lines, and what must hold whatever they are.

The line is the real one, from frame to handler. Behind it stands what only judges whether it could keep what it is
given (`Behind`), or the service on a database (`stored`).

The same seed makes the same frames, but for the ids of our own calls, which are random on purpose.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import orjson

from csms.nouns import keepers
from csms.ocpp.connection import Connection, Note, nobody
from csms.ocpp.dialect import StationContext
from csms.ocpp.options import OcppOptions
from csms.ocpp.schemas import request_problems, response_problems
from csms.ocpp.server import OcppServer
from csms.ocpp.station_port import OcppStationPort
from csms.ocpp.versions import DIALECTS
from csms.stations import calls
from csms.stations.calls import CallOutcome, CallState
from csms.stations.frame_log import FrameLog
from sessions import codec, facts
from sessions.clock import ManualClock
from sessions.directory import Admission, Inbox, Outcome, StationDirectory
from sessions.directory_sql import SqlDirectory
from sessions.facts import TokenStatus
from sessions.service import Service
from sessions.session import Policy
from storage.engine import create_engine
from tests.wire.hostile_frames import HostileFrames
from tests.wire.inbox import MemoryDirectory
from tests.wire.schema_payloads import table

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
#: A flood is not what is tried here; a line that only carries garbage is closed, and the station comes back.
OPTIONS = OcppOptions(burst=10**9, messages_per_s=1e9, call_timeout_s=3600)
PATIENCE_S = 30.0  # for what our call's end takes to be written down
ACCEPTED, HELD = "FUZZ-ACCEPTED", "FUZZ-HELD"
STATIONS = {ACCEPTED: Admission.ACCEPTED, HELD: Admission.HELD}


class Found(AssertionError):
    """A frame that did what none may."""


class JudgingInbox:
    """Judges whether a fact could be kept, and hands it on to ``behind``; without one, nothing is kept."""

    def __init__(self, behind: Inbox | None = None) -> None:
        self.committed: Counter[str] = Counter()
        self._behind = behind

    async def submit(self, fact: facts.Fact) -> Outcome:
        """Judge a fact; its outcome. Starts without an id get one."""
        codec.encode(fact).encode()
        for name in _columns(cast(Hashable, type(fact))):
            value = getattr(fact, name)
            if isinstance(value, str) and "\0" in value:
                raise Found(f"{type(fact).__name__}.{name} has a NUL")
            if isinstance(value, int) and not -(2**31) <= value < 2**31:
                raise Found(f"{type(fact).__name__}.{name} has more than 32 bits")
        self.committed[type(fact).__name__] += 1
        if self._behind is not None:
            return await self._behind.submit(fact)
        count = self.committed.total() % 2**31
        transaction_id = getattr(fact, "transaction_id", None)
        return Outcome(transaction_id=transaction_id or str(count), token_status=TokenStatus.ACCEPTED)


@cache
def _columns(kind: Any) -> tuple[str, ...]:
    """What becomes a column; the payload as it came is kept as JSON text."""
    return tuple(column.name for column in fields(kind) if column.name not in {"payload", "raw"})


@dataclass
class Tally:
    """What came of how many frames."""

    frames: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    blocks: list[int] = field(default_factory=list)

    def weigh(self) -> None:
        """Note how many blocks of memory the interpreter holds."""
        gc.collect()
        self.blocks.append(sys.getallocatedblocks())


class Line:
    """A connection, what it sent last, and a call of ours that waits for its answer."""

    def __init__(self, version: str, number: int, held: bool, inbox: Inbox, behind: Behind) -> None:
        self.version = version
        self.sent: list[str] = []
        self.hung_up = False
        self._inbox = inbox
        self.call: asyncio.Task[CallOutcome] | None = None
        self.call_id = ""
        self.action = ""
        ctx = StationContext(
            station_id=HELD if held else ACCEPTED,
            version=version,
            inbox=inbox,
            directory=behind.directory,
            now=lambda: NOW,
            held=held,
            heartbeat_interval_s=300,
            held_retry_s=60,
            connection_nonce=str(number),
        )
        self.connection = Connection(ctx, DIALECTS[version], OPTIONS, self._send, self._close, behind.note)

    async def _send(self, text: str) -> None:
        self.sent.append(text)

    async def _close(self, code: int, reason: str) -> None:
        self.hung_up = True

    async def ask(self, action: str, payload: dict[str, Any]) -> None:
        """Send a call of ours as an operator would; its answer is left to the frames that follow."""
        self.action, self.call = action, asyncio.create_task(self._carry_out(action, payload))
        while not self.sent and not self.call.done():
            await asyncio.sleep(0)
        if len(self.sent) != 1:
            raise Found(f"{action}: {len(self.sent)} frames went out for one call: {self.call}")
        self.call_id = orjson.loads(self.sent.pop())[1]

    async def _carry_out(self, action: str, payload: dict[str, Any]) -> CallOutcome:
        """As `CallDoer` does: request, sending, outcome and what is learned from it are all written down."""
        station_id = self.connection.ctx.station_id
        requested = calls.request(station_id, action, payload, by="fuzzer", now=NOW)
        await self._inbox.submit(requested)
        named: dict[str, Any] = {"at": NOW, "station_id": station_id, "command_id": requested.command_id}
        command = calls.call_station(station_id, action, payload, by="fuzzer", command_id=requested.command_id)
        here = SimpleNamespace(connections={station_id: self.connection}, options=OPTIONS)

        async def sent() -> None:
            await self._inbox.submit(calls.CallSent(key=f"sent:{requested.command_id}", **named))

        outcome = await OcppStationPort(cast(OcppServer, here)).call(command, sent)
        ended = calls.CallEnded(
            key=f"ended:{requested.command_id}",
            state=outcome.state,
            response=outcome.response,
            error_code=outcome.error_code,
            error_text=outcome.error_text,
            **named,
        )
        for fact in (ended, *outcome.learned):
            await self._inbox.submit(fact)
        return outcome

    async def hang_up(self) -> None:
        """Whoever waits hears that the line is gone."""
        self.connection.close()
        if self.call is not None and (outcome := await self.call).state is not CallState.TIMED_OUT:
            raise Found(f"{self.action}: {outcome} from a line that is gone")


def _directory() -> StationDirectory:
    directory = MemoryDirectory()
    for station_id, admission in STATIONS.items():
        directory.add(station_id, admission=admission)
    return directory


@dataclass(frozen=True)
class Behind:
    """What stands behind the lines; by default nothing that keeps anything."""

    inbox: Inbox | None = None
    directory: StationDirectory = field(default_factory=_directory)
    note: Note = nobody


@asynccontextmanager
async def stored(database_url: str) -> AsyncIterator[Behind]:
    """A running service with its keepers, and the frame log, on a migrated database with `STATIONS` on file."""
    engine, clock = create_engine(database_url), ManualClock(NOW)
    directory = SqlDirectory(engine, clock)
    service = Service(
        engine, clock, Policy(), node="a", issuer_id="I1", public_url="https://pay.example.org", keepers=keepers()
    )
    frame_log = FrameLog(engine, clock.now, enabled=True, keep=timedelta(days=1))
    await service.start()
    await frame_log.start()
    try:
        for station_id, admission in STATIONS.items():
            await directory.register_station(station_id, admission, None)
        with _no_exception_logged() as logged:
            yield Behind(service, directory, frame_log.note)
            await frame_log.flush()
        if logged:
            raise Found(f"logged: {logged}")
    finally:
        await frame_log.stop()
        await service.stop()
        await engine.dispose()


class Fuzzer:
    """Frames from a seed, for two lines of every version. `run` raises `Found`."""

    def __init__(self, seed: int, behind: Behind | None = None) -> None:
        self.seed = seed
        self.tally = Tally()
        self._random = random.Random(seed)
        self._behind = behind or Behind()
        self._inbox = JudgingInbox(self._behind.inbox)
        self._number = 0
        self._lines = [self._line(version) for version in DIALECTS for _ in range(2)]
        self._frames = HostileFrames(self._random)

    def _line(self, version: str) -> Line:
        self._number += 1
        return Line(version, self._number, self._number % 12 == 5, self._inbox, self._behind)

    async def run(self, frames: int) -> None:
        """Send this many more frames. Raises `Found` with the frame and its number."""
        with _no_exception_logged() as logged:
            for _ in range(frames):
                place = self._random.randrange(len(self._lines))
                line = self._lines[place]
                self.tally.frames += 1
                raw = await self._next(line)
                try:
                    await self._send(line, raw)
                    if logged:
                        raise Found("only in the log")
                except Exception as found:
                    shown = repr(raw)
                    raise Found(
                        f"seed {self.seed}, frame {self.tally.frames}, {line.version}: {type(found).__name__}: {found}"
                        f"\nlogged: {logged}\n{shown if len(shown) < 4000 else shown[:2000] + ' … ' + shown[-2000:]}"
                    ) from found
                if line.hung_up or self._random.random() < 0.0005:
                    await line.hang_up()
                    self.tally.outcomes["lines closed"] += 1
                    self._lines[place] = self._line(line.version)

    async def close(self) -> None:
        """Hang up everywhere."""
        for line in self._lines:
            await line.hang_up()

    async def _next(self, line: Line) -> str | bytes:
        if line.call is None and self._random.random() < 0.2:
            action = self._random.choice(sorted(DIALECTS[line.version].asks))
            case = self._random.choice(table(line.version, action))
            if not request_problems(line.version, action, case.payload):
                await line.ask(action, case.payload)
        text = self._frames.next(line)
        return text.encode("utf-8", "surrogatepass") if self._random.random() < 0.005 else text

    # --- what must hold -----------------------------------------------------------------------------------------------

    async def _send(self, line: Line, raw: str | bytes) -> None:
        begun = time.process_time()
        await line.connection.receive(raw)
        spent = time.process_time() - begun
        if spent > self.tally.slowest_s:
            self.tally.slowest_s, self.tally.slowest = spent, repr(raw[:200])
        await _settled()
        sent, line.sent = line.sent, []
        frame = _readable(raw)
        self._judge_sent(line, frame, [orjson.loads(text) for text in sent])
        await self._judge_call(line, frame)

    def _judge_sent(self, line: Line, frame: list[Any] | None, sent: list[Any]) -> None:
        """A call with a readable id is answered exactly once, with its id; anything else at most once."""
        outcome = "silence"
        for answer in sent:
            if answer[0] == 3 and frame is not None and frame[0] == 2:
                problems = response_problems(line.version, frame[2], answer[2])
                if problems:
                    raise Found(f"an answer that is not valid: {problems}")
                outcome = "answered"
            elif answer[0] == 4 and len(answer) == 5:
                outcome = str(answer[2])
            elif answer[0] == 5 and len(answer) == 5 and line.version == "ocpp2.1" and frame and frame[0] == 3:
                outcome = f"our refusal of an answer: {answer[2]}"
            else:
                raise Found(f"no answer to this: {answer}")
        if sent and frame is not None and line.version == "ocpp2.1" and frame[0] == 6:
            raise Found(f"an answer to what nobody answers: {sent}")
        if len(sent) > 1 or (not sent and frame is not None and frame[0] == 2):
            raise Found(f"answered {len(sent)} times: {sent}")
        if sent and frame is not None and sent[0][1] not in (frame[1], *(["-1"] if frame[0] != 2 else [])):
            raise Found(f"answered with the id {sent[0][1]!r}")
        if outcome == "InternalError":
            raise Found("an internal error")
        self.tally.outcomes[outcome] += 1

    async def _judge_call(self, line: Line, frame: list[Any] | None) -> None:
        """Our call ends with its answer and with nothing else."""
        if line.call is None:
            return
        kind, message_id, content = frame[:3] if frame is not None else (None, None, None)
        ours = message_id == line.call_id and kind in {3, 4}
        answered = ours and kind == 3 and isinstance(content, dict)
        if not ours:
            if line.call.done():
                raise Found(f"our {line.action} is over: {line.call}")
            return
        done, _ = await asyncio.wait([line.call], timeout=PATIENCE_S)
        if not done:
            raise Found(f"our {line.action} is still waiting")
        outcome = line.call.result()
        if (outcome.response is not None) is not answered:
            raise Found(f"our {line.action} ended with {outcome}")
        self.tally.outcomes[f"our call: {outcome.state}, {'answered' if answered else 'an error'}"] += 1
        line.call, line.call_id = None, ""


def _readable(raw: str | bytes) -> list[Any] | None:
    """The frame in what was sent, if it is one whose id can be read: written anew here, not asked of `frames`."""
    if isinstance(raw, bytes):
        return None
    try:
        frame = orjson.loads(raw)
    except ValueError:
        return None
    if not isinstance(frame, list) or len(frame) < 3 or type(frame[0]) is not int:
        return None
    return frame if isinstance(frame[1], str) and 0 < len(frame[1]) <= 36 else None


async def _settled() -> None:
    """Let what was woken run."""
    for _ in range(3):
        await asyncio.sleep(0)


@contextmanager
def _no_exception_logged() -> Iterator[list[str]]:
    """Collects what is logged as an error: an exception that was caught is one that was not handled."""
    logged: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(
                f"{record.getMessage()} {logging.Formatter().formatException(record.exc_info or (None,) * 3)}"
            )

    handler = Collect(logging.ERROR)
    rooms = [logging.getLogger(name) for name in ("csms", "sessions", "storage")]
    for room in rooms:
        room.addHandler(handler)
    try:
        yield logged
    finally:
        for room in rooms:
            room.removeHandler(handler)
