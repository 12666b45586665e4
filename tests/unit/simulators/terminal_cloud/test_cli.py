"""The command."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from simulators.terminal_cloud import TerminalCloudControl, cli


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(words)


def test_defaults_and_the_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPVOLT_SIM_API_KEY", raising=False)
    args = parse()
    assert (args.host, args.port, args.api_key) == ("127.0.0.1", 8090, "sim-key")
    monkeypatch.setenv("TAPVOLT_SIM_API_KEY", "from-the-environment")
    assert parse().api_key == "from-the-environment"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--terminal", "X:Toaster:NOK"], "no terminal family"),
        (["--terminal", ":Apollo:NOK"], "serial is missing"),
        (["--speed", "0"], "speed"),
        (["--anchor", "2026-01-01T00:00:00"], "time zone"),
        (["--anchor", "noon"], "noon"),
    ],
)
def test_bad_options_are_explained(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parse("--port", "0", *words)) == 2
    assert said in capsys.readouterr().err


def test_a_state_file_that_is_none_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "state.json"
    kept.write_text("{}")
    assert cli.run(parse("--port", "0", "--state", str(kept))) == 2
    assert "state.json is no state" in capsys.readouterr().err


def test_a_taken_port_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.run(parse("--port", str(taken.getsockname()[1]))) == 1
    assert "address already in use" in capsys.readouterr().err.lower()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_says_what_happens_and_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import argparse, sys; from simulators.terminal_cloud import cli; p = argparse.ArgumentParser();"
        "cli.add_arguments(p); sys.exit(cli.run(p.parse_args()))"
    )
    words = ["--port", "0", "--api-key", "very-secret", "--state", str(tmp_path / "s.json")]
    words += ["--terminal", "T1:Apollo:EUR", "--terminal", "T2:P66:NOK", "--speed", "60"]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, *words, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    found = re.search(r"http://127\.0\.0\.1:\d+/", first)
    assert found is not None, first
    async with (
        TerminalCloudControl(found[0]) as control,
        aiohttp.ClientSession(headers={"Authorization": 'CPS apikey="very-secret"'}) as http,
    ):
        assert [(t["serial"], t["family"], t["currency"]) for t in await control.terminals()] == [
            ("T1", "Apollo", "EUR"),
            ("T2", "P66", "NOK"),
        ]
        asked = {"authorizedAmount": "5", "callbackUrl": "http://127.0.0.1:9/hidden-path"}
        async with http.post(found[0] + "terminals/T1/start", params=asked) as response:
            assert response.status == 200
        assert await control.tap("T1")
    process.send_signal(number)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"T1: start authorizedAmount='5'" in out
    assert b"T1: plastic visa-1 tapped" in out
    assert b"very-secret" not in out
    assert b"hidden-path" not in out
    assert '"state": "CARD"' in (tmp_path / "s.json").read_text()
