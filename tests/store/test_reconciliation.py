"""Reconciliation on both databases: later data, second runs, crashes, repairs and settlements, to the minor unit."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter as Counted
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import Account
from billing.reconciliation import Kind, ProviderTransaction, Rules
from billing.repair import NoRemedyError, Proposal, Remedy
from billing.settlement_csv import Columns, read_csv
from csms.nouns import keepers
from csms.payouts import booked_payments, payment_linking, provider_transactions, reconciliation, settlements
from csms.payouts.booked_payments import refresh
from csms.payouts.discrepancies import MoveRefusedError, State, move
from csms.payouts.provider_notices import NoticeRefusedError, ProviderNoticeDoer, ReconciliationOptions, write_notice
from csms.payouts.provider_transactions import read_account
from csms.payouts.reconciliation import ReconciliationDoer, reconcile, run_of
from csms.payouts.repairs import RepairOrdered, next_repair_id, proposals
from csms.payouts.settlements import Upload, take
from sessions import facts as f
from sessions.codec import decode_command
from sessions.provider_records import ProviderUnavailableError
from sessions.rows import enqueue
from sessions.service import Dispatched
from storage import reconciliation_schema as t
from storage import schema
from storage.engine import create_engine, reading, writing
from storage.reminder_schema import reminders
from tests.databases import Databases
from tests.month.filling import fill
from tests.month.sides import Told, Twin
from tests.store.shop import Counter, counter, open_shop
from tests.store.test_reconciliation_month import everything, found, month, reconcile_month

RULES = Rules()
OPTIONS = ReconciliationOptions(
    platform="Operator AS", contact="ops@example.org", domain="op", provider_email="", max_bytes=10_000
)
HEAD = "reference;amount;fee;currency;date;kind\n"


@asynccontextmanager
async def shop(engine: AsyncEngine, *, owner_id: str = "own_1", stations: int = 1) -> AsyncIterator[Counter]:
    """A shop whose stations are a site owner's, after one sale of 10.00 as S1."""
    await open_shop(engine, stations=stations)
    async with writing(engine) as connection:
        await connection.execute(update(schema.stations).values(owner_id=owner_id))
    async with counter(engine, keepers=keepers()) as made:
        await made.sell(1, "S1")
        yield made


def committed(session_id: str, at: datetime, amount: int = 1_000, **changes: Any) -> ProviderTransaction:
    """The provider's word on a payment of the shop."""
    row = ProviderTransaction(
        transaction_id=f"PAY-{session_id}",
        state="COMMITTED",
        currency="EUR",
        terminal_serial="P1",
        authorised_minor=5_000,
        committed_minor=amount,
        at=at - timedelta(hours=1),
        committed_at=at,
        ingested_at=at + timedelta(minutes=2),
    )
    return replace(row, **changes)


async def run(engine: AsyncEngine, now: datetime, *rows: ProviderTransaction) -> dict[str, int]:
    """One run over the platform's account, with what the provider tells by then."""
    told = Told()
    told.transactions[""] = sorted(rows, key=lambda row: row.ingested_at)
    await refresh(engine, now)
    await read_account(engine, Twin(told), "", now)
    return await reconcile(engine, "", RULES, now)


async def standing(engine: AsyncEngine) -> dict[str, tuple[str, int | None, int | None]]:
    async with reading(engine) as connection:
        rows = await connection.execute(select(t.discrepancies))
        return {row.kind: (row.state, row.expected_minor, row.actual_minor) for row in rows}


async def the_one(engine: AsyncEngine, kind: Kind) -> Any:
    async with reading(engine) as connection:
        return (await connection.execute(select(t.discrepancies).where(t.discrepancies.c.kind == kind))).one()


async def balances(engine: AsyncEngine, *, book: str = "platform") -> dict[str, int]:
    e = schema.ledger.c
    query = select(e.account, func.sum(e.amount_minor)).where(e.book == book).group_by(e.account)
    async with reading(engine) as connection:
        return {account: int(total) for account, total in await connection.execute(query) if total}


SOLD = {
    Account.ACQUIRER: 1_000,
    Account.REVENUE: -800,
    Account.VAT_PAYABLE: -200,
    Account.OWNER_SHARE: 800,
    Account.INPUT_VAT: 200,
    Account.OWNER_PAYABLE: -1_000,
}


# --- later data -------------------------------------------------------------------------------------------------------


