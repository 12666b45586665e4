"""Whether a token may charge: the central system decides, or the authorisation cache when it cannot be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simulators.station.evse import Evse
from simulators.station.transaction import Authorization, StopCause

if TYPE_CHECKING:
    from simulators.station.station import Station


class Tokens:
    """The cache of tokens that were accepted once, each with its group; tokens do not differ by case."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._accepted: dict[str, str | None] = {}

    def forget(self) -> None:
        """Clear the cache."""
        self._accepted.clear()

    async def present(self, evse: Evse, presented: Authorization) -> str:
        """A card at the reader: starts, or stops a charge of the same token or group. See `Station.present_token`."""
        station = self._station
        running = evse.transaction.authorization if evse.transaction is not None and not evse.finished else None
        if running is not None and running.id_token.lower() == presented.id_token.lower():
            station.charging.stop(evse, StopCause.LOCAL, running)  # 1.6 §4.1: no need to ask for one's own
            station.settle()
            return "Accepted"
        if not station.registered or evse.fault_code is not None or not evse.operative:
            return "NotReady"
        status, group = await self.ask(presented.id_token, presented.token_type)
        station.settle()
        if status != "Accepted":
            station.changed(f"EVSE {evse.evse_id}: token {presented.id_token} is refused, {status}")
            return status
        known = replace(presented, group=group)
        if evse.authorization is None:
            station.charging.authorize(evse, known)
        elif group is None or group != evse.authorization.group:
            return "ConcurrentTx"
        else:
            station.charging.stop(evse, StopCause.LOCAL, known)
        station.settle()
        return status

    def start_remotely(self, evse: Evse, authorization: Authorization) -> None:
        """Obey an accepted remote start, after asking about the token where the settings say so."""
        # C03: a central token was made by the CSMS for this start; there is nothing to ask.
        station = self._station
        central = station.config.version != "1.6" and authorization.token_type in ("Central", "NoAuthorization")
        if station.settings.boolean("authorize_remote_start") and not central:
            station.spawn(self._start_if_accepted(evse, authorization))
        else:
            station.charging.authorize(evse, authorization)

    async def _start_if_accepted(self, evse: Evse, authorization: Authorization) -> None:
        status, group = await self.ask(authorization.id_token, authorization.token_type)
        self._station.settle()
        if status == "Accepted" and evse.authorization is None:
            self._station.charging.authorize(evse, replace(authorization, group=group))

    async def ask(self, id_token: str, token_type: str) -> tuple[str, str | None]:
        """The authorisation status and the group; "Offline" when the station may not decide alone."""
        if not self._station.online:
            return self._alone(id_token)
        dialect = self._station.dialect
        answer = await self._station.request("Authorize", dialect.authorize(id_token, token_type))
        info = dialect.token_info(answer) if answer is not None else None
        if info is None:
            return self._alone(id_token)
        status, group = str(info.get("status")), dialect.group(info)
        if status == "Accepted":
            self._accepted[id_token.lower()] = group
        else:
            self._accepted.pop(id_token.lower(), None)
        return status, group

    def _alone(self, id_token: str) -> tuple[str, str | None]:
        settings = self._station.settings
        cached = settings.boolean("auth_cache") and settings.boolean("local_authorize_offline")
        if cached and id_token.lower() in self._accepted:
            return "Accepted", self._accepted[id_token.lower()]
        return ("Accepted", None) if settings.boolean("offline_unknown_id") else ("Offline", None)
