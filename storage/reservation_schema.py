"""Reservations."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from storage.columns import UtcDateTime
from storage.metadata import metadata

reservations = Table(
    "reservations",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("reservation_id", Integer, primary_key=True),
    Column("evse_id", Integer),  # NULL: any EVSE
    Column("connector_type", String(20)),
    Column("id_token", String(64), nullable=False),  # folded
    Column("group_id", String(64)),
    Column("expires_at", UtcDateTime, nullable=False),
    # requested → active | refused; active → used | expired | cancelled | removed
    Column("state", String(12), nullable=False),
    Column("status", String(20)),  # the station's answer
    Column("requested_by", String(80), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_reservations_station_id_state", "station_id", "state"),
)