async def test_a_missing_payment_is_resolved_by_the_row_that_comes_late(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        sold = made.now
        await run(engine, sold + timedelta(hours=1))
        assert await standing(engine) == {}  # nobody can say yet
        await run(engine, sold + timedelta(hours=26))
        assert await standing(engine) == {Kind.UNKNOWN_AT_PROVIDER: ("open", 1_000, None)}
        before = await everything(engine)
        await run(engine, sold + timedelta(hours=26))
        assert await everything(engine) == before
        late = committed("S1", sold + timedelta(hours=30))
        await run(engine, sold + timedelta(hours=31), late)
        assert await standing(engine) == {
            Kind.UNKNOWN_AT_PROVIDER: ("closed", 1_000, None),
            Kind.LATE: ("open", 1_000, 1_000),
        }
        row = await the_one(engine, Kind.UNKNOWN_AT_PROVIDER)
        events = await made.rows(select(t.discrepancy_events).where(_of(row)).order_by(t.discrepancy_events.c.number))
        assert [(each.state, each.by) for each in events] == [("open", "reconciliation"), ("closed", "reconciliation")]


def _of(row: Any) -> Any:
    return t.discrepancy_events.c.discrepancy_id == row.discrepancy_id


async def test_what_a_person_decided_stays_until_it_differs_anew(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        at = made.now
        await run(engine, at, committed("S1", at, 900))
        row = await the_one(engine, Kind.OTHER_AMOUNT)
        async with writing(engine) as connection:
            await move(connection, row.discrepancy_id, State.EXPLAINED, by="Kari", note="known", now=at)
            await move(connection, row.discrepancy_id, State.CLOSED, by="Kari", note="done", now=at)
        await run(engine, at + timedelta(minutes=5), committed("S1", at, 900))
        assert (await standing(engine))[Kind.OTHER_AMOUNT] == ("closed", 1_000, 900)
        await run(engine, at + timedelta(minutes=6), committed("S1", at, 850))
        assert (await standing(engine))[Kind.OTHER_AMOUNT] == ("open", 1_000, 850)
        await run(engine, at + timedelta(minutes=7), committed("S1", at, 1_000))
        assert (await standing(engine))[Kind.OTHER_AMOUNT][0] == "closed"  # by itself
        await run(engine, at + timedelta(minutes=8), committed("S1", at, 850))
        assert (await standing(engine))[Kind.OTHER_AMOUNT] == ("open", 1_000, 850)
        async with writing(engine) as connection:
            with pytest.raises(LookupError):
                await move(connection, "dis_0", State.CLOSED, by="Kari", note="x", now=at)
            await move(connection, row.discrepancy_id, State.CLOSED, by="Kari", note="x", now=at)
            with pytest.raises(MoveRefusedError, match="open"):
                await move(connection, row.discrepancy_id, State.EXPLAINED, by="Kari", note="x", now=at)


async def test_a_stranger_that_turns_out_to_be_ours_is_closed(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        at = made.now + timedelta(hours=3)
        early = committed("S2", at, 500)
        await run(engine, at, committed("S1", made.now), early)
        assert (await standing(engine))[Kind.MISSING_CAPTURE] == ("open", None, 500)
        row = await the_one(engine, Kind.MISSING_CAPTURE)
        assert row.owner_id == "platform"  # the shop's terminal is the platform's
        await made.clock.advance(2 * 3600)
        await made.sell(1, "S2", wh=5_000)
        await run(engine, made.now, early)
        assert (await standing(engine))[Kind.MISSING_CAPTURE][0] == "closed"


async def test_a_provider_that_cannot_be_read_raises_no_alarm_and_is_asked_again(engine: AsyncEngine) -> None:
    class Down:
        async def open(self, account_id: str) -> None:
            raise ProviderUnavailableError("it did not answer (Test)")

    async with shop(engine) as made:
        await made.clock.advance(48 * 3600)
        command = run_of("", "2026-03-12")
        async with writing(engine) as connection:
            await enqueue(connection, [command], made.now)
        doer = ReconciliationDoer(made.service, engine, made.clock.now, Down(), lambda _: RULES)
        for attempt in range(1, 5):
            await doer(command, Dispatched(command, attempt, made.now))
            outbox = schema.outbox.c
            (row,) = await made.rows(select(outbox.due_at, outbox.done_at).where(outbox.command_key == command.key))
            assert (row.done_at is None) is (attempt < 4)
        assert await standing(engine) == {}
        (kept,) = await made.rows(select(t.reconciliation_runs))
        assert kept.problem == "it did not answer (Test)"
        assert kept.ended_at is not None
        assert await made.count(reminders) == 1


# --- repair -----------------------------------------------------------------------------------------------------------


async def order(made: Counter, row: Any, remedy: Remedy, digest: str | None = None) -> str:
    """Order the repair as it is proposed now; its outcome."""
    async with reading(made.engine) as connection:
        possible = {each.remedy: each for each in await proposals(connection, row) if isinstance(each, Proposal)}
        repair_id = await next_repair_id(connection, row.discrepancy_id)
    fact = RepairOrdered(
        key=f"repair:{repair_id}", at=made.now, repair_id=repair_id, discrepancy_id=row.discrepancy_id,
        remedy=remedy, digest=digest or possible[remedy].digest, by="Kari (tok)", reason="they confirmed it",
    )  # fmt: skip
    await made.submit(fact)
    assert (await made.submit(fact)).duplicate  # twice is once
    (kept,) = await made.rows(select(t.repairs).where(t.repairs.c.repair_id == repair_id))
    return str(kept.outcome)


async def test_less_was_taken_the_owner_is_owed_less(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        assert await balances(engine) == SOLD
        await run(engine, made.now, committed("S1", made.now, 600))
        row = await the_one(engine, Kind.OTHER_AMOUNT)
        assert await order(made, row, Remedy.CORRECT, digest="0" * 16) == "stale"
        assert await balances(engine) == SOLD  # nothing was written
        assert await order(made, row, Remedy.CORRECT) == "made"
        after = {account: amount * 6 // 10 for account, amount in SOLD.items()}
        assert await balances(engine) == after | {Account.WRITTEN_OFF: 400, Account.WRITTEN_OFF_CONTRA: -400}
        await run(engine, made.now + timedelta(minutes=1), committed("S1", made.now, 600))
        assert await standing(engine) == {Kind.OTHER_AMOUNT: ("repaired", 1_000, 600)}
        journal = await made.rows(select(schema.journal).where(schema.journal.c.kind == "RepairOrdered"))
        assert len(journal) == 2
        assert "Kari" in journal[0].fact


async def test_a_loss_is_the_platforms_and_what_comes_after_all_is_taken_back(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        day = made.now.date()
        await settle(engine, made.now, f"OTHER;5,00;;EUR;{day - timedelta(days=1)};sale")
        await settle(engine, made.now, f"OTHER2;5,00;;EUR;{day + timedelta(days=5)};sale")
        await run(engine, made.now + timedelta(days=6), committed("S1", made.now))
        row = await the_one(engine, Kind.UNSETTLED)
        assert await order(made, row, Remedy.LOSS) == "made"
        after = await balances(engine)
        assert after[Account.COLLECTION_LOSS] == 1_000
        assert after[Account.OWNER_PAYABLE] == -1_000  # the platform carries the risk
        assert after[Account.ACQUIRER] == -1_000  # the two strangers
        await run(engine, made.now + timedelta(days=6, hours=1), committed("S1", made.now))
        assert (await standing(engine))[Kind.UNSETTLED][0] == "repaired"
        await settle(engine, made.now, f"PAY-S1;10,00;0,15;EUR;{day + timedelta(days=2)};sale")
        await run(engine, made.now + timedelta(days=7), committed("S1", made.now))
        late = await the_one(engine, Kind.SETTLED_AFTER_LOSS)
        assert await order(made, late, Remedy.LOSS) == "made"
        assert Account.COLLECTION_LOSS not in await balances(engine)


async def test_captured_after_the_write_off_comes_out_of_suspense_and_is_owed(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        await made.clock.advance(60)
        await made.tap(1, session_id="S2", arm="A-S2")
        await made.hold("S2")
        await made.charge(1, "S2", 20_000)
        refused = f.CaptureRefused(key="S2:capture:refused", at=made.now, session_id="S2", outcome="failed")
        await made.service.complete("S2:capture", refused)
        await made.submit(f.CaptureConfirmed(key="S2:capture:late", at=made.now, session_id="S2", amount_minor=2_000))
        assert (await balances(engine))[Account.SUSPENSE] == -2_000
        await run(engine, made.now, committed("S1", made.now), committed("S2", made.now, 2_000))
        row = await the_one(engine, Kind.IN_SUSPENSE)
        assert await order(made, row, Remedy.CORRECT) == "made"
        assert await balances(engine) == {account: 3 * amount for account, amount in SOLD.items()}
        await run(engine, made.now + timedelta(minutes=1), committed("S1", made.now), committed("S2", made.now, 2_000))
        assert {state for state, *_ in (await standing(engine)).values()} == {"repaired"}


async def test_money_that_was_taken_of_a_released_hold_waits_in_suspense(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        await made.clock.advance(60)
        await made.tap(1, session_id="S2", arm="A-S2")
        await made.hold("S2")
        await made.clock.advance(3600)
        deadline = f.StopRequested(key="stop:S2", at=made.now, session_id="S2", by="operator")
        await made.submit(deadline)
        await made.service.complete(
            "S2:release:PAY-S2", f.HoldReleased(key="S2:released", at=made.now, session_id="S2", payment_ref="PAY-S2")
        )
        await run(engine, made.now, committed("S1", made.now), committed("S2", made.now, 700))
        row = await the_one(engine, Kind.MISSING_CAPTURE)
        assert (row.session_id, row.owner_id) == ("S2", "own_1")
        assert await order(made, row, Remedy.CORRECT) == "made"
        assert (await balances(engine)) == SOLD | {Account.ACQUIRER: 1_700, Account.SUSPENSE: -700}
        await run(engine, made.now + timedelta(minutes=1), committed("S1", made.now), committed("S2", made.now, 700))
        assert (await standing(engine))[Kind.IN_SUSPENSE][0] == "open"  # somebody has to decide


async def test_a_proposal_of_a_payment_under_way_is_refused(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        await run(engine, made.now, committed("S1", made.now, 900))
        row = await the_one(engine, Kind.OTHER_AMOUNT)
        state = (await made.session("S1")).payment
        assert state == "captured"
        async with writing(engine) as connection:
            text = (await connection.execute(select(schema.sessions.c.state))).scalar_one()
            held = text.replace('"payment":"captured"', '"payment":"capturing"')
            assert held != text
            await connection.execute(update(schema.sessions).values(state=held))
        async with reading(engine) as connection:
            assert all(isinstance(each, NoRemedyError) for each in await proposals(connection, row))


# --- settlements ------------------------------------------------------------------------------------------------------


async def settle(engine: AsyncEngine, now: datetime, *rows: str) -> bool:
    raw = (HEAD + "\n".join(rows)).encode()
    content = hashlib.sha256(raw).hexdigest()
    upload = Upload(account_id="", owner_id="platform", format="csv", name="x", content_hash=content, by="Kari")
    return await take(engine, upload, read_csv(raw, Columns(), ""), now)


async def test_a_settlement_is_booked_once_and_overlaps_change_nothing(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        day = (made.now + timedelta(days=1)).date()
        one = f"PAY-S1;10,00;0,15;EUR;{day};sale"
        fee = f";2,00;;EUR;{day};fee"
        assert await settle(engine, made.now, one, fee)
        booked = SOLD | {Account.ACQUIRER: 0, Account.BANK: 785, Account.ACQUIRER_FEES: 215}
        booked = {account: amount for account, amount in booked.items() if amount}
        assert await balances(engine) == booked
        assert not await settle(engine, made.now, one, fee)
        assert await settle(engine, made.now, fee, one, "")  # the same rows in another file
        assert await balances(engine) == booked
        back = f"PAY-S1;-4,00;;EUR;{day};refund"
        assert await settle(engine, made.now, one, back)
        assert (await balances(engine))[Account.BANK] == 385
        await run(engine, made.now + timedelta(days=2), committed("S1", made.now))
        assert await standing(engine) == {Kind.OTHER_AMOUNT: ("open", 0, 400)}  # a refund that we know nothing of


async def test_a_fee_that_was_kept_back_in_silence_is_booked_once(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        await settle(engine, made.now, f"PAY-S1;9,80;;EUR;{(made.now + timedelta(days=1)).date()};sale")
        for hours in (1, 2, 3):
            await run(engine, made.now + timedelta(hours=hours), committed("S1", made.now))
        after = await balances(engine)
        assert (after[Account.BANK], after[Account.ACQUIRER_FEES]) == (980, 20)
        assert Account.ACQUIRER not in after
        assert await standing(engine) == {}


async def test_a_settlement_that_comes_during_a_run_raises_no_alarm(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its payments have not been looked for: neither is its row a stranger's, nor what it should tell of missing."""
    async with shop(engine, stations=2) as made:
        await made.sell(2, "S2")
        day = (made.now + timedelta(days=10)).date()

        async def linking(*of: Any) -> int:
            linked = await payment_linking.link(*of)
            await settle(engine, made.now, f"PAY-S1;10,00;0,15;EUR;{made.now.date()};sale", f";2,00;;EUR;{day};fee")
            return linked

        monkeypatch.setattr(reconciliation, "link", linking)
        both = committed("S1", made.now), committed("S2", made.now)
        await run(engine, made.now + timedelta(days=11), *both)
        assert await standing(engine) == {}
        monkeypatch.undo()
        await reconcile(engine, "", RULES, made.now + timedelta(days=11))
        assert await standing(engine) == {Kind.UNSETTLED: ("open", 1_000, None)}  # S2, and S2 alone


async def test_a_payment_that_is_being_ticked_off_when_its_settlement_comes_is_looked_at_again(
    engine: AsyncEngine,
) -> None:
    b = t.booked_payments
    async with shop(engine) as made:
        await refresh(engine, made.now)
        async with writing(engine) as judging:
            await judging.execute(select(b).with_for_update())
            coming = asyncio.create_task(settle(engine, made.now, f"PAY-S1;10,00;;EUR;{made.now.date()};sale"))
            await judging.execute(update(b).values(needs_look=False))
            while judging.dialect.name == "postgresql" and not await _somebody_waits(judging):
                await asyncio.sleep(0.01)
        assert await coming
        assert [row.needs_look for row in await made.rows(select(b))] == [True]


async def _somebody_waits(connection: AsyncConnection) -> bool:
    return bool((await connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar())


# --- notices ----------------------------------------------------------------------------------------------------------


async def test_a_notice_is_written_kept_and_sent(engine: AsyncEngine) -> None:
    async with shop(engine) as made:
        await run(engine, made.now, committed("S1", made.now, 900), committed("S9", made.now + timedelta(hours=5), 77))
        rows = await made.rows(select(t.discrepancies).order_by(t.discrepancies.c.kind))
        ids = [row.discrepancy_id for row in rows]
        sent: list[tuple[str, str]] = []

        async def mail(address: str, subject: str, body: str, message_id: str) -> str:
            sent.append((address, body))
            return "" if len(sent) > 1 else "the mail server is busy"

        options = replace(OPTIONS, provider_email="support@example.org")
        async with writing(engine) as connection:
            notice_id = await write_notice(connection, ids, options, by="Kari", now=made.now)
        assert {state for state, *_ in (await standing(engine)).values()} == {"notified"}
        (command,) = await made.rows(select(schema.outbox).where(schema.outbox.c.kind == "SendProviderNotice"))
        ordered = decode_command(command.kind, command.command)
        doer = ProviderNoticeDoer(made.service, engine, made.clock.now, mail)
        for attempt in (1, 2):
            await doer(ordered, Dispatched(ordered, attempt, made.now))  # type: ignore[arg-type]  # it is one
        (notice,) = await made.rows(select(t.provider_notices))
        assert (notice.notice_id, notice.written_by, notice.problem) == (notice_id, "Kari", None)
        assert notice.sent_at is not None
        assert sent[0][0] == "support@example.org"
        for said in ("PAY-S1", "10.00 EUR", "9.00 EUR", "PAY-S9", "0.77 EUR", "none", "P1", "Operator AS"):
            assert said in notice.body
        async with writing(engine) as connection:
            with pytest.raises(NoticeRefusedError):
                await write_notice(connection, ["dis_1"], options, by="Kari", now=made.now)


# --- crashes ----------------------------------------------------------------------------------------------------------


class _Crash(Exception):
    pass


MODULES = (booked_payments, payment_linking, provider_transactions, reconciliation, settlements)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_run_that_is_cut_off_anywhere_ends_as_if_it_had_not_been(
    kind: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in MODULES:
        for name in ("AT_ONCE", "BY_TOLERANCE_AT_ONCE", "ENTRIES_AT_ONCE"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 40)
    owners, paid, told = month(5, 150, seed=7)
    whole, cut = databases.fresh(kind), databases.fresh(kind)
    engines = {url: create_engine(url) for url in (whole, cut)}
    try:
        for url in engines:
            await fill(url, owners, paid)
        await reconcile_month(engines[whole], owners, told)
        for crashes in itertools.count():
            try:
                await _dying_after(3 * crashes, monkeypatch, reconcile_month(engines[cut], owners, told))
            except _Crash:
                continue
            break
        assert crashes > 5
        assert await found(engines[cut]) == await found(engines[whole]) == Counted(told.seeded)
        assert await everything(engines[cut]) == await everything(engines[whole])
        assert await balances(engines[cut]) == await balances(engines[whole])
    finally:
        for each in engines.values():
            await each.dispose()


async def _dying_after(passes: int, monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Do ``work``, and die at its fail point number ``passes`` + 1."""
    left: Iterator[int] = itertools.count(passes, -1)

    def failpoint(_: str) -> None:
        if next(left) == 0:
            raise _Crash

    for module in MODULES:
        monkeypatch.setattr(module, "failpoint", failpoint)
    await work
