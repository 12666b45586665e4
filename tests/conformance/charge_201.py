"""A transaction of a 2.x station, event by event, and what the API shows of it."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

TOKEN = {"idToken": "GOOD", "type": "ISO14443"}
ACCEPTED = {"status": "Accepted"}


class Charge:
    """Transaction ``transaction_id`` at an EVSE (0: not known yet)."""

    def __init__(self, bench: Bench, station: Station, transaction_id: str = "tx-1", evse_id: int = 1) -> None:
        self.bench = bench
        self.station = station
        self.transaction_id = transaction_id
        self.evse_id = evse_id
        self._seq_no = count()

    def payload(self, kind: str, trigger: str, *, wh: float | None = None, **more: Any) -> dict[str, Any]:
        """The next TransactionEvent. ``wh``: its register; ``context``, ``state``, ``reason``, ``remote``: as named."""
        info = {
            "transactionId": self.transaction_id,
            "chargingState": more.pop("state", None),
            "stoppedReason": more.pop("reason", None),
            "remoteStartId": more.pop("remote", None),
        }
        at = more.pop("at", None) or stamp()
        made: dict[str, Any] = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": trigger,
            "seqNo": next(self._seq_no),
            "transactionInfo": {name: value for name, value in info.items() if value is not None},
        }
        if self.evse_id:
            made["evse"] = {"id": self.evse_id, "connectorId": 1}
        if more.pop("token", False):
            made["idToken"] = TOKEN
        context = more.pop("context", "Sample.Periodic")
        if wh is not None:
            made["meterValue"] = [{"timestamp": at, "sampledValue": [{"value": wh, "context": context}]}]
        return made | more

    async def tell(self, kind: str, trigger: str, **more: Any) -> Any:
        """Send the next event; its answer."""
        return await self.bench.ask(self.station, "TransactionEvent", self.payload(kind, trigger, **more))

    async def started(self, wh: float = 1000, **more: Any) -> Any:
        """Started, authorised by the token, charging."""
        said = {"token": True, "state": "Charging", "context": "Transaction.Begin"} | more
        return await self.tell("Started", "Authorized", wh=wh, **said)

    async def status(self, connector_status: str) -> None:
        """StatusNotification of the EVSE."""
        payload = {
            "timestamp": stamp(),
            "connectorStatus": connector_status,
            "evseId": self.evse_id or 1,
            "connectorId": 1,
        }
        assert await self.bench.ask(self.station, "StatusNotification", payload) == {}

    async def authorize(self, token: dict[str, Any] | None = None) -> Any:
        """Authorize; the token's standing."""
        answer = await self.bench.ask(self.station, "Authorize", {"idToken": token or TOKEN})
        return answer["idTokenInfo"]["status"]

    async def sessions(self) -> list[dict[str, Any]]:
        """The transaction's sessions, as the API lists them."""
        page = await self.bench.api("GET", f"/sessions?transaction_id={self.transaction_id}")
        items: list[dict[str, Any]] = page["items"]
        return items

    async def session(self) -> dict[str, Any]:
        """The transaction's one session, as the API shows it."""
        (listed,) = await self.sessions()
        shown: dict[str, Any] = await self.bench.api("GET", f"/sessions/{listed['session_id']}")
        return shown

    async def ends(self, charging: str = "ended", **expected: Any) -> dict[str, Any]:
        """The session, which must be over, closed, unflagged, and as ``expected``."""
        session = await self.session()
        assert (session["charging"], session["open"], session["flags"]) == (charging, False, [])
        assert {name: session[name] for name in expected} == expected
        return session
