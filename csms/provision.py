"""Write what the settings name (issuer, tariffs, stations, terminals, id tokens) into the database, at every start.

Settings add and change; they never delete: a station taken out of the file keeps its row, its sessions and its history.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from billing.tariff_json import tariff_to_json
from csms.ocpp.credentials import hash_password, verify_password
from csms.settings import Settings, SettingsError, StationSettings, evse_name
from csms.terminals.inventory import State, record
from csms.terminals.registration import Origin
from sessions.directory import Admission
from sessions.families import fold_serial
from sessions.rows import insert_for, upsert
from storage import owner_schema, terminal_schema
from storage import schema as t
from storage.engine import reading, writing


async def provision(engine: AsyncEngine, settings: Settings, now: datetime) -> None:
    """Bring the database to the settings, in one transaction."""
    stored = await _stored(engine)
    passwords = {s.station_id: await _password(s, stored.get(s.station_id)) for s in settings.stations}
    async with writing(engine) as connection:
        issuer = {
            "issuer_id": settings.issuer.issuer_id,
            "body": orjson.dumps(asdict(settings.issuer.issuer())).decode(),
        }
        await upsert(connection, t.issuers, ["issuer_id"], [issuer])
        await _platform(connection, settings, now)
        await _names_of_others(connection, settings)
        tariffs = [
            {"tariff_id": s.tariff_id, "body": orjson.dumps(tariff_to_json(s.tariff())).decode()}
            for s in settings.tariffs
        ]
        stations = [
            {
                "station_id": s.station_id,
                "admission": Admission.ACCEPTED.value,
                "security_profile": max(s.security_profile, stored[s.station_id].security_profile)
                if s.station_id in stored
                else s.security_profile,
                **passwords[s.station_id],
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
        others = {name for name, row in stored.items() if row.owner_id != PLATFORM}
        theirs = [{k: v for k, v in row.items() if k != "tariff_id"} for row in evses if row["station_id"] in others]
        evses = [row for row in evses if row["station_id"] not in others]
        terminals = [
            {"serial": s.serial, "family": s.family, "currency": s.currency, "language": s.language}
            for s in settings.terminals
        ]
        served = [
            dict(zip(("serial", "station_id", "evse_id", "position"), (s.serial, *evse_name(place), n), strict=True))
            for s in settings.terminals
            for n, place in enumerate(s.evses)
        ]
        await _require_own(connection, terminals)
        await _require_their_owners(connection, served)
        tokens = [{"status": s.status.value} | s.model_dump(exclude={"status"}) for s in settings.id_tokens]
        for table, key, rows in (
            (t.tariffs, ["tariff_id"], tariffs),
            (t.stations, ["station_id"], stations),
            (t.evses, ["station_id", "evse_id"], evses),
            (t.evses, ["station_id", "evse_id"], theirs),  # a station that was given away has its new owner's tariffs
            (t.terminals, ["serial"], terminals),
            (t.id_tokens, ["id_token"], tokens),
        ):
            if rows:
                await upsert(connection, table, key, rows)
        if terminals:
            serials = [row["serial"] for row in terminals]
            await connection.execute(delete(t.terminal_evses).where(t.terminal_evses.c.serial.in_(serials)))
            await connection.execute(t.terminal_evses.insert(), served)
            await _begin_history(connection, serials, now)


async def _require_own(connection: AsyncConnection, terminals: list[dict[str, Any]]) -> None:
    """Refuse what the settings and the inventory say differently. Raises `SettingsError`.

    A terminal of the settings file is the operator's own: one that was registered over the API has an owner, licences
    and an onboarding of its own, and no start of the system may take it from them.
    """
    c = t.terminals.c
    folded = {fold_serial(row["serial"]): row["serial"] for row in terminals}
    for row in await connection.execute(select(c.serial, c.origin)):
        named = folded.get(fold_serial(row.serial))
        if named is not None and (row.origin != Origin.SETTINGS.value or row.serial != named):
            raise SettingsError(
                f"terminals: {named!r} is in the inventory already, entered as {row.serial!r} over the API or by an "
                "earlier settings file: take it out of the settings file, or write it the same way."
            )


async def _require_their_owners(connection: AsyncConnection, served: list[dict[str, Any]]) -> None:
    """Refuse that a terminal serves another owner's station: what it takes would be sold there in the wrong name.

    A station keeps its place in the settings file when it is given to a site owner. Raises `SettingsError`.
    """
    st, te = t.stations.c, t.terminals.c
    named = {place["station_id"] for place in served}
    # Locked, so that no station is given away between this look and the commit (`csms.terminals.placement`).
    query = select(st.station_id, st.owner_id).where(st.station_id.in_(named)).with_for_update()
    stations = {row.station_id: row.owner_id for row in await connection.execute(query)}
    query = select(te.serial, te.owner_id).where(te.serial.in_({place["serial"] for place in served}))
    terminals = {row.serial: row.owner_id for row in await connection.execute(query)}
    wrong = {
        (place["serial"], place["station_id"])
        for place in served
        if stations.get(place["station_id"], PLATFORM) != terminals.get(place["serial"], PLATFORM)
    }
    if wrong:
        raise SettingsError(
            "\n".join(
                f"terminals: {serial!r} cannot serve station {station_id!r}, which is another owner's: take the "
                "station's EVSEs out of the terminal's evses, and register a terminal for that owner."
                for serial, station_id in sorted(wrong)
            )
        )


async def _begin_history(connection: AsyncConnection, serials: list[str], now: datetime) -> None:
    """Enter the settings' terminals into the inventory, once each."""
    m = terminal_schema.terminal_moves.c
    entered = set((await connection.execute(select(m.serial).where(m.serial.in_(serials)))).scalars())
    for serial in serials:
        if serial not in entered:
            reason = "named in the settings file"
            await record(connection, serial, None, State.LIVE, by="settings file", reason=reason, now=now)


