"""Several processors: which one is called for what, and how a terminal goes from one to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.bridge import Bridge
from bridge.keeper import TerminalKeeper
from bridge.payter import PayterTerminals
from bridge.payter_wire import NotSent
from bridge.wires import Wires
from sessions.commands import Message
from sessions.directory import ArmState
from sessions.facts import ArmClosed, ArmOpened, CardPresented, TerminalStateReported
from sessions.ports import Captured, Declined, Held, Released, Unknown
from tests.unit.bridge.accounts import OWN, OWN_KEY, Accounts
from tests.unit.bridge.memory import SERIAL, MemoryHouse, now, terminal
from tests.unit.bridge.scripted_cloud import API_KEY, CALLBACK_SECRET, CARD_ID, Say, ScriptedCloud, options, running
from tests.unit.bridge.test_payter import AUTHORISE, CAPTURE, LOOK_UP, NONE, RELEASE, show

Keep = Callable[..., Any]


@pytest.fixture
async def own() -> AsyncIterator[ScriptedCloud]:
    """The owner's cloud."""
    cloud = ScriptedCloud()
    async with running(cloud.app()) as base_url:
        cloud.base_url = base_url
        yield cloud


@pytest.fixture
def accounts(own: ScriptedCloud) -> Accounts:
    made = Accounts()
    made.enter(own)
    return made


@pytest.fixture
async def wires(cloud: ScriptedCloud, accounts: Accounts) -> AsyncIterator[Wires]:
    wires = Wires(options(cloud.base_url), accounts)
    yield wires
    await wires.close()


@pytest.fixture
def keep(cloud: ScriptedCloud, wires: Wires, house: MemoryHouse) -> Keep:
    @asynccontextmanager
    async def running() -> AsyncIterator[TerminalKeeper]:
        keeper = TerminalKeeper(SERIAL, options(cloud.base_url), wires, house, house, clock=now)
        task = asyncio.create_task(keeper.run())
        try:
            yield keeper
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return running


def use(house: MemoryHouse, account_id: str, **changes: Any) -> None:
    house.records[SERIAL] = replace(house.records[SERIAL], account_id=account_id, **changes)


async def armed(cloud: ScriptedCloud, times: int = 1) -> None:
    await cloud.until(lambda: len(cloud.calls("start")) >= times and cloud.asked[-1].call == "card")


# --- the wires --------------------------------------------------------------------------------------------------------


async def test_each_account_is_called_with_its_own_key(wires: Wires, cloud: ScriptedCloud, own: ScriptedCloud) -> None:
    await (await wires.of("")).terminal(SERIAL)
    await (await wires.of(OWN)).terminal(SERIAL)
    assert cloud.asked[0].headers["Authorization"] == f'CPS apikey="{API_KEY}"'
    assert own.asked[0].headers["Authorization"] == f'CPS apikey="{OWN_KEY}"'
    assert await wires.of(OWN) is await wires.of(OWN)


async def test_rotated_credentials_hold_at_once_and_calls_on_their_way_end_well(
    wires: Wires, own: ScriptedCloud, accounts: Accounts
) -> None:
    before = await wires.of(OWN)
    polling = asyncio.create_task(before.card(SERIAL, 20))
    await own.until(lambda: len(own.calls("card")) == 1)
    accounts.rotate("another-key-0123")
    after = await wires.of(OWN)
    assert after is not before
    await after.terminal(SERIAL)
    assert own.asked[-1].headers["Authorization"] == 'CPS apikey="another-key-0123"'
    await own.set(state="CARD")
    assert getattr(await polling, "card_id", None) == CARD_ID


