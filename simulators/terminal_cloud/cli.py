"""``tapvolt simulate terminal-cloud``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

import aiohttp

from simulators.clock import SimClock
from simulators.terminal_cloud.cloud import TerminalCloud, TerminalCloudConfig
from simulators.terminal_cloud.control import ControlError, TerminalCloudControl
from simulators.terminal_cloud.model import DOMAIN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Play Payter's cloud: its wire over HTTP, and a page to tap cards on under /_sim/."
    parser.epilog = (
        "example:\n  tapvolt simulate terminal-cloud --terminal SIM-APOLLO-1:Apollo:NOK --terminal SIM-P66-1:P66:NOK\n"
        "then open http://127.0.0.1:8090/_sim/ and point tapvolt's payter.base_url at http://127.0.0.1:8090/"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s; no login!)")
    parser.add_argument("--port", type=int, default=8090, help="port, 0 for a free one (default %(default)s)")
    parser.add_argument(
        "--api-key",
        default=os.environ.get("TAPVOLT_SIM_API_KEY", "sim-key"),
        help="the API key to ask for (default: TAPVOLT_SIM_API_KEY, else sim-key)",
    )
    parser.add_argument(
        "--terminal",
        action="append",
        default=[],
        metavar="SERIAL:FAMILY:CURRENCY[:DOMAIN]",
        help="a terminal, e.g. SIM-1:Apollo:NOK, in the simulator's own domain or another; may be given again",
    )
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="NAME:API_KEY[:USER:PASSWORD]",
        help="another domain, with its API key and its Data API user; may be given again",
    )
    parser.add_argument(
        "--move",
        metavar="SERIAL:DOMAIN:TT_NUMBER",
        help="do not serve: move a terminal of the simulator that runs at --host and --port to another domain",
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how many times faster time runs (default %(default)g)"
    )
    parser.add_argument("--anchor", help="moment from which --speed counts, ISO 8601 with a zone; as for the system")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep terminals and payments in this JSON file (default: nowhere)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Exit status 2 for arguments that cannot be used."""
    if args.move:
        return _move(f"http://{args.host}:{args.port}/", args.move)
    try:
        anchor = datetime.fromisoformat(args.anchor) if args.anchor else None
        if anchor is not None and anchor.tzinfo is None:
            raise ValueError("--anchor needs a time zone, such as 2026-01-01T00:00:00+00:00")
        config = TerminalCloudConfig(
            api_key=args.api_key,
            host=args.host,
            port=args.port,
            clock=SimClock(args.speed, anchor),
            state_file=args.state,
            on_event=lambda line: print(line, flush=True),
        )
        cloud = TerminalCloud(config)
        for text in args.domain:
            name, key, user, password = (*text.split(":", 3), "", "", "")[:4]
            if name not in cloud.domains:
                cloud.add_domain(name, key, user, password)
        for text in args.terminal or ([] if cloud.terminals else ["SIM-APOLLO-1:Apollo:NOK"]):
            serial, _, rest = text.partition(":")
            family, currency, domain = (*rest.split(":", 2), "", "")[:3]
            if not serial:
                raise ValueError(f"--terminal {text}: a serial is missing, as in SIM-1:Apollo:NOK")
            cloud.add_terminal(serial, family or "Apollo", currency or "NOK", domain or DOMAIN)
    except ValueError as error:
        print(f"tapvolt simulate terminal-cloud: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_serve(cloud))
    except OSError as error:
        print(f"tapvolt simulate terminal-cloud: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _move(base_url: str, text: str) -> int:
    """Move a terminal of a simulator that runs."""
    serial, domain, tt_number = (*text.split(":", 2), "", "")[:3]

    async def ask() -> None:
        async with TerminalCloudControl(base_url) as control:
            await control.move_terminal(serial, domain, tt_number)

    try:
        asyncio.run(ask())
    except (ControlError, aiohttp.ClientError, TimeoutError) as error:
        said = error if isinstance(error, ControlError) else f"nobody answers at {base_url}"
        print(f"tapvolt simulate terminal-cloud --move: {said}", file=sys.stderr)
        return 1
    print(f"{serial} moved to {domain} ({tt_number})")
    return 0


async def _serve(cloud: TerminalCloud) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    async with cloud:
        print(f"terminal cloud on {cloud.base_url}  (page: {cloud.base_url}_sim/)", flush=True)
        for terminal in cloud.terminals.values():
            print(
                f"terminal {terminal.serial} ({terminal.family}, {terminal.currency}), domain {terminal.domain}",
                flush=True,
            )
        await stopped.wait()
