"""The demo: everything over real sockets, checked to the minor unit. And ``--play``, which leaves it all up."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select

from billing.money import format_money
from billing.payment import HOLD_OPEN
from billing.pricing import price
from billing.receipt import SalesDocument
from billing.receipt_pdf import render_pdf
from billing.receipt_text import render_text
from billing.usage import Period, Usage
from csms.app import App, running
from csms.settings import Settings, load_settings
from sessions.codec import decode_session
from sessions.session import Session
from sessions.tables import Charging
from simulators.station import SimClock, Station, StationConfig
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from storage import schema as t
from storage.engine import reading

STEP_S = 30.0  # real seconds within which each step must have happened
MAX_POWER_W = 11_000
PASSWORD = "demo-station-password"  # noqa: S105 - of simulated stations


class WrongOutcomeError(Exception):
    """The demo saw something other than it should have."""


@dataclass(slots=True)
class Stage:
    """Everything that plays."""

    app: App
    cloud: TerminalCloud
    s16: Station
    s201: Station
    started: float


def settings_for(directory: Path, speed: float, cloud_url: str, *, anchor: datetime, fixed_ports: bool) -> Settings:
    """The demo's settings: two stations, three terminals, one price."""
    evses = [
        {"evse_id": n, "label": f"Charger {letter}{n}", "tariff_id": "DEMO", "max_power_w": MAX_POWER_W}
        for letter in "A"
        for n in (1, 2)
    ]
    other = [entry | {"label": str(entry["label"]).replace("A", "B")} for entry in evses]
    return load_settings(
        None,
        database_url=f"sqlite:///{directory / 'tapvolt.sqlite3'}",
        clock_speed=speed,
        clock_anchor=anchor if speed != 1.0 else None,
        ocpp={
            "host": "127.0.0.1",
            "port": 9000 if fixed_ports else 0,
            "unknown_stations": "accept",
            "meter_sample_interval_s": 60,
            "messages_per_s": 1000,
        },
        http={"host": "127.0.0.1", "port": 8080 if fixed_ports else 0, "public_url": "http://127.0.0.1:8080"},
        payter={
            "base_url": cloud_url,
            "api_key": "demo-key",
            "callback_secret": secrets.token_urlsafe(32),
            "card_hash_key": secrets.token_urlsafe(32),
            "card_poll_s": 5,
            "status_poll_s": 1,
        },
        issuer={
            "name": "Demo Charging AS",
            "address": ["Storgata 1", "0155 Oslo"],
            "organisation_number": "999 999 999",
            "vat_number": "NO 999 999 999 MVA",
        },
        # In simulated seconds: on a slow computer half a minute of them is soon over.
        sessions={"connection_timeout_s": 600, "choice_timeout_s": 600},
        tariffs=[
            {
                "tariff_id": "DEMO",
                "currency": "NOK",
                "hold": "300.00",
                "per_kwh": "5.49",
                "idle_per_minute": "1.00",
                "idle_grace_min": 10,
                "vat_percent": "25",
            }
        ],
        stations=[
            {"station_id": "DEMO-16", "password": PASSWORD, "evses": evses},
            {"station_id": "DEMO-201", "password": PASSWORD, "evses": other},
        ],
        terminals=[
            {"serial": "SIM-P66-1", "family": "P66", "evses": ["DEMO-16/1"]},
            {"serial": "SIM-P66-2", "family": "P66", "language": "nb", "evses": ["DEMO-16/2"]},
            {"serial": "SIM-APOLLO-1", "family": "Apollo", "evses": ["DEMO-201/1", "DEMO-201/2"]},
        ],
    )


