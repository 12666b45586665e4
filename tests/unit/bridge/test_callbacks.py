"""Callbacks: unsigned, twice, late, forged, too long, or garbage; and the bridge as the application sees it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.bridge import Bridge
from bridge.cards import card_ref
from bridge.redaction import RedactingAccessLogger, http_log
from bridge.screens import screen_id
from sessions.directory import ArmState
from sessions.facts import ArmClosed, CardPresented, EvseChosen, TerminalStateReported
from sessions.ports import TerminalPort
from tests.unit.bridge.memory import SERIAL, MemoryHouse, now, terminal
from tests.unit.bridge.scripted_cloud import CALLBACK_SECRET, CARD_ID, HASH_KEY, ScriptedCloud, options, running
from tests.unit.bridge.test_payter_objects import luhn_valid

CARD = {
    "serialNumber": SERIAL,
    "ifd": "CONTACTLESS",
    "cardId": CARD_ID,
    "maskedPan": "512345******1234",
    "sessions": [],
}


@pytest.fixture
async def bridge(cloud: ScriptedCloud, house: MemoryHouse) -> AsyncIterator[Bridge]:
    bridge = Bridge(options(cloud.base_url), house, house, now)
    yield bridge
    await bridge.stop()


class Caller:
    """Payter, calling back."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.session = session

    async def post(self, path: str, body: Any = None, secret: str = CALLBACK_SECRET) -> tuple[int, str]:
        data = {"data": body} if isinstance(body, (bytes, AsyncIterator)) else {"json": body}
        async with self.session.post(f"{self.base_url}/callbacks/payter/{secret}/{path}", **data) as response:
            return response.status, await response.text()


@pytest.fixture
async def caller(bridge: Bridge) -> AsyncIterator[Caller]:
    app = web.Application()
    app.add_routes(bridge.routes())
    async with running(app) as base_url, aiohttp.ClientSession() as session:
        yield Caller(base_url, session)


