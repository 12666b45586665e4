"""The keeper: armed at all times, whatever the reader, the cloud and the process have been through."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bridge.cards import card_ref
from bridge.keeper import TerminalKeeper
from bridge.wires import Wires
from sessions.directory import ArmState
from sessions.facts import ArmClosed, ArmOpened, CardPresented, TerminalStateReported
from tests.unit.bridge.memory import SERIAL, MemoryHouse, now, terminal
from tests.unit.bridge.scripted_cloud import CALLBACK_SECRET, CARD_ID, HASH_KEY, Say, ScriptedCloud, options

Keep = Callable[..., Any]


@pytest.fixture
async def keep(cloud: ScriptedCloud, house: MemoryHouse) -> AsyncIterator[Keep]:
    """Runs a keeper over the cloud and the house, as often as a process starts."""
    wire = Wires(options(cloud.base_url))

    @asynccontextmanager
    async def running(**changes: Any) -> AsyncIterator[TerminalKeeper]:
        keeper = TerminalKeeper(SERIAL, options(cloud.base_url, **changes), wire, house, house, clock=now)
        task = asyncio.create_task(keeper.run())
        try:
            yield keeper
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    yield running
    await wire.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the keeper would have waited, each time; it does not."""
    waited: list[float] = []

    async def wait(self: TerminalKeeper, delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr(TerminalKeeper, "_wait", wait)
    return waited


def polls(cloud: ScriptedCloud) -> int:
    return len(cloud.calls("card"))


async def armed(cloud: ScriptedCloud, times: int = 1) -> None:
    """Until the reader was armed that often, and a card is waited for."""
    await cloud.until(lambda: len(cloud.calls("start")) >= times and cloud.asked[-1].call == "card")


async def test_a_cold_start_arms_the_reader(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    async with keep():
        await armed(cloud)
    [opened] = house.seen(ArmOpened)
    assert (opened.serial, opened.hold_minor, opened.currency) == (SERIAL, 20_000, "NOK")
    [started] = cloud.calls("start")
    assert started.query == {
        "authorizedAmount": "20000",
        "callbackUrl": f"https://tapvolt.example/callbacks/payter/{CALLBACK_SECRET}/{opened.arm_id}/card",
        "language": "nb",
        "uiMessageTitle": "5,90 kr/kWh",
        "uiMessage": "Vi reserverer 200,00 kr. Du betaler bare sluttbeløpet",
    }
    assert [report.online for report in house.seen(TerminalStateReported)] == [True]
    assert cloud.names() == ["terminal", "ui", "start", "card"]


async def test_the_interaction_is_stored_before_the_reader_is_armed(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.records[SERIAL] = terminal(family="P68")
    submit = house.submit

    async def slow(fact: Any) -> Any:
        await asyncio.sleep(0)
        assert not (isinstance(fact, ArmOpened) and cloud.calls("start"))
        return await submit(fact)

    house.submit = slow  # type: ignore[method-assign]
    async with keep():
        await armed(cloud)
    assert cloud.names() == ["terminal", "start", "card"]


async def test_without_a_stored_interaction_nothing_is_armed(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.records[SERIAL] = terminal(family="P66")
    house.broken = 5
    async with keep():
        await armed(cloud)
    assert house.submissions > 5
    assert len(cloud.calls("start")) == 1


async def test_a_card_is_found_by_polling_and_the_reader_left_alone_while_it_is_needed(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    async with keep() as keeper:
        await armed(cloud)
        await cloud.set(state="CARD")
        await house.until(lambda: bool(house.seen(CardPresented)))
        [presented] = house.seen(CardPresented)
        assert presented.key == f"card:{presented.arm_id}"
        assert presented.card.card_ref == card_ref(HASH_KEY, CARD_ID)
        assert presented.card.masked_pan == "512345******1234"
        await house.until(lambda: house.pending_asked >= 1)
        asked, looks = len(cloud.asked), house.pending_asked
        await house.until(lambda: house.pending_asked >= looks + 3)
        assert len(cloud.asked) == asked
        # The port authorised, the cloud went back to idle, the interaction was closed.
        await cloud.set(state="IDLE")
        await house.submit(ArmClosed(key="x", at=now(), serial=SERIAL, arm_id=presented.arm_id, reason="held"))
        keeper.wake()
        await armed(cloud, 2)
    first, second = house.seen(ArmOpened)
    assert first.arm_id != second.arm_id
    assert cloud.calls("stop") == []


async def test_the_end_of_an_interaction_is_noticed_without_being_woken(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    arm = house.put_arm(state=ArmState.PRESENTED)
    house.pending.add(arm.arm_id)
    async with keep():
        house.pending.clear()  # another node's doer finished
        await armed(cloud)


async def test_a_card_that_nobody_needs_is_forgotten(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    house.cards_wait = False
    async with keep():
        await armed(cloud)
        await cloud.set(state="CARD")
        await armed(cloud, 2)
    assert len(cloud.calls("stop")) == 1
    assert [closed.reason for closed in house.seen(ArmClosed)] == ["stopped"]


async def test_a_callback_ends_the_long_poll(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    async with keep() as keeper:
        await armed(cloud)
        arm_id = house.latest[SERIAL]
        house.arms[arm_id] = replace(house.arms[arm_id], state=ArmState.PRESENTED)  # as the callback's commit does
        await cloud.set(state="IDLE")  # and the port has authorised
        house.arms[arm_id] = replace(house.arms[arm_id], state=ArmState.CLOSED)
        keeper.wake()
        await armed(cloud, 2)  # long before the 20 s of the poll are over


@pytest.mark.parametrize("call", ["terminal", "card"])
async def test_a_callback_that_comes_while_the_reader_is_asked_is_not_undone(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, call: str
) -> None:
    def presented() -> None:
        house.put_arm(state=ArmState.PRESENTED)
        house.pending.add("arm-1")

    house.put_arm()
    cloud.state = "CARD"
    cloud.meanwhile[call] = presented
    cloud.script("card", Say(404, {}))
    async with keep():
        await house.until(lambda: "arm-1" in house.pending and house.pending_asked >= 4)
    assert cloud.calls("stop", "start") == []


# --- a process that was killed, and what it finds ---------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["IDLE", "READING", "CARD"])
@pytest.mark.parametrize("arm", [None, ArmState.OPEN, ArmState.PRESENTED, ArmState.CLOSED])
@pytest.mark.parametrize("needed", [False, True])
async def test_every_reader_meets_every_interaction(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, reader: str, arm: ArmState | None, needed: bool
) -> None:
    house.records[SERIAL] = terminal(family="P66")
    if arm is not None:
        house.put_arm(state=arm)
        if needed:
            house.pending.add("arm-1")
    cloud.state = reader
    async with keep():
        if arm is ArmState.PRESENTED and needed:
            await house.until(lambda: house.pending_asked >= 3)
            assert cloud.asked == []
            return
        if arm is ArmState.OPEN and reader == "READING":  # ours from before: go on
            await cloud.until(lambda: polls(cloud) > 0)
            assert cloud.calls("start", "stop") == []
            await cloud.set(state="CARD")
            await house.until(lambda: "card:arm-1" in house.facts)
            return
        if arm is ArmState.OPEN and reader == "CARD":  # read while nobody listened
            await house.until(lambda: "card:arm-1" in house.facts)
            assert cloud.calls("start", "stop") == []
            return
        await armed(cloud)
    assert cloud.names() == (
        ["terminal", "start", "card"] if reader == "IDLE" else ["terminal", "stop", "terminal", "start", "card"]
    )
    assert house.latest[SERIAL] != "arm-1"
    if arm is not None:
        assert house.arms["arm-1"].state is ArmState.CLOSED
    assert len(house.seen(ArmOpened)) == 1


async def test_an_unknown_state_is_busy(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    cloud.state = "AUTHORIZING"
    house.put_arm()
    async with keep():
        await cloud.until(lambda: len(cloud.calls("terminal")) >= 4)
        assert cloud.calls("start", "stop", "card") == []
        await cloud.set(state="READING")
        await cloud.until(lambda: polls(cloud) > 0)
    assert cloud.calls("start") == []


async def test_an_offline_terminal_is_reported_and_waited_for(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    cloud.online = False
    async with keep() as keeper:
        await cloud.until(lambda: len(cloud.calls("terminal")) >= 3)
        assert cloud.calls("start", "ui", "card") == []
        cloud.online = True
        await armed(cloud)
        assert len(cloud.calls("ui")) == 1
        # It goes away (the hook says so) and comes back: rebooted, so armed and shown the start screen again.
        await cloud.set(online=False, state="IDLE")
        keeper.wake()
        await house.until(lambda: len(house.seen(TerminalStateReported)) == 3)
        cloud.online = True
        await armed(cloud, 2)
    assert [report.online for report in house.seen(TerminalStateReported)] == [False, True, False, True]
    assert [screen.body["id"] for screen in cloud.calls("ui")] == ["start", "start"]


# --- a cloud that fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("say", [Say(500), Say(drop=True), Say(200, b"<html>"), Say(200, {})])
async def test_a_cloud_that_does_not_answer_is_asked_again(keep: Keep, cloud: ScriptedCloud, say: Say) -> None:
    cloud.script("terminal", *[say] * 6)
    async with keep():
        await armed(cloud)
    assert len(cloud.calls("start")) == 1


async def test_a_terminal_that_the_cloud_does_not_know_is_offline(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    cloud.script("terminal", *[Say(404, {"status": 404})] * 3)
    async with keep():
        await armed(cloud)
    assert [(report.online, report.state) for report in house.seen(TerminalStateReported)] == [
        (False, "HTTP 404"),
        (True, "IDLE"),
    ]


async def test_a_start_that_took_effect_unseen_is_not_repeated(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    cloud.script("start", Say(apply=True, drop=True))
    async with keep():
        await cloud.until(lambda: polls(cloud) > 0)
        assert len(cloud.calls("start")) == 1
        assert len(house.seen(ArmOpened)) == 1
        await cloud.set(state="CARD")
        await house.until(lambda: bool(house.seen(CardPresented)))


@pytest.mark.parametrize("say", [Say(drop=True), Say(500)])
async def test_a_start_that_was_lost_is_made_anew_with_a_new_interaction(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, say: Say
) -> None:
    cloud.script("start", say)
    async with keep():
        await armed(cloud, 2)
    first, second = house.seen(ArmOpened)
    assert [closed.arm_id for closed in house.seen(ArmClosed)] == [first.arm_id]
    assert second.arm_id in cloud.calls("start")[-1].query["callbackUrl"]
    assert cloud.calls("terminal")[1:]  # asked in between


async def test_a_refused_start_does_not_open_interaction_after_interaction(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    cloud.script("start", *[Say(400, {"status": 400})] * 4)
    async with keep():
        await armed(cloud, 5)
    assert len(house.seen(ArmOpened)) == 1
    assert house.seen(ArmClosed) == []


async def test_a_stop_that_fails_is_tried_again_before_arming(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm(state=ArmState.PRESENTED)
    cloud.state = "CARD"
    cloud.script("stop", Say(500), Say(drop=True))
    async with keep():
        await armed(cloud)
    assert len(cloud.calls("stop")) == 3
    assert len(house.seen(ArmClosed)) == 1


async def test_a_reader_that_cannot_be_cleared_is_not_asked_in_a_loop(
    keep: Keep, cloud: ScriptedCloud, waits: list[float]
) -> None:
    cloud.state = "CARD"
    cloud.script("stop", *[Say(200)] * 3)  # says yes, does nothing
    async with keep(retry_first_s=0.011, retry_max_s=0.044):
        await armed(cloud)
    assert waits == [0.022, 0.044, 0.044]  # the first again at once, the others after a wait


async def test_a_card_that_is_gone_when_it_is_asked_for(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    house.put_arm()
    cloud.state = "CARD"
    cloud.script("card", Say(404, {}))
    async with keep():
        await armed(cloud)
    assert len(cloud.calls("stop")) == 1
    assert house.seen(CardPresented) == []


async def test_a_poll_that_is_answered_at_once_is_not_asked_in_a_loop(
    keep: Keep, cloud: ScriptedCloud, waits: list[float]
) -> None:
    cloud.script("card", *[Say(204)] * 5)
    async with keep(pause_s=30.0):
        await cloud.until(lambda: polls(cloud) == 6)
    assert waits == [30.0] * 5
    assert len(cloud.calls("start")) == 1


async def test_a_long_poll_that_fails_is_asked_again(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    cloud.script("card", Say(500), Say(200, b"<html>"))
    async with keep():
        await cloud.until(lambda: polls(cloud) == 3)
        await cloud.set(state="CARD")
        await house.until(lambda: bool(house.seen(CardPresented)))
    assert len(cloud.calls("start")) == 1


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"hold_minor": 30_000}, {"price_text": "7,20 kr/kWh"}, {"language": "en"}])
async def test_a_new_price_is_shown_and_a_new_hold_armed(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, change: dict[str, Any]
) -> None:
    async with keep() as keeper:
        await armed(cloud)
        house.records[SERIAL] = terminal(**change)
        keeper.wake()
        await armed(cloud, 2)
    first, second = cloud.calls("start")
    assert first.query != second.query
    assert len(cloud.calls("stop")) == 1
    assert len(house.seen(ArmClosed)) == 1


async def test_an_interaction_from_before_with_another_hold_is_not_used(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.put_arm(hold_minor=10_000)
    cloud.state = "READING"
    async with keep():
        await armed(cloud)
    assert cloud.calls("start")[0].query["authorizedAmount"] == "20000"


async def test_without_evses_and_without_a_price_it_is_armed_all_the_same(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    house.records[SERIAL] = terminal(hold_minor=0, price_text="")
    async with keep():
        await armed(cloud)
    assert cloud.calls("start")[0].query["authorizedAmount"] == "0"


@pytest.mark.parametrize(("state", "stops"), [(ArmState.OPEN, 1), (ArmState.PRESENTED, 0)])
async def test_a_terminal_that_is_taken_away_is_disarmed(
    keep: Keep, cloud: ScriptedCloud, house: MemoryHouse, state: ArmState, stops: int
) -> None:
    house.put_arm(state=state)
    house.records.clear()
    wire = Wires(options(cloud.base_url))
    keeper = TerminalKeeper(SERIAL, options(cloud.base_url), wire, house, house, clock=now)
    await keeper.run()  # ends by itself
    await wire.close()
    assert len(cloud.calls("stop")) == stops


async def test_a_message_can_be_given_time_to_be_read(keep: Keep, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    house.cards_wait = False
    async with keep(rearm_pause_s=0.1):
        await armed(cloud)
        await cloud.set(state="CARD")
        await cloud.until(lambda: bool(cloud.calls("stop")))
        begun = asyncio.get_running_loop().time()
        await armed(cloud, 2)
    assert asyncio.get_running_loop().time() - begun >= 0.09
