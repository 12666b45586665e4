"""Reconciliation: what each of three sides says of a payment, and what is left when they are compared.

Our side (`booked_payments`) is read out of sessions and ledger and can be made anew at any time; the other two are as
the provider and the acquirers told them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, String, Table, Text, text

from storage.columns import UtcDateTime
from storage.metadata import metadata

#: One row a card payment: what the ledger says of it.
booked_payments = Table(
    "booked_payments",
    metadata,
    Column("session_id", String(40), primary_key=True),
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("book", String(40), nullable=False),
    Column("terminal_serial", String(40)),
    Column("currency", String(3), nullable=False),
    Column("sale_minor", BigInteger, nullable=False),  # captured, as booked; refunds and losses are told apart
    Column("refund_minor", BigInteger, nullable=False),
    Column("lost_minor", BigInteger, nullable=False),  # captured, and written off because nobody settled it
    Column("suspense_minor", BigInteger, nullable=False),  # of it, what no bill explains
    Column("resolved", Boolean, nullable=False),  # nothing more is asked of the provider
    Column("held_at", UtcDateTime, nullable=False),
    Column("due_from", UtcDateTime, nullable=False),  # from when on a capture is awaited: the end of the charge
    Column("captured_at", UtcDateTime),
    Column("refunded_at", UtcDateTime),
    Column("payment_ref", String(64), nullable=False),  # the provider's transaction
    # References as they are compared (billing.payment_links.normal_reference); "" for none.
    Column("host_key", String(64), nullable=False),
    Column("merchant_key", String(64), nullable=False),
    Column("payment_key", String(64), nullable=False),
    # true: something may have changed since it was last judged, or time may yet change the verdict.
    Column("needs_look", Boolean, nullable=False),
    Index("ix_booked_payments_payment_ref", "account_id", "payment_ref"),
    Index("ix_booked_payments_host_key", "account_id", "host_key"),
    Index("ix_booked_payments_merchant_key", "account_id", "merchant_key"),
    Index("ix_booked_payments_payment_key", "account_id", "payment_key"),
    Index("ix_booked_payments_terminal", "terminal_serial", "held_at"),
    Index("ix_booked_payments_amount", "account_id", "sale_minor", "captured_at"),
    Index(
        "ix_booked_payments_needs_look",
        "account_id",
        "session_id",
        sqlite_where=text("needs_look"),
        postgresql_where=text("needs_look"),
    ),
)

#: The provider's side: a row of the Data API, without anything of the card.
provider_transactions = Table(
    "provider_transactions",
    metadata,
    Column("account_id", String(40), primary_key=True),
    Column("transaction_id", String(64), primary_key=True),
    Column("terminal_serial", String(40), nullable=False),
    Column("kind", String(20), nullable=False),  # PAYMENT; others are kept and not judged
    Column("state", String(20), nullable=False),  # COMMITTED | CANCELLED | FAILED | …
    Column("authorised_minor", BigInteger),
    Column("committed_minor", BigInteger),
    Column("currency", String(3), nullable=False),
    Column("at", UtcDateTime),
    Column("committed_at", UtcDateTime),
    Column("ingested_at", UtcDateTime, nullable=False),
    Column("session_id", String(40)),  # the payment it is; NULL: nobody knows yet
    Column("rule", String(20)),  # by which rule
    Index("ix_provider_transactions_session_id", "session_id"),
    Index(
        "ix_provider_transactions_unlinked",
        "account_id",
        "transaction_id",
        sqlite_where=text("session_id IS NULL"),
        postgresql_where=text("session_id IS NULL"),
    ),
)

#: How far each account's provider has been read.
provider_cursors = Table(
    "provider_cursors",
    metadata,
    Column("account_id", String(40), primary_key=True),
    Column("read_from", UtcDateTime, nullable=False),  # payments from before are not looked for
    Column("ingested_until", UtcDateTime, nullable=False),  # the newest row's: where the next reading goes on
    Column("read_until", UtcDateTime),  # everything that was ingested by then has been read; NULL: never to the end
    Column("problem", String(200)),  # why the last reading ended early
    Column("problem_at", UtcDateTime),
)

#: How far the ledger has been read into `booked_payments`.
ledger_cursors = Table(
    "ledger_cursors",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("entry_id", BigInteger, nullable=False),
)

#: What an acquirer's CSV calls its columns, by account.
settlement_mappings = Table(
    "settlement_mappings",
    metadata,
    Column("account_id", String(40), primary_key=True),
    Column("body", Text, nullable=False),  # billing.settlement_csv.Mapping, JSON
    Column("changed_by", String(80), nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

settlement_files = Table(
    "settlement_files",
    metadata,
    Column("file_id", String(40), primary_key=True),  # made of account and content: the same file twice is one
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("format", String(12), nullable=False),  # csv | camt.053
    Column("name", String(120), nullable=False),
    Column(
        "state", String(12), nullable=False
    ),  # reading → booked; one left reading is gone on with when it comes again
    Column("rows_read", Integer, nullable=False),
    Column("rows_taken", Integer, nullable=False),  # of them, those that no other file had brought
    Column("refused", Text, nullable=False),  # JSON: row number and reason, the first ones
    Column("rows_refused", Integer, nullable=False),
    Column("settled_from", Date),  # the first and the last day it tells of
    Column("settled_until", Date),
    Column("uploaded_by", String(80), nullable=False),
    Column("uploaded_at", UtcDateTime, nullable=False),
    Index("ix_settlement_files_account_id", "account_id", "uploaded_at"),
)

#: The acquirer's side: what was settled.
settlement_rows = Table(
    "settlement_rows",
    metadata,
    Column("row_id", String(64), primary_key=True),  # of the account and the row's own id, or of all it says
    Column("file_id", String(40), nullable=False),
    Column("line", Integer, nullable=False),
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("kind", String(12), nullable=False),  # billing.reconciliation.SettlementKind
    Column("amount_minor", BigInteger, nullable=False),  # never negative: kind says which way
    Column("fee_minor", BigInteger),  # kept back by the acquirer; NULL: not told, the amount may be net of it
    Column("currency", String(3), nullable=False),
    Column("settled_on", Date, nullable=False),
    Column("merchant_id", String(40), nullable=False),
    Column("reference", String(64), nullable=False),
    Column("keys", Text, nullable=False),  # JSON: its references as they are compared
    Column("session_id", String(40)),
    Column("rule", String(20)),
    Index("ix_settlement_rows_session_id", "session_id"),
    Index("ix_settlement_rows_file_id", "file_id", "line"),
    Index(
        "ix_settlement_rows_unlinked",
        "account_id",
        "row_id",
        sqlite_where=text("session_id IS NULL"),
        postgresql_where=text("session_id IS NULL"),
    ),
)

#: What is left when the sides are compared.
discrepancies = Table(
    "discrepancies",
    metadata,
    Column("discrepancy_id", String(20), primary_key=True),
    Column("discrepancy_key", String(200), nullable=False, unique=True),  # subject, side, kind: found once
    Column("subject", String(140), nullable=False),  # session:… | provider:… | settlement:…
    Column("side", String(12), nullable=False),  # whose word differs from ours: provider | acquirer | ledger
    Column("kind", String(24), nullable=False),
    Column("part", String(12), nullable=False),  # sale | refund | chargeback
    Column("state", String(12), nullable=False),  # open → explained | notified | repaired | closed, and open again
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("session_id", String(40)),
    Column("expected_minor", BigInteger),
    Column("actual_minor", BigInteger),
    Column("currency", String(3), nullable=False),
    Column("actual_currency", String(3), nullable=False),
    Column("detail", String(300), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index("ix_discrepancies_subject", "subject"),
    Index("ix_discrepancies_owner_id", "owner_id", "found_at"),
    Index("ix_discrepancies_state", "state", "found_at"),
)

#: What became of each discrepancy, in order.
discrepancy_events = Table(
    "discrepancy_events",
    metadata,
    Column("discrepancy_id", String(20), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),  # the state after it
    Column("by", String(80), nullable=False),  # a named person, or "reconciliation"
    Column("note", String(500), nullable=False),
)

#: The notices that the terms demand, as they were written.
provider_notices = Table(
    "provider_notices",
    metadata,
    Column("notice_id", String(20), primary_key=True),
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("recipient", String(200), nullable=False),  # "": downloaded, and sent by hand
    Column("subject", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("discrepancy_ids", Text, nullable=False),  # JSON
    Column("written_by", String(80), nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("problem", String(200)),
    Index("ix_provider_notices_owner_id", "owner_id", "written_at"),
)

#: Repairs that were made, or that came too late: what they were to mend had changed.
repairs = Table(
    "repairs",
    metadata,
    Column("repair_id", String(60), primary_key=True),  # {discrepancy}:{digest of the proposal}
    Column("discrepancy_id", String(20), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("remedy", String(12), nullable=False),  # billing.repair.Remedy
    Column("outcome", String(12), nullable=False),  # made | stale
    Column("entries", Text, nullable=False),  # JSON: the entry sets it wrote
    Column("by", String(80), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Index("ix_repairs_discrepancy_id", "discrepancy_id"),
)

#: Each run over an account, from beginning to end.
reconciliation_runs = Table(
    "reconciliation_runs",
    metadata,
    Column("run_key", String(200), primary_key=True),  # the command's
    Column("account_id", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("counts", Text, nullable=False),  # JSON
    Column("problem", String(200)),  # what kept the provider from being read to the end
    Index("ix_reconciliation_runs_account_id", "account_id", "begun_at"),
)
