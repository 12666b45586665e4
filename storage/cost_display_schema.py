"""Which stations show drivers what a charge costs."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, String, Table

from storage.columns import UtcDateTime
from storage.metadata import metadata

cost_displays = Table(
    "cost_displays",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("shows", Boolean, nullable=False),  # it has said that it can; false once it refused
    Column("updated_at", UtcDateTime, nullable=False),
)
