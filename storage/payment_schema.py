"""Payments at stations' own terminals, tariffs at stations, and what stations computed as the cost (OCPP 2.1)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

# --- what stations said of payments (csms.stations.settlements) -------------------------------------------------------

settlements = Table(
    "settlements",
    metadata,
    Column("settlement_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("psp_ref", String(255), nullable=False),
    Column("transaction_id", String(64)),
    Column("session_id", String(40)),  # NULL: no session of ours has this transaction or payment
    Column("status", String(12), nullable=False),  # sessions.facts.SettlementStatus
    Column("status_info", String(500)),
    Column("amount", String(40), nullable=False),  # major units incl. tax, as the station said it
    Column("settled_at", UtcDateTime),  # by the station's clock
    Column("told_at", UtcDateTime, nullable=False),
    Column("receipt_id", String(50)),  # of a receipt that the station or its terminal made
    Column("receipt_url", Text),
    Column("buyer", Text),  # billing.receipt.Buyer, JSON
    Index("ix_settlements_station_id_psp_ref", "station_id", "psp_ref"),
)

vat_checks = Table(
    "vat_checks",
    metadata,
    Column("check_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("evse_id", Integer),
    Column("vat_number", String(20), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
    Index("ix_vat_checks_station_id_checked_at", "station_id", "checked_at"),
)

# --- the cost as stations computed it (csms.stations.cost_details) ----------------------------------------------------

cost_details = Table(
    "cost_details",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("transaction_id", String(64), primary_key=True),
    Column("currency", String(3)),
    Column("total", String(40)),  # major units incl. tax, as the station said it
    Column("ours_minor", BigInteger),  # what we computed at the same event
    Column("failed", Boolean, nullable=False),
    Column("failure", String(500)),
    Column("told_at", UtcDateTime, nullable=False),
    Column("details", Text, nullable=False),  # as the station said them, JSON
)

# --- tariffs at stations (csms.stations.station_tariffs) --------------------------------------------------------------

tariff_contents = Table(
    "tariff_contents",
    metadata,
    # OCPP's tariffId: never given to other content.
    Column("ocpp_tariff_id", String(60), primary_key=True),
    Column("tariff_id", String(64)),  # ours; NULL: an operator's own content
    Column("content", Text, nullable=False),  # 2.1 TariffType, JSON
    Column("created_at", UtcDateTime, nullable=False),
)

station_tariffs = Table(
    "station_tariffs",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),  # 0: every EVSE
    Column("ocpp_tariff_id", String(60), primary_key=True),
    Column("kind", String(16), nullable=False),  # DefaultTariff | DriverTariff
    Column("valid_from", UtcDateTime),
    Column("told_at", UtcDateTime, nullable=False),
)
