"""From a stored terminal to a live one and its first paid session, on all four paths, with both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from csms.terminals.checklist import Origin, Processor, checklist
from sessions.tables import Charging
from storage import onboarding_schema as o
from storage import schema as t
from storage import terminal_schema
from storage.engine import reading
from tests.journeys.onboarding_stage import PATHS, SERIAL, Rig, onboarding


@pytest.mark.parametrize(("origin", "processor"), PATHS)
async def test_every_path_ends_live(database_url: str, origin: Origin, processor: Processor) -> None:
    async with onboarding(database_url, processor) as rig:
        case_id = await rig.verified(origin)
        case = await rig.case(case_id)
        steps = [step["code"] for step in case["steps"]]
        assert steps == [step.code for step in checklist(origin, processor, battery=True)]
        assert await rig.terminal_is() == "onboarding"
        finished = await rig.api("POST", f"/onboarding-cases/{case_id}/finish")
        assert (finished["state"], await rig.terminal_is()) == ("completed", "live")
        assert await rig.api("POST", f"/onboarding-cases/{case_id}/finish") == finished
        [payment] = rig.at.sessions(SERIAL)
        assert payment.history == ["authorized 100", "cancelled"]
        async with reading(rig.on.app.engine) as connection:
            moves = select(terminal_schema.terminal_moves).where(terminal_schema.terminal_moves.c.serial == SERIAL)
            moved = [(m.from_state, m.to_state, m.place) for m in await connection.execute(moves)]
            sold = [
                (await connection.execute(select(func.count()).select_from(x))).scalar() for x in (t.sessions, t.ledger)
            ]
        assert moved == [("stored", "onboarding", ""), ("onboarding", "live", "By the entrance")]
        assert sold == [0, 0]
        events = (await rig.api("GET", f"/onboarding-cases/{case_id}/history?limit=500"))["items"]
        kinds = [event["kind"] for event in events]
        assert (kinds[0], kinds[-1]) == ("started", "completed")
        assert [e["text"] for e in events if e["kind"] == "state"][-1] == "ready"


async def test_the_first_paid_session_follows(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        await rig.api("POST", f"/onboarding-cases/{case_id}/finish")
        await rig.on.tap(SERIAL)
        assert rig.station is not None
        await rig.on.session(lambda s: s.charging in {Charging.ACCEPTED, Charging.CHARGING})
        await rig.station.plug(2)
        session = await rig.on.session(lambda s: s.charging is Charging.CHARGING)
        assert session.terminal_serial == SERIAL
        assert [p.history[0] for p in rig.at.sessions(SERIAL)] == ["authorized 100", "authorized 30000"]


async def test_paper_alone_completes_nothing(database_url: str) -> None:
    """Every physical step confirmed, and nothing else: the machine's steps cannot be ticked off, waived or skipped."""
    async with onboarding(database_url) as rig:
        case_id = await rig.start()
        machine = []
        for step in (await rig.case(case_id))["steps"]:
            if step["who"] == "machine":
                machine.append(step["code"])
                refused = await rig.confirm(case_id, step["code"], status=409)
                assert "Run the checks" in refused["detail"]
                path = f"/onboarding-cases/{case_id}/steps/{step['code']}/waiver"
                refused = await rig.api("POST", path, {"reason": "we know it"}, status=409, token=rig.admin)
                assert "cannot be waived" in refused["detail"]
            elif step["code"] != "storage_test":
                await rig.confirm(case_id, step["code"])
        refused = await rig.confirm(case_id, "storage_test", status=409)
        assert "test_transaction must have passed first" in refused["detail"]
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        # What the database alone decides was judged in that very commit; the rest is named.
        assert len(refused["errors"]) == 4
        assert await rig.terminal_is() == "onboarding"


