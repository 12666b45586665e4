"""Terminals as things that stand somewhere (`csms.terminals.inventory`)."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

#: Every move of every terminal, for ever: nothing vanishes from the inventory.
terminal_moves = Table(
    "terminal_moves",
    metadata,
    Column("move_id", Identity, primary_key=True, autoincrement=True),
    Column("serial", String(40), nullable=False),
    Column("from_state", String(12)),  # NULL: entered into the inventory
    Column("to_state", String(12), nullable=False),  # csms.terminals.inventory.State
    Column("place", String(200), nullable=False),
    Column("moved_by", String(80), nullable=False),
    Column("reason", Text, nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
    Index("ix_terminal_moves_serial", "serial", "move_id"),
)
