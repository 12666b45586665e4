"""Write what the settings name (issuer, tariffs, stations, terminals, id tokens) into the database, at every start.

Settings add and change; they never delete: a station taken out of the file keeps its row, its sessions and its history.
"""

from __future__ import annotations

from dataclasses import asdict

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.tariff_json import tariff_to_json
from csms.ocpp.credentials import hash_password, verify_password
from csms.settings import Settings, evse_name
from sessions.directory import Admission
from sessions.rows import upsert
from storage import schema as t
from storage.engine import reading, writing


async def provision(engine: AsyncEngine, settings: Settings) -> None:
    """Bring the database to the settings, in one transaction."""
    hashes = await _password_hashes(engine, settings)
    async with writing(engine) as connection:
        issuer = {
            "issuer_id": settings.issuer.issuer_id,
            "body": orjson.dumps(asdict(settings.issuer.issuer())).decode(),
        }
        await upsert(connection, t.issuers, ["issuer_id"], [issuer])
        tariffs = [
            {"tariff_id": s.tariff_id, "body": orjson.dumps(tariff_to_json(s.tariff())).decode()}
            for s in settings.tariffs
        ]
        stations = [
            {
                "station_id": s.station_id,
                "admission": Admission.ACCEPTED.value,
                "password_hash": hashes[s.station_id],
            }
            for s in settings.stations
        ]
        evses = [
            {
                "station_id": s.station_id,
                "evse_id": e.evse_id,
                "label": e.label or None,
                "tariff_id": e.tariff_id,
                "max_power_w": e.max_power_w,
            }
            for s in settings.stations
            for e in s.evses
        ]
        terminals = [
            {"serial": s.serial, "family": s.family, "currency": s.currency, "language": s.language}
            for s in settings.terminals
        ]
        served = [
            dict(zip(("serial", "station_id", "evse_id", "position"), (s.serial, *evse_name(place), n), strict=True))
            for s in settings.terminals
            for n, place in enumerate(s.evses)
        ]
        tokens = [
            {"id_token": s.id_token.upper(), "status": s.status.value, "expires_at": s.expires_at}
            for s in settings.id_tokens
        ]
        for table, key, rows in (
            (t.tariffs, ["tariff_id"], tariffs),
            (t.stations, ["station_id"], stations),
            (t.evses, ["station_id", "evse_id"], evses),
            (t.terminals, ["serial"], terminals),
            (t.id_tokens, ["id_token"], tokens),
        ):
            if rows:
                await upsert(connection, table, key, rows)
        if terminals:
            serials = [row["serial"] for row in terminals]
            await connection.execute(delete(t.terminal_evses).where(t.terminal_evses.c.serial.in_(serials)))
            await connection.execute(t.terminal_evses.insert(), served)


async def _password_hashes(engine: AsyncEngine, settings: Settings) -> dict[str, str | None]:
    """The hash per station: the stored one where the password is the same (hashing is slow on purpose)."""
    async with reading(engine) as connection:
        rows = await connection.execute(select(t.stations.c.station_id, t.stations.c.password_hash))
        stored = {row.station_id: row.password_hash for row in rows}
    hashes: dict[str, str | None] = {}
    for station in settings.stations:
        known = stored.get(station.station_id)
        if station.password is None:
            hashes[station.station_id] = known
            continue
        password = station.password.get_secret_value()
        same = known is not None and await verify_password(password, known)
        hashes[station.station_id] = known if same else await hash_password(password)
    return hashes
