"""OCPP 2.0.1 N. Diagnostics."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import LogWanted, Request, get_log, log_answered, progressed
from csms.stations.transfers import TransferKind
from sessions.facts import Fact

messages = Messages("N. Diagnostics")


@messages.answer("LogStatusNotification")
async def log_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """N01. Follows an upload of a log to its end."""
    return await progressed(ctx, TransferKind.LOG, payload)


@messages.answer("NotifyCustomerInformation")
async def notify_customer_information(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyCustomerInformation", payload)
    return {}


@messages.answer("NotifyEvent")
async def notify_event(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyEvent", payload)
    return {}


@messages.answer("NotifyMonitoringReport")
async def notify_monitoring_report(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyMonitoringReport", payload)
    return {}


messages.plain("ClearVariableMonitoring", "N06. Removes monitors.")
messages.plain("CustomerInformation", "N09, N10. Asks for, or clears, what the station knows of a customer.")
messages.plain("GetMonitoringReport", "N02. Asks for a report of monitors.")
messages.plain("SetMonitoringBase", "N03. Activates a set of preconfigured monitors.")
messages.plain("SetMonitoringLevel", "N05. Sets the severity from which events are reported.")
messages.plain("SetVariableMonitoring", "N04. Sets monitors.")


@messages.ask("GetLog")
def ask_for_log(asked: Asked) -> Iterator[Fact]:
    """N01. Asks the station to upload a log; an upload under way may give way to it."""
    yield from log_answered(asked)


def log_request(wanted: LogWanted) -> Request:
    """The call that asks for a log."""
    return "GetLog", get_log(wanted)
