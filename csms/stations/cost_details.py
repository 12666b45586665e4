"""The cost of a transaction as its station computed it (OCPP 2.1 I12), beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import payment_schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CostDetailed(StationFact):
    """A station told the cost of a transaction. ``total``: major units incl. tax; ``ours_minor``: at the same event."""

    transaction_id: str
    currency: str
    total: Decimal | None
    ours_minor: int | None
    failed: bool
    failure: str
    details: dict[str, Any]


async def keep_cost_details(connection: AsyncConnection, found: Sequence[CostDetailed], now: datetime) -> list[Command]:
    """Write the newest of each transaction."""
    newest = {(fact.station_id, fact.transaction_id): fact for fact in found}
    rows = [
        {
            "station_id": fact.station_id,
            "transaction_id": fact.transaction_id,
            "currency": fact.currency or None,
            "total": str(fact.total) if fact.total is not None else None,
            "ours_minor": fact.ours_minor,
            "failed": fact.failed,
            "failure": fact.failure[:500] or None,
            "told_at": now,
            "details": orjson.dumps(fact.details, default=str).decode(),
        }
        for fact in newest.values()
    ]
    await upsert(connection, t.cost_details, ["station_id", "transaction_id"], rows)
    return []


KEEPERS = {CostDetailed: (keep_cost_details,)}
