"""What a rotation of a password leaves in the database: at every step, after a crash, beside the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.nouns import keepers
from csms.ocpp.credentials import verify_password
from csms.provision import provision
from csms.settings import load_settings
from csms.stations.calls import CallOutcome, CallState, Waiters
from csms.stations.passwords import MOST_PENDING, PasswordDoer, PasswordRequested
from sessions.clock import ManualClock
from sessions.directory import StationRecord
from sessions.directory_sql import SqlDirectory
from sessions.service import Dispatched, Service
from sessions.session import Policy
from storage import fleet_schema
from storage import schema as t
from storage.engine import reading, writing
from tests.unit.sessions.examples import T0


class Line:
    """A station at the far end: it takes what it is sent, and answers as it was told."""

    def __init__(self, outcome: CallOutcome) -> None:
        self.outcome = outcome
        self.sent = 0

    async def set_password(self, station_id: str, on_send: Callable[[Sequence[str]], Awaitable[None]]) -> CallOutcome:
        assert station_id == "CS1"
        await on_send((f"password-{self.sent}", f"digits-{self.sent}"))
        self.sent += 1
        return self.outcome


class Keyring:
    """The service with a doer for passwords, and a hash that shows what it was made from."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = ManualClock(T0)
        self.service = Service(
            engine, self.clock, Policy(), node="n", issuer_id="I1", public_url="https://x.example", keepers=keepers()
        )
        self.ready: asyncio.Queue[Dispatched] = asyncio.Queue()
        self.service.on_commands = self._ready
        self.directory = SqlDirectory(engine, self.clock)

    def _ready(self, commands: Sequence[Dispatched], _: datetime | None) -> None:
        for command in commands:
            self.ready.put_nowait(command)

    async def rotate(self, outcome: CallOutcome, *, command_id: str = "cmd_1", attempt: int = 1) -> Line:
        line = Line(outcome)
        await self.service.submit(
            PasswordRequested(
                key=f"requested:{command_id}",
                at=T0,
                station_id="CS1",
                command_id=command_id,
                action="SetVariables",
                payload={},
                requested_by="me",
            )
        )
        command: Any = (await self.ready.get()).command
        line.sent = int(command_id.removeprefix("cmd_"))

        async def hashing(text: str) -> str:
            return f"hash-of-{text}"

        doer = PasswordDoer(self.service, self.engine, line, hashing, self.clock.now, Waiters())
        await doer(command, Dispatched(command, attempt, T0))
        return line

    async def station(self) -> StationRecord:
        found = await self.directory.station("CS1")
        assert found is not None
        return found

    async def state(self, command_id: str = "cmd_1") -> str:
        c = fleet_schema.station_calls.c
        async with reading(self.engine) as connection:
            return str((await connection.execute(select(c.state).where(c.command_id == command_id))).scalar())


@pytest_asyncio.fixture(name="ring")
async def keyring(engine: AsyncEngine) -> AsyncIterator[Keyring]:
    async with writing(engine) as connection:
        await connection.execute(
            t.stations.insert().values(station_id="CS1", admission="accepted", password_hash="hash-of-old")
        )
    made = Keyring(engine)
    await made.service.start()
    yield made
    await made.service.stop()


def forms(n: int) -> tuple[str, str]:
    return f"hash-of-password-{n}", f"hash-of-digits-{n}"


async def test_a_sent_one_is_pending_until_the_station_brings_it(ring: Keyring) -> None:
    await ring.rotate(CallOutcome(state=CallState.ACCEPTED, response={}))
    known = await ring.station()
    assert (known.password_hash, known.pending_hashes) == ("hash-of-old", (forms(1),))
    assert await ring.state() == "accepted"
    await ring.directory.adopt_password("CS1", "hash-of-digits-1")
    known = await ring.station()
    assert (known.password_hash, known.pending_hashes) == ("hash-of-digits-1", ())


async def test_only_a_plain_no_drops_it(ring: Keyring) -> None:
    await ring.rotate(CallOutcome(state=CallState.TIMED_OUT), command_id="cmd_1")
    await ring.rotate(CallOutcome(state=CallState.REFUSED, error_code="InternalError"), command_id="cmd_2")
    await ring.rotate(CallOutcome(state=CallState.REFUSED, response={}), command_id="cmd_3")
    assert (await ring.station()).pending_hashes == (forms(1), forms(2))


async def test_an_interrupted_one_is_not_sent_again(ring: Keyring) -> None:
    """The process died between sending and the answer: nobody knows, both are valid, and nothing is sent twice."""
    await ring.rotate(CallOutcome(state=CallState.ACCEPTED, response={}), command_id="cmd_1")
    line = await ring.rotate(CallOutcome(state=CallState.ACCEPTED, response={}), command_id="cmd_2", attempt=2)
    assert line.sent == 2  # as it was
    assert await ring.state("cmd_2") == "timed_out"
    assert (await ring.station()).pending_hashes == (forms(1),)


async def test_a_later_one_outlives_an_earlier_one(ring: Keyring) -> None:
    for n in range(1, MOST_PENDING + 3):
        await ring.rotate(CallOutcome(state=CallState.TIMED_OUT), command_id=f"cmd_{n}")
    assert len((await ring.station()).pending_hashes) == MOST_PENDING
    await ring.directory.adopt_password("CS1", "hash-of-password-4")
    known = await ring.station()
    assert (known.password_hash, known.pending_hashes) == ("hash-of-password-4", (forms(5), forms(6)))


async def test_the_settings_do_not_bring_an_old_password_back(engine: AsyncEngine) -> None:
    first, second = "first-password-of-it", "second-password-of-it"
    directory = SqlDirectory(engine, ManualClock(T0))

    async def start(password: str | None, **more: Any) -> StationRecord:
        settings = load_settings(None, stations=[{"station_id": "CS1", "password": password} | more])
        await provision(engine, settings, T0)
        found = await directory.station("CS1")
        assert found is not None
        return found

    given = (await start(first)).password_hash or ""
    assert await verify_password(first, given)
    assert (await start(first)).password_hash == given
    await directory.adopt_password("CS1", "hash-of-rotated")
    assert (await start(first)).password_hash == "hash-of-rotated"
    assert (await start(None)).password_hash == "hash-of-rotated"
    assert await verify_password(second, (await start(second)).password_hash or "")  # the operator's new word
    await directory.adopt_password("CS1", "hash-of-rotated-again")
    assert (await start(second)).password_hash == "hash-of-rotated-again"


async def test_the_settings_never_lower_a_profile(engine: AsyncEngine) -> None:
    directory = SqlDirectory(engine, ManualClock(T0))
    for said, held in ((1, 1), (3, 3), (2, 3), (0, 3)):
        await provision(engine, load_settings(None, stations=[{"station_id": "CS1", "security_profile": said}]), T0)
        found = await directory.station("CS1")
        assert found is not None
        assert found.security_profile == held
