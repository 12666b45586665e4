"""Reconciliation: the daily run over each processor account, and what it leaves.

A run takes over what the ledger has got, reads the provider, finds out which payment each row is, and judges every
payment that something or the time may have changed. All of it in chunks, each committed with the cursor or the mark
that says so: a run that is cut off goes on where it was, and one that is made twice finds nothing to do.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from billing.reconciliation import (
    COMMITTED,
    Horizon,
    Rules,
    SettlementKind,
    SettlementRow,
    agrees,
    judge,
    judge_unlinked,
    judge_unlinked_settlement,
)
from billing.repair import fee_kept_back
from csms.payouts.booked_payments import booked, refresh
from csms.payouts.discrepancies import Subject, keep, provider_subject, session_subject, settlement_subject
from csms.payouts.payment_linking import link, settlement
from csms.payouts.provider_transactions import note_problem, read_account, transaction
from csms.payouts.settlements import BOOKED
from csms.terminals.reminder_words import say
from csms.terminals.reminders import remind
from csms.terminals.rounds import Round
from sessions.books import Posting, post
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import Fact
from sessions.provider_records import ProviderRecords, ProviderUnavailableError
from sessions.rows import insert_for
from sessions.service import Dispatched, Service
from storage import owner_schema, schema
from storage import reconciliation_schema as t
from storage.engine import reading, writing
from storage.failpoint import failpoint

log = logging.getLogger(__name__)

AT_ONCE = 1000
#: A provider that could not be read is asked again after so long; then the next day's run asks.
RETRIES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=3))
#: What an acquirer tells beside payments.
_OF_NO_PAYMENT = (SettlementKind.FEE.value, SettlementKind.PAYOUT.value)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileAccount(Command):
    """Reconcile one processor account; "": the platform's."""

    account_id: str
    lane: str = "reconciliation"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReconciled(Fact):
    """A run over an account is over. ``problem``: why the provider could not be read; "" if it was."""

    run_key: str
    account_id: str
    counts: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    given_up: bool = False  # it was the day's last try


def run_of(account_id: str, what: str) -> ReconcileAccount:
    """The command for one run. ``what``: the day, or what else it is made for."""
    return ReconcileAccount(key=f"reconcile:{account_id or PLATFORM}:{what}", account_id=account_id)


async def order_runs(r: Round) -> None:
    """The daily round: one run for each account."""
    accounts = select(owner_schema.processor_accounts.c.account_id)
    found = ["", *(await r.connection.execute(accounts)).scalars()]
    r.commands += [run_of(account_id, r.day.isoformat()) for account_id in found]


