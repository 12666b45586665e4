"""Reservations: 2.0.1 H, 1.6 Reservation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

V16, V201 = "ocpp1.6", "ocpp2.0.1"
SOON = datetime.now(UTC) + timedelta(hours=1)


async def reserve(bench: Bench, station: Station, status: str = "Accepted", **wanted: Any) -> tuple[Any, Any]:
    """Reserve over the API; (what the station was sent, the command as it ended)."""
    body = {"id_token": "GOOD", "expires_at": SOON.isoformat()} | wanted
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/reservations?wait=30", body))
    call = await bench.expect(station, "ReserveNow")
    await station.answer(call, {"status": status})
    return call[3], await asked


async def states(bench: Bench) -> list[str]:
    return [r["state"] for r in (await bench.api("GET", "/stations/CS1/reservations"))["items"]]


async def start(bench: Bench, station: Station, id_token: str, **more: Any) -> Any:
    """A transaction on EVSE 1; how the token stands."""
    if station.version == V16:
        payload = {"connectorId": 1, "idTag": id_token, "meterStart": 0, "timestamp": stamp()} | more
        return (await bench.ask(station, "StartTransaction", payload))["idTagInfo"]["status"]
    event = {
        "eventType": "Started",
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-1"},
        "idToken": {"idToken": id_token, "type": "ISO14443"},
        "evse": {"id": 1, "connectorId": 1},
    } | more
    return (await bench.ask(station, "TransactionEvent", event))["idTokenInfo"]["status"]


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_H_01"), pytest.param(V16, id="TC_046")])
async def test_reserve_an_evse_and_use_it(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    sent, command = await reserve(bench, station, evse_id=1)
    assert command["state"] == "accepted"
    number = sent["reservationId" if version == V16 else "id"]
    (shown,) = (await bench.api("GET", "/stations/CS1/reservations?state=active"))["items"]
    assert (shown["reservation_id"], shown["evse_id"], shown["id_token"]) == (number, 1, "GOOD")
    assert await start(bench, station, "GOOD", reservationId=number) == "Accepted"
    assert await states(bench) == ["used"]


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_H_07"), pytest.param(V16, id="TC_047")])
async def test_a_reservation_that_is_not_used_expires(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    if version == V201:
        sent, _ = await reserve(bench, station, evse_id=1)
        update = {"reservationId": sent["id"], "reservationUpdateStatus": "Expired"}
        assert await bench.ask(station, "ReservationStatusUpdate", update) == {}
    else:  # 1.6 has no word for it: the time says so
        soon = datetime.now(UTC) + timedelta(milliseconds=400)
        await reserve(bench, station, evse_id=1, expires_at=soon.isoformat())
    await bench.eventually(lambda: states(bench), lambda found: found == ["expired"])
    assert (await bench.api("GET", "/stations/CS1/reservations?state=active"))["items"] == []
    assert len((await bench.api("GET", "/stations/CS1/reservations?state=expired"))["items"]) == 1


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_H_08"), pytest.param(V16, id="TC_049")])
async def test_reserve_any_evse(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    sent, command = await reserve(bench, station)
    assert command["state"] == "accepted"
    assert sent.get("connectorId" if version == V16 else "evseId", "none") == (0 if version == V16 else "none")
    assert await start(bench, station, "GOOD") == "Accepted"
    assert await states(bench) == ["used"]


async def test_TC_H_14_as_many_reservations_as_evses(bench: Bench) -> None:
    station = await bench.connect()
    for n in range(3):
        await reserve(bench, station, id_token=f"TOKEN{n}")
        await bench.ask(
            station,
            "StatusNotification",
            {"timestamp": stamp(), "connectorStatus": "Reserved", "evseId": n + 1, "connectorId": 1},
        )
    evses = (await bench.api("GET", "/stations/CS1"))["evses"]
    assert [e["status"] for e in evses] == ["Reserved"] * 3
    _, command = await reserve(bench, station, "Occupied", id_token="TOKEN4")
    assert command["state"] == "refused"
    assert sorted(await states(bench)) == ["active", "active", "active", "refused"]


async def test_TC_H_15_reserve_a_connector_of_a_type(bench: Bench) -> None:
    station = await bench.connect()
    sent, _ = await reserve(bench, station, connector_type="cCCS2")
    assert sent["connectorType"] == "cCCS2"
    (shown,) = (await bench.api("GET", "/stations/CS1/reservations"))["items"]
    assert (shown["connector_type"], shown["state"]) == ("cCCS2", "active")


@pytest.mark.parametrize(
    ("version", "status", "state"),
    [
        pytest.param(V201, "Accepted", "cancelled", id="TC_H_17"),
        pytest.param(V16, "Accepted", "cancelled", id="TC_051"),
        pytest.param(V16, "Rejected", "removed", id="TC_052-rejected"),
    ],
)
async def test_cancel_a_reservation(bench: Bench, version: str, status: str, state: str) -> None:
    station = await bench.connect(version=version)
    sent, _ = await reserve(bench, station, evse_id=1)
    number = sent["reservationId" if version == V16 else "id"]
    asked = asyncio.create_task(bench.api("DELETE", f"/stations/CS1/reservations/{number}?wait=30"))
    call = await bench.expect(station, "CancelReservation")
    assert call[3] == {"reservationId": number}
    await station.answer(call, {"status": status})
    await asked
    assert await states(bench) == [state]
    await bench.api("DELETE", "/stations/CS1/reservations/7", status=404)


@pytest.mark.parametrize("version", [pytest.param(V201, id="TC_H_19"), pytest.param(V16, id="TC_053")])
async def test_use_a_reserved_evse_by_its_group(bench: Bench, version: str) -> None:
    await bench.api("POST", "/id-tokens", {"id_token": "MEMBER", "group_id": "GROUP"}, status=201)
    station = await bench.connect(version=version)
    sent, _ = await reserve(bench, station, evse_id=1, group_id="GROUP")
    number = sent["reservationId" if version == V16 else "id"]
    if version == V16:
        info = (await bench.ask(station, "Authorize", {"idTag": "MEMBER"}))["idTagInfo"]
        assert (info["status"], info["parentIdTag"]) == ("Accepted", sent["parentIdTag"])
    else:
        token = {"idToken": "MEMBER", "type": "ISO14443"}
        info = (await bench.ask(station, "Authorize", {"idToken": token}))["idTokenInfo"]
        assert (info["status"], info["groupIdToken"]) == ("Accepted", sent["groupIdToken"])
    assert await start(bench, station, "MEMBER", reservationId=number) == "Accepted"
    assert await states(bench) == ["used"]


@pytest.mark.parametrize("version", [V16, V201])
async def test_a_group_uses_its_reservation_though_the_start_does_not_name_it(bench: Bench, version: str) -> None:
    await bench.api("POST", "/id-tokens", {"id_token": "MEMBER", "group_id": "group"}, status=201)
    station = await bench.connect(version=version)
    await reserve(bench, station, evse_id=2, group_id="Group")
    await reserve(bench, station, evse_id=1, group_id="Group")
    assert await start(bench, station, "MEMBER") == "Accepted"
    shown = (await bench.api("GET", "/stations/CS1/reservations"))["items"]
    assert {r["evse_id"]: r["state"] for r in shown} == {1: "used", 2: "active"}


async def test_an_operator_starts_at_a_reserved_evse_for_whom_it_is(bench: Bench) -> None:
    """For the group that has reserved it, and for nobody else."""
    await bench.api("POST", "/id-tokens", {"id_token": "MEMBER", "group_id": "GROUP"}, status=201)
    station = await bench.connect()
    status = {"timestamp": stamp(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    await bench.ask(station, "StatusNotification", status)
    await reserve(bench, station, evse_id=1, group_id="GROUP")
    for id_token, answer in (("GOOD2", 409), ("MEMBER", 201)):
        await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1, "id_token": id_token}, status=answer)
    assert (await bench.expect(station, "RequestStartTransaction"))[3]["idToken"]["idToken"] == "MEMBER"


async def test_evse_0_is_any(bench: Bench) -> None:
    station = await bench.connect()
    token = {"idToken": "GOOD", "type": "ISO14443"}
    wanted = {"id": 5, "expiryDateTime": stamp(SOON), "idToken": token, "evseId": 0}
    await bench.exchange(station, "ReserveNow", wanted, {"status": "Accepted"})
    (shown,) = (await bench.api("GET", "/stations/CS1/reservations"))["items"]
    assert shown["evse_id"] is None


async def test_TC_H_20_the_station_removes_a_reservation_when_faulted(bench: Bench) -> None:
    station = await bench.connect()
    sent, _ = await reserve(bench, station, evse_id=1)
    status = {"timestamp": stamp(), "connectorStatus": "Faulted", "evseId": 1, "connectorId": 1}
    await bench.ask(station, "StatusNotification", status)
    update = {"reservationId": sent["id"], "reservationUpdateStatus": "Removed"}
    assert await bench.ask(station, "ReservationStatusUpdate", update) == {}
    assert await bench.ask(station, "ReservationStatusUpdate", update | {"reservationId": 7}) == {}  # never heard of
    assert await states(bench) == ["removed"]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param(V201, "Rejected", id="TC_H_22"),
        pytest.param(V16, "Faulted", id="TC_048_1"),
        pytest.param(V16, "Occupied", id="TC_048_2"),
        pytest.param(V16, "Unavailable", id="TC_048_3"),
        pytest.param(V16, "Rejected", id="TC_048_4"),
    ],
)
async def test_a_reservation_that_is_refused(bench: Bench, version: str, status: str) -> None:
    station = await bench.connect(version=version)
    _, command = await reserve(bench, station, status, evse_id=1)
    assert (command["state"], command["response"]) == ("refused", {"status": status})
    (shown,) = (await bench.api("GET", "/stations/CS1/reservations"))["items"]
    assert (shown["state"], shown["status"]) == ("refused", status)


async def test_what_cannot_be_reserved_is_refused_with_the_reason(bench: Bench) -> None:
    body = {"id_token": "GOOD", "expires_at": "2020-01-01T00:00:00Z", "evse_id": 1}
    await bench.connect(version=V16)
    assert "passed" in (await bench.api("POST", "/stations/CS1/reservations", body, status=422))["detail"]
    last = body | {"expires_at": "9999-12-31T23:59:59-23:00"}
    await bench.api("POST", "/stations/CS1/reservations", last, status=422)
    long = body | {"expires_at": SOON.isoformat(), "id_token": "X" * 30}
    assert "not valid ocpp1.6" in (await bench.api("POST", "/stations/CS1/reservations", long, status=422))["detail"]
