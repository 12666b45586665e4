"""Site owners: entered and changed by the platform's operators; an owner's users see their own."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import select

from billing.bank_account import mask_iban
from billing.terms import Period, Terms
from csms.terminals import owners
from csms.terminals.owners import Contact, ContactRole, Owner, OwnerRefusedError, OwnerState
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown, etag, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from storage import owner_schema as t
from storage.engine import reading, writing

resource = Resource(
    "owners",
    parameters={
        "owner_id": {
            "type": "string",
            "pattern": r"^(own_[0-9a-f]{12}|platform)$",
            "description": "The owner, as it is listed; `platform` is the operator of this system.",
            "example": "own_0123456789ab",
        }
    },
    owned={"owner_id": owned_by(t.owners.c.owner_id, t.owners.c.owner_id)},
)

#: What an owner's own operator may change; the rest is agreed with, or confirmed by, the platform.
OF_THE_OWNER = frozenset({"contacts", "language"})

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
ADDRESS = "Address lines, without the country."


class ContactSaid(Body):
    """Somebody to reach."""

    name: Line = Field(description="Who.")
    role: ContactRole = Field(ContactRole.GENERAL, description="About what; `drivers` stands on receipts.")
    email: str = Field(max_length=254, description="E-mail address.")
    phone: str = Field("", max_length=30, description="Phone number.")

    def contact(self) -> Contact:
        """As `csms.terminals.owners` knows it. Raises ValueError."""
        return Contact(**self.model_dump())


def _can_be_reached(said: list[ContactSaid]) -> list[ContactSaid]:
    for n, contact in enumerate(said):
        try:
            contact.contact()
        except ValueError as error:
            raise ValueError(f"Contact {n + 1} {error}.") from None
    return said


Contacts = Annotated[list[ContactSaid], Field(max_length=20), AfterValidator(_can_be_reached)]


class TermsSaid(Body):
    """What the platform takes, and when it pays out. Amounts in minor units of the owner's currency, without VAT."""

    fee_fixed_minor: int = Field(0, ge=0, le=10**9, description="Per paid session.")
    fee_percent: Decimal = Field(Decimal(0), ge=0, le=100, description="Of a session's gross, at most 3 decimals.")
    facilitation_fee_minor: int = Field(
        0, ge=0, le=10**9, description="Per session that is paid through the owner's own processor."
    )
    fee_vat_percent: Decimal = Field(Decimal(25), ge=0, le=100, description="VAT on top of the fees.")
    period: Period = Field(Period.MONTH, description="What a statement covers, in the owner's time zone.")
    minimum_payout_minor: int = Field(0, ge=0, le=10**12, description="A smaller balance is carried to the next.")


def _agreeable(said: TermsSaid) -> TermsSaid:
    Terms(**said.model_dump())
    return said


class OwnerFields(Body):
    """What may be said of an owner, all of it optional."""

    vat_number: str = Field("", max_length=40, description="VAT number, as registered; empty: none.")
    address: list[Line] = Field(default_factory=list, max_length=6, description=ADDRESS)
    language: str = Field("en", max_length=5, description="Language of its receipts and letters: en, nb.")
    time_zone: str = Field("Europe/Oslo", max_length=40, description="IANA zone; statements count its days.")
    iban: str | None = Field(None, max_length=42, description="Bank account that is paid out to.")
    bic: str | None = Field(None, max_length=14, description="The bank's BIC, where the account needs one.")
    contacts: Contacts = Field(default_factory=list, description="Who is reached about what.")
    terms: Annotated[TermsSaid, AfterValidator(_agreeable)] = Field(TermsSaid(), description="What was agreed.")


class OwnerWanted(OwnerFields):
    """An owner to enter."""

    legal_name: Line = Field(description="As registered.")
    organisation_number: str = Field(min_length=1, max_length=40, description="As registered.")
    country: str = Field(pattern="^[A-Z]{2}$", description="ISO 3166-1 code.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code: of its tariffs and payouts.")


class OwnerEdit(Body):
    """What is to change; what is left out stays. Contacts, address and terms are said as a whole."""

    legal_name: Line | None = Field(None, description="As registered.")
    organisation_number: str | None = Field(None, min_length=1, max_length=40, description="As registered.")
    vat_number: str | None = Field(None, max_length=40, description="VAT number; empty: none.")
    address: list[Line] | None = Field(None, max_length=6, description=ADDRESS)
    country: str | None = Field(None, pattern="^[A-Z]{2}$", description="ISO 3166-1 code.")
    currency: str | None = Field(None, pattern="^[A-Z]{3}$", description="ISO 4217 code; only before there is money.")
    language: str | None = Field(None, max_length=5, description="en, nb.")
    time_zone: str | None = Field(None, max_length=40, description="IANA zone.")
    iban: str | None = Field(None, max_length=42, description="Bank account; null: none, nothing is paid out.")
    bic: str | None = Field(None, max_length=14, description="The bank's BIC; null: none.")
    contacts: Contacts | None = Field(None, description="All of them.")
    terms: Annotated[TermsSaid, AfterValidator(_agreeable)] | None = Field(None, description="All of them.")
    state: OwnerState | None = Field(None, description="closed: nothing new is done for it; active: opened again.")


