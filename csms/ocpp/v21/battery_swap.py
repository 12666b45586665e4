"""OCPP 2.1 S. Battery swapping."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("S. Battery swapping")


@messages.answer("BatterySwap")
async def battery_swap(ctx: StationContext, payload: Payload) -> Payload:
    """S01–S03. Keeps what the station said."""
    await record(ctx, "BatterySwap", payload)
    return {}


messages.plain("RequestBatterySwap", "S02. Asks the station to begin a swap.")
