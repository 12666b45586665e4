"""The first released schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage import columns

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "arms",
        sa.Column("arm_id", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("hold_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("opened_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("arm_id", name=op.f("pk_arms")),
    )
    op.create_index("ix_arms_serial_opened_at", "arms", ["serial", "opened_at"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "findings",
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("first_at", columns.UtcDateTime(), nullable=False),
        sa.Column("last_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("station_id", "code", "action", name=op.f("pk_findings")),
    )
    op.create_table(
        "id_tokens",
        sa.Column("id_token", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id_token", name=op.f("pk_id_tokens")),
    )
    op.create_table(
        "issuers",
        sa.Column("issuer_id", sa.String(length=40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_issuers")),
    )
    op.create_table(
        "journal",
        sa.Column(
            "journal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("fact_key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("station_id", sa.String(length=64), nullable=True),
        sa.Column("recorded_at", columns.UtcDateTime(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", name=op.f("pk_journal")),
        sa.UniqueConstraint("fact_key", name=op.f("uq_journal_fact_key")),
    )
    op.create_index(op.f("ix_journal_session_id"), "journal", ["session_id"], unique=False)
    op.create_index("ix_journal_station_id_recorded_at", "journal", ["station_id", "recorded_at"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("set_key", sa.String(length=200), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("booked_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("set_key", "line", name=op.f("uq_ledger_set_key_line")),
    )
    op.create_index(op.f("ix_ledger_session_id"), "ledger", ["session_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("command_key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("due_at", columns.UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_by", sa.String(length=64), nullable=True),
        sa.Column("leased_until", columns.UtcDateTime(), nullable=True),
        sa.Column("done_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("command_key", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_session_id"), "outbox", ["session_id"], unique=False)
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "receipts",
        sa.Column("receipt_token", sa.String(length=64), nullable=False),
        sa.Column("issuer_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("issued_at", columns.UtcDateTime(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("receipt_token", name=op.f("pk_receipts")),
        sa.UniqueConstraint("issuer_id", "number", name=op.f("uq_receipts_issuer_id_number")),
        sa.UniqueConstraint("session_id", name=op.f("uq_receipts_session_id")),
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("origin", sa.String(length=12), nullable=False),
        sa.Column("station_id", sa.String(length=64), nullable=True),
        sa.Column("evse_id", sa.Integer(), nullable=True),
        sa.Column("id_token", sa.String(length=64), nullable=True),
        sa.Column("remote_start_id", sa.BigInteger(), nullable=True),
        sa.Column("transaction_id", sa.String(length=64), nullable=True),
        sa.Column("terminal_serial", sa.String(length=40), nullable=True),
        sa.Column("card_ref", sa.String(length=64), nullable=True),
        sa.Column("arm_id", sa.String(length=64), nullable=True),
        sa.Column("payment_ref", sa.String(length=64), nullable=True),
        sa.Column("charging", sa.String(length=16), nullable=False),
        sa.Column("payment", sa.String(length=20), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("needs_review", sa.Boolean(), nullable=False),
        sa.Column("claim", sa.String(length=80), nullable=True),
        sa.Column("receipt_token", sa.String(length=64), nullable=False),
        sa.Column("opened_at", columns.UtcDateTime(), nullable=False),
        sa.Column("closed_at", columns.UtcDateTime(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("claim", name=op.f("uq_sessions_claim")),
        sa.UniqueConstraint("receipt_token", name=op.f("uq_sessions_receipt_token")),
    )
    op.create_index(
        "ix_sessions_open",
        "sessions",
        ["station_id"],
        unique=False,
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )
    op.create_index(
        "ix_sessions_open_terminal",
        "sessions",
        ["terminal_serial"],
        unique=False,
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )
    op.create_index("ix_sessions_station_token", "sessions", ["station_id", "id_token"], unique=False)
    op.create_index("uq_sessions_arm_id", "sessions", ["arm_id"], unique=True)
    op.create_index("uq_sessions_payment_ref", "sessions", ["terminal_serial", "payment_ref"], unique=True)
    op.create_index("uq_sessions_transaction", "sessions", ["station_id", "transaction_id"], unique=True)
    op.create_table(
        "station_events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("recorded_at", columns.UtcDateTime(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_station_events")),
    )
    op.create_index(
        "ix_station_events_station_id_recorded_at", "station_events", ["station_id", "recorded_at"], unique=False
    )
    op.create_table(
        "stations",
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("admission", sa.String(length=12), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("connected", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.String(length=12), nullable=True),
        sa.Column("vendor", sa.String(length=60), nullable=True),
        sa.Column("model", sa.String(length=60), nullable=True),
        sa.Column("serial_number", sa.String(length=60), nullable=True),
        sa.Column("firmware_version", sa.String(length=60), nullable=True),
        sa.Column("boot_status", sa.String(length=12), nullable=True),
        sa.Column("booted_at", columns.UtcDateTime(), nullable=True),
        sa.Column("seen_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("station_id", name=op.f("pk_stations")),
    )
    op.create_table(
        "tariffs",
        sa.Column("tariff_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tariff_id", name=op.f("pk_tariffs")),
    )
    op.create_table(
        "terminals",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=True),
        sa.Column("seen_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_terminals")),
    )
    op.create_table(
        "evses",
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("evse_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=True),
        sa.Column("tariff_id", sa.String(length=64), nullable=True),
        sa.Column("max_power_w", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=12), server_default="Available", nullable=False),
        sa.Column("charging_state", sa.String(length=16), nullable=True),
        sa.Column("raw_status", sa.String(length=20), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("status_at", columns.UtcDateTime(), nullable=True),
        sa.Column("plugged_at", columns.UtcDateTime(), nullable=True),
        sa.Column("waiting", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["station_id"], ["stations.station_id"], name=op.f("fk_evses_station_id_stations")),
        sa.PrimaryKeyConstraint("station_id", "evse_id", name=op.f("pk_evses")),
    )
    op.create_table(
        "terminal_evses",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("station_id", sa.String(length=64), nullable=False),
        sa.Column("evse_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["serial"], ["terminals.serial"], name=op.f("fk_terminal_evses_serial_terminals")),
        sa.PrimaryKeyConstraint("serial", "station_id", "evse_id", name=op.f("pk_terminal_evses")),
    )