async def test_an_account_that_does_not_open_is_told_without_its_secrets(
    wires: Wires, own: ScriptedCloud, accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    accounts.rotate('bad"key')
    assert isinstance(await (await wires.of(OWN)).terminal(SERIAL), NotSent)
    del accounts.known[OWN]
    assert isinstance(await (await wires.of(OWN)).terminal(SERIAL), NotSent)
    assert own.asked == []
    assert caplog.text.count(OWN) == 2
    assert 'bad"key' not in caplog.text
    accounts.enter(own)
    assert not isinstance(await (await wires.of(OWN)).terminal(SERIAL), NotSent)


async def test_without_a_platforms_processor_only_own_ones_are_called(accounts: Accounts, own: ScriptedCloud) -> None:
    wires = Wires(options("", api_key=""), accounts)
    assert "payter.base_url" in str(await (await wires.of("")).terminal(SERIAL))
    await (await wires.of(OWN)).terminal(SERIAL)
    assert own.names() == ["terminal"]
    await wires.close()


# --- money: through the account that the command names ----------------------------------------------------------------


@pytest.fixture
def port(cloud: ScriptedCloud, wires: Wires, house: MemoryHouse) -> PayterTerminals:
    return PayterTerminals(options(cloud.base_url), wires, house, house, clock=now, wake=lambda serial: None)


async def test_money_moves_through_the_sessions_account_whatever_the_terminal_uses_now(
    port: PayterTerminals, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm(state=ArmState.PRESENTED, account_id=OWN)
    own.state = "CARD"
    held = await port.authorise(replace(AUTHORISE, account_id=OWN), attempt=1, known_refs=NONE)
    assert held == Held(payment_ref="s-1", amount_minor=20_000)
    use(house, "")
    house.put_arm("arm-2")  # armed at the platform's since
    assert isinstance(await port.look_up(replace(LOOK_UP, account_id=OWN), known_refs=NONE), Held)
    assert isinstance(await port.capture(replace(CAPTURE, account_id=OWN), attempt=1), Captured)
    own.sessions[0]["state"] = "AUTHORIZED"
    assert await port.release(replace(RELEASE, account_id=OWN), attempt=2) == Released()
    assert cloud.asked == []
    assert own.names() == ["authorize", "sessions", "commit", "session", "cancel"]


async def test_an_account_that_does_not_open_takes_no_hold_and_loses_no_capture(
    port: PayterTerminals, house: MemoryHouse, accounts: Accounts
) -> None:
    accounts.known.clear()
    house.put_arm(state=ArmState.PRESENTED, account_id=OWN)
    assert isinstance(await port.capture(replace(CAPTURE, account_id=OWN), attempt=1), Unknown)  # tried again later
    assert isinstance(await port.release(replace(RELEASE, account_id=OWN), attempt=1), Unknown)
    assert isinstance(await port.authorise(replace(AUTHORISE, account_id=OWN), attempt=1, known_refs=NONE), Declined)


async def test_a_screen_goes_where_the_reader_is_armed_now(
    port: PayterTerminals, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm(state=ArmState.PRESENTED, account_id=OWN)
    ends = show(Message.STOPPING, arm_id="arm-1", ends_interaction=True)  # of a session at the platform's processor
    assert await port.show(ends)
    assert (cloud.names(), own.names()) == ([], ["stop"])
    assert await port.show(show(Message.FINISHED))
    [shown] = own.calls("ui")
    assert f"/callbacks/payter/{OWN}." in shown.query["callbackUrl"]


# --- the keeper -------------------------------------------------------------------------------------------------------


async def test_a_change_of_processor_takes_effect_between_two_interactions(
    keep: Keep, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    async with keep() as keeper:
        await armed(cloud)
        use(house, OWN)
        keeper.wake()
        await armed(own)
    assert cloud.names("ui") == ["terminal", "start", "card", "terminal", "stop"]
    first, second = house.seen(ArmOpened)
    assert (first.account_id, second.account_id) == ("", OWN)
    assert house.arms[first.arm_id].state is ArmState.CLOSED
    [started] = own.calls("start")
    assert f"/callbacks/payter/{OWN}." in started.query["callbackUrl"]
    assert CALLBACK_SECRET not in started.query["callbackUrl"]


async def test_a_card_that_was_read_is_dealt_with_where_it_was_read(
    keep: Keep, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    async with keep() as keeper:
        await armed(cloud)
        use(house, OWN)
        cloud.state = "CARD"  # as the change is made
        keeper.wake()
        await house.until(lambda: bool(house.seen(CardPresented)))
        asked = house.pending_asked
        await house.until(lambda: house.pending_asked > asked + 2)
        assert own.names() == []
        assert cloud.calls("stop") == []
        cloud.state = "IDLE"  # authorised
        await house.submit(ArmClosed(key="done", at=now(), serial=SERIAL, arm_id=house.latest[SERIAL], reason="held"))
        keeper.wake()
        await armed(own)
    assert len(house.seen(ArmOpened)) == 2


async def test_a_process_that_died_after_the_change_goes_on_from_the_database(
    keep: Keep, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm()
    cloud.state = "READING"
    use(house, OWN)
    async with keep():
        await armed(own)
    assert cloud.names("ui") == ["terminal", "stop"]
    assert house.arms["arm-1"].state is ArmState.CLOSED


@pytest.mark.parametrize("status", [401, 404])
async def test_a_terminal_that_left_the_old_domain_is_not_waited_for_there(
    keep: Keep, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse, status: int
) -> None:
    house.put_arm()
    cloud.script("terminal", *[Say(status, {"status": status})] * 50)
    use(house, OWN)
    async with keep():
        await armed(own)
    assert house.arms["arm-1"].state is ArmState.CLOSED


async def test_an_old_cloud_that_is_silent_is_asked_again_before_the_reader_is_given_away(
    keep: Keep, cloud: ScriptedCloud, own: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm()
    cloud.state = "READING"
    cloud.script("terminal", Say(500), Say(500))
    use(house, OWN)
    async with keep():
        await armed(own)
    assert cloud.names("ui") == ["terminal", "terminal", "terminal", "stop"]


async def test_an_account_that_does_not_open_leaves_the_terminal_offline_until_it_does(
    keep: Keep, own: ScriptedCloud, house: MemoryHouse, accounts: Accounts
) -> None:
    accounts.known.clear()
    use(house, OWN)
    async with keep() as keeper:
        await house.until(lambda: bool(house.seen(TerminalStateReported)))
        assert (house.seen(TerminalStateReported)[0].online, own.asked) == (False, [])
        accounts.enter(own)
        keeper.wake()
        await armed(own)
    assert [told.online for told in house.seen(TerminalStateReported)] == [False, True]


# --- out of service ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "language", "title"),
    [
        ("state", "en", "Out of service"),
        ("state", "nb", "Ute av drift"),
        ("licence", "en", "Not licensed"),
        ("licence", "nb", "Uten lisens"),
    ],
)
@pytest.mark.parametrize("family", ["P66", "Apollo"])
async def test_out_of_service_the_reader_is_stopped_and_the_screen_says_why_until_it_is_in_service_again(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, why: str, language: str, title: str, family: str
) -> None:
    house.records[SERIAL] = terminal(family=family, language=language)
    async with keep() as keeper:
        await armed(cloud)
        use(house, "", out_of_service=why)
        keeper.wake()
        await house.until(lambda: bool(house.seen(ArmClosed)))
        await cloud.until(lambda: len(cloud.calls("terminal")) >= 5)  # looked at again and again, and not armed
        assert len(cloud.calls("start")) == 1
        assert cloud.calls("stop")[0].query["uiMessage"].startswith(title)
        screens = [asked.body["properties"]["title"] for asked in cloud.calls("ui")][1:]
        assert screens == ([title] if family == "Apollo" else [])
        use(house, "", out_of_service="")
        keeper.wake()
        await armed(cloud, 2)
    assert len(house.seen(ArmOpened)) == 2
    if family == "Apollo":  # and its start screen is back
        assert cloud.calls("ui")[-1].body["id"] == "start"


async def test_a_card_that_was_read_comes_before_the_suspension(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    async with keep() as keeper:
        await armed(cloud)
        use(house, "", out_of_service="state")
        cloud.state = "CARD"
        keeper.wake()
        await house.until(lambda: bool(house.seen(CardPresented)))
        asked = house.pending_asked
        await house.until(lambda: house.pending_asked > asked + 2)
        assert cloud.calls("stop") == []
        cloud.state = "IDLE"
        await house.submit(ArmClosed(key="done", at=now(), serial=SERIAL, arm_id=house.latest[SERIAL], reason="held"))
        keeper.wake()
        await cloud.until(lambda: bool(cloud.calls("stop")))
    assert len(cloud.calls("start")) == 1


async def test_a_test_transaction_that_begins_while_the_reader_is_asked_keeps_it(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    """The tester's card was lost otherwise: the keeper stopped what it had not started."""

    def begun() -> None:
        use(house, "", on_trial=True)
        cloud.state = "READING"

    use(house, "", out_of_service="state")
    cloud.meanwhile["terminal"] = begun
    async with keep() as keeper:
        await cloud.until(lambda: cloud.state == "READING")
        asked = house.terminals_asked
        await house.until(lambda: house.terminals_asked > asked + 3)
        assert cloud.names() == ["terminal"]
        use(house, "", on_trial=False)  # over, without a word to the cloud: the reader is cleared
        keeper.wake()
        await cloud.until(lambda: bool(cloud.calls("stop")))


async def test_a_licence_that_ran_out_during_a_charge_leaves_its_card_a_way_to_stop_it(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.records[SERIAL] = terminal(family="P66", language="en", out_of_service="licence", stops_only=True)
    async with keep() as keeper:
        await armed(cloud)
        assert cloud.calls("start")[0].query["uiMessageTitle"] == "Not licensed"
        use(house, "", stops_only=False)
        keeper.wake()
        await cloud.until(lambda: bool(cloud.calls("stop")))


# --- callbacks --------------------------------------------------------------------------------------------------------


async def test_each_account_has_callbacks_of_its_own(
    cloud: ScriptedCloud, accounts: Accounts, house: MemoryHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    house.put_arm("arm-own", account_id=OWN)
    house.put_arm("arm-platform")
    chosen = options(cloud.base_url)
    bridge = Bridge(chosen, house, house, now, accounts)
    app = web.Application()
    app.add_routes(bridge.routes())
    card = {"serialNumber": SERIAL, "cardId": CARD_ID, "maskedPan": "512345******1234"}
    state = {"serialNumber": SERIAL, "online": False, "state": "OFF"}
    own_secret = chosen.secret_of(OWN)
    async with running(app) as base_url, aiohttp.ClientSession() as http:

        async def post(secret: str, path: str, body: Any) -> int:
            async with http.post(f"{base_url}/callbacks/payter/{secret}/{path}", json=body) as response:
                return response.status

        # Who owns an account knows its secret, and with it nothing of anybody else's.
        assert await post(own_secret, "arm-platform/card", card) == 404
        assert await post(chosen.secret_of("acc_other"), "arm-own/card", card) == 404
        assert await post(CALLBACK_SECRET, "arm-own/card", card) == 404
        assert await post(f"{OWN}.forged", "terminal", state) == 404
        assert await post(own_secret, "terminal", state) == 200  # heard, and forgotten: the terminal is not its own
        assert house.facts == {}
        assert await post(own_secret, "arm-own/card", card) == 200
        use(house, OWN)
        assert await post(CALLBACK_SECRET, "terminal", state) == 200
        assert [type(fact) for fact in house.facts.values()] == [CardPresented]
        assert await post(own_secret, "terminal", state) == 200
    assert len(house.seen(TerminalStateReported)) == 1
    assert own_secret not in caplog.text
    await bridge.stop()
