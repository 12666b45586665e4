"""What OCPP 2.1 stations tell of grid, vehicle and battery: DER controls, dynamic schedules, streams, swaps."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

# --- controls of distributed energy resources (csms.stations.der_controls) --------------------------------------------

der_controls = Table(
    "der_controls",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("control_id", String(36), primary_key=True),
    Column("control_type", String(30), nullable=False),  # 2.1 DERControlEnumType
    Column("is_default", Boolean),  # NULL: not told
    Column("superseded", Boolean, nullable=False),
    Column("started", Boolean),  # NULL: not told
    Column("started_at", UtcDateTime),  # when it last started or stopped, by the station's clock
    Column("told_at", UtcDateTime, nullable=False),
    Column("body", Text, nullable=False),  # the control's settings, JSON
)

der_alarms = Table(
    "der_alarms",
    metadata,
    Column("alarm_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("control_type", String(30), nullable=False),
    Column("fault", String(30)),  # 2.1 GridEventFaultEnumType
    Column("ended", Boolean, nullable=False),
    Column("station_time", UtcDateTime),
    Column("told_at", UtcDateTime, nullable=False),
    Column("extra_info", String(200)),
    Index("ix_der_alarms_station_id_alarm_id", "station_id", "alarm_id"),
)

# --- dynamic profiles and priority (csms.stations.dynamic_schedules) --------------------------------------------------

dynamic_schedules = Table(
    "dynamic_schedules",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("profile_id", BigInteger, primary_key=True),
    Column("limits", Text, nullable=False),  # 2.1 ChargingScheduleUpdateType, JSON
    Column("updated_at", UtcDateTime, nullable=False),
    Column("pulled_at", UtcDateTime),
)

priority_charging = Table(
    "priority_charging",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("transaction_id", String(64), primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("told_at", UtcDateTime, nullable=False),
)

# --- periodic event streams (csms.stations.event_streams) -------------------------------------------------------------

event_streams = Table(
    "event_streams",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("stream_id", BigInteger, primary_key=True),
    Column("monitor_id", BigInteger),  # variableMonitoringId; NULL: values came before the stream was opened
    Column("interval_s", Integer),
    Column("values_at_once", Integer),
    Column("open", Boolean, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("received", BigInteger, nullable=False),  # values in all
    Column("pending", BigInteger),  # at the station, when it sent last
    Column("last_value", Text),
    Column("last_value_at", UtcDateTime),  # by the station's clock
)

# --- battery swapping (csms.stations.battery_swaps) -------------------------------------------------------------------

battery_swaps = Table(
    "battery_swaps",
    metadata,
    Column("swap_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("request_id", BigInteger),
    Column("event", String(20), nullable=False),  # BatteryIn | BatteryOut | BatteryOutTimeout
    Column("id_token", String(255), nullable=False),
    Column("batteries", Text, nullable=False),  # 2.1 BatteryDataType[], JSON
    Column("told_at", UtcDateTime, nullable=False),
    Index("ix_battery_swaps_station_id_swap_id", "station_id", "swap_id"),
)
