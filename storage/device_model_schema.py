"""The device model: variables, reports in parts, configuration as desired state, network profiles."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata


def _name() -> tuple[Column[str] | Column[int], ...]:
    """A variable's place; "" and 0 stand for none, so that they can be part of a key."""
    return (
        Column("station_id", String(64), primary_key=True),
        Column("component", String(50), primary_key=True),
        Column("component_instance", String(50), primary_key=True),
        Column("evse_id", Integer, primary_key=True),
        Column("connector_id", Integer, primary_key=True),
        Column("variable", String(50), primary_key=True),
        Column("variable_instance", String(50), primary_key=True),
    )


variables = Table(
    "variables",
    metadata,
    *_name(),
    Column("attribute", String(10), primary_key=True),  # Actual | Target | MinSet | MaxSet
    Column("value", Text),  # NULL: not readable, or a secret
    Column("mutability", String(12)),
    Column("persistent", Boolean),
    Column("constant", Boolean),
    Column("characteristics", Text),  # VariableCharacteristicsType, JSON; NULL: never reported
    Column("updated_at", UtcDateTime, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("kind", String(30), nullable=False),  # FullInventory, ConfigurationInventory, SummaryInventory, custom
    Column("asked_at", UtcDateTime),  # NULL: nobody here asked for it
    Column("last_seq", Integer),  # of the part that said it is the last one
    Column("updated_at", UtcDateTime, nullable=False),
)

report_parts = Table(
    "report_parts",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("request_id", Integer, primary_key=True),
    Column("seq_no", Integer, primary_key=True),
    Column("variables", Integer, nullable=False),  # how many it told of
    Column("received_at", UtcDateTime, nullable=False),
)

network_profiles = Table(
    "network_profiles",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("profile", Text, nullable=False),  # NetworkConnectionProfileType, JSON, secrets masked
    Column("updated_at", UtcDateTime, nullable=False),
)

configuration_templates = Table(
    "configuration_templates",
    metadata,
    Column("template_id", String(40), primary_key=True),
    Column("scope", String(10), nullable=False),  # all | vendor | model | site | station
    Column("name", String(64), nullable=False),  # which vendor, model, site or station; "" for all
    Column("variables", Text, nullable=False),  # csms.stations.configuration.Wanted[], JSON
    Column("revision", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

configuration_state = Table(
    "configuration_state",
    metadata,
    *_name(),
    Column("wanted", Text, nullable=False),
    Column("actual", Text),
    # in_force | reboot_pending | refused | unknown
    Column("status", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("drifts", Integer, nullable=False),  # how often it was found changed after it had been in force
    Column("checked_at", UtcDateTime, nullable=False),
)

configuration_checks = Table(
    "configuration_checks",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("next_key", String(200), nullable=False),  # the one check that is due next: older ones do nothing
)
