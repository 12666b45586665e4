"""The newest energy register of each EVSE."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from storage.columns import UtcDateTime
from storage.metadata import metadata

evse_registers = Table(
    "evse_registers",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),  # 0: the station's own meter
    Column("register_wh", String(60), nullable=False),  # a decimal, in Wh as the station's unit says; unjudged
    Column("context", String(30), nullable=False),
    Column("station_time", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)
