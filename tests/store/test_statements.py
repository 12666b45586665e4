"""Statements on both databases: each period once, each entry once, and the sums are the ledger's."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import ledger
from billing.ledger import Account, Entry, EntrySet, Kind
from billing.statement import EntryKind
from billing.terms import Period, Terms, terms_to_json
from billing.way import Way
from csms.nouns import keepers
from csms.payouts import statements
from csms.payouts.statements import CloseStatements, close_next, contribute
from csms.terminals.calendar import Span
from csms.terminals.rounds import MakeRound, RoundDoer, RoundTimes
from sessions.books import Posting
from sessions.clock import ManualClock
from sessions.outbox import Outbox
from sessions.service import Dispatched
from storage import owner_schema as o
from storage import payout_schema as p
from storage import schema as s
from storage.engine import reading, writing
from tests.scale import LONG_ON, sized
from tests.store.owned import (
    add_owner,
    add_platform,
    add_sales,
    assert_stated_to_the_minor_unit,
    books,
    close_all,
    cost,
    give,
    post_all,
    sell_through_own_processor,
    statements_of,
)
from tests.store.shop import counter, open_shop

OSLO = ZoneInfo("Europe/Oslo")
TERMS = Terms(fee_fixed_minor=50, fee_percent=Decimal("2.5"), minimum_payout_minor=1000)


def moment(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """A local time in Oslo, as UTC."""
    return datetime(year, month, day, hour, tzinfo=OSLO).astimezone(UTC)


async def owner_with_sales(engine: AsyncEngine, terms: Terms = TERMS) -> None:
    await add_platform(engine)
    await add_owner(engine, "own_a", terms=terms, created_at=moment(2026, 1, 10))


async def test_all_ways_of_paying_stand_together_with_fees_and_vat(engine: AsyncEngine) -> None:
    await owner_with_sales(engine)
    at = moment(2026, 1, 15, 12)
    await add_sales(engine, "own_a", [cost({"25": 10_000}), cost({"25": 777, "15": 1001})], at)
    await add_sales(engine, "own_a", [cost({"25": 333})], at, way=Way.RFID)
    await add_sales(engine, "own_a", [cost({"25": 5000})], at, way=Way.ROAMING)
    await close_all(engine, "own_a", moment(2026, 2, 1))
    (made,) = await statements_of(engine, "own_a")
    card, rfid, app, roaming = made.ways
    assert (card.sessions, card.gross_minor, rfid.gross_minor, app.sessions, roaming.gross_minor) == (
        *(2, 11_778, 333),
        *(0, 5000),
    )
    assert {line.vat_percent: line.gross_minor for line in card.vat} == {Decimal(25): 10_777, Decimal(15): 1001}
    # 50 each; 2.5 % of 10000, 1778, 333 and 5000: 250 + 44 (44.45) + 8 (8.325) + 125
    assert (made.fees.fixed_minor, made.fees.percent_minor, made.fees.vat_minor) == (200, 427, 157)
    assert made.payout_minor == 11_778 + 333 + 5000 - 200 - 427 - 157
    assert made.carried_minor == 0
    assert (made.period_start, made.period_end) == (moment(2026, 1, 1), moment(2026, 2, 1))
    assert made.statement_id == "ST00000001"
    stand = await books(engine)
    assert stand[Account.OWNER_PAYABLE] == -made.payout_minor
    assert stand[Account.FEE_REVENUE] == -627
    await assert_stated_to_the_minor_unit(engine)


@asynccontextmanager
async def up(engine: AsyncEngine, clock: ManualClock) -> AsyncIterator[Outbox]:
    """A process: service, outbox, rounds and the doer of statements, as the application puts them together."""
    async with counter(engine, clock=clock, keepers=keepers()) as shop:
        times = RoundTimes(zone=OSLO, at=time(4))
        rounds = RoundDoer(shop.service, engine, clock.now, times, statements.ROUND)
        closing = statements.StatementDoer(shop.service, engine, clock.now)

        async def do(dispatched: Dispatched) -> None:
            if isinstance(dispatched.command, MakeRound):
                await rounds(dispatched.command, dispatched)
            elif isinstance(dispatched.command, CloseStatements):
                await closing(dispatched.command, dispatched)

        outbox = Outbox(engine, clock, node="node-a", do=do, lane_of=lambda d: getattr(d.command, "lane", None))
        shop.service.on_commands = outbox.take
        await outbox.start()
        await rounds.begin()
        try:
            yield outbox
        finally:
            await outbox.stop()


async def until_done(engine: AsyncEngine, clock: ManualClock) -> None:
    """Until every command that is due has been carried out."""
    due = select(s.outbox.c.command_key).where(s.outbox.c.done_at.is_(None), s.outbox.c.due_at <= clock.now())
    async with asyncio.timeout(100):
        while True:
            async with reading(engine) as connection:
                if (await connection.execute(due.limit(1))).first() is None:
                    return
            await asyncio.sleep(0.002)


@pytest.mark.timeout(400)  # for a busy machine
@pytest.mark.parametrize("database_url", LONG_ON, indirect=True)
async def test_a_year_of_rounds_with_the_process_down_over_due_times(engine: AsyncEngine) -> None:
    """Rounds made up for one by one, daylight saving and a leap day: each month once, to the local midnight."""
    await add_platform(engine)
    await add_owner(engine, "own_a", terms=TERMS, created_at=moment(2024, 1, 1))
    for month in range(1, 13):
        start = moment(2024, month, 1)
        end = moment(2024 + month // 12, month % 12 + 1, 1)
        for n, at in enumerate((start, end - timedelta(seconds=1))):  # the first and the last second are in it
            await add_sales(engine, "own_a", [cost({"25": 1000 * month})], at, start=month * 10 + n)
    clock = ManualClock(moment(2024, 1, 1, 12))
    # It runs from day to day, is killed with a round in hand, and is down over the ends of months.
    for first, last in (
        ((2024, 1, 2, 5), (2024, 2, 28, 5)),
        ((2024, 4, 8, 5), (2024, 6, 30, 5)),
        ((2024, 7, 1, 5), (2024, 10, 26, 5)),
        ((2024, 12, 24, 5), (2025, 1, 2, 5)),
    ):
        await clock.set(moment(*first))
        async with up(engine, clock):
            pass  # killed while it makes up for what it missed
        async with up(engine, clock):
            await until_done(engine, clock)
            while clock.now() < moment(*last):
                await clock.advance(3 * 86_400)
                await until_done(engine, clock)
    made = await statements_of(engine, "own_a")
    assert [x.period_start for x in made] == [moment(2024, month, 1) for month in range(1, 13)]
    assert [x.gross_minor for x in made] == [2000 * month for month in range(1, 13)]
    hours = [(x.period_end - x.period_start) / timedelta(hours=1) for x in made]
    assert hours == [744, 696, 743, 720, 744, 720, 744, 744, 720, 745, 720, 744]
    assert [x.statement_id for x in made] == [f"ST{n:08}" for n in range(1, 13)]
    made_rounds = select(s.journal.c.fact_key).where(s.journal.c.kind == "RoundMade")
    async with reading(engine) as connection:
        days = set((await connection.execute(made_rounds)).scalars())
    last_day = max(date.fromisoformat(key.split(":")[1]) for key in days)
    assert len(days) == (last_day - date(2024, 1, 3)).days + 1  # not a day was skipped
    await assert_stated_to_the_minor_unit(engine)


async def test_a_correction_after_closing_goes_into_the_next_one(engine: AsyncEngine) -> None:
    await owner_with_sales(engine)
    await add_sales(engine, "own_a", [cost({"25": 10_000})], moment(2026, 1, 15))
    await close_all(engine, "own_a", moment(2026, 2, 1))
    (first,) = await statements_of(engine, "own_a")
    licence = Posting(
        set_key="licence-order:lo_1",
        entries=EntrySet(
            Kind.FEES, (Entry(Account.OWNER_PAYABLE, 12_500, "EUR"), Entry(Account.FEE_REVENUE, -12_500, "EUR"))
        ),
        owner_id="own_a",
    )
    repair = Posting(set_key="repair:1", entries=ledger.reversal(ledger.owed(cost({"25": 100}))), owner_id="own_a")
    # Booked about January, but after it was closed; and one that carries a time before the closing.
    await post_all(engine, [licence], moment(2026, 2, 5))
    await post_all(engine, [repair], moment(2026, 1, 31))
    await close_all(engine, "own_a", moment(2026, 3, 1))
    again, second = await statements_of(engine, "own_a")
    assert again == first
    assert [(i.kind, i.booked, i.amount_minor) for i in second.items] == [
        (EntryKind.LICENCE, "licence-order:lo_1", -12_500),
        (EntryKind.CORRECTION, "repair:1", -100),
    ]
    assert (second.payout_minor, second.carried_minor) == (0, -12_600)  # a debt is carried
    await add_sales(engine, "own_a", [cost({"25": 20_000})], moment(2026, 3, 15), start=5)
    await close_all(engine, "own_a", moment(2026, 4, 1))
    third = (await statements_of(engine, "own_a"))[2]
    assert third.opening_minor == -12_600
    assert third.payout_minor == 20_000 - third.fees.total_minor - 12_600
    await assert_stated_to_the_minor_unit(engine)


async def test_a_balance_below_the_minimum_is_carried(engine: AsyncEngine) -> None:
    await owner_with_sales(engine, Terms(minimum_payout_minor=1000))
    await add_sales(engine, "own_a", [cost({"25": 999})], moment(2026, 1, 15))
    await add_sales(engine, "own_a", [cost({"25": 1})], moment(2026, 2, 15), start=1)
    await close_all(engine, "own_a", moment(2026, 3, 1))
    found = [(s.opening_minor, s.payout_minor, s.carried_minor) for s in await statements_of(engine, "own_a")]
    assert found == [(0, 0, 999), (999, 1000, 0)]


async def test_a_sale_booked_anew_counts_once_and_costs_one_fee(engine: AsyncEngine) -> None:
    """A contract's charge was given up and its real end came after the closing: the difference, and no second fee."""
    await owner_with_sales(engine)
    before, after = cost({"25": 1000}), cost({"25": 3000})
    await add_sales(engine, "own_a", [before], moment(2026, 1, 15), way=Way.RFID)
    await close_all(engine, "own_a", moment(2026, 2, 1))
    key = "own_a-rfid-0"
    about: dict[str, Any] = {"session_id": key, "owner_id": "own_a"}
    await post_all(
        engine,
        [
            Posting(set_key=f"{key}:owed:0:reversed", entries=ledger.reversal(ledger.owed(before)), **about),
            Posting(set_key=f"{key}:owed:1", entries=ledger.owed(after), **about),
        ],
        moment(2026, 2, 10),
    )
    await close_all(engine, "own_a", moment(2026, 3, 1))
    first, second = await statements_of(engine, "own_a")
    assert (first.ways[1].sessions, second.ways[1].sessions) == (1, 0)
    assert (first.gross_minor, second.gross_minor) == (1000, 2000)
    assert (first.fees.fixed_minor, second.fees.fixed_minor) == (50, 0)
    assert first.fees.net_minor + second.fees.net_minor == TERMS.fee_minor(3000, "EUR")
    await assert_stated_to_the_minor_unit(engine)


