"""``/_sim``: the same verbs from another process, the page, and the state that is kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig, TerminalCloudControl
from simulators.terminal_cloud.control import ControlError
from simulators.terminal_cloud.redaction import redacted
from tests.unit.simulators.terminal_cloud.integrator import SERIAL, integrator

SCREEN = {"id": "s.1", "type": "dialog", "properties": {"title": "?", "buttons.yes.label": "Yes"}}


async def test_every_verb_works_over_http() -> None:
    async with integrator() as us, TerminalCloudControl(us.cloud.base_url) as control:
        await control.add_terminal("P66-1", family="P66", currency="EUR")
        listed = [(t["serial"], t["family"], t["currency"]) for t in await control.terminals()]
        assert listed == [(SERIAL, "Apollo", "NOK"), ("P66-1", "P66", "EUR")]
        assert not await control.tap(SERIAL)
        await us.start(900)
        await control.wait_for(SERIAL, lambda t: t["state"] == "READING")
        assert await control.tap(SERIAL, "visa-1", "phone")
        session_id = (await us.post("authorize"))[1]["sessionId"]
        await us.post(f"sessions/{session_id}/commit", commitAmount=901)
        [session] = await control.sessions(SERIAL)
        assert (session["session_id"], session["card"], session["kind"]) == (session_id, "visa-1", "phone")
        assert (session["authorized_amount"], session["final_amount"], session["state"]) == (900, None, "FAILED")
        assert session["history"] == ["authorized 900", "commit of 901 failed"]
        assert session["calls"] == ["commit 200"]

        await us.post("ui", SCREEN, callbackUrl=us.callback_url)
        assert (await control.screen(SERIAL))["custom"] == SCREEN
        assert await control.choose(SERIAL, "yes")
        assert not await control.choose(SERIAL, "no")
        await control.reboot(SERIAL)
        assert (await control.screen(SERIAL))["custom"] is None

        await control.set_online(SERIAL, False)
        assert (await control.terminal(SERIAL))["online"] is False
        await control.set_online(SERIAL, True)
        await control.fault("start", "error", times=2)
        assert (await us.start())[0] == 500
        await control.clear_faults()
        held = await us.payment()
        await control.expire_hold(SERIAL, held)
        assert (await control.sessions(SERIAL))[-1]["history"][-1] == "expired"
        assert [call["outcome"] for call in await control.calls() if call["call"] == "start"] == ["200", "error", "200"]


async def test_declining_from_another_process() -> None:
    async with integrator() as us, TerminalCloudControl(us.cloud.base_url) as control:
        await control.decline_next(SERIAL)
        await control.decline_card("visa-9")
        states = []
        for card in ("visa-1", "visa-9", "visa-1"):
            await us.start()
            await control.tap(SERIAL, card)
            states.append((await us.post("authorize"))[1]["state"])
        assert states == ["DECLINED", "DECLINED", "AUTHORIZED"]


@pytest.mark.parametrize(
    ("verb", "body", "status", "error"),
    [
        ("tap", {}, 400, "'serial' is missing"),
        ("tap", [], 400, "JSON object"),
        ("tap", {"serial": "NOBODY"}, 404, "not found"),
        ("tap", {"serial": SERIAL, "kind": "cheque"}, 400, "no kind of card"),
        ("terminals", {"serial": "X", "family": "Toaster"}, 400, "no terminal family"),
        ("terminals", {"serial": "a/b"}, 400, "slashes"),
        ("online", {"serial": SERIAL, "online": "no"}, 400, "true or false"),
        ("fault", {"call": "dance", "fault": "error"}, 400, "no call"),
        ("expire", {"serial": SERIAL, "session_id": "none"}, 404, "not found"),
    ],
)
async def test_a_control_that_makes_no_sense_is_explained(verb: str, body: object, status: int, error: str) -> None:
    async with integrator() as us:
        answered, answer = await us.call("POST", f"_sim/{verb}", body)
        assert answered == status
        assert error in answer["error"]


async def test_the_client_says_what_was_refused() -> None:
    async with integrator() as us:
        async with TerminalCloudControl(us.cloud.base_url) as control:
            with pytest.raises(ControlError, match="not found"):
                await control.terminal("NOBODY")
            with pytest.raises(ControlError, match="no fault"):
                await control.fault("commit", "dance")
            with pytest.raises(TimeoutError):
                await control.wait_for(SERIAL, lambda _: False, timeout_s=0.01)
        with pytest.raises(ControlError, match="async with"):
            await TerminalCloudControl(us.cloud.base_url).terminals()


async def test_the_page_needs_nothing_from_elsewhere() -> None:
    async with integrator() as us:
        async with us.http.get(us.cloud.base_url + "_sim") as response:
            page = await response.text()
            assert response.url.path == "/_sim/"
            assert response.content_type == "text/html"
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
        assert "innerHTML" not in page  # screens are the integrator's text
        for verb in re.findall(r"ask\('(\w+)'", page):
            assert (await us.call("OPTIONS", f"_sim/{verb}"))[0] == 405  # it exists


async def test_terminals_and_payments_survive_a_restart(tmp_path: Path) -> None:
    kept = tmp_path / "cloud.json"
    async with integrator(state_file=kept) as us:
        us.cloud.decline_card("visa-9")
        committed, opened = await us.payment(card="visa-1"), await us.payment(card="visa-2")
        await us.post(f"sessions/{committed}/commit", commitAmount=7, receiptLine="line")
        await us.start()
        await us.cloud.tap(SERIAL, "visa-3")
        before = us.cloud.terminal(SERIAL)
    assert kept.stat().st_mode & 0o077 == 0
    async with integrator(state_file=kept) as us:
        assert us.cloud.terminal(SERIAL) == before
        assert (await us.post("authorize"))[1]["state"] == "AUTHORIZED"
        assert (await us.post(f"sessions/{committed}/cancel"))[0] == 409
        assert (await us.post(f"sessions/{opened}/commit", commitAmount=8))[1]["finalAmount"] == 8
        await us.start()
        await us.cloud.tap(SERIAL, "visa-9")
        assert (await us.post("authorize"))[1]["state"] == "DECLINED"


@pytest.mark.parametrize("text", ["", "[]", '{"terminals": [{}]}', '{"terminals": []}'])
async def test_a_file_that_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "cloud.json"
    kept.write_text(text)
    with pytest.raises(ValueError, match=r"cloud\.json is no state"):
        TerminalCloud(TerminalCloudConfig(state_file=kept))
    assert kept.read_text() == text


def test_urls_are_shown_without_their_paths() -> None:
    assert redacted("to https://x.example:8/secret/a?b=c now") == "to https://x.example:8/… now"
    assert redacted("msg='http://x/r/t' y") == "msg='http://x/…' y"
    assert redacted("nothing to hide") == "nothing to hide"
