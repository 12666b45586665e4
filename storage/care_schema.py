"""The care for terminals: inspections, batteries, incidents, visits, calendars, health (`csms.terminals`)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, ForeignKey, Index, Integer, String, Table, Text, text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

# --- inspections and batteries ----------------------------------------------------------------------------------------

#: An inspection that is owed: due → done (by an inspection), or lapsed (the terminal is no longer where it was owed).
inspection_duties = Table(
    "inspection_duties",
    metadata,
    Column("duty_key", String(120), primary_key=True),  # "weekly:{serial}:{Monday}", "after storage:{serial}:{move}"
    Column("serial", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("occasion", String(20), nullable=False),  # csms.terminals.inspections.Occasion
    Column("owed_from", UtcDateTime, nullable=False),  # an inspection made since then fulfils it
    Column("due_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    Column("inspection_id", String(20)),
    Column("lapsed_at", UtcDateTime),
    Index("ix_inspection_duties_serial", "serial"),
    Index("ix_inspection_duties_owner_id_due_at", "owner_id", "due_at"),
)

inspections = Table(
    "inspections",
    metadata,
    Column("inspection_id", String(20), primary_key=True),
    Column("serial", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("occasion", String(20), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("inspected_by", String(80), nullable=False),
    Column("damage", Boolean, nullable=False),
    Column("foreign_stickers", Boolean, nullable=False),
    Column("unusual_cables", Boolean, nullable=False),
    Column("logo_at_power_on", Boolean, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("remarks", Text, nullable=False),
    Column("incident_id", String(20)),  # of a failed one
    Column("recorded_by", String(80), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index("ix_inspections_serial_made_at", "serial", "made_at"),
    Index("ix_inspections_owner_id_made_at", "owner_id", "made_at"),
)

#: Photos of inspections and incidents; the file lies on the shelf under its id.
care_photos = Table(
    "care_photos",
    metadata,
    Column("photo_id", String(20), primary_key=True),
    Column("about", String(20), nullable=False, index=True),  # the inspection's or the incident's id
    Column("owner_id", String(32), nullable=False),
    Column("content_type", String(20), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("uploaded_by", String(80), nullable=False),
    Column("uploaded_at", UtcDateTime, nullable=False),
)

battery_charges = Table(
    "battery_charges",
    metadata,
    Column("charge_id", String(20), primary_key=True),
    Column("serial", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("charged_on", Date, nullable=False),  # by the owner's calendar
    Column("charged_by", String(80), nullable=False),
    Column("recorded_by", String(80), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Index("ix_battery_charges_serial_charged_on", "serial", "charged_on"),
)

# --- incidents --------------------------------------------------------------------------------------------------------

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", String(20), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # for people to speak of
    Column("serial", String(40), nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("kind", String(12), nullable=False),  # csms.terminals.incidents.Kind
    Column("state", String(12), nullable=False),  # open → notified → closed; open → closed only for a false alarm
    Column("reported_at", UtcDateTime, nullable=False),
    Column("reported_by", String(80), nullable=False),
    Column("was_state", String(12), nullable=False),  # where the terminal was in the inventory
    Column("inspection_id", String(20)),  # that found it
    Column("notice_due_at", UtcDateTime, nullable=False),
    # What the notice must hold; filled in bit by bit.
    Column("description", Text, nullable=False),
    Column("actions_taken", Text, nullable=False),
    Column("actions_planned", Text, nullable=False),
    Column("information_secured", Text, nullable=False),
    Column("terminals_secured", Text, nullable=False),
    Column("contacts", Text, nullable=False),  # JSON: name, phone, e-mail
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("notified_at", UtcDateTime),
    Column("notified_by", String(80)),
    Column("outcome", String(20)),  # csms.terminals.incidents.Outcome
    Column("closed_at", UtcDateTime),
    Column("closed_by", String(80)),
    # One of a kind is open per terminal: reporting it again finds it.
    Index(
        "uq_incidents_open",
        "serial",
        "kind",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("ix_incidents_owner_id_number", "owner_id", "number"),
)

incident_entries = Table(
    "incident_entries",
    metadata,
    Column("entry_id", Identity, primary_key=True, autoincrement=True),
    Column("incident_id", String(20), ForeignKey("incidents.incident_id"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(80), nullable=False),
    Column("what", Text, nullable=False),
)

# --- visits -----------------------------------------------------------------------------------------------------------

visits = Table(
    "visits",
    metadata,
    Column("visit_id", String(20), primary_key=True),
    Column("owner_id", String(32), nullable=False),
    Column("visitor", String(80), nullable=False),
    Column("company", String(120), nullable=False),
    Column("document_ending", String(4), nullable=False),  # last characters of the id document; no more is kept
    Column("purpose", Text, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),  # csms.terminals.visits.State
    Column("announced_by", String(80), nullable=False),
    Column("announced_at", UtcDateTime, nullable=False),
    Column("decided_by", String(80)),
    Column("decided_at", UtcDateTime),
    Column("reason", Text),  # of a refusal
    Column("code_hash", String(64)),  # of what the visitor says at the door
    Column("wrong_codes", Integer, nullable=False, server_default="0"),
    Column("arrived_at", UtcDateTime),
    Column("checked_by", String(80)),
    Index("ix_visits_owner_id_starts_at", "owner_id", "starts_at"),
)

visit_terminals = Table(
    "visit_terminals",
    metadata,
    Column("visit_id", String(20), ForeignKey("visits.visit_id"), primary_key=True),
    Column("serial", String(40), primary_key=True),
)

#: One terminal for another, by a visitor whom the platform verified.
replacements = Table(
    "replacements",
    metadata,
    Column("old_serial", String(40), primary_key=True),
    Column("new_serial", String(40), primary_key=True),
    Column("visit_id", String(20), ForeignKey("visits.visit_id"), primary_key=True),
    Column("old_state", String(12), nullable=False),  # in repair | returned
    Column("reason", Text, nullable=False),
    Column("recorded_by", String(80), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

# --- reminders on their way, and the calendar -------------------------------------------------------------------------

reminder_recipients = Table(
    "reminder_recipients",
    metadata,
    Column("reminder_key", String(200), primary_key=True),
    Column("address", String(254), primary_key=True),
    Column("state", String(12), nullable=False),  # sent | refused: never tried again
    Column("problem", String(200)),
    Column("at", UtcDateTime, nullable=False),
)

calendar_feeds = Table(
    "calendar_feeds",
    metadata,
    Column("owner_id", String(32), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_by", String(80), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

#: What calendars were told of each entry last: SEQUENCE rises when it changes.
calendar_entries = Table(
    "calendar_entries",
    metadata,
    Column("uid", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

# --- health -----------------------------------------------------------------------------------------------------------

#: Every change between online and offline.
terminal_presence = Table(
    "terminal_presence",
    metadata,
    Column("presence_id", Identity, primary_key=True, autoincrement=True),
    Column("serial", String(40), nullable=False),
    Column("online", Boolean, nullable=False),
    Column("state", String(20), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Index("ix_terminal_presence_serial", "serial", "presence_id"),
)

#: Taps and failures per day of the owner's calendar.
terminal_days = Table(
    "terminal_days",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("taps", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),  # a hold was made
    Column("refused", Integer, nullable=False, server_default="0"),  # before any hold: occupied, out of service, …
    Column("declined", Integer, nullable=False, server_default="0"),
    Column("unanswered", Integer, nullable=False, server_default="0"),
)

#: What is known of a terminal itself.
terminal_health = Table(
    "terminal_health",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("firmware", String(60)),
    Column("firmware_at", UtcDateTime),
    Column("tapped_at", UtcDateTime),
)

alarms = Table(
    "alarms",
    metadata,
    Column("alarm_id", String(20), primary_key=True),
    Column("kind", String(24), nullable=False),  # csms.terminals.alarms.Kind
    Column("about", String(80), nullable=False),  # serial, station or session
    Column("owner_id", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Index(
        "uq_alarms_open",
        "kind",
        "about",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("ix_alarms_owner_id_opened_at", "owner_id", "opened_at"),
)
