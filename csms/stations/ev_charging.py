"""What cars ask for over ISO 15118, and the schedules they choose (2.0.1 K15–K17).

The needs are answered with a TxProfile, decided in `sessions.limits`. A car's schedule beyond its profile is refused,
and the profile is sent again; a car that never keeps to it is not asked for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations import calls
from csms.stations.charging_profiles import TX_PROFILE
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.limits import EvChargingNeedsTold
from sessions.rows import upsert
from sessions.tables import RUNNING
from storage import charging_profile_schema as t
from storage import schema

#: How often a transaction's profile is sent again because the car's schedule is beyond it.
RENEGOTIATIONS = 3
BY = "tapvolt"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class EvChargingScheduleTold(StationFact):
    """The schedule a car means to keep to; ``within_limits``: of its TxProfile."""

    evse_id: int
    time_base: datetime | None
    within_limits: bool
    schedule: dict[str, Any]


async def keep_needs(connection: AsyncConnection, found: Sequence[EvChargingNeedsTold], now: datetime) -> list[Command]:
    """Write the newest of each EVSE."""
    for fact in found:
        row = {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "transaction_id": await _running(connection, fact.station_id, fact.evse_id),
            "max_periods": fact.max_periods,
            "departs_at": fact.departs_at,
            "needs": orjson.dumps(fact.needs).decode(),
            "told_at": now,
        }
        await upsert(connection, t.ev_charging_needs, ["station_id", "evse_id"], [row])
    return []


async def keep_schedules(
    connection: AsyncConnection, found: Sequence[EvChargingScheduleTold], now: datetime
) -> list[Command]:
    """Write the newest of each EVSE; send the profile again that one is beyond (K15.FR.13, K17.FR.13)."""
    commands: list[Command] = []
    for fact in found:
        transaction_id = await _running(connection, fact.station_id, fact.evse_id)
        again = 0
        if not fact.within_limits:
            s = t.ev_charging_schedules.c
            known = (s.station_id == fact.station_id, s.evse_id == fact.evse_id, s.transaction_id == transaction_id)
            query = select(s.renegotiated).where(*known)
            again = ((await connection.execute(query)).scalar() or 0) + 1
            if again <= RENEGOTIATIONS:
                commands += await _renegotiate(connection, fact, now)
        row = {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "transaction_id": transaction_id,
            "time_base": fact.time_base,
            "within_limits": fact.within_limits,
            "renegotiated": again,
            "schedule": orjson.dumps(fact.schedule).decode(),
            "told_at": now,
        }
        await upsert(connection, t.ev_charging_schedules, ["station_id", "evse_id"], [row])
    return commands


async def _renegotiate(connection: AsyncConnection, fact: EvChargingScheduleTold, now: datetime) -> list[Command]:
    """K16: the profile that is to be kept to, once more."""
    p = t.charging_profiles.c
    mine = (p.station_id == fact.station_id, p.evse_id == fact.evse_id, p.purpose == TX_PROFILE)
    body = (await connection.execute(select(p.body).where(*mine).order_by(p.stack_level.desc()).limit(1))).scalar()
    if body is None:
        return []
    payload = {"evseId": fact.evse_id, "chargingProfile": orjson.loads(body)}
    asked = calls.request(fact.station_id, "SetChargingProfile", payload, by=BY, now=now)
    return await calls.keep_requests(connection, [asked], now)


async def _running(connection: AsyncConnection, station_id: str, evse_id: int) -> str | None:
    s = schema.sessions.c
    query = select(s.transaction_id).where(s.station_id == station_id, s.evse_id == evse_id)
    query = query.where(s.charging.in_([state.value for state in RUNNING])).order_by(s.opened_at.desc()).limit(1)
    running: str | None = (await connection.execute(query)).scalar()
    return running


KEEPERS = {EvChargingNeedsTold: (keep_needs,), EvChargingScheduleTold: (keep_schedules,)}
