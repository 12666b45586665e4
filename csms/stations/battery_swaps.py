"""Battery swaps (OCPP 2.1 S): which batteries went in and out, and for whom."""

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
from storage import energy_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySwapped(StationFact):
    """Batteries went in or out, or were not taken in time. ``batteries``: 2.1 BatteryDataType, as the station said."""

    event: str
    request_id: int | None
    id_token: str
    batteries: tuple[dict[str, Any], ...]


async def keep_swaps(connection: AsyncConnection, found: Sequence[BatterySwapped], now: datetime) -> Sequence[Command]:
    """Write each event."""
    rows = [
        {
            "station_id": fact.station_id,
            "request_id": fact.request_id,
            "event": fact.event,
            "id_token": fact.id_token,
            "batteries": orjson.dumps(fact.batteries, default=str).decode(),
            "told_at": now,
        }
        for fact in found
    ]
    await connection.execute(t.battery_swaps.insert(), rows)
    return []


KEEPERS = {BatterySwapped: (keep_swaps,)}
