"""Local authorization lists: what each station has accepted, and what it lacks of the id tokens we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for, upsert
from storage import authorization_schema as t
from storage import schema
from storage.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An entry of a list, version-free. Times as ISO 8601 text: an entry is compared with what was sent before."""

    id_token: str
    status: str
    token_type: str = "ISO14443"  # noqa: S105 - OCPP 2.0.1 IdTokenEnumType
    group_id: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUpdate:
    """What to send. ``full``: all of the list; else what changed. ``removed``: tokens to take out."""

    version: int
    full: bool
    entries: tuple[Listed, ...]
    removed: tuple[str, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalListAnswered(StationFact):
    """The station's answer to an update. ``status``: Accepted, or why not."""

    update: ListUpdate
    status: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LocalListVersionTold(StationFact):
    """The version the station says it has; -1: it knows no lists (1.6), 0: it has none."""

    version: int


async def keep_answers(connection: AsyncConnection, found: Sequence[LocalListAnswered], now: datetime) -> list[Command]:
    """Take over what was accepted; note what was not."""
    entries, lists = t.local_list_entries, t.local_lists
    for fact in found:
        accepted = fact.status == "Accepted"
        known = (
            await connection.execute(select(lists.c.version).where(lists.c.station_id == fact.station_id))
        ).scalar()
        row = {
            "station_id": fact.station_id,
            "version": fact.update.version if accepted else known or 0,
            "status": fact.status[:20],
            "updated_at": now,
        }
        await upsert(connection, lists, ["station_id"], [row])
        if not accepted:
            continue
        gone = entries.c.station_id == fact.station_id
        if not fact.update.full:
            gone &= entries.c.id_token.in_([*fact.update.removed, *(e.id_token for e in fact.update.entries)])
        await connection.execute(delete(entries).where(gone))
        rows = {
            entry.id_token: {
                "station_id": fact.station_id,
                "id_token": entry.id_token,
                "rights": orjson.dumps(asdict(entry)).decode(),
            }
            for entry in fact.update.entries
        }
        if rows:
            await connection.execute(entries.insert(), list(rows.values()))
    return []


async def keep_versions(
    connection: AsyncConnection, found: Sequence[LocalListVersionTold], now: datetime
) -> list[Command]:
    """Note the version the station says it has."""
    for fact in found:
        insert = insert_for(connection)(t.local_lists).values(
            station_id=fact.station_id, version=0, told_version=fact.version, status="", updated_at=now
        )
        told = {"told_version": fact.version}
        await connection.execute(insert.on_conflict_do_update(index_elements=["station_id"], set_=told))
    return []


KEEPERS = {LocalListAnswered: (keep_answers,), LocalListVersionTold: (keep_versions,)}


async def accepted_entries(engine: AsyncEngine, station_id: str) -> dict[str, Listed]:
    """What the station has, by token."""
    e = t.local_list_entries.c
    async with reading(engine) as connection:
        rows = await connection.execute(select(e.id_token, e.rights).where(e.station_id == station_id))
        return {row.id_token: Listed(**orjson.loads(row.rights)) for row in rows}


async def wanted_entries(engine: AsyncEngine) -> dict[str, Listed]:
    """What every station should have: the id tokens we know, but for master passes, which start nothing."""
    k = schema.id_tokens.c
    async with reading(engine) as connection:
        rows = await connection.execute(select(schema.id_tokens).where(k.master_pass.is_(False)))
        return {
            row.id_token: Listed(
                id_token=row.id_token,
                status=row.status,
                token_type=row.token_type or "ISO14443",
                group_id=row.group_id,
                expires_at=row.expires_at.isoformat() if row.expires_at else None,
            )
            for row in rows
        }


def update_for(
    has: Mapping[str, Listed], wanted: Mapping[str, Listed], *, version: int, told: int | None, status: str
) -> ListUpdate | None:
    """What brings a station from ``has`` to ``wanted``; None if nothing does. Pure.

    Everything is sent where the station has nothing of ours, refused the last update, or says it has another version.
    """
    full = version == 0 or status != "Accepted" or (told is not None and told != version)
    following = max(version, told or 0) + 1
    if full:
        return ListUpdate(version=following, full=True, entries=tuple(wanted[name] for name in sorted(wanted)))
    changed = tuple(wanted[name] for name in sorted(wanted) if has.get(name) != wanted[name])
    removed = tuple(sorted(set(has) - set(wanted)))
    if not changed and not removed:
        return None
    return ListUpdate(version=following, full=False, entries=changed, removed=removed)
