"""OCPP 1.6 Reservation: made, refused, used, run out and cancelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station


def reservation(connector_id: int = 1, id_tag: str = "GOOD", number: int = 11, **more: Any) -> dict[str, Any]:
    expiry = stamp(datetime.now(UTC) + timedelta(minutes=30))
    return {"connectorId": connector_id, "expiryDate": expiry, "idTag": id_tag, "reservationId": number} | more


def started(id_tag: str = "GOOD", number: Any = 11, connector_id: int = 1) -> dict[str, Any]:
    start = {"connectorId": connector_id, "idTag": id_tag, "meterStart": 0, "timestamp": stamp()}
    return start | ({} if number is None else {"reservationId": number})


async def reserve(bench: Bench, station: Station, wanted: dict[str, Any], status: str = "Accepted") -> Any:
    command = await bench.exchange(station, "ReserveNow", wanted, {"status": status})
    assert command["response"] == {"status": status}
    return command["state"]


async def report(bench: Bench, station: Station, status: str, connector_id: int = 1) -> None:
    sent = {"connectorId": connector_id, "errorCode": "NoError", "status": status}
    assert await bench.ask(station, "StatusNotification", sent) == {}


async def connector(bench: Bench, evse_id: int = 1) -> str:
    shown = (await bench.api("GET", "/stations/CS1/availability"))["connectors"]
    return str(next(c["status"] for c in shown if c["evse_id"] == evse_id))


async def charges(bench: Bench) -> list[tuple[str, str, int]]:
    running = (await bench.api("GET", "/sessions?station_id=CS1&open=true"))["items"]
    return [(s["origin"], s["id_token"], s["evse_id"]) for s in running]


async def test_TC_046_reserve_a_connector_and_use_it(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    assert await reserve(bench, station, reservation()) == "accepted"
    await report(bench, station, "Reserved")
    assert await connector(bench) == "Reserved"
    assert (await bench.ask(station, "Authorize", {"idTag": "GOOD"}))["idTagInfo"]["status"] == "Accepted"
    start = started()
    first = await bench.ask(station, "StartTransaction", start)
    assert first["idTagInfo"]["status"] == "Accepted"
    assert await bench.ask(station, "StartTransaction", start) == first  # told again: the same transaction
    await report(bench, station, "Charging")
    assert await charges(bench) == [("rfid", "GOOD", 1)]


async def test_TC_047_a_reservation_runs_out(bench: Bench) -> None:
    """The station gives the connector back by itself; nobody is charged, and who comes next can start."""
    station = await bench.connect(version="ocpp1.6")
    soon = stamp(datetime.now(UTC) + timedelta(milliseconds=50))
    assert await reserve(bench, station, reservation(expiryDate=soon)) == "accepted"
    await report(bench, station, "Reserved")
    await report(bench, station, "Available")
    assert await connector(bench) == "Available"
    assert await charges(bench) == []
    answer = await bench.ask(station, "StartTransaction", started("GOOD2", None))
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert await charges(bench) == [("rfid", "GOOD2", 1)]


@pytest.mark.parametrize(
    ("status", "reported"),
    [
        pytest.param("Faulted", "Faulted", id="TC_048_1-faulted"),
        pytest.param("Occupied", "Preparing", id="TC_048_2-occupied"),
        pytest.param("Unavailable", "Unavailable", id="TC_048_3-unavailable"),
        pytest.param("Rejected", "Available", id="TC_048_4-rejected"),
    ],
)
async def test_a_reservation_is_refused(bench: Bench, status: str, reported: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    await report(bench, station, reported)
    assert await reserve(bench, station, reservation(), status) == "refused"


async def test_TC_049_reserve_the_whole_station_and_use_it(bench: Bench) -> None:
    """Connector 0: any connector. The driver takes the second."""
    station = await bench.connect(version="ocpp1.6")
    assert await reserve(bench, station, reservation(0)) == "accepted"
    answer = await bench.ask(station, "StartTransaction", started(connector_id=2))
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert await charges(bench) == [("rfid", "GOOD", 2)]


@pytest.mark.parametrize(
    ("status", "state"),
    [pytest.param("Accepted", "accepted", id="TC_051"), pytest.param("Rejected", "refused", id="TC_052")],
)
async def test_cancel_a_reservation(bench: Bench, status: str, state: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    await reserve(bench, station, reservation())
    await report(bench, station, "Reserved")
    command = await bench.exchange(station, "CancelReservation", {"reservationId": 11}, {"status": status})
    assert (command["state"], command["response"]) == (state, {"status": status})
    if status == "Accepted":
        await report(bench, station, "Available")
        assert await connector(bench) == "Available"


async def test_TC_053_use_a_reserved_connector_with_the_parent(bench: Bench) -> None:
    """The second card is of the first one's parent: the station asks for it, and lets it charge."""
    for id_token in ("FIRST", "SECOND"):
        await bench.api("POST", "/id-tokens", {"id_token": id_token, "group_id": "PARENT"}, status=201)
    station = await bench.connect(version="ocpp1.6")
    assert await reserve(bench, station, reservation(id_tag="FIRST", parentIdTag="PARENT")) == "accepted"
    await report(bench, station, "Reserved")
    info = {"status": "Accepted", "parentIdTag": "PARENT"}
    assert (await bench.ask(station, "Authorize", {"idTag": "SECOND"}))["idTagInfo"] == info
    assert (await bench.ask(station, "StartTransaction", started("SECOND")))["idTagInfo"] == info
    assert await charges(bench) == [("rfid", "SECOND", 1)]


@pytest.mark.parametrize("number", [0, -1, 2**31, 999, "eleven", None, [1], 1.5], ids=repr)
async def test_a_start_is_taken_whatever_reservation_it_names(bench: Bench, number: Any) -> None:
    """A transaction that runs is told once: an odd reservation id must not lose it."""
    station = await bench.connect(version="ocpp1.6")
    start = started(number=None) | {"reservationId": number}
    answer = await bench.ask(station, "StartTransaction", start)
    assert answer["idTagInfo"]["status"] == "Accepted"
    assert await charges(bench) == [("rfid", "GOOD", 1)]


@pytest.mark.parametrize(
    ("action", "wrong"),
    [
        pytest.param("ReserveNow", reservation(id_tag="A" * 21), id="too-long"),
        pytest.param("ReserveNow", reservation(number="11"), id="wrong-type"),  # type: ignore[arg-type]
        pytest.param("ReserveNow", {"connectorId": 1, "idTag": "GOOD", "reservationId": 1}, id="no-expiry"),
        pytest.param("ReserveNow", reservation(evseId=1), id="another-version's-word"),
        pytest.param("CancelReservation", {}, id="cancel-nothing"),
    ],
)
async def test_a_request_that_breaks_the_schema_is_not_sent(bench: Bench, action: str, wrong: dict[str, Any]) -> None:
    station = await bench.connect(version="ocpp1.6")
    assert (await bench.api("POST", f"/stations/CS1/commands/{action}", wrong, status=422))["errors"]
    assert await station.calls_so_far() == []
