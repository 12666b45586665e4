"""Every call ends in what was asked for, or in one of three ways that are never mixed up."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import bridge.payter_wire
from bridge.payter_objects import PaymentSession, PaymentState, ReadCard, TerminalStatus
from bridge.payter_wire import Done, NoAnswer, NoCard, NotSent, PayterWire, Refusal
from tests.unit.bridge.scripted_cloud import API_KEY, CALLBACK_SECRET, CARD_ID, Say, ScriptedCloud, options

Call = Callable[[PayterWire], Awaitable[Any]]
URL = f"https://tapvolt.example/callbacks/payter/{CALLBACK_SECRET}/arm/card"

CALLS: dict[str, Call] = {
    "terminal": lambda wire: wire.terminal("T1"),
    "card": lambda wire: wire.card("T1", 0),
    "start": lambda wire: wire.start(
        "T1", amount_minor=5000, callback_url=URL, language="nb", title="Å betale", message="M&M"
    ),
    "stop": lambda wire: wire.stop("T1", "bye"),
    "ui": lambda wire: wire.show("T1", {"id": "s", "type": "dialog", "properties": {}}, URL),
    "authorize": lambda wire: wire.authorize("T1", "hi"),
    "sessions": lambda wire: wire.sessions("T1"),
    "session": lambda wire: wire.session("T1", "s-1"),
    "commit": lambda wire: wire.commit("T1", "s-1", 1234, "paid"),
    "cancel": lambda wire: wire.cancel("T1", "s-1", "gone"),
}
MONEY = ("authorize", "commit", "cancel")


@pytest.fixture(params=CALLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_connection_broke_after_sending(cloud: ScriptedCloud, wire: PayterWire, name: str) -> None:
    cloud.script(name, Say(drop=True), Say(drop=True))
    assert isinstance(await CALLS[name](wire), NoAnswer)


async def test_a_post_that_was_dropped_is_not_sent_again(cloud: ScriptedCloud, wire: PayterWire) -> None:
    cloud.state = "CARD"
    assert isinstance(await wire.terminal("T1"), TerminalStatus)  # a connection to be used again
    cloud.script("authorize", Say(apply=True, drop=True))
    assert isinstance(await wire.authorize("T1"), NoAnswer)
    assert cloud.names("terminal") == ["authorize"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_five_hundreds_are_no_answer(cloud: ScriptedCloud, wire: PayterWire, name: str, status: int) -> None:
    cloud.script(name, Say(status, {"status": status}))
    assert await CALLS[name](wire) == NoAnswer(f"HTTP {status}")


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 409, 429])
async def test_below_five_hundred_is_a_refusal(cloud: ScriptedCloud, wire: PayterWire, name: str, status: int) -> None:
    cloud.script(name, Say(status, {"status": status}, location=f"{cloud.base_url}/terminals/T1"))
    assert await CALLS[name](wire) == Refusal(status)
    assert len(cloud.asked) == 1  # no redirect was followed


async def test_a_page_of_some_proxy_is_not_credible(cloud: ScriptedCloud, wire: PayterWire) -> None:
    cloud.script("commit", Say(404, b"<html>not here</html>"))
    assert await CALLS["commit"](wire) == Refusal(404, credible=False)


@pytest.mark.parametrize("body", [b"<html>", b'{"state": ', b"\xff\xfe", b'"text"', b"[1, 2]", b"17"])
async def test_garbage_in_a_payments_answer_is_no_answer(cloud: ScriptedCloud, wire: PayterWire, body: bytes) -> None:
    for name in (*MONEY, "session"):
        cloud.script(name, Say(200, body))
        assert isinstance(await CALLS[name](wire), NoAnswer), name


async def test_garbage_in_a_commands_answer_does_not_matter(cloud: ScriptedCloud, wire: PayterWire) -> None:
    for name in ("start", "stop", "ui"):
        cloud.script(name, Say(200, b"<ok>"))
        assert await CALLS[name](wire) == Done()


async def test_garbage_where_something_was_asked(cloud: ScriptedCloud, wire: PayterWire) -> None:
    for name, answer in {"terminal": NoAnswer, "sessions": NoAnswer, "card": NoCard}.items():
        cloud.script(name, Say(200, {"nothing": "known"}))
        assert isinstance(await CALLS[name](wire), answer)
    cloud.script("card", Say(200, b"<html>"))
    assert isinstance(await CALLS["card"](wire), NoAnswer)


@pytest.mark.parametrize("body", [None, {}])
async def test_empty_success_of_a_payment_says_ask(cloud: ScriptedCloud, wire: PayterWire, body: Any) -> None:
    for name in MONEY:
        cloud.script(name, Say(200, body))
        assert await CALLS[name](wire) == Done()


async def test_the_answer_about_another_session_is_no_answer(cloud: ScriptedCloud, wire: PayterWire) -> None:
    for name in ("commit", "cancel", "session"):
        cloud.script(name, Say(200, {"sessionId": "s-2", "state": "COMMITED"}))
        assert await CALLS[name](wire) == NoAnswer("not the session")


async def test_nobody_listens_is_certainly_not_sent(name: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        wire = PayterWire(options(f"http://127.0.0.1:{unused.getsockname()[1]}"))
        assert isinstance(await CALLS[name](wire), NotSent)
        await wire.close()


async def test_a_connection_that_does_not_come_about_in_time_is_certainly_not_sent() -> None:
    with socket.socket() as full:  # its backlog is filled, so the kernel answers no further SYN
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        wire = PayterWire(options(f"http://127.0.0.1:{address[1]}", connect_timeout_s=0.2))
        reply = await wire.authorize("T1")
        await wire.close()
        for filler in fillers:
            filler.close()
    assert isinstance(reply, NotSent)


async def test_silence_after_sending_is_no_answer() -> None:
    lines: list[bytes] = []
    left = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wire = PayterWire(options(f"http://127.0.0.1:{port}", read_timeout_s=0.2))
    assert isinstance(await wire.authorize("T1"), NoAnswer)
    assert lines == [b"POST /terminals/T1/authorize HTTP/1.1\r\n"]
    await wire.close()
    await left.wait()
    server.close()
    await server.wait_closed()


async def test_an_answer_without_end_is_no_answer(
    cloud: ScriptedCloud, wire: PayterWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.payter_wire, "ANSWER_LIMIT", 1000)
    cloud.script("sessions", Say(200, b"[" + b" " * 2000 + b"]"))
    assert isinstance(await wire.sessions("T1"), NoAnswer)


async def test_what_is_sent_where_all_goes_well(cloud: ScriptedCloud, wire: PayterWire) -> None:
    assert await CALLS["start"](wire) == Done()
    assert cloud.asked[-1].query == {
        "authorizedAmount": "5000",
        "callbackUrl": URL,
        "language": "nb",
        "uiMessageTitle": "Å betale",
        "uiMessage": "M&M",
    }
    assert cloud.calls("start")[0].body is None
    assert cloud.asked[-1].headers["Authorization"] == f'CPS apikey="{API_KEY}"'
    cloud.state = "CARD"
    assert await CALLS["card"](wire) == ReadCard(CARD_ID, "", "512345******1234", "", "CONTACTLESS")
    held = await CALLS["authorize"](wire)
    assert isinstance(held, PaymentSession)
    assert cloud.asked[-1].query == {"uiMessage": "hi", "uiMessageTimeout": "10"}
    listed = await CALLS["sessions"](wire)
    assert [session.session_id for session in listed] == [held.session_id]
    committed = await CALLS["commit"](wire)
    assert cloud.asked[-1].query == {"commitAmount": "1234", "uiMessage": "paid", "uiMessageTimeout": "10"}
    assert (committed.state, committed.final_minor) == (PaymentState.COMMITTED, 1234)
    assert (await CALLS["session"](wire)).state is PaymentState.COMMITTED
    assert await CALLS["cancel"](wire) == Refusal(409)
    assert await CALLS["ui"](wire) == Done()
    assert cloud.asked[-1].body == {"id": "s", "type": "dialog", "properties": {}}
    assert cloud.asked[-1].query == {"callbackUrl": URL}
    assert await wire.stop("T1") == Done()
    assert cloud.asked[-1].query == {}


async def test_no_card_in_time(cloud: ScriptedCloud, wire: PayterWire) -> None:
    assert await CALLS["card"](wire) == NoCard()
    cloud.script("card", Say(204))
    assert await CALLS["card"](wire) == NoCard()


async def test_an_id_cannot_leave_its_place_in_the_path(cloud: ScriptedCloud, wire: PayterWire) -> None:
    await wire.terminal("a/../b?x=1")
    assert cloud.asked[-1].path == "/terminals/a%2F..%2Fb%3Fx%3D1"


async def test_nothing_secret_is_logged_or_told(
    cloud: ScriptedCloud, wire: PayterWire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for name, call in CALLS.items():
        cloud.script(name, Say(drop=True), Say(drop=True))
        told.append(repr(await call(wire)))
        told.append(repr(await call(wire)))
    refused = PayterWire(options("http://127.0.0.1:1"))
    told += [repr(await call(refused)) for call in CALLS.values()]
    await refused.close()
    text = caplog.text + "".join(told)
    assert "/terminals/{serial}/sessions/{id}/commit" in text  # templates are logged
    for secret in (API_KEY, CALLBACK_SECRET, CARD_ID, "127.0.0.1", "s-1"):
        assert secret not in text


async def test_closing_is_for_good_and_ends_what_is_on_its_way(cloud: ScriptedCloud, wire: PayterWire) -> None:
    await wire.start("T1", amount_minor=1, callback_url=URL, language="nb", title="", message="")
    polling = asyncio.ensure_future(wire.card("T1", 20))
    await cloud.until(lambda: bool(cloud.calls("card")))
    await wire.close()
    assert isinstance(await polling, NoAnswer)
    assert await wire.terminal("T1") == NoAnswer("shutting down")
    assert cloud.names() == ["start", "card"]


async def test_changes_pass_both_fail_points(
    cloud: ScriptedCloud, wire: PayterWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    monkeypatch.setattr(bridge.payter_wire, "failpoint", passed.append)
    for name, call in CALLS.items():
        passed.clear()
        await call(wire)
        changes = name in (*MONEY, "start", "stop", "ui")
        assert passed == (["terminal-call.before", "terminal-call.after"] if changes else []), name
