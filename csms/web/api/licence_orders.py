"""Orders of licences: placed by site owners, confirmed by the platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field
from sqlalchemy import select

from billing.ledger import PLATFORM
from billing.licence import Included, LicenceKind
from csms.terminals.licence_orders import (
    MOST_LICENCES,
    OrderRefusedError,
    OrderState,
    Wanted,
    cancel_order,
    confirm_order,
    included,
    place_order,
)
from csms.web.api.access import Role
from csms.web.api.licence_skus import SKU
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import licence_schema as t
from storage.engine import reading, writing

resource = Resource(
    "licences",
    parameters={
        "order_id": {
            "type": "string",
            "pattern": "^lor_[0-9a-f]{12}$",
            "description": "As it was answered.",
            "example": "lor_0123456789ab",
        }
    },
    owned={"order_id": owned_by(t.licence_orders.c.owner_id, t.licence_orders.c.order_id)},
)


class LineWanted(Body):
    """A line of an order."""

    sku: str = Field(pattern=SKU, description="What: GET /licence-skus.")
    quantity: int = Field(ge=1, le=MOST_LICENCES, description="How many.")


class NewOrder(Body):
    """An order."""

    owner_id: str | None = Field(
        None, max_length=32, description="For whom; an owner's user orders for that owner, and may leave it out."
    )
    lines: list[LineWanted] = Field(min_length=1, max_length=100)
    reference: str = Field("", max_length=80, description="The owner's own reference, for the statement.")


class LineShown(Shown):
    """A line, at the price of the day of the order."""

    line: int
    sku: str
    kind: LicenceKind
    name: str
    includes: list[Included]
    quantity: int
    price_minor: int = Field(description="Of one, minor units, without VAT.")
    vat_percent: Decimal
    net_minor: int
    vat_minor: int
    gross_minor: int


class OrderShown(Shown):
    """An order."""

    order_id: str
    owner_id: str
    state: OrderState = Field(description="new → confirmed: its licences are available and charged; or cancelled.")
    currency: str
    reference: str
    ordered_by: str
    ordered_at: datetime
    decided_by: str | None = Field(description="Who confirmed or cancelled it.")
    decided_at: datetime | None


class OrderWithLines(OrderShown):
    """An order, what it is for, and what became of it."""

    lines: list[LineShown]
    licence_ids: list[str] = Field(description="The licences it makes.")


class OrderFilter(PageQuery):
    """Which orders."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")
    state: OrderState | None = Field(None, description="Only in this state.")


@resource.get("/licence-orders", Page[OrderShown], query=OrderFilter, owners=True)
async def list_licence_orders(call: ApiCall) -> Page[OrderShown]:
    """List orders, the newest first."""
    c, asked = t.licence_orders.c, call.query
    query = call.mine(select(t.licence_orders), c.owner_id)
    for name in ("owner_id", "state"):
        if getattr(asked, name) is not None:
            query = query.where(c[name] == getattr(asked, name))
    keys = [c.ordered_at, c.order_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, keys, asked, _shown, newest_first=True)


@resource.operation(
    "POST",
    "/licence-orders",
    role=Role.OPERATOR,
    body=NewOrder,
    answers={201: OrderWithLines},
    errors=(404, 409),
    owners=True,
)
async def order_licences(call: ApiCall) -> Reply:
    """Order licences. They are new until the platform confirms the order."""
    new: NewOrder = call.body
    owner_id = new.owner_id or call.owner_id or PLATFORM
    call.require_mine(owner_id)
    wanted = [Wanted(sku=line.sku, quantity=line.quantity) for line in new.lines]
    try:
        async with writing(call.api.engine) as connection:
            order_id = await place_order(
                connection, owner_id, wanted, reference=new.reference, by=call.caller.actor, now=call.now
            )
    except OrderRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return Reply(await _order(call, order_id), 201, {"Location": f"{PREFIX}/licence-orders/{order_id}"})


@resource.get("/licence-orders/{order_id}", OrderWithLines, owners=True)
async def get_licence_order(call: ApiCall) -> OrderWithLines:
    """Show an order, its lines and its licences."""
    return await _order(call, call.path["order_id"])


@resource.operation(
    "POST",
    "/licence-orders/{order_id}/confirmation",
    role=Role.OPERATOR,
    answers={200: OrderWithLines},
    errors=(409,),
)
async def confirm_licence_order(call: ApiCall) -> OrderWithLines:
    """Confirm an order: its licences become available, and the owner's account is charged. Again: nothing changes."""
    return await _decided(call, confirm_order)


@resource.operation(
    "POST",
    "/licence-orders/{order_id}/cancellation",
    role=Role.OPERATOR,
    answers={200: OrderWithLines},
    errors=(409,),
    owners=True,
)
async def cancel_licence_order(call: ApiCall) -> OrderWithLines:
    """Take back an order that is not confirmed yet."""
    return await _decided(call, cancel_order)


async def _decided(call: ApiCall, decide: Callable[..., Awaitable[None]]) -> OrderWithLines:
    order_id = call.path["order_id"]
    await _order(call, order_id)
    try:
        async with writing(call.api.engine) as connection:
            await decide(connection, order_id, by=call.caller.actor, now=call.now)
    except OrderRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return await _order(call, order_id)


async def _order(call: ApiCall, order_id: str) -> OrderWithLines:
    o, n, c = t.licence_orders.c, t.licence_order_lines.c, t.licences.c
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.licence_orders).where(o.order_id == order_id))).first()
        if row is None:
            raise Problem(404, "There is no order of this id.")
        lines = await connection.execute(select(t.licence_order_lines).where(n.order_id == order_id).order_by(n.line))
        made = select(c.licence_id).where(c.order_id == order_id).order_by(c.line, c.licence_id)
        return OrderWithLines(
            **_shown(row).model_dump(),
            lines=[_line(line) for line in lines],
            licence_ids=list((await connection.execute(made)).scalars()),
        )


def _line(row: Any) -> LineShown:
    kept = {"includes": included(row.includes), "vat_percent": Decimal(row.vat_percent)}
    kept["gross_minor"] = row.net_minor + row.vat_minor
    values = {name: getattr(row, name) for name in LineShown.model_fields if name not in kept}
    return LineShown(**values, **kept)


def _shown(row: Any) -> OrderShown:
    return OrderShown(**{name: getattr(row, name) for name in OrderShown.model_fields})
