"""Site owners and their sites (`csms.terminals.owners`, `sites`), and the processors they bring (`processors`)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

owners = Table(
    "owners",
    metadata,
    Column("owner_id", String(32), primary_key=True),
    Column("legal_name", String(120), nullable=False),
    Column("organisation_number", String(40), nullable=False),
    Column("vat_number", String(40), nullable=False),
    Column("address", Text, nullable=False),  # JSON: lines
    Column("country", String(2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("language", String(5), nullable=False),
    Column("time_zone", String(40), nullable=False),
    Column("iban", String(34)),
    Column("bic", String(11)),
    Column("contacts", Text, nullable=False),  # JSON: name, role, e-mail, phone
    Column("terms", Text, nullable=False),  # JSON: fees, statement period, minimum payout (billing.terms)
    Column("state", String(12), nullable=False, server_default="active"),  # active ⇄ closed, never deleted
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    Column("site_id", String(60), primary_key=True),
    Column("owner_id", String(32), ForeignKey("owners.owner_id"), nullable=False),
    Column("name", String(120), nullable=False),
    Column("address", Text, nullable=False),  # JSON: lines
    Column("country", String(2), nullable=False),
    Column("time_zone", String(40), nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_sites_owner_id", "owner_id"),
)

#: An owner's own processor: their contract, their domain, their acquirer. The platform's own is in the settings.
processor_accounts = Table(
    "processor_accounts",
    metadata,
    Column("account_id", String(40), primary_key=True),
    Column("owner_id", String(32), ForeignKey("owners.owner_id"), nullable=False),
    Column("name", String(120), nullable=False),
    Column("base_url", String(200), nullable=False),
    Column("domain", String(80), nullable=False),  # the owner's MyPayter domain
    Column("merchant_id", String(40), nullable=False),
    Column("acquirer", String(80), nullable=False),
    Column("credentials", Text, nullable=False),  # sealed (csms.terminals.vault): API key, Data API user and password
    Column("requirements", Text, nullable=False),  # JSON: requirement → who confirmed it, when, with what reference
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_processor_accounts_owner_id", "owner_id"),
)
