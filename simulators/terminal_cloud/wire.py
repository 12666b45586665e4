"""Payter's paths: authentication, ordered faults, the log of calls, error bodies, and the calls themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from simulators.terminal_cloud.model import CARD, DECLINED, Domain, Payment, Terminal, WireError
from simulators.terminal_cloud.redaction import redacted

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

Action = Callable[[web.Request], Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONG_POLL_LIMIT_S = 55.0  # real seconds; a client that reads for 60 s gets its answer
LATE_ANSWER_S = 10.0  # real seconds that an answer waits for its callback, unless the fault says
_DOMAIN = web.RequestKey("domain", Domain)
QUIET = {"card", "get_terminal", "list_terminals"}  # polled all the time: no line each


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call of the wire, as it was made. ``outcome``: HTTP status, or the fault that hit it.

    ``parameters``: the query without the callback URL; a repeated parameter is joined by line ends.
    """

    at: datetime
    call: str
    serial: str
    parameters: dict[str, str]
    outcome: str
    session_id: str = ""


class Wire:
    """The handlers, over the terminals of ``cloud``."""

    def __init__(self, cloud: TerminalCloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[web.RouteDef]:
        """The paths as Payter has them."""
        one = "/terminals/{serial}"
        payment = one + "/sessions/{session_id}"
        return [
            web.get("/terminals", self._call("list_terminals", self._list)),
            web.get(one, self._call("get_terminal", self._get)),
            web.post(one + "/start", self._call("start", self._start)),
            web.get(one + "/card", self._call("card", self._card)),
            web.post(one + "/stop", self._call("stop", self._stop)),
            web.post(one + "/authorize", self._call("authorize", self._authorize)),
            web.post(one + "/ui", self._call("ui", self._ui)),
            web.get(one + "/sessions", self._call("list_sessions", self._sessions)),
            web.get(payment, self._call("get_session", self._session)),
            web.post(payment + "/commit", self._call("commit", self._commit)),
            web.post(payment + "/cancel", self._call("cancel", self._cancel)),
            web.get("/webhook", self._call("webhook", self._webhook)),
            web.put("/webhook", self._call("webhook", self._webhook)),
            web.delete("/webhook", self._call("webhook", self._webhook)),
        ]

    def _call(self, name: str, action: Action) -> Handler:
        """Everything that is the same for all calls, around ``action``."""

        async def handler(request: web.Request) -> web.StreamResponse:
            domain = self._cloud.domain_of(request.headers.get("Authorization", ""))
            if domain is None:
                return self._error(401, "Invalid API key")
            request[_DOMAIN] = domain
            fault = self._cloud.faults.next_of(name)
            kind = fault.kind if fault else ""
            response = None
            if kind != "drop_before":
                response = self._refusal(kind) or await self._answer(name, kind, action, request)
            self._record(name, request, kind or str(response.status if response else 0))
            late = self._late_answer(name, request, response)  # before anyone hears of the change
            await self._cloud.changed()
            if response is None or kind == "apply_then_drop":
                return await _hang_up(request)
            if fault is not None and kind == "delay":
                await asyncio.sleep(fault.delay_s)
            if late is not None:
                await late()
            return response

        return handler

    async def _answer(self, name: str, kind: str, action: Action, request: web.Request) -> web.Response:
        try:
            if kind == "failed":
                return await self._failed(name, action, request)
            return await action(request)
        except WireError as error:
            return self._error(error.status, error.message)
        except KeyError as error:
            return self._error(400, f"Required parameter {error} is not present")
        except (ValueError, TypeError) as error:
            return self._error(400, f"Bad request: {error}")

    async def _failed(self, name: str, action: Action, request: web.Request) -> web.Response:
        terminal, now = self._paying(request) if name != "authorize" else self._terminal(request), self._now()
        if name != "authorize":
            return _json(terminal.fail(request.match_info["session_id"], name, now))
        response = await action(request)
        session_id = json.loads(response.text or "{}").get("sessionId")
        return _json(terminal.fail(session_id, name, now)) if session_id else response

    def _refusal(self, kind: str) -> web.Response | None:
        match kind:
            case "conflict":
                return self._error(409, "Session already committed or cancelled")
            case "error":
                return self._error(500, "Internal error")
            case "not_found":
                return self._error(404, "Not found")
            case "garbage":
                return web.Response(text="<html>proxy says no</html>", content_type="text/html")
            case _:
                return None

    def _late_answer(
        self, name: str, request: web.Request, response: web.Response | None
    ) -> Callable[[], Awaitable[None]] | None:
        """What this answer has to wait for, if a callback is to come before it."""
        if name not in ("start", "ui", "authorize") or response is None or response.status >= 300:
            return None
        fault = self._cloud.faults.next_late_answer()
        if fault is None:
            return None
        callbacks, terminal = self._cloud.callbacks, self._cloud.terminal(request.match_info["serial"])
        if name == "authorize":
            note = {"session": json.loads(response.text or "{}")}
            return partial(callbacks.deliver, terminal.serial, terminal.callback_url, note)
        return partial(callbacks.wait, callbacks.expected(terminal.serial), fault.delay_s or LATE_ANSWER_S)

    def _record(self, name: str, request: web.Request, outcome: str) -> None:
        serial, session_id = (request.match_info.get(key, "") for key in ("serial", "session_id"))
        query = request.query
        parameters = {key: "\n".join(query.getall(key)) for key in query if key != "callbackUrl"}
        self._cloud.calls.append(CallRecord(self._now(), name, serial, parameters, outcome, session_id))
        if name not in QUIET:
            said = " ".join(f"{key}={value!r}" for key, value in parameters.items())
            self._cloud.tell(redacted(f"{serial}: {' '.join(filter(None, (name, session_id[:8], said)))} → {outcome}"))

    def _error(self, status: int, message: str) -> web.Response:
        body = {
            "timestamp": self._now().isoformat(),
            "status": status,
            "error": HTTPStatus(status).phrase,
            "message": message,
        }
        return web.json_response(body, status=status)

    def _now(self) -> datetime:
        return self._cloud.config.clock.now()

    def _terminal(self, request: web.Request) -> Terminal:
        """The terminal, if it sits in the caller's domain; else it is not there."""
        terminal = self._cloud.terminal(request.match_info["serial"])
        if terminal.domain != _domain(request).name:
            raise WireError(404, f"Terminal {terminal.serial} not found")
        return terminal

    def _paying(self, request: web.Request) -> Terminal:
        """The terminal of a payment that was authorised in the caller's domain, wherever the terminal is now."""
        terminal = self._cloud.terminal(request.match_info["serial"])
        if terminal.payment(request.match_info["session_id"]).domain != _domain(request).name:
            raise WireError(404, "Session not found")
        return terminal

    # --- the calls ----------------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        here = _domain(request).name
        return web.json_response([each.to_json() for each in self._cloud.terminals.values() if each.domain == here])

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._terminal(request).to_json())

    async def _start(self, request: web.Request) -> web.Response:
        q = request.query
        idle = " ".join(part for part in (q.get("uiMessageTitle"), q.get("uiMessage")) if part)
        amount = _amount(q["authorizedAmount"])
        self._terminal(request).start(amount, q.get("callbackUrl", ""), idle, q.get("language", ""))
        return web.Response()

    async def _card(self, request: web.Request) -> web.Response:
        terminal = self._terminal(request)
        wait_s = min(float(request.query.get("waitTime", "0")), LONG_POLL_LIMIT_S)
        if terminal.state != CARD and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                await self._cloud.wait_for(lambda _: terminal.state == CARD, timeout_s=wait_s)
        if terminal.state != CARD or terminal.card is None:
            raise WireError(404, "No card")
        return web.json_response(terminal.card.to_json(terminal.serial))

    async def _stop(self, request: web.Request) -> web.Response:
        self._terminal(request).stop(request.query.get("uiMessage", ""))
        return web.Response()

    async def _authorize(self, request: web.Request) -> web.Response:
        terminal, card = self._terminal(request), self._terminal(request).card
        payment = terminal.authorize(request.query.get("uiMessage", ""), self._now(), self._cloud.always_declined)
        if payment is None:
            declined = {"serialNumber": terminal.serial, "cardId": card.card_id if card else "", "state": DECLINED}
            return web.json_response(declined | {"result": DECLINED, "authorizedAmount": terminal.authorized_amount})
        return _ended(payment, request)

    async def _sessions(self, request: web.Request) -> web.Response:
        terminal, here = self._cloud.terminal(request.match_info["serial"]), _domain(request).name
        mine = [payment.to_json() for payment in terminal.payments.values() if payment.domain == here]
        if terminal.domain != here and not mine:
            raise WireError(404, f"Terminal {terminal.serial} not found")
        return web.json_response(mine)

    async def _session(self, request: web.Request) -> web.Response:
        return _json(self._paying(request).payment(request.match_info["session_id"]))

    async def _commit(self, request: web.Request) -> web.Response:
        amount, message = _amount(request.query["commitAmount"]), request.query.get("uiMessage", "")
        terminal, session_id = self._paying(request), request.match_info["session_id"]
        return _ended(terminal.commit(session_id, amount, message, self._now()), request)

    async def _cancel(self, request: web.Request) -> web.Response:
        terminal, session_id = self._paying(request), request.match_info["session_id"]
        return _ended(terminal.cancel(session_id, request.query.get("uiMessage", ""), self._now()), request)

    async def _ui(self, request: web.Request) -> web.Response:
        self._terminal(request).show(await request.json(), request.query.get("callbackUrl", ""))
        return web.Response()

    async def _webhook(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            body = await request.json()
            if not isinstance(body, dict) or not isinstance(body.get("url"), str):
                raise WireError(400, "url is required")
            _domain(request).webhook_url = body["url"]
        elif request.method == "DELETE":
            _domain(request).webhook_url = ""
        return web.json_response({"url": _domain(request).webhook_url})


def _domain(request: web.Request) -> Domain:
    """Whose key was sent."""
    return request[_DOMAIN]


def _amount(text: str) -> int:
    """Minor units; ValueError unless digits alone."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise ValueError("an amount is a whole number of minor units")
    return int(text)


def _json(payment: Payment) -> web.Response:
    return web.json_response(payment.to_json())


def _ended(payment: Payment, request: web.Request) -> web.Response:
    payment.receipt_lines += request.query.getall("receiptLine", [])
    return _json(payment)


async def _hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer; in the middle of one for a GET, which clients would repeat unseen."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
    if request.method == "GET":
        await response.prepare(request)
        await response.write(b"{")
        if request.transport is not None:
            request.transport.close()
    elif request.transport is not None:
        request.transport.abort()
    return response
