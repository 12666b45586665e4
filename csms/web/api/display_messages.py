"""Display messages: what a station shows its drivers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.stations.display_messages import new_request_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import display_schema as t
from storage.engine import reading

resource = Resource("display messages")


class DisplayMessageShown(Shown):
    """A message on a station's display."""

    message_id: int
    priority: str
    state: str | None = Field(description="In which state of the station it is shown; null: always.")
    starts_at: datetime | None
    ends_at: datetime | None
    transaction_id: str | None
    message: Any = Field(description="All of it, as OCPP's MessageInfoType.")
    reported: bool = Field(description="The station itself has said so since it was set.")
    updated_at: datetime


@resource.get("/stations/{station_id}/display-messages", Page[DisplayMessageShown], query=PageQuery)
async def list_display_messages(call: ApiCall) -> Page[DisplayMessageShown]:
    """List the messages a station has.

    Those whose time or transaction is over the station removes by itself: refresh to see.
    """
    await require_station(call)
    m = t.display_messages.c
    query = select(t.display_messages).where(m.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [m.message_id], call.query, _shown)


@resource.operation(
    "POST",
    "/stations/{station_id}/display-messages/refresh",
    role=Role.SUPPORT,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def refresh_display_messages(call: ApiCall) -> Reply:
    """Ask the station for all its messages."""
    return await send(call, "GetDisplayMessages", {"requestId": new_request_id()})


@resource.operation(
    "DELETE",
    "/stations/{station_id}/display-messages/{message_id}",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def clear_display_message(call: ApiCall) -> Reply:
    """Ask the station to remove a message. To set one, send the command SetDisplayMessage."""
    return await send(call, "ClearDisplayMessage", {"id": call.path["message_id"]})


def _shown(row: Any) -> DisplayMessageShown:
    names = set(DisplayMessageShown.model_fields) - {"message"}
    values = {name: getattr(row, name) for name in names}
    return DisplayMessageShown(**values, message=orjson.loads(row.body))
