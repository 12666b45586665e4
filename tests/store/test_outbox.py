"""The outbox on both databases: leases, timers, restarts, and two nodes at one table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sessions import facts as f
from sessions.clock import ManualClock
from sessions.codec import encode
from sessions.commands import AuthoriseHold, Command, Message, ShowOnTerminal, StopCharging, Timer
from sessions.doers import Doers
from sessions.kept import Keeper
from sessions.outbox import POLL_S, Outbox
from sessions.service import LEASE_S, Dispatched
from storage import schema as t
from storage.engine import create_engine, writing
from tests.databases import Databases
from tests.store.shop import counter, later, open_shop
from tests.unit.sessions.examples import T0


@dataclass
class Worker:
    """An outbox whose doer notes what it got; ``hangs`` makes it hang as a process does that is about to die."""

    outbox: Outbox
    clock: ManualClock
    done: list[Dispatched] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(holds), 30)

    @property
    def keys(self) -> list[str]:
        return [d.command.key for d in self.done]


@asynccontextmanager
async def worker(
    engine: AsyncEngine, clock: ManualClock, node: str, *, completes: bool = True, lane: str | None = None
) -> AsyncIterator[Worker]:
    async def do(dispatched: Dispatched) -> None:
        if completes:
            async with writing(engine) as connection:
                done = update(t.outbox).where(t.outbox.c.command_key == dispatched.command.key)
                await connection.execute(done.values(done_at=clock.now(), leased_by=None, leased_until=None))
        async with made.changed:
            made.done.append(dispatched)
            made.changed.notify_all()
        if not completes:
            await asyncio.Event().wait()

    made = Worker(Outbox(engine, clock, node=node, do=do, lane_of=lambda _: lane), clock)
    await made.outbox.start()
    try:
        yield made
    finally:
        await made.outbox.stop()


async def put(engine: AsyncEngine, *keys: str, due_s: float = 0, leased_by: str | None = None) -> None:
    """Commands as a crash leaves them: waiting, or leased to a node that is gone."""
    due = later(T0, due_s)
    rows = [
        {
            "command_key": key,
            "kind": "StopCharging",
            "command": encode(StopCharging(key=key, station_id="CS1", transaction_id="1")),
            "due_at": due,
            "attempts": 1 if leased_by else 0,
            "leased_by": leased_by,
            "leased_until": due + timedelta(seconds=LEASE_S) if leased_by else None,
        }
        for key in keys
    ]
    async with writing(engine) as connection:
        await connection.execute(t.outbox.insert(), rows)


async def test_what_a_crash_left_behind_is_carried_out_in_order(engine: AsyncEngine) -> None:
    await put(engine, "b", "c")
    await put(engine, "a", due_s=-60)
    clock = ManualClock(T0)
    async with worker(engine, clock, "node-a", lane="one") as w:
        await w.until(lambda: len(w.done) == 3)
        assert w.keys == ["a", "b", "c"]
        assert {d.attempt for d in w.done} == {1}


async def test_a_command_due_later_waits_for_its_time(engine: AsyncEngine) -> None:
    clock = ManualClock(T0)
    await put(engine, "later", due_s=20)
    await put(engine, "now")
    async with worker(engine, clock, "node-a") as w:
        await w.until(lambda: w.keys == ["now"])
        await clock.set(later(T0, 19.9))
        await put(engine, "now too", due_s=-1)
        w.outbox.take([], T0)  # a look in between must not bring it forward
        await w.until(lambda: "now too" in w.keys)
        assert "later" not in w.keys
        await clock.set(later(T0, 20))
        await w.until(lambda: "later" in w.keys)


async def test_a_lease_is_respected_until_it_runs_out(engine: AsyncEngine) -> None:
    clock = ManualClock(T0)
    await put(engine, "theirs", leased_by="node-b")
    await put(engine, "mine")
    async with worker(engine, clock, "node-a") as w:
        await w.until(lambda: w.keys == ["mine"])
        await clock.set(later(T0, LEASE_S))
        await put(engine, "another", due_s=1)
        w.outbox.take([], T0)
        await w.until(lambda: "another" in w.keys)
        assert "theirs" not in w.keys
        async with asyncio.timeout(30):
            while "theirs" not in w.keys:  # found by polling: each advance is worth a look
                await clock.advance(POLL_S)
                await asyncio.sleep(0.01)
        assert w.done[-1].attempt == 2  # its doer looks before it leaps


async def test_two_nodes_share_the_work_and_nothing_is_done_twice(databases: Databases) -> None:
    """FOR UPDATE SKIP LOCKED: on PostgreSQL two outboxes at one table."""
    url = databases.fresh("postgresql")
    engines = create_engine(url), create_engine(url)
    keys = [f"k{n:03}" for n in range(300)]  # more than one claim takes
    await put(engines[0], *keys)
    clock = ManualClock(T0)
    async with worker(engines[0], clock, "node-a") as a, worker(engines[1], clock, "node-b") as b:
        async with asyncio.timeout(30):
            while len(a.done) + len(b.done) < len(keys):
                for w in (a, b):  # another look, as a commit would cause it
                    w.outbox.take([], T0)
                await asyncio.sleep(0.01)
        assert sorted([*a.keys, *b.keys]) == keys
        assert {d.attempt for d in (*a.done, *b.done)} == {1}
    for engine in engines:
        await engine.dispose()


async def test_a_claim_passes_over_rows_that_another_node_is_claiming(databases: Databases) -> None:
    """A node that has just locked a row does not hold the others up: they take what is left."""
    url = databases.fresh("postgresql")
    engine, other = create_engine(url), create_engine(url)
    await put(engine, "locked", "free")
    clock = ManualClock(T0)
    async with writing(other) as connection:
        row = select(t.outbox).where(t.outbox.c.command_key == "locked").with_for_update()
        assert (await connection.execute(row)).first() is not None
        async with worker(engine, clock, "node-a") as w:
            await w.until(lambda: w.keys == ["free"])
    await engine.dispose()
    await other.dispose()


async def test_a_restart_takes_back_its_own_leases_and_forgets_its_sockets(engine: AsyncEngine) -> None:
    await open_shop(engine)
    clock = ManualClock(T0)
    await put(engine, "mine", leased_by="node-a")
    await put(engine, "theirs", leased_by="node-b")
    async with counter(engine, node="node-a", clock=clock) as first:
        await first.submit(f.StationConnected(key="c1", at=T0, station_id="CS1", version="ocpp1.6"))
        assert [r.connected for r in await first.rows(select(t.stations))] == [True]
    async with counter(engine, node="node-a", clock=clock) as shop, worker(engine, clock, "node-a") as w:
        await w.until(lambda: w.keys == ["mine"])
        assert w.done[0].attempt == 2
        rows = await shop.rows(select(t.outbox.c.leased_by).where(t.outbox.c.command_key == "theirs"))
        assert [r.leased_by for r in rows] == ["node-b"]
        assert [r.connected for r in await shop.rows(select(t.stations))] == [False]


async def test_a_killed_worker_leaves_its_command_to_the_next(engine: AsyncEngine) -> None:
    clock = ManualClock(T0)
    await put(engine, "k")
    async with worker(engine, clock, "node-a", completes=False) as dying:
        await dying.until(lambda: dying.keys == ["k"])
        assert not dying.outbox.idle
    await clock.set(later(T0, LEASE_S + 1))
    async with worker(engine, clock, "node-b") as w:
        await w.until(lambda: w.keys == ["k"])
        assert w.done[0].attempt == 2


async def test_commands_of_a_commit_are_handed_over_at_once_and_only_once(engine: AsyncEngine) -> None:
    """They are leased to this node in the commit itself: the loop's own look must not find them."""
    await open_shop(engine)

    async def keep_boot(_: object, found: Sequence[Any], now: object) -> list[Command]:
        return [StopCharging(key=f"after:{fact.key}", station_id="CS1", transaction_id="1") for fact in found]

    keepers: dict[type[f.Fact], tuple[Keeper, ...]] = {f.StationBooted: (keep_boot,)}
    async with counter(engine, keepers=keepers) as shop, worker(engine, shop.clock, "node-a") as w:

        def hand_over(ready: object, due: object) -> None:
            w.outbox.take(ready, due)  # type: ignore[arg-type]

        shop.service.on_commands = hand_over
        boot = f.StationBooted(key="boot", at=T0, station_id="CS1", status="Accepted")
        await shop.submit(boot)
        await w.until(lambda: len(w.done) == 1)
        rows = await shop.rows(select(t.outbox))
        assert [(r.command_key, r.attempts, r.done_at) for r in rows] == [("after:boot", 1, T0)]
        await put(engine, "next")
        w.outbox.take([], T0)
        await w.until(lambda: "next" in w.keys)
        assert w.keys == ["after:boot", "next"]


