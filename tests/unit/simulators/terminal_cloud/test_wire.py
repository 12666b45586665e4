"""The wire's rules: authentication, the reader's states, holds and what becomes of them."""

from __future__ import annotations

import asyncio
import re

import pytest

from simulators.terminal_cloud import Card
from tests.unit.simulators.terminal_cloud.integrator import SERIAL, integrator

SCREEN = {
    "id": "s.1",
    "type": "selection",
    "properties": {
        "title": "Where?",
        "items.CP1/1": "",
        "items.CP1/1.label": "Left",
        "items.CP1%2E5/2.label": "Right",
        "items.CP1/3.label": "Broken",
        "items.CP1/3.disabled": "true",
    },
}


@pytest.mark.parametrize("header", ["", 'CPS apikey="wrong"', 'Bearer apikey="the-key"'])
async def test_a_wrong_key_is_refused_with_the_error_body(header: str) -> None:
    async with integrator() as us:
        for path in ("terminals", f"terminals/{SERIAL}", "webhook"):
            url = us.cloud.base_url + path
            async with us.http.get(url, headers={"Authorization": header}) as response:
                body = await response.json()
            assert response.status == body["status"] == 401
            assert set(body) == {"timestamp", "status", "error", "message"}
        assert us.cloud.calls == []


async def test_terminals_are_listed_and_found() -> None:
    async with integrator() as us:
        us.cloud.add_terminal("P66-1", family="P66", currency="EUR")
        status, terminals = await us.call("GET", "terminals")
        assert (status, [terminal["serialNumber"] for terminal in terminals]) == (200, [SERIAL, "P66-1"])
        status, terminal = await us.get()
        assert (status, terminal["online"], terminal["state"]) == (200, True, "IDLE")
        status, error = await us.call("GET", "terminals/NOBODY")
        assert (status, error["error"]) == (404, "Not Found")


@pytest.mark.parametrize("bad", [{}, {"authorizedAmount": "12.50"}, {"authorizedAmount": "-1"}])
async def test_start_needs_an_amount_in_minor_units(bad: dict[str, str]) -> None:
    async with integrator() as us:
        status, error = await us.post("start", **bad)
        assert (status, error["status"]) == (400, 400)
        assert us.cloud.terminal(SERIAL).state == "IDLE"


async def test_the_reader_goes_from_idle_to_reading_to_card_and_back() -> None:
    async with integrator() as us:
        assert not await us.cloud.tap(SERIAL, card="visa-1")  # not armed: no card is read
        assert (await us.post("authorize"))[0] == 409
        assert await us.start(5000) == (200, "")
        assert (await us.get())[1]["state"] == "READING"
        assert (await us.start())[0] == 409
        assert await us.cloud.tap(SERIAL, card="visa-1")
        assert (await us.get())[1]["state"] == "CARD"
        assert not await us.cloud.tap(SERIAL, card="visa-1")
        assert (await us.start())[0] == 409
        [card] = await us.until_heard(1)
        assert await us.get("/card", waitTime=5) == (200, card)
        status, session = await us.post("authorize", uiMessage="Thank you", receiptLine="a line")
        assert (status, session["state"], session["authorizedAmount"]) == (200, "AUTHORIZED", 5000)
        assert session["cardId"] == card["cardId"]
        assert (await us.get())[1]["state"] == "IDLE"
        assert us.cloud.screen(SERIAL)["message"] == "Thank you"
        [payment] = us.cloud.sessions(SERIAL)
        assert (payment.session_id, payment.receipt_lines) == (session["sessionId"], ["a line"])
        assert (await us.start())[0] == 200  # one interaction an arming; the next one needs another start


async def test_an_offline_terminal_cannot_be_started_and_reads_no_card() -> None:
    async with integrator() as us:
        await us.start()
        await us.cloud.set_online(SERIAL, False)
        assert not await us.cloud.tap(SERIAL)
        for what in ("start?authorizedAmount=1", "stop"):
            assert (await us.post(what))[0] == 503
        assert (await us.post("ui", SCREEN))[0] == 503
        assert (await us.get())[1]["online"] is False


async def test_the_long_poll_ends_with_the_card_or_with_nothing() -> None:
    async with integrator() as us:
        assert (await us.get("/card", waitTime=0))[0] == 404
        await us.start()
        assert (await us.get("/card", waitTime="0.01"))[0] == 404
        waiting = asyncio.create_task(us.get("/card", waitTime=30))
        await us.cloud.wait_for(lambda c: c.terminal(SERIAL).state == "READING")
        assert await us.cloud.tap(SERIAL, card="visa-1")
        status, card = await waiting
        assert (status, card["cardId"]) == (200, Card("visa-1").card_id)
        assert (await us.get("/card", waitTime="soon"))[0] == 400


