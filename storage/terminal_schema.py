"""Terminals as things that stand somewhere (`csms.terminals.inventory`)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

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

#: What came with stations: lists of the terminals mounted in them. A line stays, whether it was taken or refused.
terminal_import_lists = Table(
    "terminal_import_lists",
    metadata,
    Column("list_id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),  # of the file
    Column("sha256", String(64), nullable=False),
    Column("owner_id", String(32)),  # whose user sent it; NULL: the platform's people
    Column("imported_by", String(80), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Column("entered", Integer, nullable=False),
    Column("known", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
)

terminal_import_rows = Table(
    "terminal_import_rows",
    metadata,
    Column("list_id", String(32), ForeignKey("terminal_import_lists.list_id"), primary_key=True),
    Column("line", Integer, primary_key=True),  # as the file counts: the headings are line 1
    Column("serial", String(40), nullable=False),
    Column("outcome", String(8), nullable=False),  # entered | known | refused
    Column("reason", Text, nullable=False),
    Index("ix_terminal_import_rows_serial", "serial"),
)

# --- stock-taking (csms.terminals.stock_taking) -----------------------------------------------------------------------

stock_counts = Table(
    "stock_counts",
    metadata,
    Column("count_id", String(32), primary_key=True),
    Column("owner_id", String(32)),  # what is counted: of one owner, or NULL: of all
    Column("site_id", String(60)),  # at one site, or NULL: wherever it is
    Column("counted_by", String(80), nullable=False),  # the person who counts
    Column("started_by", String(80), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_by", String(80)),
    Column("finished_at", UtcDateTime),  # NULL: still counting → the report is written with it
    Index("ix_stock_counts_owner_id", "owner_id"),
)

stock_finds = Table(
    "stock_finds",
    metadata,
    Column("count_id", String(32), ForeignKey("stock_counts.count_id"), primary_key=True),
    Column("serial", String(40), primary_key=True),  # folded
    Column("site_id", String(60)),
    Column("place", String(200), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
)

stock_findings = Table(
    "stock_findings",
    metadata,
    Column("count_id", String(32), ForeignKey("stock_counts.count_id"), primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("verdict", String(8), nullable=False),  # found | missing | strange
    Column("kind", String(20), nullable=False),  # csms.terminals.stock_taking.Kind
    Column("detail", Text, nullable=False),
    Column("proposal", String(12)),  # the state it could be moved to, by somebody who decides so
)
