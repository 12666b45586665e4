"""Faults: what a call answers, whether it took effect, and what becomes of callbacks."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.unit.simulators.terminal_cloud.integrator import SERIAL, Integrator, integrator

SCREEN = {"id": "s.1", "type": "dialog", "properties": {"title": "?", "buttons.yes.label": "Yes"}}
STATUS = {"conflict": 409, "error": 500, "not_found": 404, "garbage": 200}


async def make(us: Integrator, call: str) -> tuple[int, object]:
    """Make that call, in a state in which it would succeed."""
    session_id = us.cloud.sessions(SERIAL)[0].session_id
    match call:
        case "start":
            return await us.start()
        case "authorize":
            return await us.post("authorize")
        case "ui":
            return await us.post("ui", SCREEN)
        case "commit":
            return await us.post(f"sessions/{session_id}/commit", commitAmount=1)
        case "cancel" | "stop":
            return await us.post("stop" if call == "stop" else f"sessions/{session_id}/cancel")
        case "card":
            return await us.get("/card")
        case "get_session":
            return await us.get(f"/sessions/{session_id}")
        case "list_sessions":
            return await us.get("/sessions")
        case "list_terminals":
            return await us.call("GET", "terminals")
        case _:
            return await us.get()


async def ready(us: Integrator, call: str) -> None:
    """A payment; and the reader as ``call`` needs it."""
    await us.payment()
    if call in ("authorize", "card", "stop"):
        await us.start()
        await us.cloud.tap(SERIAL, "visa-2")


def seen(us: Integrator) -> tuple[object, ...]:
    """All that a call can change."""
    terminal = us.cloud.terminal(SERIAL)
    return terminal.state, terminal.custom_screen, [payment.state for payment in us.cloud.sessions(SERIAL)]


CHANGING = ["start", "stop", "authorize", "commit", "cancel", "ui"]
READING = ["card", "get_session", "list_sessions", "get_terminal", "list_terminals"]


@pytest.mark.parametrize("call", CHANGING + READING)
async def test_a_refused_call_has_no_effect_and_the_next_one_succeeds(call: str) -> None:
    async with integrator() as us:
        await ready(us, call)
        before = seen(us)
        for kind, status in STATUS.items():
            us.cloud.fault(call, kind)
            answered, body = await make(us, call)
            assert answered == status
            if kind == "garbage":
                assert isinstance(body, str)
                assert body.startswith("<html>")
            else:
                assert isinstance(body, dict)
                assert body["status"] == status
            assert seen(us) == before
        us.cloud.fault(call, "drop_before", times=2)
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await make(us, call)
            assert seen(us) == before
        assert (await make(us, call))[0] == 200


@pytest.mark.parametrize("call", CHANGING)
async def test_apply_then_drop_takes_effect_without_an_answer(call: str) -> None:
    async with integrator() as us:
        await ready(us, call)
        before = seen(us)
        us.cloud.fault(call, "apply_then_drop")
        with pytest.raises(aiohttp.ClientError):
            await make(us, call)
        assert seen(us) != before
        assert us.cloud.calls[-1].outcome == "apply_then_drop"
        if call in ("commit", "cancel"):
            assert (await make(us, call))[0] == 409


@pytest.mark.parametrize("call", CHANGING)
async def test_a_delayed_call_takes_effect_before_its_answer(call: str) -> None:
    async with integrator() as us:
        await ready(us, call)
        before = seen(us)
        us.cloud.fault(call, "delay", delay_s=0.2)
        answer = asyncio.create_task(make(us, call))
        await us.cloud.wait_for(lambda _: seen(us) != before)
        assert not answer.done()
        assert (await answer)[0] == 200


@pytest.mark.parametrize("call", ["commit", "cancel"])
async def test_a_failed_call_is_a_200_with_state_failed(call: str) -> None:
    async with integrator() as us:
        await ready(us, call)
        us.cloud.fault(call, "failed")
        status, session = await make(us, call)
        assert isinstance(session, dict)
        assert (status, session["state"], session["result"]) == (200, "FAILED", "APPROVED")
        assert us.cloud.sessions(SERIAL)[0].history == ["authorized 5000", f"{call} failed"]


async def test_a_failed_call_never_undoes_a_commit() -> None:
    async with integrator() as us:
        await ready(us, "commit")
        await make(us, "commit")
        us.cloud.fault("cancel", "failed")
        assert (await make(us, "cancel"))[0] == 409
        assert us.cloud.sessions(SERIAL)[0].state == "COMMITED"


async def test_a_failed_authorise_leaves_a_failed_session() -> None:
    async with integrator() as us:
        await ready(us, "authorize")
        us.cloud.fault("authorize", "failed")
        status, session = await make(us, "authorize")
        assert isinstance(session, dict)
        assert (status, session["state"]) == (200, "FAILED")
        assert us.cloud.sessions(SERIAL)[1].state == "FAILED"


@pytest.mark.parametrize(
    ("call", "kind", "times", "delay_s"),
    [
        ("dance", "error", 1, 0.0),
        ("commit", "duplicate", 1, 0.0),
        ("callback", "error", 1, 0.0),
        ("start", "failed", 1, 0.0),
        ("commit", "error", 0, 0.0),
        ("commit", "delay", 1, -1.0),
        ("commit", "delay", 1, float("nan")),
    ],
)
async def test_faults_that_do_not_exist_are_refused(call: str, kind: str, times: int, delay_s: float) -> None:
    async with integrator() as us:
        with pytest.raises(ValueError):
            us.cloud.fault(call, kind, times, delay_s)
        assert us.cloud.faults.waiting() == {}


async def test_faults_can_be_cleared() -> None:
    async with integrator() as us:
        us.cloud.fault("start", "error", times=3)
        us.cloud.fault("callback", "drop")
        us.cloud.fault("callback", "before_answer")
        assert us.cloud.faults.waiting() == {"start": ["error"] * 3, "callback": ["drop", "before_answer"]}
        us.cloud.faults.clear()
        assert us.cloud.faults.waiting() == {}
        assert (await us.start())[0] == 200


# --- callbacks --------------------------------------------------------------------------------------------------------


async def touch(us: Integrator, screen_id: str) -> None:
    """Show a screen and touch it: one callback, recognisable by its ``screenId``."""
    await us.post("ui", SCREEN | {"id": screen_id}, callbackUrl=us.callback_url)
    assert await us.cloud.choose(SERIAL, "yes")


async def test_a_dropped_callback_never_comes() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "drop")
        await touch(us, "a")
        await touch(us, "b")
        assert [heard["screenId"] for heard in await us.until_heard(1)] == ["b"]


async def test_a_duplicated_callback_comes_twice() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "duplicate")
        await touch(us, "a")
        assert [heard["screenId"] for heard in await us.until_heard(2)] == ["a", "a"]


async def test_a_reordered_callback_comes_after_the_next_one() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "reorder")
        await touch(us, "a")
        await touch(us, "b")
        assert [heard["screenId"] for heard in await us.until_heard(2)] == ["b", "a"]


async def test_a_delayed_callback_is_overtaken() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "delay", delay_s=1.0)
        await touch(us, "a")
        await touch(us, "b")
        assert [heard["screenId"] for heard in await us.until_heard(2)] == ["b", "a"]


async def test_the_card_can_come_before_the_answer_of_start() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "before_answer")
        answer = asyncio.create_task(us.start())
        await us.cloud.wait_for(lambda c: c.terminal(SERIAL).state == "READING")
        answered: list[bool] = []
        us.on_callback = lambda: answered.append(answer.done())
        assert await us.cloud.tap(SERIAL)
        assert (await answer)[0] == 200
        assert answered == [False]


async def test_the_payment_can_come_before_the_answer_of_authorise() -> None:
    async with integrator() as us:
        await us.start()
        await us.cloud.tap(SERIAL)
        await us.until_heard(1)
        us.cloud.fault("callback", "before_answer")
        answer = asyncio.create_task(us.post("authorize"))
        answered: list[bool] = []
        us.on_callback = lambda: answered.append(answer.done())
        assert (await answer)[0] == 200
        assert answered == [False]
        assert us.heard[1] == {"session": (await answer)[1]}


async def test_an_answer_waits_for_its_callback_no_longer_than_ordered() -> None:
    async with integrator() as us:
        us.cloud.fault("callback", "before_answer", delay_s=0.01)
        assert (await us.start())[0] == 200
        assert us.heard == []


async def test_a_callback_that_nobody_takes_is_reported_without_its_path() -> None:
    async with integrator() as us:
        await us.post("start", authorizedAmount=1, callbackUrl="http://127.0.0.1:9/unguessable")
        await us.cloud.tap(SERIAL)
        await us.cloud.wait_for(lambda c: c.callbacks.sent)
        assert us.cloud.callbacks.sent[0].status == 0
        [line] = [line for line in us.events if "callback" in line]
        assert line == f"{SERIAL}: callback to http://127.0.0.1:9/… not delivered (ClientConnectorError)"
