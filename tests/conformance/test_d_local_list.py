"""Local authorization lists: 2.0.1 D, 1.6 Local Auth List Management."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench
from tests.wire.station import Station

V16, V201 = "ocpp1.6", "ocpp2.0.1"


def entry(version: str, id_token: str, status: str | None = "Accepted") -> dict[str, Any]:
    if version == V16:
        return {"idTag": id_token} | ({"idTagInfo": {"status": status}} if status else {})
    made: dict[str, Any] = {"idToken": {"idToken": id_token, "type": "ISO14443"}}
    return made | ({"idTokenInfo": {"status": status}} if status else {})


def request(version: str, number: int, kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    name = "listVersion" if version == V16 else "versionNumber"
    return {name: number, "updateType": kind} | ({"localAuthorizationList": list(entries)} if entries else {})


async def update(bench: Bench, station: Station, payload: dict[str, Any], status: str = "Accepted") -> Any:
    return await bench.exchange(station, "SendLocalList", payload, {"status": status})


async def listed(bench: Bench) -> tuple[int, list[str]]:
    shown = await bench.api("GET", "/stations/CS1/local-list")
    return shown["version"], [f"{e['id_token']} {e['status']}" for e in shown["entries"]]


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_D_01"), pytest.param(V16, id="TC_043_4")])
async def test_send_a_full_list(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    await update(bench, station, request(version, 1, "Full", entry(version, "OLD")))
    full = request(version, 2, "Full", entry(version, "A"), entry(version, "B", "Blocked"))
    assert (await update(bench, station, full))["state"] == "accepted"
    assert await listed(bench) == (2, ["A Accepted", "B Blocked"])


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_D_02"), pytest.param(V16, id="TC_043_5")])
async def test_send_a_differential_update(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    await update(bench, station, request(version, 1, "Full", entry(version, "A"), entry(version, "B")))
    change = request(version, 2, "Differential", entry(version, "B", "Blocked"), entry(version, "C"))
    await update(bench, station, change)
    assert await listed(bench) == (2, ["A Accepted", "B Blocked", "C Accepted"])


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_D_03"), V16])
async def test_remove_an_entry(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    await update(bench, station, request(version, 1, "Full", entry(version, "A"), entry(version, "B")))
    await update(bench, station, request(version, 2, "Differential", entry(version, "A", None)))
    assert await listed(bench) == (2, ["B Accepted"])


async def test_TC_D_04_send_a_full_list_that_is_empty(bench: Bench) -> None:
    station = await bench.connect()
    await update(bench, station, request(V201, 1, "Full", entry(V201, "A")))
    await update(bench, station, request(V201, 2, "Full"))
    assert await listed(bench) == (2, [])


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param(V16, "NotSupported", id="TC_043_1"),
        pytest.param(V16, "Failed", id="TC_043_3"),
        pytest.param(V201, "Failed", id="2.0.1-failed"),
        pytest.param(V201, "VersionMismatch", id="2.0.1-mismatch"),
    ],
)
async def test_an_update_that_is_refused_changes_nothing(bench: Bench, version: str, status: str) -> None:
    station = await bench.connect(version=version)
    await update(bench, station, request(version, 1, "Full", entry(version, "A")))
    command = await update(bench, station, request(version, 2, "Differential", entry(version, "B")), status)
    assert command["state"] == "refused"
    assert await listed(bench) == (1, ["A Accepted"])
    assert (await bench.api("GET", "/stations/CS1/local-list"))["status"] == status


@pytest.mark.parametrize(
    ("version", "number"),
    [
        pytest.param(V201, 5, id="TC_D_08"),
        pytest.param(V201, 0, id="TC_D_09-none"),
        pytest.param(V16, -1, id="TC_042_1-not-supported"),
        pytest.param(V16, 0, id="TC_042_2-empty"),
    ],
)
async def test_get_the_version(bench: Bench, version: str, number: int) -> None:
    station = await bench.connect(version=version)
    name = "listVersion" if version == V16 else "versionNumber"
    command = await bench.exchange(station, "GetLocalListVersion", {}, {name: number})
    assert command["response"] == {name: number}
    assert (await bench.api("GET", "/stations/CS1/local-list"))["told_version"] == number


@pytest.mark.parametrize("version", [V16, V201])
async def test_a_station_is_brought_up_to_date(bench: Bench, version: str) -> None:
    """Everything at first, then what changed, then nothing; everything again where versions differ."""
    station = await bench.connect(version=version)
    sent = await sync(bench, station, "Accepted")
    assert (sent["updateType"], len(sent["localAuthorizationList"])) == ("Full", 4)
    await bench.api("POST", "/id-tokens", {"id_token": "NEW", "group_id": "G"}, status=201)
    await bench.api("DELETE", "/id-tokens/GOOD2", status=204, headers={"If-Match": '"1"'})
    sent = await sync(bench, station, "VersionMismatch")
    assert sent["updateType"] == "Differential"
    assert len(sent["localAuthorizationList"]) == 2
    assert (await sync(bench, station, "Accepted"))["updateType"] == "Full"
    assert (await bench.api("GET", "/stations/CS1/local-list"))["in_sync"]
    await bench.api("POST", "/stations/CS1/local-list/sync", status=204)


async def test_what_the_station_said_before_an_update_is_over(bench: Bench) -> None:
    """It had no list, and said so; then it accepted one, and has it."""
    station = await bench.connect()
    await bench.exchange(station, "GetLocalListVersion", {}, {"versionNumber": 0})
    await sync(bench, station, "Accepted")
    shown = await bench.api("GET", "/stations/CS1/local-list")
    assert (shown["version"], shown["told_version"], shown["in_sync"]) == (1, None, True)


async def test_a_token_that_the_version_cannot_say_is_left_out(bench: Bench) -> None:
    await bench.api("POST", "/id-tokens", {"id_token": "L" * 21}, status=201)
    station = await bench.connect(version=V16)
    sent = await sync(bench, station, "Accepted")
    assert len(sent["localAuthorizationList"]) == 4
    shown = await bench.api("GET", "/stations/CS1/local-list")
    assert (shown["left_out"], shown["in_sync"]) == (["L" * 21], True)


async def test_an_entry_is_removed_under_the_type_it_was_sent_with(bench: Bench) -> None:
    await bench.api("POST", "/id-tokens", {"id_token": "CENTRAL", "token_type": "Central"}, status=201)
    station = await bench.connect()
    await sync(bench, station, "Accepted")
    await bench.api("DELETE", "/id-tokens/CENTRAL", status=204, headers={"If-Match": '"1"'})
    sent = await sync(bench, station, "Accepted")
    assert sent["localAuthorizationList"] == [{"idToken": {"idToken": "CENTRAL", "type": "Central"}}]


async def test_a_list_of_chosen_tokens_in_parts(bench: Bench) -> None:
    """Three of four, two at a time; then two of them no more, one at a time."""
    station = await bench.connect()
    path = "/stations/CS1/local-list"
    wish = {"id_tokens": ["good", "BLOCKED", "EXPIRED", "NOBODY"], "entries_per_message": 2}
    await bench.api("PUT", path, wish, status=428)
    await bench.api("PUT", path, wish, headers={"If-Match": '"0"'})
    await bench.api("PUT", path, wish, status=412, headers={"If-Match": '"0"'})
    parts = [await sync(bench, station, "Accepted"), await sync(bench, station, "Accepted")]
    assert [(p["updateType"], p["versionNumber"], len(p["localAuthorizationList"])) for p in parts] == [
        ("Full", 1, 2),
        ("Differential", 2, 1),
    ]
    assert await listed(bench) == (2, ["BLOCKED Blocked", "EXPIRED Expired", "GOOD Accepted"])
    await bench.api("PUT", path, {"id_tokens": ["GOOD"], "entries_per_message": 1}, headers={"If-Match": '"1"'})
    for _ in range(2):
        assert not (await bench.api("GET", path))["in_sync"]
        await sync(bench, station, "Accepted")
    shown = await bench.api("GET", path)
    assert (shown["in_sync"], shown["id_tokens"]) == (True, ["GOOD"])
    assert await listed(bench) == (4, ["GOOD Accepted"])


@pytest.mark.parametrize(("told", "sent"), [("3", 3), ("0", 4), ("-1", 4), ("many", 4)])
@pytest.mark.parametrize("version", [V16, V201])
async def test_no_more_goes_at_once_than_the_station_says_it_takes(
    bench: Bench, version: str, told: str, sent: int
) -> None:
    station = await bench.connect(version=version)
    if version == V16:
        said = {"configurationKey": [{"key": "SendLocalListMaxLength", "readonly": True, "value": told}]}
        await bench.exchange(station, "GetConfiguration", {"key": ["SendLocalListMaxLength"]}, said)
    else:
        name = {"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": "ItemsPerMessage"}}
        value = {"getVariableResult": [name | {"attributeStatus": "Accepted", "attributeValue": told}]}
        await bench.exchange(station, "GetVariables", {"getVariableData": [name]}, value)
    assert len((await sync(bench, station, "Accepted"))["localAuthorizationList"]) == sent
    assert (await bench.api("GET", "/stations/CS1/local-list"))["in_sync"] is (sent == 4)


@pytest.mark.parametrize(
    "wish",
    [
        {"id_tokens": ["A B"]},
        {"id_tokens": ["A" * 37]},
        {"id_tokens": "GOOD"},
        {"entries_per_message": 0},
        {"entries_per_message": 10_001},
        {"version": 3},
    ],
)
async def test_a_wrong_wish_is_refused(bench: Bench, wish: dict[str, Any]) -> None:
    await bench.api("PUT", "/stations/CS1/local-list", wish, status=422, headers={"If-Match": '"0"'})
    assert (await bench.api("GET", "/stations/CS1/local-list"))["id_tokens"] is None


async def sync(bench: Bench, station: Station, status: str) -> Any:
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/local-list/sync?wait=30"))
    call = await bench.expect(station, "SendLocalList")
    await station.answer(call, {"status": status})
    await asked
    return call[3]
