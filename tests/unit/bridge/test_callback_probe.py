"""The callback URL seen from outside: only our own answer to our own question, once, is proof."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from bridge.callback_probe import CallbackProbe
from sessions.verification import NotReached, Reached
from tests.unit.bridge.scripted_cloud import running


async def probed(app: web.Application) -> Reached | NotReached:
    async with running(app) as base_url:
        return await CallbackProbe(base_url).probe()


async def test_our_own_answer_is_proof() -> None:
    probe = CallbackProbe("http://127.0.0.1:1")
    app = web.Application()
    app.add_routes(probe.routes())
    async with running(app) as base_url:
        probe._base = base_url
        assert await probe.probe() == Reached()
        assert await probe.probe() == Reached()


async def test_an_address_is_good_for_one_time_and_for_nothing_else() -> None:
    probe = CallbackProbe("http://127.0.0.1:1")
    app = web.Application()
    app.add_routes(probe.routes())
    async with running(app) as base_url, aiohttp.ClientSession() as http:
        probe._waiting["asked"] = False
        statuses = []
        for token in ("asked", "asked", "another", "x" * 500):
            async with http.get(f"{base_url}/callbacks/probe/{token}") as answer:
                statuses.append(answer.status)
        assert statuses == [200, 404, 404, 404]


async def test_a_proxys_page_is_no_proof() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome to nginx</html>")

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("https://example.org/")

    for handler, says in ((page, "something else answers there"), (elsewhere, "it answers HTTP 302")):
        app = web.Application()
        app.router.add_get("/callbacks/probe/{token}", handler)
        assert await probed(app) == NotReached(says)


async def test_nothing_is_there() -> None:
    assert await CallbackProbe("http://127.0.0.1:1").probe() == NotReached("nothing listens there")
    unknown = await CallbackProbe("http://nowhere.invalid").probe()
    assert isinstance(unknown, NotReached)
    assert unknown.reason in ("its name is not known to DNS", "nothing listens there", "no connection comes about")