async def test_another_currency_has_statements_of_its_own(engine: AsyncEngine) -> None:
    await owner_with_sales(engine)
    await add_sales(engine, "own_a", [cost({"25": 5000}, "NOK")], moment(2026, 1, 15))
    await close_all(engine, "own_a", moment(2026, 2, 1))
    own, other = await statements_of(engine, "own_a")
    assert (own.currency, own.payout_minor, own.gross_minor) == ("EUR", 0, 0)
    # Fixed amounts are agreed in euro; the percentage holds.
    assert (other.currency, other.fees.fixed_minor, other.fees.percent_minor) == ("NOK", 0, 125)
    await close_all(engine, "own_a", moment(2026, 3, 1))
    assert [s.currency for s in await statements_of(engine, "own_a")] == ["EUR", "NOK", "EUR"]


async def test_own_processors_sessions_cost_a_facilitation_fee_and_are_never_owed(engine: AsyncEngine) -> None:
    await open_shop(engine)
    await add_platform(engine)
    async with counter(engine) as shop:
        day = shop.now
        await add_owner(engine, "own_a", terms=Terms(facilitation_fee_minor=40), created_at=day)
        await give(engine, "CS1", "own_a", "acc_1")
        await sell_through_own_processor(shop, "S9", 9000)
        assert (await shop.session("S9")).book == "owner:own_a"
    await close_all(engine, "own_a", day + timedelta(days=40))
    first = (await statements_of(engine, "own_a"))[0]
    assert (first.gross_minor, first.facilitated_minor, first.fees.facilitation_minor) == (0, 900, 40)
    assert (first.payout_minor, first.carried_minor) == (0, -50)
    later = (await statements_of(engine, "own_a"))[1:]
    assert all(s.facilitated_minor == 0 for s in later)
    await assert_stated_to_the_minor_unit(engine)


