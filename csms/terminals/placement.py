"""Placement: whose a station is, where it stands, and what its EVSEs cost. All three belong to one owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from billing.tariff_json import tariff_from_json
from csms.terminals.owners import OwnerRefusedError, require_active
from sessions.rows import upsert
from storage import owner_schema as o
from storage import schema as t


class PlacementRefusedError(Exception):
    """It cannot be placed so; the text says why, and what to do first."""


async def place(connection: AsyncConnection, station_id: str, changes: dict[str, Any]) -> None:
    """Write whose a station is and where it stands, in the caller's transaction. Raises `PlacementRefusedError`.

    ``changes``: ``owner_id``, ``site`` or both. A new owner's station leaves the site and the tariffs of the old one.
    """
    if not changes:
        return
    s = t.stations.c
    query = select(s.owner_id, s.site).where(s.station_id == station_id).with_for_update()
    before = (await connection.execute(query)).one()
    owner_id = changes.get("owner_id", before.owner_id)
    values = dict(changes)
    if owner_id != before.owner_id:
        await _may_change_owner(connection, station_id, owner_id)
        values.setdefault("site", None)
        await connection.execute(update(t.evses).where(t.evses.c.station_id == station_id).values(tariff_id=None))
    if values.get("site") is not None:
        await _is_a_site(connection, values["site"], owner_id)
    await connection.execute(update(t.stations).where(s.station_id == station_id).values(values))


async def _may_change_owner(connection: AsyncConnection, station_id: str, owner_id: str) -> None:
    try:
        await require_active(connection, owner_id)
    except OwnerRefusedError as refused:
        raise PlacementRefusedError(str(refused)) from None
    s, e, x = t.sessions.c, t.terminal_evses.c, t.terminals.c
    running = select(s.session_id).where(s.station_id == station_id, s.open).limit(1)
    if (await connection.execute(running)).first() is not None:
        raise PlacementRefusedError(
            "A charge is open there, and belongs to the present owner: wait until it is settled."
        )
    serving = (
        select(x.serial)
        .join(t.terminal_evses, e.serial == x.serial)
        .where(e.station_id == station_id, x.owner_id != owner_id)
    )
    serials = sorted(set((await connection.execute(serving)).scalars()))
    if serials:
        listed = ", ".join(serials[:5])
        raise PlacementRefusedError(
            f"Terminals of another owner serve this station ({listed}): "
            "let them serve others, or change their owner, first."
        )


async def _is_a_site(connection: AsyncConnection, site: str, owner_id: str) -> None:
    whose = (await connection.execute(select(o.sites.c.owner_id).where(o.sites.c.site_id == site))).scalar()
    if whose is None and owner_id == PLATFORM and not site.startswith("site_"):
        return  # the operator's own stations may stand at a place that has but a name
    if whose is None:
        raise PlacementRefusedError("There is no such site: enter it with POST /sites, and give its site_id.")
    if whose != owner_id:
        raise PlacementRefusedError("This site is another owner's: a station stands at a site of its own owner.")


async def price_evse(connection: AsyncConnection, station_id: str, evse_id: int, changes: Mapping[str, Any]) -> None:
    """Write an EVSE's tariff, label and maximum power, in the caller's transaction. Raises `PlacementRefusedError`."""
    whose = select(t.stations.c.owner_id).where(t.stations.c.station_id == station_id).with_for_update()
    owner_id = (await connection.execute(whose)).scalar_one()
    if changes.get("tariff_id") is not None:
        await _may_cost(connection, station_id, evse_id, changes["tariff_id"], owner_id)
    await upsert(
        connection,
        t.evses,
        ["station_id", "evse_id"],
        [{"station_id": station_id, "evse_id": evse_id} | dict(changes)],
    )


async def _may_cost(connection: AsyncConnection, station_id: str, evse_id: int, tariff_id: str, owner_id: str) -> None:
    row = (await connection.execute(select(t.tariffs).where(t.tariffs.c.tariff_id == tariff_id))).first()
    if row is None:
        raise PlacementRefusedError("There is no such tariff: make it with POST /tariffs.")
    if row.owner_id != owner_id:
        raise PlacementRefusedError(
            f"This tariff is another owner's: make one for {owner_id}, whose the station is, with POST /tariffs."
        )
    currency = tariff_from_json(orjson.loads(row.body)).currency
    e, x = t.terminal_evses.c, t.terminals.c
    query = (
        select(x.serial, x.currency)
        .join(t.terminal_evses, e.serial == x.serial)
        .where(e.station_id == station_id, e.evse_id == evse_id, x.currency != currency)
        .order_by(x.serial)
    )
    other = (await connection.execute(query)).first()
    if other is not None:
        raise PlacementRefusedError(
            f"This tariff is in {currency}, and terminal {other.serial}, which serves this EVSE, takes "
            f"{other.currency}: a card can only be charged in one currency."
        )
