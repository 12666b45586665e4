"""A twin of the MyPayter Data API: transactions by ingest time, late and with repeated boundary rows."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.terminal_cloud.model import AUTHORIZED, COMMITED, Payment

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

#: Simulated seconds from the end of a payment until the Data API knows it.
INGEST_LAG_S = 30


class DataApi:
    """Three calls. Any user name, password and domain will do."""

    def __init__(self, cloud: TerminalCloud) -> None:
        self._cloud = cloud
        self._tokens: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """The routes under ``/API``."""
        return [
            web.post("/API/Auth", self._log_in),
            web.delete("/API/Auth/{token}", self._log_out),
            web.post("/API/Data", self._data),
        ]

    async def _log_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not all(body.get(key) for key in ("username", "password", "domain")):
            return web.json_response({"message": "username, password and domain are required"}, status=401)
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return web.json_response({"tokenId": token, "expiresIn": 3600})

    async def _log_out(self, request: web.Request) -> web.Response:
        self._tokens.discard(request.match_info["token"])
        return web.Response(status=204)

    async def _data(self, request: web.Request) -> web.Response:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        if scheme != "CURO-TOKEN" or rest.removeprefix('token="').removesuffix('"') not in self._tokens:
            return web.json_response({"message": "log in again"}, status=401)
        body = await request.json()
        since = int(body.get("query", {}).get("ingestTime", {}).get("from", 0))
        rows = [row for row in self._rows() if row["ingestTime"] >= since]  # the boundary row comes again
        offset, most = int(body.get("offset", 0)), int(body.get("maxResults", 100))
        return web.json_response({"documents": rows[offset : offset + most], "total": len(rows)})

    def _rows(self) -> list[dict[str, Any]]:
        now = self._cloud.config.clock.now()
        rows = []
        for terminal in self._cloud.terminals.values():
            for payment in terminal.payments.values():
                ended = payment.committed_at or payment.at
                ingested = ended + timedelta(seconds=INGEST_LAG_S)
                if payment.state != AUTHORIZED and ingested <= now:
                    rows.append(_row(payment, terminal.currency, int(ingested.timestamp() * 1000)))
        return sorted(rows, key=lambda row: row["ingestTime"])


def _row(payment: Payment, currency: str, ingest_time: int) -> dict[str, Any]:
    stamp = int(payment.at.timestamp() * 1000)
    return {
        "id": payment.session_id,
        "serialNumber": payment.serial,
        "txnTimestamp": stamp,
        "authTimestamp": stamp,
        "commitTimestamp": int(payment.committed_at.timestamp() * 1000) if payment.committed_at else None,
        "authorizedAmount": payment.authorized_amount,
        "committedAmount": payment.final_amount,
        "currency": currency,
        "ifd": "CONTACTLESS",
        # This API spells it with two Ts.
        "state": "COMMITTED" if payment.state == COMMITED else payment.state,
        "extra-TXN-MASKED-PAN": payment.card.to_json(payment.serial)["maskedPan"],
        "brandName": payment.card.scheme.title(),
        "complete": True,
        "ingestTime": ingest_time,
    }
