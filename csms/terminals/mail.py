"""Reminders go out by e-mail: the SMTP client, and the doer that tries until each recipient has said yes or no.

A temporary refusal (4xx), a server that cannot be reached or does not know our password is tried again; a refusal for
good (5xx) is the end for that recipient, and the reminder says so. What was taken by the server is written down before
the command is complete; a process that dies in between sends the same letter with the same Message-ID again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from typing import Any

import aiosmtplib
import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import PLATFORM
from csms.terminals.letters import Recipient, letter, one_line, recipients
from csms.terminals.reminders import SendReminder
from sessions.rows import upsert
from sessions.service import Dispatched, Service
from storage import care_schema, owner_schema
from storage import reminder_schema as t
from storage import schema as s
from storage.engine import reading, writing
from storage.failpoint import failpoint

log = logging.getLogger(__name__)

AT_ONCE = 4  # connections
_SOON = (60, 300, 900, 3600, 4 * 3600)
_LATER_S = 12 * 3600
#: Without settings, or anybody to write to: looked at again after this.
UNSENDABLE_AGAIN = timedelta(days=1)
NO_SETTINGS = "There are no mail settings: read it here. It is sent once `mail` is set."
NOBODY = "Nobody to send it to: no contact of the owner has an e-mail address."
NOBODY_HERE = "Nobody to send it to: mail.platform_recipients is empty."


class Security(StrEnum):
    """How the line to the mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOptions:
    """The mail server and who we are. ``tls``: the context that judges its certificate."""

    host: str
    port: int
    security: Security
    tls: ssl.SSLContext
    user: str = ""
    password: str = field(default="", repr=False)
    sender: Recipient
    platform: tuple[Recipient, ...] = ()
    timeout_s: float = 30


@dataclass(slots=True)
class Sent:
    """What became of a letter, by address: taken, refused for good (why), to be tried again (why)."""

    taken: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)


def retry_delay(attempt: int) -> timedelta:
    """How long to wait after the ``attempt``-th try (from 1): minutes, then hours, then twice a day."""
    return timedelta(seconds=_SOON[attempt - 1] if attempt <= len(_SOON) else _LATER_S)


async def send(options: MailOptions, message: EmailMessage, addresses: Sequence[str]) -> Sent:
    """Hand a letter to the mail server, for ``addresses``. Raises nothing that a server or a line can cause."""
    sent = Sent()
    client = aiosmtplib.SMTP(
        hostname=options.host,
        port=options.port,
        use_tls=options.security is Security.TLS,
        start_tls=options.security is Security.STARTTLS,
        tls_context=None if options.security is Security.PLAIN else options.tls,
        local_hostname=options.sender.address.partition("@")[2],
        timeout=options.timeout_s,
    )
    try:
        await client.connect()
        if options.user:
            await client.login(options.user, options.password)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        client.close()
        sent.later = dict.fromkeys(addresses, f"The mail server: {_said(error)}")  # our settings, or its bad day
        return sent
    try:
        failpoint("mail.before")
        errors, _ = await client.sendmail(options.sender.address, addresses, message.as_bytes())
        failpoint("mail.after")
        found = {address: (code, text) for address, (code, text) in errors.items()}
        sent.taken = set(addresses) - found.keys()
    except aiosmtplib.SMTPRecipientsRefused as error:
        found = {one.recipient: (one.code, one.message) for one in error.recipients}
    except aiosmtplib.SMTPResponseException as error:
        found = dict.fromkeys(addresses, (error.code, error.message))
    except (aiosmtplib.SMTPException, OSError) as error:  # nobody knows whether it was taken
        found = dict.fromkeys(addresses, (0, _said(error)))
    for address, (code, text) in found.items():
        where = sent.refused if 500 <= code < 600 else sent.later
        where[address] = _answer(code, text)
    await _goodbye(client)
    return sent


