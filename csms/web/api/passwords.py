"""Stations' passwords: never shown, only changed."""

from __future__ import annotations

import orjson
from pydantic import Field

from csms.ocpp.password_change import shown_change
from csms.ocpp.versions import DIALECTS
from csms.stations import calls
from csms.stations.masking import MASK
from csms.stations.passwords import PasswordRequested
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, answer_when_ended
from csms.web.api.stations import require_station

resource = Resource("stations")


class PasswordShown(Shown):
    """What may be said of a station's password."""

    station_id: str
    has_password: bool = Field(description="Whether it has to bring one (security profiles 1 and 2).")
    rotation_pending: bool = Field(
        description="A new one was sent, and the station has not come back with it: the old one is valid too."
    )


@resource.get("/stations/{station_id}/password", PasswordShown)
async def get_password(call: ApiCall) -> PasswordShown:
    """Show whether the station has a password, and whether a new one is on its way."""
    station = await require_station(call)
    return PasswordShown(
        station_id=station.station_id,
        has_password=station.password_hash is not None,
        rotation_pending=bool(station.password_pending and orjson.loads(station.password_pending)),
    )


@resource.operation(
    "POST",
    "/stations/{station_id}/password",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def rotate_password(call: ApiCall) -> Reply:
    """Give the station a new random password, which nobody is shown.

    The old one stays valid until the station has come back with the new one. Refused, nothing changes; unanswered, the
    station may come with either.
    """
    station = await require_station(call)
    if station.version not in DIALECTS:
        raise Problem(409, "This station has never connected, so its OCPP version is not known. Connect it first.")
    action, payload = shown_change(station.version, MASK)
    command_id = calls.new_command_id()
    wanted = PasswordRequested(
        key=f"password-requested:{command_id}",
        at=call.now,
        station_id=station.station_id,
        command_id=command_id,
        action=action,
        payload=payload,
        requested_by=call.caller.actor,
    )
    return await answer_when_ended(call, command_id, wanted, wait_s=call.query.wait)
