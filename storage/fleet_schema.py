"""The tables of `csms.stations`: what is known of stations beyond their charges. One section a noun."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

# --- calls an operator asked for (csms.stations.calls) ----------------------------------------------------------------

station_calls = Table(
    "station_calls",
    metadata,
    Column("command_id", String(40), primary_key=True),
    Column("station_id", String(64), nullable=False),
    Column("action", String(60), nullable=False),
    Column("request", Text, nullable=False),
    # queued → sent → accepted | refused | timed_out; queued → offline | refused
    Column("state", String(12), nullable=False),
    Column("requested_by", String(80), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("response", Text),
    Column("error_code", String(60)),
    Column("error_text", Text),
    Index("ix_station_calls_station_id_created_at", "station_id", "created_at"),
)

# --- who may use the API, and who did what (csms.web.api) -------------------------------------------------------------

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", String(20), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("role", String(12), nullable=False),  # admin | operator | support | read-only
    Column("owner_id", String(32)),  # NULL: the platform's own people; else it sees and touches this owner's alone
    Column("token_hash", String(64), nullable=False),  # SHA-256 of 256 random bits: nothing to guess
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("used_at", UtcDateTime),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", String(40), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("token_id", String(20)),
    Column("actor", String(80), nullable=False),
    Column("role", String(12), nullable=False),
    Column("operation", String(80), nullable=False),
    Column("path", String(400), nullable=False),
    Column("request", Text),  # the body, secrets masked
    Column("status", Integer),  # NULL: begun, and not ended: the process died in it
    Index("ix_audit_at", "at"),
)
