"""OCPP 2.0.1 N. Diagnostics: monitors and events."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, content_key, moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.events import Event, EventsNotified
from csms.stations.monitoring import (
    CUSTOM,
    ComponentVariable,
    Monitor,
    MonitoringBaseSet,
    MonitoringLevelSet,
    MonitoringReportAsked,
    MonitorsCleared,
    MonitorsReported,
    MonitorsSet,
)
from sessions.facts import Fact

messages = Messages("N. Diagnostics")


# --- the station to us ------------------------------------------------------------------------------------------------


@messages.answer("NotifyEvent")
async def notify_event(ctx: StationContext, payload: Payload) -> Payload:
    """N07, N08. Keeps events; one that clears ends the alerts of its monitor."""
    await ctx.submit(
        EventsNotified(
            key=content_key("events", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            events=tuple(_event(ctx, told) for told in objects(payload, "eventData")),
        )
    )
    return {}


@messages.answer("NotifyMonitoringReport")
async def notify_monitoring_report(ctx: StationContext, payload: Payload) -> Payload:
    """N02. Keeps a part of a report of monitors; a full report, once whole, forgets what it did not name."""
    monitors = [
        _monitor(whole(told, "id"), entry, told)
        for entry in objects(payload, "monitor")
        for told in objects(entry, "variableMonitoring")
    ]
    await ctx.submit(
        MonitorsReported(
            key=ctx.unique_key("monitoring-report"),
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=whole(payload, "requestId") or 0,
            seq_no=whole(payload, "seqNo") or 0,
            monitors=tuple(monitor for monitor in monitors if monitor is not None),
            last=payload.get("tbc") is not True,
        )
    )
    return {}


# --- us to the station ------------------------------------------------------------------------------------------------


@messages.ask("SetVariableMonitoring")
def set_variable_monitoring(asked: Asked) -> Iterator[Fact]:
    """N04. Sets monitors; the accepted ones are kept under the ids that the station gives them."""
    wanted = objects(asked.request, "setMonitoringData")
    found = []
    for result in objects(asked.response, "setMonitoringResult"):
        request = next((w for w in wanted if _alike(w, result)), None)
        if request is None:
            continue
        wanted.remove(request)
        if text(result, "status") == "Accepted":
            number = whole(result, "id")
            monitor = _monitor(whole(request, "id") if number is None else number, request, request)
            found += [monitor] if monitor is not None else []
    if found:
        yield MonitorsSet(
            key=asked.key("monitors-set"), at=asked.now, station_id=asked.station_id, monitors=tuple(found)
        )


@messages.ask("ClearVariableMonitoring")
def clear_variable_monitoring(asked: Asked) -> Iterator[Fact]:
    """N06. Removes monitors; those the station does not know are forgotten as well."""
    results = objects(asked.response, "clearMonitoringResult")
    numbers = [whole(result, "id") for result in results if text(result, "status") in {"Accepted", "NotFound"}]
    gone = tuple(number for number in numbers if number is not None)
    if gone:
        yield MonitorsCleared(
            key=asked.key("monitors-cleared"), at=asked.now, station_id=asked.station_id, monitor_ids=gone
        )


@messages.ask("SetMonitoringBase")
def set_monitoring_base(asked: Asked) -> Iterator[Fact]:
    """N03. Activates a set of monitors; only All leaves the custom ones."""
    if text(asked.response, "status") == "Accepted":
        yield MonitoringBaseSet(
            key=asked.key("monitoring-base"),
            at=asked.now,
            station_id=asked.station_id,
            base=text(asked.request, "monitoringBase"),
        )


@messages.ask("SetMonitoringLevel")
def set_monitoring_level(asked: Asked) -> Iterator[Fact]:
    """N05. Sets the severity from which events are told."""
    level = whole(asked.request, "severity")
    if text(asked.response, "status") == "Accepted" and level is not None:
        yield MonitoringLevelSet(
            key=asked.key("monitoring-level"), at=asked.now, station_id=asked.station_id, level=level
        )


@messages.ask("GetMonitoringReport")
def get_monitoring_report(asked: Asked) -> Iterator[Fact]:
    """N02. Asks for a report of monitors; it comes in parts, as NotifyMonitoringReport."""
    request_id = whole(asked.request, "requestId")
    if request_id is not None:
        yield MonitoringReportAsked(
            key=asked.key("monitoring-report-asked"),
            at=asked.now,
            station_id=asked.station_id,
            request_id=request_id,
            status=text(asked.response, "status", 20),
            entire=not {"monitoringCriteria", "componentVariable"} & set(asked.request),
            request=asked.request,
            requested_by=asked.requested_by,
        )


# --- reading ----------------------------------------------------------------------------------------------------------


def _component_variable(entry: Payload) -> ComponentVariable:
    component, variable = obj(entry, "component"), obj(entry, "variable")
    evse = obj(component, "evse")
    return ComponentVariable(
        component=text(component, "name", 50),
        component_instance=text(component, "instance", 50) or None,
        evse_id=whole(evse, "id"),
        connector_id=whole(evse, "connectorId"),
        variable=text(variable, "name", 50),
        variable_instance=text(variable, "instance", 50) or None,
    )


def _alike(wanted: Payload, result: Payload) -> bool:
    """Whether a result is about this request: results may come in another order."""
    same = (text(wanted, "type"), whole(wanted, "severity")) == (text(result, "type"), whole(result, "severity"))
    return same and _component_variable(wanted) == _component_variable(result)


def _monitor(number: int | None, entry: Payload, told: Payload) -> Monitor | None:
    """A monitor, of a request (then ``told`` is the entry itself) or of a report."""
    if number is None:
        return None
    value = told.get("value")
    return Monitor(
        monitor_id=number,
        watches=_component_variable(entry),
        type=text(told, "type", 40),
        value=str(value)[:40] if isinstance(value, int | float) else "",
        severity=whole(told, "severity") or 0,
        only_in_transaction=told.get("transaction") is True,
        source=CUSTOM if told is entry else text(told, "eventNotificationType", 40) or None,
    )


def _event(ctx: StationContext, told: Payload) -> Event:
    return Event(
        event_id=whole(told, "eventId"),
        station_time=moment(told.get("timestamp")) or ctx.now(),
        trigger=text(told, "trigger", 20),
        notification_type=text(told, "eventNotificationType", 40),
        about=_component_variable(told),
        actual_value=text(told, "actualValue", 2500),
        cause=whole(told, "cause"),
        tech_code=text(told, "techCode", 50) or None,
        tech_info=text(told, "techInfo", 500) or None,
        cleared=told.get("cleared") is True,
        transaction_id=text(told, "transactionId", 36) or None,
        monitor_id=whole(told, "variableMonitoringId"),
        severity=whole(told, "severity"),
    )
