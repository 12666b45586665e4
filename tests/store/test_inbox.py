"""The inbox on both databases: a fact counts once, many share a commit, nobody is answered before it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sessions import facts as f
from sessions import service as services
from sessions.commands import AuthoriseHold, CaptureHold, StartCharging, Timer
from sessions.directory import Admission
from sessions.facts import EvseStatus
from sessions.rows import write_world
from sessions.tables import Charging
from sessions.working_set import EvseRow, StationRow, WorkingSet
from storage import schema as t
from storage.engine import writing
from tests.store.shop import HOLD, Counter, card, counter, ended, later, open_shop, started


def finding(n: int, shop: Counter, *, code: str = "odd", station_id: str = "CS1") -> f.ConformanceFound:
    return f.ConformanceFound(key=f"finding:{n}", at=shop.now, station_id=station_id, code=code, detail=f"number {n}")


async def test_a_fact_submitted_again_is_answered_as_the_first_and_changes_nothing(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        first = await shop.submit(started(1, shop.now))
        commits = await shop.count(t.journal)
        again = await shop.submit(started(1, shop.now))
        assert (first.duplicate, again.duplicate) == (False, True)
        assert (again.session_id, again.transaction_id) == (first.session_id, first.transaction_id)
        assert await shop.count(t.journal) == commits
        assert await shop.count(t.sessions) == 1


async def test_twins_in_one_batch_count_once_and_are_both_answered(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        before = shop.service.commits
        outcomes = await asyncio.gather(*(shop.submit(started(1, shop.now)) for _ in range(5)))
        assert shop.service.commits == before + 1
        assert [o.duplicate for o in outcomes] == [False, True, True, True, True]
        assert len({o.transaction_id for o in outcomes}) == 1
        assert await shop.count(t.journal) == 1


async def test_waiting_facts_share_commits(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        await asyncio.gather(*(shop.submit(finding(n, shop)) for n in range(1200)))
        assert shop.service.commits == 3  # 500 at most in one
        assert await shop.count(t.journal) == 1200
        rows = await shop.rows(select(t.findings))
        assert [(r.occurrences, r.detail) for r in rows] == [(1200, "number 0")]


async def test_nobody_is_answered_before_the_commit(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the point where a crash would lose everything, no answer is out; after the commit all are."""
    answered: list[str] = []
    at_the_brink: list[list[str]] = []
    monkeypatch.setattr(
        services, "failpoint", lambda name: at_the_brink.append(list(answered)) if name == "commit.before" else None
    )
    async with counter(engine) as shop:

        async def one(n: int) -> None:
            await shop.submit(finding(n, shop))
            answered.append(str(n))

        await asyncio.gather(*(one(n) for n in range(3)))
    assert at_the_brink == [[]]
    assert answered == ["0", "1", "2"]


