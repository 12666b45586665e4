"""Calls an operator asks for: any CSMS-initiated action, durable from the request to the station's answer.

The request and the command are written in one commit; the answer, and what it means, in another. A call that was
interrupted is not repeated: it may have taken effect, and ends as timed out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import orjson
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import Fact, StationFact
from sessions.service import Dispatched, Service
from storage import fleet_schema as t

log = logging.getLogger(__name__)


class CallState(StrEnum):
    """queued → sent → accepted | refused | timed_out; queued → offline | refused."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"  # answered, and not refused
    REFUSED = "refused"  # answered with a status that refuses, or a CALLERROR
    TIMED_OUT = "timed_out"  # sent, and no answer in time: it may have taken effect
    OFFLINE = "offline"  # the station was not connected: not sent


#: A call in one of these changes no more.
ENDED = frozenset({CallState.ACCEPTED, CallState.REFUSED, CallState.TIMED_OUT, CallState.OFFLINE})


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequested(StationFact):
    """Somebody asked for a call; the payload has been validated against the schema of the station's version."""

    command_id: str
    action: str
    payload: dict[str, Any]
    requested_by: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CallSent(StationFact):
    """The call is about to leave."""

    command_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(StationFact):
    """The call's outcome. ``response``: the answer's payload; ``error_code``: of a CALLERROR, or ours."""

    command_id: str
    state: CallState
    response: dict[str, Any] | None = None
    error_code: str = ""
    error_text: str = ""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CallStation(Command):
    """Send one call."""

    station_id: str
    command_id: str
    action: str
    payload: dict[str, Any]
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """How a call ended, and what its answer means."""

    state: CallState
    response: dict[str, Any] | None = None
    error_code: str = ""
    error_text: str = ""
    learned: tuple[Fact, ...] = ()


class Caller(Protocol):
    """Who can send a call: `csms.ocpp.station_port`."""

    async def call(self, command: CallStation, on_send: Callable[[], Awaitable[None]]) -> CallOutcome:
        """Send it, after awaiting ``on_send`` when it is its turn; offline, unanswered and refused are outcomes."""
        ...


def new_command_id() -> str:
    """An id that nobody can guess or repeat."""
    return f"cmd_{secrets.token_hex(12)}"


def call_station(station_id: str, action: str, payload: dict[str, Any], *, by: str, command_id: str) -> CallStation:
    """The command that sends one call."""
    return CallStation(
        key=f"call:{command_id}",
        station_id=station_id,
        command_id=command_id,
        action=action,
        payload=payload,
        requested_by=by,
    )


async def keep_requests(connection: AsyncConnection, found: Sequence[CallRequested], now: datetime) -> list[Command]:
    """Write the calls, and send them."""
    rows = [
        {
            "command_id": fact.command_id,
            "station_id": fact.station_id,
            "action": fact.action,
            "request": orjson.dumps(fact.payload).decode(),
            "state": CallState.QUEUED.value,
            "requested_by": fact.requested_by[:80],
            "created_at": now,
        }
        for fact in found
    ]
    await connection.execute(t.station_calls.insert(), rows)
    return [call_station(f.station_id, f.action, f.payload, by=f.requested_by, command_id=f.command_id) for f in found]


async def keep_sent(connection: AsyncConnection, found: Sequence[CallSent], now: datetime) -> list[Command]:
    """Note that a call left."""
    for fact in found:
        await connection.execute(
            update(t.station_calls)
            .where(t.station_calls.c.command_id == fact.command_id)
            .values(state=CallState.SENT.value, sent_at=now)
        )
    return []


async def keep_ended(connection: AsyncConnection, found: Sequence[CallEnded], now: datetime) -> list[Command]:
    """Write how a call ended."""
    for fact in found:
        response = orjson.dumps(fact.response).decode() if fact.response is not None else None
        await connection.execute(
            update(t.station_calls)
            .where(t.station_calls.c.command_id == fact.command_id)
            .values(
                state=fact.state.value,
                ended_at=now,
                response=response,
                error_code=fact.error_code[:60] or None,
                error_text=fact.error_text[:1000] or None,
            )
        )
    return []


class Waiters:
    """Who waits in this process for a call to end."""

    def __init__(self) -> None:
        self._ended: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def expecting(self, command_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set once the call has ended and its outcome is committed."""
        event = self._ended[command_id] = asyncio.Event()
        try:
            yield event
        finally:
            del self._ended[command_id]

    def tell(self, command_id: str) -> None:
        """The call has ended."""
        event = self._ended.get(command_id)
        if event is not None:
            event.set()


class CallDoer:
    """Sends `CallStation`. ``now``: the clock."""

    def __init__(self, service: Service, caller: Caller, now: Callable[[], datetime], waiters: Waiters) -> None:
        self._waiters = waiters
        self._service = service
        self._caller = caller
        self._now = now

    async def __call__(self, command: CallStation, dispatched: Dispatched) -> None:
        """Send it once; commit the outcome and what it means together."""
        if dispatched.attempt > 1:
            outcome = CallOutcome(
                state=CallState.TIMED_OUT,
                error_text="interrupted; it may have been sent: ask the station",
            )
        else:
            outcome = await self._caller.call(command, lambda: self._sent(command))
        ended = CallEnded(
            key=f"{command.key}:ended",
            at=self._now(),
            station_id=command.station_id,
            command_id=command.command_id,
            state=outcome.state,
            response=outcome.response,
            error_code=outcome.error_code,
            error_text=outcome.error_text,
        )
        try:
            await self._service.complete(command.key, ended, *outcome.learned)
        except Exception:
            # What the answer means could not be kept; how the call ended must be.
            log.exception("station %s: what its answer to %s means is lost", command.station_id, command.action)
            await self._service.complete(command.key, ended)
        self._waiters.tell(command.command_id)

    async def _sent(self, command: CallStation) -> None:
        sent = CallSent(
            key=f"{command.key}:sent", at=self._now(), station_id=command.station_id, command_id=command.command_id
        )
        await self._service.submit(sent)


KEEPERS = {CallRequested: (keep_requests,), CallSent: (keep_sent,), CallEnded: (keep_ended,)}


def request(
    station_id: str, action: str, payload: dict[str, Any], *, by: str, now: datetime, command_id: str | None = None
) -> CallRequested:
    """The fact that asks for a call."""
    made = command_id or new_command_id()
    return CallRequested(
        key=f"call-requested:{made}",
        at=now,
        station_id=station_id,
        command_id=made,
        action=action,
        payload=payload,
        requested_by=by,
    )
