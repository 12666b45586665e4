"""Who may come in, as what, and whose socket is a station's."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.exceptions import InvalidStatus

from csms.ocpp.connection import NoAnswer
from csms.ocpp.credentials import hash_password, verify_password
from csms.ocpp.options import OcppOptions
from sessions import facts
from sessions.directory import Admission
from tests.wire.station import Central, basic, running

SECRET = "long-and-random-1"
BOOT = {"chargePointVendor": "Maker", "chargePointModel": "Box"}


async def refusal(central: Central, path: str = "CP1", *versions: str, authorization: str | None = None) -> str:
    """The status and reason with which a connection is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await central.connect(path, *versions, authorization=authorization, register=False)
    response = refused.value.response
    return f"{response.status_code} {bytes(response.body or b'').decode().strip()}"


async def raw_handshake(central: Central, *headers: bytes, path: bytes = b"/ocpp/CP1") -> bytes:
    """The first answer to a handshake written byte by byte; empty if the line is closed instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", central.server.port)
    lines = (
        b"GET " + path + b" HTTP/1.1",
        b"Host: central",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Protocol: ocpp1.6",
        *headers,
    )
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    async with asyncio.timeout(30):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


# --- the version ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (("ocpp1.6", "ocpp2.0.1"), "ocpp2.0.1"),
        (("ocpp2.0.1", "ocpp1.6"), "ocpp2.0.1"),
        (("ocpp1.6",), "ocpp1.6"),
        (("ocpp2.1", "ocpp1.6"), "ocpp2.1"),
        (("ocpp1.6", "ocpp2.0.1", "ocpp2.1"), "ocpp2.1"),
        (("ocpp9", "ocpp1.6"), "ocpp1.6"),
    ],
)
async def test_the_newest_version_in_common_is_spoken(central: Central, offered: tuple[str, ...], spoken: str) -> None:
    station = await central.connect("CP1", *offered)
    assert station.version == spoken
    connected = await central.inbox.first(facts.StationConnected)
    assert (connected.station_id, connected.version, connected.remote_address) == ("CP1", spoken, "127.0.0.1")
    assert (await central.line()).version == spoken


@pytest.mark.parametrize("offered", ["ocpp1.5", "ocpp2.0"])
async def test_no_version_in_common_is_said(central: Central, offered: str) -> None:
    central.directory.add("CP1")
    reason = await refusal(central, "CP1", offered)
    assert reason == "400 no OCPP version in common; this system speaks ocpp2.1, ocpp2.0.1, ocpp1.6"
    assert not central.inbox.facts


async def test_no_version_offered_is_said(central: Central) -> None:
    central.directory.add("CP1")
    reader, writer = await asyncio.open_connection("127.0.0.1", central.server.port)
    writer.write(
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith("HTTP/1.1 400 ")
    assert "no OCPP version in common" in answer


# --- the password -----------------------------------------------------------------------------------------------------


async def test_the_right_password_opens(central: Central) -> None:
    central.directory.add("CP1", await hash_password(SECRET))
    station = await central.connect("CP1", authorization=basic("CP1", SECRET))
    assert (await station.ask("Heartbeat", {}))[0] == 3


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        basic("CP1", "wrong"),
        basic("CP2", SECRET),
        basic("cp1", SECRET),
        basic("CP1", SECRET + " "),
        "Basic !!!",
        "Basic " + "Q1Ax",  # no colon
        "Bearer " + SECRET,
        "Basic",
        "Basic é",
    ],
)
async def test_any_other_password_does_not(central: Central, authorization: str | None) -> None:
    central.directory.add("CP1", await hash_password(SECRET))
    reason = await refusal(central, authorization=authorization)
    assert reason == "401 wrong or missing password for this station"
    assert not central.inbox.facts


async def test_a_refusal_asks_for_basic_authentication(central: Central) -> None:
    central.directory.add("CP1", await hash_password(SECRET))
    with pytest.raises(InvalidStatus) as refused:
        await central.connect("CP1")
    assert refused.value.response.headers["WWW-Authenticate"].startswith("Basic ")


async def test_two_authorization_headers_are_none(central: Central) -> None:
    central.directory.add("CP1", await hash_password(SECRET))
    header = b"Authorization: " + basic("CP1", SECRET).encode()
    assert (await raw_handshake(central, header, header)).startswith(b"HTTP/1.1 401 ")
    assert (await raw_handshake(central, header)).startswith(b"HTTP/1.1 101 ")


async def test_wrong_passwords_make_it_wait() -> None:
    options = OcppOptions(password_failures=2, password_wait_s=3600)
    async with running(options) as central:
        central.directory.add("CP1", await hash_password(SECRET))
        central.directory.add("CP2", await hash_password(SECRET))
        for _ in range(2):
            assert (await refusal(central, authorization=basic("CP1", "wrong"))).startswith("401")
        # Also the right one has to wait now, or guessing would go on.
        reason = await refusal(central, authorization=basic("CP1", SECRET))
        assert reason == "429 too many wrong passwords; try again later"
        await central.connect("CP2", authorization=basic("CP2", SECRET))


async def test_a_right_password_in_between_forgives() -> None:
    async with running(OcppOptions(password_failures=2, password_wait_s=3600)) as central:
        central.directory.add("CP1", await hash_password(SECRET))
        for _ in range(3):
            assert (await refusal(central, authorization=basic("CP1", "wrong"))).startswith("401")
            await central.connect("CP1", authorization=basic("CP1", SECRET))


async def test_the_wait_ends() -> None:
    async with running(OcppOptions(password_failures=1, password_wait_s=0)) as central:
        central.directory.add("CP1", await hash_password(SECRET))
        assert (await refusal(central, authorization=basic("CP1", "wrong"))).startswith("401")
        await central.connect("CP1", authorization=basic("CP1", SECRET))


@pytest.mark.parametrize("stored", ["", "plain", "bcrypt$c2FsdA==$aGFzaA==", "scrypt$?$aGFzaA==", "scrypt$a$b$c"])
async def test_a_stored_password_of_another_kind_matches_nothing(stored: str) -> None:
    assert not await verify_password("", stored)
    assert not await verify_password(stored, stored)


async def test_two_hashes_of_one_password_differ() -> None:
    first, second = await hash_password(SECRET), await hash_password(SECRET)
    assert first != second
    assert await verify_password(SECRET, first)
    assert await verify_password(SECRET, second)


# --- stations never heard of ------------------------------------------------------------------------------------------


async def test_accept_takes_a_stranger_in_and_keeps_its_password() -> None:
    async with running(OcppOptions(unknown_stations="accept")) as central:
        station = await central.connect("NEW", authorization=basic("NEW", SECRET), register=False)
        assert (await station.ask("BootNotification", BOOT))[2]["status"] == "Accepted"
        assert central.directory.stations["NEW"].admission is Admission.ACCEPTED
        assert SECRET not in repr(central.directory.stations["NEW"])
        await station.socket.close()
        assert (await refusal(central, "NEW", authorization=basic("NEW", "other"))).startswith("401")
        await central.connect("NEW", authorization=basic("NEW", SECRET), register=False)


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
async def test_hold_lets_a_stranger_boot_and_nothing_else(version: str) -> None:
    boot = BOOT if version == "ocpp1.6" else {"reason": "PowerUp", "chargingStation": {"model": "b", "vendorName": "m"}}
    async with running(OcppOptions(unknown_stations="hold", held_retry_s=45)) as central:
        station = await central.connect("NEW", version, register=False)
        _, _, answer = await station.ask("BootNotification", boot)
        assert (answer["status"], answer["interval"]) == ("Pending", 45)
        assert (await central.inbox.first(facts.StationBooted)).status == "Pending"
        for action in ("Heartbeat", "StatusNotification", "Authorize"):
            error = await station.ask(action, {})
            assert error[2:4] == ["SecurityError", "this station waits for an operator's approval"]
        assert central.directory.stations["NEW"].admission is Admission.HELD
        assert central.inbox.kinds() == {"StationBooted": 1}


async def test_refuse_leaves_a_stranger_outside() -> None:
    async with running(OcppOptions(unknown_stations="refuse")) as central:
        assert await refusal(central, "NEW") == "404 this station is not known here"
        assert not central.directory.stations
        await central.connect("CP1")


async def test_a_refused_station_stays_outside(central: Central) -> None:
    central.directory.add("CP1", admission=Admission.REFUSED)
    assert await refusal(central) == "403 this station is refused"
    assert not central.inbox.facts


# --- the identity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "identity"), [("CP%2D1", "CP-1"), ("a%40b%7Cc", "a@b|c"), ("NO*TAP*E1?token=x", "NO*TAP*E1")]
)
async def test_identities_may_be_percent_encoded(central: Central, path: str, identity: str) -> None:
    central.directory.add(identity)
    await central.connect(path, register=False)
    assert (await central.inbox.first(facts.StationConnected)).station_id == identity


@pytest.mark.parametrize(
    "path",
    [
        "",
        "CP1/x",
        "CP%2F1",
        "CP%001",
        "CP1%0A",
        "%0ACP1",
        "CP%FF",
        "CP%C3%A9",
        "CP 1".replace(" ", "%20"),
        "C" * 49,
        "%",
    ],
)
async def test_other_identities_are_nowhere(path: str) -> None:
    async with running(OcppOptions(unknown_stations="accept")) as central:
        assert await refusal(central, path) == "404 connect to /ocpp/<station id>"
        assert not central.directory.stations


@pytest.mark.parametrize("path", [b"/", b"/ocpp", b"/ocppx/CP1", b"/OCPP/CP1", b"*", b"http://central/ocpp/CP1"])
async def test_other_paths_are_nowhere(central: Central, path: bytes) -> None:
    central.directory.add("CP1")
    assert (await raw_handshake(central, path=path)).startswith(b"HTTP/1.1 404 ")


# --- whose socket -----------------------------------------------------------------------------------------------------


async def test_a_new_socket_replaces_the_old_one(central: Central) -> None:
    old = await central.connect("CP1")
    old_line = await central.line()
    waiting = asyncio.create_task(old_line.call("Reset", {"type": "Soft"}))
    await old.next_call()
    new = await central.connect("CP1")
    assert await old.closed() == (1000, "replaced by a newer connection")
    assert await waiting == NoAnswer("connection lost")
    assert (await new.ask("Heartbeat", {}))[0] == 3
    new_line = await central.line()
    assert (old_line.epoch, new_line.epoch) == (1, 2)
    gone = await central.inbox.first(facts.StationDisconnected)
    assert (gone.epoch, gone.reason) == (1, "1000 replaced by a newer connection")
    assert central.server.connections == {"CP1": new_line}


async def test_what_the_old_socket_says_late_is_refused(central: Central) -> None:
    """It is sent again on the new one; a message must not come from two lines."""
    committed = asyncio.Event()
    central.inbox.gate = lambda fact: committed if isinstance(fact, facts.ConformanceFound) else None
    old = await central.connect("CP1")
    await old.send(3, "nobody-asked", {})  # noted, and not answered: no write to the closed line gives it away
    await central.inbox.until(lambda: any(isinstance(fact, facts.ConformanceFound) for fact in central.inbox.waiting))
    start = {"connectorId": 1, "idTag": "ABCDEF", "meterStart": 0, "timestamp": "2026-11-23T11:00:00Z"}
    await old.send(2, "b", "StartTransaction", start)  # lies in the buffer while that is committed
    await (await old.socket.ping())
    new = await central.connect("CP1")
    await new.ask("Heartbeat", {})
    committed.set()
    await central.inbox.first(facts.StationDisconnected)
    assert not central.inbox.of(facts.TransactionStarted)
    assert (await new.ask("StartTransaction", start))[2]["transactionId"] == 101


@pytest.mark.parametrize("first_to_commit", [1, 2])
async def test_of_two_sockets_at_once_the_newer_epoch_wins(central: Central, first_to_commit: int) -> None:
    """Both connect before either is registered; whichever commit comes back first, epoch 2 is the station's."""
    events = {1: asyncio.Event(), 2: asyncio.Event()}
    seen: list[facts.Fact] = []

    def gate(fact: facts.Fact) -> asyncio.Event | None:
        if not isinstance(fact, facts.StationConnected):
            return None
        seen.append(fact)
        return events[len(seen)]

    central.inbox.gate = gate
    stations = [await central.connect("CP1"), await central.connect("CP1")]
    await central.inbox.until(lambda: len(central.inbox.waiting) == 2)
    later = 3 - first_to_commit
    events[first_to_commit].set()
    await central.inbox.first(facts.StationConnected)
    await central.line()
    events[later].set()
    await central.inbox.until(lambda: len(central.inbox.of(facts.StationConnected)) == 2)
    assert await stations[0].closed() == (1000, "replaced by a newer connection")
    assert (await stations[1].ask("Heartbeat", {}))[0] == 3
    assert {line.epoch for line in central.server.connections.values()} == {2}


