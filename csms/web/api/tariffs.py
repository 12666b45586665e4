"""Tariffs: made and read, never edited: what was frozen at a tap is what its name stands for, for ever."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import select

from billing.ledger import PLATFORM
from billing.money import exponent
from billing.price_text import describe_price
from billing.tariff import Tariff
from billing.tariff_json import tariff_from_json, tariff_to_json
from csms.settings import TariffSettings
from csms.terminals.owners import OwnerRefusedError, require_active
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Reply, Resource, Shown, owned_by
from csms.web.api.owners import refusal
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from sessions.rows import insert_for
from storage import schema as t
from storage.engine import reading, writing

ID_PATTERN = r"^[A-Za-z0-9*_=:+|@.-]{1,64}$"
#: No price, hold or limit is higher, major units.
HIGHEST = Decimal(10**7)
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_DECIMALS = 8  # that a price may have

resource = Resource(
    "tariffs",
    parameters={
        "tariff_id": {
            "type": "string",
            "pattern": ID_PATTERN,
            "description": "The tariff, as EVSEs refer to it.",
            "example": "T",
        }
    },
    owned={"tariff_id": owned_by(t.tariffs.c.owner_id, t.tariffs.c.tariff_id)},
)


class TariffWanted(TariffSettings):
    """A tariff to make: the simple fields, or a whole OCPI tariff."""

    tariff_id: str = Field(pattern=ID_PATTERN, description="Its name; never to be reused with other content.")
    owner_id: str = Field(PLATFORM, max_length=32, description="Whose EVSEs may have it.")
    currency: str = Field("NOK", pattern="^[A-Z]{3}$", description="ISO 4217 code; its owner's currency.")


class TariffShown(Shown):
    """A tariff."""

    tariff_id: str
    owner_id: str
    currency: str
    hold_minor: int = Field(description="Reserved on a card before a charge, minor units.")
    price: str = Field(description="In words, as drivers read it.")
    ocpi: dict[str, Any] = Field(description="As an OCPI 2.3.0 tariff; ours are hold_minor, idle_grace_s, time_zone.")


class TariffFilter(PageQuery):
    """Which tariffs."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")


@resource.get("/tariffs", Page[TariffShown], query=TariffFilter, owners=True)
async def list_tariffs(call: ApiCall) -> Page[TariffShown]:
    """List tariffs."""
    c = t.tariffs.c
    query = call.mine(select(t.tariffs), c.owner_id)
    if call.query.owner_id is not None:
        query = query.where(c.owner_id == call.query.owner_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.tariff_id], call.query, _shown)


@resource.get("/tariffs/{tariff_id}", TariffShown, owners=True)
async def get_tariff(call: ApiCall) -> TariffShown:
    """Show a tariff."""
    async with reading(call.api.engine) as connection:
        query = select(t.tariffs).where(t.tariffs.c.tariff_id == call.path["tariff_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no tariff of this name; GET /tariffs lists them.")
    return _shown(row)


@resource.operation(
    "POST",
    "/tariffs",
    role=Role.OPERATOR,
    body=TariffWanted,
    answers={201: TariffShown, 200: TariffShown},
    errors=(409,),
)
async def make_tariff(call: ApiCall) -> Reply:
    """Make a tariff. Saying one again, word for word, changes nothing; its name never gets another content."""
    wanted: TariffWanted = call.body
    body = orjson.dumps(tariff_to_json(_tariff(wanted))).decode()
    c = t.tariffs.c
    try:
        async with writing(call.api.engine) as connection:
            owner = await require_active(connection, wanted.owner_id)
            if owner.owner_id != PLATFORM and owner.currency != wanted.currency:
                raise Problem(
                    409, f"This owner is paid out in {owner.currency}: its tariffs are in {owner.currency} too."
                )
            values = {"tariff_id": wanted.tariff_id, "owner_id": wanted.owner_id, "body": body}
            insert = insert_for(connection)(t.tariffs).values(values)
            made = await connection.execute(insert.on_conflict_do_nothing(index_elements=["tariff_id"]))
            query = select(t.tariffs).where(c.tariff_id == wanted.tariff_id)
            row = (await connection.execute(query)).one()
    except OwnerRefusedError as refused:
        raise refusal(refused) from None
    if (row.owner_id, orjson.loads(row.body)) != (wanted.owner_id, orjson.loads(body)):
        raise Problem(409, "There is another tariff of this name: choose a name that was never used.")
    return Reply(_shown(row), 201 if made.rowcount else 200, {"Location": f"{PREFIX}/tariffs/{wanted.tariff_id}"})


def _tariff(wanted: TariffWanted) -> Tariff:
    """As `billing.tariff` knows it, within bounds. Raises `Problem` 422."""
    try:
        exponent(wanted.currency)
        _plain(wanted.ocpi)
        if not wanted.hold.is_finite() or not 0 <= wanted.hold <= HIGHEST:
            raise ValueError(f"hold is an amount from 0 to {HIGHEST}.")
        said = wanted.model_dump(exclude={"owner_id"})
        tariff = TariffSettings(**said).tariff()
        limits = [getattr(limit, side) for limit in (tariff.min_price, tariff.max_price) if limit for side in _SIDES]
        rates = [component.vat_percent for component in tariff.components()]
        prices = [component.price for component in tariff.components()]
        for number in (*prices, *rates, *limits):
            if number is not None and (number > HIGHEST or number != round(number, _DECIMALS)):
                raise ValueError(f"No price may be above {HIGHEST}, or have more than {_DECIMALS} decimals.")
        describe_price(tariff, "en")
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else "ocpi is not written as OCPI has it."
        raise Problem(422, f"This tariff cannot be: {reason}"[:400]) from None
    return tariff


_SIDES = ("before_taxes", "after_taxes")


def _plain(value: Any) -> None:
    """Numbers are written out: 1E+99999999 is a short text, and more digits than there is memory for."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _plain(item)
    elif isinstance(value, str | float) and (len(str(value)) > 400 or _EXPONENT.fullmatch(str(value))):
        raise ValueError("Write numbers out, without an exponent, and texts short.")


def _shown(row: Any) -> TariffShown:
    body = orjson.loads(row.body)
    tariff = tariff_from_json(body)
    return TariffShown(
        tariff_id=row.tariff_id,
        owner_id=row.owner_id,
        currency=tariff.currency,
        hold_minor=tariff.hold_minor,
        price=describe_price(tariff, "en"),
        ocpi=body,
    )
