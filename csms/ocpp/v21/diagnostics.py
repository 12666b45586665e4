"""OCPP 2.1 N. Diagnostics: periodic event streams."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from csms.ocpp.dialect import Payload, StationContext, Unusable, decimal, moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.event_streams import EventStreamClosed, EventStreamOpened, EventStreamReceived
from sessions.facts import Fact

messages = Messages("N. Diagnostics")

#: Streams that a station may list at once; what a hostile one lists beyond is not kept.
MOST_STREAMS = 200
_LONGEST_OFFSET_S = 10**7


@messages.answer("OpenPeriodicEventStream")
async def open_periodic_event_stream(ctx: StationContext, payload: Payload) -> Payload:
    """N11. Keeps that a stream begins."""
    opened = _opened(ctx.unique_key("stream"), ctx.now(), ctx.station_id, obj(payload, "constantStreamData"))
    if opened is None:
        raise Unusable("constantStreamData.id is missing")
    await ctx.submit(opened)
    return {"status": "Accepted"}


@messages.answer("ClosePeriodicEventStream")
async def close_periodic_event_stream(ctx: StationContext, payload: Payload) -> Payload:
    """N13. Keeps that a stream ended."""
    stream_id = whole(payload, "id")
    if stream_id is None:
        raise Unusable("id is missing")
    await ctx.submit(
        EventStreamClosed(key=ctx.unique_key("stream"), at=ctx.now(), station_id=ctx.station_id, stream_id=stream_id)
    )
    return {}


@messages.unanswered("NotifyPeriodicEventStream")
async def notify_periodic_event_stream(ctx: StationContext, payload: Payload) -> None:
    """N15. Keeps the newest value of a stream, and how many came. Sent without an answer."""
    stream_id, values = whole(payload, "id"), objects(payload, "data")
    if stream_id is None or not values:
        return
    await ctx.submit(
        EventStreamReceived(
            key=ctx.unique_key("stream"),
            at=ctx.now(),
            station_id=ctx.station_id,
            stream_id=stream_id,
            count=len(values),
            pending=whole(payload, "pending"),
            last_value=text(values[-1], "v", 2500),
            last_value_at=_moment(payload, values[-1]),
        )
    )


def _moment(payload: Payload, value: Payload) -> datetime | None:
    base, offset = moment(payload.get("basetime")), decimal(value.get("t"))
    if base is None or offset is None or abs(offset) > _LONGEST_OFFSET_S or not 2000 < base.year < 9000:
        return None
    return base + timedelta(seconds=float(offset))


def _opened(key: str, at: datetime, station_id: str, stream: Payload) -> EventStreamOpened | None:
    stream_id, params = whole(stream, "id"), obj(stream, "params")
    if stream_id is None:
        return None
    return EventStreamOpened(
        key=key,
        at=at,
        station_id=station_id,
        stream_id=stream_id,
        monitor_id=whole(stream, "variableMonitoringId"),
        interval_s=whole(params, "interval"),
        values_at_once=whole(params, "values"),
    )


@messages.ask("GetPeriodicEventStream")
def get_periodic_event_stream(asked: Asked) -> Iterable[Fact]:
    """N12. Asks for the open streams."""
    for number, stream in enumerate(objects(asked.response, "constantStreamData")[:MOST_STREAMS]):
        opened = _opened(asked.key(f"stream-{number}"), asked.now, asked.station_id, stream)
        if opened is not None:
            yield opened


@messages.ask("AdjustPeriodicEventStream")
def adjust_periodic_event_stream(asked: Asked) -> Iterable[Fact]:
    """N14. Changes how often a stream is sent."""
    opened = _opened(asked.key("stream"), asked.now, asked.station_id, asked.request)
    if asked.response.get("status") == "Accepted" and opened is not None:
        yield opened
