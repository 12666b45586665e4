"""OCPP 2.0.1 K. Smart charging."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("K. Smart charging")


@messages.answer("ClearedChargingLimit")
async def cleared_charging_limit(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "ClearedChargingLimit", payload)
    return {}


@messages.answer("NotifyChargingLimit")
async def notify_charging_limit(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyChargingLimit", payload)
    return {}


@messages.answer("NotifyEVChargingNeeds")
async def notifyev_charging_needs(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyEVChargingNeeds", payload)
    return {"status": "Rejected"}


@messages.answer("NotifyEVChargingSchedule")
async def notifyev_charging_schedule(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyEVChargingSchedule", payload)
    return {"status": "Accepted"}


@messages.answer("ReportChargingProfiles")
async def report_charging_profiles(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "ReportChargingProfiles", payload)
    return {}


messages.plain("ClearChargingProfile", "K10. Removes charging profiles.")
messages.plain("GetChargingProfiles", "K09. Asks for installed charging profiles.")
messages.plain("GetCompositeSchedule", "K08. Asks for the schedule that results from all profiles.")
messages.plain("SetChargingProfile", "K01. Installs a charging profile.")
