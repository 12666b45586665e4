"""The device model: variables as stations told of them, reports, network profiles."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field
from sqlalchemy import func, select

from csms.stations.device_model import new_request_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import device_model_schema as t
from storage.engine import reading

resource = Resource("variables")


class VariableShown(Shown):
    """One attribute of a variable. OCPP 1.6's keys stand under the 2.0.1 names they correspond to."""

    component: str
    component_instance: str
    evse_id: int = Field(description="0: the station.")
    connector_id: int = Field(description="0: the EVSE.")
    variable: str
    variable_instance: str
    attribute: str
    value: str | None = Field(description="null: not shown by the station, or a secret.")
    mutability: str | None
    persistent: bool | None
    constant: bool | None
    characteristics: Any = Field(description="OCPP 2.0.1 VariableCharacteristicsType, where it was reported.")
    updated_at: datetime


class VariableFilter(PageQuery):
    """Which variables."""

    component: str | None = Field(None, max_length=50, description="Only this component's.")
    variable: str | None = Field(None, max_length=50, description="Only this variable.")
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] | None = Field(None, description="Only this attribute.")


class ReportShown(Shown):
    """A report, which comes in parts."""

    request_id: int
    kind: str
    asked_at: datetime | None = Field(description="null: nobody here asked for it.")
    parts: int
    variables: int
    complete: bool = Field(description="Every part up to the last one is there.")
    updated_at: datetime


class NetworkProfileShown(Shown):
    """A connection profile that a station has taken into a slot; secrets are masked."""

    slot: int
    profile: Any
    updated_at: datetime


class NetworkProfiles(Shown):
    """All slots."""

    items: list[NetworkProfileShown]


@resource.get("/stations/{station_id}/variables", Page[VariableShown], query=VariableFilter)
async def list_variables(call: ApiCall) -> Page[VariableShown]:
    """List a station's variables, as it last told them."""
    await require_station(call)
    v = t.variables.c
    query = select(t.variables).where(v.station_id == call.path["station_id"])
    for name in ("component", "variable", "attribute"):
        if getattr(call.query, name) is not None:
            query = query.where(v[name] == getattr(call.query, name))
    keys = [
        v.component, v.component_instance, v.evse_id, v.connector_id, v.variable, v.variable_instance, v.attribute,
    ]  # fmt: skip

    def shown(row: Any) -> VariableShown:
        values = {name: getattr(row, name) for name in VariableShown.model_fields}
        values["characteristics"] = orjson.loads(row.characteristics) if row.characteristics else None
        return VariableShown(**values)

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, keys, call.query, shown)


@resource.operation(
    "POST",
    "/stations/{station_id}/variables/refresh",
    role=Role.SUPPORT,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def refresh_variables(call: ApiCall) -> Reply:
    """Ask the station for everything: a full inventory (2.x; it comes in parts), or all configuration keys (1.6)."""
    station = await require_station(call)
    if station.version == "ocpp1.6":
        return await send(call, "GetConfiguration", {})
    return await send(call, "GetBaseReport", {"requestId": new_request_id(), "reportBase": "FullInventory"})


@resource.get("/stations/{station_id}/reports", Page[ReportShown], query=PageQuery)
async def list_reports(call: ApiCall) -> Page[ReportShown]:
    """List the reports a station has sent, or has agreed to send."""
    await require_station(call)
    r, p = t.reports.c, t.report_parts.c
    query = (
        select(
            t.reports,
            func.count(p.seq_no).label("parts"),
            func.coalesce(func.sum(p.variables), 0).label("variables"),
            func.max(p.seq_no).label("newest"),
        )
        .join_from(
            t.reports,
            t.report_parts,
            (r.station_id == p.station_id) & (r.request_id == p.request_id) & (p.seq_no >= 0),
            isouter=True,
        )
        .where(r.station_id == call.path["station_id"])
        .group_by(*t.reports.c)
    )

    def shown(row: Any) -> ReportShown:
        complete = row.last_seq is not None and row.parts >= row.last_seq + 1
        names = ("request_id", "kind", "asked_at", "parts", "variables", "updated_at")
        return ReportShown(**{name: getattr(row, name) for name in names}, complete=complete)

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [r.request_id], call.query, shown)


@resource.get("/stations/{station_id}/network-profiles", NetworkProfiles)
async def list_network_profiles(call: ApiCall) -> NetworkProfiles:
    """Show the connection profiles that the station has taken."""
    await require_station(call)
    n = t.network_profiles.c
    query = select(t.network_profiles).where(n.station_id == call.path["station_id"]).order_by(n.slot)
    async with reading(call.api.engine) as connection:
        rows = (await connection.execute(query)).all()
    items = [
        NetworkProfileShown(slot=row.slot, profile=orjson.loads(row.profile), updated_at=row.updated_at) for row in rows
    ]
    return NetworkProfiles(items=items)
