"""The tables. Comments give each status's transition; partial unique indexes *are* the concurrency rules.

JSON documents are text written by one codec (`sessions.codec`), so both databases keep the same bytes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

# --- the loop: journal, sessions, ledger, outbox, receipts: written together, in one commit ---------------------------

journal = Table(
    "journal",
    metadata,
    Column("journal_id", Identity, primary_key=True, autoincrement=True),
    Column("fact_key", String(200), nullable=False, unique=True),  # the deduplication
    Column("kind", String(40), nullable=False),
    Column("session_id", String(40), index=True),
    Column("station_id", String(64)),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("fact", Text, nullable=False),
    Index("ix_journal_station_id_recorded_at", "station_id", "recorded_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", String(40), primary_key=True),
    Column("origin", String(12), nullable=False),  # sessions.session.Origin
    Column("station_id", String(64)),
    Column("evse_id", Integer),
    Column("id_token", String(64)),
    Column("remote_start_id", BigInteger),
    Column("transaction_id", String(64)),
    Column("terminal_serial", String(40)),
    Column("card_ref", String(64)),
    Column("arm_id", String(64)),
    Column("payment_ref", String(64)),
    Column("charging", String(16), nullable=False),  # sessions.tables.Charging
    Column("payment", String(20), nullable=False),  # billing.payment.Payment
    Column("owner_id", String(32), nullable=False, server_default="platform"),  # the station's, at the opening
    Column("account_id", String(40), nullable=False, server_default=text("''")),  # the owner's processor; "": ours
    Column("way", String(12), nullable=False, server_default="card"),  # billing.way.Way: how it is paid
    Column("open", Boolean, nullable=False),  # true → false once charging and payment are both resolved
    Column("needs_review", Boolean, nullable=False),  # false → true; an operator's look is owed
    # "station/evse" while a tap claims the EVSE and no transaction runs yet, else NULL: two taps cannot both have it.
    Column("claim", String(80), unique=True),
    Column("receipt_token", String(64), nullable=False, unique=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("state", Text, nullable=False),
    Index("uq_sessions_transaction", "station_id", "transaction_id", unique=True),
    Index("uq_sessions_arm_id", "arm_id", unique=True),
    Index("uq_sessions_payment_ref", "terminal_serial", "payment_ref", unique=True),
    Index("ix_sessions_open", "station_id", sqlite_where=text("open"), postgresql_where=text("open")),
    Index("ix_sessions_open_terminal", "terminal_serial", sqlite_where=text("open"), postgresql_where=text("open")),
    Index("ix_sessions_station_token", "station_id", "id_token"),
    Index("ix_sessions_payment_ref", "payment_ref"),
    Index("ix_sessions_owner_id_opened_at", "owner_id", "opened_at"),
    Index("ix_sessions_owner_id_closed_at", "owner_id", "closed_at", "session_id"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("entry_id", Identity, primary_key=True, autoincrement=True),
    Column("set_key", String(200), nullable=False),  # "{session}:{what}": a set is written once, for ever
    Column("line", Integer, nullable=False),
    Column("session_id", String(40), index=True),
    Column("account", String(40), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("booked_at", UtcDateTime, nullable=False),
    # Whose book: "platform", or "owner:…" for what an owner's own processor collects and never is the platform's.
    Column("book", String(40), nullable=False, server_default="platform"),
    Column("owner_id", String(32), nullable=False, server_default="platform"),  # whose sale, or whose balance
    UniqueConstraint("set_key", "line"),
    Index("ix_ledger_owner_id_account", "owner_id", "account"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("command_key", String(200), primary_key=True),  # deciding twice never asks twice
    Column("kind", String(40), nullable=False),
    Column("session_id", String(40), index=True),
    Column("command", Text, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # waiting: both NULL → leased: both set → done: done_at set. A lease that ran out is anybody's.
    Column("leased_by", String(64)),
    Column("leased_until", UtcDateTime),
    Column("done_at", UtcDateTime),
    Index(
        "ix_outbox_waiting", "due_at", sqlite_where=text("done_at IS NULL"), postgresql_where=text("done_at IS NULL")
    ),
)

receipts = Table(
    "receipts",
    metadata,
    Column("receipt_token", String(64), primary_key=True),
    Column("issuer_id", String(40), nullable=False),
    Column("number", BigInteger, nullable=False),  # gap-free per issuer: allotted from `counters` in the same commit
    Column("session_id", String(40), nullable=False, index=True),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("document", Text, nullable=False),
    Column("kind", String(12), nullable=False, server_default="sale"),  # billing.receipt.DocumentKind
    UniqueConstraint("issuer_id", "number"),
    # One sale; its credit notes may be several.
    Index(
        "uq_receipts_sale",
        "session_id",
        unique=True,
        sqlite_where=text("kind = 'sale'"),
        postgresql_where=text("kind = 'sale'"),
    ),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("value", BigInteger, nullable=False),  # the last one given out
)

# --- what is known of the world ---------------------------------------------------------------------------------------

stations = Table(
    "stations",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("admission", String(12), nullable=False),  # held → accepted | refused, by an operator
    Column("password_hash", String(200)),
    Column("connected", Boolean, nullable=False, server_default=text("false")),
    Column("node", String(64)),  # whose socket it is
    Column("epoch", Integer, nullable=False, server_default="0"),  # rises by one per connection
    Column("version", String(12)),
    Column("vendor", String(60)),
    Column("model", String(60)),
    Column("serial_number", String(60)),
    Column("firmware_version", String(60)),
    Column("site", String(60)),  # names a site of its owner's, where there is one of this id (sites.site_id)
    Column("owner_id", String(32), nullable=False, server_default="platform"),
    # The least security profile (1, 2, 3) it may come with; 0: any. It only ever rises by itself.
    Column("security_profile", Integer, nullable=False, server_default="0"),
    Column("password_configured", Text),  # hash of the settings' password that was last taken over
    Column("password_pending", Text),  # JSON: new passwords it may come back with, each an array of hashes
    Column("log_frames", Boolean),  # NULL: as the settings say
    Column("boot_status", String(12)),
    Column("booted_at", UtcDateTime),
    Column("seen_at", UtcDateTime),
)

evses = Table(
    "evses",
    metadata,
    Column("station_id", String(64), ForeignKey("stations.station_id"), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("label", String(60)),
    Column("tariff_id", String(64)),
    Column("max_power_w", Integer),
    Column("status", String(12), nullable=False, server_default="Available"),
    Column("charging_state", String(16)),
    Column("raw_status", String(20)),
    Column("error_code", String(60)),
    Column("status_at", UtcDateTime),
    Column("plugged_at", UtcDateTime),  # when the EVSE last became occupied while no transaction ran
    Column("waiting", Text),  # 2.0.1, cable first: the TransactionStarted that nobody has authorised yet
)

station_events = Table(
    "station_events",
    metadata,
    Column("event_id", Identity, primary_key=True, autoincrement=True),
    Column("station_id", String(64), nullable=False),
    Column("action", String(60), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("payload", Text, nullable=False),
    Index("ix_station_events_station_id_recorded_at", "station_id", "recorded_at"),
)

findings = Table(
    "findings",
    metadata,
    Column("station_id", String(64), primary_key=True),
    Column("code", String(60), primary_key=True),
    Column("action", String(60), primary_key=True),
    Column("detail", Text, nullable=False),  # of the first one
    Column("occurrences", Integer, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
)

terminals = Table(
    "terminals",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("family", String(20), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("language", String(5), nullable=False),
    Column("online", Boolean),  # NULL: never asked
    Column("state", String(20)),
    Column("seen_at", UtcDateTime),
    Column("owner_id", String(32), nullable=False, server_default="platform"),
    # Which processor a new tap is paid through: an owner's own (processor_accounts), or "": the platform's.
    Column("account_id", String(40), nullable=False, server_default=text("''")),
    Column("domain", String(80)),  # the MyPayter domain it sits in, where that has been found out
    # Where it is in its life (csms.terminals.inventory); only `live` ones are armed.
    Column("inventory_state", String(12), nullable=False, server_default="live"),
    # The operator's own: named in the settings file, or the platform's.
    Column("licence_exempt", Boolean, nullable=False, server_default=text("true")),
    Column("activated_at", UtcDateTime),  # its activation licence was used
    Column("licensed_until", UtcDateTime),  # the end of its plan, grace period included
    # Where it came from: settings (named in the settings file) | integrated | own (csms.terminals.registration).
    Column("origin", String(12), nullable=False, server_default="settings"),
    Column("station_serial", String(60), nullable=False, server_default=text("''")),  # of the station it is to serve
    Column("sim_serial", String(20), unique=True),  # ICCID; NULL: it has no SIM card
    Column("supplier_order", String(80), nullable=False, server_default=text("''")),  # integrated: with the stations
    Column("distributor", String(120), nullable=False, server_default=text("''")),  # own: bought from whom
    Column("purchase_reference", String(80), nullable=False, server_default=text("''")),
    Column("site_id", String(60)),  # where it is: a site of its owner's,
    Column("place", String(200), nullable=False, server_default=text("''")),  # and where there, or somewhere else
    Column("personnel", Text, nullable=False, server_default="[]"),  # JSON: who may handle it, since when, trained on
    Column("revision", Integer, nullable=False, server_default="1"),
)

terminal_evses = Table(
    "terminal_evses",
    metadata,
    Column("serial", String(40), ForeignKey("terminals.serial"), primary_key=True),
    Column("station_id", String(64), primary_key=True),
    Column("evse_id", Integer, primary_key=True),
    Column("position", Integer, nullable=False),
)

arms = Table(
    "arms",
    metadata,
    Column("arm_id", String(64), primary_key=True),
    Column("serial", String(40), nullable=False),
    Column("state", String(12), nullable=False),  # open → presented → closed, or open → closed
    Column("hold_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("account_id", String(40), nullable=False, server_default=text("''")),  # the processor it was armed at
    Index("ix_arms_serial_opened_at", "serial", "opened_at"),
)

tariffs = Table(
    "tariffs",
    metadata,
    Column("tariff_id", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # billing.tariff, JSON
    Column("owner_id", String(32), nullable=False, server_default="platform"),
)

issuers = Table(
    "issuers",
    metadata,
    Column("issuer_id", String(40), primary_key=True),
    Column("body", Text, nullable=False),  # billing.receipt.Issuer, JSON
)

id_tokens = Table(
    "id_tokens",
    metadata,
    Column("id_token", String(64), primary_key=True),  # folded to upper case: 1.6 tags are case-insensitive
    Column("status", String(12), nullable=False),  # sessions.facts.TokenStatus
    Column("expires_at", UtcDateTime),
    Column("token_type", String(20)),  # OCPP 2.0.1 IdTokenEnumType; NULL: any
    Column("group_id", String(64)),  # folded like the token; members of a group may stop each other's charges
    Column("master_pass", Boolean, nullable=False, server_default=text("false")),  # may stop any charge, start none
    Column("concurrent", Boolean, nullable=False, server_default=text("true")),  # may charge at several EVSEs at once
    Column("label", String(80)),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("way", String(12), nullable=False, server_default="rfid"),  # rfid | app | roaming: who pays for its charges
)
