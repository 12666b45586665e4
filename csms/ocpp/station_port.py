"""The doers' door to stations: commands as calls of the station's version, answers as outcomes and facts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from csms.ocpp.connection import Answered, Connection, Errored, NoAnswer, NotSent, Reply
from csms.ocpp.dialect import Payload, obj, text
from csms.ocpp.limit import running_profile
from csms.ocpp.message import Asked
from csms.ocpp.password_change import new_password
from csms.ocpp.server import OcppServer
from csms.ocpp.v16 import core
from csms.ocpp.v21 import remote_control as remote_control_21
from csms.ocpp.v201 import remote_control, transactions
from csms.ocpp.versions import DIALECTS
from csms.stations.calls import CallOutcome, CallState, CallStation
from sessions.commands import (
    AskTransactionStatus,
    Command,
    LimitCharging,
    StartCharging,
    StopCharging,
)
from sessions.facts import Fact
from sessions.ports import Accepted, Offline, Refused, StationOutcome, StatusOutcome, Unknown
from storage.failpoint import failpoint

log = logging.getLogger(__name__)

#: How each version asks for a start.
_STARTS: dict[str, tuple[str, Callable[[StartCharging, datetime], Payload]]] = {
    "ocpp1.6": ("RemoteStartTransaction", core.remote_start),
    "ocpp2.0.1": ("RequestStartTransaction", remote_control.request_start),
    "ocpp2.1": ("RequestStartTransaction", remote_control_21.request_start),
}
#: Statuses that say yes, of all messages and versions; any other one refuses.
_YES = frozenset({"Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked", "Unpublished"})


def refused(response: Payload) -> bool:
    """Whether an answer says no: its status, or, where it lists results, every one of them. Without a status: yes."""
    said = [response.get("status")] if "status" in response else []
    for value in response.values():
        if not said and isinstance(value, list):
            results = [item for item in value if isinstance(item, dict)]
            said = [
                r.get("attributeStatus", r.get("status")) for r in results if {"attributeStatus", "status"} & set(r)
            ]
    return bool(said) and not any(isinstance(status, str) and status in _YES for status in said)


class OcppStationPort:
    """Implements `sessions.ports.StationPort` over the live connections of one server."""

    def __init__(self, server: OcppServer) -> None:
        self._server = server

    async def start(self, command: StartCharging) -> StationOutcome:
        """Remote start."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        action, says = _STARTS[line.version]
        return await self._ask(line, action, says(command, line.ctx.now()), command)

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

    async def limit(self, command: LimitCharging) -> StationOutcome:
        """SetChargingProfile for a running transaction (2.0.1 K01); 1.6 stations do not say that one was resumed."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        if line.version == "ocpp1.6":
            return Refused("this version never asks for it")
        profile = running_profile(command, line.ctx.now())
        payload = {"evseId": command.evse_id, "chargingProfile": profile}
        return await self._ask(line, "SetChargingProfile", payload, command)

    async def transaction_status(self, command: AskTransactionStatus) -> StatusOutcome:
        """2.0.1 E14. 1.6 has no such call: its status report (§5.17), if it sends one, tells as much."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return Offline()
        if line.version == "ocpp1.6":
            await line.call("TriggerMessage", core.status_wanted(command.evse_id))
            return Unknown("1.6 tells by StatusNotification")
        try:
            reply = await line.call("GetTransactionStatus", {"transactionId": command.transaction_id})
        except ValueError as unsayable:  # an id longer than the version allows
            return Refused(str(unsayable)[:120])
        if isinstance(reply, Answered):
            return transactions.status_of(reply.payload)
        return Refused(reply.code) if isinstance(reply, Errored) else Unknown("no answer")

    async def call(self, command: CallStation, on_send: Callable[[], Awaitable[None]]) -> CallOutcome:
        """Any call; see `csms.stations.calls.Caller`."""
        line = self._server.connections.get(command.station_id)
        if line is None:
            return CallOutcome(state=CallState.OFFLINE, error_text="the station is not connected")
        failpoint("station-call.before")
        try:
            reply = await line.call(command.action, command.payload, on_send=on_send)
        except ValueError as unsayable:
            return CallOutcome(state=CallState.REFUSED, error_code="NotValid", error_text=str(unsayable))
        failpoint("station-call.after")
        outcome = _call_outcome(reply)
        if not isinstance(reply, Answered):
            return outcome
        learned = _learned(
            line, command.action, command.payload, reply.payload, command.command_id, command.requested_by
        )
        return replace(outcome, learned=learned)

    async def set_password(self, station_id: str, on_send: Callable[[Sequence[str]], Awaitable[None]]) -> CallOutcome:
        """See `csms.stations.passwords.PasswordCaller`. Nothing is learned of the call: it holds the password."""
        line = self._server.connections.get(station_id)
        if line is None:
            return CallOutcome(state=CallState.OFFLINE, error_text="the station is not connected")
        change = new_password(line.version)
        failpoint("station-call.before")
        reply = await line.call(change.action, change.payload, on_send=lambda: on_send(change.forms))
        failpoint("station-call.after")
        return _call_outcome(reply)

    async def _ask(self, line: Connection, action: str, payload: Payload, why: Command | None = None) -> StationOutcome:
        """``why``: a command whose answer means more than its outcome."""
        failpoint("station-call.before")
        try:
            reply = await line.call(action, payload)
        except ValueError as unsayable:  # not sent; trying again would not help
            return Refused(str(unsayable)[:120])
        failpoint("station-call.after")
        if why is not None and isinstance(reply, Answered):
            await _keep(line, _learned(line, action, payload, reply.payload, why.key))
        return _outcome(reply)


