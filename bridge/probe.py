"""Asking a processor's cloud whether it answers, for a person who sets it up. Reads only, so asking again is safe."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from bridge.options import PayterOptions
from bridge.payter_objects import TerminalStatus
from bridge.payter_wire import Failure, NotSent, Refusal, read_limited
from bridge.wires import Wires


@dataclass(frozen=True, slots=True)
class Finding:
    """What asking found; ``detail`` says, where it was not good, what to do."""

    good: bool
    detail: str


class Probe:
    """Asks on the wires of the bridge, with the credentials the accounts have now."""

    def __init__(self, options: PayterOptions, wires: Wires) -> None:
        self._options = options
        self._wires = wires

    async def account(self, account_id: str) -> Finding:
        """Whether the payments cloud answers under the account's API key."""
        wire = await self._wires.of(account_id)
        reply = await wire.known()
        if isinstance(reply, int):
            return Finding(True, f"The cloud answers under this API key; it knows {reply} terminals.")
        return Finding(False, _failed(reply))

    async def terminal(self, account_id: str, serial: str) -> Finding:
        """Whether the terminal answers under the account's API key: only then does it sit in its domain."""
        wire = await self._wires.of(account_id)
        reply = await wire.terminal(serial)
        if isinstance(reply, TerminalStatus):
            seen = "online" if reply.online else "offline"
            return Finding(True, f"The terminal answers under these credentials; it is {seen}.")
        if isinstance(reply, Refusal) and reply.status == 404:
            return Finding(
                False,
                f"No terminal {serial} sits in this domain. Compare the serial; if it is right, have Payter move the "
                "terminal here.",
            )
        return Finding(False, _failed(reply))

    async def data_api(self, data_url: str, domain: str, user: str, password: str) -> Finding:
        """Whether the MyPayter Data API lets this user into this domain. What is opened is closed again."""
        base = data_url.rstrip("/")
        limit_s = self._options.connect_timeout_s + min(self._options.read_timeout_s, 15.0)
        body = {"username": user, "password": password, "domain": domain}
        try:
            timeout = aiohttp.ClientTimeout(total=limit_s)
            async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
                async with http.post(f"{base}/Auth", json=body, allow_redirects=False) as response:
                    status, raw = response.status, await read_limited(response)
                token = _token(raw) if status == 200 else ""
                if token:
                    closed = URL(f"{base}/Auth/{quote(token, safe='')}", encoded=True)
                    async with http.delete(closed, headers=_logged_in(token), allow_redirects=False):
                        pass
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Finding(False, f"The Data API did not answer ({type(error).__name__}). Check its address.")
        if token:
            return Finding(True, "The Data API lets this user into the domain.")
        if status in {400, 401, 403, 404}:
            return Finding(False, "The Data API refuses this user in this domain. Check user, password and domain.")
        return Finding(False, f"The Data API answered {status}. Try again later.")


def _token(raw: bytes) -> str:
    """The log-in's token; "" if there is none."""
    try:
        token = orjson.loads(raw)["tokenId"]
    except (ValueError, KeyError, TypeError):
        return ""
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""


def _logged_in(token: str) -> dict[str, str]:
    return {"Authorization": f'CURO-TOKEN token="{token}"'}


def _failed(reply: Failure) -> str:
    match reply:
        case Refusal(status=401 | 403):
            return "The cloud refuses this API key. Compare it with the one Payter gave for this domain."
        case Refusal(status=status):
            return f"The cloud answered {status}. Check the address; it is the payments service's, not a page's."
        case NotSent(reason):
            return f"The cloud could not be reached ({reason}). Check the address."
        case _:
            return "The cloud gave no answer that can be read. Try again; if it stays, ask Payter."