class ReconciliationDoer:
    """Makes runs. ``rules_for``: an account's rules; ``records``: where the providers' transactions are."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        now: Callable[[], datetime],
        records: ProviderRecords,
        rules_for: Callable[[str], Rules],
    ) -> None:
        self._service = service
        self._engine = engine
        self._now = now
        self._records = records
        self._rules_for = rules_for

    async def __call__(self, command: ReconcileAccount, dispatched: Dispatched) -> None:
        """Make the run. A provider that cannot be read keeps nobody from judging what is known."""
        await _begin(self._engine, command, self._now())
        problem = ""
        try:
            await self._read(command.account_id)
        except ProviderUnavailableError as error:
            problem = str(error)[:200]
            await note_problem(self._engine, command.account_id, problem, self._now())
        rules = self._rules_for(command.account_id)
        counts = await reconcile(self._engine, command.account_id, rules, self._now())
        now, attempt = self._now(), dispatched.attempt
        again = RETRIES[attempt - 1] if problem and attempt <= len(RETRIES) else None
        fact = AccountReconciled(
            key=f"{command.key}:{attempt}:reconciled",
            at=now,
            run_key=command.key,
            account_id=command.account_id,
            counts=counts,
            problem=problem,
            given_up=bool(problem) and again is None,
        )
        await self._service.complete(command.key, fact, retry_at=now + again if again else None)

    async def _read(self, account_id: str) -> None:
        await refresh(self._engine, self._now())  # first: the provider is read from before the first payment on
        await read_account(self._engine, self._records, account_id, self._now())


async def reconcile(engine: AsyncEngine, account_id: str, rules: Rules, now: datetime) -> dict[str, int]:
    """Link and judge what is known of an account; return counts. Idempotent, and resumed where it was cut off.

    A settlement that is uploaded meanwhile is judged by the run that follows it: nobody has looked for its payments.
    """
    owner_id = await _owner(engine, account_id)
    async with reading(engine) as connection:
        horizon, files = await _horizon(connection, account_id), await _files_to_link(connection, account_id)
    counts = {"booked": await refresh(engine, now), "linked": await link(engine, account_id, rules, now)}
    counts["judged"], counts["found"] = await _judge(engine, account_id, horizon, rules, now)
    counts["found"] += await _judge_transactions(engine, account_id, owner_id, now)
    counts["found"] += await _judge_settlements(engine, files, account_id, owner_id, now)
    return counts


async def _begin(engine: AsyncEngine, command: ReconcileAccount, now: datetime) -> None:
    row = {
        "run_key": command.key,
        "account_id": command.account_id,
        "owner_id": await _owner(engine, command.account_id),
        "begun_at": now,
        "counts": "{}",
    }
    async with writing(engine) as connection:
        insert = insert_for(connection)(t.reconciliation_runs).values(row)
        await connection.execute(insert.on_conflict_do_nothing(index_elements=["run_key"]))


async def _owner(engine: AsyncEngine, account_id: str) -> str:
    a = owner_schema.processor_accounts.c
    async with reading(engine) as connection:
        found = (await connection.execute(select(a.owner_id).where(a.account_id == account_id))).scalar()
    return str(found or PLATFORM)


async def _horizon(connection: AsyncConnection, account_id: str) -> Horizon:
    c, f = t.provider_cursors.c, t.settlement_files.c
    cursor = select(c.read_from, c.read_until).where(c.account_id == account_id)
    days = select(func.min(f.settled_from).label("first"), func.max(f.settled_until).label("last"))
    read = (await connection.execute(cursor)).first()
    settled = (await connection.execute(days.where(f.account_id == account_id, f.state == BOOKED))).one()
    return Horizon(
        provider_from=read.read_from if read else None,
        provider_until=read.read_until if read else None,
        settled_from=settled.first,
        settled_until=settled.last,
    )


async def _files_to_link(connection: AsyncConnection, account_id: str) -> list[str]:
    """Settlements that are in, with rows that are of no payment yet."""
    r, f = t.settlement_rows.c, t.settlement_files.c
    query = select(r.file_id).distinct().join(t.settlement_files, f.file_id == r.file_id).where(f.state == BOOKED)
    query = query.where(r.account_id == account_id, r.session_id.is_(None), r.kind.not_in(_OF_NO_PAYMENT))
    return list((await connection.execute(query)).scalars())


# --- judging ----------------------------------------------------------------------------------------------------------


async def _judge(
    engine: AsyncEngine, account_id: str, horizon: Horizon, rules: Rules, now: datetime
) -> tuple[int, int]:
    b = t.booked_payments.c
    after, judged, new = "", 0, 0
    while True:
        query = select(t.booked_payments).where(b.account_id == account_id, b.needs_look, b.session_id > after)
        async with writing(engine) as connection:
            chunk = query.order_by(b.session_id).limit(AT_ONCE).with_for_update()
            rows = (await connection.execute(chunk)).all()
            if not rows:
                return judged, new
            after = rows[-1].session_id
            new += await _judge_chunk(connection, rows, horizon, rules, now)
            failpoint("reconciliation.before")
        judged += len(rows)
        failpoint("reconciliation.after")


async def _judge_chunk(
    connection: AsyncConnection, rows: Sequence[Any], horizon: Horizon, rules: Rules, now: datetime
) -> int:
    ids = [row.session_id for row in rows]
    theirs = await _by_session(connection, t.provider_transactions, ids, transaction)
    settled = await _by_session(connection, t.settlement_rows, ids, settlement)
    subjects, final = {}, []
    for row in rows:
        verdict = judge(booked(row), theirs.get(row.session_id, ()), settled.get(row.session_id, ()), horizon, rules)
        subjects[session_subject(row.session_id)] = Subject(
            account_id=row.account_id, owner_id=row.owner_id, session_id=row.session_id, findings=verdict.findings
        )
        if verdict.final:
            final.append(row.session_id)
    await _book_fees(connection, rows, settled, rules, now)
    new = await keep(connection, subjects, now)
    if await _horizon(connection, rows[0].account_id) == horizon:  # else more was told meanwhile: the next run looks
        done = update(t.booked_payments).where(t.booked_payments.c.session_id.in_(final))
        await connection.execute(done.values(needs_look=False))
    return new


async def _by_session(
    connection: AsyncConnection, table: Any, ids: Sequence[str], make: Callable[[Any], Any]
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in await connection.execute(select(table).where(table.c.session_id.in_(ids))):
        found.setdefault(row.session_id, []).append(make(row))
    return found


async def _book_fees(
    connection: AsyncConnection,
    rows: Sequence[Any],
    settled: Mapping[str, Sequence[SettlementRow]],
    rules: Rules,
    now: datetime,
) -> None:
    """What an acquirer kept back without saying so is its fee, once the tolerance takes it for that."""
    postings = {}
    for row in rows:
        sales = [each for each in settled.get(row.session_id, ()) if each.kind is SettlementKind.SALE]
        short = row.sale_minor - sum(each.amount_minor for each in sales)
        if sales and short > 0 and agrees(sales, row.sale_minor, rules):
            key = f"settlement-fee:{row.session_id}"
            fee = fee_kept_back(short, row.currency)
            postings[key] = Posting(set_key=key, entries=fee, book=row.book, owner_id=row.owner_id)
    if postings:
        e = schema.ledger.c
        known = set((await connection.execute(select(e.set_key).where(e.set_key.in_(list(postings))))).scalars())
        await post(connection, [posting for key, posting in postings.items() if key not in known], now)


async def _judge_transactions(engine: AsyncEngine, account_id: str, owner_id: str, now: datetime) -> int:
    """Transactions that are no payment of ours."""
    p = t.provider_transactions.c
    query = select(
        t.provider_transactions, schema.terminals.c.owner_id, schema.terminals.c.account_id.label("at_account")
    )
    query = query.outerjoin(schema.terminals, schema.terminals.c.serial == p.terminal_serial)
    query = query.where(p.account_id == account_id, p.session_id.is_(None), p.state == COMMITTED)

    def subject(row: Any) -> tuple[str, Subject]:
        found = judge_unlinked(transaction(row))
        whose = row.owner_id if row.owner_id and row.at_account == account_id else owner_id
        return provider_subject(account_id, row.transaction_id), _unlinked(account_id, whose, found)

    return await _judge_rows(engine, query, p.transaction_id, subject, now)


async def _judge_settlements(
    engine: AsyncEngine, files: Sequence[str], account_id: str, owner_id: str, now: datetime
) -> int:
    """Settlements of these files that are of no payment of ours."""
    r = t.settlement_rows.c
    query = select(t.settlement_rows).where(r.account_id == account_id, r.session_id.is_(None), r.file_id.in_(files))
    query = query.where(r.kind.not_in(_OF_NO_PAYMENT))

    def subject(row: Any) -> tuple[str, Subject]:
        found = judge_unlinked_settlement(settlement(row))
        return settlement_subject(row.row_id), _unlinked(account_id, owner_id, found)

    return await _judge_rows(engine, query, r.row_id, subject, now)


def _unlinked(account_id: str, owner_id: str, found: Any) -> Subject:
    return Subject(account_id=account_id, owner_id=owner_id, session_id=None, findings=(found,) if found else ())


async def _judge_rows(
    engine: AsyncEngine, query: Any, key: Any, subject: Callable[[Any], tuple[str, Subject]], now: datetime
) -> int:
    after, new = "", 0
    while True:
        async with writing(engine) as connection:
            rows = (await connection.execute(query.where(key > after).order_by(key).limit(AT_ONCE))).all()
            if not rows:
                return new
            after = getattr(rows[-1], str(key.key))
            new += await keep(connection, dict(subject(row) for row in rows), now)
            failpoint("reconciliation.before")
        failpoint("reconciliation.after")


# --- what is kept of a run --------------------------------------------------------------------------------------------


async def keep_run(connection: AsyncConnection, found: Sequence[AccountReconciled], now: datetime) -> list[Command]:
    """How a run ended; the platform's people are told of a provider that could not be read for a whole day."""
    for fact in found:
        mine = t.reconciliation_runs.c.run_key == fact.run_key
        values = {"ended_at": now, "counts": orjson.dumps(dict(fact.counts)).decode(), "problem": fact.problem or None}
        await connection.execute(update(t.reconciliation_runs).where(mine).values(values))
        if fact.given_up:
            account = fact.account_id or PLATFORM
            await remind(
                connection,
                now,
                key=f"provider-unread:{fact.run_key}"[:200],
                owner_id=PLATFORM,
                kind="reconciliation",
                about=account,
                subject=say("provider_unread", account=account),
                body=[say("provider_unread_what", reason=fact.problem)],
                due_on=now.date(),
            )
    return []


KEEPERS: Mapping[type[Fact], Sequence[Callable[..., Awaitable[list[Command]]]]] = {AccountReconciled: (keep_run,)}
ROUND = (order_runs,)