async def test_a_station_that_hangs_up_is_gone(central: Central) -> None:
    station = await central.connect("CP1")
    line = await central.line()
    await station.socket.close(1001, "going away")
    gone = await central.inbox.first(facts.StationDisconnected)
    assert (gone.epoch, gone.reason) == (line.epoch, "1001 going away")
    assert not central.server.connections


# --- nothing secret is written down -----------------------------------------------------------------------------------


async def test_no_password_is_in_the_log(central: Central, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="tapvolt.websockets")
    central.directory.add("CP1", await hash_password(SECRET))
    authorization = basic("CP1", SECRET)
    station = await central.connect("CP1", authorization=authorization)
    await station.ask("BootNotification", BOOT)
    for wrong in (basic("CP2", SECRET), "Bearer " + SECRET):
        assert (await refusal(central, authorization=wrong)).startswith("401")
    # A header that is no HTTP: the parser's complaint would quote it.
    raw = authorization.encode()
    for header in (b"Authorization: " + raw + b"\x00", b"Authorization " + raw, b"Author\xffization: " + raw):
        await raw_handshake(central, header)
    await station.socket.close()
    await central.inbox.first(facts.StationDisconnected)
    written = "\n".join([caplog.text, *(str(record.__dict__) for record in caplog.records)])
    assert "wrong or missing password" in written
    for secret in (SECRET, authorization, authorization.split()[1]):
        assert secret not in written
