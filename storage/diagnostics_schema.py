"""Monitors, their reports, the events they raise, and customer information."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata


def _component_variable() -> list[Column[object]]:
    """The columns that name a variable of a component (2.0.1 ComponentType, VariableType)."""
    return [
        Column("component", String(50), nullable=False),
        Column("component_instance", String(50)),
        Column("evse_id", Integer),
        Column("connector_id", Integer),
        Column("variable", String(50), nullable=False),
        Column("variable_instance", String(50)),
    ]


monitors = Table(
    "monitors",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("monitor_id", Integer, primary_key=True),
    *_component_variable(),
    Column("type", String(40), nullable=False),  # 2.0.1 MonitorEnumType
    Column("value", Text, nullable=False),  # a number, as it was written
    Column("severity", Integer, nullable=False),
    Column("only_in_transaction", Boolean, nullable=False),
    Column("source", String(40)),  # 2.0.1 EventNotificationEnumType; NULL: the station did not say
    Column("reported", Boolean, nullable=False),  # the station has said so itself since it was set
    Column("updated_at", UtcDateTime, nullable=False),
)

monitoring_settings = Table(
    "monitoring_settings",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("base", String(20)),  # 2.0.1 MonitoringBaseEnumType
    Column("level", Integer),  # events of this severity and more urgent ones are told
    Column("updated_at", UtcDateTime, nullable=False),
)

monitoring_reports = Table(
    "monitoring_reports",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("status", String(20)),  # GenericDeviceModelStatusEnumType; NULL: the station reports unasked
    Column("request", Text),  # what was asked for, JSON
    Column("entire", Boolean, nullable=False),  # asked for all monitors
    Column("requested_by", String(80)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Index("ix_monitoring_reports_station_id_requested_at", "station_id", "requested_at"),
)

monitoring_report_parts = Table(
    "monitoring_report_parts",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("seq_no", Integer, primary_key=True),
    Column("last", Boolean, nullable=False),
    Column("body", Text, nullable=False),  # monitors, JSON
)

events = Table(
    "events",
    metadata,
    Column("record_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("event_id", Integer),
    Column("at", UtcDateTime, nullable=False),  # the station's time
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("trigger", String(20), nullable=False),  # 2.0.1 EventTriggerEnumType
    Column("notification_type", String(40), nullable=False),  # EventNotificationEnumType
    Column("cause", Integer),  # event_id of what caused it
    *_component_variable(),
    Column("actual_value", Text, nullable=False),
    Column("tech_code", String(50)),
    Column("tech_info", Text),
    Column("cleared", Boolean, nullable=False),  # it tells that an alert is over
    Column("cleared_at", UtcDateTime),  # of an alert: when that was
    Column("transaction_id", String(36)),
    Column("monitor_id", Integer),
    Column("severity", Integer),
    Index("ix_events_station_id_record_id", "station_id", "record_id"),
    Index("ix_events_station_id_monitor_id", "station_id", "monitor_id"),
)

customer_information = Table(
    "customer_information",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("status", String(20)),  # CustomerInformationStatusEnumType; NULL: the station reports unasked
    Column("report", Boolean, nullable=False),
    Column("clear", Boolean, nullable=False),
    Column("customer", Text),  # whose, JSON
    Column("requested_by", String(80)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Index("ix_customer_information_station_id_requested_at", "station_id", "requested_at"),
)

customer_information_parts = Table(
    "customer_information_parts",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("seq_no", Integer, primary_key=True),
    Column("last", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)
