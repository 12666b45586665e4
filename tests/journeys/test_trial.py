"""The test transaction when things go wrong: never a hold left open, never two, never passed without a release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bridge.options import retry_delay_s
from simulators.terminal_cloud.model import CANCELLED
from storage import reminder_schema
from storage import schema as t
from storage.engine import reading
from tests.databases import Databases
from tests.journeys.onboarding_stage import OWNER, SERIAL, Rig, onboarding
from tests.journeys.stage import PATIENCE_S


async def checked(rig: Rig) -> int:
    """A case whose test transaction may begin."""
    case_id = await rig.start()
    await rig.check(case_id)
    return case_id


async def hurry(rig: Rig) -> None:
    """Let whatever is to be tried again be due now."""
    waiting = (
        t.outbox.c.done_at.is_(None) & t.outbox.c.leased_until.is_(None) & t.outbox.c.command_key.startswith("tst_")
    )
    now = datetime.now(UTC) - timedelta(seconds=1)
    await rig.write(update(t.outbox).where(waiting).values(due_at=now))
    rig.on.app.service.wake(now)


def history(rig: Rig) -> list[list[str]]:
    return [payment.history for payment in rig.at.sessions(SERIAL)]


async def test_nobody_presents_a_card(database_url: str) -> None:
    """At sixty times the pace, so that three minutes are three seconds."""
    timed: dict[str, Any] = {"clock_speed": 60.0, "clock_anchor": datetime.now(UTC)}
    async with onboarding(database_url, **timed) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        await rig.at.wait_for(lambda c: c.terminal(SERIAL).authorized_amount == 100, timeout_s=PATIENCE_S)
        assert "1,00" in rig.at.terminal(SERIAL).idle_text
        test = await rig.tested(case_id)
        assert (test["state"], "No card was presented" in test["problem"]) == ("failed", True)
        assert history(rig) == []
        # Not live yet: nobody arms it for drivers.
        await rig.at.wait_for(lambda c: c.terminal(SERIAL).state == "IDLE", timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (lambda rig: rig.at.decline_next(SERIAL), "declined"),
        (lambda rig: rig.at.fault("authorize", "conflict"), "no card in the reader"),
        (lambda rig: rig.at.fault("authorize", "failed"), "declined"),
    ],
    ids=["declined", "card gone", "failed"],
)
async def test_nothing_is_held(database_url: str, happens: Callable[[Rig], None], says: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        happens(rig)
        await rig.begin_test(case_id)
        await rig.present()
        test = await rig.tested(case_id)
        assert test["state"] == "failed"
        assert says in test["problem"]
        assert "another card" in test["problem"]
        assert all(payment.state != "AUTHORIZED" for payment in rig.at.sessions(SERIAL))
        step = await rig.step(case_id, "test_transaction")
        assert (step["state"], step["result"]) == ("failed", test["problem"])


async def test_the_terminal_is_offline(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        await rig.at.set_online(SERIAL, False)
        await rig.begin_test(case_id)
        test = await rig.tested(case_id)
        assert (test["state"], "is offline" in test["problem"]) == ("failed", True)
        await rig.at.set_online(SERIAL, True)
        await rig.until(case_id, lambda case: case["waiting_for"] == "owner")
        await rig.check(case_id)
        await rig.begin_test(case_id)
        await rig.present()
        assert (await rig.tested(case_id))["state"] == "passed"


@pytest.mark.parametrize("fault", ["apply_then_drop", "drop_before", "error", "garbage"])
async def test_an_unanswered_hold_is_looked_up_and_never_repeated(database_url: str, fault: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        rig.at.fault("authorize", fault)
        await rig.begin_test(case_id)
        await rig.present()
        give_up = asyncio.get_running_loop().time() + PATIENCE_S
        while (test := (await rig.case(case_id))["test_transactions"][0])["ended_at"] is None:
            assert asyncio.get_running_loop().time() < give_up, test
            await hurry(rig)
            await asyncio.sleep(0.05)
        if fault == "apply_then_drop":
            assert test["state"] == "passed"
            assert history(rig) == [["authorized 100", "cancelled"]]
        else:
            assert (test["state"], history(rig)) == ("failed", [])


@pytest.mark.parametrize("fault", ["apply_then_drop", "drop_before", "error", "garbage"])
async def test_a_release_is_tried_until_it_is_confirmed(database_url: str, fault: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        rig.at.fault("cancel", fault, times=1 if fault == "apply_then_drop" else 6)
        await rig.begin_test(case_id)
        await rig.present()
        await rig.until(case_id, lambda case: case["test_transactions"][0]["release_tries"] == 1)
        # Held, not confirmed as released: the step has not passed, and the case cannot be finished or tested again.
        assert (await rig.step(case_id, "test_transaction"))["state"] == "open"
        refused = await rig.begin_test(case_id, status=409)
        assert "being released" in refused["detail"]
        await rig.until(case_id, lambda case: case["test_transactions"][0]["state"] == "held")
        give_up = asyncio.get_running_loop().time() + PATIENCE_S
        while (await rig.case(case_id))["test_transactions"][0]["ended_at"] is None:
            assert asyncio.get_running_loop().time() < give_up
            await hurry(rig)
            await asyncio.sleep(0.02)
        test = (await rig.case(case_id))["test_transactions"][0]
        assert test["state"] == "passed"
        assert history(rig) == [["authorized 100", "cancelled"]]
        async with reading(rig.on.app.engine) as connection:
            told = (await connection.execute(select(reminder_schema.reminders))).all()
        late = fault != "apply_then_drop"
        assert {row.owner_id for row in told} == ({"platform", OWNER} if late else set())
        says = {"platform": "a hold may stand on the card", OWNER: "kan det stå en reservasjon på kortet"}
        assert all(says[row.owner_id] in row.body for row in told)


async def test_a_release_that_nobody_ever_confirms_raises_an_alarm(database_url: str) -> None:
    """Through the whole schedule of a week, then given up: failed, with an alarm, and a new test may be made."""
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        tries = sum(1 for n in range(1, 100) if retry_delay_s(n) is not None) + 1
        rig.at.fault("cancel", "error", times=tries)
        rig.at.fault("get_session", "error", times=tries)
        await rig.begin_test(case_id)
        await rig.present()
        give_up = asyncio.get_running_loop().time() + 2 * PATIENCE_S
        while (test := (await rig.case(case_id))["test_transactions"][0])["ended_at"] is None:
            assert asyncio.get_running_loop().time() < give_up, test
            await hurry(rig)
        assert test["state"] == "unreleased"
        assert "Ask the acquirer" in test["problem"]
        assert (await rig.step(case_id, "test_transaction"))["state"] == "failed"
        async with reading(rig.on.app.engine) as connection:
            told = (await connection.execute(select(reminder_schema.reminders))).all()
        assert len(told) == 4  # late, and given up; the owner, and the platform
        assert sum("Ask the acquirer" in row.body for row in told) == 1
        assert sum("Spør innløseren" in row.body for row in told) == 1
        rig.at.faults.clear()
        await rig.begin_test(case_id)
        await rig.present("visa-2")
        assert (await rig.tested(case_id))["state"] == "passed"


async def test_captured_instead_of_released(database_url: str) -> None:
    """Somebody commits it at the provider meanwhile: that is no release, and is said so."""
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        rig.at.fault("cancel", "error")
        await rig.begin_test(case_id)
        await rig.present()
        await rig.until(case_id, lambda case: case["test_transactions"][0]["release_tries"] == 1)
        [payment] = rig.at.sessions(SERIAL)
        rig.at.terminal(SERIAL).commit(payment.session_id, 100, "", datetime.now(UTC))
        await hurry(rig)
        test = await rig.tested(case_id)
        assert (test["state"], "the card was charged" in test["problem"]) == ("unreleased", True)


async def test_a_terminal_that_restarts_meanwhile_is_armed_again(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        await rig.at.wait_for(lambda c: c.terminal(SERIAL).authorized_amount == 100, timeout_s=PATIENCE_S)
        await rig.at.reboot(SERIAL)
        rig.at.terminal(SERIAL).authorized_amount = 0
        await rig.present()
        assert (await rig.tested(case_id))["state"] == "passed"


async def test_the_keeper_leaves_the_reader_alone_meanwhile(database_url: str) -> None:
    """No start, stop or screen of the keeper's between the trial's start and its hold, whatever wakes it."""
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        await rig.at.wait_for(lambda c: c.terminal(SERIAL).authorized_amount == 100, timeout_s=PATIENCE_S)
        before = len(rig.at.calls)
        assert rig.on.app.bridge is not None
        for _ in range(20):
            rig.on.app.bridge.wake(SERIAL)
            await asyncio.sleep(0.05)
        made = {call.call for call in rig.at.calls[before:] if call.serial == SERIAL}
        assert made <= {"card"}
        await rig.present()
        assert (await rig.tested(case_id))["state"] == "passed"


async def test_the_callback_is_the_trials_own(database_url: str) -> None:
    """Wrong secrets and ids are 404 alike; the right one is taken however often it comes, and tells the case."""
    async with onboarding(database_url) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        [row] = await rig.tests()
        base = f"http://127.0.0.1:{rig.on.app.http_port}/callbacks/payter"
        for path in (
            f"{'x' * 40}/{row.arm_id}/card",
            f"{'s' * 40}/{row.arm_id}x/card",
            f"{'s' * 40}/{row.arm_id}/other",
        ):
            async with rig.http.post(f"{base}/{path}", json={}) as answer:
                assert (answer.status, await answer.text()) == (404, "404: Not Found")
        for _ in range(3):
            async with rig.http.post(f"{base}/{'s' * 40}/{row.arm_id}/card", json={}) as answer:
                assert answer.status == 200
        assert (await rig.case(case_id))["test_transactions"][0]["called_back_at"] is not None
        assert row.arm_id not in str(await rig.case(case_id))  # it is part of a secret address
        await rig.present()
        assert (await rig.tested(case_id))["state"] == "passed"


async def test_a_late_callback_passes_the_step_after_all(databases: Databases) -> None:
    async with onboarding(databases.fresh("sqlite")) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        rig.at.faults.order("callback", "delay", delay_s=1.0)
        await rig.present()
        await rig.tested(case_id)
        seen = await rig.until(
            case_id, lambda case: {s["code"]: s["state"] for s in case["steps"]}["callback"] == "passed"
        )
        assert seen["test_transactions"][0]["called_back_at"] is not None


async def test_the_provider_holds_another_amount(databases: Databases) -> None:
    async with onboarding(databases.fresh("postgresql")) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        await rig.at.wait_for(lambda c: c.terminal(SERIAL).authorized_amount == 100, timeout_s=PATIENCE_S)
        rig.at.terminal(SERIAL).authorized_amount = 10_000
        assert await rig.at.tap(SERIAL, "visa-1")
        test = await rig.tested(case_id)
        assert (test["state"], "held NOK 100.00, not NOK 1.00" in test["problem"]) == ("failed", True)
        assert rig.at.sessions(SERIAL)[0].state == CANCELLED


async def test_it_waits_for_what_it_depends_on(databases: Databases) -> None:
    async with onboarding(databases.fresh("sqlite")) as rig:
        case_id = await rig.start()
        refused = await rig.begin_test(case_id, status=409)
        assert "answers, licences must have passed: run the checks" in refused["detail"]


async def test_it_cannot_be_cancelled_while_it_has_the_reader(databases: Databases) -> None:
    async with onboarding(databases.fresh("sqlite")) as rig:
        case_id = await checked(rig)
        await rig.begin_test(case_id)
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/cancel", {"reason": "no time"}, status=409)
        assert "wait until it has ended" in refused["detail"]
        await rig.present()
        await rig.tested(case_id)
        await rig.api("POST", f"/onboarding-cases/{case_id}/cancel", {"reason": "no time"})