async def test_changed_terms_leave_no_gap_between_periods(engine: AsyncEngine) -> None:
    await owner_with_sales(engine, Terms(period=Period.MONTH))
    await close_all(engine, "own_a", moment(2026, 3, 1))
    async with writing(engine) as connection:
        await connection.execute(
            update(o.owners)
            .where(o.owners.c.owner_id == "own_a")
            .values(terms=terms_to_json(Terms(period=Period.WEEK)), time_zone="America/New_York")
        )
    await close_all(engine, "own_a", moment(2026, 3, 20))
    made = await statements_of(engine, "own_a")
    assert all(a.period_end == b.period_start for a, b in itertools.pairwise(made))
    new_york = ZoneInfo("America/New_York")
    assert [s.period_end.astimezone(new_york).strftime("%a %d %b %H:%M") for s in made[2:]] == [
        "Mon 02 Mar 00:00",
        "Mon 09 Mar 00:00",
        "Mon 16 Mar 00:00",
    ]


async def test_the_next_statement_stands_in_the_owners_calendar(engine: AsyncEngine) -> None:
    await owner_with_sales(engine, Terms(period=Period.MONTH))

    async def due() -> list[tuple[str, date]]:
        async with reading(engine) as connection:
            span = Span(owner_id="own_a", language="en", zone=OSLO, now=moment(2026, 2, 5))
            return [(entry.uid, date(*entry.starts.timetuple()[:3])) for entry in await contribute(connection, span)]

    assert await due() == [("statement:own_a:20260101", date(2026, 2, 1))]
    await close_all(engine, "own_a", moment(2026, 3, 1))
    assert await due() == [("statement:own_a:20260301", date(2026, 4, 1))]


