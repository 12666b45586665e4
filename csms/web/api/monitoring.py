"""Monitors of a station: set, cleared, reported."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.stations.monitoring import reports
from csms.stations.transfers import new_request_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, carry_out, require_sayable, send
from csms.web.api.stations import require_station
from storage import device_model_schema
from storage import diagnostics_schema as t
from storage.engine import reading

resource = Resource("monitoring")

#: Items in one call to a station that has not told how many it takes.
UNTOLD_AT_ONCE = 20
#: A monitor's id: an integer of 32 bits (2.0.1 part 2, primitive datatypes).
MonitorId = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class ComponentVariableShown(Shown):
    """A variable of a component."""

    component: str
    component_instance: str | None
    evse_id: int | None
    connector_id: int | None
    variable: str
    variable_instance: str | None


class ReportedMonitor(ComponentVariableShown):
    """A monitor, as a report has it."""

    monitor_id: int
    type: str
    value: str
    severity: int = Field(description="0 is the most urgent, 9 the least.")
    only_in_transaction: bool
    source: str | None = Field(description="CustomMonitor, PreconfiguredMonitor, …; null: the station did not say.")


class MonitorShown(ReportedMonitor):
    """A monitor of a station."""

    reported: bool = Field(description="The station itself has said so since it was set.")
    updated_at: datetime


class MonitorFilter(PageQuery):
    """Which monitors."""

    component: str | None = Field(None, max_length=50, description="Only of this component.")
    variable: str | None = Field(None, max_length=50, description="Only of this variable.")
    type: str | None = Field(None, max_length=40, description="Only of this type.")


class SettingsShown(Shown):
    """What a station was last told of monitoring as a whole."""

    base: str | None = Field(description="The set of monitors that is active; null: never told.")
    level: int | None = Field(description="Events of this severity and of more urgent ones are told.")
    updated_at: datetime | None


class Commands(Shown):
    """The calls that were made of a request; together they are all of it."""

    items: list[CommandShown]


class NewMonitor(Body):
    """A monitor to set."""

    monitor_id: MonitorId | None = Field(None, description="To replace one: its id.")
    component: str = Field(min_length=1, max_length=50, description="The component's name.")
    component_instance: str | None = Field(None, max_length=50, description="Its instance.")
    evse_id: int | None = Field(None, ge=0, lt=2**31, description="The EVSE it belongs to.")
    connector_id: int | None = Field(None, ge=0, lt=2**31, description="The connector it belongs to.")
    variable: str = Field(min_length=1, max_length=50, description="The variable's name.")
    variable_instance: str | None = Field(None, max_length=50, description="Its instance.")
    type: Literal[
        "UpperThreshold",
        "LowerThreshold",
        "Delta",
        "Periodic",
        "PeriodicClockAligned",
        "TargetDelta",
        "TargetDeltaRelative",
    ] = Field(description="What it watches for; the last two are 2.1's.")
    value: float = Field(allow_inf_nan=False, description="The threshold, the change, or the period in seconds.")
    severity: int = Field(ge=0, le=9, description="0 is the most urgent, 9 the least.")
    only_in_transaction: bool = Field(False, description="Whether it rests between transactions.")

    def payload(self) -> dict[str, Any]:
        """2.0.1 SetMonitoringDataType."""
        component: dict[str, Any] = {"name": self.component}
        if self.component_instance is not None:
            component["instance"] = self.component_instance
        if self.evse_id is not None:
            component["evse"] = {"id": self.evse_id}
            if self.connector_id is not None:
                component["evse"]["connectorId"] = self.connector_id
        variable = {"name": self.variable}
        if self.variable_instance is not None:
            variable["instance"] = self.variable_instance
        made: dict[str, Any] = {
            "value": self.value,
            "type": self.type,
            "severity": self.severity,
            "transaction": self.only_in_transaction,
            "component": component,
            "variable": variable,
        }
        return made if self.monitor_id is None else made | {"id": self.monitor_id}


class NewMonitors(Body):
    """Monitors to set."""

    monitors: list[NewMonitor] = Field(min_length=1, max_length=200, description="In any order.")
    items_per_message: int | None = Field(
        None, ge=1, le=200, description="How many to send at once; null: as many as the station says that it takes."
    )


class OldMonitors(Body):
    """Monitors to remove."""

    monitor_ids: list[MonitorId] = Field(min_length=1, max_length=200, description="Their ids.")
    items_per_message: int | None = Field(
        None, ge=1, le=200, description="How many to send at once; null: as many as the station says that it takes."
    )


class NewReport(Body):
    """Which monitors to report; all, if nothing is said."""

    criteria: list[Literal["ThresholdMonitoring", "DeltaMonitoring", "PeriodicMonitoring"]] | None = Field(
        None, min_length=1, max_length=3, description="Only these kinds."
    )
    component_variables: list[dict[str, Any]] | None = Field(
        None, min_length=1, max_length=200, description="Only of these, as OCPP's ComponentVariableType."
    )


class ReportShown(Shown):
    """A report of monitors."""

    request_id: int
    status: str | None = Field(description="The station's answer; null: it reported unasked.")
    request: Any = Field(description="What was asked for.")
    requested_by: str | None
    requested_at: datetime
    completed_at: datetime | None = Field(description="When its last missing part had come.")


class ReportWithMonitors(ReportShown):
    """A report of monitors, and what it says so far."""

    parts: int
    monitors: list[ReportedMonitor]


@resource.get("/stations/{station_id}/monitors", Page[MonitorShown], query=MonitorFilter)
async def list_monitors(call: ApiCall) -> Page[MonitorShown]:
    """List a station's monitors, as far as they are known: ask for a report to know them all."""
    await require_station(call)
    m = t.monitors.c
    query = select(t.monitors).where(m.station_id == call.path["station_id"])
    for name in ("component", "variable", "type"):
        if getattr(call.query, name) is not None:
            query = query.where(m[name] == getattr(call.query, name))

    def shown(row: Any) -> MonitorShown:
        return MonitorShown(**{name: getattr(row, name) for name in MonitorShown.model_fields})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [m.monitor_id], call.query, shown)