async def _names_of_others(connection: AsyncConnection, settings: Settings) -> None:
    """A tariff's name stands for one content for ever: an owner's is not overwritten. Raises `SettingsError`."""
    c = t.tariffs.c
    named = [tariff.tariff_id for tariff in settings.tariffs]
    query = select(c.tariff_id).where(c.tariff_id.in_(named), c.owner_id != PLATFORM).order_by(c.tariff_id)
    taken = list((await connection.execute(query)).scalars())
    if taken:
        raise SettingsError("\n".join(f"tariffs: {name!r} is a site owner's; name yours otherwise." for name in taken))


async def _platform(connection: AsyncConnection, settings: Settings, now: datetime) -> None:
    """The operator as an owner: whatever nobody else owns is the platform's."""
    told = settings.issuer
    said = {
        "legal_name": told.name[:120],
        "organisation_number": told.organisation_number[:40],
        "vat_number": told.vat_number[:40],
        "address": orjson.dumps(list(told.address)).decode(),
        "country": told.country,
    }
    row = said | {
        "owner_id": PLATFORM,
        "currency": settings.tariffs[0].currency if settings.tariffs else "NOK",
        "language": "en",
        "time_zone": settings.rounds.time_zone,
        "contacts": "[]",
        "terms": "{}",
        "created_at": now,
    }
    insert = insert_for(connection)(owner_schema.owners).values(row)
    await connection.execute(insert.on_conflict_do_update(index_elements=["owner_id"], set_=said))


async def _stored(engine: AsyncEngine) -> dict[str, Any]:
    """What provisioning has to mind of the stations that are known, by identity."""
    c = t.stations.c
    query = select(
        c.station_id, c.owner_id, c.password_hash, c.password_configured, c.password_pending, c.security_profile
    )
    async with reading(engine) as connection:
        return {row.station_id: row for row in await connection.execute(query)}


async def _password(station: StationSettings, known: Any) -> dict[str, str | None]:
    """The columns of a station's password.

    The settings' password is taken over when it is new or another than before. Otherwise the one it has stays: it may
    have been rotated since. Hashing is slow on purpose, so nothing is hashed twice.
    """
    kept = {name: getattr(known, name, None) for name in ("password_hash", "password_configured", "password_pending")}
    if station.password is None:
        return kept
    password = station.password.get_secret_value()
    applied = kept["password_configured"] or kept["password_hash"]
    if applied is not None and await verify_password(password, applied):
        return kept | {"password_configured": applied}
    hashed = await hash_password(password)
    return {"password_hash": hashed, "password_configured": hashed, "password_pending": None}
