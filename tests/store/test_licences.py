"""Orders, licences and what they write beside themselves."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import PLATFORM
from billing.licence import LicenceState
from csms.terminals import licences
from csms.terminals.licence_orders import (
    OrderRefusedError,
    Wanted,
    cancel_order,
    confirm_order,
    place_order,
)
from csms.terminals.licences import AssignmentRefusedError, assign
from sessions.rows import out_of_service
from storage import licence_schema as t
from storage import schema as s
from storage.engine import reading, writing
from tests.estate import ANNE, BERIT, FOUNDED, buy, enter, found, license_terminal, sell

SERIAL = "APO20240000001"
DAY = timedelta(days=1)


async def rows(engine: AsyncEngine, table: Any) -> list[Any]:
    async with reading(engine) as connection:
        return list((await connection.execute(select(table).order_by(*table.primary_key))).all())


async def order(engine: AsyncEngine, *wanted: tuple[str, int], owner_id: str = ANNE) -> str:
    async with writing(engine) as connection:
        lines = [Wanted(sku=sku, quantity=quantity) for sku, quantity in wanted]
        return await place_order(connection, owner_id, lines, reference="R1", by="Anne", now=FOUNDED)


async def confirm(engine: AsyncEngine, order_id: str) -> None:
    async with writing(engine) as connection:
        await confirm_order(connection, order_id, by="Ola", now=FOUNDED + DAY)


async def states(engine: AsyncEngine, now: datetime) -> dict[str, LicenceState]:
    """By licence id; the filter of each state must find the same."""
    async with reading(engine) as connection:
        all_of_them = (await connection.execute(licences.with_renewal())).all()
        read = {row.licence_id: licences.state_of(row, now) for row in all_of_them}
        for state in LicenceState:
            query = licences.with_renewal().where(licences.in_state(state, now))
            found_so = {row.licence_id for row in await connection.execute(query)}
            assert found_so == {licence_id for licence_id, its in read.items() if its is state}, state
    return read


async def terminal(engine: AsyncEngine, serial: str = SERIAL) -> Any:
    async with reading(engine) as connection:
        return (await connection.execute(select(s.terminals).where(s.terminals.c.serial == serial))).one()


async def test_a_confirmed_order_is_licences_and_a_charge_once(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    order_id = await order(engine, ("ACT", 2), ("PLAN", 3))
    assert set((await states(engine, FOUNDED)).values()) == {LicenceState.NEW}
    assert await rows(engine, s.ledger) == []
    async with writing(engine) as connection:  # the price of the order stays
        await connection.execute(update(t.licence_skus).values(price_minor=1))
    await confirm(engine, order_id)
    await confirm(engine, order_id)
    assert list((await states(engine, FOUNDED)).values()) == [LicenceState.AVAILABLE] * 5
    booked = [
        (row.set_key, row.account, row.amount_minor, row.currency, row.book, row.owner_id, row.session_id)
        for row in await rows(engine, s.ledger)
    ]
    rest = ("NOK", PLATFORM, ANNE, None)
    assert booked == [
        (f"licence-order:{order_id}:1", "owner_payable", 124_998, *rest),
        (f"licence-order:{order_id}:1", "licence_revenue", -99_998, *rest),
        (f"licence-order:{order_id}:1", "vat_payable", -25_000, *rest),
        (f"licence-order:{order_id}:2", "owner_payable", 450_000, *rest),
        (f"licence-order:{order_id}:2", "licence_revenue", -360_000, *rest),
        (f"licence-order:{order_id}:2", "vat_payable", -90_000, *rest),
    ]
    with pytest.raises(OrderRefusedError, match="confirmed"):
        async with writing(engine) as connection:
            await cancel_order(connection, order_id, by="Anne", now=FOUNDED)


async def test_a_confirmation_that_dies_leaves_nothing(engine: AsyncEngine) -> None:
    """The charge was written before, by whatever mistake: the licences are not available without it."""
    await found(engine)
    await sell(engine)
    order_id = await order(engine, ("PLAN", 1))
    async with writing(engine) as connection:
        taken = {"set_key": f"licence-order:{order_id}:1", "line": 2, "account": "suspense", "amount_minor": 0}
        await connection.execute(s.ledger.insert().values(taken | {"currency": "NOK", "booked_at": FOUNDED}))
    with pytest.raises(IntegrityError):
        await confirm(engine, order_id)
    assert len(await rows(engine, s.ledger)) == 1
    assert [row.state for row in await rows(engine, t.licence_orders)] == ["new"]
    assert list((await states(engine, FOUNDED)).values()) == [LicenceState.NEW]


async def test_a_cancelled_order_makes_no_licence(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    order_id = await order(engine, ("PLAN", 2))
    for _ in range(2):
        async with writing(engine) as connection:
            await cancel_order(connection, order_id, by="Anne", now=FOUNDED)
    assert await rows(engine, t.licences) == []
    assert [row.quantity for row in await rows(engine, t.licence_order_lines)] == [2]
    with pytest.raises(OrderRefusedError, match="cancelled"):
        await confirm(engine, order_id)


@pytest.mark.parametrize(
    ("wanted", "owner_id", "says"),
    [
        ([("NONE", 1)], ANNE, "not on sale"),
        ([("OLD", 1)], ANNE, "not on sale"),
        ([("PLAN", 1), ("PLAN-SEK", 1)], ANNE, "Line 2.*sold in SEK.*in NOK"),
        ([("PLAN", 1)], BERIT, "sold in NOK.*in SEK"),
        ([("PLAN", 999), ("ACT", 2)], ANNE, "several orders"),
        ([], ANNE, "1 to 1000"),
        ([("PLAN", 1)], "own_000000000000", "no such owner"),
        ([("PLAN", 1)], PLATFORM, "need no licence"),
    ],
)
async def test_what_cannot_be_ordered(
    engine: AsyncEngine, wanted: list[tuple[str, int]], owner_id: str, says: str
) -> None:
    await found(engine)
    await sell(engine)
    with pytest.raises(OrderRefusedError, match=says):
        await order(engine, *wanted, owner_id=owner_id)
    assert await rows(engine, t.licence_orders) == []


async def test_without_both_a_terminal_takes_no_cards(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    await enter(engine, SERIAL)
    activation, plan = await buy(engine, "ACT", "PLAN")
    async with writing(engine) as connection:
        await connection.execute(update(s.terminals).values(inventory_state="live"))
    assert out_of_service(await terminal(engine), FOUNDED) == "licence"
    for licence_id, after in ((plan, "licence"), (activation, "")):
        for _ in range(2):  # again changes nothing
            async with writing(engine) as connection:
                await assign(connection, licence_id, SERIAL, by="Anne", now=FOUNDED, grace_days=14)
        assert out_of_service(await terminal(engine), FOUNDED) == after
    row = await terminal(engine)
    expires = datetime.fromisoformat("2027-01-06T00:00:00+01:00")
    assert (row.activated_at, row.licensed_until) == (FOUNDED, expires + 14 * DAY)
    assert out_of_service(row, row.licensed_until - timedelta(microseconds=1)) == ""
    assert out_of_service(row, row.licensed_until) == "licence"
    for days, state in ((91, LicenceState.ACTIVE), (90, LicenceState.EXPIRING), (0, LicenceState.EXPIRED)):
        read = await states(engine, expires - days * DAY)
        assert read == {activation: LicenceState.ACTIVE, plan: state}


async def test_renewals_early_late_and_in_the_grace_period(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    await enter(engine, SERIAL)
    (first,) = await license_terminal(engine, SERIAL, "PLAN")
    expires = datetime.fromisoformat("2027-01-06T00:00:00+01:00")
    (early,) = await license_terminal(engine, SERIAL, "PLAN", now=expires - 30 * DAY)
    chain = {row.licence_id: row for row in await rows(engine, t.licences)}
    again = datetime.fromisoformat("2028-01-06T00:00:00+01:00")
    assert (chain[early].starts_at, chain[early].ends_at, chain[early].renews) == (expires, again, first)
    assert (await terminal(engine)).licensed_until == again + 14 * DAY
    assert (await states(engine, expires - DAY))[first] is LicenceState.ACTIVE  # renewed: not expiring
    (late,) = await license_terminal(engine, SERIAL, "PLAN", now=again + 3 * DAY)  # in the grace period
    chain = {row.licence_id: row for row in await rows(engine, t.licences)}
    assert (chain[late].starts_at, chain[late].renews) == (again + 3 * DAY, None)
    assert chain[late].ends_at == datetime.fromisoformat("2029-01-09T00:00:00+01:00")


async def test_what_is_not_assigned(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    await enter(engine, SERIAL)
    await enter(engine, "APO20240000002")
    await enter(engine, "APO20240000003", owner_id=BERIT, currency="SEK")
    await enter(engine, "APO20240000004")
    async with writing(engine) as connection:
        await connection.execute(
            s.terminals.insert().values(serial="T1", family="P66", currency="NOK", language="en", owner_id=ANNE)
        )
        gone = s.terminals.c.serial == "APO20240000004"
        await connection.execute(update(s.terminals).where(gone).values(inventory_state="stolen"))
    await license_terminal(engine, SERIAL, "ACT")
    activation, plan = await buy(engine, "ACT", "PLAN")
    await order(engine, ("PLAN", 1))
    new = next(row.licence_id for row in await rows(engine, t.licences) if row.confirmed_at is None)

    async def refused(licence_id: str, serial: str, says: str) -> None:
        with pytest.raises(AssignmentRefusedError, match=says):
            async with writing(engine) as connection:
                await assign(connection, licence_id, serial, by="Anne", now=FOUNDED, grace_days=14)

    await refused("lic_000000000000", SERIAL, "no such licence")
    await refused(plan, "APO20240000003", "no terminal")  # another owner's: as if it were not there
    await refused(plan, "NONE", "no terminal")
    await refused(new, SERIAL, "not confirmed")
    await refused(activation, SERIAL, "activated already")
    await refused(plan, "T1", "needs no licence")
    await refused(plan, "APO20240000004", "is stolen")
    async with writing(engine) as connection:
        await assign(connection, plan, SERIAL, by="Anne", now=FOUNDED, grace_days=14)
    await refused(plan, "APO20240000002", "another terminal already")


async def test_what_happens_at_once_happens_once(engine: AsyncEngine) -> None:
    await found(engine)
    await sell(engine)
    await enter(engine, SERIAL)
    order_id = await order(engine, ("ACT", 2), ("PLAN", 2))
    await asyncio.gather(*(confirm(engine, order_id) for _ in range(4)))
    assert len(await rows(engine, s.ledger)) == 6
    made = sorted(await rows(engine, t.licences), key=lambda row: row.line)

    async def assigned(licence_id: str) -> bool:
        try:
            async with writing(engine) as connection:
                await assign(connection, licence_id, SERIAL, by="Anne", now=FOUNDED, grace_days=0)
        except AssignmentRefusedError:
            return False
        return True

    assert sorted(await asyncio.gather(*(assigned(row.licence_id) for row in made[:2]))) == [False, True]
    assert await asyncio.gather(*(assigned(row.licence_id) for row in made[2:])) == [True, True]
    plans = [row for row in await rows(engine, t.licences) if row.kind == "plan"]
    first, second = sorted(plans, key=lambda row: row.starts_at)
    assert (second.starts_at, second.renews) == (first.ends_at, first.licence_id)  # one after the other
    assert (await terminal(engine)).licensed_until == second.ends_at
