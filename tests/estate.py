"""Two site owners with a site, a station and prices each, and terminals of theirs: as rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.licence import Included, LicenceKind
from billing.tariff import simple_tariff
from billing.tariff_json import tariff_to_json
from csms.terminals.licence_orders import Wanted, confirm_order, place_order
from csms.terminals.licences import assign
from csms.terminals.registration import Origin, Registration, register
from storage import licence_schema, owner_schema
from storage import schema as s
from storage.engine import writing

ANNE, BERIT = "own_aaaaaaaaaaaa", "own_bbbbbbbbbbbb"
FOUNDED = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
#: Valid serial numbers: the last digit of a SIM card's is a check digit.
SIM, OTHER_SIM = "8947080037021414114", "8947080037021414122"


async def found(engine: AsyncEngine, **columns: Any) -> None:
    """Owners ANNE (NOK) and BERIT (SEK): sites "<name>-site", stations "<name>-1" with EVSEs 1 and 2, priced.

    ``columns``: of Anne's row, where they are to be others.
    """
    async with writing(engine) as connection:
        await _owner(connection, ANNE, "anne", "NOK", columns)
        await _owner(connection, BERIT, "berit", "SEK", {})


async def _owner(connection: AsyncConnection, owner_id: str, name: str, currency: str, columns: dict[str, Any]) -> None:
    row = {
        "owner_id": owner_id,
        "legal_name": f"{name.title()} Lading AS",
        "organisation_number": "999999999",
        "vat_number": "",
        "address": "[]",
        "country": "NO",
        "currency": currency,
        "language": "nb",
        "time_zone": "Europe/Oslo",
        "contacts": "[]",
        "terms": "{}",
        "created_at": FOUNDED,
    }
    await connection.execute(owner_schema.owners.insert().values(row | columns))
    site = {"site_id": f"{name}-site", "owner_id": owner_id, "name": name, "address": "[]", "country": "NO"}
    await connection.execute(
        owner_schema.sites.insert().values(site | {"time_zone": "Europe/Oslo", "created_at": FOUNDED})
    )
    tariff = simple_tariff(f"{name}-kwh", currency, hold_minor=30_000, per_kwh=Decimal(10), vat_percent=Decimal(25))
    body = orjson.dumps(tariff_to_json(tariff)).decode()
    await connection.execute(s.tariffs.insert().values(tariff_id=f"{name}-kwh", body=body, owner_id=owner_id))
    station = {"station_id": f"{name}-1", "admission": "accepted", "owner_id": owner_id, "serial_number": f"SN-{name}"}
    await connection.execute(s.stations.insert().values(station))
    evses = [{"station_id": f"{name}-1", "evse_id": n, "tariff_id": f"{name}-kwh"} for n in (1, 2)]
    await connection.execute(s.evses.insert(), evses)


def own(serial: str, **other: Any) -> Registration:
    """A terminal of Anne's, bought on its own; ``other``: what is different."""
    values: dict[str, Any] = {
        "serial": serial,
        "family": "Apollo",
        "owner_id": ANNE,
        "currency": "NOK",
        "station_serial": "SN-anne",
        "origin": Origin.OWN,
        "distributor": "Kortleverandøren",
        "purchase_reference": "PO 7",
    }
    return Registration(**values | other)


async def enter(engine: AsyncEngine, serial: str, patterns: Mapping[str, str] | None = None, **other: Any) -> str:
    """Register `own`; its serial number."""
    async with writing(engine) as connection:
        return await register(connection, own(serial, **other), by="test", now=FOUNDED, patterns=patterns or {})


async def sell(engine: AsyncEngine) -> None:
    """Put on sale: ACT and PLAN in NOK, PLAN-SEK in SEK, all with 25 % VAT; OLD is not on sale."""
    rows = [
        ("ACT", LicenceKind.ACTIVATION, 49_999, "NOK", True),
        ("PLAN", LicenceKind.PLAN, 120_000, "NOK", True),
        ("PLAN-SEK", LicenceKind.PLAN, 125_000, "SEK", True),
        ("OLD", LicenceKind.PLAN, 1, "NOK", False),
    ]
    includes = orjson.dumps([Included.SESSION_REPORTING, Included.TERMINAL_MANAGEMENT]).decode()
    async with writing(engine) as connection:
        for sku, kind, price, currency, on_sale in rows:
            terms = {"sku": sku, "kind": kind.value, "name": sku.title(), "price_minor": price, "currency": currency}
            state = {"vat_percent": "25", "includes": includes, "on_sale": on_sale, "revision": 1}
            await connection.execute(
                licence_schema.licence_skus.insert().values(terms | state | {"created_at": FOUNDED})
            )


async def buy(engine: AsyncEngine, *skus: str, owner_id: str = ANNE, now: datetime = FOUNDED) -> list[str]:
    """Order one of each and have it confirmed; the licences' ids, in that order."""
    async with writing(engine) as connection:
        wanted = [Wanted(sku=sku, quantity=1) for sku in skus]
        order_id = await place_order(connection, owner_id, wanted, reference="", by="Anne", now=now)
        await confirm_order(connection, order_id, by="Ola", now=now)
        c = licence_schema.licences.c
        query = licence_schema.licences.select().where(c.order_id == order_id).order_by(c.line)
        return [row.licence_id for row in await connection.execute(query)]


async def license_terminal(
    engine: AsyncEngine, serial: str, *skus: str, now: datetime = FOUNDED, grace_days: int = 14
) -> list[str]:
    """Buy and assign; the licences' ids."""
    licence_ids = await buy(engine, *skus, now=now)
    for licence_id in licence_ids:
        async with writing(engine) as connection:
            await assign(connection, licence_id, serial, by="Anne", now=now, grace_days=grace_days)
    return licence_ids
