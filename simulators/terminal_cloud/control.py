"""Drive the ``/_sim`` controls of a cloud that runs in another process."""

from __future__ import annotations

from typing import Any, Self

import aiohttp


class ControlError(Exception):
    """The simulator refused; its sentence says why."""


class TerminalCloudControl:
    """The verbs of `TerminalCloud`, over HTTP."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/") + "/_sim"
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        if self._http is not None:
            await self._http.close()

    async def terminals(self) -> list[dict[str, Any]]:
        """All terminals, with screens and payments."""
        found: list[dict[str, Any]] = await self._ask("GET", "terminals")
        return found

    async def add_terminal(self, serial: str, family: str = "Apollo", currency: str = "NOK") -> None:
        """Put a terminal in the domain."""
        await self._ask("POST", "terminals", serial=serial, family=family, currency=currency)

    async def tap(self, serial: str, card: str = "visa-1", kind: str = "plastic") -> bool:
        """Hold a card to the reader; False if it is not reading."""
        return bool((await self._ask("POST", "tap", serial=serial, card=card, kind=kind))["read"])

    async def choose(self, serial: str, choice: str) -> bool:
        """Touch an item of the screen."""
        return bool((await self._ask("POST", "choose", serial=serial, choice=choice))["chosen"])

    async def decline_next(self, serial: str, times: int = 1) -> None:
        """The next authorisations are declined."""
        await self._ask("POST", "decline", serial=serial, times=times)

    async def set_online(self, serial: str, online: bool) -> None:
        """Cut it off or bring it back."""
        await self._ask("POST", "online", serial=serial, online=online)

    async def reboot(self, serial: str) -> None:
        """Off and on."""
        await self._ask("POST", "reboot", serial=serial)

    async def fault(self, call: str, kind: str, times: int = 1, delay_s: float = 0.0) -> None:
        """Order a fault."""
        await self._ask("POST", "fault", call=call, fault=kind, times=times, delay_s=delay_s)

    async def _ask(self, method: str, what: str, **body: Any) -> Any:
        if self._http is None:
            raise ControlError("use it with `async with`")
        async with self._http.request(method, f"{self._base}/{what}", json=body or None) as response:
            answer = await response.json()
            if response.status >= 400:
                raise ControlError(str(answer.get("error", response.status)))
            return answer
