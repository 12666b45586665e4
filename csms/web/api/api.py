"""The API put together: what its operations work with, and its routes."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.ext.asyncio import AsyncEngine

from bridge.probe import Probe
from csms.ocpp.server import OcppServer
from csms.payouts.payment_file import Debtor
from csms.payouts.provider_notices import ReconciliationOptions
from csms.stations.calls import Waiters
from csms.stations.configuration import Wanted
from csms.stations.file_store import FileStore
from csms.stations.frame_log import FrameLog
from csms.terminals.onboarding import OnboardingOptions
from csms.terminals.processors import Processors
from csms.web import api as resources
from csms.web.api import openapi
from csms.web.api.operation import PREFIX, Operation, route
from csms.web.api.problem import Problem
from sessions.service import Service


@dataclass(slots=True, kw_only=True)
class Api:
    """What operations work with.

    ``now``: the clock; ``public_url``: how the outside reaches this system; ``link_lifetime``: of stations' file links;
    ``photo_bytes``: of the largest photo taken.
    ``serial_patterns``: of terminals, by family, instead of the built-in ones; ``debtor``: who pays owners out.
    ``wake``: something changed for the terminal of this serial, its keeper is to look at once. ``probe``: asks
    terminals' clouds; None where the settings have none.
    """

    engine: AsyncEngine
    service: Service
    ocpp: OcppServer
    waiters: Waiters
    frame_log: FrameLog
    built_in: tuple[Wanted, ...]
    files: FileStore
    link_lifetime: timedelta
    onboarding: OnboardingOptions
    now: Callable[[], datetime]
    public_url: str
    photo_bytes: int
    serial_patterns: Mapping[str, str]
    licence_grace_days: int
    processors: Processors
    debtor: Debtor
    reconciliation: ReconciliationOptions
    wake: Callable[[str], None]
    probe: Probe | None = None

    def routes(self) -> Sequence[web.RouteDef]:
        """Every operation, and the document that describes them."""
        return [
            web.get(f"{PREFIX}/openapi.json", _describe),
            *(route(self, operation) for operation in operations()),
        ]


async def _describe(_: web.Request) -> web.Response:
    return web.Response(body=_document(), content_type="application/json")


@cache
def _document() -> bytes:
    """Made when first asked for: it takes a fraction of a second, and does not change."""
    return orjson.dumps(openapi.document(operations(), importlib.metadata.version("tapvolt")))


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of every module of this package that has a ``resource``."""
    names = sorted(found.name for found in pkgutil.iter_modules(resources.__path__))
    modules = [importlib.import_module(f"{resources.__name__}.{name}") for name in names]
    return tuple(o for module in modules if hasattr(module, "resource") for o in module.resource.operations)


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
