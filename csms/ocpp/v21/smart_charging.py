"""OCPP 2.1 K. Smart charging: priority and dynamic schedules."""

from __future__ import annotations

from collections.abc import Iterable

from csms.ocpp.dialect import Payload, StationContext, Unusable, obj, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.dynamic_schedules import DynamicLimitsPulled, DynamicLimitsSet, PriorityChargingTold
from sessions.facts import Fact

messages = Messages("K. Smart charging")


@messages.answer("NotifyPriorityCharging")
async def notify_priority_charging(ctx: StationContext, payload: Payload) -> Payload:
    """K21, K22. Keeps which transactions have priority."""
    await ctx.submit(
        PriorityChargingTold(
            key=ctx.unique_key("priority"),
            at=ctx.now(),
            station_id=ctx.station_id,
            transaction_id=text(payload, "transactionId", 64),
            active=payload.get("activated") is True,
        )
    )
    return {}


@messages.answer("PullDynamicScheduleUpdate")
async def pull_dynamic_schedule_update(ctx: StationContext, payload: Payload) -> Payload:
    """K28. Answers with the limits that an operator last gave the profile; Rejected if there are none."""
    profile_id = whole(payload, "chargingProfileId")
    if profile_id is None:
        raise Unusable("chargingProfileId is missing")
    pulled = DynamicLimitsPulled(
        key=ctx.unique_key("pull"), at=ctx.now(), station_id=ctx.station_id, profile_id=profile_id
    )
    await ctx.submit(pulled)
    limits = await ctx.directory.dynamic_limits(ctx.station_id, profile_id)
    if limits is None:
        return {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownProfile"}}
    return {"status": "Accepted", "scheduleUpdate": limits}


@messages.ask("UpdateDynamicSchedule")
def update_dynamic_schedule(asked: Asked) -> Iterable[Fact]:
    """K28. Gives a dynamic profile its new limits; kept for when the station asks again."""
    profile_id = whole(asked.request, "chargingProfileId")
    if asked.response.get("status") == "Accepted" and profile_id is not None:
        yield DynamicLimitsSet(
            key=asked.key("dynamic-limits"),
            at=asked.now,
            station_id=asked.station_id,
            profile_id=profile_id,
            limits=obj(asked.request, "scheduleUpdate"),
        )


@messages.ask("UsePriorityCharging")
def use_priority_charging(asked: Asked) -> Iterable[Fact]:
    """K21. Asks for priority charging, or to end it."""
    if asked.response.get("status") == "Accepted":
        yield PriorityChargingTold(
            key=asked.key("priority"),
            at=asked.now,
            station_id=asked.station_id,
            transaction_id=text(asked.request, "transactionId", 64),
            active=asked.request.get("activate") is True,
        )
