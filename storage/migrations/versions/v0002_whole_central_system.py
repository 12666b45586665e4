"""Stations as a whole: device model, calls, certificates, reservations …; the operator's API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.tables import load, of

revision = "0002"
down_revision = "0001"

#: The modules whose tables came with this release; later ones have migrations of their own.
MODULES = (
    *("authorization_schema", "availability_schema", "certificate_schema", "charging_profile_schema"),
    *("cost_display_schema", "device_model_schema", "diagnostics_schema", "display_schema", "energy_schema"),
    *("fleet_schema", "meter_schema", "payment_schema", "reservation_schema", "sight_schema", "transfer_schema"),
)


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("stations") as stations:
        stations.add_column(sa.Column("site", sa.String(length=60), nullable=True))
        stations.add_column(sa.Column("security_profile", sa.Integer(), server_default="0", nullable=False))
        stations.add_column(sa.Column("password_configured", sa.Text(), nullable=True))
        stations.add_column(sa.Column("password_pending", sa.Text(), nullable=True))
        stations.add_column(sa.Column("log_frames", sa.Boolean(), nullable=True))
    with op.batch_alter_table("id_tokens") as id_tokens:
        id_tokens.add_column(sa.Column("token_type", sa.String(length=20), nullable=True))
        id_tokens.add_column(sa.Column("group_id", sa.String(length=64), nullable=True))
        id_tokens.add_column(sa.Column("master_pass", sa.Boolean(), server_default=sa.text("false"), nullable=False))
        id_tokens.add_column(sa.Column("concurrent", sa.Boolean(), server_default=sa.text("true"), nullable=False))
        id_tokens.add_column(sa.Column("label", sa.String(length=80), nullable=True))
        id_tokens.add_column(sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
    op.create_index("ix_sessions_payment_ref", "sessions", ["payment_ref"])
    mine = {table for module in MODULES for table in of(module)}
    for table in load().sorted_tables:
        if table in mine:
            table.create(op.get_bind())
