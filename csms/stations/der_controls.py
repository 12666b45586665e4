"""Controls of distributed energy resources at stations (OCPP 2.1 R): what is set, what runs, what alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for, upsert
from storage import energy_schema as t


@dataclass(frozen=True, slots=True, kw_only=True)
class DerControl:
    """One control. ``is_default`` None: the station did not say."""

    control_id: str
    control_type: str
    is_default: bool | None
    superseded: bool
    body: dict[str, Any]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DerControlsTold(StationFact):
    """Controls that a station has: one that it accepted, or a part of its report. ``superseded_ids``: by it."""

    controls: tuple[DerControl, ...]
    superseded_ids: tuple[str, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DerControlsCleared(StationFact):
    """A station removed one control, or all default ones, or all others, of a type or of any."""

    is_default: bool
    control_type: str
    control_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DerControlSwitched(StationFact):
    """A scheduled control started or stopped."""

    control_id: str
    started: bool
    station_time: datetime | None
    superseded_ids: tuple[str, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DerAlarmRaised(StationFact):
    """A grid event at a station: an alarm, or its end."""

    control_type: str
    fault: str
    ended: bool
    station_time: datetime | None
    extra_info: str


async def keep_controls(
    connection: AsyncConnection, found: Sequence[DerControlsTold], now: datetime
) -> Sequence[Command]:
    """Write each control in its last state."""
    for fact in found:
        rows = {
            one.control_id: {
                "station_id": fact.station_id,
                "control_id": one.control_id,
                "control_type": one.control_type,
                "is_default": one.is_default,
                "superseded": one.superseded,
                "told_at": now,
                "body": orjson.dumps(one.body, default=str).decode(),
            }
            for one in fact.controls
        }
        if rows:
            await upsert(connection, t.der_controls, ["station_id", "control_id"], list(rows.values()))
        await _supersede(connection, fact.station_id, fact.superseded_ids)
    return []


async def keep_cleared(
    connection: AsyncConnection, found: Sequence[DerControlsCleared], now: datetime
) -> Sequence[Command]:
    """Forget what the station removed."""
    c = t.der_controls.c
    for fact in found:
        which = [c.station_id == fact.station_id]
        if fact.control_id:
            which.append(c.control_id == fact.control_id)
        else:
            which.append(c.is_default == fact.is_default)
        if fact.control_type:
            which.append(c.control_type == fact.control_type)
        await connection.execute(delete(t.der_controls).where(*which))
    return []


async def keep_switched(
    connection: AsyncConnection, found: Sequence[DerControlSwitched], now: datetime
) -> Sequence[Command]:
    """Write that a control runs, or no longer; also of one that was set elsewhere."""
    for fact in found:
        state = {"started": fact.started, "started_at": fact.station_time or now, "told_at": now}
        new = {"control_type": "", "superseded": False, "body": "{}"}
        insert = insert_for(connection)(t.der_controls).values(
            station_id=fact.station_id, control_id=fact.control_id, **state, **new
        )
        await connection.execute(insert.on_conflict_do_update(index_elements=["station_id", "control_id"], set_=state))
        await _supersede(connection, fact.station_id, fact.superseded_ids)
    return []


async def _supersede(connection: AsyncConnection, station_id: str, control_ids: Sequence[str]) -> None:
    if control_ids:
        c = t.der_controls.c
        mine = (c.station_id == station_id, c.control_id.in_(control_ids))
        await connection.execute(update(t.der_controls).where(*mine).values(superseded=True))


async def keep_alarms(connection: AsyncConnection, found: Sequence[DerAlarmRaised], now: datetime) -> Sequence[Command]:
    """Write each alarm and each end of one."""
    rows = [
        {
            "station_id": fact.station_id,
            "control_type": fact.control_type,
            "fault": fact.fault or None,
            "ended": fact.ended,
            "station_time": fact.station_time,
            "told_at": now,
            "extra_info": fact.extra_info or None,
        }
        for fact in found
    ]
    await connection.execute(t.der_alarms.insert(), rows)
    return []


KEEPERS = {
    DerControlsTold: (keep_controls,),
    DerControlsCleared: (keep_cleared,),
    DerControlSwitched: (keep_switched,),
    DerAlarmRaised: (keep_alarms,),
}
