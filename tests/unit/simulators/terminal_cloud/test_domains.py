"""Several domains in one cloud: what a key opens, what it does not, and a terminal's way from one to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig, TerminalCloudControl, cli
from simulators.terminal_cloud.control import ControlError
from tests.unit.simulators.terminal_cloud.test_cli import parse

SERIAL = "P66-1"
CHANGE = {"start": {"authorizedAmount": "5000"}, "commit": {"commitAmount": "100"}}


@pytest.fixture
async def cloud() -> AsyncIterator[TerminalCloud]:
    async with TerminalCloud(TerminalCloudConfig(api_key="first", ingest_lag_s=0)) as running:
        running.add_domain("second", "second-key", "user", "password")
        running.add_terminal(SERIAL, "P66")
        yield running


async def ask(cloud: TerminalCloud, key: str, method: str, path: str, **parameters: str) -> tuple[int, Any]:
    headers = {"Authorization": f'CPS apikey="{key}"'}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, cloud.base_url + path, params=parameters) as response,
    ):
        return response.status, await response.json() if "json" in response.content_type else None


async def hold(cloud: TerminalCloud, key: str, card: str = "visa-1") -> str:
    assert (await ask(cloud, key, "POST", f"terminals/{SERIAL}/start", authorizedAmount="5000"))[0] == 200
    assert await cloud.tap(SERIAL, card)
    return str((await ask(cloud, key, "POST", f"terminals/{SERIAL}/authorize"))[1]["sessionId"])


async def test_a_terminal_is_not_found_under_another_domains_key_until_it_is_moved(cloud: TerminalCloud) -> None:
    payment = await hold(cloud, "first")
    calls = [
        ("GET", ""),
        ("GET", "/card"),
        ("GET", "/sessions"),
        ("GET", f"/sessions/{payment}"),
        *(("POST", f"/{call}") for call in ("start", "stop", "authorize", "ui")),
        *(("POST", f"/sessions/{payment}/{call}") for call in ("commit", "cancel")),
    ]
    for method, call in calls:
        parameters = CHANGE.get(call.rpartition("/")[2], {})
        answer = await ask(cloud, "second-key", method, f"terminals/{SERIAL}{call}", **parameters)
        assert answer[0] == 404, (call, answer)
    assert await ask(cloud, "second-key", "GET", "terminals") == (200, [])
    assert (await ask(cloud, "first", "GET", "terminals"))[1][0]["serialNumber"] == SERIAL
    await cloud.move_terminal(SERIAL, "second", "TT-1")
    assert (await ask(cloud, "first", "GET", f"terminals/{SERIAL}"))[0] == 404
    assert (await ask(cloud, "second-key", "GET", f"terminals/{SERIAL}"))[1]["state"] == "IDLE"
    assert (await ask(cloud, "second-key", "GET", f"terminals/{SERIAL}/sessions")) == (200, [])
    # Its payments stay where they were authorised.
    assert (await ask(cloud, "second-key", "GET", f"terminals/{SERIAL}/sessions/{payment}"))[0] == 404
    second = await hold(cloud, "second-key", "visa-2")
    for key, mine in (("first", payment), ("second-key", second)):
        [listed] = (await ask(cloud, key, "GET", f"terminals/{SERIAL}/sessions"))[1]
        assert listed["sessionId"] == mine
        path = f"terminals/{SERIAL}/sessions/{mine}/commit"
        assert (await ask(cloud, key, "POST", path, commitAmount="100"))[1]["state"] == "COMMITED"
    assert [(each.tt_number, each.from_domain, each.to_domain) for each in cloud.transfers] == [
        ("TT-1", "simulator", "second")
    ]


async def test_the_data_api_shows_a_domain_its_own_payments(cloud: TerminalCloud) -> None:
    first = await hold(cloud, "first")
    await cloud.move_terminal(SERIAL, "second", "TT-1")
    second = await hold(cloud, "second-key", "visa-2")

    async def payments(user: str, password: str, domain: str) -> Any:
        login = {"username": user, "password": password, "domain": domain}
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{cloud.base_url}API/Auth", json=login) as response:
                if response.status != 200:
                    return response.status
                token = (await response.json())["tokenId"]
            headers = {"Authorization": f'CURO-TOKEN token="{token}"'}
            async with http.post(f"{cloud.base_url}API/Data", json={"index": "Transactions"}, headers=headers) as found:
                return [(row["id"], row["siteDomain"]) for row in (await found.json())["documents"]]

    async def ingested() -> None:
        while len(await payments("user", "password", "second")) + len(await payments("a", "b", "simulator")) < 2:
            await asyncio.sleep(0.05)

    await asyncio.wait_for(ingested(), 10)
    assert await payments("anybody", "anything", "simulator") == [(first, "simulator")]
    assert await payments("user", "password", "second") == [(second, "second")]
    assert await payments("user", "wrong", "second") == 401
    assert await payments("user", "password", "third") == 401


async def test_each_domain_has_a_webhook_of_its_own(cloud: TerminalCloud) -> None:
    for key in ("first", "second-key"):
        headers = {"Authorization": f'CPS apikey="{key}"'}
        wanted = {"url": f"http://127.0.0.1:1/{key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.put(f"{cloud.base_url}webhook", json=wanted) as put,
        ):
            assert put.status == 200
    assert (await ask(cloud, "first", "GET", "webhook"))[1] == {"url": "http://127.0.0.1:1/first"}
    terminal = cloud.terminal(SERIAL)
    assert cloud.webhook_of(terminal) == "http://127.0.0.1:1/first"
    await cloud.move_terminal(SERIAL, "second", "TT-1")
    assert cloud.webhook_of(terminal) == "http://127.0.0.1:1/second-key"


async def test_domains_are_opened_and_terminals_moved_from_another_process(cloud: TerminalCloud) -> None:
    async with TerminalCloudControl(cloud.base_url) as control:
        await control.add_domain("third", "third-key")
        await control.add_terminal("P68-1", "P68", domain="third")
        with pytest.raises(ControlError, match="API key that no other domain has"):
            await control.add_domain("fourth", "third-key")
        with pytest.raises(ControlError, match="no domain 'fourth'"):
            await control.move_terminal(SERIAL, "fourth", "TT-1")
        with pytest.raises(ControlError, match="needs its TT number"):
            await control.move_terminal(SERIAL, "third", " ")
        with pytest.raises(ControlError, match="not found"):
            await control.move_terminal("NONE", "third", "TT-1")
        await control.move_terminal(SERIAL, "third", "TT-1")
        assert (await control.terminal(SERIAL))["domain"] == "third"
    async with aiohttp.ClientSession() as http, http.get(f"{cloud.base_url}_sim/domains") as response:
        shown = await response.json()
    assert {each["name"]: each["terminals"] for each in shown} == {
        "simulator": [],
        "second": [],
        "third": [SERIAL, "P68-1"],
    }
    assert "third-key" not in str(shown)


async def test_the_command_moves_a_terminal(cloud: TerminalCloud, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--port", str(cloud.port), "--move")
    assert await asyncio.to_thread(cli.run, parse(*words, f"{SERIAL}:second:TT-9")) == 0
    assert cloud.terminal(SERIAL).domain == "second"
    assert await asyncio.to_thread(cli.run, parse(*words, f"{SERIAL}:second")) == 1
    assert "needs its TT number" in capsys.readouterr().err
    assert await asyncio.to_thread(cli.run, parse("--port", "1", "--move", f"{SERIAL}:second:TT-9")) == 1
    assert "nobody answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--terminal", "X:P66:NOK:nowhere"], "no domain 'nowhere'"),
        (["--domain", "second"], "needs an API key"),
        (["--domain", ":key"], "needs a name"),
        (["--api-key", "k", "--domain", "second:k"], "no other domain has"),
    ],
)
def test_domains_that_cannot_be_are_explained(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parse("--port", "0", *words)) == 2
    assert said in capsys.readouterr().err


async def test_domains_and_transfers_survive_a_restart(tmp_path: Path) -> None:
    config = TerminalCloudConfig(api_key="first", state_file=tmp_path / "state.json")
    async with TerminalCloud(config) as cloud:
        cloud.add_domain("second", "second-key")
        cloud.add_terminal(SERIAL, "P66")
        payment = await hold(cloud, "first")
        await cloud.move_terminal(SERIAL, "second", "TT-1")
    async with TerminalCloud(config) as cloud:
        assert cloud.terminal(SERIAL).domain == "second"
        assert [each.tt_number for each in cloud.transfers] == ["TT-1"]
        assert (await ask(cloud, "second-key", "GET", f"terminals/{SERIAL}"))[0] == 200
        assert (await ask(cloud, "first", "GET", f"terminals/{SERIAL}/sessions/{payment}"))[0] == 200
