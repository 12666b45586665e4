"""What bounds charging besides our profiles: limits from outside, and the schedules that come of them all."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.web.api.access import Role
from csms.web.api.charging_profiles import MAX_INTEGER, says
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import charging_profile_schema as t
from storage.engine import reading

resource = Resource("smart charging")


class ChargingLimitShown(Shown):
    """A limit that something else than this system imposes."""

    evse_id: int = Field(description="Where it applies; 0: the station.")
    source: str = Field(description="EMS: local energy management; SO: the grid's operator; …")
    grid_critical: bool | None = Field(description="Whether the grid depends on it; null: not said.")
    local_generation: bool | None = Field(description="Whether it tells of power made here (OCPP 2.1).")
    schedules: Any = Field(description="As OCPP's ChargingScheduleType; empty where the station keeps them to itself.")
    told_at: datetime


class CompositeScheduleShown(Shown):
    """What a station makes of all profiles and limits."""

    evse_id: int = Field(description="0: the station.")
    rate_unit: str
    duration_s: int | None
    starts_at: datetime | None
    periods: Any = Field(description="As OCPP's ChargingSchedulePeriodType.")
    told_at: datetime


class EvChargingNeedsShown(Shown):
    """What a car asked for."""

    evse_id: int
    transaction_id: str | None
    max_periods: int | None = Field(description="How many periods its schedule may have.")
    departs_at: datetime | None
    needs: Any = Field(description="As OCPP's ChargingNeedsType.")
    told_at: datetime


class EvChargingScheduleShown(Shown):
    """The schedule a car means to keep to."""

    evse_id: int
    transaction_id: str | None
    time_base: datetime | None = Field(description="When it starts.")
    within_limits: bool = Field(description="Whether it keeps to the transaction's charging profile.")
    schedule: Any = Field(description="As OCPP's ChargingScheduleType.")
    told_at: datetime


class CompositeScheduleBody(Body):
    """Which schedule to ask for."""

    evse_id: int = Field(ge=0, le=MAX_INTEGER, description="0: what the station as a whole may draw.")
    duration_s: int = Field(ge=1, le=MAX_INTEGER, description="How far ahead, seconds.")
    rate_unit: Literal["W", "A"] | None = Field(None, description="Left out: the station's choice.")


@resource.get("/stations/{station_id}/charging-limits", Page[ChargingLimitShown], query=PageQuery)
async def list_charging_limits(call: ApiCall) -> Page[ChargingLimitShown]:
    """List the limits that others impose on a station."""
    await require_station(call)
    limits = t.charging_limits.c
    query = select(t.charging_limits).where(limits.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        keys = [limits.evse_id, limits.source]
        return await fetch_page(
            connection, query, keys, call.query, lambda row: ChargingLimitShown(**_read(row, "schedules"))
        )


@resource.get("/stations/{station_id}/composite-schedules", Page[CompositeScheduleShown], query=PageQuery)
async def list_composite_schedules(call: ApiCall) -> Page[CompositeScheduleShown]:
    """List each EVSE's composite schedule as the station last told it."""
    await require_station(call)
    told = t.composite_schedules.c
    query = select(t.composite_schedules).where(told.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [told.evse_id], call.query, lambda row: CompositeScheduleShown(**_read(row, "periods"))
        )


@resource.get("/stations/{station_id}/ev-charging-needs", Page[EvChargingNeedsShown], query=PageQuery)
async def list_ev_charging_needs(call: ApiCall) -> Page[EvChargingNeedsShown]:
    """List what the car at each EVSE last asked for (ISO 15118)."""
    await require_station(call)
    told = t.ev_charging_needs.c
    query = select(t.ev_charging_needs).where(told.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [told.evse_id], call.query, lambda row: EvChargingNeedsShown(**_read(row, "needs"))
        )


@resource.get("/stations/{station_id}/ev-charging-schedules", Page[EvChargingScheduleShown], query=PageQuery)
async def list_ev_charging_schedules(call: ApiCall) -> Page[EvChargingScheduleShown]:
    """List the schedule that the car at each EVSE last chose (ISO 15118)."""
    await require_station(call)
    told = t.ev_charging_schedules.c
    query = select(t.ev_charging_schedules).where(told.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [told.evse_id], call.query, lambda row: EvChargingScheduleShown(**_read(row, "schedule"))
        )


@resource.operation(
    "POST",
    "/stations/{station_id}/composite-schedule",
    role=Role.SUPPORT,
    query=Wait,
    body=CompositeScheduleBody,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def ask_composite_schedule(call: ApiCall) -> Reply:
    """Ask the station what it makes of all charging profiles and limits from now on."""
    wanted: CompositeScheduleBody = call.body
    its = says(await require_station(call))
    payload = its.say_composite(wanted.evse_id, wanted.duration_s, wanted.rate_unit)
    return await send(call, "GetCompositeSchedule", payload)


def _read(row: Any, document: str) -> dict[str, Any]:
    """A row's values; ``document``: the column that holds JSON."""
    values = dict(row._mapping)
    return values | {document: orjson.loads(values[document])}
