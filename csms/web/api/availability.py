"""Connectors: how each stands, and what was taken out of service."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field
from sqlalchemy import select

from csms.web.api.operation import ApiCall, Resource, Shown
from csms.web.api.stations import require_station
from storage import availability_schema as t
from storage.engine import reading

resource = Resource("availability")


class ConnectorShown(Shown):
    """A connector as last reported."""

    evse_id: int = Field(description="0: the station itself, as OCPP 1.6 reports it.")
    connector_id: int
    status: str
    error_code: str | None
    status_at: datetime


class AvailabilityShown(Shown):
    """A change of availability that the station agreed to."""

    evse_id: int = Field(description="0: the whole station.")
    connector_id: int = Field(description="0: the whole EVSE.")
    operative: bool
    scheduled: bool = Field(description="It takes effect when the running transaction ends.")
    requested_by: str
    answered_at: datetime


class StationAvailability(Shown):
    """What was asked for, and how the connectors stand."""

    requested: list[AvailabilityShown]
    connectors: list[ConnectorShown]


@resource.get("/stations/{station_id}/availability", StationAvailability)
async def get_availability(call: ApiCall) -> StationAvailability:
    """Show a station's connectors, and what was taken into or out of service.

    Send the command ChangeAvailability to change it.
    """
    await require_station(call)
    a, c = t.availability.c, t.connectors.c
    asked = select(t.availability).where(a.station_id == call.path["station_id"]).order_by(a.evse_id, a.connector_id)
    told = select(t.connectors).where(c.station_id == call.path["station_id"]).order_by(c.evse_id, c.connector_id)
    async with reading(call.api.engine) as connection:
        requested = [
            AvailabilityShown(**{n: getattr(row, n) for n in AvailabilityShown.model_fields})
            for row in await connection.execute(asked)
        ]
        connectors = [
            ConnectorShown(**{n: getattr(row, n) for n in ConnectorShown.model_fields})
            for row in await connection.execute(told)
        ]
    return StationAvailability(requested=requested, connectors=connectors)
