"""Reminders to owners and to the platform's people (`csms.terminals.reminders`)."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, String, Table, Text

from storage.columns import UtcDateTime
from storage.metadata import metadata

reminders = Table(
    "reminders",
    metadata,
    Column("reminder_key", String(200), primary_key=True),  # what it is about and for when: once for ever
    Column("owner_id", String(32), nullable=False),  # whose; the platform's own people: "platform"
    Column("kind", String(40), nullable=False),
    Column("about", String(80), nullable=False),  # a terminal's serial number, a case's number, …
    Column("subject", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("due_on", Date, nullable=False),  # the day on which what it reminds of falls due
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),  # NULL: not by e-mail yet, or nobody to send it to (problem says which)
    Column("problem", String(200)),
    Index("ix_reminders_owner_id_due_on", "owner_id", "due_on"),
)
