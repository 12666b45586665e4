"""Alarms: what somebody has to look at now. Opened once, reminded of, closed when it is over.

They are looked for at intervals, by a command in the outbox that is due again each time it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from billing.payment import Payment
from csms.terminals.due_dates import DAY, local_day
from csms.terminals.inventory import State
from csms.terminals.reminder_words import Phrase, named, say
from csms.terminals.reminders import remind
from csms.terminals.time_zones import Zones, zones
from csms.terminals.whereabouts import came_to
from sessions.codec import decode_session, register
from sessions.commands import Command
from sessions.rows import enqueue
from sessions.service import Dispatched, Service
from storage import care_schema as t
from storage import schema as s
from storage import terminal_schema as moves
from storage.engine import writing

WATCH = "watch-for-alarms"


class Kind(StrEnum):
    """What an alarm is about."""

    TERMINAL_OFFLINE = "terminal offline"
    STATION_OFFLINE = "station offline"
    FAILING = "failing taps"
    SILENT = "no taps"
    RELEASE_UNCONFIRMED = "release unconfirmed"
    CAPTURE_UNCONFIRMED = "capture unconfirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From when on something is an alarm (settings: `care`). ``every``: how often it is looked for."""

    every: timedelta
    terminal_offline: timedelta
    station_offline: timedelta
    failure_percent: int
    failure_taps: int
    silent: timedelta
    release: timedelta
    capture: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that is an alarm now."""

    kind: Kind
    about: str
    owner_id: str
    detail: Phrase


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class WatchForAlarms(Command):
    """Look for alarms, and close those that are over; then again after a while, for ever."""


class AlarmDoer:
    """Looks for alarms."""

    def __init__(
        self, service: Service, engine: AsyncEngine, now: Callable[[], datetime], thresholds: Thresholds
    ) -> None:
        self._service = service
        self._engine = engine
        self._now = now
        self._thresholds = thresholds

    async def begin(self) -> None:
        """At the start: look at once, and from then on."""
        now = self._now()
        async with writing(self._engine) as connection:
            await enqueue(connection, [WatchForAlarms(key=WATCH)], now)
            o = s.outbox.c
            mine = (o.command_key == WATCH, o.leased_by.is_(None))
            await connection.execute(update(s.outbox).where(*mine).values(due_at=now))
        self._service.wake(now)

    async def __call__(self, command: WatchForAlarms, _: Dispatched) -> None:
        """Look once."""
        now = self._now()
        async with writing(self._engine) as connection:
            opened = await watch(connection, self._thresholds, now)
        if opened:
            self._service.wake(now)
        await self._service.complete(command.key, retry_at=now + self._thresholds.every)


async def watch(connection: AsyncConnection, thresholds: Thresholds, now: datetime) -> int:
    """Open what is new, close what is over, in the caller's transaction; how many were opened."""
    zone_by_owner = await zones(connection)
    found = {(one.kind.value, one.about): one for one in await look(connection, thresholds, zone_by_owner, now)}
    a = t.alarms.c
    rows = (await connection.execute(select(a.alarm_id, a.kind, a.about).where(a.closed_at.is_(None)))).all()
    open_now = {(row.kind, row.about): row.alarm_id for row in rows}
    over = [alarm_id for key, alarm_id in open_now.items() if key not in found]
    for first in range(0, len(over), 500):
        mine = a.alarm_id.in_(over[first : first + 500])
        await connection.execute(update(t.alarms).where(mine).values(closed_at=now))
    fresh = [one for key, one in found.items() if key not in open_now]
    for one in fresh:
        await _open(connection, one, zone_by_owner, now)
    return len(fresh)


async def _open(connection: AsyncConnection, found: Found, zone_by_owner: Zones, now: datetime) -> None:
    alarm_id = f"alm_{secrets.token_hex(6)}"
    row = {
        "alarm_id": alarm_id,
        "kind": found.kind.value,
        "about": found.about,
        "owner_id": found.owner_id,
        "detail": found.detail.written("en"),  # as everything the API says
        "opened_at": now,
    }
    await connection.execute(t.alarms.insert().values(row))
    await remind(
        connection,
        now,
        key=f"alarm:{alarm_id}",
        owner_id=found.owner_id,
        kind="alarm",
        about=found.about,
        subject=say("alarm", kind=named(found.kind.value), about=found.about),
        body=[found.detail, say("alarm_closes")],
        due_on=local_day(now, zone_by_owner[found.owner_id]),
    )


async def look(connection: AsyncConnection, thresholds: Thresholds, zone_by_owner: Zones, now: datetime) -> list[Found]:
    """Everything that is an alarm now."""
    c = s.terminals.c
    live = (await connection.execute(select(s.terminals).where(c.inventory_state == State.LIVE.value))).all()
    return [
        *await _offline(connection, live, thresholds, now),
        *await _failing(connection, live, thresholds, zone_by_owner, now),
        *await _silent(connection, live, thresholds, now),
        *await _stations(connection, thresholds, now),
        *await _unconfirmed(connection, thresholds, now),
    ]


