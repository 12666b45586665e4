"""The engineer's door: any action, durable from the request to the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from storage import schema as t
from storage.engine import writing
from tests.conformance.bench import Bench, bench

TRIGGER = {"requestedMessage": "Heartbeat"}


async def test_a_command_that_is_answered_in_time(bench: Bench) -> None:
    station = await bench.connect()
    command = await bench.exchange(station, "TriggerMessage", TRIGGER, {"status": "Accepted"})
    assert command["state"] == "accepted"
    assert command["response"] == {"status": "Accepted"}
    assert command["requested_by"].startswith("test (")
    assert command["created_at"] <= command["sent_at"] <= command["ended_at"]
    assert await bench.api("GET", f"/commands/{command['command_id']}") == command
    assert (await bench.api("GET", "/stations/CS1/commands?action=TriggerMessage"))["items"] == [command]
    assert (await bench.api("GET", "/stations/CS1/commands?state=refused"))["items"] == []


async def test_without_waiting_it_is_202_and_ends_by_itself(bench: Bench) -> None:
    station = await bench.connect()
    queued = await bench.api("POST", "/stations/CS1/commands/TriggerMessage", TRIGGER, status=202)
    assert queued["state"] in {"queued", "sent"}
    call = await bench.expect(station, "TriggerMessage")

    async def look() -> Any:
        return await bench.api("GET", f"/commands/{queued['command_id']}")

    assert (await look())["state"] == "sent"
    await station.answer(call, {"status": "Rejected"})
    assert (await bench.eventually(look, lambda c: c["ended_at"]))["state"] == "refused"


async def test_a_callerror_is_a_refusal_with_its_code(bench: Bench) -> None:
    station = await bench.connect()
    asked = asyncio.create_task(bench.send("CS1", "TriggerMessage", TRIGGER))
    call = await bench.expect(station, "TriggerMessage")
    await station.send(4, call[1], "NotImplemented", "no such thing", {})
    command = await asked
    assert (command["state"], command["error_code"], command["error_text"]) == (
        "refused",
        "NotImplemented",
        "no such thing",
    )


async def test_a_station_that_is_not_there(bench: Bench) -> None:
    await bench.api("POST", "/stations/CS1/commands/TriggerMessage", TRIGGER, status=409)  # its version is not known
    station = await bench.connect()
    await station.socket.close()
    await bench.eventually(lambda: bench.api("GET", "/stations/CS1"), lambda s: not s["connected"])
    assert (await bench.send("CS1", "TriggerMessage", TRIGGER))["state"] == "offline"


async def test_no_answer_in_time_is_told_as_such(database_url: str) -> None:
    async with bench(database_url, ocpp={"call_timeout_s": 1.0}) as impatient:
        station = await impatient.connect()
        command = await impatient.send("CS1", "TriggerMessage", TRIGGER)
        assert command["state"] == "timed_out"
        assert "not answered" in command["error_text"]
        await station.answer(await impatient.expect(station, "TriggerMessage"), {"status": "Accepted"})  # too late
        again = await impatient.exchange(station, "TriggerMessage", TRIGGER, {"status": "Accepted"})
        assert again["state"] == "accepted"
        assert (await impatient.api("GET", f"/commands/{command['command_id']}"))["state"] == "timed_out"


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/stations/NOBODY/commands/Reset", {"type": "Immediate"}, 404, "No station"),
        ("/stations/CS1/commands/Explode", {}, 404, "no action of this name"),
        ("/stations/CS1/commands/Heartbeat", {}, 404, "no action of this name"),  # a station's to send
        ("/stations/CS1/commands/Reset", {}, 422, "not valid ocpp2.0.1 Reset"),
        ("/stations/CS1/commands/Reset", {"type": "Hard"}, 422, "not valid ocpp2.0.1 Reset"),
        ("/stations/CS1/commands/Reset?wait=3600", {"type": "Immediate"}, 400, "see errors"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_the_reason(
    bench: Bench, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    await bench.connect()
    assert says in (await bench.api("POST", path, body, status=status))["detail"]
    assert (await bench.api("GET", "/stations/CS1/commands"))["items"] == []


async def test_a_command_that_was_interrupted_is_not_repeated(bench: Bench) -> None:
    """As after a crash between sending and the answer: the lease is given up, and the command taken up again."""
    station = await bench.connect()
    queued = await bench.api("POST", "/stations/CS1/commands/Reset", {"type": "Immediate"}, status=202)
    await bench.expect(station, "Reset")
    await bench.app.outbox.stop()
    key = f"call:{queued['command_id']}"
    async with writing(bench.app.engine) as connection:
        mine = t.outbox.c.command_key == key
        await connection.execute(update(t.outbox).where(mine).values(leased_by=None, leased_until=None))
    await bench.app.outbox.start()
    command = await bench.eventually(
        lambda: bench.api("GET", f"/commands/{queued['command_id']}"), lambda c: c["ended_at"]
    )
    assert (command["state"], command["error_text"]) == (
        "timed_out",
        "interrupted; it may have been sent: ask the station",
    )
    assert await station.calls_so_far() == []
