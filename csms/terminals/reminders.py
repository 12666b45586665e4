"""Reminders: once each, by e-mail and to be read over the API, in the language of whoever they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.reminder_words import Phrase
from sessions.codec import register
from sessions.commands import Command
from sessions.rows import enqueue, insert_for
from storage import reminder_schema as t
from storage.owner_schema import owners


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SendReminder(Command):
    """Send the reminder by e-mail."""

    reminder_key: str


async def remind(
    connection: AsyncConnection,
    now: datetime,
    *,
    key: str,
    owner_id: str,
    kind: str,
    about: str,
    subject: Phrase,
    body: Sequence[Phrase],
    due_on: date,
) -> bool:
    """Write a reminder and the command that sends it, in the caller's transaction; False if ``key`` was written before.

    ``key``: what it is about and for when, such as ``licence:{id}:30``; unique for ever. ``body``: its paragraphs. They
    are written in the language of the owner, the platform being one; in English for an owner nobody knows.
    """
    spoken = select(owners.c.language).where(owners.c.owner_id == owner_id)
    language = (await connection.execute(spoken)).scalar() or "en"
    insert = insert_for(connection)(t.reminders).values(
        reminder_key=key,
        owner_id=owner_id,
        kind=kind,
        about=about,
        subject=subject.written(language)[:200],
        body="\n\n".join(paragraph.written(language) for paragraph in body),
        due_on=due_on,
        created_at=now,
    )
    written = await connection.execute(insert.on_conflict_do_nothing(index_elements=["reminder_key"]))
    if not written.rowcount:
        return False
    await enqueue(connection, [SendReminder(key=f"reminder:{key}"[:200], reminder_key=key)], now)
    return True
