"""By whose clock: each owner's days and weeks are those of the owner's own time zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import owner_schema as t

UTC = ZoneInfo("UTC")


class Zones(dict[str, ZoneInfo]):
    """Zones by owner; UTC for an owner nobody knows."""

    def __missing__(self, owner_id: str) -> ZoneInfo:
        return UTC


async def zones(connection: AsyncConnection) -> Zones:
    """Every owner's zone."""
    rows = await connection.execute(select(t.owners.c.owner_id, t.owners.c.time_zone))
    return Zones({row.owner_id: _zone(row.time_zone) for row in rows})


async def zone_of(connection: AsyncConnection, owner_id: str) -> ZoneInfo:
    """One owner's zone."""
    query = select(t.owners.c.time_zone).where(t.owners.c.owner_id == owner_id)
    found = (await connection.execute(query)).scalar()
    return _zone(found) if found is not None else UTC


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
