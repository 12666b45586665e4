"""Licence SKUs: what site owners can order, and at what price."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import Field, field_validator
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from billing.licence import Included, LicenceKind
from billing.money import exponent
from csms.terminals.licence_orders import included
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown, etag
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import licence_schema as t
from storage.engine import reading, writing

SKU = r"^[A-Za-z0-9._-]{1,40}$"

resource = Resource(
    "licences",
    parameters={"sku": {"type": "string", "pattern": SKU, "description": "Its code.", "example": "PLAN-NOK"}},
)


class SkuTerms(Body):
    """What is sold."""

    name: str = Field(min_length=1, max_length=120, description="As orders and statements show it.")
    price_minor: int = Field(ge=0, le=10**12, description="Price of one, minor units, without VAT.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217. Owners order what is sold in theirs.")
    vat_percent: Decimal = Field(ge=0, le=100, max_digits=5, decimal_places=2, description="VAT rate in percent.")
    includes: list[Included] = Field(max_length=len(Included), description="What it brings.")
    on_sale: bool = Field(True, description="Whether it can be ordered.")

    @field_validator("currency")
    @classmethod
    def _known(cls, value: str) -> str:
        exponent(value)
        return value


class NewSku(SkuTerms):
    """A new SKU."""

    sku: str = Field(pattern=SKU, description="Its code; it stays.")
    kind: LicenceKind = Field(description="activation: once per terminal; plan: a year, per terminal.")


class SkuShown(Shown):
    """An SKU."""

    sku: str
    kind: LicenceKind
    name: str
    price_minor: int
    currency: str
    vat_percent: Decimal
    includes: list[Included]
    on_sale: bool
    revision: int
    created_at: datetime


@resource.get("/licence-skus", Page[SkuShown], query=PageQuery, owners=True)
async def list_licence_skus(call: ApiCall) -> Page[SkuShown]:
    """List what can be ordered; the platform's people see what is not on sale any more, too."""
    query = select(t.licence_skus)
    if call.owner_id is not None:
        query = query.where(t.licence_skus.c.on_sale)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [t.licence_skus.c.sku], call.query, _shown)


@resource.operation("POST", "/licence-skus", role=Role.ADMIN, body=NewSku, answers={201: SkuShown}, errors=(409,))
async def create_licence_sku(call: ApiCall) -> Reply:
    """Put an activation or a plan on sale."""
    new: NewSku = call.body
    values = _row(new) | {"sku": new.sku, "kind": new.kind.value, "revision": 1, "created_at": call.now}
    try:
        async with writing(call.api.engine) as connection:
            await connection.execute(t.licence_skus.insert().values(values))
    except IntegrityError:
        raise Problem(409, "There is an SKU of this code already: change it with PUT.") from None
    return _reply(await _sku(call, new.sku), 201)


@resource.get("/licence-skus/{sku}", SkuShown)
async def get_licence_sku(call: ApiCall) -> Reply:
    """Show an SKU."""
    return _reply(await _sku(call, call.path["sku"]), 200)


@resource.operation("PUT", "/licence-skus/{sku}", role=Role.ADMIN, body=SkuTerms, answers={200: SkuShown}, edits=True)
async def change_licence_sku(call: ApiCall) -> Reply:
    """Say anew what is sold, and for how much: later orders go by it, earlier ones keep their price."""
    shown = await _sku(call, call.path["sku"])
    call.require_revision(shown.revision)
    k = t.licence_skus.c
    values = _row(call.body) | {"revision": shown.revision + 1}
    async with writing(call.api.engine) as connection:
        same = (k.sku == shown.sku, k.revision == shown.revision)
        changed = await connection.execute(update(t.licence_skus).where(*same).values(values))
    if not changed.rowcount:
        raise Problem(412, "This was changed meanwhile: read it again, and send its new ETag in If-Match.")
    return _reply(await _sku(call, shown.sku), 200)


def _row(terms: SkuTerms) -> dict[str, Any]:
    return {
        "name": terms.name,
        "price_minor": terms.price_minor,
        "currency": terms.currency,
        "vat_percent": str(terms.vat_percent),
        "includes": orjson.dumps(sorted(set(terms.includes))).decode(),
        "on_sale": terms.on_sale,
    }


async def _sku(call: ApiCall, sku: str) -> SkuShown:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.licence_skus).where(t.licence_skus.c.sku == sku))).first()
    if row is None:
        raise Problem(404, "There is no SKU of this code.")
    return _shown(row)


def _shown(row: Any) -> SkuShown:
    values = {name: getattr(row, name) for name in SkuShown.model_fields}
    return SkuShown(**values | {"includes": included(row.includes), "vat_percent": Decimal(row.vat_percent)})


def _reply(shown: SkuShown, status: int) -> Reply:
    return Reply(shown, status, {"ETag": etag(shown.revision)})