async def test_a_card_callback_is_stored_before_it_is_answered(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm()
    assert await caller.post("arm-1/card", CARD) == (200, "")
    [presented] = house.seen(CardPresented)
    assert presented.key == "card:arm-1"
    assert presented.card.card_ref == card_ref(HASH_KEY, CARD_ID)


async def test_twice_is_once(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm()
    answers = await asyncio.gather(*(caller.post("arm-1/card", CARD) for _ in range(5)))
    assert set(answers) == {(200, "")}
    assert len(house.seen(CardPresented)) == 1


async def test_too_late_changes_nothing(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm(state=ArmState.CLOSED)
    assert await caller.post("arm-1/card", CARD) == (200, "")
    assert await caller.post("arm-1/ui", {"screenId": screen_id("ses", "k"), "response": "CP/1"}) == (200, "")
    assert house.submissions == 0


@pytest.mark.parametrize(
    ("secret", "path"),
    [
        ("wrong", "arm-1/card"),
        ("", "arm-1/card"),
        (CALLBACK_SECRET + "x", "arm-1/card"),
        (CALLBACK_SECRET.upper(), "arm-1/card"),
        ("%F0%9F%94%8C", "arm-1/card"),
        (CALLBACK_SECRET, "arm-2/card"),
        (CALLBACK_SECRET, "x" * 100 + "/card"),
        (CALLBACK_SECRET, "arm-1/refund"),
        (CALLBACK_SECRET, "arm-1"),
        ("wrong", "terminal"),
    ],
)
async def test_whatever_is_wrong_with_the_path_is_the_same_404(
    caller: Caller, house: MemoryHouse, secret: str, path: str
) -> None:
    house.put_arm()
    assert await caller.post(path, CARD, secret) == (404, "404: Not Found")
    assert house.submissions == 0


async def test_a_card_of_another_terminal_is_not_taken(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm()
    assert (await caller.post("arm-1/card", {**CARD, "serialNumber": "OTHER"}))[0] == 404
    assert house.submissions == 0


@pytest.mark.parametrize("body", [b"<xml/>", b"[1]", b'"text"', b"17", b"{", b"\xff"])
async def test_garbage_is_refused(caller: Caller, house: MemoryHouse, body: bytes) -> None:
    house.put_arm()
    for path in ("arm-1/card", "arm-1/ui", "arm-1/session", "terminal"):
        assert await caller.post(path, body) == (400, "")
    assert house.submissions == 0


async def test_too_much_is_refused(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 8192

    assert (await caller.post("arm-1/card", b" " * (64 * 1024 + 1)))[0] == 413
    assert (await caller.post("arm-1/card", chunks()))[0] == 413
    assert (await caller.post("arm-1/card", b" " * (64 * 1024)))[0] == 200


async def test_a_choice(caller: Caller, house: MemoryHouse) -> None:
    house.put_arm(state=ArmState.PRESENTED)
    screen = screen_id("ses", "key")
    for _ in range(2):
        assert await caller.post("arm-1/ui", {"serialNumber": SERIAL, "screenId": screen, "response": "NO%2E2/1"}) == (
            200,
            "",
        )
    [chosen] = house.seen(EvseChosen)
    assert (chosen.key, chosen.session_id, chosen.choice, chosen.serial) == (
        f"choice:{screen}",
        "ses",
        "NO.2/1",
        SERIAL,
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"screenId": "start", "response": "ok"},
        {"screenId": "ses.mark"},
        {"screenId": "ses.mark", "response": ""},
        {"screenId": 7, "response": "x"},
        {"screenId": "s" * 200 + ".x", "response": "x"},
        {"screenId": "ses.mark", "response": "x" * 300},
        {"screenId": "ses.mark", "response": luhn_valid("512345")},
    ],
)
async def test_a_touch_that_chooses_nothing(caller: Caller, house: MemoryHouse, body: dict[str, Any]) -> None:
    house.put_arm(state=ArmState.PRESENTED)
    assert await caller.post("arm-1/ui", body) == (200, "")
    assert house.submissions == 0


async def test_a_pan_in_a_callback_is_neither_stored_nor_logged(
    caller: Caller, house: MemoryHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house.put_arm()
    pan = luhn_valid("512345")
    await caller.post("arm-1/card", {**CARD, "maskedPan": pan, "aid": pan, "ifd": pan, "extra": pan, "cardId": pan})
    [presented] = house.seen(CardPresented)
    assert presented.card.masked_pan == f"512345******{pan[-4:]}"
    assert pan not in repr(house.facts) + caplog.text


async def test_what_cannot_be_stored_is_not_acknowledged(
    caller: Caller, house: MemoryHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house.put_arm()
    house.broken = 2
    assert await caller.post("arm-1/card", CARD) == (503, "")
    assert await caller.post("terminal", {"serialNumber": SERIAL, "online": False}) == (503, "")
    for secret in (CALLBACK_SECRET, CARD_ID, "parameters", "arm-1"):
        assert secret not in caplog.text
    assert await caller.post("arm-1/card", CARD) == (200, "")
    assert len(house.seen(CardPresented)) == 1


async def test_the_terminal_hook(caller: Caller, house: MemoryHouse) -> None:
    assert await caller.post("terminal", {"serialNumber": SERIAL, "online": False, "state": "IDLE"}) == (200, "")
    assert await caller.post("terminal", {"serialNumber": "NOT-OURS", "online": False}) == (200, "")
    assert await caller.post("terminal", {"serialNumber": SERIAL, "state": "READING"}) == (200, "")
    assert await caller.post("terminal", {}) == (200, "")
    [report] = house.seen(TerminalStateReported)
    assert (report.serial, report.online, report.state) == (SERIAL, False, "IDLE")


async def test_the_access_log_knows_templates_only(
    bridge: Bridge, house: MemoryHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house.put_arm()
    app = web.Application()
    app.add_routes(bridge.routes())
    runner = web.AppRunner(app, access_log_class=RedactingAccessLogger)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        caller = Caller(f"http://{host}:{port}", session)
        await caller.post("arm-1/card", CARD)
        await caller.post("arm-1/card?cardId=leak", CARD, "wrong-secret")
        async with session.post(f"{caller.base_url}/nowhere/{CALLBACK_SECRET}"):
            pass
    await runner.cleanup()
    assert "POST /callbacks/payter/{secret}/{arm_id}/{kind} 200" in caplog.text
    assert "POST (no route) 404" in caplog.text
    for secret in (CALLBACK_SECRET, "wrong-secret", "arm-1", "leak", CARD_ID):
        assert secret not in caplog.text


async def test_a_request_that_cannot_be_read_is_logged_without_its_text(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = web.Application()
    app.add_routes(bridge.routes())
    runner = web.AppRunner(app, access_log_class=RedactingAccessLogger, logger=http_log)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for line in (f"/callbacks/payter/{CALLBACK_SECRET}/{'x' * 10_000} HTTP/1.1", f"/{CALLBACK_SECRET} HTTP/nine"):
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(f"POST {line}\r\nHost: c\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
        writer.close()
    await runner.cleanup()
    assert caplog.text.count("(no route) 400") == 2
    assert "LineTooLong" in caplog.text
    assert CALLBACK_SECRET not in caplog.text


# --- the whole bridge -------------------------------------------------------------------------------------------------


async def until_armed(cloud: ScriptedCloud, times: int = 1) -> None:
    await cloud.until(lambda: len(cloud.calls("start")) >= times and cloud.asked[-1].call == "card")


async def test_it_keeps_every_terminal_also_one_that_comes_later(
    bridge: Bridge, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    port: TerminalPort = bridge.port
    assert port is bridge.port
    await bridge.start()
    await bridge.start()  # twice is once
    await until_armed(cloud)
    cloud.state = "IDLE"
    house.records["T2"] = terminal("T2")
    bridge.wake("T2")
    await cloud.until(lambda: len(cloud.calls("start")) == 2)
    assert {asked.path.split("/")[2].split("?")[0] for asked in cloud.calls("start")} == {SERIAL, "T2"}


async def test_a_terminal_taken_away_and_given_back(bridge: Bridge, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    await bridge.start()
    await until_armed(cloud)
    record = house.records.pop(SERIAL)
    bridge.wake(SERIAL)
    await cloud.until(lambda: bool(cloud.calls("stop")))
    await house.until(lambda: bool(house.seen(ArmClosed)))
    house.records[SERIAL] = record
    await until_armed(cloud, 2)


async def test_a_callback_wakes_the_keeper_and_a_lost_one_does_no_harm(
    bridge: Bridge, caller: Caller, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.cards_wait = False
    await bridge.start()
    await until_armed(cloud)
    await caller.post(f"{house.latest[SERIAL]}/card", CARD)  # presented, refused: stop and arm again
    await until_armed(cloud, 2)
    await cloud.set(state="CARD")  # no callback
    await until_armed(cloud, 3)
    assert len(house.seen(CardPresented)) == 2


async def test_a_callback_without_a_card_id_makes_the_keeper_look(
    bridge: Bridge, caller: Caller, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    await bridge.start()
    await until_armed(cloud)
    cloud.state = "CARD"  # silently: the long poll does not notice
    arm_id = house.latest[SERIAL]
    assert await caller.post(f"{arm_id}/card", {"sessionId": "x", "maskedPan": "512345******1234"}) == (200, "")
    await house.until(lambda: f"card:{arm_id}" in house.facts)


async def test_callback_and_poll_of_one_tap_are_one_fact(
    bridge: Bridge, caller: Caller, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    await bridge.start()
    await until_armed(cloud)
    arm_id = house.latest[SERIAL]
    await asyncio.gather(cloud.set(state="CARD"), *(caller.post(f"{arm_id}/card", CARD) for _ in range(3)))
    await house.until(lambda: bool(house.seen(CardPresented)))
    assert len(house.seen(CardPresented)) == 1


async def test_the_hook_is_believed_only_until_the_cloud_was_asked(
    bridge: Bridge, caller: Caller, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    await bridge.start()
    await until_armed(cloud)
    await caller.post("terminal", {"serialNumber": SERIAL, "online": False})  # stale: it is online
    await house.until(lambda: len(house.seen(TerminalStateReported)) == 3)
    assert [report.online for report in house.seen(TerminalStateReported)] == [True, False, True]
    await cloud.until(lambda: len(cloud.calls("ui")) == 2)  # it may have rebooted: the start screen again
    assert len(cloud.calls("start")) == 1


async def test_a_session_notification_is_only_a_hint(
    bridge: Bridge, caller: Caller, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    await bridge.start()
    await until_armed(cloud)
    looks = len(cloud.calls("terminal"))
    body = {"session": {"sessionId": "s", "state": "COMMITED"}, "error": None}
    assert await caller.post(f"{house.latest[SERIAL]}/session", body) == (200, "")
    await cloud.until(lambda: len(cloud.calls("card")) == 2)
    await cloud.set(state="CARD")
    await house.until(lambda: bool(house.seen(CardPresented)))
    assert len(cloud.calls("terminal")) == looks + 1  # one look, then it waited again
    assert len(cloud.calls("card")) == 2
    assert len(cloud.calls("start")) == 1


async def test_a_directory_that_is_away_is_asked_again(
    bridge: Bridge, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    terminals = house.terminals
    failures = iter([ConnectionError("with parameters"), ConnectionError()])

    async def failing() -> Any:
        for failure in failures:
            raise failure
        return await terminals()

    house.terminals = failing  # type: ignore[method-assign]
    await bridge.start()
    await until_armed(cloud)


async def test_after_a_restart_it_goes_on_with_the_same_interaction(
    bridge: Bridge, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    await bridge.start()
    await until_armed(cloud)
    arm_id = house.latest[SERIAL]
    await bridge.stop()
    again = Bridge(options(cloud.base_url), house, house, now)
    await again.start()
    await cloud.until(lambda: len(cloud.calls("card")) == 2)
    await cloud.set(state="CARD")
    await house.until(lambda: f"card:{arm_id}" in house.facts)
    await again.stop()
    assert len(cloud.calls("start")) == 1
