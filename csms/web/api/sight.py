"""Sight: a station's messages (searched, followed live), connections, uptime, and breaches of the standard."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import Field
from sqlalchemy import func, select

from csms.stations.frame_log import Frame
from csms.stations.history import Span, station_uptime
from csms.web.api.operation import ApiCall, Body, Moment, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.stations import require_station
from storage import schema
from storage import sight_schema as t
from storage.engine import reading

resource = Resource("sight")

KEEP_ALIVE_S = 15


class FrameShown(Shown):
    """A frame. Secrets and card numbers are masked."""

    frame_id: int
    at: datetime
    direction: Literal["in", "out"] = Field(description="in: from the station.")
    kind: str
    message_id: str | None
    action: str | None
    body: str
    size: int = Field(description="Bytes on the wire.")


class FrameFilter(PageQuery):
    """Which frames."""

    direction: Literal["in", "out"] | None = Field(None, description="Only these.")
    kind: str | None = Field(None, max_length=16, description="call, result, error, malformed, …")
    action: str | None = Field(None, max_length=64, description="Only this action and its answers.")
    message_id: str | None = Field(None, max_length=36, description="Only this message and its answer.")
    contains: str | None = Field(None, max_length=100, description="Only frames with this text in them.")
    since: Moment | None = Field(None, description="Not before.")
    until: Moment | None = Field(None, description="Before.")


@resource.get("/stations/{station_id}/messages", Page[FrameShown], query=FrameFilter)
async def list_messages(call: ApiCall) -> Page[FrameShown]:
    """Search a station's frame log, the newest first."""
    await require_station(call)
    await call.api.frame_log.flush()
    f, asked = t.frames.c, call.query
    query = select(t.frames).where(f.station_id == call.path["station_id"])
    for name in ("direction", "kind", "action", "message_id"):
        if getattr(asked, name) is not None:
            query = query.where(f[name] == getattr(asked, name))
    if asked.contains is not None:
        query = query.where(f.body.contains(asked.contains, autoescape=True))
    if asked.since is not None:
        query = query.where(f.at >= asked.since)
    if asked.until is not None:
        query = query.where(f.at < asked.until)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [f.frame_id], asked, _frame, newest_first=True)


def _frame(row: Any) -> FrameShown:
    return FrameShown(**{name: getattr(row, name) for name in FrameShown.model_fields})


@resource.get("/stations/{station_id}/messages/stream", None, content_type="text/event-stream")
async def follow_messages(call: ApiCall) -> web.StreamResponse:
    """Follow a station's frames live, as server-sent events (`event: frame`, JSON in `data`).

    Frames pass whether or not they are logged. A follower that is too slow is cut off, and may come back.
    """
    await require_station(call)
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    async with call.api.frame_log.following(call.path["station_id"]) as frames:
        await response.prepare(call.request)
        await response.write(b": following\n\n")
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    frame = await frames.get()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if frame is None:
                return response
            await response.write(b"event: frame\ndata: " + _event(frame) + b"\n\n")


def _event(frame: Frame) -> bytes:
    return orjson.dumps({name: getattr(frame, name) for name in Frame.__dataclass_fields__})


class ConnectionShown(Shown):
    """One connection of a station."""

    connection_id: int
    epoch: int
    version: str
    remote_address: str
    security_profile: int
    opened_at: datetime
    closed_at: datetime | None
    reason: str | None


@resource.get("/stations/{station_id}/connections", Page[ConnectionShown], query=PageQuery)
async def list_connections(call: ApiCall) -> Page[ConnectionShown]:
    """List a station's connections, the newest first."""
    await require_station(call)
    c = t.connections.c
    query = select(t.connections).where(c.station_id == call.path["station_id"])

    def shown(row: Any) -> ConnectionShown:
        return ConnectionShown(**{name: getattr(row, name) for name in ConnectionShown.model_fields})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.connection_id], call.query, shown, newest_first=True)


