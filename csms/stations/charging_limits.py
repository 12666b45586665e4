"""Charging limits from outside: what a station's own energy management, or the grid, imposes on it (2.0.1 K11–K14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import charging_profile_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingLimitSet(StationFact):
    """K11, K12. EVSE 0: the whole station. ``schedules``: 2.0.1 ChargingScheduleType; may be left out."""

    evse_id: int
    source: str
    grid_critical: bool | None
    local_generation: bool | None
    schedules: tuple[dict[str, Any], ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingLimitCleared(StationFact):
    """K13. ``evse_id`` None: wherever this source had set one."""

    evse_id: int | None
    source: str


async def keep_set(connection: AsyncConnection, found: Sequence[ChargingLimitSet], now: datetime) -> list[Command]:
    """Write the newest of each source and EVSE."""
    rows = {
        (fact.station_id, fact.evse_id, fact.source): {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "source": fact.source,
            "grid_critical": fact.grid_critical,
            "local_generation": fact.local_generation,
            "schedules": orjson.dumps(fact.schedules).decode(),
            "told_at": now,
        }
        for fact in found
    }
    await upsert(connection, t.charging_limits, ["station_id", "evse_id", "source"], list(rows.values()))
    return []


async def keep_cleared(
    connection: AsyncConnection, found: Sequence[ChargingLimitCleared], now: datetime
) -> list[Command]:
    """Forget the limits."""
    limits = t.charging_limits.c
    for fact in found:
        gone = [limits.station_id == fact.station_id, limits.source == fact.source]
        if fact.evse_id is not None:
            gone.append(limits.evse_id == fact.evse_id)
        await connection.execute(delete(t.charging_limits).where(*gone))
    return []


KEEPERS = {ChargingLimitSet: (keep_set,), ChargingLimitCleared: (keep_cleared,)}
