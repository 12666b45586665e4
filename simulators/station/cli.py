"""``tapvolt simulate station``: stations to try the central system with."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import datetime

from simulators.clock import SimClock
from simulators.station.car import Car
from simulators.station.config import StationConfig
from simulators.station.console import BadCommandError, converse, run_script
from simulators.station.station import Station

PASSWORD_VARIABLE = "TAPVOLT_STATION_PASSWORD"  # noqa: S105  (the variable's name, not a password)
LAST_WORDS_S = 10.0  # real seconds

EPILOG = """\
Power is in W, energy in Wh, time in simulated seconds; --speed 60 lets a simulated minute pass each second. The central
system must run with the same --speed and --anchor. Type help at a running station for its commands.

example:
  tapvolt simulate station --url ws://127.0.0.1:9000/ocpp --identity CP1 --version 2.0.1 --evses 2 --speed 60 \\
      --script "booted; plug 1; wait 1800; unplug 1; wait 5"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, with an example and the units in the help."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Run simulated charging stations against a central system."
    parser.epilog = EPILOG
    parser.add_argument("--url", required=True, help="central system, ws:// or wss://; the identity is appended")
    parser.add_argument("--identity", default="SIM1", help="station identity (default: %(default)s)")
    parser.add_argument(
        "--version", choices=("1.6", "2.0.1"), default="1.6", help="OCPP version (default: %(default)s)"
    )
    parser.add_argument("--password", help=f"HTTP Basic password (default: ${PASSWORD_VARIABLE}, else none)")
    parser.add_argument("--evses", type=_at_least_one, default=1, metavar="N", help="EVSEs of a station (default: 1)")
    parser.add_argument(
        "--power-w",
        type=_at_least_one,
        default=11_000,
        metavar="W",
        help="most power of an EVSE (default: %(default)s)",
    )
    parser.add_argument(
        "--battery-wh", type=_at_least_one, default=60_000, metavar="WH", help="a car's battery (default: %(default)s)"
    )
    parser.add_argument(
        "--soc", type=_percent, default=20, metavar="PERCENT", help="a car's charge on arrival (default: 20)"
    )
    parser.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds in a real one (default: 1)")
    parser.add_argument(
        "--anchor", type=_moment, help="time at which simulated and real time are the same, RFC 3339 (default: now)"
    )
    parser.add_argument(
        "--count", type=_at_least_one, default=1, metavar="N", help="so many stations: IDENTITY-001, IDENTITY-002, …"
    )
    parser.add_argument(
        "--script", metavar="COMMANDS", help='commands, such as "plug 1; wait 600; unplug 1"; then quit'
    )
    parser.add_argument(
        "--interactive", action="store_true", help="take commands from standard input, also when it is no terminal"
    )


def run(args: argparse.Namespace) -> int:
    """Run until the script or the commands end, or Ctrl-C. Returns 0; 2 when a scripted command was bad."""
    try:
        return asyncio.run(_run(args))
    except KeyboardInterrupt:
        return 0


def configs(args: argparse.Namespace) -> list[StationConfig]:
    """The stations that the options describe."""
    clock = SimClock(args.speed, args.anchor)
    identities = [args.identity]
    if args.count > 1:
        identities = [f"{args.identity}-{number:03}" for number in range(1, args.count + 1)]
    return [
        StationConfig(
            identity=identity,
            url=args.url,
            version=args.version,
            evses=args.evses,
            password=args.password if args.password is not None else os.environ.get(PASSWORD_VARIABLE),
            max_power_w=args.power_w,
            clock=clock,
            car=Car(battery_wh=args.battery_wh, soc_percent=args.soc),
            record=False,
            on_event=say,
        )
        for identity in identities
    ]


def say(text: str) -> None:
    """Print one event; at once, for whoever reads through a pipe."""
    print(text, flush=True)


async def _run(args: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        stations = [await stack.enter_async_context(Station(config)) for config in configs(args)]
        tasks = [asyncio.create_task(_stop_signal()), asyncio.create_task(_work(stations, args))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        except BadCommandError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return 0


async def _work(stations: list[Station], args: argparse.Namespace) -> None:
    """Follow the script, or the typed commands, or else run until stopped."""
    if args.script is not None:
        await asyncio.gather(*(run_script(station, args.script, say) for station in stations))
        await asyncio.gather(*(_say_the_rest(station) for station in stations))
    elif args.interactive or sys.stdin.isatty():
        await converse(stations, await _standard_input(), say)
    else:
        await asyncio.get_running_loop().create_future()


async def _say_the_rest(station: Station) -> None:
    """Give the last transaction messages time to be answered; an offline station keeps them to itself."""
    with contextlib.suppress(TimeoutError):
        await station.wait_for(lambda s: not s.online or s.outbox.transactions_waiting() == 0, LAST_WORDS_S)


async def _stop_signal() -> None:
    """Wait for Ctrl-C or a termination signal, so that sockets close properly."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _percent(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError("must be from 0 to 100")
    return number


def _speed(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not an RFC 3339 time: {text}") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"a time zone is missing, as in {text}Z")
    return moment
