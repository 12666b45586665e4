"""Owners and what is theirs: terminals, licences, onboarding, care, statements, payouts, reconciliation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.columns import UtcDateTime
from storage.tables import load, of

revision = "0003"
down_revision = "0002"

#: The modules whose tables came with this release; later ones have migrations of their own.
MODULES = (
    *("owner_schema", "reminder_schema", "terminal_schema", "licence_schema", "onboarding_schema", "payout_schema"),
    *("care_schema", "reconciliation_schema"),
)


def _text(name: str, length: int, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), server_default=sa.text(f"'{default}'"), nullable=False)


def upgrade() -> None:
    """Go forward: what was there before is the platform's, and goes on as it was."""
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(_text("owner_id", 32, "platform"))
        sessions.add_column(_text("account_id", 40, ""))
        sessions.add_column(_text("way", 12, "card"))
    op.create_index("ix_sessions_owner_id_opened_at", "sessions", ["owner_id", "opened_at"])
    op.create_index("ix_sessions_owner_id_closed_at", "sessions", ["owner_id", "closed_at", "session_id"])
    op.execute("UPDATE sessions SET way = 'rfid' WHERE origin IN ('rfid', 'unauthorised')")
    op.execute("UPDATE sessions SET way = 'app' WHERE origin = 'operator'")
    with op.batch_alter_table("ledger") as ledger:
        ledger.add_column(_text("book", 40, "platform"))
        ledger.add_column(_text("owner_id", 32, "platform"))
    op.create_index("ix_ledger_owner_id_account", "ledger", ["owner_id", "account"])
    for name in ("stations", "tariffs"):
        with op.batch_alter_table(name) as owned:
            owned.add_column(_text("owner_id", 32, "platform"))
    with op.batch_alter_table("terminals") as terminals:
        terminals.add_column(_text("owner_id", 32, "platform"))
        terminals.add_column(_text("account_id", 40, ""))
        terminals.add_column(sa.Column("domain", sa.String(length=80), nullable=True))
        terminals.add_column(_text("inventory_state", 12, "live"))
        terminals.add_column(sa.Column("licence_exempt", sa.Boolean(), server_default=sa.text("true"), nullable=False))
        terminals.add_column(sa.Column("activated_at", UtcDateTime(), nullable=True))
        terminals.add_column(sa.Column("licensed_until", UtcDateTime(), nullable=True))
        terminals.add_column(_text("origin", 12, "settings"))
        terminals.add_column(sa.Column("sim_serial", sa.String(length=20), nullable=True))
        terminals.add_column(sa.Column("site_id", sa.String(length=60), nullable=True))
        told = {"station_serial": 60, "supplier_order": 80, "distributor": 120, "purchase_reference": 80, "place": 200}
        for name, length in told.items():
            terminals.add_column(_text(name, length, ""))
        terminals.add_column(sa.Column("personnel", sa.Text(), server_default=sa.text("'[]'"), nullable=False))
        terminals.add_column(sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False))
        terminals.create_unique_constraint("uq_terminals_sim_serial", ["sim_serial"])
    with op.batch_alter_table("arms") as arms:
        arms.add_column(_text("account_id", 40, ""))
    with op.batch_alter_table("id_tokens") as id_tokens:
        id_tokens.add_column(_text("way", 12, "rfid"))
    with op.batch_alter_table("receipts") as receipts:
        receipts.drop_constraint("uq_receipts_session_id", type_="unique")
        receipts.add_column(_text("kind", 12, "sale"))
    op.create_index("ix_receipts_session_id", "receipts", ["session_id"])
    sales = sa.text("kind = 'sale'")
    op.create_index(
        "uq_receipts_sale", "receipts", ["session_id"], unique=True, sqlite_where=sales, postgresql_where=sales
    )
    mine = {table for module in MODULES for table in of(module)}
    for table in load().sorted_tables:
        if table in mine:
            table.create(op.get_bind())
