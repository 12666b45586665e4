"""The frame log on both databases: a frame that is odd in its head is kept like the others, and loses none of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.stations.frame_log import FrameLog
from storage import sight_schema as t
from storage.engine import reading
from tests.unit.sessions.examples import T0
from tests.wire.test_hostile import pan


async def test_a_head_that_cannot_be_kept_as_it_is_costs_no_frame(engine: AsyncEngine) -> None:
    """PostgreSQL takes no NUL; a card number may stand anywhere."""
    log, number = FrameLog(engine, lambda: T0, enabled=True, keep=timedelta(days=1)), pan()
    log.note("CS1", "in", "call", '[2,"m1","Heartbeat",{}]', "m1", "Heartbeat")
    log.note("CS1", "in", "call", '[2,"m\\u0000","Heart\\u0000beat",{}]', "m\0", "Heart\0beat")
    log.note("CS1", "in", "call", f'[2,"{number}","Heartbeat",{{}}]', number, "Heartbeat")
    log.note("CS1", "in", "malformed", "hello", None, None)
    await log.flush()
    f = t.frames.c
    async with reading(engine) as connection:
        kept = (await connection.execute(select(f.message_id, f.action, f.body).order_by(f.frame_id))).all()
    assert [tuple(row)[:2] for row in kept[:2]] == [("m1", "Heartbeat"), ("m\ufffd", "Heart\ufffdbeat")]
    assert kept[3] == (None, None, "hello")
    assert len(kept) == 4
    assert number not in repr(kept)


async def bodies(engine: AsyncEngine) -> list[str]:
    async with reading(engine) as connection:
        return list((await connection.execute(select(t.frames.c.body).order_by(t.frames.c.frame_id))).scalars())


async def test_whoever_asks_for_what_is_being_written_waits_for_it(engine: AsyncEngine) -> None:
    log = FrameLog(engine, lambda: T0, enabled=True, keep=timedelta(days=1))
    log.note("CS1", "in", "malformed", "hello", None, None)
    under_way = asyncio.create_task(log.flush())
    await asyncio.sleep(0)
    await log.flush()
    assert await bodies(engine) == ["hello"]
    await under_way


async def test_what_was_being_written_at_the_end_is_written(engine: AsyncEngine) -> None:
    log = FrameLog(engine, lambda: T0, enabled=True, keep=timedelta(days=1))
    for body in ("one", "two"):
        log.note("CS1", "in", "malformed", body, None, None)
    under_way = asyncio.create_task(log.flush())
    await asyncio.sleep(0)
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    log.note("CS1", "in", "malformed", "three", None, None)
    await log.stop()
    assert await bodies(engine) == ["one", "two", "three"]