async def test_a_timer_that_arrives_while_the_outbox_looks_still_wakes_it(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit lands between the look for the next timer and the sleep: without a wake-up it would be a poll late."""
    clock = ManualClock(T0)
    looked: list[int] = []
    right = Outbox._next_due

    async def overtaken(self: Outbox) -> object:
        due = await right(self)
        looked.append(1)
        if len(looked) == 2:
            await put(engine, "timer", due_s=POLL_S + 5)
            self.take([], later(T0, POLL_S + 5))
        return due

    monkeypatch.setattr(Outbox, "_next_due", overtaken)
    async with worker(engine, clock, "node-a") as w:
        await put(engine, "first", due_s=1)
        await clock.set(later(T0, POLL_S))
        await w.until(lambda: w.keys == ["first"])
        while len(looked) < 2:
            await asyncio.sleep(0.01)
        await clock.set(later(T0, POLL_S + 5))
        await w.until(lambda: "timer" in w.keys)
        assert clock.now() == later(T0, POLL_S + 5)


async def test_a_deadline_reported_again_after_a_crash_counts_once(engine: AsyncEngine) -> None:
    """The doer of a timer reports under the command's own key: a second try is a duplicate, and completes it."""
    await open_shop(engine)
    async with counter(engine) as shop:
        await shop.tap()
        await shop.hold("S1")
        await shop.clock.advance(125)
        timer = f"S1:timer:{Timer.START}:0"
        assert timer in await _timers(shop.engine)
        fact = f.DeadlineReached(key=timer, at=shop.now, session_id="S1", timer=Timer.START)
        first = await shop.submit(fact)  # the commit of the fact, and then a crash before the command's
        again = await shop.service.complete(timer, fact)
        assert (first.duplicate, again.duplicate) == (False, True)
        assert timer not in await _timers(shop.engine)


async def _timers(engine: AsyncEngine) -> list[str]:
    async with writing(engine) as connection:
        query = select(t.outbox.c.command_key).where(t.outbox.c.kind == "ReachDeadline", t.outbox.c.done_at.is_(None))
        return list((await connection.execute(query)).scalars())


async def test_a_retry_falls_due_when_it_was_asked_for(engine: AsyncEngine) -> None:
    """`complete(retry_at=…)`: the lease is given back with the new time, and the attempt counts up."""
    clock = ManualClock(T0)
    await put(engine, "k", leased_by="node-a")
    async with counter(engine, clock=clock, node="node-b") as shop:
        await shop.service.complete("k", retry_at=later(T0, 20))
        assert shop.next_due == [later(T0, 20)]
        async with worker(engine, clock, "node-a") as w:
            await put(engine, "now")
            await clock.set(later(T0, 20))
            await w.until(lambda: "k" in w.keys)
            assert next(d.attempt for d in w.done if d.command.key == "k") == 2


def test_what_a_reader_does_it_does_in_order() -> None:
    """One lane per terminal; what needs no reader has none."""
    authorise = AuthoriseHold(
        key="a", serial="P1", language="en", arm_id="A1", card_ref="c", hold_minor=1, currency="EUR"
    )
    show = ShowOnTerminal(key="s", serial="P1", language="en", message=Message.PLUG_IN)
    lanes = [Doers.lane(Dispatched(command, 1, T0)) for command in (authorise, show)]
    assert lanes == ["terminal:P1", "terminal:P1"]
    assert Doers.lane(Dispatched(StopCharging(key="k", station_id="CS1", transaction_id="1"), 1, T0)) is None
