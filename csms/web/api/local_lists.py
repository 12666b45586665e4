"""Local authorization lists: what a station has, and bringing it up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.ocpp.v16 import local_list as v16
from csms.ocpp.v201 import local_list as v201
from csms.stations.local_lists import Listed, ListUpdate, accepted_entries, update_for, wanted_entries
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import authorization_schema as t
from storage.engine import reading

resource = Resource("local lists")

_PAYLOADS: Mapping[str | None, Callable[[ListUpdate], dict[str, Any]]] = {"ocpp1.6": v16.local_list}


class ListedShown(Shown):
    """An entry of a station's list."""

    id_token: str
    status: str
    token_type: str
    group_id: str | None
    expires_at: str | None


class LocalListShown(Shown):
    """A station's local list, as it last accepted it from us."""

    version: int = Field(description="0: it has accepted none.")
    told_version: int | None = Field(description="As the station itself said; -1, 0: it knows, or has, none.")
    status: str | None = Field(description="Of the last update.")
    updated_at: datetime | None
    in_sync: bool = Field(description="It has what the id tokens say.")
    entries: list[ListedShown]


@resource.get("/stations/{station_id}/local-list", LocalListShown)
async def get_local_list(call: ApiCall) -> LocalListShown:
    """Show what a station has on its list."""
    await require_station(call)
    row, has, update = await _standing(call)
    return LocalListShown(
        version=row.version if row else 0,
        told_version=row.told_version if row else None,
        status=(row.status or None) if row else None,
        updated_at=row.updated_at if row else None,
        in_sync=update is None,
        entries=[ListedShown(**{n: getattr(has[name], n) for n in ListedShown.model_fields}) for name in sorted(has)],
    )


@resource.operation(
    "POST",
    "/stations/{station_id}/local-list/sync",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown, 204: None},
    errors=(409, 422),
)
async def sync_local_list(call: ApiCall) -> Reply:
    """Send the station what it lacks of the id tokens; 204 if it lacks nothing.

    The whole list where it has none of ours, refused the last update or says it has another version; else the changes.
    """
    station = await require_station(call)
    _, _, update = await _standing(call)
    if update is None:
        return Reply(None, 204)
    payload = _PAYLOADS.get(station.version, v201.local_list)(update)
    return await send(call, "SendLocalList", payload)


async def _standing(call: ApiCall) -> tuple[Any, dict[str, Listed], ListUpdate | None]:
    station_id = call.path["station_id"]
    async with reading(call.api.engine) as connection:
        query = select(t.local_lists).where(t.local_lists.c.station_id == station_id)
        row = (await connection.execute(query)).first()
    has, wanted = await accepted_entries(call.api.engine, station_id), await wanted_entries(call.api.engine)
    version, told, status = (row.version, row.told_version, row.status) if row else (0, None, "")
    return row, has, update_for(has, wanted, version=version, told=told, status=status)
