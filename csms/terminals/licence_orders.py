"""Licences: what is sold, and orders of it. A confirmed order is licences to assign, and a charge on its owner.

Orders are made by owners and confirmed by the platform.

What a licence costs is written down when it is ordered; whoever changes a price changes it for later orders.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM, licence_sale
from billing.licence import line_price
from sessions.books import Posting, post
from storage import licence_schema as t
from storage import owner_schema

#: So many licences go into one order.
MOST_LICENCES = 1000


class OrderState(StrEnum):
    """How far an order is."""

    NEW = "new"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class OrderRefusedError(Exception):
    """The order cannot be placed, confirmed or cancelled; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A line of an order."""

    sku: str
    quantity: int


async def place_order(
    connection: AsyncConnection, owner_id: str, wanted: Sequence[Wanted], *, reference: str, by: str, now: datetime
) -> str:
    """Write an order and its licences, which are new, in the caller's transaction; return its id.

    Raises `OrderRefusedError`.
    """
    currency = await _currency_of(connection, owner_id)
    if not wanted or sum(line.quantity for line in wanted) > MOST_LICENCES or any(w.quantity < 1 for w in wanted):
        raise OrderRefusedError(f"An order is for 1 to {MOST_LICENCES} licences; make several orders of more.")
    skus = select(t.licence_skus).where(t.licence_skus.c.sku.in_({line.sku for line in wanted}))
    sold = {row.sku: row for row in await connection.execute(skus) if row.on_sale}
    order_id = f"lor_{secrets.token_hex(6)}"
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(wanted, 1):
        sku = sold.get(line.sku)
        if sku is None:
            raise OrderRefusedError(f"Line {number}: {line.sku!r} is not on sale; GET /licence-skus lists what is.")
        if sku.currency != currency:
            raise OrderRefusedError(
                f"Line {number}: {line.sku!r} is sold in {sku.currency}, and the owner's account is in {currency}; "
                f"order one that is sold in {currency}."
            )
        price = line_price(sku.price_minor, line.quantity, Decimal(sku.vat_percent))
        kept = {name: getattr(sku, name) for name in ("sku", "kind", "name", "includes", "price_minor", "vat_percent")}
        sums = {"quantity": line.quantity, "net_minor": price.net_minor, "vat_minor": price.vat_minor}
        lines.append({"order_id": order_id, "line": number} | kept | sums)
    order = {"order_id": order_id, "owner_id": owner_id, "state": OrderState.NEW.value, "currency": currency}
    await connection.execute(
        t.licence_orders.insert().values(order | {"reference": reference, "ordered_by": by[:80], "ordered_at": now})
    )
    await connection.execute(t.licence_order_lines.insert(), lines)
    licences = [
        {"licence_id": f"lic_{secrets.token_hex(6)}", "order_id": order_id, "owner_id": owner_id}
        | {name: line[name] for name in ("line", "sku", "kind", "name", "includes")}
        for line in lines
        for _ in range(line["quantity"])
    ]
    await connection.execute(t.licences.insert(), licences)
    return order_id


async def _currency_of(connection: AsyncConnection, owner_id: str) -> str:
    if owner_id == PLATFORM:
        raise OrderRefusedError("The platform's own terminals need no licence.")
    query = select(owner_schema.owners.c.currency).where(owner_schema.owners.c.owner_id == owner_id)
    currency = (await connection.execute(query)).scalar()
    if currency is None:
        raise OrderRefusedError("There is no such owner: enter the owner first.")
    return str(currency)


async def confirm_order(connection: AsyncConnection, order_id: str, *, by: str, now: datetime) -> None:
    """Make an order's licences available and charge the owner for them, in the caller's transaction; once.

    Confirming a confirmed order again changes nothing. Raises `OrderRefusedError` for a cancelled one.
    """
    order = await _decide(connection, order_id, OrderState.CONFIRMED, by, now)
    if order is None:
        return
    mine = t.licences.c.order_id == order_id
    await connection.execute(update(t.licences).where(mine).values(confirmed_at=now))
    lines = select(t.licence_order_lines).where(t.licence_order_lines.c.order_id == order_id)
    postings = [
        Posting(
            set_key=f"licence-order:{order_id}:{line.line}",
            entries=licence_sale(line.net_minor, line.vat_minor, order.currency),
            owner_id=order.owner_id,
        )
        for line in await connection.execute(lines.order_by(t.licence_order_lines.c.line))
    ]
    await post(connection, postings, now)


async def cancel_order(connection: AsyncConnection, order_id: str, *, by: str, now: datetime) -> None:
    """Take back an order that is not confirmed; its new licences never come to be. Raises `OrderRefusedError`."""
    if await _decide(connection, order_id, OrderState.CANCELLED, by, now) is not None:
        await connection.execute(delete(t.licences).where(t.licences.c.order_id == order_id))


async def _decide(connection: AsyncConnection, order_id: str, to: OrderState, by: str, now: datetime) -> Any:
    """The order that was new until now; None if it was decided so before."""
    mine = t.licence_orders.c.order_id == order_id
    order = (await connection.execute(select(t.licence_orders).where(mine).with_for_update())).first()
    if order is None:
        raise OrderRefusedError("There is no such order.")
    if order.state == to.value:
        return None
    if order.state != OrderState.NEW.value:
        raise OrderRefusedError(f"This order is {order.state}, and cannot be {to.value} any more.")
    values = {"state": to.value, "decided_by": by[:80], "decided_at": now}
    await connection.execute(update(t.licence_orders).where(mine).values(values))
    return order


def included(text: str) -> list[str]:
    """What a licence brings, as it is kept."""
    found: list[str] = orjson.loads(text)
    return found
