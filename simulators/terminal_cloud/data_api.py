"""A twin of the MyPayter Data API: transactions by ingest time, late, and with repeated boundary rows.

Seen at a public client [C]: filters ``{type: term, field, matches}`` and ``{type: range, field, from, to}``, bounds in
epoch milliseconds and included; a range with the flag ``date`` is answered 500; times in rows are ISO 8601 in UTC.
"""

from __future__ import annotations

import math
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.terminal_cloud.model import AUTHORIZED, COMMITED, DOMAIN, Domain, Payment, Terminal

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

TOKEN_S = 3600  # simulated seconds
_TIMES = ("ingestTime", "txnTimestamp", "authTimestamp", "commitTimestamp")
_FIELDS = ("id", "serialNumber", "state", "complete", "currency", *_TIMES)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class DataApi:
    """Three calls. A domain without a user takes any user name and password; while it is the only one, any name too."""

    def __init__(self, cloud: TerminalCloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, tuple[datetime, str]] = {}  # token → when it ends, the domain that it opens

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
            domain = self._domain(body)
        except _RefusedError as refused:
            return _answer(refused)
        token = secrets.token_hex(16)
        self._tokens[token] = self._now() + timedelta(seconds=TOKEN_S), domain.name
        return web.json_response({"tokenId": token, "expiresIn": TOKEN_S})

    def _domain(self, body: dict[str, Any]) -> Domain:
        domains = self._cloud.domains
        found = domains.get(str(body["domain"]))
        if found is None and len(domains) == 1:
            found = domains[DOMAIN]
        if found is None or (found.user and (found.user, found.password) != (body["username"], body["password"])):
            raise _RefusedError(401, "wrong username, password or domain")
        return found

    async def _log_out(self, request: web.Request) -> web.Response:
        self._tokens.pop(request.match_info["token"], None)
        return web.Response(status=204)

    async def _data(self, request: web.Request) -> web.Response:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        ends, domain = self._tokens.get(rest.removeprefix('token="').removesuffix('"'), (None, ""))
        try:
            if scheme != "CURO-TOKEN" or ends is None or ends <= self._now():
                raise _RefusedError(401, "log in again")
            body = await _object(request)
            if body.get("index") != "Transactions":
                raise _RefusedError(400, "the index is Transactions")
            if body.get("query"):
                raise _RefusedError(400, "only an empty query is simulated")
            rows = [
                row for row in self._rows(domain) if all(_passes(row, asked) for asked in body.get("filters") or [])
            ]
            for sort in reversed(body.get("sorts") or []):
                name = _field(sort)
                rows.sort(key=lambda row: (row[name] is not None, row[name] or 0), reverse=sort.get("asc") is False)
            offset, most = int(body.get("offset", 0)), int(body.get("maxResults", 100))
            if offset < 0 or most < 0:
                raise _RefusedError(400, "offset and maxResults are 0 or more")
        except _RefusedError as refused:
            return _answer(refused)
        except (AttributeError, TypeError, ValueError):
            return _answer(_RefusedError(400, "the query cannot be read"))
        return web.json_response({"documents": rows[offset : offset + most], "total": len(rows)})

    def _rows(self, domain: str) -> list[dict[str, Any]]:
        """What has been ingested of a domain until now, in the order in which it was."""
        now = _iso(self._now())
        paid = [(payment, each) for each in self._cloud.terminals.values() for payment in each.payments.values()]
        rows = [self._row(payment, each) for payment, each in paid if payment.domain == domain]
        return sorted((row for row in rows if row["ingestTime"] <= now), key=lambda row: (row["ingestTime"], row["id"]))

    def _row(self, payment: Payment, terminal: Terminal) -> dict[str, Any]:
        """An ended payment's row counts from its end: the row of the open one is replaced, with a later ingestTime."""
        lag = timedelta(seconds=self._cloud.config.ingest_lag_s)
        ended = payment.ended_at is not None and _second(payment.ended_at + lag) <= self._now()
        state = payment.state if ended else AUTHORIZED
        committed = payment.committed_at if ended else None
        return {
            "id": payment.session_id,
            "serialNumber": payment.serial,
            "txnTimestamp": _iso(payment.at),
            "authTimestamp": _iso(payment.at),
            "commitTimestamp": _iso(committed) if committed else None,
            "authorizedAmount": payment.authorized_amount,
            "committedAmount": payment.final_amount if ended else None,
            "currency": terminal.currency,
            "ifd": payment.card.ifd,
            "disposition": "APPROVED",
            "state": "COMMITTED" if state == COMMITED else state,  # this API spells it with two Ts
            "type": "PAYMENT",
            "extra-TXN-MASKED-PAN": payment.card.masked_pan,
            "brandName": payment.card.scheme.title(),
            "paymentType": "CREDIT",
            "siteDomain": payment.domain,
            "terminalDomain": payment.domain,
            "complete": ended,
            "ingestTime": _iso(_second((payment.ended_at if ended and payment.ended_at else payment.at) + lag)),
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


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _second(moment: datetime) -> datetime:
    """Rows are ingested together: cut up to the whole second, so that they share a boundary [A]."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)


def _field(asked: Any) -> str:
    name = asked.get("field") if isinstance(asked, dict) else None
    if name not in _FIELDS:
        raise _RefusedError(400, f"a filter or sort needs a field: {', '.join(_FIELDS)}")
    return str(name)


def _passes(row: dict[str, Any], asked: Any) -> bool:
    """Whether a row passes one filter."""
    name = _field(asked)
    if asked.get("type") == "term":
        return str(row[name]).lower() == str(asked.get("matches")).lower()
    if asked.get("type") != "range" or name not in _TIMES:
        raise _RefusedError(400, "a filter is of type term, or of type range over a time")
    if "date" in asked:
        raise _RefusedError(500, "Internal error")  # [C] the real one does not survive this flag
    first, last = asked.get("from"), asked.get("to")
    if any(bound is not None and type(bound) is not int for bound in (first, last)):
        raise _RefusedError(400, "bounds are whole epoch milliseconds")
    if row[name] is None:
        return False
    at_ms = round(datetime.fromisoformat(row[name]).timestamp() * 1000)
    return (first is None or first <= at_ms) and (last is None or at_ms <= last)
