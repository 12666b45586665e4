"""The command line and the typed commands."""

import argparse
import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from simulators.station import cli
from simulators.station.console import TABLE, BadCommandError, carry_out, converse
from tests.unit.simulators.station.central import Central, booted_station, central_system


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(words)


def test_several_stations_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPVOLT_STATION_PASSWORD", "from the environment")
    configs = cli.configs(
        parse("--url", "ws://x", "--identity", "A", "--count", "2", "--anchor", "2026-01-01T00:00:00Z")
    )
    assert [config.identity for config in configs] == ["A-001", "A-002"]
    assert {config.password for config in configs} == {"from the environment"}
    assert configs[0].clock is configs[1].clock
    [config] = cli.configs(parse("--url", "ws://x", "--password", "typed"))
    assert config.password == "typed"


@pytest.mark.parametrize(
    "words",
    [["--speed", "0"], ["--anchor", "2026-01-01T00:00:00"], ["--anchor", "noon"], ["--evses", "0"], ["--soc", "101"]],
)
def test_bad_options_are_explained(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--url", "ws://x", *words)
    assert words[0] in capsys.readouterr().err


def test_help_has_an_example_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert "simulated seconds" in shown


async def launch(central: Central, *words: str) -> Process:
    """The command as a process of its own: it handles signals and standard input."""
    program = (
        "import argparse, sys; from simulators.station import cli; p = argparse.ArgumentParser();"
        "cli.add_arguments(p); sys.exit(cli.run(p.parse_args()))"
    )
    options = ["--url", central.url, "--version", "2.0.1", "--speed", "600"]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *options, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def test_a_script_runs_and_ends() -> None:
    async with central_system("2.0.1") as central:
        script = await launch(central, "--script", "booted; plug; wait 60; status; unplug; wait 60; quit")
        out, err = await script.communicate()
        assert (script.returncode, err) == (0, b"")
        told = [p["connectorStatus"] for p in central.payloads("StatusNotification")]
        assert told == ["Available", "Occupied", "Available"]
        assert b"SIM1 EVSE 1: cable plugged in" in out
        assert b"online, boot Accepted" in out


async def test_a_bad_script_is_an_error() -> None:
    async with central_system("2.0.1") as central:
        script = await launch(central, "--count", "2", "--script", "dance")
        _, err = await script.communicate()
        assert script.returncode == 2
        assert b"error: no such command: dance" in err


async def test_ctrl_c_closes_the_socket_properly() -> None:
    async with central_system("2.0.1") as central:
        running = await launch(central)
        assert running.stdout is not None
        while b"boot Accepted" not in (line := await running.stdout.readline()):
            assert line
        running.send_signal(signal.SIGINT)
        _, err = await running.communicate()
        assert (running.returncode, err) == (0, b"")
        assert central.socket is not None
        await central.socket.wait_closed()
        assert central.socket.close_code == 1000


async def test_commands_are_read_from_standard_input() -> None:
    async with central_system("2.0.1") as central:
        running = await launch(central, "--interactive")
        out, err = await running.communicate(b"status\nnonsense\nquit\n")
        assert (running.returncode, err) == (0, b"")
        assert b"EVSE 1: Available" in out
        assert b"error: no such command: nonsense" in out


async def test_typed_commands() -> None:
    async with central_system("1.6") as central, booted_station(central, evses=2, boot_s=1.0) as station:
        lines = asyncio.StreamReader()
        shown: list[str] = []
        typed = "help\nCP1: plug 2\nplug 2\nplug\nplug 7\ntoken 2 CARD\nnonsense\nstatus\nquit\nunplug 2\n"
        lines.feed_data(typed.encode())
        lines.feed_eof()
        await converse([station], lines, shown.append)
        assert shown[0] == await carry_out(station, "help")
        assert all(name in shown[0] for name in TABLE)
        assert shown[1:-1] == [
            "error: EVSE 2 already has a car",
            "error: which EVSE? 1 to 2",
            "error: no EVSE 7; there are 1 to 2",
            "Accepted",
            "error: no such command: nonsense; try help",
        ]
        assert "EVSE 2: Charging, 11000 W" in shown[-1]
        assert station.evse(2).plugged  # nothing after quit


async def test_every_command_works() -> None:
    async with central_system("1.6") as central, booted_station(central, boot_s=1.0) as station:
        for line in (
            "plug", "token CARD", "suspend", "resume", "limit", "offer", "token 1 CARD Local", "unplug",
            "fault 1 OverCurrentFailure", "clear", "emergency", "clear 1", "offline", "online", "clock 3600", "clock",
            "reboot", "booted", "reboot hard", "booted", "cut", "power", "booted 10", "wait 1", "status", "# nothing",
        ):  # fmt: skip
            await carry_out(station, line)
        assert station.evse(1).state == "Available"
        assert len(station.sent("BootNotification")) == 4
        for line in ("reboot gently", "wait", "wait long", "power", "unplug", "token", "plug 'x"):
            with pytest.raises(BadCommandError):
                await carry_out(station, line)