async def test_a_commit_that_fails_answers_with_the_error_and_keeps_nothing(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> None:
        if name == "commit.before":
            raise OSError("disk full")

    async with counter(engine) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(services, "failpoint", full)
            with pytest.raises(OSError, match="disk full"):
                await shop.submit(finding(1, shop))
        assert await shop.count(t.journal) == await shop.count(t.findings) == 0
        assert not (await shop.submit(finding(1, shop))).duplicate  # and the next try is the first


async def test_a_poisonous_fact_fails_alone(engine: AsyncEngine) -> None:
    """A second session with the payment of another breaks a unique index: only its own fact is refused."""
    await open_shop(engine, stations=2)
    async with counter(engine) as shop:
        async with writing(engine) as connection:  # both EVSEs at one terminal
            await connection.execute(
                t.terminal_evses.insert().values(serial="P1", station_id="CS2", evse_id=1, position=1)
            )
        await shop.submit(started(2, shop.now))  # the second EVSE is taken, so the first tap goes to CS1
        await shop.tap(1, session_id="S1", arm="A1")
        await shop.hold("S1", "PAY")
        await shop.submit(ended(2, later(shop.now, 5), "1", 0))
        await shop.tap(1, session_id="S2", arm="A2")
        poison = f.PaymentHeld(key="S2:held:PAY", at=shop.now, session_id="S2", payment_ref="PAY", amount_minor=HOLD)
        results = await asyncio.gather(
            shop.submit(finding(1, shop)), shop.submit(poison), shop.submit(finding(2, shop)), return_exceptions=True
        )
        assert isinstance(results[1], Exception)
        assert not any(isinstance(r, Exception) for r in (results[0], results[2]))
        assert [r.occurrences for r in await shop.rows(select(t.findings))] == [2]
        assert (await shop.session("S2")).held_minor == 0
        assert await shop.count(t.journal, t.journal.c.fact_key == poison.key) == 0


async def test_an_undecidable_fact_is_kept_and_flagged(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in decide loses no fact: it is in the journal, answered, and an operator is asked to look."""
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.tap()

        def defect(*_: Any) -> Any:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(services, "decide", defect)
            stop = f.StopRequested(key="stop", at=shop.now, session_id="S1", by="operator")
            outcome = await shop.submit(stop)
        assert outcome.session_id == "S1"
        assert (await shop.session("S1")).flags == ("undecidable",)
        rows = await shop.rows(select(t.sessions.c.needs_review))
        assert [r.needs_review for r in rows] == [True]
        assert await shop.count(t.journal, t.journal.c.fact_key == "stop") == 1


@pytest.mark.parametrize("facts", [3, 600])
async def test_stopping_writes_what_waits_and_what_is_being_written(engine: AsyncEngine, facts: int) -> None:
    async with counter(engine) as shop:
        submitted = [asyncio.ensure_future(shop.submit(finding(n, shop))) for n in range(facts)]
        while not shop.service._writing:  # the writer has taken a batch, of which nobody is answered yet
            await asyncio.sleep(0)
        await shop.service.stop()
        outcomes = await asyncio.wait_for(asyncio.gather(*submitted), 30)
        assert not [outcome for outcome in outcomes if outcome.duplicate]
        assert await shop.count(t.journal) == facts


# --- rules that the tables keep ---------------------------------------------------------------------------------------


async def test_two_taps_cannot_both_have_an_evse(engine: AsyncEngine) -> None:
    """EC 8, two terminals at one EVSE in one batch: the first is authorised, the other refused, and holds nothing."""
    await open_shop(engine)
    async with counter(engine) as shop:
        async with writing(engine) as connection:
            await connection.execute(
                t.terminals.insert().values(serial="P2", family="P66", currency="EUR", language="en")
            )
            await connection.execute(
                t.terminal_evses.insert().values(serial="P2", station_id="CS1", evse_id=1, position=0)
            )
        for n in (1, 2):
            arm = f.ArmOpened(
                key=f"arm:A{n}", at=shop.now, serial=f"P{n}", arm_id=f"A{n}", hold_minor=HOLD, currency="EUR"
            )
            await shop.submit(arm)
        outcomes = await asyncio.gather(
            shop.submit(card(1, "A1", "S1", shop.now)), shop.submit(card(2, "A2", "S2", shop.now))
        )
        assert [o.session_id for o in outcomes] == ["S1", None]
        assert len([d for d in shop.dispatched if isinstance(d.command, AuthoriseHold)]) == 1
        claims = await shop.rows(select(t.sessions.c.claim))
        assert [r.claim for r in claims] == ["CS1/1"]


async def test_a_claim_is_unique_whoever_writes_it(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.tap()
        row = (await shop.rows(select(t.sessions)))[0]._mapping
        twin = dict(row) | {"session_id": "S2", "receipt_token": "other", "arm_id": "A2"}
        with pytest.raises(Exception, match=r"(?i)unique"):
            async with writing(engine) as connection:
                await connection.execute(t.sessions.insert().values(twin))


async def test_a_number_that_a_station_chose_itself_is_not_allotted_to_it(engine: AsyncEngine) -> None:
    """A station that numbered its transactions under 2.0.1 and now speaks 1.6: it could never start one again."""
    await open_shop(engine, stations=2)
    async with counter(engine) as shop:
        for number in range(1, 4):
            own = replace(started(1, shop.now, id_token=f"OWN{number}"), transaction_id=str(number))
            await shop.submit(own)
        outcomes = [await shop.submit(started(1, shop.now, id_token=f"T{number}")) for number in range(3)]
        assert [outcome.transaction_id for outcome in outcomes] == ["4", "5", "6"]
        assert (await shop.submit(started(2, shop.now))).transaction_id == "7"


async def test_an_answer_that_names_another_sessions_transaction_is_taken_without_it(engine: AsyncEngine) -> None:
    """A station that names its last transaction in its answer to the next start: that charge is over, and paid."""
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.submit(replace(started(1, shop.now), transaction_id="TX1"))
        await shop.submit(ended(1, shop.now, "TX1", 1000))
        session_id = await shop.tap()
        await shop.hold(session_id)
        (start,) = [d.command for d in shop.dispatched if isinstance(d.command, StartCharging)]
        accepted = f.StartAccepted(key="a", at=shop.now, session_id=session_id, transaction_id="TX1")
        await shop.service.complete(start.key, accepted)
        session = await shop.session(session_id)
        assert (session.charging, session.transaction_id) == (Charging.ACCEPTED, None)


async def test_transaction_ids_are_allotted_once_across_batches_nodes_and_restarts(engine: AsyncEngine) -> None:
    await open_shop(engine, stations=12)
    ids: list[str | None] = []
    async with counter(engine, node="node-a") as a, counter(engine, node="node-b") as b:
        outcomes = await asyncio.gather(
            *((a if n % 2 else b).submit(started(n, a.now, id_token=f"T{n}")) for n in range(1, 11))
        )
        ids += [o.transaction_id for o in outcomes]
    async with counter(engine) as again:
        for n in (11, 12):
            ids.append((await again.submit(started(n, again.now, id_token=f"T{n}"))).transaction_id)
    assert sorted(int(i or 0) for i in ids) == list(range(1, 13))


async def test_findings_are_counted_per_station_code_and_action(engine: AsyncEngine) -> None:
    async with counter(engine) as shop:
        await asyncio.gather(
            *(shop.submit(finding(n, shop)) for n in range(3)), shop.submit(finding(9, shop, code="other"))
        )
        await shop.clock.advance(60)
        await shop.submit(finding(10, shop))
        await shop.submit(finding(11, shop, station_id="CS2"))
        rows = await shop.rows(select(t.findings).order_by(t.findings.c.station_id, t.findings.c.code))
        assert [(r.station_id, r.code, r.occurrences) for r in rows] == [
            ("CS1", "odd", 4),
            ("CS1", "other", 1),
            ("CS2", "odd", 1),
        ]
        assert rows[0].detail == "number 0"
        assert rows[0].last_at - rows[0].first_at == timedelta(seconds=60)


# --- a sale, in the tables --------------------------------------------------------------------------------------------


async def test_a_sale_leaves_books_at_zero_a_receipt_and_no_timer(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.sell(1, "S1")
        session = await shop.session("S1")
        assert (session.charging, session.captured_minor, session.open) == (Charging.ENDED, 1000, False)
        sums = await shop.rows(
            select(t.ledger.c.set_key, func.sum(t.ledger.c.amount_minor).label("sum")).group_by(t.ledger.c.set_key)
        )
        assert {r.set_key: r.sum for r in sums} == {"S1:hold": 0, "S1:capture": 0, "S1:release": 0}
        held = select(func.sum(t.ledger.c.amount_minor)).where(t.ledger.c.account == "hold")
        assert [r[0] for r in await shop.rows(held)] == [0]
        assert [r.number for r in await shop.rows(select(t.receipts))] == [1]
        assert await shop.count(t.outbox, t.outbox.c.kind == "ReachDeadline", t.outbox.c.done_at.is_(None)) == 0
        assert len([d for d in shop.dispatched if isinstance(d.command, CaptureHold)]) == 1
        assert len([d for d in shop.dispatched if isinstance(d.command, StartCharging)]) == 1


async def test_timers_stay_while_the_session_is_open(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.tap()
        await shop.hold("S1")
        waiting = await shop.rows(
            select(t.outbox.c.command_key).where(t.outbox.c.kind == "ReachDeadline", t.outbox.c.done_at.is_(None))
        )
        assert {r.command_key for r in waiting} == {
            f"S1:timer:{timer}:0" for timer in (Timer.START, Timer.HOLD_ENDING, Timer.SETTLE)
        }
        assert await shop.count(t.receipts) == 0


async def test_receipt_numbers_have_no_gap_under_concurrency(engine: AsyncEngine) -> None:
    """Two nodes sell at once, one sale of each fails at the capture: the numbers run from 1 without a gap."""
    sales = 8
    await open_shop(engine, stations=sales)
    async with counter(engine, node="node-a") as a:
        async with counter(engine, node="node-b", clock=a.clock) as b:
            nodes = [a if n % 2 else b for n in range(1, sales + 1)]
            for n, node in enumerate(nodes, 1):
                await node.tap(n, session_id=f"S{n}")
                await node.hold(f"S{n}")
                start = await node.submit(started(n, node.now, id_token=f"TAG-S{n}"))
                await a.clock.advance(3600)
                await node.submit(ended(n, node.now, start.transaction_id, 1000 * n))
            outcomes: list[Any] = []
            for n, node in enumerate(nodes, 1):
                key = f"S{n}:capture"
                fact: f.Fact
                if n in (3, 4):
                    fact = f.CaptureRefused(key=f"{key}:refused", at=a.now, session_id=f"S{n}", outcome="failed")
                else:
                    fact = f.CaptureConfirmed(
                        key=f"{key}:confirmed", at=a.now, session_id=f"S{n}", amount_minor=100 * n
                    )
                outcomes.append(node.service.complete(key, fact))
            await asyncio.gather(*outcomes)
        rows = await a.rows(select(t.receipts).order_by(t.receipts.c.number))
        assert [r.number for r in rows] == [1, 2, 3, 4, 5, 6]
        assert {r.session_id for r in rows} == {"S1", "S2", "S5", "S6", "S7", "S8"}


async def test_a_busy_batch_takes_a_handful_of_statements(engine: AsyncEngine) -> None:
    """A hundred stations' starts in one commit cost as many statements as one, not a hundred times as many."""
    await open_shop(engine, stations=100)
    statements: list[str] = []
    async with counter(engine) as shop:
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        await shop.submit(started(1, shop.now, id_token="T1"))
        alone = len(statements)
        statements.clear()
        await asyncio.gather(*(shop.submit(started(n, shop.now, id_token=f"T{n}")) for n in range(2, 101)))
        assert len(statements) <= alone + 2


async def test_a_commit_does_not_write_back_what_was_configured_meanwhile(engine: AsyncEngine) -> None:
    """A station says something in the moment in which its owner or its EVSE's tariff is changed."""
    await open_shop(engine)
    async with writing(engine) as connection:
        seen = await connection.execute(select(t.evses).where(t.evses.c.station_id == "CS1").limit(1))
        evse_id = seen.one().evse_id
        ws = WorkingSet()
        ws.put_station(StationRow(station_id="CS1", admission=Admission.ACCEPTED, connected=True, epoch=1, node="here"))
        ws.put_evse(EvseRow(station_id="CS1", evse_id=evse_id, status=EvseStatus.OCCUPIED))
        here = (t.evses.c.station_id == "CS1", t.evses.c.evse_id == evse_id)
        configured = {"tariff_id": "new", "label": "East", "max_power_w": 50_000}
        await connection.execute(update(t.stations).where(t.stations.c.station_id == "CS1").values(owner_id="own_1"))
        await connection.execute(update(t.evses).where(*here).values(configured))
        await write_world(connection, ws, datetime.now(UTC))
        evse = (await connection.execute(select(t.evses).where(*here))).one()
        station = (await connection.execute(select(t.stations).where(t.stations.c.station_id == "CS1"))).one()
    assert {name: evse._mapping[name] for name in configured} == configured
    assert (evse.status, station.owner_id, station.node) == ("Occupied", "own_1", "here")
