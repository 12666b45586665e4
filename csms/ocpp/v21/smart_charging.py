"""OCPP 2.1 K. Smart charging: priority and dynamic schedules."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("K. Smart charging")


@messages.answer("NotifyPriorityCharging")
async def notify_priority_charging(ctx: StationContext, payload: Payload) -> Payload:
    """K22. Keeps what the station said."""
    await record(ctx, "NotifyPriorityCharging", payload)
    return {}


@messages.answer("PullDynamicScheduleUpdate")
async def pull_dynamic_schedule_update(ctx: StationContext, payload: Payload) -> Payload:
    """K28. Keeps what the station said."""
    await record(ctx, "PullDynamicScheduleUpdate", payload)
    return {"status": "Rejected"}


messages.plain("UpdateDynamicSchedule", "K28. Gives a dynamic profile its new limits.")
messages.plain("UsePriorityCharging", "K21. Asks for priority charging, or to end it.")