@contextlib.asynccontextmanager
async def stage(directory: Path, speed: float, *, fixed_ports: bool) -> AsyncIterator[Stage]:
    """Start the terminals' cloud, the central system and the stations."""
    anchor = datetime.now(UTC)
    clock = SimClock(speed, anchor)
    port = 8090 if fixed_ports else 0
    config = TerminalCloudConfig(api_key="demo-key", port=port, clock=clock.copy())
    async with contextlib.AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(TerminalCloud(config))
        cloud.add_terminal("SIM-P66-1", "P66")
        cloud.add_terminal("SIM-P66-2", "P66")
        cloud.add_terminal("SIM-APOLLO-1", "Apollo")
        settings = settings_for(directory, speed, cloud.base_url, anchor=anchor, fixed_ports=fixed_ports)
        app = await stack.enter_async_context(running(settings))
        stations = []
        for identity, version in (("DEMO-16", "1.6"), ("DEMO-201", "2.0.1")):
            made = StationConfig(
                identity=identity,
                url=app.ocpp_url,
                version=version,  # type: ignore[arg-type]
                evses=2,
                password=PASSWORD,
                max_power_w=MAX_POWER_W,
                clock=clock.copy(),
            )
            stations.append(await stack.enter_async_context(Station(made)))
        for station in stations:
            async with asyncio.timeout(STEP_S):
                await station.booted.wait()
        yield Stage(app, cloud, stations[0], stations[1], time.monotonic())


# --- what can be said of a stage --------------------------------------------------------------------------------------


def say(on: Stage, text: str) -> None:
    """Tell what happens, as it happens."""
    print(f"  {time.monotonic() - on.started:5.1f} s  {text}", flush=True)


async def armed(on: Stage, serial: str) -> None:
    """Wait until the reader is ready for a card."""
    await on.cloud.wait_for(lambda c: c.terminal(serial).state == "READING", timeout_s=STEP_S)


async def all_sessions(app: App) -> list[Session]:
    """Every session, oldest first."""
    async with reading(app.engine) as connection:
        rows = await connection.execute(select(t.sessions.c.state).order_by(t.sessions.c.opened_at))
        return [decode_session(row.state) for row in rows]


async def newest(on: Stage, serial: str, until: Callable[[Session], bool], what: str) -> Session:
    """The terminal's newest session, once ``until`` holds for it."""
    found: Session | None = None
    give_up = time.monotonic() + STEP_S
    while time.monotonic() < give_up:
        mine = [s for s in await all_sessions(on.app) if s.terminal_serial == serial]
        found = mine[-1] if mine else None
        if found is not None and until(found):
            return found
        await asyncio.sleep(0.02)
    state = f"{found.charging}/{found.payment}" if found else "no session"
    raise WrongOutcomeError(f"{what}: it did not happen within {STEP_S:.0f} s ({state})")


def expect(true: bool, what: str) -> None:
    """Fail the demo unless ``true``."""
    if not true:
        raise WrongOutcomeError(what)


async def tap(on: Stage, serial: str, card: str) -> None:
    """Tap when the reader is ready."""
    await armed(on, serial)
    expect(await on.cloud.tap(serial, card), f"{serial} did not read the card")


async def delivered(on: Stage, station: Station, evse: int, wh: int) -> None:
    """Wait until the car has got that much."""
    await station.wait_for(lambda s: s.evse(evse).delivered_wh >= wh, timeout_s=STEP_S)


async def paid(on: Stage, serial: str, station: Station, evse: int) -> Session:
    """The finished session: the station's energy, our price, one capture at the cloud, the rest released, a receipt."""
    session = await newest(on, serial, lambda s: s.receipt_due, "a captured session with its receipt")
    energy_wh = int(station.evse(evse).delivered_wh)
    expect(session.meter.energy_wh == energy_wh, f"billed {session.meter.energy_wh} Wh, delivered were {energy_wh} Wh")
    if session.tariff is None:
        raise WrongOutcomeError("the session has no price")
    only = Period(start=session.opened_at, end=session.opened_at, energy_wh=energy_wh)
    due = price(session.tariff, Usage((only,))).total_minor
    expect(session.captured_minor == due, f"captured {session.captured_minor}, due were {due}")
    payment = on.cloud.terminal(serial).payment(session.authorisation.payment_ref)
    history = [f"authorized {session.held_minor}", f"committed {due}"]
    expect(payment.history == history, f"the cloud saw {payment.history}")
    money = format_money(due, session.currency, "en")
    say(on, f"{energy_wh / 1000:.2f} kWh, {money} captured, the rest released, receipt issued ✓")
    return session


# --- the acts ---------------------------------------------------------------------------------------------------------