async def test_killed_in_the_middle_of_closing_it_is_closed_once(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owner_with_sales(engine)
    await add_sales(engine, "own_a", [cost({"25": 10_000})], moment(2026, 1, 15))

    class Killed(BaseException):
        pass

    real = statements._take_fees

    async def dies(*given: Any) -> Any:
        await real(*given)
        raise Killed

    monkeypatch.setattr(statements, "_take_fees", dies)
    with pytest.raises(Killed):
        await close_next(engine, "own_a", moment(2026, 2, 1), moment(2026, 2, 1))
    monkeypatch.undo()
    assert await statements_of(engine) == []
    await close_all(engine, "own_a", moment(2026, 2, 1))
    await close_all(engine, "own_a", moment(2026, 2, 1))
    (made,) = await statements_of(engine)
    assert made.statement_id == "ST00000001"  # the number was not used up
    await assert_stated_to_the_minor_unit(engine)
    async with reading(engine) as connection:
        row = (await connection.execute(select(p.statements))).one()
    twin = dict(row._mapping) | {"statement_id": "ST99999999"}
    async with writing(engine) as connection:  # the database itself refuses the same period twice
        with pytest.raises(IntegrityError):
            await connection.execute(p.statements.insert().values(twin))
        await connection.rollback()


@pytest.mark.timeout(600)  # for a busy machine
async def test_two_hundred_owners_and_fifty_thousand_sessions_add_up(engine: AsyncEngine) -> None:
    await add_platform(engine)
    chance = random.Random(4)
    sold, each = 0, sized(250)
    for n in range(200):
        owner = f"own_{n:03}"
        await add_owner(engine, owner, terms=TERMS, created_at=moment(2026, 1, 1))
        costs = [cost({"25": chance.randrange(1, 60_000)}) for _ in range(each)]
        sold += sum(c.total_minor for c in costs)
        await add_sales(engine, owner, costs, moment(2026, 1, 1 + n % 31, 12))
    for n in range(200):
        await close_all(engine, f"own_{n:03}", moment(2026, 2, 1))
    made = await statements_of(engine)
    assert len(made) == 200
    assert sum(s.gross_minor for s in made) == sold
    assert sum(way.sessions for s in made for way in s.ways) == 200 * each
    assert -(await books(engine))[Account.OWNER_PAYABLE] == sum(s.balance_minor for s in made)
    await assert_stated_to_the_minor_unit(engine)
