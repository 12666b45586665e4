"""A new HTTP Basic password for a station, carried through so that the station is never locked out.

It is made at the moment of sending and never written down in clear. Its hash is committed as pending before it leaves;
from then on the station may come with the old one or the new one. When it comes with the new one, the old one is void
(`sessions.directory.StationDirectory.adopt_password`). Only a station's clear no drops the pending one; unanswered,
both stay. OCPP 2.0.1 A01; the 1.6 security whitepaper §5.1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from csms.stations.calls import CallEnded, CallOutcome, CallSent, CallState, Waiters
from csms.stations.masking import masked
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.service import Dispatched, Service
from storage import fleet_schema
from storage import schema as t
from storage.engine import writing

#: Passwords that were sent and never seen, at most; older ones are void.
MOST_PENDING = 4


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRequested(StationFact):
    """Somebody asked for a new password. ``action`` and ``payload``: the call as it is shown, without the password."""

    command_id: str
    action: str
    payload: dict[str, Any]
    requested_by: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RotatePassword(Command):
    """Give the station a new password."""

    station_id: str
    command_id: str


class PasswordCaller(Protocol):
    """Who can tell a station a new password: `csms.ocpp.station_port`."""

    async def set_password(self, station_id: str, on_send: Callable[[Sequence[str]], Awaitable[None]]) -> CallOutcome:
        """Make one and send it, after awaiting ``on_send`` with the texts that it may come back as."""
        ...


async def keep_requests(
    connection: AsyncConnection, found: Sequence[PasswordRequested], now: datetime
) -> list[Command]:
    """Write the calls, and have them sent."""
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
    await connection.execute(fleet_schema.station_calls.insert(), rows)
    return [
        RotatePassword(key=f"password:{fact.command_id}", station_id=fact.station_id, command_id=fact.command_id)
        for fact in found
    ]


KEEPERS = {PasswordRequested: (keep_requests,)}


class PasswordDoer:
    """Carries out `RotatePassword`. ``hashing``: how passwords are hashed; ``now``: the clock."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        caller: PasswordCaller,
        hashing: Callable[[str], Awaitable[str]],
        now: Callable[[], datetime],
        waiters: Waiters,
    ) -> None:
        self._service = service
        self._engine = engine
        self._caller = caller
        self._hash = hashing
        self._now = now
        self._waiters = waiters

    async def __call__(self, command: RotatePassword, dispatched: Dispatched) -> None:
        """Once: an interrupted one may have reached the station, and stays pending."""
        hashes: list[str] = []

        async def on_send(forms: Sequence[str]) -> None:
            hashes.extend([await self._hash(form) for form in forms])
            await _change_pending(self._engine, command.station_id, lambda pending: [*pending, hashes])
            await self._service.submit(
                CallSent(
                    key=f"{command.key}:sent",
                    at=self._now(),
                    station_id=command.station_id,
                    command_id=command.command_id,
                )
            )

        if dispatched.attempt > 1:
            outcome = CallOutcome(
                state=CallState.TIMED_OUT,
                error_text="interrupted; it may have been sent: both passwords are valid until the station comes back",
            )
        else:
            outcome = await self._caller.set_password(command.station_id, on_send)
        if outcome.state is CallState.REFUSED and not outcome.error_code:
            # A plain no. After a CALLERROR nobody knows what the station did.
            await _change_pending(
                self._engine, command.station_id, lambda pending: [forms for forms in pending if forms != hashes]
            )
        ended = CallEnded(
            key=f"{command.key}:ended",
            at=self._now(),
            station_id=command.station_id,
            command_id=command.command_id,
            state=outcome.state,
            response=masked(outcome.response),
            error_code=outcome.error_code,
            error_text=outcome.error_text,
        )
        await self._service.complete(command.key, ended)
        self._waiters.tell(command.command_id)


async def _change_pending(
    engine: AsyncEngine, station_id: str, change: Callable[[list[list[str]]], list[list[str]]]
) -> None:
    c = t.stations.c
    async with writing(engine) as connection:
        query = select(c.password_pending).where(c.station_id == station_id).with_for_update()
        pending = (await connection.execute(query)).scalar()
        changed = change(orjson.loads(pending) if pending else [])[-MOST_PENDING:]
        written = orjson.dumps(changed).decode() if changed else None
        await connection.execute(update(t.stations).where(c.station_id == station_id).values(password_pending=written))