async def act_paid_16(on: Stage) -> None:
    """A paid session on OCPP 1.6: tap, plug in, charge, unplug."""
    await tap(on, "SIM-P66-1", "visa-1")
    await newest(on, "SIM-P66-1", lambda s: s.charging is Charging.ACCEPTED, "a hold and an accepted start")
    say(on, f"hold placed; terminal: “{on.cloud.screen('SIM-P66-1')['message']}”")
    await on.s16.plug(1)
    await delivered(on, on.s16, 1, 2500)
    await on.s16.unplug(1)
    await paid(on, "SIM-P66-1", on.s16, 1)


async def act_paid_201(on: Stage) -> None:
    """A paid session on OCPP 2.0.1: cable first, then tap and choose on the Apollo's screen."""
    await on.s201.plug(1)
    await tap(on, "SIM-APOLLO-1", "mastercard-1")
    await on.cloud.wait_for(
        lambda c: (c.screen("SIM-APOLLO-1")["custom"] or {}).get("type") == "selection", timeout_s=STEP_S
    )
    say(on, "the screen asks which charger; the driver chooses B1")
    expect(await on.cloud.choose("SIM-APOLLO-1", "DEMO-201/1"), "B1 is not on the screen")
    await delivered(on, on.s201, 1, 2000)
    await on.s201.unplug(1)
    await paid(on, "SIM-APOLLO-1", on.s201, 1)


async def act_tap_to_stop(on: Stage) -> None:
    """Tap again to stop; another card is refused while it charges."""
    await tap(on, "SIM-P66-2", "visa-2")
    await newest(on, "SIM-P66-2", lambda s: s.charging is Charging.ACCEPTED, "an accepted start")
    await on.s16.plug(2)
    await delivered(on, on.s16, 2, 1500)
    count = len(await all_sessions(on.app))
    await tap(on, "SIM-P66-2", "mastercard-9")
    await armed(on, "SIM-P66-2")
    expect(len(await all_sessions(on.app)) == count, "another card opened a session")
    say(on, f"another card: “{on.cloud.screen('SIM-P66-2')['message']}”")
    await tap(on, "SIM-P66-2", "visa-2")
    await paid(on, "SIM-P66-2", on.s16, 2)
    await on.s16.unplug(2)


async def act_declined(on: Stage) -> None:
    """A declined card: no hold, no start."""
    on.cloud.decline_next("SIM-P66-1")
    await tap(on, "SIM-P66-1", "visa-3")
    session = await newest(
        on, "SIM-P66-1", lambda s: s.closed_at is not None and not s.receipt_due, "a declined session"
    )
    expect(session.payment == "declined" and session.charging is Charging.NOT_STARTED, f"it ended {session.payment}")
    say(on, f"declined, nothing held; terminal: “{on.cloud.screen('SIM-P66-1')['message']}” ✓")


async def act_never_plugged_in(on: Stage) -> None:
    """A tap whose driver never plugs in: the hold is released."""
    await tap(on, "SIM-P66-1", "visa-4")
    await newest(on, "SIM-P66-1", lambda s: s.charging is Charging.ACCEPTED, "an accepted start")
    say(on, "start accepted; nobody plugs in …")
    session = await newest(on, "SIM-P66-1", lambda s: s.payment == "released", "a released hold")
    payment = on.cloud.terminal("SIM-P66-1").payment(session.authorisation.payment_ref)
    expect(payment.state == "CANCELLED", f"at the cloud the hold is {payment.state}")
    say(on, "released, nothing captured ✓")


async def act_offline(on: Stage) -> None:
    """The station goes offline mid-charge, the driver leaves, the station comes back and replays."""
    await on.s201.plug(2)
    await tap(on, "SIM-APOLLO-1", "mastercard-2")
    await on.cloud.wait_for(
        lambda c: "DEMO-201/2" in str((c.screen("SIM-APOLLO-1")["custom"] or {}).get("properties")), timeout_s=STEP_S
    )
    await on.cloud.choose("SIM-APOLLO-1", "DEMO-201/2")
    await delivered(on, on.s201, 2, 800)
    await on.s201.go_offline()
    say(on, "the station is offline; it goes on charging")
    await delivered(on, on.s201, 2, 1800)
    await on.s201.unplug(2)
    say(on, "unplugged while offline; the hold stands, nobody knows the end yet")
    await on.s201.go_online()
    await paid(on, "SIM-APOLLO-1", on.s201, 2)


