"""Files of stations: the links, what comes in, what goes out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from csms.app import App
from csms.stations.file_store import FileStore
from tests.conformance.bench import Bench, bench
from tests.conformance.files import IMAGE, LOG, download, new_image, put_image
from tests.wire.station import Station


async def log_link(bench: Bench, station: Station) -> tuple[str, str]:
    """An accepted request for a log: (its transfer's id, where to upload it)."""
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/logs?wait=30", {}, status=201))
    call = await bench.expect(station, "GetLog")
    await station.answer(call, {"status": "Accepted", "filename": "a.log"})
    return (await asked)["transfer_id"], call[3]["log"]["remoteLocation"]


async def send(bench: Bench, url: str, content: Any, *, method: str = "PUT") -> int:
    async with bench.http.request(method, url, data=content) as answer:
        return answer.status


async def upload_of(bench: Bench, transfer_id: str) -> Any:
    return (await bench.api("GET", f"/transfers/{transfer_id}"))["upload"]


def stored(app: App) -> list[str]:
    """What lies on disk."""
    folder: Path = app.settings.files.folder
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_upload_in_every_form(bench: Bench) -> None:
    """With a length or in chunks, by PUT or POST, bare or as a form; each in place of the one before."""
    transfer_id, url = await log_link(bench, await bench.connect())
    assert await send(bench, url, LOG) == 201
    assert (await upload_of(bench, transfer_id))["name"] == "CS1.log"
    assert await send(bench, f"{url}two.log", pieces(b"two", b"!"), method="POST") == 200
    assert await download(bench, transfer_id) == b"two!"
    form = FormData(quote_fields=False)
    form.add_field("comment", "no file")
    form.add_field("file", b"three", filename="../three.log")
    assert await send(bench, url, form, method="POST") == 200
    upload = await upload_of(bench, transfer_id)
    assert (upload["name"], upload["size"]) == ("three.log", 5)
    assert upload["sha256"] == hashlib.sha256(b"three").hexdigest()
    assert await send(bench, url.rstrip("/"), b"") == 200
    assert await download(bench, transfer_id) == b""
    assert stored(bench.app) == [f"uploads/{transfer_id}"]


@pytest.mark.parametrize(
    "name",
    ["..%2F..%2Fetc%2Fpasswd", "%00.log", "a/b/c", "x" * 300, "%22%0d%0aSet-Cookie:%20a.log", "🔌.log", "..", "..%5Ca"],
)
async def test_names_are_never_trusted(bench: Bench, name: str) -> None:
    transfer_id, url = await log_link(bench, await bench.connect())
    assert await send(bench, f"{url}x/{name}", LOG) == 201
    kept = (await upload_of(bench, transfer_id))["name"]
    assert set(kept) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert 0 < len(kept) <= 100
    assert not kept.startswith(".")
    assert stored(bench.app) == [f"uploads/{transfer_id}"]
    assert await download(bench, transfer_id) == LOG


async def test_a_wrong_link_is_worth_nothing(bench: Bench) -> None:
    station = await bench.connect()
    transfer_id, url = await log_link(bench, station)
    image = await new_image(bench)
    asked = asyncio.create_task(
        bench.api("POST", "/stations/CS1/firmware-updates?wait=30", {"image_id": image["image_id"]}, status=201)
    )
    call = await bench.expect(station, "UpdateFirmware")
    await station.answer(call, {"status": "Accepted"})
    await asked
    location = call[3]["firmware"]["location"]
    firmware_token = location.split("/")[-2]
    log_token = url.split("/")[-2]
    base = url.split("/uploads/")[0]
    for wrong in ("A" * 43, "short", "%00" * 43, transfer_id, firmware_token):
        assert await send(bench, f"{base}/uploads/{wrong}/", LOG) == 404
    for wrong in ("A" * 43, "short", log_token, image["image_id"]):
        assert await send(bench, f"{base}/firmware/{wrong}/firmware.bin", None, method="GET") == 404
    assert await send(bench, url, None, method="GET") == 405
    assert await upload_of(bench, transfer_id) is None


async def test_what_is_too_large_is_not_kept(database_url: str) -> None:
    async with bench(database_url, files={"max_bytes": 2048}) as small:
        transfer_id, url = await log_link(small, await small.connect())
        assert await send(small, url, b"x" * 2048) == 201
        assert await send(small, url, b"x" * 2049) == 413
        assert await send(small, url, pieces(b"x" * 1024, b"x" * 1025)) == 413  # nobody said how much would come
        assert await download(small, transfer_id) == b"x" * 2048
        image = await small.api("POST", "/firmware", {"version": "1"}, status=201)
        await put_image(small, image["image_id"], b"x" * 2049, status=413)
        await put_image(small, image["image_id"], pieces(b"x" * 1024, b"x" * 1025), status=413)
        assert stored(small.app) == [f"uploads/{transfer_id}"]


async def test_an_upload_that_breaks_off_leaves_the_one_before(bench: Bench) -> None:
    transfer_id, url = await log_link(bench, await bench.connect())
    assert await send(bench, url, b"whole") == 201
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.app.http_port)
    path = "/" + url.split("/", 3)[3]
    writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode() + b"x" * 500)
    await writer.drain()

    async def parts() -> list[str]:
        return [name for name in stored(bench.app) if name.endswith(".part")]

    await bench.eventually(parts, bool)
    writer.close()
    await bench.eventually(parts, lambda found: not found)
    assert await download(bench, transfer_id) == b"whole"
    del reader