class UptimeShown(Shown):
    """How an EVSE stood, in seconds; `ratio` is null where it was not observed."""

    evse_id: int
    observed_s: int
    up_s: int
    offline_s: int
    faulted_s: int
    unavailable_s: int
    ratio: float | None


class StationUptime(Shown):
    """Each EVSE of a station in a period."""

    since: datetime
    until: datetime
    evses: list[UptimeShown]


class Period(Body):
    """Which period; the last 30 days by default."""

    since: Moment | None = Field(None, description="From.")
    until: Moment | None = Field(None, description="To; not in the future.")


@resource.get("/stations/{station_id}/uptime", StationUptime, query=Period, owners=True)
async def get_uptime(call: ApiCall) -> StationUptime:
    """Show the uptime of each EVSE: connected, and neither faulted nor unavailable."""
    await require_station(call)
    until = min(call.query.until or call.now, call.now)
    since = call.query.since or until - timedelta(days=30)
    if since >= until:
        raise Problem(400, "`since` must lie before `until`, and not in the future.")
    found = await station_uptime(call.api.engine, call.path["station_id"], Span(begin=since, end=until))
    names = [name for name in UptimeShown.model_fields if name != "ratio"]
    evses = [UptimeShown(**{n: getattr(up, n) for n in names}, ratio=up.ratio) for up in found]
    return StationUptime(since=since, until=until, evses=evses)


class FindingShown(Shown):
    """A breach of the standard by a station."""

    station_id: str
    vendor: str | None
    model: str | None
    firmware_version: str | None
    code: str
    action: str
    detail: str = Field(description="Of the first one.")
    occurrences: int
    first_at: datetime
    last_at: datetime


class FindingFilter(PageQuery):
    """Which findings."""

    station_id: str | None = Field(None, max_length=48, description="Only this station's.")
    code: str | None = Field(None, max_length=60, description="Only this kind.")
    vendor: str | None = Field(None, max_length=60, description="Only of this vendor's stations.")
    model: str | None = Field(None, max_length=60, description="Only of this model.")
    firmware_version: str | None = Field(None, max_length=60, description="Only with this firmware.")


@resource.get("/findings", Page[FindingShown], query=FindingFilter)
async def list_findings(call: ApiCall) -> Page[FindingShown]:
    """List what stations do against the standard."""
    f, s = schema.findings.c, schema.stations.c
    query = select(schema.findings, s.vendor, s.model, s.firmware_version).join_from(
        schema.findings, schema.stations, f.station_id == s.station_id, isouter=True
    )
    for column in (f.station_id, f.code, s.vendor, s.model, s.firmware_version):
        wanted = getattr(call.query, str(column.key))
        if wanted is not None:
            query = query.where(column == wanted)

    def shown(row: Any) -> FindingShown:
        return FindingShown(**{name: getattr(row, name) for name in FindingShown.model_fields})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [f.station_id, f.code, f.action], call.query, shown)


class FindingSummary(Shown):
    """A kind of breach, over all stations of one firmware of a model."""

    vendor: str | None
    model: str | None
    firmware_version: str | None
    code: str
    action: str
    stations: int
    occurrences: int
    last_at: datetime


class FindingSummaries(Shown):
    """All of them."""

    items: list[FindingSummary]


@resource.get("/findings/summary", FindingSummaries)
async def summarise_findings(call: ApiCall) -> FindingSummaries:
    """Add up the findings per vendor, model and firmware."""
    f, s = schema.findings.c, schema.stations.c
    group = (s.vendor, s.model, s.firmware_version, f.code, f.action)
    query = (
        select(
            *group,
            func.count().label("stations"),
            func.sum(f.occurrences).label("occurrences"),
            func.max(f.last_at).label("last_at"),
        )
        .join_from(schema.findings, schema.stations, f.station_id == s.station_id)
        .group_by(*group)
        .order_by(*group)
    )
    async with reading(call.api.engine) as connection:
        rows = (await connection.execute(query)).all()
    names = FindingSummary.model_fields
    return FindingSummaries(items=[FindingSummary(**{name: getattr(row, name) for name in names}) for row in rows])
