"""A whole month on both databases: every seeded fault is found and named, and nothing else is."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.reconciliation import Kind, Rules, Side
from billing.settlement_csv import Columns, read_csv
from csms.payouts.booked_payments import refresh
from csms.payouts.provider_transactions import read_account
from csms.payouts.reconciliation import reconcile
from csms.payouts.settlements import Upload, take
from storage import reconciliation_schema as t
from storage import schema
from storage.engine import create_engine, reading
from tests.month.filling import fill
from tests.month.payments import END, MonthOwner, Paid, owners_of, payments
from tests.month.sides import Seeded, Told, Twin, tell
from tests.scale import sized

SEED = 20260301
NOW = END + timedelta(days=12)
RULES = Rules()
COLUMNS = Columns(merchant_id="Merchant ID")


def month(owners: int, sessions: int, seed: int = SEED) -> tuple[list[MonthOwner], list[Paid], Told]:
    chance = random.Random(seed)
    made = owners_of(owners)
    paid = list(payments(made, sessions, chance))
    return made, paid, tell(made, paid, chance)


async def reconcile_month(engine: AsyncEngine, owners: Sequence[MonthOwner], told: Told) -> dict[str, int]:
    """What the daily runs do in a month, for every account, from the files and pages to the discrepancies."""
    counts: Counter[str] = Counter()
    merchants = {owner.account_id: (owner.owner_id, owner.merchant_id) for owner in owners if owner.account_id}
    for account_id, (owner_id, merchant_id) in {"": ("platform", ""), **merchants}.items():
        await refresh(engine, NOW)
        counts["read"] += await read_account(engine, Twin(told), account_id, NOW) or 0
        raw = told.csv(account_id)
        file = read_csv(raw, COLUMNS, account_id, merchant_id)
        assert not file.refused
        upload = Upload(
            account_id=account_id,
            owner_id=owner_id,
            format="csv",
            name="march.csv",
            content_hash=hashlib.sha256(raw).hexdigest(),
            by="Kari",
        )
        counts["taken"] += await take(engine, upload, file, NOW)
        counts += Counter(await reconcile(engine, account_id, RULES, NOW))
    return dict(counts)


async def found(engine: AsyncEngine) -> Counter[Seeded]:
    async with reading(engine) as connection:
        rows = (await connection.execute(select(t.discrepancies))).all()
    return Counter(
        (Side(row.side), Kind(row.kind), row.owner_id, "" if row.kind == Kind.SETTLED_UNKNOWN else row.subject)
        for row in rows
    )


async def everything(engine: AsyncEngine) -> dict[str, Any]:
    tables = (t.discrepancies, t.discrepancy_events, t.settlement_rows, t.provider_transactions, t.booked_payments)
    async with reading(engine) as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (*tables, schema.ledger)
        }


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


@pytest.mark.timeout(900)  # a guard against hanging, not a measure: benchmarks.reconcile measures
async def test_every_fault_of_a_month_is_found_and_named_and_nothing_else(
    database_url: str, engine: AsyncEngine
) -> None:
    owners, paid, told = month(200, sized(50_000))
    assert len(told.seeded) > 0.015 * told.records
    await fill(database_url, owners, paid)
    await reconcile_month(engine, owners, told)
    assert await found(engine) == Counter(told.seeded)
    before = await everything(engine)
    await reconcile_month(engine, owners, told)  # a second time: nothing new, nothing twice
    assert await everything(engine) == before
