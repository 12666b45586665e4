"""Local authorization lists: what each station has accepted, and what it lacks of the id tokens we know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for, token_record, upsert
from storage import authorization_schema as t
from storage import schema
from storage.device_model_schema import variables
from storage.engine import reading, writing


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
    """What to send. ``full``: all of the list; else what changed. ``removed``: tokens to take out, with their types."""

    version: int
    full: bool
    entries: tuple[Listed, ...]
    removed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWish:
    """What an operator wants on a station's list. ``id_tokens`` None: all there are.

    ``entries_per_message``: more than so many go in several messages; None: as many as the station says it takes.
    """

    id_tokens: frozenset[str] | None = None
    entries_per_message: int | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStanding:
    """How a station's list stands. ``version``: of the list it last accepted; ``status``: of the last update."""

    wish: ListWish
    takes: int | None = None  # entries in a message, as the station says
    version: int = 0
    told_version: int | None = None
    status: str = ""
    updated_at: datetime | None = None
    has: Mapping[str, Listed] = field(default_factory=dict)
    wanted: Mapping[str, Listed] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # wanted, and longer than the station's version can say

    def update(self) -> ListUpdate | None:
        """What brings the station nearer to what is wanted; None if it has that.

        Everything is sent where the station has nothing of ours, refused the last update, or says it has another
        version. What does not fit into a message is left to the next one.
        """
        told = self.told_version
        full = self.version == 0 or self.status != "Accepted" or (told is not None and told != self.version)
        has = {} if full else self.has
        changed = [self.wanted[name] for name in sorted(self.wanted) if has.get(name) != self.wanted[name]]
        removed = [has[name] for name in sorted(set(has) - set(self.wanted))]
        if not full and not changed and not removed:
            return None
        most = self.wish.entries_per_message or self.takes or len(changed) + len(removed)
        return ListUpdate(
            version=max(self.version, told or 0) + 1,
            full=full,
            entries=tuple(changed[:most]),
            removed={entry.id_token: entry.token_type for entry in removed[: max(0, most - len(changed))]},
        )


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
        if accepted:  # what it said before is over
            row["told_version"] = None
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


async def standing(engine: AsyncEngine, station_id: str, now: datetime, *, longest: int) -> ListStanding:
    """How the station's list stands. ``longest``: characters of an id token that its version can say."""
    lists, e, w, k = t.local_lists.c, t.local_list_entries.c, t.local_list_wishes.c, schema.id_tokens.c
    async with reading(engine) as connection:
        row = (await connection.execute(select(t.local_lists).where(lists.station_id == station_id))).first()
        accepted = await connection.execute(select(e.id_token, e.rights).where(e.station_id == station_id))
        has = {entry.id_token: Listed(**orjson.loads(entry.rights)) for entry in accepted}
        asked = (await connection.execute(select(t.local_list_wishes).where(w.station_id == station_id))).first()
        wish = _wish(asked) if asked is not None else ListWish()
        takes = (await connection.execute(_items_per_message(station_id))).scalar()
        # A master pass starts nothing: it is on no list.
        known = await connection.execute(select(schema.id_tokens).where(k.master_pass.is_(False)))
        wanted = {
            token.id_token: Listed(
                id_token=token.id_token,
                status=token_record(token).standing(now).value,
                token_type=token.token_type or "ISO14443",
                group_id=token.group_id,
                expires_at=token.expires_at.isoformat() if token.expires_at else None,
            )
            for token in known
            if wish.id_tokens is None or token.id_token in wish.id_tokens
        }
    return ListStanding(
        wish=wish,
        takes=(int(takes) or None) if takes is not None and re.fullmatch("[0-9]{1,9}", takes) else None,
        version=row.version if row else 0,
        told_version=row.told_version if row else None,
        status=row.status if row else "",
        updated_at=row.updated_at if row else None,
        has=has,
        wanted={name: listed for name, listed in wanted.items() if len(name) <= longest},
        left_out=tuple(sorted(name for name in wanted if len(name) > longest)),
    )


def _items_per_message(station_id: str) -> Select[Any]:
    """LocalAuthListCtrlr.ItemsPerMessage; 1.6 SendLocalListMaxLength is kept under this name."""
    v = variables.c
    which = (v.component == "LocalAuthListCtrlr", v.variable == "ItemsPerMessage", v.attribute == "Actual")
    return select(v.value).where(v.station_id == station_id, *which).limit(1)


def _wish(row: Any) -> ListWish:
    return ListWish(
        id_tokens=frozenset(orjson.loads(row.id_tokens)) if row.id_tokens is not None else None,
        entries_per_message=row.entries_per_message,
        revision=row.revision,
    )


async def wish_for(engine: AsyncEngine, station_id: str, wish: ListWish) -> bool:
    """Write what is wanted as the revision after ``wish.revision``; False if somebody else did so meanwhile."""
    w = t.local_list_wishes.c
    row = {
        "id_tokens": orjson.dumps(sorted(wish.id_tokens)).decode() if wish.id_tokens is not None else None,
        "entries_per_message": wish.entries_per_message,
        "revision": wish.revision + 1,
    }
    async with writing(engine) as connection:
        insert = insert_for(connection)(t.local_list_wishes).values(station_id=station_id, **row)
        written = await connection.execute(
            insert.on_conflict_do_update(index_elements=["station_id"], set_=row, where=w.revision == wish.revision)
        )
    return bool(written.rowcount)
