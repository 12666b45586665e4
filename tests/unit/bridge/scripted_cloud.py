"""A payment cloud that says exactly what a test tells it to, over real HTTP; by default it behaves well."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bridge.options import PayterOptions

CARD_ID = "ab" * 32
OTHER_CARD_ID = "cd" * 32
API_KEY = "key-0123456789-of-the-test"
CALLBACK_SECRET = "secret-0123456789-of-the-path"
HASH_KEY = "hash-key-0123456789"


@dataclass(frozen=True)
class Say:
    """One answer. ``apply``: do what was asked as well. ``drop``: then break the connection instead of answering."""

    status: int = 200
    body: Any = None  # dict, list: as JSON; bytes: as they are
    apply: bool = False
    drop: bool = False
    location: str = ""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    call: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]
    path: str


class ScriptedCloud:
    """Calls are named terminal, card, start, stop, ui, authorize, sessions, session, commit, cancel."""

    def __init__(self) -> None:
        self.online = True
        self.state = "IDLE"
        self.card_id = CARD_ID
        self.sessions: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.scripts: dict[str, deque[Say]] = defaultdict(deque)
        self.meanwhile: dict[str, Callable[[], None]] = {}  # what happens elsewhere while a call is under way, once
        self.base_url = ""
        self._changed = asyncio.Condition()

    def script(self, call: str, *says: Say) -> None:
        self.scripts[call].extend(says)

    def calls(self, *calls: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.call in calls]

    def names(self, *without: str) -> list[str]:
        return [asked.call for asked in self.asked if asked.call not in without]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(condition)

    async def set(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        async with self._changed:
            self._changed.notify_all()

    def add_session(self, **changes: Any) -> dict[str, Any]:
        session: dict[str, Any] = {
            "serialNumber": "APO20240000001",
            "sessionId": f"s-{len(self.sessions) + 1}",
            "cardId": self.card_id,
            "authorizedAmount": 20_000,
            "result": "APPROVED",
            "state": "AUTHORIZED",
            "extra": {"field": 1},
        }
        session.update(changes)
        self.sessions.append(session)
        return session

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/terminals/{serial}", self._handle)
        app.router.add_route("*", "/terminals/{serial}/sessions/{id}/{action}", self._handle)
        app.router.add_route("*", "/terminals/{serial}/sessions/{id}", self._handle)
        app.router.add_route("*", "/terminals/{serial}/{action}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        info = request.match_info
        call = info.get("action") or ("session" if "id" in info else "terminal")
        raw = await request.read()
        self.asked.append(
            Asked(call, dict(request.query), json.loads(raw) if raw else None, dict(request.headers), request.raw_path)
        )
        async with self._changed:
            self._changed.notify_all()
        if (happens := self.meanwhile.pop(call, None)) is not None:
            happens()
        script = self.scripts[call]
        say = script.popleft() if script else None
        answer = await self._apply(call, request) if say is None or say.apply else None
        async with self._changed:
            self._changed.notify_all()
        if say is not None:
            if say.drop:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            if not (say.apply and say.body is None and say.status == 200):
                answer = say
        assert answer is not None
        body = answer.body
        raw_body = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if answer.location:
            headers["Location"] = answer.location
        return web.Response(status=answer.status, body=raw_body, headers=headers)

    async def _apply(self, call: str, request: web.Request) -> Say:
        match call:
            case "terminal":
                return Say(
                    body={"serialNumber": request.match_info["serial"], "online": self.online, "state": self.state}
                )
            case "start":
                if self.state != "IDLE":
                    return Say(409, {"status": 409, "error": "Conflict"})
                await self.set(state="READING")
                return Say(204)
            case "stop":
                await self.set(state="IDLE")
                return Say()
            case "card":
                wait_s = float(request.query.get("waitTime", "0"))
                try:
                    async with asyncio.timeout(wait_s), self._changed:
                        await self._changed.wait_for(lambda: self.state == "CARD")
                except TimeoutError:
                    return Say(404, {"status": 404})
                return Say(body={"cardId": self.card_id, "maskedPan": "512345******1234", "ifd": "CONTACTLESS"})
            case "authorize":
                if self.state != "CARD":
                    return Say(409, {"status": 409})
                await self.set(state="IDLE")
                return Say(body=self.add_session())
            case "sessions":
                return Say(body=self.sessions)
            case "ui":
                return Say(202, b"shown")
        session = next((s for s in self.sessions if s["sessionId"] == request.match_info["id"]), None)
        if session is None:
            return Say(404, {"status": 404})
        if call == "commit" and session["state"] == "AUTHORIZED":
            session.update(state="COMMITED", finalAmount=int(request.query["commitAmount"]))
        elif call == "cancel" and session["state"] == "AUTHORIZED":
            session.update(state="CANCELLED")
        elif call != "session":
            return Say(409, {"status": 409})
        return Say(body=session)


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[str]:
    """The application on a free port; yields its base URL."""
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def options(base_url: str = "http://127.0.0.1:1", **changes: Any) -> PayterOptions:
    """Options with waits that are short but never decisive."""
    settings: dict[str, Any] = {
        "base_url": base_url,
        "api_key": API_KEY,
        "public_callback_base": "https://tapvolt.example",
        "callback_secret": CALLBACK_SECRET,
        "card_hash_key": HASH_KEY,
        "connect_timeout_s": 5.0,
        "read_timeout_s": 10.0,
        "card_poll_wait_s": 20,
        "status_poll_s": 0.02,
        "pending_poll_s": 0.02,
        "pause_s": 0.01,
        "retry_first_s": 0.01,
        "retry_max_s": 0.05,
        "terminals_poll_s": 0.02,
    }
    return PayterOptions(**{**settings, **changes})
