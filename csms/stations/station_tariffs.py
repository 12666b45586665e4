"""Which tariffs stations use (OCPP 2.1 I07–I11), and what was ever told under which tariffId."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import ConformanceFound, StationFact
from sessions.kept import keep_findings
from sessions.rows import insert_for, upsert
from storage import payment_schema as t

DEFAULT = "DefaultTariff"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultTariffSet(StationFact):
    """A station accepted a default tariff. ``evse_id`` 0: for every EVSE; ``content``: TariffType, as it was sent."""

    evse_id: int
    ocpp_tariff_id: str
    content: dict[str, Any]
    valid_from: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A tariff in use. ``evse_ids``: empty for every EVSE."""

    ocpp_tariff_id: str
    kind: str
    evse_ids: tuple[int, ...]
    valid_from: datetime | None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TariffsReported(StationFact):
    """A station listed its tariffs. ``evse_id``: which it was asked about; 0: all."""

    evse_id: int
    assignments: tuple[Assignment, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TariffsCleared(StationFact):
    """A station removed tariffs, or had none of them. ``evse_id`` None: of any EVSE; no ids: all of them."""

    evse_id: int | None
    ocpp_tariff_ids: tuple[str, ...]


async def keep_defaults(
    connection: AsyncConnection, found: Sequence[DefaultTariffSet], now: datetime
) -> Sequence[Command]:
    """Write the tariff in the place of the one before. An id that was given to other content is a finding."""
    c = t.station_tariffs.c
    for fact in found:
        content = orjson.dumps(fact.content, option=orjson.OPT_SORT_KEYS).decode()
        known = await content_of(connection, fact.ocpp_tariff_id)
        if known is not None and known != content:
            await keep_findings(connection, [_reused(fact)], now)
        await remember_content(connection, fact.ocpp_tariff_id, None, content, now)
        if fact.valid_from is None or fact.valid_from <= now:
            here = (c.station_id == fact.station_id, c.kind == DEFAULT)
            place = () if fact.evse_id == 0 else (c.evse_id == fact.evse_id,)
            await connection.execute(delete(t.station_tariffs).where(*here, *place))
        row = _row(fact, fact.evse_id, fact.ocpp_tariff_id, DEFAULT, fact.valid_from, now)
        await upsert(connection, t.station_tariffs, ["station_id", "evse_id", "ocpp_tariff_id"], [row])
    return []


def _reused(fact: DefaultTariffSet) -> ConformanceFound:
    return ConformanceFound(
        key=f"{fact.key}:reused",
        at=fact.at,
        station_id=fact.station_id,
        code="tariff-id-reused",
        detail="a tariffId was sent to this station that had been given to other content; stations may mix them up",
        action="SetDefaultTariff",
    )


async def keep_reports(
    connection: AsyncConnection, found: Sequence[TariffsReported], now: datetime
) -> Sequence[Command]:
    """Write what the station says it uses, in the place of what was known."""
    c = t.station_tariffs.c
    for fact in found:
        place = () if fact.evse_id == 0 else (c.evse_id == fact.evse_id,)
        await connection.execute(delete(t.station_tariffs).where(c.station_id == fact.station_id, *place))
        rows = {
            (evse_id, one.ocpp_tariff_id): _row(fact, evse_id, one.ocpp_tariff_id, one.kind, one.valid_from, now)
            for one in fact.assignments
            for evse_id in one.evse_ids or (fact.evse_id,)
        }
        if rows:
            await upsert(
                connection, t.station_tariffs, ["station_id", "evse_id", "ocpp_tariff_id"], list(rows.values())
            )
    return []


async def keep_cleared(
    connection: AsyncConnection, found: Sequence[TariffsCleared], now: datetime
) -> Sequence[Command]:
    """Forget what the station removed."""
    c = t.station_tariffs.c
    for fact in found:
        which = [c.station_id == fact.station_id]
        if fact.ocpp_tariff_ids:
            which.append(c.ocpp_tariff_id.in_(fact.ocpp_tariff_ids))
        if fact.evse_id:
            which.append(c.evse_id == fact.evse_id)
        await connection.execute(delete(t.station_tariffs).where(*which))
    return []


def _row(
    fact: StationFact, evse_id: int, ocpp_tariff_id: str, kind: str, valid_from: datetime | None, now: datetime
) -> dict[str, Any]:
    return {
        "station_id": fact.station_id,
        "evse_id": evse_id,
        "ocpp_tariff_id": ocpp_tariff_id,
        "kind": kind,
        "valid_from": valid_from,
        "told_at": now,
    }


async def content_of(connection: AsyncConnection, ocpp_tariff_id: str) -> str | None:
    """What was told under this id, as JSON with sorted keys; None if it is new."""
    query = select(t.tariff_contents.c.content).where(t.tariff_contents.c.ocpp_tariff_id == ocpp_tariff_id)
    content: str | None = (await connection.execute(query)).scalar()
    return content


async def remember_content(
    connection: AsyncConnection, ocpp_tariff_id: str, tariff_id: str | None, content: str, now: datetime
) -> None:
    """Keep the first content of an id. ``tariff_id``: ours, of which it was made."""
    insert = insert_for(connection)(t.tariff_contents).values(
        ocpp_tariff_id=ocpp_tariff_id, tariff_id=tariff_id, content=content, created_at=now
    )
    await connection.execute(insert.on_conflict_do_nothing(index_elements=["ocpp_tariff_id"]))


KEEPERS = {DefaultTariffSet: (keep_defaults,), TariffsReported: (keep_reports,), TariffsCleared: (keep_cleared,)}
