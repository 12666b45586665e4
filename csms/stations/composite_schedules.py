"""Composite schedules: what a station makes of all its charging profiles, as it last said (2.0.1 K08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import charging_profile_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeScheduleTold(StationFact):
    """An EVSE's schedule (0: the station's). ``rate_unit``: W | A; ``periods``: 2.0.1 ChargingSchedulePeriodType."""

    evse_id: int
    rate_unit: str
    duration_s: int | None
    starts_at: datetime | None
    periods: tuple[dict[str, Any], ...]


async def keep_told(
    connection: AsyncConnection, found: Sequence[CompositeScheduleTold], now: datetime
) -> list[Command]:
    """Write the newest of each EVSE."""
    rows = {
        (fact.station_id, fact.evse_id): {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "rate_unit": fact.rate_unit,
            "duration_s": fact.duration_s,
            "starts_at": fact.starts_at,
            "periods": orjson.dumps(fact.periods).decode(),
            "told_at": now,
        }
        for fact in found
    }
    await upsert(connection, t.composite_schedules, ["station_id", "evse_id"], list(rows.values()))
    return []


KEEPERS = {CompositeScheduleTold: (keep_told,)}
