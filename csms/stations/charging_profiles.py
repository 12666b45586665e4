"""Charging profiles: what limits a station's charging, as we installed it and as the station reports it.

A profile lives until it is replaced, cleared, or, as a TxProfile, until its transaction ends (2.0.1 K01, K10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command, Timer
from sessions.facts import DeadlineReached, StationFact, TransactionEnded, TransactionStarted, TransactionUpdated
from sessions.rows import upsert
from sessions.tables import RUNNING, Charging
from storage import charging_profile_schema as t
from storage import schema

TX_PROFILE = "TxProfile"
EXTERNAL = "ChargingStationExternalConstraints"
#: 2.0.1 ChargingLimitSourceEnumType: the profiles of this system.
OURS = "CSO"

_KEY = ["station_id", "evse_id", "profile_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfile:
    """2.0.1 ChargingProfileType; ``body`` is all of it."""

    profile_id: int
    stack_level: int
    purpose: str
    kind: str
    transaction_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which profiles: those that fit everything that is given. EVSE 0: those of the station itself."""

    profile_ids: tuple[int, ...] = ()
    evse_id: int | None = None
    purpose: str | None = None
    stack_level: int | None = None
    sources: tuple[str, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfileInstalled(StationFact):
    """The station took a profile; it replaces the one of its id.

    ``replaces_level``: also those of its EVSE, purpose and stack level (1.6 §5.16; 2.0.1 stations refuse it then).
    ``id_token``, ``remote_start_id``: of the remote start it came with, by which its transaction is known.
    """

    evse_id: int
    profile: ChargingProfile
    replaces_level: bool = False
    id_token: str = ""
    remote_start_id: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfilesCleared(StationFact):
    """The station removed these profiles, or has none of them (K10). External ones stay (K10.FR.06)."""

    which: Criteria


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfilesAsked(StationFact):
    """The station will report these profiles (K09): what is not among them is gone."""

    request_id: int
    which: Criteria


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class NoChargingProfiles(StationFact):
    """Asked for these profiles, the station has none (K09)."""

    which: Criteria


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfilesReported(StationFact):
    """One part of a report (K09). ``last``: no more parts follow."""

    request_id: int
    evse_id: int
    source: str
    profiles: tuple[ChargingProfile, ...]
    last: bool


# --- what we did ------------------------------------------------------------------------------------------------------


async def keep_installed(
    connection: AsyncConnection, found: Sequence[ChargingProfileInstalled], now: datetime
) -> list[Command]:
    """Write the profiles in place of those they replace."""
    p = t.charging_profiles.c
    for fact in found:
        profile = fact.profile
        replaced: ColumnElement[bool] = p.profile_id == profile.profile_id
        if fact.replaces_level:
            level = (p.evse_id == fact.evse_id) & (p.purpose == profile.purpose)
            replaced = or_(replaced, level & (p.stack_level == profile.stack_level))
        mine = p.station_id == fact.station_id
        await connection.execute(delete(t.charging_profiles).where(mine, p.source == OURS, replaced))
        row = _row(fact.station_id, fact.evse_id, OURS, profile, False, now)
        if profile.purpose == TX_PROFILE and profile.transaction_id is None:
            row["transaction_id"] = await _begun_meanwhile(connection, fact)
        await upsert(connection, t.charging_profiles, _KEY, [row])
    return []


async def _begun_meanwhile(connection: AsyncConnection, fact: ChargingProfileInstalled) -> str | None:
    """The transaction of a remote start, if it overtook the station's answer."""
    s = schema.sessions.c
    told = s.id_token == fact.id_token.upper()
    if fact.remote_start_id is not None:
        told = or_(told, s.remote_start_id == fact.remote_start_id)
    query = select(s.transaction_id).where(s.station_id == fact.station_id, s.charging.in_(_states(RUNNING)), told)
    running: str | None = (await connection.execute(query.limit(1))).scalar()
    return running


async def keep_cleared(
    connection: AsyncConnection, found: Sequence[ChargingProfilesCleared], now: datetime
) -> list[Command]:
    """Forget the profiles."""
    for fact in found:
        ours = t.charging_profiles.c.purpose != EXTERNAL
        await connection.execute(delete(t.charging_profiles).where(ours, *_fitting(fact.station_id, fact.which)))
    return []


# --- what the station says --------------------------------------------------------------------------------------------


async def keep_asked(
    connection: AsyncConnection, found: Sequence[ChargingProfilesAsked], now: datetime
) -> list[Command]:
    """Note which profiles the report is to bring."""
    for fact in found:
        awaited = update(t.charging_profiles).where(*_fitting(fact.station_id, fact.which))
        await connection.execute(awaited.values(awaited_in=fact.request_id))
    return []


async def keep_none(connection: AsyncConnection, found: Sequence[NoChargingProfiles], now: datetime) -> list[Command]:
    """Forget the profiles that the station does not have."""
    for fact in found:
        await connection.execute(delete(t.charging_profiles).where(*_fitting(fact.station_id, fact.which)))
    return []


async def keep_reported(
    connection: AsyncConnection, found: Sequence[ChargingProfilesReported], now: datetime
) -> list[Command]:
    """Write what the station says it has; after the last part, forget what was asked for and not said."""
    rows = {
        (fact.station_id, fact.evse_id, profile.profile_id): _row(
            fact.station_id, fact.evse_id, fact.source, profile, True, now
        )
        for fact in found
        for profile in fact.profiles
    }
    if rows:
        await upsert(connection, t.charging_profiles, _KEY, list(rows.values()))
    p = t.charging_profiles.c
    for fact in found:
        if fact.last:
            gone = (p.station_id == fact.station_id, p.awaited_in == fact.request_id)
            await connection.execute(delete(t.charging_profiles).where(*gone))
    return []


# --- transactions begin and end ---------------------------------------------------------------------------------------


async def keep_begun(
    connection: AsyncConnection, found: Sequence[TransactionStarted | TransactionUpdated], now: datetime
) -> list[Command]:
    """The profile of a remote start gets its transaction; an earlier transaction's profiles are over."""
    p = t.charging_profiles.c
    for fact in found:
        if isinstance(fact, TransactionUpdated) and fact.remote_start_id is None:
            continue
        evse_id, transaction_id = await _place_of(connection, fact)
        if evse_id is None or transaction_id is None:
            continue
        mine = (p.station_id == fact.station_id, p.purpose == TX_PROFILE)
        over = (p.evse_id == evse_id, p.transaction_id.is_not(None), p.transaction_id != transaction_id)
        await connection.execute(delete(t.charging_profiles).where(*mine, *over))
        waiting = (*mine, p.evse_id.in_([evse_id, 0]), p.transaction_id.is_(None))
        rows = (await connection.execute(select(t.charging_profiles).where(*waiting))).mappings().all()
        if rows:
            await connection.execute(delete(t.charging_profiles).where(*waiting))
            begun = {row["profile_id"]: {**row, "evse_id": evse_id, "transaction_id": transaction_id} for row in rows}
            await upsert(connection, t.charging_profiles, _KEY, list(begun.values()))
    return []


async def _place_of(
    connection: AsyncConnection, fact: TransactionStarted | TransactionUpdated
) -> tuple[int | None, str | None]:
    """EVSE and id of a transaction; the session of this commit knows what the message leaves out (1.6: the id)."""
    if fact.evse_id is not None and fact.transaction_id is not None:
        return fact.evse_id, fact.transaction_id
    s = schema.sessions.c
    which = s.transaction_id == fact.transaction_id if fact.transaction_id else s.evse_id == fact.evse_id
    query = select(s.evse_id, s.transaction_id).where(s.station_id == fact.station_id, which)
    query = query.where(s.charging.in_(_states(RUNNING))).order_by(s.opened_at.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return (row.evse_id, row.transaction_id) if row else (None, None)


async def keep_ended(connection: AsyncConnection, found: Sequence[TransactionEnded], now: datetime) -> list[Command]:
    """K01: a TxProfile ends with its transaction."""
    p = t.charging_profiles.c
    for fact in found:
        if fact.transaction_id:
            over = (p.station_id == fact.station_id, p.transaction_id == fact.transaction_id)
            await connection.execute(delete(t.charging_profiles).where(p.purpose == TX_PROFILE, *over))
    return []


async def keep_never_begun(
    connection: AsyncConnection, found: Sequence[DeadlineReached], now: datetime
) -> list[Command]:
    """Nobody plugged in: the profile of the remote start is gone with it."""
    s, p = schema.sessions.c, t.charging_profiles.c
    given_up = [fact.session_id for fact in found if fact.timer == Timer.START]
    if given_up:
        query = select(s.station_id, s.evse_id).where(s.session_id.in_(given_up))
        for row in await connection.execute(query.where(s.charging == Charging.NOT_STARTED.value)):
            waiting = (p.purpose == TX_PROFILE, p.transaction_id.is_(None))
            place = (p.station_id == row.station_id, p.evse_id == row.evse_id)
            await connection.execute(delete(t.charging_profiles).where(*place, *waiting))
    return []


KEEPERS = {
    ChargingProfileInstalled: (keep_installed,),
    ChargingProfilesCleared: (keep_cleared,),
    ChargingProfilesAsked: (keep_asked,),
    NoChargingProfiles: (keep_none,),
    ChargingProfilesReported: (keep_reported,),
    TransactionStarted: (keep_begun,),
    TransactionUpdated: (keep_begun,),
    TransactionEnded: (keep_ended,),
    DeadlineReached: (keep_never_begun,),
}


def _states(states: frozenset[Charging]) -> list[str]:
    return [state.value for state in states]


def _fitting(station_id: str, which: Criteria) -> list[ColumnElement[bool]]:
    p = t.charging_profiles.c
    fitting = [p.station_id == station_id]
    if which.profile_ids:
        fitting.append(p.profile_id.in_(which.profile_ids))
    if which.sources:
        fitting.append(p.source.in_(which.sources))
    for column, wanted in ((p.evse_id, which.evse_id), (p.purpose, which.purpose), (p.stack_level, which.stack_level)):
        if wanted is not None:
            fitting.append(column == wanted)
    return fitting


def _row(
    station_id: str, evse_id: int, source: str, profile: ChargingProfile, reported: bool, now: datetime
) -> dict[str, Any]:
    return {
        "station_id": station_id,
        "evse_id": evse_id,
        "profile_id": profile.profile_id,
        "stack_level": profile.stack_level,
        "purpose": profile.purpose,
        "kind": profile.kind,
        "transaction_id": profile.transaction_id,
        "source": source,
        "valid_from": profile.valid_from,
        "valid_to": profile.valid_to,
        "body": orjson.dumps(profile.body).decode(),
        "reported": reported,
        "awaited_in": None,
        "updated_at": now,
    }