@resource.operation(
    "POST",
    "/stations/{station_id}/monitors",
    role=Role.OPERATOR,
    query=Wait,
    body=NewMonitors,
    answers={200: Commands, 202: Commands},
    errors=(409,),
)
async def set_monitors(call: ApiCall) -> Reply:
    """Ask a station to set monitors. Those it accepts are listed under the ids that it gives them."""
    wanted = [monitor.payload() for monitor in call.body.monitors]
    payloads = [{"setMonitoringData": some} for some in _split(wanted, await _at_once(call, "SetVariableMonitoring"))]
    return await _send_all(call, "SetVariableMonitoring", payloads)


@resource.operation(
    "POST",
    "/stations/{station_id}/monitors/clear",
    role=Role.OPERATOR,
    query=Wait,
    body=OldMonitors,
    answers={200: Commands, 202: Commands},
    errors=(409,),
)
async def clear_monitors(call: ApiCall) -> Reply:
    """Ask a station to remove monitors; in as many calls as it needs."""
    wanted = sorted(set(call.body.monitor_ids))
    payloads = [{"id": some} for some in _split(wanted, await _at_once(call, "ClearVariableMonitoring"))]
    return await _send_all(call, "ClearVariableMonitoring", payloads)


@resource.get("/stations/{station_id}/monitoring", SettingsShown)
async def get_monitoring(call: ApiCall) -> SettingsShown:
    """Show which monitoring base and level a station has accepted."""
    await require_station(call)
    c = t.monitoring_settings.c
    async with reading(call.api.engine) as connection:
        query = select(t.monitoring_settings).where(c.station_id == call.path["station_id"])
        row = (await connection.execute(query)).first()
    return SettingsShown(**{name: getattr(row, name, None) for name in SettingsShown.model_fields})


@resource.operation(
    "POST",
    "/stations/{station_id}/monitoring-reports",
    role=Role.SUPPORT,
    query=Wait,
    body=NewReport,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def request_monitoring_report(call: ApiCall) -> Reply:
    """Ask a station which monitors it has. The report is found under the request id of the call."""
    payload: dict[str, Any] = {"requestId": new_request_id()}
    if call.body.criteria is not None:
        payload["monitoringCriteria"] = call.body.criteria
    if call.body.component_variables is not None:
        payload["componentVariable"] = call.body.component_variables
    return await send(call, "GetMonitoringReport", payload)


@resource.get("/stations/{station_id}/monitoring-reports", Page[ReportShown], query=PageQuery)
async def list_monitoring_reports(call: ApiCall) -> Page[ReportShown]:
    """List a station's reports of monitors, the newest first."""
    await require_station(call)
    r = t.monitoring_reports.c
    query = select(t.monitoring_reports).where(r.station_id == call.path["station_id"])
    keys = [r.requested_at, r.request_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, keys, call.query, lambda row: ReportShown(**_head(row)), newest_first=True
        )


@resource.get("/stations/{station_id}/monitoring-reports/{request_id}", ReportWithMonitors)
async def get_monitoring_report(call: ApiCall) -> ReportWithMonitors:
    """Show a report of monitors, as far as it has come."""
    station_id, request_id = call.path["station_id"], call.path["request_id"]
    r = t.monitoring_reports.c
    async with reading(call.api.engine) as connection:
        query = select(t.monitoring_reports).where(r.station_id == station_id, r.request_id == request_id)
        row = (await connection.execute(query)).first()
        if row is None:
            raise Problem(404, "There is no report of monitors with this request id.")
        parts = await reports.bodies(connection, station_id, request_id)
    monitors = [ReportedMonitor(**monitor) for part in parts for monitor in orjson.loads(part.body)]
    return ReportWithMonitors(**_head(row), parts=len(parts), monitors=monitors)


def _head(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ReportShown.model_fields}
    return values | {"request": orjson.loads(row.request) if row.request else None}


async def _at_once(call: ApiCall, action: str) -> int:
    """How many items go into one call: what the caller says, else what the station has told of itself."""
    if call.body.items_per_message is not None:
        return int(call.body.items_per_message)
    v = device_model_schema.variables.c
    query = select(v.value).where(
        v.station_id == call.path["station_id"],
        v.component == "MonitoringCtrlr",
        v.variable == "ItemsPerMessage",
        v.variable_instance == action,
        v.attribute == "Actual",
    )
    async with reading(call.api.engine) as connection:
        told = (await connection.execute(query)).scalar()
    return max(int(told), 1) if told is not None and re.fullmatch("[0-9]{1,9}", told) else UNTOLD_AT_ONCE


def _split(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


async def _send_all(call: ApiCall, action: str, payloads: Sequence[dict[str, Any]]) -> Reply:
    """All of them, or none: nothing is sent before everything has been checked."""
    station_id = await require_sayable(call, action, *payloads)
    wait_s = call.query.wait
    replies = await asyncio.gather(*(carry_out(call, station_id, action, p, wait_s=wait_s) for p in payloads))
    shown = [reply.content for reply in replies if isinstance(reply.content, CommandShown)]
    return Reply(Commands(items=shown), max(reply.status for reply in replies))
