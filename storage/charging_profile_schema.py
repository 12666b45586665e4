"""Charging profiles, composite schedules, limits from outside, and what cars ask for."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

charging_profiles = Table(
    "charging_profiles",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),  # 0: the station
    Column("profile_id", Integer, primary_key=True),
    Column("stack_level", Integer, nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    # Of a TxProfile. NULL: it came with a remote start, and waits for its transaction.
    Column("transaction_id", String(64)),
    Column("source", String(20), nullable=False),  # ChargingLimitSourceEnumType; CSO: this system
    Column("valid_from", UtcDateTime),
    Column("valid_to", UtcDateTime),
    Column("body", Text, nullable=False),  # 2.0.1 ChargingProfileType
    Column("reported", Boolean, nullable=False),  # the station has said so itself since it was installed
    # The report under way in which it has not been seen yet; when the report ends it is gone.
    Column("awaited_in", BigInteger),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_charging_profiles_transaction", "station_id", "transaction_id"),
)

composite_schedules = Table(
    "composite_schedules",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("rate_unit", String(1), nullable=False),
    Column("duration_s", Integer),
    Column("starts_at", UtcDateTime),
    Column("periods", Text, nullable=False),  # JSON array of 2.0.1 ChargingSchedulePeriodType
    Column("told_at", UtcDateTime, nullable=False),
)

charging_limits = Table(
    "charging_limits",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("source", String(20), primary_key=True),
    Column("grid_critical", Boolean),
    Column("local_generation", Boolean),
    Column("schedules", Text, nullable=False),  # JSON array of 2.0.1 ChargingScheduleType
    Column("told_at", UtcDateTime, nullable=False),
)

ev_charging_needs = Table(
    "ev_charging_needs",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("transaction_id", String(64)),
    Column("max_periods", Integer),  # how long a schedule the car can take
    Column("departs_at", UtcDateTime),
    Column("needs", Text, nullable=False),  # 2.0.1 ChargingNeedsType
    Column("told_at", UtcDateTime, nullable=False),
)

ev_charging_schedules = Table(
    "ev_charging_schedules",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("transaction_id", String(64)),
    Column("time_base", UtcDateTime),
    Column("within_limits", Boolean, nullable=False),
    Column("renegotiated", Integer, nullable=False),  # how often this transaction's profile was sent again for it
    Column("schedule", Text, nullable=False),  # 2.0.1 ChargingScheduleType
    Column("told_at", UtcDateTime, nullable=False),
)