async def _offline(
    connection: AsyncConnection, live: Sequence[Any], thresholds: Thresholds, now: datetime
) -> list[Found]:
    p = t.terminal_presence.c
    newest = select(func.max(p.presence_id)).group_by(p.serial)
    query = select(p.serial, p.since).where(p.presence_id.in_(newest), p.online.is_(False))
    since = dict((await connection.execute(query)).all())
    return [
        Found(
            kind=Kind.TERMINAL_OFFLINE,
            about=row.serial,
            owner_id=row.owner_id,
            detail=say("terminal_offline", serial=row.serial, since=since[row.serial]),
        )
        for row in live
        if row.serial in since and now - since[row.serial] > thresholds.terminal_offline
    ]


async def _failing(
    connection: AsyncConnection, live: Sequence[Any], thresholds: Thresholds, zone_by_owner: Zones, now: datetime
) -> list[Found]:
    d = t.terminal_days.c
    counted: dict[str, list[Any]] = {}
    for row in await connection.execute(select(t.terminal_days).where(d.day >= now.date() - DAY * 2)):
        counted.setdefault(row.serial, []).append(row)
    found = []
    for terminal in live:
        yesterday = local_day(now, zone_by_owner[terminal.owner_id]) - DAY
        days = [row for row in counted.get(terminal.serial, []) if row.day >= yesterday]
        taps, failed = sum(row.taps for row in days), sum(row.declined + row.unanswered for row in days)
        if taps >= thresholds.failure_taps and failed * 100 >= thresholds.failure_percent * taps:
            detail = say("taps_failing", failed=failed, taps=taps, serial=terminal.serial, day=yesterday)
            found.append(Found(kind=Kind.FAILING, about=terminal.serial, owner_id=terminal.owner_id, detail=detail))
    return found


async def _silent(
    connection: AsyncConnection, live: Sequence[Any], thresholds: Thresholds, now: datetime
) -> list[Found]:
    """Without a tap since the last one, since it went live, or since it was first heard of; the latest counts."""
    h, m, p = t.terminal_health.c, moves.terminal_moves.c, t.terminal_presence.c
    since: dict[str, datetime] = {}
    for query in (
        select(h.serial, h.tapped_at).where(h.tapped_at.is_not(None)),
        select(m.serial, func.max(m.moved_at)).where(came_to(State.LIVE)).group_by(m.serial),
        select(p.serial, func.min(p.since)).group_by(p.serial),
    ):
        for serial, at in await connection.execute(query):
            since[serial] = max(at, since.get(serial, at))
    return [
        Found(
            kind=Kind.SILENT,
            about=row.serial,
            owner_id=row.owner_id,
            detail=say("taps_none", serial=row.serial, day=since[row.serial].date()),
        )
        for row in live
        if row.serial in since and now - since[row.serial] > thresholds.silent
    ]


async def _stations(connection: AsyncConnection, thresholds: Thresholds, now: datetime) -> list[Found]:
    c = s.stations.c
    away = (c.admission == "accepted", c.connected.is_(False), c.seen_at < now - thresholds.station_offline)
    return [
        Found(
            kind=Kind.STATION_OFFLINE,
            about=row.station_id,
            owner_id=row.owner_id,
            detail=say("station_offline", station=row.station_id, seen=row.seen_at),
        )
        for row in await connection.execute(select(c.station_id, c.owner_id, c.seen_at).where(*away))
    ]


async def _unconfirmed(connection: AsyncConnection, thresholds: Thresholds, now: datetime) -> list[Found]:
    """Money that nobody has confirmed: the concern of whoever's processor holds it."""
    c = s.sessions.c
    limits = {
        Payment.RELEASING: (Kind.RELEASE_UNCONFIRMED, thresholds.release),
        Payment.CAPTURING: (Kind.CAPTURE_UNCONFIRMED, thresholds.capture),
        Payment.CAPTURE_UNKNOWN: (Kind.CAPTURE_UNCONFIRMED, thresholds.capture),
    }
    waiting = (c.open, c.payment.in_([payment.value for payment in limits]))
    query = select(c.session_id, c.owner_id, c.account_id, c.payment, c.state).where(
        *waiting, c.opened_at < now - min(thresholds.release, thresholds.capture)
    )
    found = []
    for row in await connection.execute(query):
        session = decode_session(row.state)
        kind, limit = limits[Payment(row.payment)]
        since = session.lost_at or session.ended_at or session.held_at or session.opened_at
        if now - since > limit:
            detail = say("capture_unconfirmed", session=row.session_id, since=since)
            if kind is Kind.RELEASE_UNCONFIRMED:
                detail = say("release_unconfirmed", session=row.session_id, since=since)
            found.append(
                Found(
                    kind=kind,
                    about=row.session_id,
                    owner_id=row.owner_id if row.account_id else PLATFORM,
                    detail=detail,
                )
            )
    return found
