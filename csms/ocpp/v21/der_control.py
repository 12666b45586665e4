"""OCPP 2.1 R. Control of distributed energy resources."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("R. DER control")


@messages.answer("NotifyDERAlarm")
async def notify_der_alarm(ctx: StationContext, payload: Payload) -> Payload:
    """R05. Keeps what the station said."""
    await record(ctx, "NotifyDERAlarm", payload)
    return {}


@messages.answer("NotifyDERStartStop")
async def notify_der_start_stop(ctx: StationContext, payload: Payload) -> Payload:
    """R04. Keeps what the station said."""
    await record(ctx, "NotifyDERStartStop", payload)
    return {}


@messages.answer("ReportDERControl")
async def report_der_control(ctx: StationContext, payload: Payload) -> Payload:
    """R04. Keeps what the station said."""
    await record(ctx, "ReportDERControl", payload)
    return {}


messages.plain("ClearDERControl", "R04. Removes DER controls.")
messages.plain("GetDERControl", "R04. Asks for a report of DER controls.")
messages.plain("SetDERControl", "R04. Sets a DER control.")
