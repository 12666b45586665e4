"""Energy registers: what each EVSE's meter showed last."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.web.api.operation import ApiCall, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.stations import require_station
from storage import meter_schema as t
from storage.engine import reading

resource = Resource("stations")


class RegisterShown(Shown):
    """A register, unjudged: a session shows what is proven."""

    evse_id: int = Field(description="0: the station's own meter.")
    register_wh: Decimal
    context: str = Field(description="OCPP ReadingContextEnumType.")
    station_time: datetime = Field(description="When, by the station's clock.")
    seen_at: datetime


@resource.get("/stations/{station_id}/registers", Page[RegisterShown], query=PageQuery)
async def list_registers(call: ApiCall) -> Page[RegisterShown]:
    """List the newest energy register of each EVSE, told in or outside transactions."""
    station = await require_station(call)
    query = select(t.evse_registers).where(t.evse_registers.c.station_id == station.station_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [t.evse_registers.c.evse_id], call.query, _shown)


def _shown(row: Any) -> RegisterShown:
    return RegisterShown(**{name: getattr(row, name) for name in RegisterShown.model_fields})
