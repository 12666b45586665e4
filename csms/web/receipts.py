"""The driver's pages: a receipt at an unguessable URL, as HTML, PDF and JSON; before there is one, how it stands."""

from __future__ import annotations

import asyncio
import re

import orjson
from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.payment import Payment
from billing.receipt import SalesDocument
from billing.receipt_html import CONTENT_SECURITY_POLICY, SessionStatus, StatusState, render_html, render_status_html
from billing.receipt_pdf import render_pdf
from sessions.clock import Clock
from sessions.codec import decode_session
from sessions.cost import cost_so_far
from sessions.session import Session
from sessions.tables import RUNNING, Charging
from storage import schema as t
from storage.engine import reading

_TOKEN = re.compile(r"^[A-Za-z0-9_-]{20,64}$")
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",  # the address is the key
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-store",
}
_NOT_FOUND = "There is no receipt here. Check the address, or scan the code on the terminal again.\n"


class ReceiptPages:
    """Routes under ``/r/{token}``; ``?lang=en|nb`` overrules the browser's preference."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """The routes of the driver's pages."""
        return [
            web.get("/r/{token}", self.page),
            web.get("/r/{token}/receipt.pdf", self.pdf),
            web.get("/r/{token}/receipt.json", self.json),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The receipt, or how the session stands."""
        token = request.match_info["token"]
        language = _language(request)
        document = await self._document(token)
        if document is not None:
            links = {"pdf": f"/r/{token}/receipt.pdf?lang={language}", "json": f"/r/{token}/receipt.json"}
            return _html(render_html(document, language, links=links))
        session = await self._session(token)
        if session is None:
            return _not_found()
        return _html(render_status_html(self._status(session, language), language))

    async def pdf(self, request: web.Request) -> web.Response:
        """The receipt as PDF."""
        document = await self._document(request.match_info["token"])
        if document is None:
            return _not_found()
        body = await asyncio.to_thread(render_pdf, document, _language(request))
        name = f"receipt-{document.number}.pdf"
        headers = _HEADERS | {"Content-Disposition": f'inline; filename="{name}"'}
        return web.Response(body=body, content_type="application/pdf", headers=headers)

    async def json(self, request: web.Request) -> web.Response:
        """The receipt as JSON."""
        document = await self._document(request.match_info["token"])
        if document is None:
            return _not_found()
        body = orjson.dumps(document.to_json(), option=orjson.OPT_INDENT_2)
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)

    async def _document(self, token: str) -> SalesDocument | None:
        if not _TOKEN.match(token):
            return None
        query = select(t.receipts.c.document).where(t.receipts.c.receipt_token == token)
        async with reading(self._engine) as connection:
            text = (await connection.execute(query)).scalar()
        return SalesDocument.from_json(orjson.loads(text)) if text else None

    async def _session(self, token: str) -> Session | None:
        if not _TOKEN.match(token):
            return None
        query = select(t.sessions.c.state).where(t.sessions.c.receipt_token == token)
        async with reading(self._engine) as connection:
            text = (await connection.execute(query)).scalar()
        return decode_session(text) if text else None

    def _status(self, session: Session, language: str) -> SessionStatus:
        cost = session.cost or (cost_so_far(session) if session.charging in RUNNING else None)
        place = session.place
        return SessionStatus(
            state=_state(session),
            as_of=self._clock.now(),
            time_zone=session.tariff.time_zone if session.tariff else "UTC",
            currency=session.currency,
            held_minor=session.held_minor,
            station_label=place.station_id if place else "",
            evse_label=place.label if place else "",
            started_at=session.started_at,
            energy_wh=session.meter.energy_wh if session.started_at else None,
            cost_minor=cost.total_minor if cost else None,
            reason=_reason(session, language),
        )


def _state(session: Session) -> StatusState:
    if session.charging is Charging.CHARGING:
        return StatusState.CHARGING
    if session.charging is Charging.NOT_STARTED or session.payment in {
        Payment.RELEASED,
        Payment.RELEASING,
        Payment.WRITTEN_OFF,
    }:
        return StatusState.NOT_CHARGED
    if session.charging in {Charging.STOPPING, Charging.ENDED, Charging.LOST}:
        return StatusState.FINISHING
    return StatusState.STARTING


_REASONS = {
    "never plugged in": {"en": "No car was plugged in in time.", "nb": "Ingen bil ble koblet til i tide."},
    "offline": {"en": "The charger could not be reached.", "nb": "Laderen kunne ikke nås."},
    "payment unknown": {"en": "The payment could not be confirmed.", "nb": "Betalingen kunne ikke bekreftes."},
    "no EVSE chosen": {"en": "No charging point was chosen.", "nb": "Ingen ladeplass ble valgt."},
    "cancelled by card": {"en": "You cancelled by tapping again.", "nb": "Du avbrøt ved å tappe igjen."},
}


def _reason(session: Session, language: str) -> str:
    """Why nothing was charged, where it can be said plainly; codes of banks and stations are not for drivers."""
    if _state(session) is not StatusState.NOT_CHARGED:
        return ""
    if session.charging is Charging.ENDED and session.meter.energy_wh == 0:
        return {"nb": "Det ble ikke levert energi."}.get(language, "No energy was delivered.")
    return _REASONS.get(session.end_reason, {}).get(language, "")


def _language(request: web.Request) -> str:
    wanted = request.query.get("lang")
    if wanted in {"en", "nb"}:
        return wanted
    for part in request.headers.get("Accept-Language", "").split(","):
        primary = part.split(";")[0].strip().lower().split("-")[0]
        if primary in {"nb", "no", "nn"}:
            return "nb"
        if primary == "en":
            return "en"
    return "en"


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)


def _not_found() -> web.Response:
    return web.Response(status=404, text=_NOT_FOUND, headers=_HEADERS)
