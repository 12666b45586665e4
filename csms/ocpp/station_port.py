"""The doers' door to stations: commands as calls of the station's version, answers as outcomes."""

from __future__ import annotations

from typing import Any

from csms.ocpp import v16, v201
from csms.ocpp.connection import Answered, Connection, Errored, NoAnswer, NotSent, Reply
from csms.ocpp.dialect import Payload
from csms.ocpp.server import OcppServer
from sessions.commands import ConfigureStation, StartCharging, StopCharging
from sessions.ports import Accepted, Offline, Refused, StationOutcome, Unknown
from storage.failpoint import failpoint


class OcppStationPort:
    """Implements `sessions.ports.StationPort` over the live connections of one server."""

    def __init__(self, server: OcppServer) -> None:
        self._server = server

    async def start(self, command: StartCharging) -> StationOutcome:
        """Remote start."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        if line.version == "ocpp1.6":
            action, payload = "RemoteStartTransaction", v16.remote_start(command, line.ctx.now())
        else:
            action, payload = "RequestStartTransaction", v201.request_start(command, line.ctx.now())
        return await self._ask(line, action, payload)

    async def stop(self, command: StopCharging) -> StationOutcome:
        """Remote stop."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        if line.version == "ocpp1.6":
            if not command.transaction_id.isdecimal():
                return Refused("the transaction has no 1.6 id")
            return await self._ask(line, "RemoteStopTransaction", {"transactionId": int(command.transaction_id)})
        return await self._ask(line, "RequestStopTransaction", {"transactionId": command.transaction_id})

    async def configure(self, command: ConfigureStation) -> StationOutcome:
        """Ask for what billing needs. What is refused becomes a finding; sessions work without it, less closely."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        if line.version == "ocpp1.6":
            await v16.configure(line, line.ctx, self._server.options)
        else:
            await v201.configure(line, line.ctx, self._server.options)
        return Accepted()

    async def _ask(self, line: Connection, action: str, payload: Payload) -> StationOutcome:
        failpoint("station-call.before")
        try:
            reply = await line.call(action, payload)
        except ValueError as unsayable:  # not sent; trying again would not help
            return Refused(str(unsayable)[:120])
        failpoint("station-call.after")
        return _outcome(reply)


def _outcome(reply: Reply) -> StationOutcome:
    match reply:
        case Answered(payload):
            status: Any = payload.get("status")
            if status == "Accepted":
                transaction_id = payload.get("transactionId")
                return Accepted(transaction_id if isinstance(transaction_id, str) else None)
            if status != "Rejected":
                return Unknown("the answer says neither Accepted nor Rejected")
            info = payload.get("statusInfo")
            reason = info.get("reasonCode") if isinstance(info, dict) else None
            return Refused(str(reason or status)[:60])
        case Errored(code, _):
            return Refused(code)
        case NotSent():
            return Offline()
        case NoAnswer(reason):
            return Unknown(reason)
