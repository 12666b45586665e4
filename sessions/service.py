"""The service: facts in, group commit, answers out.

Waiting facts are taken in a batch, routed, decided and written together; then all are answered, and the new commands
are handed to the doers at once. With one fact waiting it commits at once; under load a commit carries hundreds. Nobody
is answered before the commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import EntrySet
from billing.payment import Payment
from billing.receipt import Issuer
from sessions import facts, rows
from sessions.books import Posting, post
from sessions.clock import Clock
from sessions.codec import encode, kind_of
from sessions.commands import Command
from sessions.cost import cost_so_far
from sessions.decide import decide
from sessions.directory import Outcome
from sessions.facts import Fact, TokenStatus
from sessions.kept import KEEPERS, Keeper
from sessions.receipts import facilitator_of, sales_document
from sessions.routing import Routed, route
from sessions.session import Origin, Policy, Session
from sessions.tables import RUNNING
from sessions.working_set import WorkingSet
from storage import schema as t
from storage.engine import writing
from storage.failpoint import failpoint
from storage.owner_schema import processor_accounts

log = logging.getLogger(__name__)

MAX_BATCH = 500
LEASE_S = 300


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A command ready for a doer; ``attempt`` counts from 1."""

    command: Command
    attempt: int
    due_at: datetime


@dataclass(slots=True)
class _Item:
    facts: tuple[Fact, ...]
    completes: str | None
    retry_at: datetime | None
    answer: asyncio.Future[Outcome]


@dataclass(slots=True)
class _Batch:
    """What a commit will write besides the working set."""

    journal: list[dict[str, Any]] = field(default_factory=list)
    entry_sets: list[tuple[str, str, EntrySet]] = field(default_factory=list)  # (session id, set key, set)
    commands: list[Command] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)  # session ids
    kept: dict[type[Fact], list[Fact]] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by fact key


