"""Display messages: what a station shows its drivers, as we set it and as it reports it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import display_schema as t


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessage:
    """2.0.1 MessageInfoType; ``body`` is all of it."""

    message_id: int
    priority: str
    state: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    transaction_id: str | None
    body: dict[str, Any]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessageSet(StationFact):
    """The station took a message; it replaces the one of the same id (O06)."""

    message: DisplayMessage


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessageCleared(StationFact):
    """The station removed a message, or has none of this id (O05)."""

    message_id: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessagesReported(StationFact):
    """One part of a report (O03, O04). ``last``: no more parts follow."""

    request_id: int
    messages: tuple[DisplayMessage, ...]
    last: bool


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class AllDisplayMessagesAsked(StationFact):
    """The station will report all of its messages (O03): what is not among them is gone."""

    request_id: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class NoDisplayMessages(StationFact):
    """Asked for all its messages, the station has none (O03)."""


def new_request_id() -> int:
    """An id for a report; random, so that a restart begins no old one anew."""
    return secrets.randbelow(2**31 - 1) + 1


async def keep_set(connection: AsyncConnection, found: Sequence[DisplayMessageSet], now: datetime) -> list[Command]:
    """Write the messages."""
    rows = {
        (fact.station_id, fact.message.message_id): _row(fact.station_id, fact.message, False, now) for fact in found
    }
    await upsert(connection, t.display_messages, ["station_id", "message_id"], list(rows.values()))
    return []


async def keep_reported(
    connection: AsyncConnection, found: Sequence[DisplayMessagesReported], now: datetime
) -> list[Command]:
    """Write what the station says it has; after the last part of a full report, forget what it did not say."""
    rows = {
        (fact.station_id, message.message_id): _row(fact.station_id, message, True, now)
        for fact in found
        for message in fact.messages
    }
    if rows:
        await upsert(connection, t.display_messages, ["station_id", "message_id"], list(rows.values()))
    m = t.display_messages.c
    for fact in found:
        if fact.last:
            gone = (m.station_id == fact.station_id, m.awaited_in == fact.request_id)
            await connection.execute(delete(t.display_messages).where(*gone))
    return []


async def keep_asked(
    connection: AsyncConnection, found: Sequence[AllDisplayMessagesAsked], now: datetime
) -> list[Command]:
    """Note which messages the report is to bring."""
    for fact in found:
        mine = t.display_messages.c.station_id == fact.station_id
        await connection.execute(update(t.display_messages).where(mine).values(awaited_in=fact.request_id))
    return []


async def keep_cleared(
    connection: AsyncConnection, found: Sequence[DisplayMessageCleared], now: datetime
) -> list[Command]:
    """Forget the messages."""
    m = t.display_messages.c
    for fact in found:
        gone = (m.station_id == fact.station_id, m.message_id == fact.message_id)
        await connection.execute(delete(t.display_messages).where(*gone))
    return []


async def keep_none(connection: AsyncConnection, found: Sequence[NoDisplayMessages], now: datetime) -> list[Command]:
    """Forget all messages of the station."""
    stations = {fact.station_id for fact in found}
    await connection.execute(delete(t.display_messages).where(t.display_messages.c.station_id.in_(stations)))
    return []


KEEPERS = {
    DisplayMessageSet: (keep_set,),
    DisplayMessagesReported: (keep_reported,),
    AllDisplayMessagesAsked: (keep_asked,),
    DisplayMessageCleared: (keep_cleared,),
    NoDisplayMessages: (keep_none,),
}


def _row(station_id: str, message: DisplayMessage, reported: bool, now: datetime) -> dict[str, Any]:
    return {
        "station_id": station_id,
        "message_id": message.message_id,
        "priority": message.priority,
        "state": message.state,
        "starts_at": message.starts_at,
        "ends_at": message.ends_at,
        "transaction_id": message.transaction_id,
        "body": orjson.dumps(message.body).decode(),
        "reported": reported,
        "awaited_in": None,
        "updated_at": now,
    }
