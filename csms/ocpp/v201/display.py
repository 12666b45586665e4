"""OCPP 2.0.1 O. Display message."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("O. Display message")


@messages.answer("NotifyDisplayMessages")
async def notify_display_messages(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyDisplayMessages", payload)
    return {}


messages.plain("ClearDisplayMessage", "O05. Removes a message from the display.")
messages.plain("GetDisplayMessages", "O03, O04. Asks for the configured messages.")
messages.plain("SetDisplayMessage", "O01, O02, O06. Puts a message on the display.")
