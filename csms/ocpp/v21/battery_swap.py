"""OCPP 2.1 S. Battery swapping."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, obj, objects, text, whole
from csms.ocpp.message import Messages
from csms.stations.battery_swaps import BatterySwapped

messages = Messages("S. Battery swapping")

#: More batteries than any station swaps at once.
MOST_BATTERIES = 50


@messages.answer("BatterySwap")
async def battery_swap(ctx: StationContext, payload: Payload) -> Payload:
    """S. Keeps which batteries went in or out, and for whom."""
    await ctx.submit(
        BatterySwapped(
            key=ctx.unique_key("battery-swap"),
            at=ctx.now(),
            station_id=ctx.station_id,
            event=text(payload, "eventType", 20),
            request_id=whole(payload, "requestId"),
            id_token=text(obj(payload, "idToken"), "idToken"),
            batteries=tuple(objects(payload, "batteryData")[:MOST_BATTERIES]),
        )
    )
    return {}


messages.plain("RequestBatterySwap", "S. Asks the station to begin a swap for an id token.")