async def test_what_passed_and_is_no_longer_true_stops_the_finish(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        await rig.set_terminal(licensed_until=datetime.now(UTC) - timedelta(days=1))
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert "Renew the terminal cloud plan" in refused["errors"][0]["detail"]
        assert (await rig.case(case_id))["state"] == "waiting"
        assert await rig.terminal_is() == "onboarding"


async def test_an_old_verification_is_made_again_at_finishing(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        long_ago = datetime.now(UTC) - timedelta(hours=25)
        old = update(o.onboarding_steps).values(checked_at=long_ago)
        await rig.write(old)
        await rig.at.set_online(SERIAL, False)
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert any("it is offline" in error["detail"] for error in refused["errors"]), refused
        await rig.at.set_online(SERIAL, True)
        await rig.check(case_id)
        await rig.write(update(o.onboarding_steps).values(checked_at=long_ago))
        assert (await rig.api("POST", f"/onboarding-cases/{case_id}/finish"))["state"] == "completed"


async def test_an_old_test_transaction_is_asked_for_again(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        weeks_ago = datetime.now(UTC) - timedelta(days=8)
        test = o.onboarding_steps.c.code == "test_transaction"
        await rig.write(update(o.onboarding_steps).where(test).values(checked_at=weeks_ago))
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert "make it again" in refused["errors"][0]["detail"]
        await rig.begin_test(case_id)
        await rig.present("visa-2")
        assert (await rig.tested(case_id))["state"] == "passed"
        assert (await rig.api("POST", f"/onboarding-cases/{case_id}/finish"))["state"] == "completed"


async def test_a_suspended_terminal_is_not_set_live_by_its_case(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        await rig.set_terminal(inventory_state="suspended")
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert "is suspended now" in refused["errors"][0]["detail"]
        assert await rig.terminal_is() == "suspended"


async def test_another_processor_needs_another_case(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        await rig.set_terminal(account_id="acc_000000000001")
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert "cancel it and start a new one" in refused["errors"][0]["detail"]


async def test_finished_at_once_by_many_it_goes_live_once(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        case_id = await rig.verified(Origin.INTEGRATED)
        await asyncio.gather(*(_finish(rig, case_id) for _ in range(4)))
        assert (await rig.case(case_id))["state"] == "completed"
        async with reading(rig.on.app.engine) as connection:
            moves = terminal_schema.terminal_moves.c
            count = select(func.count()).where(moves.serial == SERIAL, moves.to_state == "live")
            assert (await connection.execute(count)).scalar() == 1


async def test_one_case_at_a_time_and_cancelling(database_url: str) -> None:
    async with onboarding(database_url) as rig:
        started = await asyncio.gather(*(_try_start(rig) for _ in range(5)))
        assert sorted(started) == [201, 409, 409, 409, 409]
        [case] = (await rig.api("GET", "/onboarding-cases"))["items"]
        assert case["case_id"] == 1
        cancelled = await rig.api("POST", "/onboarding-cases/1/cancel", {"reason": "wrong terminal"})
        assert (cancelled["state"], await rig.terminal_is()) == ("cancelled", "stored")
        refused = await rig.confirm(1, "housing", status=409)
        assert "Start a new one" in refused["detail"]
        assert await rig.start() == 2
        live = await rig.api(
            "POST", "/onboarding-cases", {"serial": "T1", "origin": "own"}, status=409, token=rig.admin
        )
        assert "is live" in live["detail"]


async def _try_start(rig: Rig) -> int:
    url = f"http://127.0.0.1:{rig.on.app.http_port}/api/v1/onboarding-cases"
    body = {"serial": SERIAL, "origin": "integrated"}
    async with rig.http.post(url, json=body, headers={"Authorization": f"Bearer {rig.owner}"}) as answer:
        return answer.status


async def _finish(rig: Rig, case_id: int) -> None:
    """Whoever comes second is told that it is completed, or that it was just now."""
    url = f"http://127.0.0.1:{rig.on.app.http_port}/api/v1/onboarding-cases/{case_id}/finish"
    async with rig.http.post(url, headers={"Authorization": f"Bearer {rig.owner}"}) as answer:
        assert answer.status in (200, 409), await answer.text()
