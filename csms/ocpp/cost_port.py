"""The way costs take to a station's display, in its version's words. See `csms.stations.cost_display`."""

from __future__ import annotations

from datetime import datetime

from billing.money import to_major
from csms.ocpp.connection import Answered, Connection, Errored
from csms.ocpp.dialect import Payload
from csms.ocpp.server import OcppServer
from csms.ocpp.v16 import cost_messages
from sessions.session import Origin, Session

#: Answers to a DataTransfer by which a station says that it does not know these messages.
_UNKNOWN = frozenset({"UnknownVendorId", "UnknownMessageId"})
_UNABLE = frozenset({"NotImplemented", "NotSupported"})


class OcppCostPort:
    """Implements `csms.stations.cost_display.CostPort`. ``public_url``: where receipts are shown."""

    def __init__(self, server: OcppServer, public_url: str) -> None:
        self._server = server
        self._public_url = public_url

    async def price(self, session: Session) -> bool | None:
        """1.6 SetUserPrice; later versions say it with the authorization."""
        line = self._line(session)
        if line is None or line.version != "ocpp1.6" or session.tariff is None:
            return None
        return await self._say(line, "DataTransfer", cost_messages.set_user_price(session, session.tariff))

    async def running(self, session: Session, total_minor: int, now: datetime) -> bool | None:
        """1.6 RunningCost; 2.x CostUpdated (I02)."""
        line = self._line(session)
        if line is None or session.tariff is None or session.transaction_id is None:
            return None
        if line.version == "ocpp1.6":
            if not session.transaction_id.isdecimal():
                return None
            payload = cost_messages.running_cost(session, session.tariff, total_minor, now)
            return await self._say(line, "DataTransfer", payload)
        payload = {
            "totalCost": float(to_major(total_minor, session.currency)),
            "transactionId": session.transaction_id,
        }
        return await self._say(line, "CostUpdated", payload)

    async def final(self, session: Session, total_minor: int) -> bool | None:
        """1.6 FinalCost; later versions were told in the answer to the transaction's end (I03)."""
        line = self._line(session)
        if line is None or line.version != "ocpp1.6" or not (session.transaction_id or "").isdecimal():
            return None
        url = f"{self._public_url}/r/{session.receipt_token}" if session.origin is Origin.CARD else ""
        return await self._say(line, "DataTransfer", cost_messages.final_cost(session, total_minor, url))

    def _line(self, session: Session) -> Connection | None:
        return self._server.connections.get(session.place.station_id) if session.place else None

    async def _say(self, line: Connection, action: str, payload: Payload) -> bool | None:
        try:
            reply = await line.call(action, payload)
        except ValueError:  # an id from another version's time: not sayable, and no fault of the station's
            return None
        match reply:
            case Answered(answer):
                return answer.get("status") not in _UNKNOWN
            case Errored(code, _):
                return False if code in _UNABLE else None
            case _:
                return None
