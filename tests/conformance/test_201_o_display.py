"""OCPP 2.0.1, O. Display message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station


def info(message_id: int, **more: Any) -> dict[str, Any]:
    """A MessageInfoType."""
    content = {"format": "UTF8", "language": "en", "content": f"message {message_id}"}
    return {"id": message_id, "priority": "NormalCycle", "message": content} | more


async def set_message(bench: Bench, station: Station, message: dict[str, Any], status: str = "Accepted") -> Any:
    return await bench.exchange(station, "SetDisplayMessage", {"message": message}, {"status": status})


async def shown(bench: Bench) -> list[Any]:
    return [m["message"] for m in (await bench.api("GET", "/stations/CS1/display-messages"))["items"]]


async def report(bench: Bench, station: Station, request: dict[str, Any], *parts: list[dict[str, Any]]) -> None:
    """GetDisplayMessages, accepted; then the parts."""
    command = await bench.exchange(station, "GetDisplayMessages", request, {"status": "Accepted"})
    assert command["state"] == "accepted"
    for n, part in enumerate(parts, 1):
        payload = {"requestId": request["requestId"], "tbc": n < len(parts)} | ({"messageInfo": part} if part else {})
        assert await bench.ask(station, "NotifyDisplayMessages", payload) == {}


async def test_TC_O_01_set_display_message(bench: Bench) -> None:
    station = await bench.connect()
    assert (await set_message(bench, station, info(1)))["state"] == "accepted"
    (message,) = (await bench.api("GET", "/stations/CS1/display-messages"))["items"]
    assert (message["message_id"], message["priority"], message["reported"]) == (1, "NormalCycle", False)
    assert message["message"] == info(1)


async def test_TC_O_02_get_all_display_messages(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    await set_message(bench, station, info(2))
    await report(bench, station, {"requestId": 7}, [info(1)], [info(3, priority="InFront")])
    listed = (await bench.api("GET", "/stations/CS1/display-messages"))["items"]
    assert [(m["message_id"], m["priority"], m["reported"]) for m in listed] == [
        (1, "NormalCycle", True),
        (3, "InFront", True),  # 2 is gone: the station did not name it
    ]


async def test_TC_O_03_get_all_display_messages_none_configured(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/display-messages/refresh?wait=30"))
    call = await bench.expect(station, "GetDisplayMessages")
    assert set(call[3]) == {"requestId"}
    await station.answer(call, {"status": "Unknown"})
    assert (await asked)["response"] == {"status": "Unknown"}
    assert await shown(bench) == []


async def test_TC_O_04_clear_display_message(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    await set_message(bench, station, info(2))
    asked = asyncio.create_task(bench.api("DELETE", "/stations/CS1/display-messages/1?wait=30"))
    call = await bench.expect(station, "ClearDisplayMessage")
    assert call[3] == {"id": 1}
    await station.answer(call, {"status": "Accepted"})
    assert (await asked)["state"] == "accepted"
    assert await shown(bench) == [info(2)]


async def test_TC_O_05_clear_display_message_unknown_key(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    command = await bench.exchange(station, "ClearDisplayMessage", {"id": 1}, {"status": "Unknown"})
    assert command["state"] == "refused"
    assert await shown(bench) == []  # the station knows best what it has


async def test_TC_O_06_set_display_message_for_a_transaction(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1, transactionId="tx-1"))
    (message,) = (await bench.api("GET", "/stations/CS1/display-messages"))["items"]
    assert message["transaction_id"] == "tx-1"


@pytest.mark.parametrize(
    ("criteria", "answered"),
    [
        pytest.param({"id": [2]}, [info(2)], id="TC_O_07-id"),
        pytest.param({"priority": "AlwaysFront"}, [info(4, priority="AlwaysFront")], id="TC_O_08-priority"),
        pytest.param({"state": "Charging"}, [info(5, state="Charging")], id="TC_O_09-state"),
    ],
)
async def test_get_a_specific_display_message(
    bench: Bench, criteria: dict[str, Any], answered: list[dict[str, Any]]
) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    await report(bench, station, {"requestId": 8} | criteria, answered)
    assert await shown(bench) == [info(1), *answered]  # a part of the messages says nothing of the others


async def test_TC_O_10_set_display_message_unknown_transaction(bench: Bench) -> None:
    station = await bench.connect()
    command = await set_message(bench, station, info(1, transactionId="unknown"), "UnknownTransaction")
    assert command["state"] == "refused"
    assert await shown(bench) == []


async def test_TC_O_11_get_a_specific_display_message_unknown(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    command = await bench.exchange(
        station, "GetDisplayMessages", {"requestId": 9, "id": [99], "state": "Faulted"}, {"status": "Unknown"}
    )
    assert command["state"] == "refused"
    assert await shown(bench) == [info(1)]


async def test_TC_O_12_set_display_message_replaces_the_one_of_its_id(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1))
    await set_message(bench, station, info(1, priority="AlwaysFront"))
    assert await shown(bench) == [info(1, priority="AlwaysFront")]


@pytest.mark.parametrize(
    ("field", "transaction"),
    [
        pytest.param("startDateTime", {}, id="TC_O_13-start"),
        pytest.param("endDateTime", {}, id="TC_O_14-end"),
        pytest.param("startDateTime", {"transactionId": "tx-1"}, id="TC_O_27-start-of-a-transaction"),
        pytest.param("endDateTime", {"transactionId": "tx-1"}, id="TC_O_28-end-of-a-transaction"),
    ],
)
async def test_set_display_message_with_a_time(bench: Bench, field: str, transaction: dict[str, str]) -> None:
    station = await bench.connect()
    at = stamp()
    await set_message(bench, station, info(1, **{field: at}, **transaction))
    (message,) = (await bench.api("GET", "/stations/CS1/display-messages"))["items"]
    kept = message["starts_at" if field == "startDateTime" else "ends_at"]
    assert kept.startswith(at[:19])
    assert message["transaction_id"] == transaction.get("transactionId")
    await report(bench, station, {"requestId": 3}, [])  # the station has removed it by itself
    assert await shown(bench) == []


@pytest.mark.parametrize(
    ("message", "status"),
    [
        pytest.param(info(1, priority="AlwaysFront"), "NotSupportedPriority", id="TC_O_17"),
        pytest.param(info(1, state="Faulted"), "NotSupportedState", id="TC_O_18"),
        pytest.param(
            info(1, message={"format": "HTML", "content": "<b>x</b>"}), "NotSupportedMessageFormat", id="TC_O_19"
        ),
        pytest.param(info(1), "Rejected", id="TC_O_26"),
    ],
)
async def test_a_display_message_the_station_refuses(bench: Bench, message: dict[str, Any], status: str) -> None:
    station = await bench.connect()
    command = await set_message(bench, station, message, status)
    assert (command["state"], command["response"]["status"]) == ("refused", status)
    assert await shown(bench) == []


async def test_TC_O_25_set_display_message_for_a_state(bench: Bench) -> None:
    station = await bench.connect()
    await set_message(bench, station, info(1, state="Charging"))
    (message,) = (await bench.api("GET", "/stations/CS1/display-messages"))["items"]
    assert message["state"] == "Charging"
