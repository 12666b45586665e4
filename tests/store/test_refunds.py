"""Refunds on both databases: decided once, booked with their credit note, never more than was sold."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import PLATFORM, Account
from billing.receipt import DocumentKind, SalesDocument
from billing.refund import RefundError
from billing.terms import Terms
from billing.way import Way
from csms.nouns import keepers
from csms.payouts import refunds
from storage import payout_schema as p
from storage import schema as s
from storage.engine import reading, writing
from tests.store.owned import (
    add_owner,
    add_platform,
    add_sales,
    assert_stated_to_the_minor_unit,
    books,
    close_all,
    cost,
    give,
    sell_through_own_processor,
    statements_of,
)
from tests.store.shop import Counter, counter, open_shop


async def propose(shop: Counter, session_id: str, **wanted: Any) -> str:
    asked: dict[str, Any] = {"amount_minor": None, "by_rate": None, "reason": "the car did not charge", "by": "Kari"}
    async with writing(shop.engine) as connection:
        return await refunds.propose(connection, session_id, now=shop.now, **asked | wanted)


async def decide(shop: Counter, refund_id: str, session_id: str) -> None:
    await shop.submit(refunds.decided(refund_id, session_id, "Ola", shop.now))


async def documents(engine: AsyncEngine) -> list[tuple[str, int, SalesDocument]]:
    query = select(s.receipts).order_by(s.receipts.c.issuer_id, s.receipts.c.number)
    async with reading(engine) as connection:
        rows = (await connection.execute(query)).all()
    return [(row.issuer_id, row.number, SalesDocument.from_json(json.loads(row.document))) for row in rows]


async def states(engine: AsyncEngine) -> list[str]:
    async with reading(engine) as connection:
        rows = await connection.execute(select(p.refunds.c.state).order_by(p.refunds.c.proposed_at, p.refunds.c.state))
        return list(rows.scalars())


async def test_a_sale_refunded_in_parts_is_refunded_to_the_minor_unit(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine, keepers=keepers()) as shop:
        await shop.sell(1, "S1", wh=9990)  # 9.99 EUR, 2.00 of it VAT
        proposed = await propose(shop, "S1", amount_minor=333)
        assert Account.SUSPENSE not in (before := await books(engine))
        assert before[Account.ACQUIRER] == 999  # nothing is booked by a proposal
        await decide(shop, proposed, "S1")
        await decide(shop, proposed, "S1")  # told twice, carried out once
        assert (await books(engine))[Account.ACQUIRER] == 666
        for amount in (333, 332, None):
            await decide(shop, await propose(shop, "S1", amount_minor=amount), "S1")
        assert await books(engine) == {}
        sale, *notes = await documents(engine)
        assert [(kind, number) for kind, number, _ in (sale, *notes)] == [("I1", n) for n in range(1, 6)]
        assert sale[2].kind is DocumentKind.SALE
        assert [note.charged_minor for _, _, note in notes] == [333, 333, 332, 1]
        assert sum(note.cost.vat_minor for _, _, note in notes) == sale[2].cost.vat_minor
        assert {(note.kind, note.refers_to) for _, _, note in notes} == {(DocumentKind.CREDIT_NOTE, "1")}
        assert len({note.url for _, _, note in notes}) == 4
        with pytest.raises(RefundError, match="nothing to refund"):
            await propose(shop, "S1")
        kinds = [row.kind for row in await shop.rows(select(s.journal.c.kind).where(s.journal.c.session_id == "S1"))]
        assert kinds.count("RefundDecided") == 4


async def test_two_proposals_for_the_same_money_are_paid_once(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine, keepers=keepers()) as shop:
        await shop.sell(1, "S1")
        first, second = await propose(shop, "S1"), await propose(shop, "S1", amount_minor=600)
        with pytest.raises(RefundError, match="left to refund"):
            await propose(shop, "S1", amount_minor=1001)
        await decide(shop, first, "S1")
        with pytest.raises(RefundError, match="00 of this sale is left"):
            await decide(shop, second, "S1")
        assert await books(engine) == {}
        assert len(await documents(engine)) == 2
        assert sorted(await states(engine)) == ["asked", "proposed"]
        async with writing(engine) as connection:
            await refunds.withdraw(connection, second)
            await refunds.confirm(connection, first, reference="RF-1", by="Ola", now=shop.now)
        assert sorted(await states(engine)) == ["confirmed", "withdrawn"]


async def test_a_refund_killed_before_its_commit_leaves_nothing_and_no_gap(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_shop(engine)
    async with counter(engine, keepers=keepers()) as shop:
        await shop.sell(1, "S1")
        refund_id = await propose(shop, "S1")

        def dies(*_: Any) -> Any:
            raise RuntimeError("killed")

        monkeypatch.setattr(refunds, "update", dies)  # the last statement of all
        with pytest.raises(RuntimeError, match="killed"):
            await decide(shop, refund_id, "S1")
        monkeypatch.undo()
        assert (await books(engine))[Account.ACQUIRER] == 1000
        assert len(await documents(engine)) == 1
        await decide(shop, refund_id, "S1")
        assert [number for _, number, _ in await documents(engine)] == [1, 2]


async def test_what_is_refunded_is_not_owed_to_the_owner(engine: AsyncEngine) -> None:
    await open_shop(engine)
    await add_platform(engine)
    await add_owner(engine, "own_a", terms=Terms(fee_fixed_minor=10))
    await give(engine, "CS1", "own_a")
    async with counter(engine, keepers=keepers()) as shop:
        await shop.sell(1, "S1")
        assert (await books(engine))[Account.OWNER_PAYABLE] == -1000
        await decide(shop, await propose(shop, "S1", amount_minor=250), "S1")
        stand = await books(engine)
        assert stand[Account.OWNER_PAYABLE] == -750
        assert stand[Account.OWNER_SHARE] + stand[Account.INPUT_VAT] == 750
        assert stand[Account.REVENUE] + stand[Account.VAT_PAYABLE] == -750
        await close_all(engine, "own_a", shop.now + timedelta(days=31))
    made = (await statements_of(engine, "own_a"))[0]
    card = made.ways[0]
    assert (card.gross_minor, card.refunds, card.refunded_minor) == (1000, 1, 250)
    assert [(line.net_minor, line.vat_minor) for line in card.refund_vat] == [(200, 50)]
    assert made.payout_minor == 750 - 13  # the fee is kept: 10 and its VAT, 2.5
    await assert_stated_to_the_minor_unit(engine)


async def test_an_own_processors_refund_stands_in_the_owners_book_and_series(engine: AsyncEngine) -> None:
    await open_shop(engine)
    await add_owner(engine, "own_a")
    await give(engine, "CS1", "own_a", "acc_1")
    async with counter(engine, keepers=keepers()) as shop:
        await sell_through_own_processor(shop, "S1", 10_000)
        assert (await books(engine, "owner:own_a"))[Account.ACQUIRER] == 1000
        await decide(shop, await propose(shop, "S1"), "S1")
        assert await books(engine, "owner:own_a") == {}
        assert await books(engine, PLATFORM) == {}
        assert [(issuer, number) for issuer, number, _ in await documents(engine)] == [
            ("owner:own_a", 1),
            ("owner:own_a", 2),
        ]


async def test_a_contracts_charge_is_credited_against_the_contract(engine: AsyncEngine) -> None:
    await open_shop(engine)
    await add_platform(engine)
    await add_owner(engine, "own_a")
    async with counter(engine, keepers=keepers()) as shop:
        await add_sales(engine, "own_a", [cost({"25": 1000, "15": 500})], shop.now, way=Way.ROAMING)
        session_id = "own_a-roaming-0"
        await decide(shop, await propose(shop, session_id, by_rate={Decimal("15"): 500}), session_id)
        stand = await books(engine)
        assert (stand[Account.CONTRACTS], stand[Account.OWNER_PAYABLE]) == (1000, -1000)
        assert await documents(engine) == []  # no sales document of ours, so no credit note
        with pytest.raises(RefundError, match="at 15 % VAT"):
            await propose(shop, session_id, by_rate={Decimal("15"): 1})
        with pytest.raises(RefundError, match="Nothing was sold at 12 % VAT; the receipt has 25 % VAT, 15 % VAT"):
            await propose(shop, session_id, by_rate={Decimal("12"): 1})


async def test_a_session_that_collected_nothing_is_not_refunded(engine: AsyncEngine) -> None:
    await open_shop(engine)
    async with counter(engine, keepers=keepers()) as shop:
        await shop.tap(1)
        await shop.hold("S1")
        with pytest.raises(RefundError, match="Nothing was collected"):
            await propose(shop, "S1")