class OwnerShown(Shown):
    """An owner."""

    owner_id: str
    state: OwnerState
    legal_name: str
    organisation_number: str
    vat_number: str
    address: list[str]
    country: str
    currency: str
    language: str
    time_zone: str
    iban: str | None = Field(description="Masked for the platform's read-only and support people.")
    bic: str | None
    contacts: list[ContactSaid]
    terms: TermsSaid
    revision: int
    created_at: datetime


class OwnerFilter(PageQuery):
    """Which owners."""

    state: OwnerState | None = Field(None, description="Only these.")
    country: str | None = Field(None, max_length=2, description="Only of this country.")
    organisation_number: str | None = Field(None, max_length=40, description="Only with this number, as it is shown.")


@resource.get("/owners", Page[OwnerShown], query=OwnerFilter, owners=True)
async def list_owners(call: ApiCall) -> Page[OwnerShown]:
    """List site owners; the platform itself is one of them."""
    o, asked = t.owners.c, call.query
    query = call.mine(select(t.owners), o.owner_id)
    for name in ("state", "country", "organisation_number"):
        if getattr(asked, name) is not None:
            query = query.where(o[name] == getattr(asked, name))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [o.owner_id], asked, lambda row: _shown(call, owners.owner_of(row)))


@resource.get("/owners/{owner_id}", OwnerShown, owners=True)
async def get_owner(call: ApiCall) -> Reply:
    """Show a site owner."""
    async with reading(call.api.engine) as connection:
        owner = await owners.find(connection, call.path["owner_id"])
    if owner is None:
        raise no_owner()
    return _reply(call, owner, 200)


@resource.operation("POST", "/owners", role=Role.OPERATOR, body=OwnerWanted, answers={201: OwnerShown}, errors=(409,))
async def enter_owner(call: ApiCall) -> Reply:
    """Enter a site owner. Receipts in its own name have a series of their own from now on."""
    said: OwnerWanted = call.body
    owner_id = owners.new_owner_id()
    try:
        async with writing(call.api.engine) as connection:
            wanted = Owner(owner_id=owner_id, created_at=call.now, **_values(said, set(type(said).model_fields)))
            owner = await owners.enter(connection, wanted)
    except OwnerRefusedError as refused:
        raise refusal(refused) from None
    return _reply(call, owner, 201, {"Location": f"{PREFIX}/owners/{owner_id}"})


@resource.operation(
    "PATCH",
    "/owners/{owner_id}",
    role=Role.OPERATOR,
    body=OwnerEdit,
    answers={200: OwnerShown},
    errors=(409,),
    edits=True,
    owners=True,
)
async def edit_owner(call: ApiCall) -> Reply:
    """Change, close or open again a site owner.

    Owners' own operators may change contacts and language. The platform's names come from the settings file. An owner
    is closed once it has no live terminals, no stations that charge, no unsettled charges, and nothing is owed; none is
    ever deleted.
    """
    said: OwnerEdit = call.body
    told = set(said.model_fields_set)
    if call.owner_id is not None and told - OF_THE_OWNER:
        kept = ", ".join(sorted(told - OF_THE_OWNER))
        raise Problem(403, f"Ask the platform to change {kept}: you may change {' and '.join(sorted(OF_THE_OWNER))}.")
    for name in sorted(told - {"iban", "bic"}):
        if getattr(said, name) is None:
            raise Problem(422, f"{name} cannot be null.")
    try:
        async with writing(call.api.engine) as connection:
            owner = await owners.find(connection, call.path["owner_id"], lock=True)
            if owner is None:
                raise no_owner()
            call.require_revision(owner.revision)
            owner = await owners.change(connection, owner, _values(said, told))
    except OwnerRefusedError as refused:
        raise refusal(refused) from None
    return _reply(call, owner, 200)


def no_owner() -> Problem:
    """404."""
    return Problem(404, "There is no owner of this id; GET /owners lists them.")


def refusal(refused: OwnerRefusedError) -> Problem:
    """422 for a field that cannot be so, 409 for what cannot be now."""
    if not refused.field:
        return Problem(409, str(refused))
    said = f"Not taken: {refused}"
    return Problem(422, said, errors=[FieldProblem(field=refused.field, detail=str(refused))])


def _values(said: Any, names: set[str]) -> dict[str, Any]:
    values = {name: getattr(said, name) for name in names}
    if "contacts" in names:
        values["contacts"] = tuple(contact.contact() for contact in said.contacts)
    if "terms" in names:
        values["terms"] = Terms(**said.terms.model_dump())
    if "address" in names:
        values["address"] = tuple(said.address)
    return values


def _shown(call: ApiCall, owner: Owner) -> OwnerShown:
    in_full = call.owner_id is not None or call.caller.role.may(Role.OPERATOR)
    plain = {name: getattr(owner, name) for name in OwnerShown.model_fields}
    return OwnerShown.model_validate(
        plain
        | {
            "iban": owner.iban if in_full or owner.iban is None else mask_iban(owner.iban),
            "contacts": [asdict(contact) for contact in owner.contacts],
            "terms": asdict(owner.terms),
            "address": list(owner.address),
        }
    )


def _reply(call: ApiCall, owner: Owner, status: int, headers: dict[str, str] | None = None) -> Reply:
    return Reply(_shown(call, owner), status, {"ETag": etag(owner.revision)} | (headers or {}))
