"""What passed over the wire and when: frames, connections, EVSE status history."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

frames = Table(
    "frames",
    metadata,
    Column("frame_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("direction", String(4), nullable=False),  # in: from the station; out: to it
    Column("kind", String(16), nullable=False),  # call | result | error | malformed | …
    Column("message_id", String(36)),
    Column("action", String(64)),
    Column("body", Text, nullable=False),  # secrets and card numbers masked
    Column("size", Integer, nullable=False),  # bytes, before cutting and masking
    Index("ix_frames_station_id_frame_id", "station_id", "frame_id"),
    Index("ix_frames_at", "at"),
)

connections = Table(
    "connections",
    metadata,
    Column("connection_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("version", String(12), nullable=False),
    Column("node", String(64)),
    Column("remote_address", String(64), nullable=False),
    Column("security_profile", Integer, nullable=False, server_default="0"),  # it came with
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),  # NULL: open
    Column("reason", String(200)),
    Index("ix_connections_station_id_opened_at", "station_id", "opened_at"),
)

evse_statuses = Table(
    "evse_statuses",
    metadata,
    Column("status_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("evse_id", Integer, nullable=False),
    Column("status", String(12), nullable=False),
    Column("error_code", String(60)),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_evse_statuses_station_id_evse_id_at", "station_id", "evse_id", "at"),
)
