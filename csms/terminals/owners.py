"""Site owners: who they are, where they are paid, what was agreed with them. Never deleted, only closed.

An owner's name and numbers also stand in `issuers`, in the same commit: what their own processor collects is receipted
in their name, in a series of their own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import pycountry
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.bank_account import checked_bic, checked_iban
from billing.company_numbers import organisation_number, vat_number
from billing.ledger import PLATFORM, Account
from billing.money import exponent, format_money
from billing.receipt import Issuer
from billing.terms import Terms, terms_from_json, terms_to_json
from sessions.directory import Admission
from sessions.rows import LIVE, counter, upsert
from storage import owner_schema as t
from storage import schema as s

LANGUAGES = ("en", "nb")  # of receipts and letters: billing.words
#: What the settings file says of the platform, and the API therefore does not.
OF_THE_SETTINGS = frozenset({"legal_name", "organisation_number", "vat_number", "address", "country"})

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.-]{2,28}[0-9]")


class OwnerState(StrEnum):
    """Whether anything is done for an owner."""

    ACTIVE = "active"
    CLOSED = "closed"


class ContactRole(StrEnum):
    """What a contact is asked about."""

    GENERAL = "general"
    BILLING = "billing"  # statements and payouts
    TECHNICAL = "technical"  # terminals, inspections, incidents
    DRIVERS = "drivers"  # drivers' questions: stands on receipts in the owner's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody to reach at an owner's. Raises ``ValueError`` for an address that cannot be one."""

    name: str
    email: str
    role: ContactRole = ContactRole.GENERAL
    phone: str = ""

    def __post_init__(self) -> None:
        if not _EMAIL.fullmatch(self.email) or ".." in self.email or len(self.email) > 254:
            raise ValueError("is no e-mail address: write it as name@example.org")
        if self.phone and not _PHONE.fullmatch(self.phone):
            raise ValueError("is no phone number: write it as +47 22 00 00 00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A site owner. ``country``: ISO 3166-1 alpha-2; ``currency``: ISO 4217; ``time_zone``: IANA.

    Raises `OwnerRefusedError` for an owner that cannot be; numbers and accounts are kept as `billing` writes them.
    """

    owner_id: str
    legal_name: str
    organisation_number: str
    country: str
    currency: str
    created_at: datetime
    vat_number: str = ""
    address: tuple[str, ...] = ()
    language: str = "en"
    time_zone: str = "Europe/Oslo"
    iban: str | None = None
    bic: str | None = None
    contacts: tuple[Contact, ...] = ()
    terms: Terms = field(default_factory=Terms)
    state: OwnerState = OwnerState.ACTIVE
    revision: int = 1

    @property
    def issuer_id(self) -> str:
        """The key of the receipts in the owner's own name."""
        return f"owner:{self.owner_id}"

    def issuer(self) -> Issuer:
        """Who sells, on those receipts; with the contact for drivers, where there is one."""
        contact = next((c for c in self.contacts if c.role is ContactRole.DRIVERS), None)
        return Issuer(
            name=self.legal_name,
            address=self.address,
            country=self.country,
            organisation_number=self.organisation_number,
            vat_number=self.vat_number,
            email=contact.email if contact else "",
            phone=contact.phone if contact else "",
        )


class OwnerRefusedError(Exception):
    """The owner cannot be so; the text says why. ``field``: which of its fields is wrong, "" where none is."""

    def __init__(self, reason: str, of: str = "") -> None:
        super().__init__(reason)
        self.field = of


def new_owner_id() -> str:
    """An id that nobody has."""
    return f"own_{secrets.token_hex(6)}"


def checked(owner: Owner) -> Owner:
    """The owner with its numbers and accounts as they are kept. Raises `OwnerRefusedError` for what is wrong first."""
    if pycountry.countries.get(alpha_2=owner.country) is None:
        raise OwnerRefusedError("There is no such country: use an ISO 3166-1 code such as NO.", "country")
    _refuse("currency", exponent, owner.currency)
    if owner.language not in LANGUAGES:
        raise OwnerRefusedError(f"Receipts and letters are written in {' and '.join(LANGUAGES)} only.", "language")
    require_zone(owner.time_zone)
    company, vat = owner.organisation_number, owner.vat_number
    if owner.owner_id != PLATFORM:  # the settings' are taken as they are
        company = _refuse("organisation_number", organisation_number, owner.country, company)
        vat = _refuse("vat_number", vat_number, owner.country, vat)
    if owner.bic and not owner.iban:
        raise OwnerRefusedError("A BIC alone pays nobody: give the IBAN too, or neither.", "iban")
    return replace(
        owner,
        organisation_number=company,
        vat_number=vat,
        iban=_refuse("iban", checked_iban, owner.iban) if owner.iban else None,
        bic=_refuse("bic", checked_bic, owner.bic) if owner.bic else None,
    )


def require_zone(name: str) -> ZoneInfo:
    """The zone of that name. Raises `OwnerRefusedError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise OwnerRefusedError(
            "There is no such time zone: use an IANA name such as Europe/Oslo.", "time_zone"
        ) from None


def _refuse(name: str, check: Any, *values: str) -> Any:
    try:
        return check(*values)
    except ValueError as error:
        raise OwnerRefusedError(str(error), name) from None


# --- in the database --------------------------------------------------------------------------------------------------


async def find(connection: AsyncConnection, owner_id: str, *, lock: bool = False) -> Owner | None:
    """The owner, None if there is none. ``lock``: until the commit, where the database knows locks of rows."""
    query = select(t.owners).where(t.owners.c.owner_id == owner_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else owner_of(row)


async def require_active(connection: AsyncConnection, owner_id: str) -> Owner:
    """The owner, for whom something new is to be done. Raises `OwnerRefusedError`."""
    owner = await find(connection, owner_id, lock=True)
    if owner is None:
        raise OwnerRefusedError("There is no owner of this id.", "owner_id")
    if owner.state is OwnerState.CLOSED:
        raise OwnerRefusedError("This owner is closed: open it again first.", "owner_id")
    return owner


def owner_of(row: Any) -> Owner:
    """An owner from its row."""
    said = dict(row._mapping)
    return Owner(
        **said
        | {
            "address": tuple(orjson.loads(row.address)),
            "contacts": tuple(
                Contact(**contact | {"role": ContactRole(contact["role"])}) for contact in orjson.loads(row.contacts)
            ),
            "terms": terms_from_json(row.terms),
            "state": OwnerState(row.state),
        }
    )


async def enter(connection: AsyncConnection, owner: Owner) -> Owner:
    """Enter a new owner, in the caller's transaction, and return it as it is kept. Raises `OwnerRefusedError`."""
    kept = checked(owner)
    await counter(connection, "owners")  # locked: the same company is not entered twice at the same time
    await _only_one(connection, kept)
    await connection.execute(t.owners.insert().values(_row(kept)))
    await _issue_as(connection, kept)
    return kept


async def change(connection: AsyncConnection, owner: Owner, changes: Mapping[str, Any]) -> Owner:
    """Change an owner that was found with ``lock``, in the caller's transaction. Raises `OwnerRefusedError`."""
    told = OF_THE_SETTINGS & changes.keys()
    if owner.owner_id == PLATFORM and told:
        raise OwnerRefusedError(f"{', '.join(sorted(told))} of the platform come from the settings file (issuer).")
    if owner.owner_id == PLATFORM and "state" in changes:
        raise OwnerRefusedError("The platform cannot be closed: it runs this system.")
    new = checked(replace(owner, **changes, revision=owner.revision + 1))
    company = (new.country, new.organisation_number) != (owner.country, owner.organisation_number)
    if company or (new.state is OwnerState.ACTIVE and owner.state is OwnerState.CLOSED):
        await counter(connection, "owners")
        await _only_one(connection, new)
    if new.currency != owner.currency:
        await _no_money_yet(connection, owner)
    if new.state is OwnerState.CLOSED and owner.state is OwnerState.ACTIVE:
        await _nothing_left(connection, owner)
    await connection.execute(update(t.owners).where(t.owners.c.owner_id == owner.owner_id).values(_row(new)))
    if owner.owner_id != PLATFORM:
        await _issue_as(connection, new)
    return new


def _row(owner: Owner) -> dict[str, Any]:
    plain = {name: getattr(owner, name) for name in t.owners.c.keys()}  # noqa: SIM118 - columns are no mapping
    return plain | {
        "address": orjson.dumps(list(owner.address)).decode(),
        "contacts": orjson.dumps([asdict(contact) for contact in owner.contacts]).decode(),
        "terms": terms_to_json(owner.terms),
        "state": owner.state.value,
    }


async def _issue_as(connection: AsyncConnection, owner: Owner) -> None:
    body = orjson.dumps(asdict(owner.issuer())).decode()
    await upsert(connection, s.issuers, ["issuer_id"], [{"issuer_id": owner.issuer_id, "body": body}])


async def _only_one(connection: AsyncConnection, owner: Owner) -> None:
    o = t.owners.c
    same = (o.country == owner.country, o.organisation_number == owner.organisation_number)
    others = (o.owner_id.not_in([owner.owner_id, PLATFORM]), o.state == OwnerState.ACTIVE.value)
    found = (await connection.execute(select(o.owner_id).where(*same, *others))).scalar()
    if found is not None:
        raise OwnerRefusedError(f"This company is an owner already: {found}.", "organisation_number")


async def _no_money_yet(connection: AsyncConnection, owner: Owner) -> None:
    for table, what in ((s.tariffs, "tariffs"), (s.terminals, "terminals"), (s.ledger, "entries in the ledger")):
        mine = select(table.c.owner_id).where(table.c.owner_id == owner.owner_id).limit(1)
        if (await connection.execute(mine)).first() is not None:
            raise OwnerRefusedError(f"The currency cannot change any more: there are {what} in {owner.currency}.")


async def _nothing_left(connection: AsyncConnection, owner: Owner) -> None:
    """An owner is closed once nothing is sold for it any more, and nothing is owed, either way."""
    terminals = s.terminals.c
    live = select(terminals.serial).where(terminals.owner_id == owner.owner_id, terminals.inventory_state == LIVE)
    serials = list((await connection.execute(live.order_by(terminals.serial).limit(5))).scalars())
    if serials:
        raise OwnerRefusedError(f"It has live terminals ({', '.join(serials)}): suspend, store or return them first.")
    stations = s.stations.c
    kept = select(stations.station_id).where(
        stations.owner_id == owner.owner_id, stations.admission == Admission.ACCEPTED.value
    )
    names = list((await connection.execute(kept.order_by(stations.station_id).limit(5))).scalars())
    if names:
        raise OwnerRefusedError(f"Its stations charge ({', '.join(names)}): give them away, or refuse them, first.")
    running = select(s.sessions.c.session_id).where(s.sessions.c.owner_id == owner.owner_id, s.sessions.c.open)
    if (await connection.execute(running.limit(1))).first() is not None:
        raise OwnerRefusedError("A charge at one of its stations is not settled yet: close it when all are.")
    for currency, amount in (await owed(connection, owner.owner_id)).items():
        if amount:
            shown = format_money(amount, currency, "en")
            raise OwnerRefusedError(f"Its balance is {shown}: pay it out (a negative one: collect it) first.")


async def owed(connection: AsyncConnection, owner_id: str) -> dict[str, int]:
    """What the platform owes an owner, in minor units by currency; below zero, the owner owes."""
    ledger = s.ledger.c
    query = (
        select(ledger.currency, func.sum(ledger.amount_minor))
        .where(ledger.owner_id == owner_id, ledger.account == Account.OWNER_PAYABLE.value)
        .group_by(ledger.currency)
    )
    return {currency: -int(amount) for currency, amount in await connection.execute(query)}
