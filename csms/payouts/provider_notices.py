"""Notices to the provider: written once, kept as they were written, sent by e-mail or downloaded and sent by hand."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import provider_notice
from billing.provider_notice import Differs
from billing.reconciliation import Side
from csms.payouts.discrepancies import State, move
from csms.terminals.letters import Recipient, letter
from csms.terminals.mail import MailOptions, send
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import Fact
from sessions.rows import enqueue
from sessions.service import Dispatched, Service
from storage import owner_schema
from storage import reconciliation_schema as t
from storage.engine import reading

#: Sends (address, subject, body, message's id); returns "" when the mail server took it, else why not.
Mail = Callable[[str, str, str, str], Awaitable[str]]

RETRY = timedelta(minutes=15)
TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationOptions:
    """The operator's: who writes notices, where they go, and what files are taken."""

    platform: str
    contact: str
    domain: str
    provider_email: str
    max_bytes: int


class NoticeRefusedError(ValueError):
    """No notice can be written of these; the text says why."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SendProviderNotice(Command):
    """Send the notice by e-mail."""

    notice_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderNoticeSent(Fact):
    """What became of a try to send a notice. ``problem``: why it was not taken; "" if it was."""

    notice_id: str
    problem: str = ""


async def write_notice(
    connection: AsyncConnection,
    discrepancy_ids: Sequence[str],
    options: ReconciliationOptions,
    *,
    by: str,
    now: datetime,
) -> str:
    """Write one notice of several discrepancies of one account; return its id. They are *notified* from then on.

    Raises `NoticeRefusedError`, and `csms.payouts.discrepancies.MoveRefusedError` for one that is closed or repaired.
    """
    d = t.discrepancies.c
    query = select(t.discrepancies).where(d.discrepancy_id.in_(list(discrepancy_ids))).order_by(d.discrepancy_id)
    rows = (await connection.execute(query)).all()
    if len(rows) != len(set(discrepancy_ids)):
        raise NoticeRefusedError("One of these discrepancies is not there.")
    if any(row.side != Side.PROVIDER for row in rows):
        raise NoticeRefusedError("One is not the provider's: settlements are the acquirer's, suspense is ours.")
    if len({row.account_id for row in rows}) != 1:
        raise NoticeRefusedError("They are of several processor accounts: write one notice for each.")
    account_id = rows[0].account_id
    a, o = owner_schema.processor_accounts.c, owner_schema.owners.c
    whose = select(a.domain, o.legal_name).join(owner_schema.owners, o.owner_id == a.owner_id)
    account = (await connection.execute(whose.where(a.account_id == account_id))).first() if account_id else None
    writer, domain = (account.legal_name, account.domain) if account else (options.platform, options.domain)
    notice_id = f"ntc_{secrets.token_hex(8)}"
    values = {
        "notice_id": notice_id,
        "account_id": account_id,
        "owner_id": rows[0].owner_id,
        "recipient": options.provider_email,
        "subject": provider_notice.subject(writer, len(rows)),
        "body": provider_notice.body(writer, options.contact, domain, await _told(connection, rows), now),
        "discrepancy_ids": orjson.dumps([row.discrepancy_id for row in rows]).decode(),
        "written_by": by,
        "written_at": now,
    }
    await connection.execute(t.provider_notices.insert().values(values))
    for row in rows:
        note = f"notice {notice_id}"
        await move(connection, row.discrepancy_id, State.NOTIFIED, by=by, note=note, now=now)
    if options.provider_email:
        await enqueue(connection, [SendProviderNotice(key=f"notice:{notice_id}", notice_id=notice_id)], now)
    return notice_id


async def _told(connection: AsyncConnection, rows: Sequence[Any]) -> list[Differs]:
    b, p = t.booked_payments.c, t.provider_transactions.c
    sessions = [row.session_id for row in rows if row.session_id]
    booked = select(t.booked_payments).where(b.session_id.in_(sessions))
    ours = {row.session_id: row for row in await connection.execute(booked)}
    names = [row.subject.rpartition(":")[2] for row in rows if not row.session_id]
    told = select(t.provider_transactions).where(p.account_id == rows[0].account_id, p.transaction_id.in_(names))
    theirs = {row.transaction_id: row for row in await connection.execute(told)}
    return [_differs(row, ours.get(row.session_id), theirs.get(row.subject.rpartition(":")[2])) for row in rows]


def _differs(row: Any, ours: Any, theirs: Any) -> Differs:
    return Differs(
        number=row.discrepancy_id,
        kind=row.kind,
        terminal_serial=(ours or theirs).terminal_serial or "" if ours or theirs else "",
        transaction_id=ours.payment_ref if ours else theirs.transaction_id if theirs else "",
        at=ours.held_at if ours else theirs.at if theirs else None,
        ours_minor=row.expected_minor,
        theirs_minor=row.actual_minor,
        currency=row.currency,
        their_currency=row.actual_currency,
    )


def mail_by(options: MailOptions | None, now: Callable[[], datetime]) -> Mail | None:
    """Sends by the mail server of the settings; None where there is none."""
    if options is None:
        return None

    async def mail(address: str, subject: str, body: str, message_id: str) -> str:
        to = Recipient(name="", address=address)
        message = letter(
            reminder_key=message_id, subject=subject, body=body, written_at=now(), sender=options.sender, to=[to]
        )
        sent = await send(options, message, [address])
        return "" if address in sent.taken else (sent.refused | sent.later).get(address, "it was not taken")

    return mail


class ProviderNoticeDoer:
    """Sends notices. ``mail``: None where no mail server is set up."""

    def __init__(self, service: Service, engine: AsyncEngine, now: Callable[[], datetime], mail: Mail | None) -> None:
        self._service = service
        self._engine = engine
        self._now = now
        self._mail = mail

    async def __call__(self, command: SendProviderNotice, dispatched: Dispatched) -> None:
        """Send one. Cut off, it is sent again under the same message id: better twice than never."""
        n = t.provider_notices.c
        async with reading(self._engine) as connection:
            query = select(t.provider_notices).where(n.notice_id == command.notice_id)
            row = (await connection.execute(query)).one()
        problem = "no mail server is set up: download it and send it by hand"
        if self._mail is not None:
            problem = await self._mail(row.recipient, row.subject, row.body, f"notice-{row.notice_id}")
        now = self._now()
        again = bool(problem) and self._mail is not None and dispatched.attempt < TRIES
        key = f"{command.key}:{dispatched.attempt}"
        fact = ProviderNoticeSent(key=key, at=now, notice_id=command.notice_id, problem=problem[:200])
        await self._service.complete(command.key, fact, retry_at=now + RETRY * dispatched.attempt if again else None)


async def keep_sent(connection: AsyncConnection, found: Sequence[ProviderNoticeSent], now: datetime) -> list[Command]:
    """When a notice was sent, or why it was not."""
    for fact in found:
        mine = t.provider_notices.c.notice_id == fact.notice_id
        values = {"problem": fact.problem or None, "sent_at": None if fact.problem else now}
        await connection.execute(update(t.provider_notices).where(mine).values(values))
    return []


KEEPERS = {ProviderNoticeSent: (keep_sent,)}
