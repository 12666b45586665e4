"""The newest energy register of each EVSE, in and outside transactions, as the station says it (J01; 1.6 §4.7)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions import facts, meter
from sessions.commands import Command
from sessions.rows import upsert
from storage import meter_schema as t

#: What brings samples, and names its EVSE.
Metered = facts.EnergyMetered | facts.TransactionFact


async def keep_registers(connection: AsyncConnection, found: Sequence[Metered], now: datetime) -> list[Command]:
    """Write the newest register of each EVSE; what a queue brings late is older, and changes nothing."""
    newest: dict[tuple[str, int], dict[str, object]] = {}
    for fact in found:
        last = meter.last_register(fact.samples)
        if last is None or fact.evse_id is None or fact.evse_id < 0:
            continue
        sample, wh = last
        key = (fact.station_id, fact.evse_id)
        if key not in newest or sample.station_time >= newest[key]["station_time"]:  # type: ignore[operator]
            newest[key] = {
                "station_id": fact.station_id,
                "evse_id": fact.evse_id,
                "register_wh": f"{wh:f}"[:60],
                "context": sample.context,
                "station_time": sample.station_time,
                "seen_at": now,
            }
    if newest:
        r = t.evse_registers.c
        stations = {station_id for station_id, _ in newest}
        known = select(r.station_id, r.evse_id, r.station_time).where(r.station_id.in_(stations))
        for row in await connection.execute(known):
            made = newest.get((row.station_id, row.evse_id))
            # A time ahead of ours is a wrong clock's: it must not keep all later readings out.
            if made is not None and made["station_time"] < row.station_time <= now:
                del newest[row.station_id, row.evse_id]
    if newest:
        await upsert(connection, t.evse_registers, ["station_id", "evse_id"], list(newest.values()))
    return []


KEEPERS = dict.fromkeys(
    (facts.EnergyMetered, facts.TransactionStarted, facts.TransactionUpdated, facts.TransactionEnded), (keep_registers,)
)
