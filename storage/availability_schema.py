"""Availability as it was asked for, and each connector's status."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table

from storage.columns import UtcDateTime
from storage.metadata import metadata

#: EVSE 0 is the whole station; connector 0 the whole EVSE. It outlives the station's restarts (2.0.1 G03.FR.06).
availability = Table(
    "availability",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("connector_id", Integer, primary_key=True),
    Column("operative", Boolean, nullable=False),
    Column("scheduled", Boolean, nullable=False),  # it takes effect when the running transaction ends
    Column("requested_by", String(80), nullable=False),
    Column("answered_at", UtcDateTime, nullable=False),
)

connectors = Table(
    "connectors",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("connector_id", Integer, primary_key=True),
    Column("status", String(12), nullable=False),
    Column("error_code", String(60)),
    Column("status_at", UtcDateTime, nullable=False),
)
