"""What our own message path and the group commit are worth, as ratios measured in one run on one machine.

    .venv/bin/python -m benchmarks.ratios

Absolute figures differ from machine to machine; ratios hardly do. Nothing in the tests depends on them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ocpp.messages
from sqlalchemy import select

from csms.ocpp import frames, schemas
from sessions import facts
from sessions.clock import ManualClock
from sessions.codec import decode_session
from sessions.service import Service
from sessions.session import Policy
from storage import schema as t
from storage.engine import create_engine, reading, writing
from storage.upgrade import upgrade

ROUND_S = 0.5  # how long one measurement goes on
STATIONS = 200
ROUNDS = 5
START = datetime(2026, 1, 1, tzinfo=UTC)

SAMPLE_16 = {
    "timestamp": "2026-01-01T00:00:00Z",
    "sampledValue": [
        {"value": "1234567", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "11042.5", "context": "Sample.Periodic", "measurand": "Power.Active.Import", "unit": "W"},
    ],
}
SAMPLE_201 = {
    "timestamp": "2026-01-01T00:00:00Z",
    "sampledValue": [
        {"value": 1234567.0, "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register"},
        {"value": 11042.5, "context": "Sample.Periodic", "measurand": "Power.Active.Import"},
    ],
}
MESSAGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("1.6", "Heartbeat", {}),
    ("1.6", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}),
    ("1.6", "MeterValues", {"connectorId": 1, "transactionId": 42, "meterValue": [SAMPLE_16]}),
    (
        "2.0.1",
        "TransactionEvent",
        {
            "eventType": "Updated",
            "timestamp": "2026-01-01T00:00:00Z",
            "triggerReason": "MeterValuePeriodic",
            "seqNo": 7,
            "transactionInfo": {"transactionId": "a-transaction", "chargingState": "Charging"},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [SAMPLE_201],
        },
    ),
)


def rate(work: Callable[[], None]) -> float:
    """How often a second ``work`` can be done: the best of three rounds, as the others were disturbed."""
    work()  # schemas are compiled once
    best = 0.0
    for _ in range(3):
        done, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < ROUND_S:
            work()
            done += 1
        best = max(best, done / spent)
    return best


def ours(version: str, raw: str) -> None:
    """A frame as a station's line takes it: parsed, searched for card numbers, validated."""
    frame = frames.parse(raw)
    if not isinstance(frame, frames.Call) or schemas.request_problems(f"ocpp{version}", frame.action, frame.payload):
        raise ValueError(f"{raw} should be valid")


def package(version: str, raw: str) -> None:
    """The same by the `ocpp` package, without the threads it would use."""
    ocpp.messages._validate_payload(ocpp.messages.unpack(raw), version)


def compare_frames() -> None:
    print("Parse and validate one frame, messages a second")
    for version, action, payload in MESSAGES:
        raw = json.dumps([2, "message-1", action, payload])
        mine = rate(lambda v=version, r=raw: ours(v, r))  # type: ignore[misc]
        theirs = rate(lambda v=version, r=raw: package(v, r))  # type: ignore[misc]
        print(f"  {version:<6}{action:<20} ours {mine:>9,.0f}   ocpp package {theirs:>8,.0f}   {mine / theirs:6.1f} ×")


def started(station: int) -> facts.TransactionStarted:
    return facts.TransactionStarted(
        key=f"started:{station}",
        at=START,
        station_id=f"CP-{station}",
        transaction_id=f"T-{station}",
        evse_id=1,
        id_token="TOKEN",
        station_time=START,
        register_wh=Decimal(0),
    )


def metered(station: int, number: int, at: datetime) -> facts.EnergyMetered:
    sample = facts.Sample(station_time=at, value=Decimal(number * 100), unit="Wh")
    key, station_id = f"metered:{station}:{number}", f"CP-{station}"
    return facts.EnergyMetered(
        key=key, at=at, station_id=station_id, evse_id=1, transaction_id=f"T-{station}", samples=(sample,)
    )


async def compare_commits(directory: Path) -> None:
    """Meter values of 200 running charges: each one waits for the one before, or all come at once."""
    engine = create_engine(f"sqlite:///{directory}/benchmark.sqlite3")
    await upgrade(engine)
    async with writing(engine) as connection:
        names = [f"CP-{n}" for n in range(STATIONS)]
        await connection.execute(t.stations.insert(), [{"station_id": n, "admission": "accepted"} for n in names])
        await connection.execute(t.evses.insert(), [{"station_id": n, "evse_id": 1} for n in names])
        await connection.execute(t.id_tokens.insert().values(id_token="TOKEN", status="Accepted"))
    clock = ManualClock(START)
    service = Service(engine, clock, Policy(), node="benchmark", issuer_id="none", public_url="http://127.0.0.1")
    await service.start()
    try:
        await asyncio.gather(*(service.submit(started(n)) for n in range(STATIONS)))
        one, grouped, commits, at = 0.0, 0.0, 0, START
        for number in range(1, 2 * ROUNDS + 1):
            at += timedelta(minutes=1)
            await clock.set(at)
            batch = [metered(n, number, at) for n in range(STATIONS)]
            before, begun = service.commits, time.perf_counter()
            if number % 2:
                for fact in batch:
                    await service.submit(fact)
                one += time.perf_counter() - begun
            else:
                await asyncio.gather(*map(service.submit, batch))
                grouped += time.perf_counter() - begun
                commits += service.commits - before
        async with reading(engine) as connection:
            states = (await connection.execute(select(t.sessions.c.state))).scalars().all()
        if [decode_session(state).meter.energy_wh for state in states] != [2 * ROUNDS * 100] * STATIONS:
            raise ValueError("what was measured is not what should have been done")
    finally:
        await service.stop()
        await engine.dispose()
    total = STATIONS * ROUNDS
    print("\nFacts decided and committed, a second (SQLite, synchronous=FULL)")
    print(f"  one commit a fact {total / one:>8,.0f}")
    print(
        f"  group commit      {total / grouped:>8,.0f}   {one / grouped:.1f} ×   ({total / commits:.0f} facts a commit)"
    )


def main() -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    compare_frames()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare_commits(Path(directory)))


if __name__ == "__main__":
    main()
