"""The calendar of an owner at an unguessable address, for calendar programs to subscribe to.

The address is 256 random bits, kept as a hash, and the access log writes no path; a new one ends the old.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.terminals.calendar import Contributor, Span, read, render
from csms.terminals.reminder_words import say
from csms.terminals.time_zones import zone_of
from csms.web.uploads import token_hash
from storage import care_schema as t
from storage import owner_schema
from storage.engine import writing

_NAME = re.compile(r"([A-Za-z0-9_-]{43})\.ics")
_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


class CalendarFeeds:
    """The route ``/calendar/{token}.ics``. ``now``: the clock; ``contributors``: what entries come from."""

    def __init__(
        self, engine: AsyncEngine, now: Callable[[], datetime], public_url: str, contributors: Sequence[Contributor]
    ) -> None:
        self._engine = engine
        self._now = now
        self._domain = urlsplit(public_url).hostname or "localhost"
        self._contributors = contributors

    def routes(self) -> list[web.RouteDef]:
        """The route."""
        return [web.get("/calendar/{name}", self.feed)]

    async def feed(self, request: web.Request) -> web.Response:
        """The calendar; 304 if it is as it was; 404 for an address that is no, or no longer, an owner's."""
        found = _NAME.fullmatch(request.match_info["name"])
        if found is None:
            return _not_found()
        hashed, f, o = token_hash(found[1]), t.calendar_feeds.c, owner_schema.owners.c
        query = (
            select(f.owner_id, f.token_hash, o.legal_name, o.language)
            .join(owner_schema.owners, o.owner_id == f.owner_id)
            .where(f.token_hash == hashed)
        )
        async with writing(self._engine) as connection:
            row = (await connection.execute(query)).first()
            if row is None or not hmac.compare_digest(row.token_hash, hashed):
                return _not_found()
            zone = await zone_of(connection, row.owner_id)
            span = Span(owner_id=row.owner_id, language=row.language, zone=zone, now=self._now())
            told = await read(connection, span, self._contributors)
        name = say("calendar", owner=row.legal_name).written(row.language)
        body = render(told, zone, name, self._domain)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if tag in [one.strip() for one in request.headers.get("If-None-Match", "").split(",")]:
            return web.Response(status=304, headers=_HEADERS | {"ETag": tag})
        return web.Response(body=body, content_type="text/calendar", charset="utf-8", headers=_HEADERS | {"ETag": tag})


def _not_found() -> web.Response:
    return web.Response(
        status=404, text="There is no calendar here: the address is wrong, or was renewed.\n", headers=_HEADERS
    )
