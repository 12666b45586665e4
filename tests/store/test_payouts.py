"""Payouts on both databases: a file once, in books that follow the bank's word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import Account
from billing.statement import EntryKind
from billing.terms import Terms
from csms.payouts import payouts, returns
from csms.payouts.payment_file import BankAccount, Debtor
from csms.payouts.payouts import PayoutRefusedError
from csms.payouts.return_files import ReturnFileError
from storage import owner_schema as o
from storage import payout_schema as p
from storage.engine import reading, writing
from tests.store.bank_files import batch_entry, camt, entry, pain_002
from tests.store.owned import (
    add_owner,
    add_platform,
    add_sales,
    assert_stated_to_the_minor_unit,
    books,
    close_all,
    cost,
    statements_of,
)
from tests.unit.sessions.examples import T0

DEBTOR = Debtor(name="Operator AS", accounts={"EUR": BankAccount(iban="DE89370400440532013000")})
NOW = T0 + timedelta(days=45)


async def owed(engine: AsyncEngine, *amounts: int) -> None:
    """Owners own_0, own_1 … with a closed statement of each amount."""
    await add_platform(engine)
    for n, amount in enumerate(amounts):
        await add_owner(engine, f"own_{n}", terms=Terms(), created_at=T0)
        await add_sales(engine, f"own_{n}", [cost({"25": amount})], T0)
        await close_all(engine, f"own_{n}", NOW)


async def propose(engine: AsyncEngine, currency: str = "EUR") -> str:
    async with writing(engine) as connection:
        return await payouts.propose(
            connection, DEBTOR, currency, execution_date=date(2026, 8, 20), by="Kari", creator="a" * 12, now=NOW
        )


async def release(engine: AsyncEngine, batch_id: str, *, token: str = "b" * 12, now: datetime = NOW) -> None:
    await payouts.release(engine, DEBTOR, batch_id, by="Ola", token_id=token, now=now)


async def rows(engine: AsyncEngine, table: Any) -> list[Any]:
    async with reading(engine) as connection:
        return list((await connection.execute(select(table))).all())


async def states(engine: AsyncEngine) -> dict[str, str]:
    return {row.statement_id: row.state for row in await rows(engine, p.payouts)}


async def tell(engine: AsyncEngine, content: bytes) -> list[tuple[str, str]]:
    report = await returns.import_return_file(engine, content, by="Ola", now=NOW + timedelta(days=1))
    return [(line.reference, line.outcome) for line in report.lines]


async def test_a_batch_is_released_by_another_person_and_its_file_is_made_once(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2345)
    batch_id = await propose(engine)
    with pytest.raises(PayoutRefusedError, match="Another person"):
        await release(engine, batch_id, token="a" * 12)
    with pytest.raises(PayoutRefusedError, match="No statement in EUR"):
        await propose(engine)  # they are all in the batch
    assert Account.PAYOUTS_IN_TRANSIT not in await books(engine)
    await release(engine, batch_id)
    (batch,) = await rows(engine, p.payout_batches)
    root = ET.fromstring(batch.file)
    space = {"n": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
    assert [e.text for e in root.iterfind(".//n:EndToEndId", space)] == ["ST00000001", "ST00000002"]
    assert [e.text for e in root.iterfind(".//n:InstdAmt", space)] == ["10.00", "23.45"]
    assert {e.text for e in root.iterfind(".//n:CtrlSum", space)} == {"33.45"}
    assert [e.text for e in root.iterfind(".//n:MsgId", space)] == ["PB00000001"]
    with pytest.raises(PayoutRefusedError, match="released already"):
        await release(engine, batch_id, now=NOW + timedelta(days=1))
    assert (await rows(engine, p.payout_batches))[0].file == batch.file
    stand = await books(engine)
    assert stand[Account.PAYOUTS_IN_TRANSIT] == -3345
    assert Account.OWNER_PAYABLE not in stand
    await assert_stated_to_the_minor_unit(engine)
    with pytest.raises(PayoutRefusedError, match="only a proposed one"):
        async with writing(engine) as connection:
            await payouts.cancel(connection, batch_id)


async def test_two_proposals_at_once_pay_nothing_twice(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2000)
    made = await asyncio.gather(propose(engine), propose(engine), return_exceptions=True)
    refused = [one for one in made if isinstance(one, PayoutRefusedError)]
    assert len(refused) == 1
    assert [row.batch_id for row in await rows(engine, p.payout_batches)] == ["PB00000001"]
    assert len(await rows(engine, p.payouts)) == 2
    found = await asyncio.gather(release(engine, "PB00000001"), release(engine, "PB00000001"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NoneType", "PayoutRefusedError"]
    assert (await books(engine))[Account.PAYOUTS_IN_TRANSIT] == -3000


async def test_the_same_return_file_twice_at_once_is_booked_once(engine: AsyncEngine) -> None:
    await owed(engine, 1000)
    await release(engine, await propose(engine))
    file = camt(entry("DBIT", Decimal("10.00"), "ST00000001"))
    told = await asyncio.gather(tell(engine, file), tell(engine, file))
    assert list(told) == [[("ST00000001", "executed")]] * 2
    assert (await books(engine))[Account.BANK] == -1000


async def test_killed_between_making_and_booking_the_file_it_is_made_again(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owed(engine, 1000)
    batch_id = await propose(engine)
    real: Callable[..., Any] = payouts._send

    async def dies(*given: Any) -> None:
        await real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(payouts, "_send", dies)
    with pytest.raises(KeyboardInterrupt):
        await release(engine, batch_id)
    monkeypatch.undo()
    assert (await rows(engine, p.payout_batches))[0].file is None
    await release(engine, batch_id)
    assert (await books(engine))[Account.PAYOUTS_IN_TRANSIT] == -1000


async def test_an_owner_without_a_bank_account_waits_and_a_changed_one_is_asked_about(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2000)
    await _set_owner(engine, "own_0", iban=None)
    async with reading(engine) as connection:
        found = await payouts.payable(connection)
    assert [(one.owner_id, one.waits) for one in found] == [
        ("own_0", "The owner has no bank account: enter its IBAN."),
        ("own_1", ""),
    ]
    batch_id = await propose(engine)
    await _set_owner(engine, "own_1", iban="DE89370400440532013000")
    with pytest.raises(PayoutRefusedError, match="bank account of Eier own_1 AS"):
        await release(engine, batch_id)
    async with writing(engine) as connection:
        await payouts.cancel(connection, batch_id)
    await _set_owner(engine, "own_0", iban="NO9386011117947")
    await release(engine, await propose(engine))
    assert sum(row.amount_minor for row in await rows(engine, p.payouts) if row.state == "in transit") == 3000
    assert [row.batch_id for row in await rows(engine, p.payout_batches)] == ["PB00000001", "PB00000002"]


async def _set_owner(engine: AsyncEngine, owner_id: str, **values: Any) -> None:
    async with writing(engine) as connection:
        await connection.execute(update(o.owners).where(o.owners.c.owner_id == owner_id).values(values))


async def test_a_rejected_payment_goes_into_the_next_statement(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2000)
    await release(engine, await propose(engine))
    first, second = "ST00000001", "ST00000002"
    file = pain_002((first, "RJCT"), (second, "ACSP"), ("OTHER-1", "RJCT"))
    assert await tell(engine, file) == [(first, "returned"), (second, "pending"), ("OTHER-1", "unknown reference")]
    stand = await books(engine)
    assert (stand[Account.PAYOUTS_IN_TRANSIT], stand[Account.OWNER_PAYABLE]) == (-2000, -1000)
    again = await returns.import_return_file(engine, file, by="Ola", now=NOW)
    assert again.again
    assert [line.outcome for line in again.lines] == ["returned", "pending", "unknown reference"]
    assert await books(engine) == stand
    await close_all(engine, "own_0", NOW + timedelta(days=40))
    newest = (await statements_of(engine, "own_0"))[1]
    assert [(item.kind, item.amount_minor) for item in newest.items] == [(EntryKind.RETURNED, 1000)]
    assert newest.payout_minor == 1000
    (row,) = [row for row in await rows(engine, p.payouts) if row.statement_id == first]
    assert row.return_reason == "AC04 Account closed"
    await assert_stated_to_the_minor_unit(engine)


async def test_executed_then_returned_by_the_account_statements(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2000, 3000)
    await release(engine, await propose(engine))
    one, two, three = (row.statement_id for row in await rows(engine, p.payouts))
    left = camt(entry("DBIT", Decimal("10.00"), one), entry("DBIT", Decimal("30.00"), three, status="PDNG"))
    assert await tell(engine, left) == [(one, "executed")]
    assert (await books(engine))[Account.BANK] == -1000
    statement = camt(
        entry("DBIT", Decimal("10.00"), one),  # told again by another file
        entry("CRDT", Decimal("10.00"), one),
        entry("CRDT", Decimal("12.34")),  # somebody else's money
        entry("DBIT", Decimal("19.00"), two),
        entry("DBIT", Decimal("20.00"), two, currency="NOK"),
        batch_entry(Decimal("99.00"), "PB00000001"),
        kind="053",
    )
    assert await tell(engine, statement) == [
        (one, "booked before"),
        (one, "returned"),
        (two, "amount differs"),
        (two, "amount differs"),
        ("PB00000001", "amount differs"),
    ]
    # The two that are left leave the account in one sum.
    assert await tell(engine, camt(batch_entry(Decimal("50.00"), "PB00000001"))) == [
        (one, "booked before"),
        (two, "executed"),
        (three, "executed"),
    ]
    stand = await books(engine)
    assert (stand[Account.BANK], stand[Account.OWNER_PAYABLE]) == (-5000, -1000)
    assert Account.PAYOUTS_IN_TRANSIT not in stand
    assert await states(engine) == {one: "returned", two: "executed", three: "executed"}
    await assert_stated_to_the_minor_unit(engine)


async def test_a_whole_batch_rejected(engine: AsyncEngine) -> None:
    await owed(engine, 1000, 2000)
    await release(engine, await propose(engine))
    told = await tell(engine, pain_002(group="RJCT"))
    assert [outcome for _, outcome in told] == ["returned", "returned"]
    assert (await books(engine))[Account.OWNER_PAYABLE] == -3000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no XML"),
        (b"\xff\xfe\x00", "no XML"),
        (b"<Document/>", "none of pain.002"),
        (b'<?xml version="1.0" encoding="ebcdic-zz"?><Document/>', "no XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><Document>&b;</Document>', "DTD"),
        (camt(entry("BOTH", Decimal(1), "X")), "neither DBIT nor CRDT"),
        (camt(entry("DBIT", Decimal("1E+30"), "X")), "no number"),
        (camt(entry("DBIT", Decimal("-1"), "X")), "no number"),
    ],
)
async def test_what_is_no_return_file_is_refused_and_forgotten(engine: AsyncEngine, content: bytes, why: str) -> None:
    with pytest.raises(ReturnFileError, match=why):
        await tell(engine, content)
    assert await rows(engine, p.return_files) == []
