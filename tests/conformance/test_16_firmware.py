"""OCPP 1.6: firmware, diagnostics, and their secure kinds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.files import IMAGE, LOG, certificate, download, new_image
from tests.wire.station import Station


async def ask(bench: Bench, station: Station, path: str, body: Any, action: str, answer: Any) -> tuple[Any, Any]:
    """Ask through the API and let the station answer; the transfer, and what the station was asked."""
    asked = asyncio.create_task(bench.api("POST", f"/stations/CS1/{path}?wait=30", body, status=201))
    call = await bench.expect(station, action)
    await station.answer(call, answer)
    return await asked, call[3]


async def tell(bench: Bench, station: Station, action: str, *said: dict[str, Any]) -> None:
    for payload in said:
        assert await bench.ask(station, action, payload) == {}


async def seen(bench: Bench, made: Any) -> Any:
    return await bench.api("GET", f"/transfers/{made['transfer_id']}")


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        pytest.param(("Downloading", "Downloaded", "Installing", "Installed"), "completed", id="TC_044_1"),
        pytest.param(("Downloading", "DownloadFailed"), "failed", id="TC_044_2"),
        pytest.param(("Downloading", "Downloaded", "Installing", "InstallationFailed"), "failed", id="TC_044_3"),
    ],
)
async def test_firmware_update(bench: Bench, steps: tuple[str, ...], state: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    image = await new_image(bench)
    body = {"image_id": image["image_id"], "retries": 1}
    made, asked = await ask(bench, station, "firmware-updates", body, "UpdateFirmware", {})
    assert asked["retries"] == 1
    assert (made["state"], made["request_id"]) == ("accepted", None)
    async with bench.http.get(asked["location"]) as answer:
        assert await answer.read() == IMAGE
    await tell(bench, station, "FirmwareStatusNotification", *({"status": step} for step in steps))
    shown = await seen(bench, made)
    assert (shown["state"], [said["status"] for said in shown["progress"]]) == (state, list(steps))


async def test_TC_045_1_get_diagnostics(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    oldest = stamp()
    made, asked = await ask(
        bench, station, "logs", {"oldest": oldest}, "GetDiagnostics", {"fileName": "diagnostics.tar"}
    )
    assert asked["startTime"] == oldest
    assert (made["state"], made["file_name"], made["log_type"]) == ("accepted", "diagnostics.tar", "DiagnosticsLog")
    await tell(bench, station, "DiagnosticsStatusNotification", {"status": "Uploading"})
    async with bench.http.put(f"{asked['location']}diagnostics.tar", data=LOG) as answer:
        assert answer.status == 201
    await tell(bench, station, "DiagnosticsStatusNotification", {"status": "Uploaded"})
    shown = await seen(bench, made)
    assert (shown["state"], shown["upload"]["name"], shown["upload"]["size"]) == (
        "completed",
        "diagnostics.tar",
        len(LOG),
    )
    assert await download(bench, made["transfer_id"]) == LOG


async def test_TC_045_2_get_diagnostics_upload_failed(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    made, _ = await ask(bench, station, "logs", {}, "GetDiagnostics", {"fileName": "diagnostics.tar"})
    await tell(bench, station, "DiagnosticsStatusNotification", {"status": "Uploading"}, {"status": "UploadFailed"})
    shown = await seen(bench, made)
    assert (shown["state"], shown["upload"]) == ("failed", None)
    await download(bench, made["transfer_id"], status=404)


async def test_diagnostics_of_which_there_are_none(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    made, _ = await ask(bench, station, "logs", {}, "GetDiagnostics", {})
    assert made["state"] == "empty"
    assert made["ended_at"] is not None


async def test_TC_079_get_security_log(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    answer = {"status": "Accepted", "filename": "security.log"}
    made, asked = await ask(bench, station, "logs", {"log_type": "SecurityLog"}, "GetLog", answer)
    assert (asked["logType"], asked["requestId"]) == ("SecurityLog", made["request_id"])
    known = {"requestId": asked["requestId"]}
    await tell(bench, station, "LogStatusNotification", {"status": "Uploading"} | known)
    async with bench.http.put(asked["log"]["remoteLocation"], data=LOG) as upload:
        assert upload.status == 201
    await tell(bench, station, "LogStatusNotification", {"status": "Uploaded"} | known)
    assert (await seen(bench, made))["state"] == "completed"
    assert await download(bench, made["transfer_id"]) == LOG


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        pytest.param(
            ("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"),
            "completed",
            id="TC_080",
        ),
        pytest.param(("Downloading", "Downloaded", "InvalidSignature"), "failed", id="TC_081"),
    ],
)
async def test_secure_firmware_update(bench: Bench, steps: tuple[str, ...], state: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    image = await new_image(bench, signed=True)
    body = {"image_id": image["image_id"]}
    made, asked = await ask(bench, station, "firmware-updates", body, "SignedUpdateFirmware", {"status": "Accepted"})
    assert (asked["firmware"]["signature"], asked["firmware"]["signingCertificate"]) == ("c2lnbmVk", certificate())
    said = [{"status": step, "requestId": asked["requestId"]} for step in steps]
    await tell(bench, station, "SignedFirmwareStatusNotification", *said)
    shown = await seen(bench, made)
    assert (shown["state"], [word["status"] for word in shown["progress"]]) == (state, list(steps))


@pytest.mark.parametrize("status", ["Rejected", "InvalidCertificate", "RevokedCertificate"])
async def test_secure_firmware_update_is_refused(bench: Bench, status: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    image = await new_image(bench, signed=True)
    body = {"image_id": image["image_id"]}
    made, _ = await ask(bench, station, "firmware-updates", body, "SignedUpdateFirmware", {"status": status})
    assert (made["state"], made["status"]) == ("refused", status)


async def test_a_word_without_a_request_means_the_newest_transfer(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    first, _ = await ask(bench, station, "firmware-updates", {"location": "ftp://x/1"}, "UpdateFirmware", {})
    await tell(bench, station, "FirmwareStatusNotification", {"status": "Installed"})
    second, _ = await ask(bench, station, "firmware-updates", {"location": "ftp://u:p@x/2"}, "UpdateFirmware", {})
    await tell(bench, station, "FirmwareStatusNotification", {"status": "DownloadFailed"})
    assert [(await seen(bench, made))["state"] for made in (first, second)] == ["completed", "failed"]
    assert (await seen(bench, second))["location"] == "ftp://**********@x/2"


@pytest.mark.parametrize("action", ["FirmwareStatusNotification", "DiagnosticsStatusNotification"])
@pytest.mark.parametrize("broken", [{}, {"status": "Exploded"}, {"status": 5}, {"status": "Idle", "colour": "red"}])
async def test_a_broken_word_is_refused(bench: Bench, action: str, broken: Any) -> None:
    station = await bench.connect(version="ocpp1.6")
    assert (await station.ask(action, broken))[0] == 4
    assert (await bench.api("GET", "/transfers"))["items"] == []
