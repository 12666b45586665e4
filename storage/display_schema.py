"""Display messages."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

display_messages = Table(
    "display_messages",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("message_id", Integer, primary_key=True),
    Column("priority", String(12), nullable=False),
    Column("state", String(20)),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),
    Column("transaction_id", String(36)),
    Column("body", Text, nullable=False),  # MessageInfoType, as it was sent or reported
    Column("reported", Boolean, nullable=False),  # the station has said so itself since it was set
    # The full report under way in which it has not been seen yet; when the report ends it is gone.
    Column("awaited_in", BigInteger),
    Column("updated_at", UtcDateTime, nullable=False),
)
