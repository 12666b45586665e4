"""OCPP 2.0.1, N. Diagnostics: customer information."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

TOKEN = {"idToken": "GOOD", "type": "ISO14443"}
BY_TOKEN = {"id_token": {"id_token": "GOOD", "type": "ISO14443"}}
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
BY_CERTIFICATE = {
    "customer_certificate": {
        "hash_algorithm": "SHA256",
        "issuer_name_hash": "a1",
        "issuer_key_hash": "b2",
        "serial_number": "c3",
    }
}


async def ask(bench: Bench, station: Station, body: dict[str, Any], status: str = "Accepted") -> dict[str, Any]:
    """Ask through the API and let the station answer; what it was asked."""
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/customer-information?wait=30", body))
    call = await bench.expect(station, "CustomerInformation")
    await station.answer(call, {"status": status})
    assert (await asked)["state"] == ("accepted" if status == "Accepted" else "refused")
    payload: dict[str, Any] = call[3]
    return payload


async def notify(bench: Bench, station: Station, request_id: int, *parts: str, order: tuple[int, ...] = ()) -> None:
    for n in order or range(len(parts)):
        payload = {"requestId": request_id, "seqNo": n, "generatedAt": stamp(), "data": parts[n]}
        payload |= {"tbc": True} if n < len(parts) - 1 else {}
        assert await bench.ask(station, "NotifyCustomerInformation", payload) == {}


async def seen(bench: Bench, request_id: int) -> Any:
    return await bench.api("GET", f"/stations/CS1/customer-information/{request_id}")


@pytest.mark.parametrize(
    ("body", "customer"),
    [
        pytest.param(BY_TOKEN, {"idToken": TOKEN}, id="TC_N_27"),
        pytest.param({"clear": True} | BY_TOKEN, {"idToken": TOKEN}, id="TC_N_30-clear-and-report"),
        pytest.param(
            {"clear": True, "customer_identifier": "C-1"}, {"customerIdentifier": "C-1"}, id="TC_N_62-identifier"
        ),
        pytest.param({"clear": True} | BY_CERTIFICATE, {"customerCertificate": HASHES}, id="TC_N_63-certificate"),
    ],
)
async def test_information_is_reported_in_parts(bench: Bench, body: dict[str, Any], customer: dict[str, Any]) -> None:
    station = await bench.connect()
    asked = await ask(bench, station, body)
    expected = {"report": True, "clear": body.get("clear", False), "requestId": asked["requestId"]}
    assert asked == expected | customer
    assert (await seen(bench, asked["requestId"]))["completed_at"] is None
    await notify(bench, station, asked["requestId"], "name: A ", "card: ", "GOOD", order=(2, 0, 1))
    shown = await seen(bench, asked["requestId"])
    assert (shown["status"], shown["customer"], shown["parts"]) == ("Accepted", customer, 3)
    assert shown["information"] == "name: A card: GOOD"
    assert shown["completed_at"] is not None


@pytest.mark.parametrize(
    "clear", [pytest.param(False, id="TC_N_28"), pytest.param(True, id="TC_N_31-clear-and-report")]
)
async def test_there_is_no_information(bench: Bench, clear: bool) -> None:
    station = await bench.connect()
    asked = await ask(bench, station, {"clear": clear} | BY_TOKEN)
    await notify(bench, station, asked["requestId"], "")
    shown = await seen(bench, asked["requestId"])
    assert (shown["information"], shown["parts"]) == ("", 1)
    assert shown["completed_at"] is not None


@pytest.mark.parametrize(
    "status", [pytest.param("Rejected", id="TC_N_29"), pytest.param("Invalid", id="TC_N_29-invalid")]
)
async def test_information_is_refused(bench: Bench, status: str) -> None:
    station = await bench.connect()
    asked = await ask(bench, station, BY_TOKEN, status)
    shown = await seen(bench, asked["requestId"])
    assert (shown["status"], shown["completed_at"], shown["information"]) == (status, None, "")


async def test_TC_N_32_clear_without_a_report(bench: Bench) -> None:
    station = await bench.connect()
    asked = await ask(bench, station, {"report": False, "clear": True} | BY_TOKEN)
    assert (asked["report"], asked["clear"]) == (False, True)
    shown = await seen(bench, asked["requestId"])
    assert (shown["clear"], shown["information"]) == (True, "")
    assert shown["completed_at"] is not None
    await notify(bench, station, asked["requestId"], "")  # some stations say so all the same


async def send_list(bench: Bench, station: Station, version: int, kind: str, *entries: dict[str, Any]) -> None:
    payload = {"versionNumber": version, "updateType": kind, "localAuthorizationList": list(entries)}
    await bench.exchange(station, "SendLocalList", payload, {"status": "Accepted"})


def entry(id_token: str) -> dict[str, Any]:
    return {"idToken": TOKEN | {"idToken": id_token}, "idTokenInfo": {"status": "Accepted"}}


async def test_TC_N_46_a_cleared_token_leaves_the_local_list(bench: Bench) -> None:
    station = await bench.connect()
    await send_list(bench, station, 4, "Full", entry("GOOD"), entry("GOOD2"))
    await send_list(bench, station, 5, "Differential", entry("GOOD3"))
    await ask(bench, station, {"clear": True} | BY_TOKEN)
    call = await bench.expect(station, "SendLocalList")
    assert call[3] == {
        "versionNumber": 6,
        "updateType": "Differential",
        "localAuthorizationList": [{"idToken": TOKEN}],
    }
    await station.answer(call, {"status": "Accepted"})

    async def sent() -> Any:
        return (await bench.api("GET", "/stations/CS1/commands?action=SendLocalList&limit=1"))["items"][0]

    await bench.eventually(sent, lambda command: command["state"] == "accepted")
    await ask(bench, station, {"clear": True} | BY_TOKEN)  # it is not there any more
    assert await station.calls_so_far() == []


@pytest.mark.parametrize("listed", [False, True])
async def test_a_token_that_is_not_listed_or_not_cleared_changes_no_list(bench: Bench, listed: bool) -> None:
    station = await bench.connect()
    await send_list(bench, station, 4, "Full", entry("GOOD"))
    if not listed:
        await send_list(bench, station, 5, "Full", entry("GOOD2"))
    await ask(bench, station, {"clear": not listed} | BY_TOKEN)
    assert await station.calls_so_far() == []


async def test_what_was_reported_can_be_forgotten(bench: Bench) -> None:
    station = await bench.connect()
    await notify(bench, station, 9, "unasked")
    assert (await seen(bench, 9))["status"] is None
    assert [r["request_id"] for r in (await bench.api("GET", "/stations/CS1/customer-information"))["items"]] == [9]
    await bench.api("DELETE", "/stations/CS1/customer-information/9", status=204)
    await bench.api("DELETE", "/stations/CS1/customer-information/9", status=404)
    await bench.api("GET", "/stations/CS1/customer-information/9", status=404)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"customer_identifier": "C-1"} | BY_TOKEN,
        {"report": False} | BY_TOKEN,
        {"customer_identifier": "C" * 65},
    ],
)
async def test_what_cannot_be_asked_is_refused(bench: Bench, body: dict[str, Any]) -> None:
    await bench.connect()
    assert (await bench.api("POST", "/stations/CS1/customer-information", body, status=422))["errors"]


@pytest.mark.parametrize(
    "change", [{"requestId": None}, {"seqNo": "0"}, {"data": "x" * 513}, {"data": 5}, {"colour": "red"}]
)
async def test_a_broken_part_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    station = await bench.connect()
    payload = {"requestId": 1, "seqNo": 0, "generatedAt": stamp(), "data": "x"} | change
    assert (await station.ask("NotifyCustomerInformation", payload))[0] == 4
    assert (await bench.api("GET", "/stations/CS1/customer-information"))["items"] == []
