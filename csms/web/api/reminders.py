"""Reminders: what was, or will be, sent by e-mail, to be read here as well."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.web.api.operation import ApiCall, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from storage import reminder_schema as t
from storage.engine import reading

resource = Resource("reminders")


class ReminderShown(Shown):
    """A reminder."""

    reminder_key: str
    owner_id: str = Field(description="Whose; `platform`: the platform's own people.")
    kind: str
    about: str
    subject: str
    body: str
    due_on: date = Field(description="The day on which what it reminds of falls due.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When the mail server had taken it.")
    problem: str | None = Field(description="Why it has not been sent, or not to everybody.")


class ReminderFilter(PageQuery):
    """Which reminders."""

    kind: str | None = Field(None, max_length=40, description="Only of this kind: inspection, battery, incident, …")
    about: str | None = Field(None, max_length=80, description="Only about this.")
    sent: bool | None = Field(None, description="Only those that were, or were not, sent by e-mail.")


@resource.get("/reminders", Page[ReminderShown], query=ReminderFilter, owners=True)
async def list_reminders(call: ApiCall) -> Page[ReminderShown]:
    """List reminders, the newest first."""
    r = t.reminders.c
    query = call.mine(select(t.reminders), r.owner_id)
    for name in ("kind", "about"):
        if getattr(call.query, name) is not None:
            query = query.where(r[name] == getattr(call.query, name))
    if call.query.sent is not None:
        query = query.where(r.sent_at.is_not(None) if call.query.sent else r.sent_at.is_(None))
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [r.created_at, r.reminder_key], call.query, _shown, newest_first=True
        )


def _shown(row: Any) -> ReminderShown:
    return ReminderShown(**{name: getattr(row, name) for name in ReminderShown.model_fields})
