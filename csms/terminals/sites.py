"""Sites: where an owner's stations stand."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import pycountry
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.owners import OwnerRefusedError, require_active, require_zone
from storage import owner_schema as t
from storage import schema as s


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place of an owner's. ``country``: ISO 3166-1 alpha-2; ``time_zone``: IANA."""

    site_id: str
    owner_id: str
    name: str
    country: str
    time_zone: str
    created_at: datetime
    address: tuple[str, ...] = ()
    revision: int = 1


def new_site_id() -> str:
    """An id that no site has."""
    return f"site_{secrets.token_hex(6)}"


async def find(connection: AsyncConnection, site_id: str, *, lock: bool = False) -> Site | None:
    """The site, None if there is none. ``lock``: until the commit, where the database knows locks of rows."""
    query = select(t.sites).where(t.sites.c.site_id == site_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else site_of(row)


def site_of(row: Any) -> Site:
    """A site from its row."""
    return Site(**dict(row._mapping) | {"address": tuple(orjson.loads(row.address))})


async def enter(connection: AsyncConnection, site: Site) -> None:
    """Enter a new site, in the caller's transaction. Raises `OwnerRefusedError`."""
    await require_active(connection, site.owner_id)
    await connection.execute(t.sites.insert().values(_row(_checked(site))))


async def change(connection: AsyncConnection, site: Site, changes: Mapping[str, Any]) -> Site:
    """Change a site that was found with ``lock``, in the caller's transaction. Raises `OwnerRefusedError`."""
    new = _checked(replace(site, **changes, revision=site.revision + 1))
    await connection.execute(update(t.sites).where(t.sites.c.site_id == site.site_id).values(_row(new)))
    return new


def _checked(site: Site) -> Site:
    if pycountry.countries.get(alpha_2=site.country) is None:
        raise OwnerRefusedError("There is no such country: use an ISO 3166-1 code such as NO.", "country")
    require_zone(site.time_zone)
    return site


def _row(site: Site) -> dict[str, Any]:
    plain = {name: getattr(site, name) for name in t.sites.c.keys()}  # noqa: SIM118 - columns are no mapping
    return plain | {"address": orjson.dumps(list(site.address)).decode()}


async def stations_at(connection: AsyncConnection, site_id: str) -> list[str]:
    """The stations that stand there, in order."""
    c = s.stations.c
    found = await connection.execute(select(c.station_id).where(c.site == site_id).order_by(c.station_id))
    return list(found.scalars())
