"""Commands typed at a simulated station, or written in its script."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from simulators.station.station import Station


class BadCommandError(Exception):
    """A command that cannot be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what follows its name, what it does."""

    arguments: str
    about: str
    run: Callable[[Station, list[str]], Awaitable[str | None]]


def _evse(station: Station, words: list[str]) -> int:
    if not words:
        if len(station.evses) == 1:
            return 1
        raise BadCommandError(f"which EVSE? 1 to {len(station.evses)}")
    number = _number(words[0], "an EVSE's number")
    if number not in station.evses:
        raise BadCommandError(f"no EVSE {words[0]}; there are 1 to {len(station.evses)}")
    return int(number)


def _number(word: str, what: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise BadCommandError(f"not {what}: {word}") from error


async def _plug(station: Station, words: list[str]) -> None:
    await station.plug(_evse(station, words))


async def _unplug(station: Station, words: list[str]) -> None:
    await station.unplug(_evse(station, words))


async def _token(station: Station, words: list[str]) -> str:
    if not words or len(words) > 3:
        raise BadCommandError("token ID, or token EVSE ID [TYPE]")
    evse_id = _evse(station, words[:1]) if len(words) > 1 else _evse(station, [])
    id_token = words[1] if len(words) > 1 else words[0]
    return await station.present_token(evse_id, id_token, words[2] if len(words) == 3 else "ISO14443")


async def _suspend(station: Station, words: list[str]) -> None:
    await station.suspend_ev(_evse(station, words))


async def _resume(station: Station, words: list[str]) -> None:
    await station.resume_ev(_evse(station, words))


async def _limit(station: Station, words: list[str]) -> None:
    await station.suspend_evse(_evse(station, words))


async def _offer(station: Station, words: list[str]) -> None:
    await station.resume_evse(_evse(station, words))


async def _fault(station: Station, words: list[str]) -> None:
    await station.fault(_evse(station, words[:1]), words[1] if len(words) > 1 else "GroundFailure")


async def _clear(station: Station, words: list[str]) -> None:
    await station.clear_fault(_evse(station, words))


async def _emergency(station: Station, _: list[str]) -> None:
    await station.emergency_stop()


async def _reboot(station: Station, words: list[str]) -> None:
    if words not in ([], ["soft"], ["hard"]):
        raise BadCommandError("reboot, reboot soft or reboot hard")
    await station.reboot("hard" if words == ["hard"] else "soft")


async def _cut(station: Station, _: list[str]) -> None:
    await station.power_cut()


async def _power(station: Station, _: list[str]) -> None:
    await station.power_on()


async def _offline(station: Station, _: list[str]) -> None:
    await station.go_offline()


async def _online(station: Station, _: list[str]) -> None:
    await station.go_online()


async def _clock(station: Station, words: list[str]) -> str:
    if words:
        await station.set_clock_offset(timedelta(seconds=_number(words[0], "a number of seconds")))
    return station.stamp(station.clock.true_now())


async def _wait(station: Station, words: list[str]) -> None:
    if len(words) != 1:
        raise BadCommandError("wait SECONDS (simulated)")
    await station.clock.sleep(_number(words[0], "a number of seconds"))


async def _booted(station: Station, words: list[str]) -> None:
    seconds = _number(words[0], "a number of seconds") if words else 30.0
    try:
        await station.wait_for(lambda s: s.booted.is_set(), seconds)
    except TimeoutError as error:
        raise BadCommandError(f"not booted within {seconds:g} s") from error


async def _status(station: Station, _: list[str]) -> str:
    station.settle()
    line = "online" if station.online else "offline"
    lines = [f"{line}, boot {station.registration.status}, {station.outbox.transactions_waiting()} messages kept"]
    for evse in station.evses.values():
        soc = "" if evse.car is None else f", car at {evse.car.soc_percent} %"
        lines.append(
            f"EVSE {evse.evse_id}: {evse.state}, {evse.power_w} W, register {evse.register_wh} Wh,"
            f" transaction {evse.delivered_wh} Wh{soc}"
        )
    return "\n".join(lines)


async def _help(_: Station, __: list[str]) -> str:
    return "\n".join(
        f"  {f'{name} {command.arguments}'.strip():<28} {command.about}" for name, command in TABLE.items()
    )


TABLE: dict[str, Command] = {
    "plug": Command("[EVSE]", "connect a car", _plug),
    "unplug": Command("[EVSE]", "take the cable out", _unplug),
    "token": Command("[EVSE] ID [TYPE]", "hold a card to the reader: starts, or stops", _token),
    "suspend": Command("[EVSE]", "the car stops asking for power", _suspend),
    "resume": Command("[EVSE]", "the car asks again", _resume),
    "limit": Command("[EVSE]", "the station stops offering power", _limit),
    "offer": Command("[EVSE]", "the station offers power again", _offer),
    "fault": Command("[EVSE] [CODE]", "break it (a 1.6 error code)", _fault),
    "clear": Command("[EVSE]", "mend it", _clear),
    "emergency": Command("", "press the emergency stop", _emergency),
    "reboot": Command("[soft|hard]", "restart", _reboot),
    "cut": Command("", "cut the mains", _cut),
    "power": Command("", "mains back", _power),
    "offline": Command("", "lose the network", _offline),
    "online": Command("", "network back", _online),
    "clock": Command("[SECONDS]", "show the clock, or make it wrong by so much", _clock),
    "booted": Command("[REAL_SECONDS]", "wait until the boot is accepted (30)", _booted),
    "wait": Command("SECONDS", "wait that many simulated seconds", _wait),
    "status": Command("", "show the station", _status),
    "help": Command("", "show this", _help),
    "quit": Command("", "switch off", _status),
}


async def carry_out(station: Station, line: str) -> str | None:
    """Carry out one command; returns what there is to show. Raises `BadCommandError`."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise BadCommandError(f"{error}: {line}") from error
    if not words:
        return None
    command = TABLE.get(words[0].lower())
    if command is None:
        raise BadCommandError(f"no such command: {words[0]}; try help")
    try:
        return await command.run(station, words[1:])
    except (ValueError, ConnectionError) as error:
        raise BadCommandError(str(error)) from error


async def run_script(station: Station, script: str, say: Callable[[str], None]) -> None:
    """Carry out commands set apart by semicolons or new lines. Raises `BadCommandError` at the first bad one."""
    for line in script.replace("\n", ";").split(";"):
        if line.strip().lower() == "quit":
            return
        if shown := await carry_out(station, line):
            say(shown)


async def converse(stations: list[Station], lines: asyncio.StreamReader, say: Callable[[str], None]) -> None:
    """Carry out typed commands until ``quit`` or the end; each goes to all stations, or to ``IDENTITY: command``."""
    while data := await lines.readline():
        line = data.decode(errors="replace").strip()
        if line.lower() in ("quit", "exit"):
            return
        name, colon, rest = line.partition(":")
        named = [station for station in stations if colon and station.config.identity == name]
        for station in named or stations:
            try:
                shown = await carry_out(station, rest if named else line)
            except BadCommandError as error:
                shown = f"error: {error}"
            if shown:
                say(f"{station.config.identity} {shown}" if len(stations) > 1 else shown)
            if line.lower() == "help":
                break
