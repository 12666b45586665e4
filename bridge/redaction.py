"""Logging without secrets: callback paths carry one, and the texts of exceptions can carry anything."""

from __future__ import annotations

import contextlib
import logging
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
        resource = None
        if isinstance(request, web.Request):
            with contextlib.suppress(AssertionError, AttributeError):  # what could not be parsed was matched to nothing
                resource = request.match_info.route.resource
        self.logger.info(
            "%s %s %d %d B %d ms",
            request.method,
            resource.canonical if resource is not None else "(no route)",
            response.status,
            response.body_length,
            time * 1000,
        )


class _WithoutTexts(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and (exc := record.exc_info[1]) is not None:
            frames = "".join(traceback.format_tb(exc.__traceback__))
            record.exc_text = f"Traceback (most recent call last):\n{frames}{type(exc).__name__}"
            record.exc_info = None
        return True


#: What the HTTP server itself logs: where an exception came from; its text may quote the path that could not be read.
http_log = logging.getLogger("tapvolt.http")
http_log.addFilter(_WithoutTexts())


def where(exc: BaseException) -> str:
    """The kind of an exception and the line it came from; not its text, which may quote parameters or addresses."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{place}"
