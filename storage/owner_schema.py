"""Site owners and their sites (`csms.terminals.owners`, `sites`), and the processors they bring (`processors`)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, text

from storage.columns import Identity, UtcDateTime
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
    Column("data_url", String(200), nullable=False),  # of the MyPayter Data API; "": not used
    # Sealed (csms.terminals.vault): API key, Data API user and password; "": none were given yet.
    Column("credentials", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_processor_accounts_owner_id", "owner_id"),
)

#: What an own processor needs before a terminal may use it, one by one (csms.terminals.processors.Requirement).
processor_requirements = Table(
    "processor_requirements",
    metadata,
    Column("account_id", String(40), ForeignKey("processor_accounts.account_id"), primary_key=True),
    Column("requirement", String(20), primary_key=True),
    Column("serial", String(40), primary_key=True, server_default=text("''")),  # of a terminal's own; else ""
    Column("met", Boolean, nullable=False),
    Column("reference", String(120), nullable=False),  # of the agreement, the request, the ticket
    Column("detail", Text, nullable=False),  # what a machine found
    Column("confirmed_by", String(80), nullable=False),  # a person, or "machine"
    Column("confirmed_at", UtcDateTime, nullable=False),
)

#: A terminal's way from one MyPayter domain to another; the TT number is Payter's number of it.
domain_transfers = Table(
    "domain_transfers",
    metadata,
    Column("transfer_id", String(32), primary_key=True),
    Column("serial", String(40), nullable=False),
    Column("from_domain", String(80), nullable=False),
    Column("to_domain", String(80), nullable=False),
    Column("account_id", String(40), nullable=False),  # whose credentials must find it there; "": the platform's
    Column("tt_number", String(40), nullable=False),
    Column("state", String(12), nullable=False),  # requested → moved | cancelled
    Column("requested_by", String(80), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),
    Column("checked_by", String(80)),
    Column("finding", Text),  # of the last check
    Column("moved_at", UtcDateTime),
    Index("ix_domain_transfers_serial", "serial", "requested_at"),
    # One at a time: two numbers for one terminal cannot both be right.
    Index(
        "uq_domain_transfers_requested",
        "serial",
        unique=True,
        sqlite_where=text("state = 'requested'"),
        postgresql_where=text("state = 'requested'"),
    ),
)

#: Every change of a terminal's processor, for ever.
processor_changes = Table(
    "processor_changes",
    metadata,
    Column("change_id", Identity, primary_key=True, autoincrement=True),
    Column("serial", String(40), nullable=False),
    Column("from_account", String(40), nullable=False),
    Column("to_account", String(40), nullable=False),
    Column("state", String(12), nullable=False),  # pending → effective (the first arm there) | superseded
    Column("reason", Text, nullable=False),
    Column("requested_by", String(80), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("effective_at", UtcDateTime),
    Index("ix_processor_changes_serial", "serial", "change_id"),
)