def test_cards_are_stable_masked_and_different_on_a_phone() -> None:
    plastic, phone = Card("visa-1"), Card("visa-1", "phone")
    assert plastic.card_id == Card("visa-1").card_id != phone.card_id
    assert plastic.masked_pan != phone.masked_pan
    for card in (plastic, phone, Card("amex-1"), Card("anything")):
        assert re.fullmatch(r"[0-9a-f]{64}", card.card_id)
        assert re.fullmatch(r"\d{6}\*{6}\d{4}", card.masked_pan)
    for kind, ifd in (("rfid", "CONTACTLESS"), ("qr", "QR_CODE")):
        wire = Card("x", kind).to_json(SERIAL)
        assert (wire["ifd"], wire["maskedPan"], wire["aid"]) == (ifd, "", "")
        assert wire["cardId"]
    with pytest.raises(ValueError, match="no kind of card"):
        Card("x", "cheque")


async def test_a_declined_card_gives_no_session() -> None:
    async with integrator() as us:
        us.cloud.decline_next(SERIAL)
        us.cloud.decline_card("visa-9")
        for card in ("visa-1", "visa-9", "visa-9"):
            await us.start()
            await us.cloud.tap(SERIAL, card)
            status, answer = await us.post("authorize", uiMessage="Thank you")
            assert (status, answer["state"]) == (200, "DECLINED")
            assert "sessionId" not in answer
            assert us.cloud.screen(SERIAL)["message"] == "Declined"
        assert us.cloud.sessions(SERIAL) == []
        await us.payment(card="visa-1")  # only the next one was to be declined


async def test_stop_forgets_the_card_and_leaves_payments_alone() -> None:
    async with integrator() as us:
        session_id = await us.payment()
        await us.start()
        await us.cloud.tap(SERIAL)
        assert (await us.post("stop", uiMessage="Never mind"))[0] == 200
        assert (await us.get("/card", waitTime=0))[0] == 404
        assert (await us.post("authorize"))[0] == 409
        assert (await us.get())[1]["state"] == "IDLE"
        assert (await us.get(f"/sessions/{session_id}"))[1]["state"] == "AUTHORIZED"


async def test_a_commit_is_final_and_may_be_lower() -> None:
    async with integrator() as us:
        session_id = await us.payment(5000)
        status, session = await us.post(f"sessions/{session_id}/commit", commitAmount=1234, receiptLine="kWh")
        assert (status, session["state"], session["finalAmount"]) == (200, "COMMITED", 1234)
        assert (session["result"], session["authorizedAmount"]) == ("APPROVED", 5000)
        assert session["commitTime"].endswith("+0000")
        for again in ("commit?commitAmount=1234", "cancel"):
            status, error = await us.post(f"sessions/{session_id}/{again}")
            assert (status, error["error"]) == (409, "Conflict")
        assert await us.get(f"/sessions/{session_id}") == (200, session)
        assert await us.get("/sessions") == (200, [session])
        [payment] = us.cloud.sessions(SERIAL)
        assert payment.history == ["authorized 5000", "committed 1234"]
        made = [(call.call, call.outcome) for call in us.cloud.calls if call.session_id == session_id]
        assert made == [("commit", "200"), ("commit", "409"), ("cancel", "409"), ("get_session", "200")]


async def test_a_cancelled_payment_cannot_be_committed() -> None:
    async with integrator() as us:
        session_id = await us.payment()
        status, session = await us.post(f"sessions/{session_id}/cancel")
        assert (status, session["state"], session["finalAmount"]) == (200, "CANCELLED", None)
        assert (await us.post(f"sessions/{session_id}/commit", commitAmount=1))[0] == 409


@pytest.mark.parametrize("amount", [5001, 0])
async def test_a_commit_above_the_hold_fails_with_200(amount: int) -> None:
    async with integrator() as us:
        session_id = await us.payment(5000)
        status, session = await us.post(f"sessions/{session_id}/commit", commitAmount=amount)
        assert (status, session["state"], session["result"]) == (200, "FAILED", "APPROVED")
        assert session["finalAmount"] is None


async def test_unknown_payments_are_404() -> None:
    async with integrator() as us:
        for method, what in (("GET", ""), ("POST", "/cancel"), ("POST", "/commit?commitAmount=1")):
            assert (await us.call(method, f"terminals/{SERIAL}/sessions/none{what}"))[0] == 404


async def test_several_payments_are_open_at_once() -> None:
    async with integrator() as us:
        first, second = await us.payment(card="visa-1"), await us.payment(card="visa-2")
        await us.post(f"sessions/{first}/commit", commitAmount=100)
        assert [p.state for p in us.cloud.sessions(SERIAL)] == ["COMMITED", "AUTHORIZED"]
        await us.post(f"sessions/{second}/cancel")
        assert [p.state for p in us.cloud.sessions(SERIAL)] == ["COMMITED", "CANCELLED"]