ACTS: tuple[tuple[str, Callable[[Stage], Awaitable[None]]], ...] = (
    ("A paid session on OCPP 1.6", act_paid_16),
    ("A paid session on OCPP 2.0.1, cable first", act_paid_201),
    ("Tap again to stop", act_tap_to_stop),
    ("A declined card", act_declined),
    ("A tap whose driver never plugs in", act_never_plugged_in),
    ("A station that goes offline mid-charge and replays", act_offline),
)


def _empty(directory: Path) -> None:
    """Each run begins anew."""
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)


async def demo(directory: Path, speed: float) -> int:
    """Play the acts and check the books. Return the exit status."""
    _empty(directory)
    began = time.monotonic()
    try:
        async with stage(directory, speed, fixed_ports=False) as on:
            print(f"Tapvolt demo: one simulated hour takes {3600 / speed:.0f} s.\n")
            for number, (title, act) in enumerate(ACTS, 1):
                print(f"{number}/{len(ACTS)}  {title}", flush=True)
                await act(on)
            print()
            await report(on, directory)
    except (WrongOutcomeError, TimeoutError) as error:
        print(f"\nWRONG: {error or 'a step took too long'}", file=sys.stderr)
        return 1
    print(f"\nEverything came out right, in {time.monotonic() - began:.0f} s.")
    return 0


async def report(on: Stage, directory: Path) -> None:
    """The receipts, the ledger, the open holds; each one checked."""
    async with reading(on.app.engine) as connection:
        rows = (await connection.execute(select(t.receipts).order_by(t.receipts.c.number))).all()
        sums = (
            await connection.execute(
                select(t.ledger.c.account, func.sum(t.ledger.c.amount_minor)).group_by(t.ledger.c.account)
            )
        ).all()
    documents = [SalesDocument.from_json(orjson.loads(row.document)) for row in rows]
    folder = directory / "receipts"
    folder.mkdir(exist_ok=True)
    for document in documents:
        path = folder / f"receipt-{document.number}.pdf"
        path.write_bytes(render_pdf(document, "en"))
        print(render_text(document, "en"))
        print(f"PDF: {path}\n")
    expect(
        [row.number for row in rows] == list(range(1, 5)), f"receipt numbers {[row.number for row in rows]}, not 1 to 4"
    )
    print("Ledger")
    for account, amount in sums:
        print(f"  {account:<20} {format_money(int(amount), 'NOK', 'en'):>16}")
    total = sum(int(amount) for _, amount in sums)
    print(f"  {'sum':<20} {format_money(total, 'NOK', 'en'):>16}")
    expect(total == 0, f"the ledger adds up to {total}, not to zero")
    captured = sum(p.final_amount or 0 for terminal in on.cloud.terminals.values() for p in terminal.payments.values())
    acquirer = int(dict(list(map(tuple, sums))).get("acquirer", 0))
    expect(captured == acquirer, f"the cloud captured {captured}, the ledger says {acquirer}")
    holds: list[Any] = [s.session_id for s in await all_sessions(on.app) if s.payment in HOLD_OPEN]
    print(f"Open holds: {holds or 'none'}")
    expect(not holds, "a hold is still open")


async def play(directory: Path, speed: float) -> None:
    """Keep everything up until Ctrl-C."""
    _empty(directory)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with stage(directory, speed, fixed_ports=True) as on:
        print(f"terminals (tap cards here):  {on.cloud.base_url}_sim/")
        print(f"stations connect to:         {on.app.ocpp_url}/<station id>   (DEMO-16 and DEMO-201 are connected)")
        print(f"receipts:                    {on.app.public_url}/r/…   (the link on the terminal's screen)")
        print("cars: type `plug 16 1`, `unplug 201 2` (station, EVSE); Ctrl-C ends\n", flush=True)
        reader = asyncio.create_task(_cars(on))
        await stopped.wait()
        reader.cancel()


async def _cars(on: Stage) -> None:
    """Commands on standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        match line:
            case ["plug" | "unplug" as what, "16" | "201" as which, "1" | "2" as evse]:
                station = on.s16 if which == "16" else on.s201
                await (station.plug(int(evse)) if what == "plug" else station.unplug(int(evse)))
                print(f"{which}/{evse}: {what}ged")
            case _:
                print("say: plug|unplug 16|201 1|2")
