"""Local authorization lists: what a station has, and bringing it up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from csms.ocpp.v16 import local_list as v16
from csms.ocpp.v201 import local_list as v201
from csms.stations.local_lists import ListStanding, ListUpdate, ListWish, standing, wish_for
from csms.web.api.access import Role
from csms.web.api.id_tokens import ID_PATTERN
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown, etag
from csms.web.api.problem import Problem
from csms.web.api.sessions import LONGEST_TOKEN
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station

resource = Resource("local lists")

_PAYLOADS: Mapping[str | None, Callable[[ListUpdate], dict[str, Any]]] = {"ocpp1.6": v16.local_list}


class ListedShown(Shown):
    """An entry of a station's list."""

    id_token: str
    status: str
    token_type: str
    group_id: str | None
    expires_at: str | None


class LocalListWish(Body):
    """What is wanted on a station's list."""

    id_tokens: list[Annotated[str, Field(pattern=ID_PATTERN)]] | None = Field(
        None, max_length=10_000, description="Only these, with the rights they have as id tokens; null: all there are."
    )
    entries_per_message: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="How many go in one message. null: as many as the station says it takes (1.6 "
        "SendLocalListMaxLength, 2.0.1 LocalAuthListCtrlr.ItemsPerMessage), or all where it has not said so.",
    )


class LocalListShown(Shown):
    """A station's local list, as it last accepted it from us, and what is wanted there."""

    version: int = Field(description="0: it has accepted none.")
    told_version: int | None = Field(description="As the station itself said since; -1, 0: it knows, or has, none.")
    status: str | None = Field(description="Of the last update.")
    updated_at: datetime | None
    in_sync: bool = Field(description="It has what is wanted.")
    entries: list[ListedShown]
    id_tokens: list[str] | None = Field(description="What is wanted there; null: all id tokens.")
    entries_per_message: int | None
    left_out: list[str] = Field(description="Wanted, but too long for the station's OCPP version.")


@resource.get("/stations/{station_id}/local-list", LocalListShown)
async def get_local_list(call: ApiCall) -> Reply:
    """Show what a station has on its list, and what is wanted there."""
    station = await require_station(call)
    return _shown(await _standing(call, station))


@resource.operation(
    "PUT",
    "/stations/{station_id}/local-list",
    role=Role.OPERATOR,
    body=LocalListWish,
    answers={200: LocalListShown},
    edits=True,
)
async def wish_local_list(call: ApiCall) -> Reply:
    """Say what is wanted on a station's list. It is sent with the next `sync`."""
    station = await require_station(call)
    current = (await _standing(call, station)).wish
    call.require_revision(current.revision)
    body: LocalListWish = call.body
    chosen = frozenset(name.upper() for name in body.id_tokens) if body.id_tokens is not None else None
    wish = ListWish(id_tokens=chosen, entries_per_message=body.entries_per_message, revision=current.revision)
    if not await wish_for(call.api.engine, station.station_id, wish):
        raise Problem(412, "This was changed meanwhile: read it again, and send its new ETag in If-Match.")
    return _shown(await _standing(call, station))


@resource.operation(
    "POST",
    "/stations/{station_id}/local-list/sync",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown, 204: None},
    errors=(409, 422),
)
async def sync_local_list(call: ApiCall) -> Reply:
    """Send the station what it lacks; 204 if it lacks nothing.

    The whole list where it has none of ours, refused the last update or says it has another version; else the changes.
    One message is sent each time: where the list takes several, call again until 204.
    """
    station = await require_station(call)
    update = (await _standing(call, station)).update()
    if update is None:
        return Reply(None, 204)
    payload = _PAYLOADS.get(station.version, v201.local_list)(update)
    return await send(call, "SendLocalList", payload)


async def _standing(call: ApiCall, station: Any) -> ListStanding:
    longest = LONGEST_TOKEN.get(station.version or "", 36)
    return await standing(call.api.engine, station.station_id, call.now, longest=longest)


def _shown(found: ListStanding) -> Reply:
    names = ListedShown.model_fields
    shown = LocalListShown(
        version=found.version,
        told_version=found.told_version,
        status=found.status or None,
        updated_at=found.updated_at,
        in_sync=found.update() is None,
        entries=[ListedShown(**{n: getattr(found.has[name], n) for n in names}) for name in sorted(found.has)],
        id_tokens=sorted(found.wish.id_tokens) if found.wish.id_tokens is not None else None,
        entries_per_message=found.wish.entries_per_message,
        left_out=list(found.left_out),
    )
    return Reply(shown, 200, {"ETag": etag(found.wish.revision)})
