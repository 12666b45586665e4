"""Onboarding: cases, the steps of their checklists, what happened in them, test transactions (`csms.terminals`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

onboarding_cases = Table(
    "onboarding_cases",
    metadata,
    Column("case_id", Integer, primary_key=True, autoincrement=False),  # a running number, from `counters`
    Column("owner_id", String(32), nullable=False),
    Column("serial", String(40), nullable=False),
    Column("origin", String(12), nullable=False),  # csms.terminals.checklist.Origin
    Column("account_id", String(40), nullable=False),  # the processor; "": the platform's
    Column("state", String(12), nullable=False),  # csms.terminals.checklist.CaseState
    Column("waiting_for", String(12)),  # whose turn it is, while the state is `waiting`
    Column("came_from", String(12), nullable=False),  # the terminal's inventory state before the case
    Column("place", String(200), nullable=False, server_default=text("''")),  # where it stands, from the inventory step
    Column("import_key", String(160), unique=True),  # owner, file and row that started it: a file is taken once
    Column("started_by", String(80), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),  # the last run of the machine's checks
    Column("ended_at", UtcDateTime),
    # One case at a time for a terminal.
    Index(
        "uq_onboarding_cases_serial",
        "serial",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_onboarding_cases_owner_id", "owner_id", "case_id"),
)

onboarding_steps = Table(
    "onboarding_steps",
    metadata,
    Column("case_id", Integer, ForeignKey("onboarding_cases.case_id"), primary_key=True),
    Column("code", String(20), primary_key=True),  # csms.terminals.checklist
    Column("position", Integer, nullable=False),
    Column("state", String(12), nullable=False),  # open → passed | failed | waived, and again until the case has ended
    Column("result", Text, nullable=False),  # what was found; for a failed one also what to do
    Column("checked_at", UtcDateTime),
    Column("checked_by", String(160)),  # a person's name, or "machine"
)

#: Everything that happened in a case, comments among it: only ever added to.
onboarding_events = Table(
    "onboarding_events",
    metadata,
    Column("event_id", Identity, primary_key=True, autoincrement=True),
    Column("case_id", Integer, ForeignKey("onboarding_cases.case_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(160), nullable=False),
    Column("kind", String(20), nullable=False),  # csms.terminals.onboarding.EventKind
    Column("step", String(20)),
    Column("text", Text, nullable=False),
    Index("ix_onboarding_events_case_id", "case_id", "event_id"),
)

onboarding_attachments = Table(
    "onboarding_attachments",
    metadata,
    Column("attachment_id", String(32), primary_key=True),  # also its name on disk
    Column("case_id", Integer, ForeignKey("onboarding_cases.case_id"), nullable=False),
    Column("name", String(100), nullable=False),  # sanitised
    Column("media_type", String(40), nullable=False),  # as its bytes say
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("uploaded_by", String(80), nullable=False),
    Column("uploaded_at", UtcDateTime, nullable=False),
    Index("ix_onboarding_attachments_case_id", "case_id"),
)

onboarding_imports = Table(
    "onboarding_imports",
    metadata,
    Column("import_id", String(32), primary_key=True),
    Column("owner_id", String(32)),  # whose user sent it; NULL: the platform's own people
    Column("name", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("report", Text, nullable=False),  # JSON, row by row
    Column("imported_by", String(80), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
)

#: Holds of a small amount that are released again. They are nobody's sale: neither sessions nor ledger know of them.
test_transactions = Table(
    "test_transactions",
    metadata,
    Column("test_id", String(32), primary_key=True),
    Column("case_id", Integer, ForeignKey("onboarding_cases.case_id"), nullable=False),
    Column("serial", String(40), nullable=False),
    Column("account_id", String(40), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("language", String(5), nullable=False),
    Column("arm_id", String(64), nullable=False, unique=True),  # in the callback's address; unguessable
    Column("state", String(12), nullable=False),  # csms.terminals.test_transaction.TestState
    Column("card_ref", String(64)),
    Column("payment_ref", String(64)),
    Column("problem", Text, nullable=False),  # what went wrong, and what to do
    Column("release_tries", Integer, nullable=False, server_default="0"),  # that went unanswered
    Column("started_by", String(80), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("present_by", UtcDateTime, nullable=False),  # no card by then: it has failed
    Column("armed_at", UtcDateTime),
    Column("called_back_at", UtcDateTime),  # the terminals' cloud called the callback address
    Column("held_at", UtcDateTime),
    Column("released_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    # One at a time for a terminal.
    Index(
        "uq_test_transactions_serial",
        "serial",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_test_transactions_case_id", "case_id", "started_at"),
    UniqueConstraint("serial", "payment_ref"),
)
