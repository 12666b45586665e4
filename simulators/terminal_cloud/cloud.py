"""The server: Payter's wire, the controls, the callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import aiohttp
from aiohttp import web

from simulators.clock import SimClock
from simulators.terminal_cloud.controls import control_routes
from simulators.terminal_cloud.data_api import DataApi
from simulators.terminal_cloud.faults import Faults
from simulators.terminal_cloud.model import CARD, FAILED, FAMILIES, Card, Payment, Terminal, WireError

log = logging.getLogger(__name__)

Action = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(slots=True)
class TerminalCloudConfig:
    """How the cloud is set up. ``port`` 0 takes a free one."""

    api_key: str = field(default="sim-key", repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    clock: SimClock = field(default_factory=SimClock)
    on_event: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call of the wire, as it was made. ``outcome``: HTTP status, or the fault that swallowed the answer."""

    at: datetime
    call: str
    serial: str
    parameters: dict[str, str]
    outcome: str


class TerminalCloud:
    """A running cloud: ``async with TerminalCloud(config) as cloud``."""

    def __init__(self, config: TerminalCloudConfig | None = None) -> None:
        self.config = config or TerminalCloudConfig()
        self.terminals: dict[str, Terminal] = {}
        self.faults = Faults()
        self.calls: list[CallRecord] = []
        self.always_declined: set[str] = set()
        self.webhook_url = ""
        self.data_api = DataApi(self)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._kept_back: tuple[str, dict[str, Any]] | None = None
        self.port = self.config.port

    # --- library ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen. OSError if the port is taken."""
        app = web.Application()
        app.add_routes([*self._wire_routes(), *control_routes(self), *self.data_api.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        for post in list(self._posts):
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """Where the integrator finds the wire."""
        return f"http://{self.config.host}:{self.port}/"

    def add_terminal(self, serial: str, family: str = "Apollo", currency: str = "NOK") -> Terminal:
        """Put a terminal in the domain. ValueError for an unknown family."""
        if family not in FAMILIES:
            raise ValueError(f"{family!r} is no terminal family; use {', '.join(FAMILIES)}.")
        return self.terminals.setdefault(serial, Terminal(serial, family, currency))

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
        self._tell(f"{serial}: {kind} {card} tapped")
        self._post(terminal.callback_url, presented.to_json(serial))
        await self.changed()
        return True

    async def choose(self, serial: str, choice: str) -> bool:
        """Touch an item or button of the custom screen; False if there is none of that name."""
        terminal = self.terminal(serial)
        screen = terminal.custom_screen
        names = _choices(screen)
        if screen is None or choice not in names or not terminal.online:
            return False
        self._tell(f"{serial}: {choice} chosen")
        self._post(terminal.ui_callback_url, {"serialNumber": serial, "screenId": screen.get("id"), "response": choice})
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
            terminal.come_online()
        else:
            terminal.online = False
        if self.webhook_url:
            self._post(self.webhook_url, terminal.to_json())
        self._tell(f"{serial}: {'online' if online else 'offline'}")
        await self.changed()

    async def reboot(self, serial: str) -> None:
        """Switch it off and on."""
        self.terminal(serial).reboot()
        self._tell(f"{serial}: rebooted")
        await self.changed()

    async def expire_hold(self, serial: str, session_id: str) -> None:
        """The issuer lets the hold lapse."""
        payment = self.terminal(serial).payment(session_id)
        payment.state = "CANCELLED"
        payment.history.append("expired")
        await self.changed()

    async def wait_for(self, true: Callable[[TerminalCloud], Any], timeout_s: float = 10.0) -> None:
        """Wait until ``true(cloud)``; TimeoutError after real seconds."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: bool(true(self)))

    async def changed(self) -> None:
        """Wake whoever waits for a condition."""
        async with self._changed:
            self._changed.notify_all()

    # --- callbacks ----------------------------------------------------------------------------------------------------

    def _post(self, url: str, body: dict[str, Any]) -> None:
        """Post a callback, once, unless a fault says otherwise. Nobody waits for it."""
        if not url:
            return
        fault = self.faults.next_callback()
        kind = fault.kind if fault else ""
        if kind == "drop":
            return
        if kind == "reorder":  # goes out after the next one
            self._kept_back = (url, body)
            return
        self._spawn(url, body, fault.delay_s if fault and kind == "delay" else 0.0)
        if kind == "duplicate":
            self._spawn(url, body, 0.0)
        if self._kept_back is not None:
            (later_url, later_body), self._kept_back = self._kept_back, None
            self._spawn(later_url, later_body, 0.05)

    def _spawn(self, url: str, body: dict[str, Any], delay_s: float) -> None:
        task = asyncio.create_task(self._deliver(url, body, delay_s))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _deliver(self, url: str, body: dict[str, Any], delay_s: float = 0.0) -> None:
        await asyncio.sleep(delay_s)
        if self._http is None:
            return
        try:
            async with self._http.post(url, json=body) as response:
                self._tell(f"callback answered {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tell(f"callback not delivered ({type(error).__name__})")  # never the URL: it holds a secret

    # --- the wire -----------------------------------------------------------------------------------------------------

    def _wire_routes(self) -> list[web.RouteDef]:
        one = "/terminals/{serial}"
        payment = one + "/sessions/{session_id}"
        return [
            web.get("/terminals", self._call("get_terminal", self._list)),
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

    def _call(self, name: str, action: Action) -> Action:
        """Authentication, ordered faults, the call log and the error body, around ``action``."""

        async def handler(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f'CPS apikey="{self.config.api_key}"':
                return self._error(401, "Invalid API key")
            fault = self.faults.next_of(name)
            kind = fault.kind if fault else ""
            outcome = kind
            try:
                response = self._refusal(kind)
                if response is None and kind != "drop_before":
                    response = await self._applied(name, kind, action, request)
            except WireError as error:
                response = self._error(error.status, error.message)
            except (KeyError, ValueError) as error:
                response = self._error(400, f"Bad parameter: {error}")
            if response is not None:
                outcome = kind or str(response.status)
            self._log_call(name, request, outcome)
            await self.changed()
            if fault is not None and kind == "delay":
                await asyncio.sleep(fault.delay_s)
            if kind in {"drop_before", "apply_then_drop"} or response is None:
                return _hang_up(request)
            return response

        return handler  # type: ignore[return-value]

    async def _applied(self, name: str, kind: str, action: Action, request: web.Request) -> web.Response:
        if kind == "failed" and name in {"commit", "cancel"}:
            payment = self._terminal(request).payment(request.match_info["session_id"])
            payment.state = FAILED
            payment.history.append(f"{name} failed")
            return web.json_response(payment.to_json())
        return await action(request)

    def _refusal(self, kind: str) -> web.Response | None:
        match kind:
            case "conflict":
                return self._error(409, "Session already committed or cancelled")
            case "error":
                return self._error(500, "Internal error")
            case "not_found":
                return self._error(404, "Session not found")
            case "garbage":
                return web.Response(text="<html>proxy says no</html>", content_type="text/html")
            case _:
                return None

    def _log_call(self, name: str, request: web.Request, outcome: str) -> None:
        serial = request.match_info.get("serial", "")
        parameters = {key: value for key, value in request.query.items() if key != "callbackUrl"}
        self.calls.append(CallRecord(self.config.clock.now(), name, serial, parameters, outcome))
        if name not in {"card", "get_terminal"}:
            self._tell(f"{serial}: {name} {parameters or ''} → {outcome}")

    def _tell(self, line: str) -> None:
        self.config.on_event(line)

    def _terminal(self, request: web.Request) -> Terminal:
        return self.terminal(request.match_info["serial"])

    def _error(self, status: int, message: str) -> web.Response:
        stamp = self.config.clock.now().isoformat()
        reasons = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict", 503: "Unavailable"}
        body = {"timestamp": stamp, "status": status, "error": reasons.get(status, "Error"), "message": message}
        return web.json_response(body, status=status)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response([terminal.to_json() for terminal in self.terminals.values()])

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._terminal(request).to_json())

    async def _start(self, request: web.Request) -> web.Response:
        q = request.query
        idle = " ".join(part for part in (q.get("uiMessageTitle"), q.get("uiMessage")) if part)
        amount = int(q["authorizedAmount"])
        if amount < 0:
            raise ValueError("authorizedAmount")
        self._terminal(request).start(amount, q.get("callbackUrl", ""), idle, q.get("language", ""))
        return web.Response(status=200)

    async def _card(self, request: web.Request) -> web.Response:
        terminal = self._terminal(request)
        wait_s = min(float(request.query.get("waitTime", "0")), 55.0)
        with contextlib.suppress(TimeoutError):
            await self.wait_for(lambda _: terminal.state == CARD, timeout_s=wait_s or 0.001)
        if terminal.state != CARD or terminal.card is None:
            raise WireError(404, "No card")
        return web.json_response(terminal.card.to_json(terminal.serial))

    async def _stop(self, request: web.Request) -> web.Response:
        self._terminal(request).stop(request.query.get("uiMessage", ""))
        return web.Response(status=200)

    async def _authorize(self, request: web.Request) -> web.Response:
        terminal, now = self._terminal(request), self.config.clock.now()
        card, callback_url = terminal.card, terminal.callback_url
        payment = terminal.authorize(request.query.get("uiMessage", ""), now, self.always_declined)
        if payment is None:
            declined = {"serialNumber": terminal.serial, "cardId": card.card_id if card else "", "state": "DECLINED"}
            return web.json_response(declined | {"result": "DECLINED", "authorizedAmount": terminal.authorized_amount})
        payment.receipt_lines = request.query.getall("receiptLine", [])
        if self.faults.callbacks and self.faults.callbacks[0].kind == "before_answer":
            self.faults.next_callback()
            await self._deliver(callback_url, {"session": payment.to_json()})
        return web.json_response(payment.to_json())

    async def _sessions(self, request: web.Request) -> web.Response:
        return web.json_response([payment.to_json() for payment in self._terminal(request).payments.values()])

    async def _session(self, request: web.Request) -> web.Response:
        return web.json_response(self._terminal(request).payment(request.match_info["session_id"]).to_json())

    async def _commit(self, request: web.Request) -> web.Response:
        amount, message = int(request.query["commitAmount"]), request.query.get("uiMessage", "")
        terminal, session_id = self._terminal(request), request.match_info["session_id"]
        return web.json_response(terminal.commit(session_id, amount, message, self.config.clock.now()).to_json())

    async def _cancel(self, request: web.Request) -> web.Response:
        terminal, session_id = self._terminal(request), request.match_info["session_id"]
        return web.json_response(terminal.cancel(session_id, request.query.get("uiMessage", "")).to_json())

    async def _ui(self, request: web.Request) -> web.Response:
        terminal = self._terminal(request)
        if not terminal.online:
            raise WireError(503, "Terminal is offline")
        if not terminal.family.startswith("Apollo"):
            raise WireError(400, f"{terminal.family} has no screen for this")
        screen = await request.json()
        if not isinstance(screen, dict) or not isinstance(screen.get("properties"), dict):
            raise WireError(400, "id, type and properties are required")
        terminal.custom_screen = screen
        terminal.ui_callback_url = request.query.get("callbackUrl", "")
        return web.Response(status=200)

    async def _webhook(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            self.webhook_url = str((await request.json()).get("url", ""))
        elif request.method == "DELETE":
            self.webhook_url = ""
        return web.json_response({"url": self.webhook_url})


def _choices(screen: dict[str, Any] | None) -> set[str]:
    """The names that can be touched on a custom screen."""
    properties = (screen or {}).get("properties", {})
    return {key.split(".")[1] for key in properties if key.startswith(("items.", "buttons.")) and "." in key}


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.StreamResponse()
