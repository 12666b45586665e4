"""Whether the callback URL leads here: a one-time address under it is asked for from outside, and must come in again.

The address is made of the operator's settings alone. The request leaves this process like any other and finds its way
by DNS, through the proxy, to the HTTP server; what answers must know the token's answer, which a proxy's page does not.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket

import aiohttp
from aiohttp import web

from sessions.verification import NotReached, Reached

TIMEOUT_S = 10.0
ANSWER_LIMIT = 256  # bytes


class CallbackProbe:
    """``base``: how the terminals' cloud reaches this host."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._key = secrets.token_bytes(32)
        self._waiting: dict[str, bool] = {}  # token → whether it came in

    def routes(self) -> list[web.RouteDef]:
        """Where the probe comes in."""
        return [web.get("/callbacks/probe/{token}", self._arrived)]

    async def probe(self) -> Reached | NotReached:
        """Ask for a new one-time address from outside."""
        token = secrets.token_urlsafe(24)
        self._waiting[token] = False
        try:
            answer = await self._ask(f"{self._base}/callbacks/probe/{token}")
            if isinstance(answer, NotReached):
                return answer
            if not self._waiting[token] or not hmac.compare_digest(answer, self._answer(token)):
                return NotReached("something else answers there")
            return Reached()
        finally:
            del self._waiting[token]

    async def _ask(self, url: str) -> bytes | NotReached:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    return NotReached(f"it answers HTTP {response.status}")
                return await response.content.read(ANSWER_LIMIT)
        except aiohttp.ClientConnectorDNSError:
            return NotReached("its name is not known to DNS")
        except aiohttp.ClientConnectorCertificateError:
            return NotReached("its certificate is not trusted")
        except aiohttp.ClientSSLError:
            return NotReached("TLS fails there")
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError | socket.gaierror)
            return NotReached("nothing listens there" if refused else "no connection comes about")
        except TimeoutError:
            return NotReached(f"no answer in {TIMEOUT_S:.0f} seconds")
        except (aiohttp.ClientError, OSError, ValueError):
            return NotReached("the connection breaks")

    async def _arrived(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        if self._waiting.get(token, True):  # not one that is waited for, or asked for a second time
            return web.Response(status=404, text="404: Not Found")
        self._waiting[token] = True
        return web.Response(body=self._answer(token), headers={"Cache-Control": "no-store"})

    def _answer(self, token: str) -> bytes:
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest().encode()
