"""An integrator as the tests need it: it speaks Payter's wire, and takes callbacks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

KEY = "key-of-the-tests"
SERIAL = "APO20240000001"


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Integrator:
    http: aiohttp.ClientSession
    base_url: str
    callback_base: str = ""
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)  # answers and callbacks, as they came
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    refuse_with: int = 0

    async def call(self, method: str, path: str, *, key: str = KEY, body: Any = None, **query: Any) -> Answer:
        """Raises aiohttp.ClientError when the connection is closed without an answer."""
        headers = {"Authorization": f'CPS apikey="{key}"'}
        params = [(name, str(value)) for name, given in query.items() for value in _each(given)]
        async with self.http.request(method, self.base_url + path, params=params, json=body, headers=headers) as got:
            text = await got.text()
            self.order.append(path.rsplit("/", 1)[-1])
            parsed = await got.json() if text and got.content_type == "application/json" else text
            return Answer(got.status, parsed)

    async def ask(self, what: str, serial: str = SERIAL, **query: Any) -> Answer:
        return await self.call("POST", f"terminals/{serial}/{what}", **query)

    async def get(self, what: str, serial: str = SERIAL, **query: Any) -> Answer:
        return await self.call("GET", f"terminals/{serial}{what}", **query)

    def url(self, name: str) -> str:
        return f"{self.callback_base}/the-secret/{name}"

    async def arm(self, amount: int = 5000, **query: Any) -> None:
        answer = await self.ask("start", authorizedAmount=amount, callbackUrl=self.url("card"), **query)
        assert answer.status == 200

    async def heard_of(self, true: Callable[[list[tuple[str, dict[str, Any]]]], bool]) -> None:
        async with asyncio.timeout(30), self.news:
            await self.news.wait_for(lambda: true(self.heard))

    async def _hear(self, request: web.Request) -> web.Response:
        async with self.news:
            name = request.match_info["name"]
            self.heard.append((name, await request.json()))
            self.order.append(f"callback {name}")
            self.news.notify_all()
        return web.Response(status=self.refuse_with or 200)


def _each(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


@contextlib.asynccontextmanager
async def integrator(base_url: str) -> AsyncIterator[Integrator]:
    async with aiohttp.ClientSession() as http:
        speaker = Integrator(http, base_url)
        app = web.Application()
        app.router.add_post("/the-secret/{name}", speaker._hear)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        speaker.callback_base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield speaker
        finally:
            await runner.cleanup()
