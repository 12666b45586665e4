"""OCPP 2.0.1 G. Availability."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, Unusable, moment, obj, stamp, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.availability import AvailabilityChanged
from sessions import facts
from sessions.facts import EvseStatus, Fact

messages = Messages("G. Availability")


@messages.answer("Heartbeat", tolerant=True)
async def heartbeat(ctx: StationContext, _: Payload) -> Payload:
    """G02. Answers the time."""
    return {"currentTime": stamp(ctx.now())}


@messages.answer("StatusNotification", tolerant=True)
async def status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """G01. Some stations send EVSE 0, connector 0: the station itself."""
    evse_id, raw = whole(payload, "evseId"), text(payload, "connectorStatus", 20)
    if evse_id is None or evse_id < 0 or raw not in EvseStatus.__members__.values():
        raise Unusable("evseId or connectorStatus is missing or unknown")
    await ctx.submit(
        facts.EvseStatusReported(
            key=ctx.unique_key("status"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=evse_id,
            connector_id=whole(payload, "connectorId") or 0,
            status=EvseStatus(raw),
            station_time=moment(payload.get("timestamp")),
            raw_status=raw,
        )
    )
    return {}


@messages.ask("ChangeAvailability")
def change_availability(asked: Asked) -> Iterator[Fact]:
    """G03, G04. Takes a connector, an EVSE or the station into or out of service; it outlives a restart."""
    if text(asked.response, "status") in {"Accepted", "Scheduled"}:
        evse = obj(asked.request, "evse")
        yield AvailabilityChanged(
            key=asked.key("availability"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=evse.get("id", 0),
            connector_id=evse.get("connectorId", 0),
            operative=asked.request["operationalStatus"] == "Operative",
            scheduled=text(asked.response, "status") == "Scheduled",
            requested_by=asked.requested_by,
        )
