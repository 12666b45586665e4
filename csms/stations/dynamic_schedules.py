"""Limits of dynamic charging profiles, which a station may ask for again (OCPP 2.1 K28), and priority (K21)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import energy_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicLimitsSet(StationFact):
    """A station took new limits for a dynamic profile: 2.1 ChargingScheduleUpdateType, as it was sent."""

    profile_id: int
    limits: dict[str, Any]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicLimitsPulled(StationFact):
    """A station asked for the limits of a dynamic profile."""

    profile_id: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityChargingTold(StationFact):
    """A transaction has priority, or no longer."""

    transaction_id: str
    active: bool


async def keep_limits(
    connection: AsyncConnection, found: Sequence[DynamicLimitsSet], now: datetime
) -> Sequence[Command]:
    """Write the newest limits of each profile."""
    newest = {(fact.station_id, fact.profile_id): fact for fact in found}
    rows = [
        {
            "station_id": fact.station_id,
            "profile_id": fact.profile_id,
            "limits": orjson.dumps(fact.limits).decode(),
            "updated_at": now,
        }
        for fact in newest.values()
    ]
    await upsert(connection, t.dynamic_schedules, ["station_id", "profile_id"], rows)
    return []


async def keep_pulled(
    connection: AsyncConnection, found: Sequence[DynamicLimitsPulled], now: datetime
) -> Sequence[Command]:
    """Note when the limits were asked for."""
    c = t.dynamic_schedules.c
    for fact in found:
        mine = (c.station_id == fact.station_id, c.profile_id == fact.profile_id)
        await connection.execute(update(t.dynamic_schedules).where(*mine).values(pulled_at=now))
    return []


async def keep_priority(
    connection: AsyncConnection, found: Sequence[PriorityChargingTold], now: datetime
) -> Sequence[Command]:
    """Write how each transaction stands."""
    newest = {(fact.station_id, fact.transaction_id): fact for fact in found}
    rows = [
        {
            "station_id": fact.station_id,
            "transaction_id": fact.transaction_id,
            "active": fact.active,
            "told_at": now,
        }
        for fact in newest.values()
    ]
    await upsert(connection, t.priority_charging, ["station_id", "transaction_id"], rows)
    return []


KEEPERS = {
    DynamicLimitsSet: (keep_limits,),
    DynamicLimitsPulled: (keep_pulled,),
    PriorityChargingTold: (keep_priority,),
}
