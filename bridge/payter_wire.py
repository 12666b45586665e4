"""Payter's wire: one method a call, and what is known after it.

A call ends in what was asked for, or in one of three ways of not getting it, which must never be mixed up where money
is concerned: `NotSent` (it certainly had no effect), `Refusal` (the cloud answered, and did not do it), `NoAnswer` (it
may have taken effect). Expected outcomes are values; nothing here raises for them.

Paths carry ids, queries carry the callback's secret, headers the API key. So nothing here logs an address, a body or
the text of an exception: only a method, the path's template and the kind of outcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from bridge.options import PayterOptions
from bridge.payter_objects import (
    PaymentSession,
    ReadCard,
    TerminalStatus,
    parse_card,
    parse_session,
    parse_sessions,
    parse_terminal,
)
from storage.failpoint import failpoint

log = logging.getLogger(__name__)

ANSWER_LIMIT = 8 * 1024 * 1024  # bytes; a list of sessions can be long


@dataclass(frozen=True, slots=True)
class NotSent:
    """No connection came about: the call certainly had no effect."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Sent, or possibly sent, and no answer that means anything: it may have taken effect."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The cloud answered with a status below 500 that is no success: it did not do what was asked.

    ``credible``: the body was the service's own (JSON, or empty), not some proxy's page.
    """

    status: int
    credible: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """Success without an object."""


@dataclass(frozen=True, slots=True)
class NoCard:
    """The long poll ended and no card was read."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Any  # None: empty
    readable: bool


@dataclass(frozen=True, slots=True)
class _Request:
    """One HTTP request; ``template`` is the only part that may be logged. ``wait_s``: what a long poll may take."""

    method: str
    template: str
    ids: Sequence[str]
    parameters: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    wait_s: float = 0.0

    def path(self) -> str:
        """The template with the ids in it, escaped so that none can leave its segment."""
        path = self.template
        for name, value in zip(("{serial}", "{id}"), self.ids, strict=False):
            path = path.replace(name, quote(value, safe=""))
        return path


Failure = NotSent | NoAnswer | Refusal


