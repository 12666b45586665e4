"""What 2.1 stations tell of grid, vehicle and battery: DER controls, dynamic schedules, priority, streams, swaps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import orjson
from pydantic import Field
from sqlalchemy import Table, select

from csms.web.api.operation import ApiCall, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.stations import require_station
from storage import energy_schema as t
from storage.engine import reading

resource = Resource("energy")

S = TypeVar("S", bound=Shown)


async def _listed(
    call: ApiCall, table: Table, model: type[S], *keys: str, newest_first: bool, documents: tuple[str, ...] = ()
) -> Page[S]:
    """A station's rows; ``documents``: columns that hold JSON."""
    await require_station(call)

    def shown(row: Any) -> S:
        values = {name: getattr(row, name) for name in model.model_fields}
        return model(**values | {name: orjson.loads(values[name]) for name in documents})

    query = select(table).where(table.c.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [table.c[key] for key in keys], call.query, shown, newest_first=newest_first
        )


class DerControlShown(Shown):
    """A control of distributed energy resources."""

    control_id: str
    control_type: str = Field(description="2.1 DERControlEnumType; empty if it was set elsewhere.")
    is_default: bool | None
    superseded: bool = Field(description="Another control takes its place.")
    started: bool | None = Field(description="Whether it runs; null if it was never told.")
    started_at: datetime | None
    told_at: datetime
    body: dict[str, Any] = Field(description="Its settings, as OCPP has them.")


@resource.get("/stations/{station_id}/der-controls", Page[DerControlShown], query=PageQuery)
async def list_der_controls(call: ApiCall) -> Page[DerControlShown]:
    """List the DER controls that a station is known to have."""
    return await _listed(call, t.der_controls, DerControlShown, "control_id", newest_first=False, documents=("body",))


class DerAlarmShown(Shown):
    """An alarm of the grid at a station, or its end."""

    alarm_id: int
    control_type: str
    fault: str | None = Field(description="2.1 GridEventFaultEnumType.")
    ended: bool
    station_time: datetime | None
    told_at: datetime
    extra_info: str | None


@resource.get("/stations/{station_id}/der-alarms", Page[DerAlarmShown], query=PageQuery)
async def list_der_alarms(call: ApiCall) -> Page[DerAlarmShown]:
    """List a station's alarms of the grid and their ends, the newest first."""
    return await _listed(call, t.der_alarms, DerAlarmShown, "alarm_id", newest_first=True)


class DynamicScheduleShown(Shown):
    """The limits of a dynamic charging profile."""

    profile_id: int
    limits: dict[str, Any] = Field(description="2.1 ChargingScheduleUpdateType.")
    updated_at: datetime
    pulled_at: datetime | None = Field(description="When the station last asked for them.")


@resource.get("/stations/{station_id}/dynamic-schedules", Page[DynamicScheduleShown], query=PageQuery)
async def list_dynamic_schedules(call: ApiCall) -> Page[DynamicScheduleShown]:
    """List the limits that dynamic charging profiles were last given."""
    return await _listed(
        call, t.dynamic_schedules, DynamicScheduleShown, "profile_id", newest_first=False, documents=("limits",)
    )


class PriorityShown(Shown):
    """Whether a transaction has priority."""

    transaction_id: str
    active: bool
    told_at: datetime


@resource.get("/stations/{station_id}/priority-charging", Page[PriorityShown], query=PageQuery)
async def list_priority_charging(call: ApiCall) -> Page[PriorityShown]:
    """List which transactions have, or had, priority."""
    return await _listed(call, t.priority_charging, PriorityShown, "told_at", "transaction_id", newest_first=True)


class EventStreamShown(Shown):
    """A periodic event stream."""

    stream_id: int
    monitor_id: int | None = Field(description="The monitor whose variable it tells.")
    interval_s: int | None
    values_at_once: int | None
    open: bool
    changed_at: datetime
    received: int = Field(description="Values in all.")
    pending: int | None = Field(description="Left at the station when it sent last.")
    last_value: str | None
    last_value_at: datetime | None = Field(description="By the station's clock.")


@resource.get("/stations/{station_id}/event-streams", Page[EventStreamShown], query=PageQuery)
async def list_event_streams(call: ApiCall) -> Page[EventStreamShown]:
    """List a station's periodic event streams, with the newest value of each."""
    return await _listed(call, t.event_streams, EventStreamShown, "stream_id", newest_first=False)


class BatterySwapShown(Shown):
    """Batteries that went in or out."""

    swap_id: int
    request_id: int | None
    event: str = Field(description="BatteryIn, BatteryOut or BatteryOutTimeout.")
    id_token: str
    batteries: list[dict[str, Any]] = Field(description="2.1 BatteryDataType, as the station said.")
    told_at: datetime


@resource.get("/stations/{station_id}/battery-swaps", Page[BatterySwapShown], query=PageQuery)
async def list_battery_swaps(call: ApiCall) -> Page[BatterySwapShown]:
    """List a station's battery swaps, the newest first."""
    return await _listed(
        call, t.battery_swaps, BatterySwapShown, "swap_id", newest_first=True, documents=("batteries",)
    )
