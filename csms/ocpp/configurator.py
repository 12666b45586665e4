"""Reading and writing a connected station's variables, as its version does it. See `csms.stations.configuration`."""

from __future__ import annotations

from collections.abc import Sequence

from csms.ocpp.connection import Answered, Connection, Errored
from csms.ocpp.dialect import Payload, objects, text
from csms.ocpp.server import OcppServer
from csms.ocpp.v16 import configuration_keys
from csms.ocpp.v201 import variables
from csms.stations.configuration import Read, Unreachable, Written, WrittenStatus
from csms.stations.device_model import VariableId

#: Fewer than any station's ItemsPerMessage that is known; a station that takes fewer is asked one by one.
AT_ONCE = 8

_STATUSES = {"Accepted": WrittenStatus.ACCEPTED, "RebootRequired": WrittenStatus.REBOOT_REQUIRED}


class OcppConfigurator:
    """Implements `csms.stations.configuration.Configurator` over the live connections of one server."""

    def __init__(self, server: OcppServer) -> None:
        self._server = server

    def version(self, station_id: str) -> str | None:
        """See `Configurator.version`."""
        line = self._server.connections.get(station_id)
        return line.version if line is not None else None

    async def read(self, station_id: str, wanted: Sequence[VariableId]) -> list[Read]:
        """See `Configurator.read`."""
        line = self._line(station_id)
        asked = [v for v in wanted if line.version != "ocpp1.6" or configuration_keys.key_of(v) is not None]
        found: list[Read] = []
        for start in range(0, len(asked), AT_ONCE):
            found += await self._read(line, asked[start : start + AT_ONCE])
        return found

    async def _read(self, line: Connection, wanted: Sequence[VariableId]) -> list[Read]:
        if line.version == "ocpp1.6":
            keys = [key for v in wanted if (key := configuration_keys.key_of(v)) is not None]
            answer = await self._call(line, "GetConfiguration", {"key": keys})
            told = configuration_keys.read(answer) if isinstance(answer, dict) else []
        else:
            payload = {"getVariableData": [variables.named(v) for v in wanted]}
            answer = await self._call(line, "GetVariables", payload)
            told = variables.read(answer) if isinstance(answer, dict) else []
        if isinstance(answer, str) and len(wanted) > 1:  # too many at once for it
            return [read for v in wanted for read in await self._read(line, [v])]
        values = {attribute.id: attribute.value for attribute in told}
        return [Read(id=v, known=v in values, value=values.get(v)) for v in wanted]

    async def write(self, station_id: str, variable: VariableId, value: str) -> Written:
        """See `Configurator.write`."""
        line = self._line(station_id)
        if line.version == "ocpp1.6":
            key = configuration_keys.key_of(variable)
            answer = await self._call(line, "ChangeConfiguration", {"key": key, "value": value})
            status = text(answer, "status", 40) if isinstance(answer, dict) else answer
        else:
            data = variables.named(variable) | {"attributeValue": value}
            answer = await self._call(line, "SetVariables", {"setVariableData": [data]})
            results = objects(answer, "setVariableResult") if isinstance(answer, dict) else []
            status = text(results[0], "attributeStatus", 40) if results else answer if isinstance(answer, str) else ""
        return Written(status=_STATUSES.get(status, WrittenStatus.REFUSED), detail=status or "no status")

    def _line(self, station_id: str) -> Connection:
        line = self._server.connections.get(station_id)
        if line is None:
            raise Unreachable("it is not connected")
        return line

    async def _call(self, line: Connection, action: str, payload: Payload) -> Payload | str:
        """The answer's payload; the code of a CALLERROR, or of a payload that cannot be said."""
        try:
            reply = await line.call(action, payload)
        except ValueError:
            return "NotValid"
        match reply:
            case Answered(answer):
                return answer
            case Errored(code, _):
                return code
            case _:
                raise Unreachable(f"{action} was not answered")
