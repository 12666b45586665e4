"""OCPP 2.1 N. Diagnostics: periodic event streams."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, record
from csms.ocpp.message import Messages

messages = Messages("N. Diagnostics")


@messages.answer("OpenPeriodicEventStream")
async def open_periodic_event_stream(ctx: StationContext, payload: Payload) -> Payload:
    """N11. Keeps what the station said."""
    await record(ctx, "OpenPeriodicEventStream", payload)
    return {"status": "Accepted"}


@messages.answer("ClosePeriodicEventStream")
async def close_periodic_event_stream(ctx: StationContext, payload: Payload) -> Payload:
    """N13. Keeps what the station said."""
    await record(ctx, "ClosePeriodicEventStream", payload)
    return {}


@messages.unanswered("NotifyPeriodicEventStream")
async def notify_periodic_event_stream(ctx: StationContext, payload: Payload) -> None:
    """N15. Keeps what the station said."""
    await record(ctx, "NotifyPeriodicEventStream", payload)


messages.plain("AdjustPeriodicEventStream", "N14. Changes how often a stream is sent.")
messages.plain("GetPeriodicEventStream", "N12. Asks for the open streams.")
