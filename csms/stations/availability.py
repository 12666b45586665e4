"""Availability: what an operator took out of service, and how each connector stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import EvseStatusReported, StationFact
from sessions.rows import upsert
from storage import availability_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityChanged(StationFact):
    """The station agreed. EVSE 0: the station, connector 0: the EVSE. ``scheduled``: once the transaction has ended."""

    evse_id: int
    connector_id: int
    operative: bool
    scheduled: bool
    requested_by: str


async def keep_changes(
    connection: AsyncConnection, found: Sequence[AvailabilityChanged], now: datetime
) -> list[Command]:
    """Write the newest word on each."""
    rows = {
        (fact.station_id, fact.evse_id, fact.connector_id): {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "connector_id": fact.connector_id,
            "operative": fact.operative,
            "scheduled": fact.scheduled,
            "requested_by": fact.requested_by[:80],
            "answered_at": now,
        }
        for fact in found
    }
    await upsert(connection, t.availability, ["station_id", "evse_id", "connector_id"], list(rows.values()))
    return []


async def keep_connectors(
    connection: AsyncConnection, found: Sequence[EvseStatusReported], now: datetime
) -> list[Command]:
    """Write each connector's newest status; EVSE 0 (the station, 1.6 only) among them."""
    rows = {
        (fact.station_id, fact.evse_id, fact.connector_id): {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "connector_id": fact.connector_id,
            "status": fact.status.value,
            "error_code": fact.error_code[:60] or None,
            "status_at": now,
        }
        for fact in found
    }
    await upsert(connection, t.connectors, ["station_id", "evse_id", "connector_id"], list(rows.values()))
    return []


KEEPERS = {AvailabilityChanged: (keep_changes,), EvseStatusReported: (keep_connectors,)}
