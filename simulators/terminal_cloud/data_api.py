"""A twin of the MyPayter Data API: transactions by ingest time, late, and with repeated boundary rows."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.terminal_cloud.model import AUTHORIZED, COMMITED, Payment

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

TOKEN_S = 3600  # simulated seconds
DOMAIN = "simulator"


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DataApi:
    """Three calls. Any user name, password and domain will do."""

    def __init__(self, cloud: TerminalCloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, datetime] = {}  # token → when it ends

    def routes(self) -> list[web.RouteDef]:
        """The routes under ``/API``."""
        return [
            web.post("/API/Auth", self._log_in),
            web.delete("/API/Auth/{token}", self._log_out),
            web.post("/API/Data", self._data),
        ]

    async def _log_in(self, request: web.Request) -> web.Response:
        try:
            body = await _object(request)
            if not all(body.get(key) for key in ("username", "password", "domain")):
                raise _RefusedError(401, "username, password and domain are required")
        except _RefusedError as refused:
            return _answer(refused)
        token = secrets.token_hex(16)
        self._tokens[token] = self._now() + timedelta(seconds=TOKEN_S)
        return web.json_response({"tokenId": token, "expiresIn": TOKEN_S})

    async def _log_out(self, request: web.Request) -> web.Response:
        self._tokens.pop(request.match_info["token"], None)
        return web.Response(status=204)

    async def _data(self, request: web.Request) -> web.Response:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        ends = self._tokens.get(rest.removeprefix('token="').removesuffix('"'))
        try:
            if scheme != "CURO-TOKEN" or ends is None or ends <= self._now():
                raise _RefusedError(401, "log in again")
            body = await _object(request)
            if body.get("index") != "Transactions":
                raise _RefusedError(400, "the index is Transactions")
            rows = self._rows(body.get("query") or {})
            offset, most = int(body.get("offset", 0)), int(body.get("maxResults", 100))
        except _RefusedError as refused:
            return _answer(refused)
        except (AttributeError, TypeError, ValueError):
            return _answer(_RefusedError(400, "the query cannot be read"))
        return web.json_response({"documents": rows[offset : offset + most], "total": len(rows)})

    def _rows(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """``query``: ``complete``, and ``ingestTime`` with ``from`` and ``to``, both included: boundary rows repeat."""
        bounds = query.get("ingestTime") or {}
        first, last = int(bounds.get("from", 0)), int(bounds.get("to", 2**63))
        found = []
        for terminal in self._cloud.terminals.values():
            for payment in terminal.payments.values():
                row = self._row(payment, terminal.currency)
                if first <= row["ingestTime"] <= last and query.get("complete", row["complete"]) == row["complete"]:
                    found.append(row)
        now = _ms(self._now())
        return sorted(
            (row for row in found if row["ingestTime"] <= now), key=lambda row: (row["ingestTime"], row["id"])
        )

    def _row(self, payment: Payment, currency: str) -> dict[str, Any]:
        """An ended payment's row counts from its end: the row of the open one is replaced, with a later ingestTime."""
        lag = timedelta(seconds=self._cloud.config.ingest_lag_s)
        ended = payment.ended_at is not None and payment.ended_at + lag <= self._now()
        state = payment.state if ended else AUTHORIZED
        committed = payment.committed_at if ended else None
        return {
            "id": payment.session_id,
            "serialNumber": payment.serial,
            "txnTimestamp": _ms(payment.at),
            "authTimestamp": _ms(payment.at),
            "commitTimestamp": _ms(committed) if committed else None,
            "authorizedAmount": payment.authorized_amount,
            "committedAmount": payment.final_amount if ended else None,
            "currency": currency,
            "ifd": payment.card.ifd,
            "disposition": "APPROVED",
            "state": "COMMITTED" if state == COMMITED else state,  # this API spells it with two Ts
            "type": "PAYMENT",
            "extra-TXN-MASKED-PAN": payment.card.masked_pan,
            "brandName": payment.card.scheme.title(),
            "paymentType": "CREDIT",
            "siteDomain": DOMAIN,
            "terminalDomain": DOMAIN,
            "complete": ended,
            "ingestTime": _ms((payment.ended_at if ended and payment.ended_at else payment.at) + lag),
        }

    def _now(self) -> datetime:
        return self._cloud.config.clock.now()


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise _RefusedError(400, "not JSON") from None
    if not isinstance(body, dict):
        raise _RefusedError(400, "not a JSON object")
    return body


def _answer(refused: _RefusedError) -> web.Response:
    return web.json_response({"message": str(refused)}, status=refused.status)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
