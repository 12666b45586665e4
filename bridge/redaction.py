"""Logging without secrets: callback paths carry one, and the texts of exceptions can carry anything."""

from __future__ import annotations

import traceback

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web_request import BaseRequest


class RedactingAccessLogger(AbstractAccessLogger):
    """An access log that writes the route's template, never the path or the query that was asked for.

    Receipt pages and callbacks are guarded by nothing but their unguessable paths, so no path is logged at all.
    """

    def log(self, request: BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write one request: method, template, status, bytes, milliseconds."""
        resource = request.match_info.route.resource if isinstance(request, web.Request) else None
        self.logger.info(
            "%s %s %d %d B %d ms",
            request.method,
            resource.canonical if resource is not None else "(no route)",
            response.status,
            response.body_length,
            time * 1000,
        )


def where(exc: BaseException) -> str:
    """The kind of an exception and the line it came from; not its text, which may quote parameters or addresses."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{place}"
