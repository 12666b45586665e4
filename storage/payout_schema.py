"""Refunds, statements and payouts to owners (`csms.payouts`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, Integer, String, Table, Text, text

from storage.columns import UtcDateTime
from storage.metadata import metadata

refunds = Table(
    "refunds",
    metadata,
    Column("refund_id", String(32), primary_key=True),
    Column("session_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("book", String(40), nullable=False),
    Column("state", String(12), nullable=False),  # proposed → asked → confirmed, or proposed → withdrawn
    Column("currency", String(3), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("receivable", String(20), nullable=False),  # billing.ledger.Account: where the sale was collected
    Column("cost", Text, nullable=False),  # what is paid back, per VAT rate (billing.cost, JSON)
    Column("reason", Text, nullable=False),
    Column("host_reference", String(80), nullable=False),  # the acquirer's, of the authorisation; "": no card
    Column("proposed_by", String(80), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("decided_by", String(80)),
    Column("decided_at", UtcDateTime),
    Column("receipt_token", String(64)),  # of the credit note; NULL: there is no sales document to credit
    Column("confirmed_by", String(80)),
    Column("confirmed_at", UtcDateTime),
    Column("acquirer_reference", String(80)),  # of the refund itself, as the acquirer or its settlement says it
    Index("ix_refunds_session_id", "session_id"),
    Index("ix_refunds_owner_id", "owner_id", "proposed_at"),
)

statements = Table(
    "statements",
    metadata,
    Column("statement_id", String(12), primary_key=True),  # "ST" and its number: gap-free, from `counters`
    Column("owner_id", String(32), ForeignKey("owners.owner_id"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("period_end", UtcDateTime, nullable=False),  # not included
    Column("closed_at", UtcDateTime, nullable=False),
    Column("opening_minor", BigInteger, nullable=False),  # carried from the one before
    Column("payout_minor", BigInteger, nullable=False),
    Column("carried_minor", BigInteger, nullable=False),  # opening + its entries − payout
    Column("document", Text, nullable=False),  # billing.statement.Statement, JSON; never edited
    # Each period is closed once, for ever.
    Index("uq_statements_period", "owner_id", "currency", "period_start", unique=True),
    Index("ix_statements_payout", "currency", sqlite_where=text("payout_minor > 0"),
          postgresql_where=text("payout_minor > 0")),
)  # fmt: skip

#: Which ledger entry stands on which statement: on one, or on none yet.
statement_entries = Table(
    "statement_entries",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("ledger.entry_id"), primary_key=True, autoincrement=False),
    Column("statement_id", String(12), ForeignKey("statements.statement_id"), nullable=False),
    Column("kind", String(12), nullable=False),  # billing.statement.EntryKind
    Column("amount_minor", BigInteger, nullable=False),  # what it adds to the balance
    Index("ix_statement_entries_statement_id", "statement_id"),
)

#: Which sessions a statement is about, and what fee each was charged: a later correction charges the difference.
statement_sessions = Table(
    "statement_sessions",
    metadata,
    Column("statement_id", String(12), ForeignKey("statements.statement_id"), primary_key=True),
    Column("session_id", String(40), primary_key=True),
    Column("way", String(12), nullable=False),
    Column("own_processor", Boolean, nullable=False),
    Column("gross_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),  # without VAT
    Index("ix_statement_sessions_session_id", "session_id"),
)

payout_batches = Table(
    "payout_batches",
    metadata,
    Column("batch_id", String(12), primary_key=True),  # "PB" and its number; the message's id in the payment file
    Column("state", String(12), nullable=False),  # proposed → released, or proposed → cancelled
    Column("currency", String(3), nullable=False),
    Column("execution_date", Date, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("creator", String(12), nullable=False),  # the token's id: another one has to release
    Column("created_at", UtcDateTime, nullable=False),
    Column("released_by", String(80)),
    Column("released_at", UtcDateTime),
    Column("file", Text),  # pain.001: made once, with the release
    Column("file_sha256", String(64)),
)

payouts = Table(
    "payouts",
    metadata,
    Column("batch_id", String(12), ForeignKey("payout_batches.batch_id"), primary_key=True),
    Column("statement_id", String(12), ForeignKey("statements.statement_id"), primary_key=True),  # the EndToEndId
    Column("owner_id", String(32), nullable=False),
    # proposed → in transit → executed → returned; in transit → returned; proposed → cancelled
    Column("state", String(12), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("creditor", String(120), nullable=False),
    Column("iban", String(34), nullable=False),
    Column("bic", String(11)),
    Column("executed_at", UtcDateTime),
    Column("returned_at", UtcDateTime),
    Column("return_reason", String(200)),
    # A statement is paid out once: only a cancelled batch leaves it to another one.
    Index("uq_payouts_statement", "statement_id", unique=True, sqlite_where=text("state <> 'cancelled'"),
          postgresql_where=text("state <> 'cancelled'")),
)  # fmt: skip

return_files = Table(
    "return_files",
    metadata,
    Column("sha256", String(64), primary_key=True),  # the same file twice changes nothing
    Column("kind", String(40), nullable=False),  # pain.002, camt.053, camt.054
    Column("imported_by", String(80), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Column("report", Text, nullable=False),  # JSON: each line, and what became of it
)