class Service:
    """The inbox (`sessions.directory.Inbox`) and the only writer of sessions."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        policy: Policy,
        *,
        node: str,
        issuer_id: str,
        public_url: str,
        keepers: Mapping[type[Fact], Sequence[Keeper]] = KEEPERS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.policy = policy
        self._node = node
        self._issuer_id = issuer_id
        self._public_url = public_url.rstrip("/")
        self._keepers = keepers
        self._waiting: list[_Item] = []
        self._writing: list[_Item] = []  # being committed
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.on_commands: Callable[[Sequence[Dispatched], datetime | None], None] = lambda _now, _later: None
        self.commits = 0

    async def start(self) -> None:
        """Take back what this node had leased when it died, forget its sockets, and begin to write."""
        async with writing(self._engine) as connection:
            mine = t.outbox.c.leased_by == self._node
            await connection.execute(
                update(t.outbox).where(mine, t.outbox.c.done_at.is_(None)).values(leased_by=None, leased_until=None)
            )
            await connection.execute(
                update(t.stations)
                .where(t.stations.c.node == self._node, t.stations.c.connected)
                .values(connected=False)
            )
        self._writer = asyncio.create_task(self._write_forever(), name="sessions-writer")

    async def stop(self) -> None:
        """Write what waits, then stop."""
        while pending := [item.answer for item in (*self._writing, *self._waiting) if not item.answer.done()]:
            await asyncio.gather(*pending, return_exceptions=True)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def submit(self, fact: Fact) -> Outcome:
        """Commit ``fact`` and what follows from it; return what became of it. A known key changes nothing."""
        return await self._enqueue((fact,), None, None)

    async def complete(self, command_key: str, *reported: Fact, retry_at: datetime | None = None) -> Outcome:
        """Commit a doer's report: the command is done, or (``retry_at``) due again, together with the facts.

        Returns what became of the first one.
        """
        return await self._enqueue(reported, command_key, retry_at)

    def wake(self, due_at: datetime) -> None:
        """Commands due from ``due_at`` on were committed beside the loop (`sessions.rows.enqueue`): look for them."""
        self.on_commands((), due_at)

    async def _enqueue(self, submitted: tuple[Fact, ...], completes: str | None, retry_at: datetime | None) -> Outcome:
        item = _Item(submitted, completes, retry_at, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self._wake.set()
        return await item.answer

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            items, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not self._waiting:
                self._wake.clear()
            self._writing = items
            if items:
                await self._commit_all(items)

    async def _commit_all(self, items: list[_Item]) -> None:
        try:
            await self._commit(items)
        except Exception as error:
            if len(items) > 1:
                # One of them is the culprit: each gets a commit of its own.
                for item in items:
                    await self._commit_all([item])
                return
            if isinstance(error, IntegrityError) and not items[0].answer.done():
                # Another node was quicker; what it wrote is now there to be read.
                try:
                    await self._commit(items)
                except Exception as again:
                    self._fail(items[0], again)
                return
            self._fail(items[0], error)

    def _fail(self, item: _Item, error: Exception) -> None:
        what = kind_of(item.facts[0]) if item.facts else item.completes
        log.exception("could not commit %s", what, exc_info=error)
        if not item.answer.done():
            item.answer.set_exception(error)

    async def _commit(self, items: list[_Item]) -> None:
        now = self._clock.now()
        batch = _Batch()
        async with writing(self._engine) as connection:
            fresh, known = await self._sift(connection, items)
            ws = await rows.load(connection, fresh, self._issuer_id, known.values(), now)
            for fact in fresh:
                if fact.key not in batch.outcomes:
                    batch.outcomes[fact.key] = self._take(ws, batch, fact, now)
            await self._write(connection, ws, batch, items, now)
            failpoint("commit.before")
        failpoint("commit.after")
        self.commits += 1
        for item in items:
            if not item.answer.done():
                item.answer.set_result(self._answer(item, batch, known, ws))
        self._announce(batch.commands, [i.retry_at for i in items if i.retry_at], now)

    def _answer(self, item: _Item, batch: _Batch, known: dict[str, str], ws: WorkingSet) -> Outcome:
        if not item.facts:
            return Outcome()
        fact = item.facts[0]
        outcome = batch.outcomes.get(fact.key)
        if outcome is not None:
            batch.outcomes[fact.key] = replace(outcome, duplicate=True)  # for a twin in the same batch
            return outcome
        session = ws.sessions.get(known.get(fact.key, ""))
        return replace(_outcome(session, fact), duplicate=True)

    async def _sift(self, connection: AsyncConnection, items: list[_Item]) -> tuple[list[Fact], dict[str, str]]:
        """Split off the facts whose key the journal knows: key → session id ("" for none)."""
        submitted = [fact for item in items for fact in item.facts]
        keys = [fact.key for fact in submitted]
        known: dict[str, str] = {}
        if keys:
            query = select(t.journal.c.fact_key, t.journal.c.session_id).where(t.journal.c.fact_key.in_(keys))
            known = {row.fact_key: row.session_id or "" for row in await connection.execute(query)}
        return [fact for fact in submitted if fact.key not in known], known

    def _take(self, ws: WorkingSet, batch: _Batch, fact: Fact, now: datetime) -> Outcome:
        """Route and decide one fact in memory."""
        result = route(ws, fact, now, self.policy, self._node)
        batch.commands += result.commands
        session: Session | None = None
        for routed in result.routed:
            session = self._decide(ws, batch, routed, now)
        batch.journal.append(
            {
                "fact_key": fact.key,
                "kind": kind_of(fact),
                "session_id": session.session_id if session else None,
                "station_id": getattr(fact, "station_id", None),
                "recorded_at": now,
                "fact": encode(fact),
            }
        )
        batch.kept.setdefault(type(fact), []).append(fact)
        return replace(_outcome(session, fact), epoch=result.epoch)

    def _decide(self, ws: WorkingSet, batch: _Batch, routed: Routed, now: datetime) -> Session:
        before = ws.sessions.get(routed.session.session_id, routed.session)
        if routed.session is not before and routed.session.session_id in ws.stored:
            before = routed.session  # narrowed by the router (choices still free)
        try:
            decision = decide(before, routed.fact, now, self.policy)
        except Exception:
            # Persist, answer, judge afterwards: the fact is in the journal and an operator is asked to look.
            log.exception("could not decide %s for session %s", kind_of(routed.fact), before.session_id)
            undecided = replace(before, flags=tuple(dict.fromkeys((*before.flags, "undecidable"))))
            ws.put_session(undecided)
            return undecided
        after = decision.session
        ws.put_session(after)
        batch.commands += decision.commands
        batch.entry_sets += [(after.session_id, key, entries) for key, entries in decision.entry_sets]
        if after.receipt_due and not before.receipt_due:
            batch.receipts.append(after.session_id)
        return after

    async def _write(
        self, connection: AsyncConnection, ws: WorkingSet, batch: _Batch, items: list[_Item], now: datetime
    ) -> None:
        if batch.journal:
            await connection.execute(t.journal.insert(), batch.journal)
        await rows.write_world(connection, ws, now)
        await rows.write_sessions(connection, ws)
        await self._write_money(connection, ws, batch, now)
        await self._keep(connection, batch, now)
        await self._write_outbox(connection, ws, batch, items, now)
        submitted = [fact for item in items for fact in item.facts]
        if any(isinstance(f, facts.TransactionStarted) and f.transaction_id is None for f in submitted):
            await rows.set_counter(connection, rows.TRANSACTION_COUNTER, ws.next_transaction)

    async def _write_money(self, connection: AsyncConnection, ws: WorkingSet, batch: _Batch, now: datetime) -> None:
        postings = [
            Posting(
                set_key=key,
                entries=entry_set,
                session_id=session_id,
                book=ws.sessions[session_id].book,
                owner_id=ws.sessions[session_id].owner_id,
            )
            for session_id, key, entry_set in batch.entry_sets
        ]
        await post(connection, postings, now)
        for session_id in batch.receipts:
            await self._issue_receipt(connection, ws.sessions[session_id], now)

    async def _issue_receipt(self, connection: AsyncConnection, session: Session, now: datetime) -> None:
        """Number and store the sales document: number and document commit together, so the series has no gaps."""
        number = await rows.next_number(connection, f"receipt:{session.issuer_id}")
        issuer, more = await self._issuer(connection, session.issuer_id), {}
        if session.account_id:
            p = processor_accounts.c
            account = select(p.merchant_id).where(p.account_id == session.account_id)
            more["merchant_id"] = (await connection.execute(account)).scalar() or ""
            more["facilitator"] = facilitator_of(await self._issuer(connection, self._issuer_id))
        document = sales_document(session, issuer, number, now, self._public_url, **more)
        await connection.execute(
            t.receipts.insert().values(
                receipt_token=session.receipt_token,
                issuer_id=session.issuer_id,
                number=number,
                session_id=session.session_id,
                issued_at=now,
                document=orjson.dumps(document.to_json()).decode(),
            )
        )

    async def _issuer(self, connection: AsyncConnection, issuer_id: str) -> Issuer:
        query = select(t.issuers.c.body).where(t.issuers.c.issuer_id == issuer_id)
        body = orjson.loads((await connection.execute(query)).scalar_one())
        return Issuer(**body | {"address": tuple(body["address"])})

    async def _write_outbox(
        self, connection: AsyncConnection, ws: WorkingSet, batch: _Batch, items: list[_Item], now: datetime
    ) -> None:
        done = [i.completes for i in items if i.completes and not i.retry_at]
        if done:
            await connection.execute(
                update(t.outbox)
                .where(t.outbox.c.command_key.in_(done))
                .values(done_at=now, leased_by=None, leased_until=None)
            )
        closed = [s.session_id for s in (ws.sessions[i] for i in ws.changed_sessions) if s.closed_at is not None]
        if closed:
            o = t.outbox.c
            timers = (o.session_id.in_(closed), o.kind == "ReachDeadline", o.done_at.is_(None))
            await connection.execute(update(t.outbox).where(*timers).values(done_at=now))
        for item in items:
            if item.completes and item.retry_at:
                again = {"due_at": item.retry_at, "leased_by": None, "leased_until": None}
                await connection.execute(update(t.outbox).where(t.outbox.c.command_key == item.completes).values(again))
        if not batch.commands:
            return
        batch.commands = list({command.key: command for command in reversed(batch.commands)}.values())[::-1]
        keys = [command.key for command in batch.commands]
        asked = {
            row.command_key
            for row in await connection.execute(select(t.outbox.c.command_key).where(t.outbox.c.command_key.in_(keys)))
        }
        batch.commands = [command for command in batch.commands if command.key not in asked]
        if batch.commands:
            await connection.execute(t.outbox.insert(), [self._outbox_row(command, now) for command in batch.commands])

    def _outbox_row(self, command: Command, now: datetime) -> dict[str, Any]:
        at_once = command.due_at is None or command.due_at <= now
        return {
            "command_key": command.key,
            "kind": kind_of(command),
            "session_id": command.session_id,
            "command": encode(command),
            "due_at": command.due_at or now,
            # Handed to this process's doers right after the commit: leased from the start.
            "attempts": 1 if at_once else 0,
            "leased_by": self._node if at_once else None,
            "leased_until": now + timedelta(seconds=LEASE_S) if at_once else None,
        }

    async def _keep(self, connection: AsyncConnection, batch: _Batch, now: datetime) -> None:
        """Facts that decide nothing about sessions, or not only: each noun's keeper writes its own."""
        for kind, found in batch.kept.items():
            for keeper in self._keepers.get(kind, ()):
                batch.commands += await keeper(connection, found, now)

    def _announce(self, commands: list[Command], retries: Sequence[datetime | None], now: datetime) -> None:
        """Hand over what is due; tell when the next timer is."""
        ready = [Dispatched(c, 1, now) for c in commands if c.due_at is None or c.due_at <= now]
        later = [c.due_at for c in commands if c.due_at is not None and c.due_at > now]
        later += [at for at in retries if at is not None]
        if ready or later:
            self.on_commands(ready, min(later) if later else None)


def _outcome(session: Session | None, fact: Fact) -> Outcome:
    """How to answer the shell that submitted ``fact``."""
    if session is None:
        return Outcome()
    cost = session.cost or (cost_so_far(session) if session.charging in RUNNING and session.tariff else None)
    return Outcome(
        session_id=session.session_id,
        transaction_id=session.transaction_id,
        token_status=_token_status(session),
        id_token=session.id_token,
        total_minor=0 if session.unpaid else cost.total_minor if cost else None,
        currency=session.currency or None,
        ended=session.ended_at is not None,
        limit_minor=session.held_minor if _limit_owed(session) else None,
    )


def _limit_owed(session: Session) -> bool:
    """Whether the station has to be told, or told again, what a running transaction may cost."""
    return session.charging in RUNNING and session.payment is Payment.HELD and not session.limit_confirmed


def _token_status(session: Session) -> TokenStatus:
    if session.unpaid:  # EC 5: too late, the hold is gone
        return TokenStatus.INVALID
    if session.origin is Origin.UNAUTHORISED:
        return session.token_status
    return TokenStatus.ACCEPTED
