"""For load balancers and monitors: alive, and ready."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.engine import reading


def health_routes(engine: AsyncEngine) -> list[web.RouteDef]:
    """``/healthz``: the process answers. ``/readyz``: so does the database (503 if not)."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        try:
            async with reading(engine) as connection:
                await connection.execute(select(1))
        except Exception:
            return web.Response(status=503, text="the database does not answer\n")
        return web.Response(text="ready\n")

    return [web.get("/healthz", alive), web.get("/readyz", ready)]