def _learned(
    line: Connection, action: str, request: Payload, response: Payload, command_id: str, requested_by: str = ""
) -> tuple[Fact, ...]:
    """What the answer means. An answer that cannot be understood is still an answer."""
    station_id, ask = line.ctx.station_id, DIALECTS[line.version].asks.get(action)
    if ask is None or ask.learn is None:
        return ()
    asked = Asked(
        station_id=station_id,
        version=line.version,
        action=action,
        request=request,
        response=response,
        now=line.ctx.now(),
        command_id=command_id,
        requested_by=requested_by,
    )
    try:
        return tuple(ask.learn(asked))
    except Exception:
        log.exception("station %s: its answer to %s could not be understood", station_id, action)
        return ()


async def _keep(line: Connection, learned: tuple[Fact, ...]) -> None:
    """Keep what an answer means beside its outcome, which counts even if this cannot be kept."""
    for fact in learned:
        try:
            await line.ctx.submit(fact)
        except Exception:
            log.exception("station %s: what its answer means is lost", line.ctx.station_id)


def _call_outcome(reply: Reply) -> CallOutcome:
    match reply:
        case Answered(payload):
            return CallOutcome(state=CallState.REFUSED if refused(payload) else CallState.ACCEPTED, response=payload)
        case Errored(code, description):
            return CallOutcome(state=CallState.REFUSED, error_code=code, error_text=description)
        case NotSent():
            return CallOutcome(state=CallState.OFFLINE, error_text="the connection was closed before it was sent")
        case NoAnswer(reason):
            return CallOutcome(state=CallState.TIMED_OUT, error_text=f"sent, and not answered: {reason}")


def _outcome(reply: Reply) -> StationOutcome:
    match reply:
        case Answered(payload):
            if payload.get("status") == "Accepted":
                return Accepted(text(payload, "transactionId", 64) or None)
            if payload.get("status") != "Rejected":
                return Unknown("the answer says neither Accepted nor Rejected")
            return Refused(text(obj(payload, "statusInfo"), "reasonCode", 60) or "Rejected")
        case Errored(code, _):
            return Refused(code)
        case NotSent():
            return Offline()
        case NoAnswer(reason):
            return Unknown(reason)
