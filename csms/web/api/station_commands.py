"""The engineer's door: any CSMS-initiated action, with its OCPP payload, durable from the request to the answer."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from csms.ocpp.password_change import sets_password
from csms.ocpp.schemas import request_problems
from csms.ocpp.versions import DIALECTS
from csms.stations import calls
from csms.stations.calls import ENDED, CallState
from csms.stations.masking import masked
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from csms.web.api.stations import require_station
from sessions.facts import StationFact
from storage import fleet_schema as t
from storage.engine import reading

resource = Resource("commands")


class CommandShown(Shown):
    """A call to a station."""

    command_id: str
    station_id: str
    action: str
    request: dict[str, Any] = Field(description="Its payload; secrets are masked.")
    state: CallState = Field(
        description="queued → sent → accepted, refused or timed_out; offline: not sent, the station was not connected."
    )
    requested_by: str
    created_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    response: dict[str, Any] | None = Field(description="The payload of the station's answer.")
    error_code: str | None = Field(description="Of a CALLERROR.")
    error_text: str | None


class Wait(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for the station's answer.")


class CommandFilter(PageQuery):
    """Which commands."""

    action: str | None = Field(None, max_length=60, description="Only this action.")
    state: CallState | None = Field(None, description="Only in this state.")


@resource.operation(
    "POST",
    "/stations/{station_id}/commands/{action}",
    role=Role.OPERATOR,
    query=Wait,
    body=dict,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def send_command(call: ApiCall) -> Reply:
    """Send any action of the station's version, with its OCPP payload.

    200 with the station's answer if it came within `wait` seconds; else 202, and the command can be looked at under
    `Location`. A station that is not connected ends the command at once, as `offline`.
    """
    return await send(call, call.path["action"], call.body)


async def send(call: ApiCall, action: str, payload: dict[str, Any]) -> Reply:
    """Send a call to the path's station; ``call.query`` is a `Wait`. Raises `Problem` 404, 409, 422."""
    station_id = await require_sayable(call, action, payload)
    return await carry_out(call, station_id, action, payload, wait_s=call.query.wait)


async def require_sayable(call: ApiCall, action: str, *payloads: dict[str, Any]) -> str:
    """The path's station, if its version has such an action with such payloads. Raises `Problem` 404, 409, 422."""
    station = await require_station(call)
    version = station.version
    dialect = DIALECTS.get(version or "")
    if dialect is None:
        raise Problem(409, "This station has never connected, so its OCPP version is not known. Connect it first.")
    if action not in dialect.asks:
        raise Problem(404, f"{version} has no action of this name that a central system sends.")
    problems = [problem for payload in payloads for problem in request_problems(version, action, payload)]
    if problems:
        errors = [FieldProblem(field=p.path, detail=f"breaks {p.rule}") for p in problems[:50]]
        raise Problem(422, f"The payload is not valid {version} {action}; see errors.", errors=errors)
    if any(sets_password(action, payload) for payload in payloads):
        raise Problem(
            409,
            f"A password set by hand would lock the station out. POST {PREFIX}/stations/{station.station_id}/password "
            "sends a new one, and keeps the old one valid until the station has come back with it.",
        )
    return str(station.station_id)


async def carry_out(call: ApiCall, station_id: str, action: str, payload: dict[str, Any], *, wait_s: float) -> Reply:
    """Ask for the call; answer 200 if it ended within ``wait_s``, else 202."""
    command_id = calls.new_command_id()
    wanted = calls.request(station_id, action, payload, by=call.caller.actor, now=call.now, command_id=command_id)
    return await answer_when_ended(call, command_id, wanted, wait_s=wait_s)


async def answer_when_ended(call: ApiCall, command_id: str, wanted: StationFact, *, wait_s: float) -> Reply:
    """Submit what asks for the call ``command_id``; answer 200 if it ended within ``wait_s``, else 202."""
    async with call.api.waiters.expecting(command_id) as ended:
        await call.api.service.submit(wanted)
        await at_most(ended, wait_s)
    shown = await _command(call, command_id)
    location = {"Location": f"{PREFIX}/commands/{command_id}"}
    return Reply(shown, 200 if shown.state in ENDED else 202, location)


async def at_most(ended: asyncio.Event, wait_s: float) -> None:
    """Wait until it has ended, or ``wait_s``."""
    try:
        async with asyncio.timeout(wait_s):
            await ended.wait()
    except TimeoutError:
        pass


@resource.get("/commands/{command_id}", CommandShown)
async def get_command(call: ApiCall) -> CommandShown:
    """Show a command and how it ended."""
    return await _command(call, call.path["command_id"])


@resource.get("/stations/{station_id}/commands", Page[CommandShown], query=CommandFilter)
async def list_commands(call: ApiCall) -> Page[CommandShown]:
    """List a station's commands, the newest first."""
    await require_station(call)
    c = t.station_calls.c
    query = select(t.station_calls).where(c.station_id == call.path["station_id"])
    if call.query.action is not None:
        query = query.where(c.action == call.query.action)
    if call.query.state is not None:
        query = query.where(c.state == call.query.state.value)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.created_at, c.command_id], call.query, _shown, newest_first=True)


async def _command(call: ApiCall, command_id: str) -> CommandShown:
    async with reading(call.api.engine) as connection:
        query = select(t.station_calls).where(t.station_calls.c.command_id == command_id)
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no command of this id.")
    return _shown(row)


def _shown(row: Any) -> CommandShown:
    values = {name: getattr(row, name) for name in CommandShown.model_fields}
    values["request"] = masked(orjson.loads(row.request))
    values["response"] = orjson.loads(row.response) if row.response else None
    return CommandShown(**values)