class PayterWire:
    """The calls of the Cloud Payments Service, on one HTTP session with keep-alive.

    ``unreachable``: why there is nobody to call; every call then ends in `NotSent`.
    """

    def __init__(self, options: PayterOptions, unreachable: str = "") -> None:
        self.unreachable = unreachable
        self._options = options
        self._base = options.base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._under_way = 0
        self._retired = False

    async def close(self) -> None:
        """Close the connections, for good: calls on their way, and later ones, end in `NoAnswer`."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def retire(self) -> None:
        """Let calls on their way end, then close: another wire has taken over. A late call is still made."""
        self._retired = True
        await self._close_if_retired()

    async def known(self) -> int | Failure:
        """GET the terminals of the account's domain: how many they are."""
        answer = await self._read("/terminals", ())
        if not isinstance(answer, _Answer):
            return answer
        found = answer.body.get("content") if isinstance(answer.body, dict) else answer.body
        return len(found) if isinstance(found, list) else NoAnswer("not a list of terminals")

    async def terminal(self, serial: str) -> TerminalStatus | Failure:
        """GET the terminal: online or not, and what its reader does."""
        answer = await self._read("/terminals/{serial}", (serial,))
        if not isinstance(answer, _Answer):
            return answer
        return parse_terminal(answer.body) or NoAnswer("not a terminal")

    async def card(self, serial: str, wait_s: int) -> ReadCard | NoCard | Failure:
        """GET the card that was read, waiting for one up to ``wait_s`` seconds."""
        answer = await self._read("/terminals/{serial}/card", (serial,), {"waitTime": str(wait_s)}, wait_s=wait_s)
        if isinstance(answer, Refusal) and answer.status == 404:
            return NoCard()
        if not isinstance(answer, _Answer):
            return answer
        return parse_card(answer.body) or NoCard()

    async def start(
        self, serial: str, *, amount_minor: int, callback_url: str, language: str, title: str, message: str
    ) -> Done | Failure:
        """POST start: arm the reader for one interaction with a hold of ``amount_minor``."""
        return await self._command(
            "/terminals/{serial}/start",
            serial,
            {
                "authorizedAmount": str(amount_minor),
                "callbackUrl": callback_url,
                "language": language,
                "uiMessageTitle": title,
                "uiMessage": message,
            },
        )

    async def stop(self, serial: str, message: str = "", *, shown_s: int = 0) -> Done | Failure:
        """POST stop: forget a card that was read, back to idle; open payments are not touched.

        ``shown_s``: how long the message stays, if not for as long as others do.
        """
        return await self._command("/terminals/{serial}/stop", serial, self._message(message, shown_s))

    async def show(self, serial: str, screen: Mapping[str, Any], callback_url: str) -> Done | Failure:
        """POST ui: show ``screen`` (``{id, type, properties}``); touches go to ``callback_url``."""
        return await self._command("/terminals/{serial}/ui", serial, {"callbackUrl": callback_url}, screen)

    async def authorize(self, serial: str, message: str = "") -> PaymentSession | Done | Failure:
        """POST authorize: turn the card that was read into a hold of the armed amount. Not safe to repeat."""
        return await self._payment("/terminals/{serial}/authorize", (serial,), self._message(message))

    async def sessions(self, serial: str) -> list[PaymentSession] | Failure:
        """GET the terminal's payments."""
        answer = await self._read("/terminals/{serial}/sessions", (serial,))
        if not isinstance(answer, _Answer):
            return answer
        if answer.body is None:
            return []
        sessions = parse_sessions(answer.body)
        return NoAnswer("not a list of sessions") if sessions is None else sessions

    async def session(self, serial: str, session_id: str) -> PaymentSession | Failure:
        """GET one payment: the truth before money moves."""
        answer = await self._read("/terminals/{serial}/sessions/{id}", (serial, session_id))
        if not isinstance(answer, _Answer):
            return answer
        return _the_session(answer.body, session_id) or NoAnswer("not the session")

    async def commit(
        self, serial: str, session_id: str, amount_minor: int, message: str = ""
    ) -> PaymentSession | Done | Failure:
        """POST commit: capture ``amount_minor``, once; the provider releases the rest."""
        parameters = {"commitAmount": str(amount_minor), **self._message(message)}
        return await self._payment("/terminals/{serial}/sessions/{id}/commit", (serial, session_id), parameters)

    async def cancel(self, serial: str, session_id: str, message: str = "") -> PaymentSession | Done | Failure:
        """POST cancel: release the whole hold."""
        parameters = self._message(message)
        return await self._payment("/terminals/{serial}/sessions/{id}/cancel", (serial, session_id), parameters)

    def _message(self, message: str, shown_s: int = 0) -> dict[str, str]:
        if not message:
            return {}
        return {"uiMessage": message, "uiMessageTimeout": str(shown_s or self._options.ui_message_timeout_s)}

    async def _read(
        self, template: str, ids: Sequence[str], parameters: Mapping[str, str] | None = None, *, wait_s: float = 0.0
    ) -> _Answer | Failure:
        reply = await self._call(_Request("GET", template, ids, parameters or {}, wait_s=wait_s))
        if not isinstance(reply, _Answer):
            return reply
        if not 200 <= reply.status < 300:
            return Refusal(reply.status, reply.readable)
        return reply if reply.readable else NoAnswer("unreadable body")

    async def _change(self, request: _Request) -> _Answer | Failure:
        """A call that changes something at the cloud: a test may kill the process on either side of it."""
        failpoint("terminal-call.before")
        reply = await self._call(request)
        failpoint("terminal-call.after")
        if isinstance(reply, _Answer) and not 200 <= reply.status < 300:
            return Refusal(reply.status, reply.readable)
        return reply

    async def _command(
        self, template: str, serial: str, parameters: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> Done | Failure:
        """A change whose success is its status; the body says nothing and is not looked at."""
        reply = await self._change(_Request("POST", template, (serial,), parameters, body))
        return Done() if isinstance(reply, _Answer) else reply

    async def _payment(
        self, template: str, ids: Sequence[str], parameters: Mapping[str, str]
    ) -> PaymentSession | Done | Failure:
        """A change of a payment: success without a body, or with an empty object, is `Done`: ask for the truth."""
        reply = await self._change(_Request("POST", template, ids, parameters))
        if not isinstance(reply, _Answer):
            return reply
        if not reply.readable:
            return NoAnswer("unreadable body")
        if reply.body is None or reply.body == {}:
            return Done()
        session = _the_session(reply.body, ids[1]) if len(ids) > 1 else parse_session(reply.body)
        return session or NoAnswer("not the session")

    async def _call(self, request: _Request) -> _Answer | NotSent | NoAnswer:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reply = await self._exchange(request)
        kind = str(reply.status) if isinstance(reply, _Answer) else f"{type(reply).__name__}: {reply.reason}"
        log.debug("%s %s: %s in %d ms", request.method, request.template, kind, (loop.time() - begun) * 1000)
        return reply

    async def _exchange(self, request: _Request) -> _Answer | NotSent | NoAnswer:
        if self._closed:
            return NoAnswer("shutting down")
        if self.unreachable:
            return NotSent(self.unreachable)
        self._under_way += 1
        try:
            return await self._sent(request)
        finally:
            self._under_way -= 1
            await self._close_if_retired()

    async def _close_if_retired(self) -> None:
        if self._retired and not self._under_way and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _sent(self, request: _Request) -> _Answer | NotSent | NoAnswer:
        connect_s, read_s = self._options.connect_timeout_s, self._options.read_timeout_s + request.wait_s
        try:
            # An answer that trickles keeps sock_read alive; the outer limit does not let it.
            async with asyncio.timeout(connect_s + read_s):
                async with self._http().request(
                    request.method,
                    URL(self._base + request.path(), encoded=True),
                    params=request.parameters or None,
                    data=None if request.body is None else orjson.dumps(request.body),
                    headers={} if request.body is None else {"Content-Type": "application/json"},
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=read_s),
                    allow_redirects=False,  # the key is for this host alone, and a POST must not be sent twice
                ) as response:
                    raw = await read_limited(response)
                    status = response.status
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as exc:
            return NotSent(type(exc).__name__)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            return NoAnswer(type(exc).__name__)
        if status >= 500 or status == 408:  # 408: some proxy gave up waiting for the rest
            return NoAnswer(f"HTTP {status}")
        parsed, readable = _parse(raw)
        return _Answer(status, parsed, readable)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Every armed terminal holds a long poll: a bounded pool would let idle readers starve the captures.
                connector=aiohttp.TCPConnector(limit=0),
                headers={"Authorization": f'CPS apikey="{self._options.api_key}"', "Accept": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def read_limited(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises ``ValueError`` if it is longer than any answer should be."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        raw += chunk
        if len(raw) > ANSWER_LIMIT:
            raise ValueError("answer too long")
    return bytes(raw)


def _parse(raw: bytes) -> tuple[Any, bool]:
    """The body and whether it could be read; empty is readable."""
    if not raw.strip():
        return None, True
    try:
        return orjson.loads(raw), True
    except orjson.JSONDecodeError:
        return None, False


def _the_session(body: Any, session_id: str) -> PaymentSession | None:
    """The session in ``body``, unless it is another one than was asked for."""
    session = parse_session(body)
    if session is None or session.session_id not in ("", session_id):
        return None
    return session
