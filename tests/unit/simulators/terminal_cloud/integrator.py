"""The other side of the wire: calls as an integrator makes them, and a place that callbacks are posted to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from simulators.clock import SimClock
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig

SERIAL = "APO20240000001"
SECRET = "unguessable-part-of-the-path"


@dataclass(slots=True)
class Integrator:
    cloud: TerminalCloud
    http: aiohttp.ClientSession
    callback_url: str
    heard: list[dict[str, Any]]
    news: asyncio.Condition
    events: list[str] = field(default_factory=list)
    on_callback: Callable[[], None] = lambda: None

    async def call(self, method: str, path: str, json: Any = None, **parameters: Any) -> tuple[int, Any]:
        """Status and JSON (or text) of a call."""
        async with self.http.request(method, self.cloud.base_url + path, params=parameters, json=json) as response:
            text = await response.text()
            return response.status, await response.json() if "json" in response.content_type and text else text

    async def post(self, what: str, json: Any = None, **parameters: Any) -> tuple[int, Any]:
        """A POST to the terminal."""
        return await self.call("POST", f"terminals/{SERIAL}/{what}", json, **parameters)

    async def get(self, what: str = "", **parameters: Any) -> tuple[int, Any]:
        """A GET of the terminal, or of what is below it."""
        return await self.call("GET", f"terminals/{SERIAL}{what}", **parameters)

    async def start(self, amount: int = 5000) -> tuple[int, Any]:
        """Arm the reader, with our callback."""
        return await self.post("start", authorizedAmount=amount, callbackUrl=self.callback_url)

    async def payment(self, amount: int = 5000, card: str = "visa-1") -> str:
        """A new hold; its id."""
        assert (await self.start(amount))[0] == 200
        assert await self.cloud.tap(SERIAL, card)
        status, session = await self.post("authorize")
        assert (status, session["state"]) == (200, "AUTHORIZED")
        return str(session["sessionId"])

    async def until_heard(self, count: int) -> list[dict[str, Any]]:
        """The callbacks so far, once there are ``count``."""
        async with asyncio.timeout(30), self.news:
            await self.news.wait_for(lambda: len(self.heard) >= count)
            return list(self.heard)


@contextlib.asynccontextmanager
async def integrator(**config: Any) -> AsyncIterator[Integrator]:
    """An Apollo in a cloud, and us."""
    events: list[str] = []
    news = asyncio.Condition()
    heard: list[dict[str, Any]] = []
    made: list[Integrator] = []

    async def on_callback(request: web.Request) -> web.Response:
        heard.append(await request.json())
        made[0].on_callback()
        async with news:
            news.notify_all()
        return web.Response()

    app = web.Application()
    app.router.add_post(f"/{SECRET}/card", on_callback)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    callback_url = f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}/card"
    settings: dict[str, Any] = {"api_key": "the-key", "clock": SimClock(60), "on_event": events.append} | config
    try:
        async with (
            TerminalCloud(TerminalCloudConfig(**settings)) as cloud,
            aiohttp.ClientSession(headers={"Authorization": 'CPS apikey="the-key"'}) as http,
        ):
            cloud.add_terminal(SERIAL)
            made.append(Integrator(cloud, http, callback_url, heard, news, events))
            yield made[0]
    finally:
        await runner.cleanup()
