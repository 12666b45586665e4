"""The cloud: its terminals, what can be done to them, and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from simulators.clock import SimClock
from simulators.terminal_cloud.callbacks import Callbacks
from simulators.terminal_cloud.controls import control_routes
from simulators.terminal_cloud.data_api import DataApi
from simulators.terminal_cloud.faults import Faults
from simulators.terminal_cloud.model import (
    DOMAIN,
    FAMILIES,
    Card,
    Domain,
    Payment,
    Terminal,
    Transfer,
    WireError,
)
from simulators.terminal_cloud.state_file import StateFile
from simulators.terminal_cloud.wire import CallRecord, Wire


@dataclass(slots=True)
class TerminalCloudConfig:
    """How the cloud is set up.

    ``api_key``: of the domain that is there from the start.
    ``port`` 0 takes a free one. ``ingest_lag_s``: simulated seconds until the Data API knows a payment that has ended.
    ``state_file``: terminals and payments are kept there, and found again (it holds callback URLs).
    """

    api_key: str = field(default="sim-key", repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    clock: SimClock = field(default_factory=SimClock)
    ingest_lag_s: float = 30.0
    state_file: Path | None = None
    on_event: Callable[[str], None] = lambda _line: None


class TerminalCloud:
    """A running cloud: ``async with TerminalCloud(config) as cloud``."""

    def __init__(self, config: TerminalCloudConfig | None = None) -> None:
        self.config = config or TerminalCloudConfig()
        self.terminals: dict[str, Terminal] = {}
        self.faults = Faults()
        self.calls: list[CallRecord] = []
        self.always_declined: set[str] = set()  # card ids
        self.domains = {DOMAIN: Domain(DOMAIN, self.config.api_key)}
        self.transfers: list[Transfer] = []
        self.port = self.config.port
        self.callbacks = Callbacks(self.faults, self.tell, self.changed)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._reboots: set[asyncio.Task[None]] = set()
        self._state_file = StateFile(self.config.state_file) if self.config.state_file else None
        if self._state_file is not None:
            self._state_file.load(self)

    async def __aenter__(self) -> Self:
        """Listen. OSError if the port is taken."""
        app = web.Application()
        app.add_routes([*Wire(self).routes(), *control_routes(self), *DataApi(self).routes()])
        # A long poll ends with its client.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.config.host, self.config.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        await self.callbacks.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        for reboot in self._reboots:
            reboot.cancel()
        await asyncio.gather(*self._reboots, return_exceptions=True)
        await self.callbacks.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._save()

    @property
    def base_url(self) -> str:
        """Where the integrator finds the wire."""
        return f"http://{self.config.host}:{self.port}/"

    def add_domain(self, name: str, api_key: str, user: str = "", password: str = "") -> Domain:
        """Open a domain. ValueError for a name or an API key that is taken or cannot be one."""
        if not isinstance(name, str) or not name or name in self.domains:
            raise ValueError(f"a domain needs a name that no other has, not {name!r}")
        if not isinstance(api_key, str) or not api_key or any(d.api_key == api_key for d in self.domains.values()):
            raise ValueError(f"domain {name} needs an API key that no other domain has")
        self.domains[name] = Domain(name, api_key, user, password)
        return self.domains[name]

    def domain_of(self, authorization: str) -> Domain | None:
        """Whose API key an Authorization header brings."""
        return next((d for d in self.domains.values() if authorization == f'CPS apikey="{d.api_key}"'), None)

    async def move_terminal(self, serial: str, domain: str, tt_number: str) -> None:
        """Move a terminal to another domain, as Payter does by a TT number: it reboots, and is not found where it was.

        Its payments stay in the domain in which they were authorised. WireError 404; ValueError for a domain that is
        not there, or without a number.
        """
        terminal = self.terminal(serial)
        if domain not in self.domains:
            raise ValueError(f"there is no domain {domain!r}; there are {', '.join(self.domains)}")
        if not isinstance(tt_number, str) or not tt_number.strip():
            raise ValueError("a transfer needs its TT number")
        self.transfers.append(Transfer(serial, terminal.domain, domain, tt_number, self.config.clock.now()))
        self.tell(f"{serial}: moved from {terminal.domain} to {domain} ({tt_number})")
        terminal.reboot()
        terminal.domain = domain
        await self.changed()

    def add_terminal(
        self, serial: str, family: str = "Apollo", currency: str = "NOK", domain: str = DOMAIN
    ) -> Terminal:
        """Put a terminal in a domain. ValueError for an unknown family or domain and for no serial."""
        if not isinstance(serial, str) or not serial or "/" in serial:
            raise ValueError("a serial is a text without slashes")
        if family not in FAMILIES:
            raise ValueError(f"{family!r} is no terminal family; use {', '.join(FAMILIES)}.")
        if domain not in self.domains:
            raise ValueError(f"there is no domain {domain!r}; there are {', '.join(self.domains)}")
        return self.terminals.setdefault(serial, Terminal(serial, family, currency, domain))

    def terminal(self, serial: str) -> Terminal:
        """One terminal. WireError 404."""
        found = self.terminals.get(serial)
        if found is None:
            raise WireError(404, f"Terminal {serial} not found")
        return found

    def sessions(self, serial: str) -> list[Payment]:
        """Its payments, oldest first."""
        return list(self.terminal(serial).payments.values())

    def screen(self, serial: str) -> dict[str, Any]:
        """What is on it."""
        return self.terminal(serial).screen()

    async def tap(self, serial: str, card: str = "visa-1", kind: str = "plastic") -> bool:
        """Hold a card to the reader; False if it is not reading."""
        terminal, presented = self.terminal(serial), Card(card, kind)
        if not terminal.tap(presented):
            return False
        self.tell(f"{serial}: {kind} {card} tapped")
        self.callbacks.post(serial, terminal.callback_url, presented.to_json(serial))
        await self.changed()
        return True

    async def choose(self, serial: str, choice: str) -> bool:
        """Touch an item or button of the custom screen, by its name or label; False if none can be touched."""
        terminal = self.terminal(serial)
        name = terminal.choice(choice)
        if name is None or terminal.custom_screen is None:
            return False
        self.tell(f"{serial}: {choice} chosen")
        body = {"serialNumber": serial, "screenId": terminal.custom_screen["id"], "response": name}
        self.callbacks.post(serial, terminal.ui_callback_url, body)
        await self.changed()
        return True

    def fault(self, call: str, kind: str, times: int = 1, delay_s: float = 0.0) -> None:
        """Order a fault; see `simulators.terminal_cloud.faults`."""
        self.faults.order(call, kind, times, delay_s)

    def decline_next(self, serial: str, times: int = 1) -> None:
        """The next authorisations at this terminal are declined."""
        self.terminal(serial).decline_next = times

    def decline_card(self, card: str, kind: str = "plastic") -> None:
        """This card is declined from now on."""
        self.always_declined.add(Card(card, kind).card_id)

    async def set_online(self, serial: str, online: bool) -> None:
        """Cut the terminal off, or bring it back (what it stored is forwarded)."""
        terminal = self.terminal(serial)
        if online:
            terminal.come_online(self.config.clock.now())
        else:
            terminal.online = False
        self.callbacks.post(serial, self.webhook_of(terminal), terminal.to_json())
        self.tell(f"{serial}: {'online' if online else 'offline'}")
        await self.changed()

    def webhook_of(self, terminal: Terminal) -> str:
        """Where its domain wants to hear of terminals' states; "" for nowhere."""
        domain = self.domains.get(terminal.domain)
        return domain.webhook_url if domain else ""

    async def reboot(self, serial: str, down_s: float = 0.0) -> None:
        """Switch it off and, ``down_s`` simulated seconds later, on. With 0 it is online again on return."""
        self.terminal(serial).reboot()
        self.tell(f"{serial}: reboots")
        await self.set_online(serial, False)
        if not down_s:
            await self.set_online(serial, True)
            return
        task = asyncio.create_task(self._back_after(serial, down_s))
        self._reboots.add(task)
        task.add_done_callback(self._reboots.discard)

    async def expire_hold(self, serial: str, session_id: str) -> None:
        """The issuer lets an open hold lapse. WireError 404, or 409 for a payment that has ended."""
        self.terminal(serial).expire(session_id, self.config.clock.now())
        self.tell(f"{serial}: hold {session_id[:8]} expired")
        await self.changed()

    async def wait_for(self, true: Callable[[TerminalCloud], Any], timeout_s: float = 30.0) -> None:
        """Wait until ``true(cloud)``, looked at after each event; TimeoutError after ``timeout_s`` real seconds."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: bool(true(self)))

    async def changed(self) -> None:
        """Wake whoever waits for a condition, and keep the state."""
        self._save()
        async with self._changed:
            self._changed.notify_all()

    def tell(self, line: str) -> None:
        """One event, without secrets."""
        self.config.on_event(line)

    async def _back_after(self, serial: str, seconds: float) -> None:
        await self.config.clock.sleep(seconds)
        await self.set_online(serial, True)

    def _save(self) -> None:
        if self._state_file is not None:
            self._state_file.save(self)
