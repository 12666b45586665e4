"""Drive the ``/_sim`` controls of a cloud that runs in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import aiohttp

LOOK_S = 0.05  # real seconds between two looks
LIMIT_S = 15.0  # real seconds a control may take


class ControlError(Exception):
    """The simulator refused; its sentence says why."""


class TerminalCloudControl:
    """The verbs of `TerminalCloud`, over HTTP. Each raises `ControlError`; ``aiohttp.ClientError`` if unanswered."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/") + "/_sim"
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        if self._http is not None:
            await self._http.close()

    async def terminals(self) -> list[dict[str, Any]]:
        """All terminals, with screens and payments."""
        found: list[dict[str, Any]] = await self._ask("GET", "terminals")
        return found

    async def terminal(self, serial: str) -> dict[str, Any]:
        """One terminal: state, online, screen, sessions."""
        found = [terminal for terminal in await self.terminals() if terminal["serial"] == serial]
        if not found:
            raise ControlError(f"Terminal {serial} not found")
        return found[0]

    async def sessions(self, serial: str) -> list[dict[str, Any]]:
        """Its payments, oldest first, with history and calls."""
        found: list[dict[str, Any]] = (await self.terminal(serial))["sessions"]
        return found

    async def screen(self, serial: str) -> dict[str, Any]:
        """What is on it."""
        found: dict[str, Any] = (await self.terminal(serial))["screen"]
        return found

    async def add_terminal(
        self, serial: str, family: str = "Apollo", currency: str = "NOK", domain: str = "simulator"
    ) -> None:
        """Put a terminal in a domain."""
        await self._ask("POST", "terminals", serial=serial, family=family, currency=currency, domain=domain)

    async def add_domain(self, name: str, api_key: str, user: str = "", password: str = "") -> None:
        """Open a domain."""
        await self._ask("POST", "domains", name=name, api_key=api_key, user=user, password=password)

    async def move_terminal(self, serial: str, domain: str, tt_number: str) -> None:
        """Move a terminal to another domain, by a TT number."""
        await self._ask("POST", "move", serial=serial, domain=domain, tt_number=tt_number)

    async def tap(self, serial: str, card: str = "visa-1", kind: str = "plastic") -> bool:
        """Hold a card to the reader; False if it is not reading."""
        return bool((await self._ask("POST", "tap", serial=serial, card=card, kind=kind))["read"])

    async def choose(self, serial: str, choice: str) -> bool:
        """Touch an item or button of the screen; False if it is not there."""
        return bool((await self._ask("POST", "choose", serial=serial, choice=choice))["chosen"])

    async def decline_next(self, serial: str, times: int = 1) -> None:
        """The next authorisations at this terminal are declined."""
        await self._ask("POST", "decline", serial=serial, times=times)

    async def decline_card(self, card: str, kind: str = "plastic") -> None:
        """This card is declined from now on."""
        await self._ask("POST", "decline", card=card, kind=kind)

    async def set_online(self, serial: str, online: bool) -> None:
        """Cut it off or bring it back."""
        await self._ask("POST", "online", serial=serial, online=online)

    async def reboot(self, serial: str, down_s: float = 0.0) -> None:
        """Off and, ``down_s`` simulated seconds later, on."""
        await self._ask("POST", "reboot", serial=serial, down_s=down_s)

    async def expire_hold(self, serial: str, session_id: str) -> None:
        """The issuer lets a hold lapse."""
        await self._ask("POST", "expire", serial=serial, session_id=session_id)

    async def fault(self, call: str, kind: str, times: int = 1, delay_s: float = 0.0) -> None:
        """Order a fault; see `simulators.terminal_cloud.faults`."""
        await self._ask("POST", "fault", call=call, fault=kind, times=times, delay_s=delay_s)

    async def clear_faults(self) -> None:
        """No more faults."""
        await self._ask("DELETE", "fault")

    async def calls(self) -> list[dict[str, Any]]:
        """Every call of the wire so far."""
        found: list[dict[str, Any]] = await self._ask("GET", "calls")
        return found

    async def wait_for(
        self, serial: str, true: Callable[[dict[str, Any]], Any], timeout_s: float = 30.0
    ) -> dict[str, Any]:
        """The terminal, once ``true(terminal)``; TimeoutError after real seconds."""
        async with asyncio.timeout(timeout_s):
            # Another process cannot wake us: look again.
            while not true(found := await self.terminal(serial)):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            return found

    async def _ask(self, method: str, what: str, **body: Any) -> Any:
        if self._http is None:
            raise ControlError("use it with `async with`")
        async with self._http.request(method, f"{self._base}/{what}", json=body or None) as response:
            answer = await response.json()
            if response.status >= 400:
                raise ControlError(str(answer.get("error", response.status)))
            return answer
