"""OCPP 2.0.1, L. Firmware management."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.files import IMAGE, certificate, new_image
from tests.wire.station import Station

LOCATION = "https://files.example/firmware.bin"
DOWNLOADED = ("Downloading", "Downloaded", "SignatureVerified")


def request(request_id: int, **more: Any) -> dict[str, Any]:
    """An UpdateFirmwareRequest for signed firmware."""
    firmware = {"location": LOCATION, "retrieveDateTime": stamp(), "signature": "c2lnbmVk"}
    firmware |= {"signingCertificate": certificate()}
    return {"requestId": request_id, "firmware": firmware | more}


async def update(bench: Bench, station: Station, asked: dict[str, Any], status: str = "Accepted") -> Any:
    return await bench.exchange(station, "UpdateFirmware", asked, {"status": status})


async def tell(bench: Bench, station: Station, request_id: int, *statuses: str) -> None:
    for status in statuses:
        said = {"status": status, "requestId": request_id}
        assert await bench.ask(station, "FirmwareStatusNotification", said) == {}


async def transfer(bench: Bench, request_id: int) -> Any:
    """The one transfer with this request id, with its progress."""
    (found,) = (await bench.api("GET", f"/transfers?station_id=CS1&request_id={request_id}"))["items"]
    return await bench.api("GET", f"/transfers/{found['transfer_id']}")


def told(shown: Any) -> list[str]:
    return [said["status"] for said in shown["progress"]]


async def test_TC_L_01_secure_update_is_installed(bench: Bench) -> None:
    """An image of ours: asked for, downloaded from us, installed."""
    station = await bench.connect()
    image = await new_image(bench, signed=True)
    body = {"image_id": image["image_id"], "retries": 2, "retry_interval_s": 30}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/firmware-updates?wait=30", body, status=201))
    call = await bench.expect(station, "UpdateFirmware")
    firmware = call[3]["firmware"]
    assert (firmware["signature"], firmware["signingCertificate"]) == ("c2lnbmVk", image["signing_certificate"])
    assert (call[3]["retries"], call[3]["retryInterval"]) == (2, 30)
    await station.answer(call, {"status": "Accepted"})
    made = await asked
    assert (made["state"], made["status"], made["kind"]) == ("accepted", "Accepted", "firmware")
    async with bench.http.get(firmware["location"]) as download:
        assert await download.read() == IMAGE
    steps = (*DOWNLOADED, "Installing", "InstallRebooting", "Installed")
    await tell(bench, station, call[3]["requestId"], *steps)
    shown = await bench.api("GET", f"/transfers/{made['transfer_id']}")
    assert (shown["state"], told(shown)) == ("completed", list(steps))
    assert shown["ended_at"] is not None
    assert shown["fetched_at"] is not None


async def test_TC_L_02_install_scheduled(bench: Bench) -> None:
    station = await bench.connect()
    later = datetime.now(UTC) + timedelta(minutes=2)
    image = await new_image(bench, signed=True)
    body = {"image_id": image["image_id"], "install_at": stamp(later)}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/firmware-updates?wait=30", body, status=201))
    call = await bench.expect(station, "UpdateFirmware")
    assert call[3]["firmware"]["installDateTime"] == stamp(later)
    await station.answer(call, {"status": "Accepted"})
    await asked
    await tell(bench, station, call[3]["requestId"], *DOWNLOADED, "InstallScheduled")
    shown = await transfer(bench, call[3]["requestId"])
    assert (shown["state"], shown["status"]) == ("accepted", "InstallScheduled")
    await tell(bench, station, call[3]["requestId"], "Installing", "Installed")
    assert (await transfer(bench, call[3]["requestId"]))["state"] == "completed"


async def test_TC_L_03_download_scheduled(bench: Bench) -> None:
    station = await bench.connect()
    later = stamp(datetime.now(UTC) + timedelta(minutes=2))
    await update(bench, station, request(3, retrieveDateTime=later))
    await tell(bench, station, 3, "DownloadScheduled")
    assert (await transfer(bench, 3))["status"] == "DownloadScheduled"
    await tell(bench, station, 3, *DOWNLOADED, "Installing", "Installed")
    assert (await transfer(bench, 3))["state"] == "completed"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("RevokedCertificate", id="TC_L_04"),
        pytest.param("InvalidCertificate", id="TC_L_05"),
        pytest.param("Rejected", id="TC_L_11-unable-to-cancel"),
    ],
)
async def test_update_is_refused(bench: Bench, status: str) -> None:
    station = await bench.connect()
    await update(bench, station, request(1))
    await tell(bench, station, 1, "Downloading")
    command = await update(bench, station, request(4), status)
    assert command["state"] == "refused"
    shown = await transfer(bench, 4)
    assert (shown["state"], shown["status"], shown["progress"]) == ("refused", status, [])
    assert shown["ended_at"] is not None
    await tell(bench, station, 1, "Downloaded")  # the earlier one goes on
    assert (await transfer(bench, 1))["state"] == "accepted"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(("Downloading", "Downloaded", "InvalidSignature"), id="TC_L_06"),
        pytest.param(("Downloading", "DownloadFailed"), id="TC_L_07"),
        pytest.param((*DOWNLOADED, "Installing", "InstallVerificationFailed"), id="TC_L_08"),
        pytest.param((*DOWNLOADED, "Installing", "InstallationFailed"), id="TC_L_09"),
    ],
)
async def test_update_fails(bench: Bench, steps: tuple[str, ...]) -> None:
    station = await bench.connect()
    await update(bench, station, request(6))
    await tell(bench, station, 6, *steps)
    shown = await transfer(bench, 6)
    assert (shown["state"], shown["status"], told(shown)) == ("failed", steps[-1], list(steps))
    failed = await bench.api("GET", "/transfers?state=failed&kind=firmware")
    assert [t["request_id"] for t in failed["items"]] == [6]


async def test_TC_L_10_a_newer_update_cancels_the_one_under_way(bench: Bench) -> None:
    station = await bench.connect()
    await update(bench, station, request(1))
    await tell(bench, station, 1, "Downloading")
    command = await update(bench, station, request(2), "AcceptedCanceled")
    assert command["state"] == "accepted"
    assert (await transfer(bench, 1))["state"] == "canceled"
    assert (await transfer(bench, 2))["state"] == "accepted"
    await tell(bench, station, 1, "Downloading")  # sent before it was cancelled, and late
    await tell(bench, station, 2, *DOWNLOADED, "Installing", "Installed")
    assert [(await transfer(bench, n))["state"] for n in (1, 2)] == ["canceled", "completed"]


async def test_TC_L_13_ongoing_transaction(bench: Bench) -> None:
    """The station waits for the end of a transaction, and takes its EVSEs out of use meanwhile."""
    station = await bench.connect()
    await update(bench, station, request(13))
    await tell(bench, station, 13, *DOWNLOADED, "InstallScheduled")
    status = {"timestamp": stamp(), "connectorStatus": "Unavailable", "evseId": 2, "connectorId": 1}
    assert await bench.ask(station, "StatusNotification", status) == {}
    evses = (await bench.api("GET", "/stations/CS1"))["evses"]
    assert [e["status"] for e in evses if e["evse_id"] == 2] == ["Unavailable"]
    assert (await transfer(bench, 13))["status"] == "InstallScheduled"
    await tell(bench, station, 13, "Installing", "Installed")
    assert (await transfer(bench, 13))["state"] == "completed"


# --- publications -----------------------------------------------------------------------------------------------------


async def publish(bench: Bench, station: Station) -> tuple[Any, dict[str, Any]]:
    """An accepted publication of an image of ours; the transfer, and what the station was asked."""
    image = await new_image(bench)
    body = {"image_id": image["image_id"]}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/firmware-publications?wait=30", body, status=201))
    call = await bench.expect(station, "PublishFirmware")
    assert call[3]["checksum"] == hashlib.md5(IMAGE, usedforsecurity=False).hexdigest()
    await station.answer(call, {"status": "Accepted"})
    made = await asked
    assert (made["state"], made["kind"]) == ("accepted", "publication")
    return made, call[3]


async def tell_published(bench: Bench, station: Station, request_id: int, *statuses: str, **more: Any) -> None:
    for status in statuses:
        said = {"status": status, "requestId": request_id} | (more if status == "Published" else {})
        assert await bench.ask(station, "PublishFirmwareStatusNotification", said) == {}


async def test_TC_L_17_published(bench: Bench) -> None:
    station = await bench.connect()
    made, asked = await publish(bench, station)
    steps = ("Downloading", "Downloaded", "ChecksumVerified", "Published")
    where = ["http://controller.example/fw", "ftp://controller.example/fw"]
    await tell_published(bench, station, asked["requestId"], *steps, location=where)
    shown = await bench.api("GET", f"/transfers/{made['transfer_id']}")
    assert (shown["state"], told(shown), shown["published_at"]) == ("completed", list(steps), where)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(("Downloading", "Downloaded", "InvalidChecksum"), id="TC_L_19"),
        pytest.param(("Downloading", "Downloaded", "ChecksumVerified", "PublishFailed"), id="TC_L_20"),
        pytest.param(("Downloading", "DownloadFailed"), id="TC_L_24"),
    ],
)
async def test_publication_fails(bench: Bench, steps: tuple[str, ...]) -> None:
    station = await bench.connect()
    made, asked = await publish(bench, station)
    await tell_published(bench, station, asked["requestId"], *steps)
    shown = await bench.api("GET", f"/transfers/{made['transfer_id']}")
    assert (shown["state"], told(shown), shown["published_at"]) == ("failed", list(steps), None)


@pytest.mark.parametrize(
    ("answer", "state", "command_state"),
    [
        pytest.param("Unpublished", "withdrawn", "accepted", id="TC_L_21"),
        pytest.param("NoFirmware", "withdrawn", "refused", id="TC_L_22"),
        pytest.param("DownloadOngoing", "completed", "refused", id="TC_L_23"),
    ],
)
async def test_unpublish(bench: Bench, answer: str, state: str, command_state: str) -> None:
    station = await bench.connect()
    made, asked = await publish(bench, station)
    await tell_published(bench, station, asked["requestId"], "Published", location=["http://controller.example/fw"])
    command = await bench.exchange(station, "UnpublishFirmware", {"checksum": asked["checksum"]}, {"status": answer})
    assert command["state"] == command_state
    assert (await bench.api("GET", f"/transfers/{made['transfer_id']}"))["state"] == state


# --- out of the ordinary ----------------------------------------------------------------------------------------------


async def test_words_out_of_order_and_of_unknown_requests_are_kept(bench: Bench) -> None:
    station = await bench.connect()
    await tell(bench, station, 99, "Downloading")  # nobody asked for it
    unknown = await transfer(bench, 99)
    assert (unknown["action"], unknown["state"], told(unknown)) == (None, "accepted", ["Downloading"])
    await update(bench, station, request(5))
    await tell(bench, station, 5, "Installed", "Downloading", "DownloadFailed", "Downloaded")
    shown = await transfer(bench, 5)
    assert shown["state"] == "completed"  # once installed, it is
    assert len(shown["progress"]) == 4


async def test_the_first_word_may_come_before_the_answer(bench: Bench) -> None:
    station = await bench.connect()
    sent = asyncio.create_task(bench.send("CS1", "UpdateFirmware", request(8)))
    call = await bench.expect(station, "UpdateFirmware")
    await tell(bench, station, 8, "Downloading")
    await station.answer(call, {"status": "Accepted"})
    command = await sent
    shown = await transfer(bench, 8)
    assert (shown["command_id"], shown["action"]) == (command["command_id"], "UpdateFirmware")
    assert (shown["state"], shown["status"]) == ("accepted", "Downloading")


async def test_an_idle_station_has_lost_what_it_had_accepted(bench: Bench) -> None:
    station = await bench.connect()
    await update(bench, station, request(9))
    assert await bench.ask(station, "FirmwareStatusNotification", {"status": "Idle"}) == {}
    assert (await transfer(bench, 9))["state"] == "lost"


@pytest.mark.parametrize(
    "broken",
    [
        {"requestId": 1},
        {"status": "Exploded", "requestId": 1},
        {"status": "Installed", "requestId": "1"},
        {"status": "Installed", "requestId": 1, "colour": "red"},
    ],
)
async def test_a_broken_notification_is_refused_and_changes_nothing(bench: Bench, broken: Any) -> None:
    station = await bench.connect()
    await update(bench, station, request(1))
    assert (await station.ask("FirmwareStatusNotification", broken))[0] == 4
    assert (await transfer(bench, 1))["progress"] == []


async def test_a_station_that_is_not_there(bench: Bench) -> None:
    station = await bench.connect()
    await station.socket.close()
    await bench.eventually(lambda: bench.api("GET", "/stations/CS1"), lambda s: not s["connected"])
    made = await bench.api("POST", "/stations/CS1/firmware-updates?wait=30", {"location": LOCATION}, status=201)
    assert made["state"] == "offline"