async def test_offline_authorise_declines_and_the_rest_is_confirmed_stored_and_forwarded() -> None:
    async with integrator() as us:
        first, second = await us.payment(card="visa-1"), await us.payment(card="visa-2")
        await us.start()
        await us.cloud.tap(SERIAL, "visa-3")
        await us.cloud.set_online(SERIAL, False)
        assert (await us.post("authorize"))[1]["state"] == "DECLINED"
        assert (await us.post(f"sessions/{first}/commit", commitAmount=100))[1]["state"] == "COMMITED"
        assert (await us.post(f"sessions/{second}/cancel"))[1]["state"] == "CANCELLED"
        committed = us.cloud.sessions(SERIAL)[0]
        assert [p.ended_at for p in us.cloud.sessions(SERIAL)] == [None, None]
        assert committed.history[1:] == ["committed 100", "stored"]
        await us.cloud.set_online(SERIAL, True)
        assert committed.history[1:] == ["committed 100", "stored", "forwarded"]
        assert None not in [p.ended_at for p in us.cloud.sessions(SERIAL)]


async def test_a_hold_expires_once_and_only_when_open() -> None:
    async with integrator() as us:
        session_id = await us.payment()
        await us.cloud.expire_hold(SERIAL, session_id)
        assert (await us.get(f"/sessions/{session_id}"))[1]["state"] == "CANCELLED"
        assert (await us.post(f"sessions/{session_id}/commit", commitAmount=1))[0] == 409
        committed = await us.payment()
        await us.post(f"sessions/{committed}/commit", commitAmount=1)
        with pytest.raises(Exception, match="already committed"):
            await us.cloud.expire_hold(SERIAL, committed)
        assert us.cloud.sessions(SERIAL)[-1].state == "COMMITED"


async def test_a_choice_on_the_screen_calls_back_with_its_name() -> None:
    async with integrator() as us:
        assert (await us.post("ui", SCREEN, callbackUrl=us.callback_url))[0] == 200
        assert us.cloud.screen(SERIAL)["custom"] == SCREEN
        for touched in ("CP1/1", "Right", "CP1.5/2"):
            assert await us.cloud.choose(SERIAL, touched)
        for missing in ("CP1/3", "Broken", "nothing", ""):
            assert not await us.cloud.choose(SERIAL, missing)
        heard = await us.until_heard(3)
        assert {(h["serialNumber"], h["screenId"]) for h in heard} == {(SERIAL, "s.1")}
        assert sorted(h["response"] for h in heard) == ["CP1%2E5/2", "CP1%2E5/2", "CP1/1"]


@pytest.mark.parametrize("bad", [[], {"id": "x", "type": "dialog"}, SCREEN | {"properties": {"a": {"b": "c"}}}])
async def test_a_screen_is_a_flat_map_of_strings(bad: object) -> None:
    async with integrator() as us:
        assert (await us.post("ui", bad))[0] == 400
        assert us.cloud.screen(SERIAL)["custom"] is None


async def test_a_terminal_without_a_touch_screen_takes_no_screens() -> None:
    async with integrator() as us:
        us.cloud.add_terminal("P66-1", family="P66")
        assert (await us.call("POST", "terminals/P66-1/ui", SCREEN))[0] == 400
        with pytest.raises(ValueError, match="no terminal family"):
            us.cloud.add_terminal("X", family="Toaster")


async def test_a_reboot_drops_the_screen_and_its_callback_and_tells_the_webhook() -> None:
    async with integrator() as us:
        assert (await us.call("PUT", "webhook", {"url": us.callback_url}))[1] == {"url": us.callback_url}
        assert (await us.call("GET", "webhook"))[1] == {"url": us.callback_url}
        session_id = await us.payment()
        await us.post("ui", SCREEN, callbackUrl=us.callback_url)
        await us.start()
        await us.cloud.reboot(SERIAL, down_s=1)
        assert us.cloud.terminal(SERIAL).online is False
        await us.cloud.wait_for(lambda c: c.terminal(SERIAL).online)
        assert us.cloud.screen(SERIAL)["custom"] is None
        assert not await us.cloud.choose(SERIAL, "CP1/1")
        assert (await us.get())[1]["state"] == "IDLE"
        assert (await us.get(f"/sessions/{session_id}"))[1]["state"] == "AUTHORIZED"
        told = [(h["online"], h["state"]) for h in await us.until_heard(3) if "online" in h]
        assert sorted(told) == [(False, "IDLE"), (True, "IDLE")]  # two posts: their order is nobody's promise
        assert (await us.call("DELETE", "webhook"))[1] == {"url": ""}
        assert (await us.call("PUT", "webhook", {}))[0] == 400


async def test_events_tell_what_happens_and_no_secrets() -> None:
    async with integrator() as us:
        session_id = await us.payment(4200)
        await us.until_heard(1)
        await us.post(f"sessions/{session_id}/commit", commitAmount=7, uiMessage="https://pay.example/r/token")
        await us.cloud.wait_for(lambda c: c.callbacks.sent)
        told = "\n".join(us.events)
        assert "authorizedAmount='4200'" in told
        assert "commitAmount='7'" in told
        assert "answered 200" in told
        for secret in ("unguessable", "the-key", "/r/token", Card("visa-1").card_id):
            assert secret not in told
        assert "callbackUrl" not in us.cloud.calls[0].parameters
