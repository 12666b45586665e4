"""Local authorization lists, as stations have accepted them; id tokens themselves are in `storage.schema`."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

local_lists = Table(
    "local_lists",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),  # of the list it last accepted from us; 0: none
    Column("told_version", Integer),  # as the station itself said; -1 (1.6), 0: it has, or knows, no list
    Column("status", String(20), nullable=False),  # of the last update: Accepted | Failed | VersionMismatch | …
    Column("updated_at", UtcDateTime, nullable=False),
)

local_list_entries = Table(
    "local_list_entries",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("id_token", String(64), primary_key=True),
    Column("rights", Text, nullable=False),  # csms.stations.local_lists.Listed, JSON
)

#: What an operator wants on a station's list; no row: all id tokens.
local_list_wishes = Table(
    "local_list_wishes",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("id_tokens", Text),  # JSON, folded; NULL: all
    Column("entries_per_message", Integer),  # NULL: as many as the station says it takes
    Column("revision", Integer, nullable=False),
)