async def test_an_older_upload_gives_way_to_a_newer_one(bench: Bench) -> None:
    transfer_id, url = await log_link(bench, await bench.connect())
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"old"
        await go_on.wait()
        yield b"old"

    older = asyncio.create_task(send(bench, url, slowly()))

    async def begun() -> list[str]:
        return stored(bench.app)

    await bench.eventually(begun, bool)
    assert await send(bench, url, b"new") == 201
    go_on.set()
    assert await older == 400
    assert await download(bench, transfer_id) == b"new"


async def test_a_link_ends_with_its_transfer(bench: Bench) -> None:
    station = await bench.connect()
    transfer_id, url = await log_link(bench, station)
    assert await send(bench, url, LOG) == 201
    request_id = (await bench.api("GET", f"/transfers/{transfer_id}"))["request_id"]
    await bench.ask(station, "LogStatusNotification", {"status": "Uploaded", "requestId": request_id})
    assert await send(bench, url, b"forged") == 410
    assert await download(bench, transfer_id) == LOG


async def test_a_firmware_download_in_parts_and_after_its_deletion(bench: Bench) -> None:
    station = await bench.connect()
    image = await new_image(bench)
    body = {"image_id": image["image_id"]}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/firmware-updates?wait=30", body, status=201))
    call = await bench.expect(station, "UpdateFirmware")
    await station.answer(call, {"status": "Accepted"})
    await asked
    location = call[3]["firmware"]["location"]
    assert location.endswith("/firmware.bin")
    async with bench.http.head(location) as answer:
        assert answer.headers["Content-Length"] == str(len(IMAGE))
    async with bench.http.get(location, headers={"Range": "bytes=9-17"}) as answer:
        assert (answer.status, await answer.read()) == (206, IMAGE[9:18])
    await bench.api("DELETE", f"/firmware/{image['image_id']}", status=204)
    assert await send(bench, location, None, method="GET") == 404
    assert stored(bench.app) == []


async def test_images_are_described_uploaded_once_and_listed(bench: Bench) -> None:
    made = await bench.api(
        "POST", "/firmware", {"version": "2.0", "vendor": "V", "file_name": "../f w.bin"}, status=201
    )
    assert (made["size"], made["signed"], made["file_name"]) == (None, False, "f_w.bin")
    await bench.connect()
    too_soon = {"image_id": made["image_id"]}
    assert "no file yet" in (await bench.api("POST", "/stations/CS1/firmware-updates", too_soon, status=409))["detail"]
    shown = await put_image(bench, made["image_id"], IMAGE)
    assert (shown["size"], shown["sha256"]) == (len(IMAGE), hashlib.sha256(IMAGE).hexdigest())
    assert "another image" in (await put_image(bench, made["image_id"], b"other", status=409))["detail"]
    assert (await bench.api("GET", "/firmware?vendor=V"))["items"] == [shown]
    assert (await bench.api("GET", "/firmware?vendor=W"))["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"version": "1", "signature": "c2ln"},
        {"version": "1", "signature": "no base64!", "signing_certificate": "x"},
        {"version": "1", "signature": "c2ln", "signing_certificate": "no certificate"},
        {"version": ""},
        {},
    ],
)
async def test_a_wrong_image_is_refused_with_the_reason(bench: Bench, body: Any) -> None:
    assert (await bench.api("POST", "/firmware", body, status=422))["errors"]
    assert (await bench.api("GET", "/firmware"))["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image_id": "img_000000000000000000000000", "location": "http://x/"},
        {"location": "no address"},
        {"location": "http://x/", "signature": "c2ln"},
        {"location": "http://x/", "retries": -1},
    ],
)
async def test_a_wrong_update_is_refused_with_the_reason(bench: Bench, body: Any) -> None:
    await bench.connect()
    assert (await bench.api("POST", "/stations/CS1/firmware-updates", body, status=422))["errors"]


async def test_a_link_is_a_secret(bench: Bench) -> None:
    """Neither the frame log, nor the command, nor the transfer shows it."""
    transfer_id, url = await log_link(bench, await bench.connect())
    token = url.split("/")[-2]
    frames = await bench.api("GET", "/stations/CS1/messages?limit=100")
    commands = await bench.api("GET", "/stations/CS1/commands")
    transfer = await bench.api("GET", f"/transfers/{transfer_id}")
    assert "/uploads/**********/" in str(frames)
    assert "/uploads/**********/" in str(commands)
    assert token not in f"{frames}{commands}{transfer}"


async def test_links_expire(database_url: str) -> None:
    async with bench(database_url, files={"link_lifetime_h": 1e-6}) as hasty:
        transfer_id, url = await log_link(hasty, await hasty.connect())
        assert await send(hasty, url, LOG) == 410
        assert await upload_of(hasty, transfer_id) is None


async def test_uploads_are_kept_for_a_time(bench: Bench) -> None:
    transfer_id, url = await log_link(bench, await bench.connect())
    assert await send(bench, url, LOG) == 201
    assert await bench.app.files.sweep() == 0  # it is new
    folder = bench.app.settings.files.folder
    later = FileStore(bench.app.engine, bench.app.clock.now, folder=folder, max_bytes=1, keep=timedelta(0))
    assert await later.sweep() == 1
    assert await later.sweep() == 0
    assert (await upload_of(bench, transfer_id))["removed_at"] is not None
    await download(bench, transfer_id, status=404)
    assert stored(bench.app) == []


async def test_what_a_crash_left_half_written_is_dropped(bench: Bench) -> None:
    folder = bench.app.settings.files.folder / "uploads"
    folder.mkdir()
    (folder / "trf_1.abcd.part").write_bytes(b"half")
    (folder / "trf_1").write_bytes(b"whole")
    store = FileStore(bench.app.engine, bench.app.clock.now, folder=folder.parent, max_bytes=1, keep=timedelta(1))
    await store.start()
    await store.stop()
    assert stored(bench.app) == ["uploads/trf_1"]
