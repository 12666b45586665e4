"""Certificates: the operator's own authority, what it signed, what stations have installed; security events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

authorities = Table(
    "authorities",
    metadata,
    Column("authority_id", String(20), primary_key=True),
    Column("root_pem", Text, nullable=False),
    Column("root_key_pem", Text, nullable=False),  # encrypted with the passphrase of the settings, like the next
    Column("issuing_pem", Text, nullable=False),
    Column("issuing_key_pem", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

certificate_requests = Table(
    "certificate_requests",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("station_id", String(64), nullable=False),
    Column("usage", String(30), nullable=False),  # csms.stations.authority.Usage
    Column("csr", Text, nullable=False),
    Column("sign_request_id", BigInteger),  # 2.1: the station's number of it
    # requested → refused | sent; sent → installed | rejected | undelivered; undelivered → sent; any → superseded
    Column("state", String(12), nullable=False),
    Column("reason", String(300)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("certificate_pem", Text),
    Column("serial_number", String(40)),
    Column("common_name", String(64)),
    Column("not_after", UtcDateTime),
    Column("renew_at", UtcDateTime),
    Column("delivery", Text),  # JSON: action and payload of the call that takes it to the station
    Column("command_id", String(40), index=True),  # of the newest one
    Column("attempts", Integer, nullable=False, server_default="0"),
    Index("ix_certificate_requests_station_id_requested_at", "station_id", "requested_at"),
)

installed_certificates = Table(
    "installed_certificates",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("certificate_type", String(40), primary_key=True),  # OCPP 2.x GetCertificateIdUseEnumType
    Column("hash_algorithm", String(6), primary_key=True),
    Column("issuer_name_hash", String(128), primary_key=True),
    Column("issuer_key_hash", String(128), primary_key=True),
    Column("serial_number", String(40), primary_key=True),
    Column("children", Text, nullable=False),  # JSON: CertificateHashDataType of the certificates below it
    Column("certificate_pem", Text),  # where it was installed from here
    Column("reported_at", UtcDateTime, nullable=False),
)

security_events = Table(
    "security_events",
    metadata,
    Column("event_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("type", String(50), nullable=False),
    Column("critical", Boolean),  # NULL: not of the standard's list
    Column("at", UtcDateTime, nullable=False),  # by the station's clock
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("tech_info", String(255), nullable=False),
    Index("ix_security_events_station_id_event_id", "station_id", "event_id"),
)
