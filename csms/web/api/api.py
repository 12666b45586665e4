"""The API put together: what its operations work with, and its routes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.ocpp.server import OcppServer
from csms.stations.calls import Waiters
from csms.stations.frame_log import FrameLog
from csms.web.api import audit_trail, openapi, sessions, sight, station_commands, stations, tokens
from csms.web.api.operation import PREFIX, Operation, route
from csms.web.api.problem import Problem
from sessions.service import Service

RESOURCES = (
    stations.resource,
    station_commands.resource,
    sessions.resource,
    sight.resource,
    tokens.resource,
    audit_trail.resource,
)


@dataclass(slots=True, kw_only=True)
class Api:
    """What operations work with. ``now``: the clock; ``public_url``: how the outside reaches this system."""

    engine: AsyncEngine
    service: Service
    ocpp: OcppServer
    waiters: Waiters
    frame_log: FrameLog
    now: Callable[[], datetime]
    public_url: str

    def routes(self) -> Sequence[web.RouteDef]:
        """Every operation, and the document that describes them."""
        body = orjson.dumps(openapi.document(operations(), importlib.metadata.version("tapvolt")))

        async def describe(_: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        return [
            web.get(f"{PREFIX}/openapi.json", describe),
            *(route(self, operation) for operation in operations()),
        ]


def operations() -> list[Operation]:
    """Every operation of every resource."""
    return [operation for resource in RESOURCES for operation in resource.operations]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp refuses under the API's prefix is a problem document too."""
    if not request.path.startswith(f"{PREFIX}/"):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return Problem(404, f"There is nothing here; {PREFIX}/openapi.json lists what there is.").response()
    except web.HTTPMethodNotAllowed as refused:
        allowed = ", ".join(sorted(refused.allowed_methods))
        return Problem(405, f"Use one of: {allowed}.", headers={"Allow": allowed}).response()