async def _goodbye(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit()
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _answer(code: int, text: str) -> str:
    return one_line(f"{code or ''} {text}".strip())[:160]


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return f"it refused the user or the password ({error.code})"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answer(error.code, error.message)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "its certificate is not trusted, or TLS failed"
    return f"it cannot be reached, or broke off ({type(error).__name__})"


class MailDoer:
    """Sends reminders. ``options`` None: they stay readable over the API. ``give_up``: age at which trying ends."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        now: Callable[[], datetime],
        options: MailOptions | None,
        give_up: timedelta,
    ) -> None:
        self._service = service
        self._engine = engine
        self._now = now
        self._options = options
        self._give_up = give_up
        self._free = asyncio.Semaphore(AT_ONCE)

    async def begin(self) -> None:
        """At the start: with mail settings, what waited for them is tried at once."""
        if self._options is None:
            return
        o, now = s.outbox.c, self._now()
        waits = (o.kind == SendReminder.__name__, o.done_at.is_(None), o.leased_by.is_(None), o.due_at > now)
        async with writing(self._engine) as connection:
            await connection.execute(update(s.outbox).where(*waits).values(due_at=now))
        self._service.wake(now)

    async def __call__(self, command: SendReminder, dispatched: Dispatched) -> None:
        """Send one to whoever has not had it yet."""
        r, c = care_schema.reminder_recipients.c, t.reminders.c
        async with reading(self._engine) as connection:
            query = select(t.reminders).where(c.reminder_key == command.reminder_key)
            row = (await connection.execute(query)).first()
            had = select(r.address, r.state, r.problem).where(r.reminder_key == command.reminder_key)
            settled: dict[str, Any] = {one.address: one for one in await connection.execute(had)}
            o = owner_schema.owners.c
            contacts = (
                await connection.execute(select(o.contacts).where(o.owner_id == (row.owner_id if row else "")))
            ).scalar()
        if row is None or row.sent_at is not None:
            await self._service.complete(command.key)
            return
        to = self._to(row.owner_id, contacts)
        if self._options is None or not to:
            why = NO_SETTINGS if self._options is None else NOBODY_HERE if row.owner_id == PLATFORM else NOBODY
            await self._wait(command, row, why, UNSENDABLE_AGAIN)
            return
        outstanding = [one.address for one in to if one.address not in settled]
        sent = Sent()
        if outstanding:
            message = letter(
                reminder_key=row.reminder_key,
                subject=row.subject,
                body=row.body,
                written_at=row.created_at,
                sender=self._options.sender,
                to=to,
            )
            async with self._free:
                sent = await send(self._options, message, outstanding)
        await self._report(command, dispatched, row, settled, sent)

    def _to(self, owner_id: str, contacts: str | None) -> list[Recipient]:
        theirs = recipients(orjson.loads(contacts)) if contacts else []
        if owner_id == PLATFORM and self._options is not None:
            return list(self._options.platform) or theirs
        return theirs

    async def _report(
        self, command: SendReminder, dispatched: Dispatched, row: Any, settled: Mapping[str, Any], sent: Sent
    ) -> None:
        now = self._now()
        outcomes = [
            {"reminder_key": row.reminder_key, "address": address, "state": state, "problem": problem, "at": now}
            for state, found in (("sent", dict.fromkeys(sent.taken)), ("refused", sent.refused))
            for address, problem in found.items()
        ]
        refused = {a: one.problem for a, one in settled.items() if one.state == "refused"} | sent.refused
        had_it = bool(sent.taken) or any(one.state == "sent" for one in settled.values())
        over = not sent.later
        problem = _problem(refused, sent.later)
        async with writing(self._engine) as connection:
            if outcomes:
                key = ["reminder_key", "address"]
                await upsert(connection, care_schema.reminder_recipients, key, outcomes)
            values = {"problem": problem, "sent_at": now if over and had_it else None}
            mine = t.reminders.c.reminder_key == row.reminder_key
            await connection.execute(update(t.reminders).where(mine).values(values))
        if over:
            await self._service.complete(command.key)
        else:
            log.warning("a reminder could not be sent: %s", problem)
            await self._wait(command, row, problem or "", retry_delay(dispatched.attempt))

    async def _wait(self, command: SendReminder, row: Any, why: str, delay: timedelta) -> None:
        """Try again after ``delay``, unless it is too old by then."""
        now = self._now()
        again = now + delay
        late = again - row.created_at > self._give_up
        problem = f"Given up. {why}" if late else why
        async with writing(self._engine) as connection:
            mine = t.reminders.c.reminder_key == row.reminder_key
            await connection.execute(update(t.reminders).where(mine).values(problem=problem[:200]))
        await self._service.complete(command.key, retry_at=None if late else again)


def _problem(refused: Mapping[str, str], later: Mapping[str, str]) -> str | None:
    """What an operator has to know, without addresses."""
    said = [f"{len(refused)} refused for good: {next(iter(refused.values()))}"] if refused else []
    said += [f"{len(later)} to be tried again: {next(iter(later.values()))}"] if later else []
    return "; ".join(said)[:200] or None
