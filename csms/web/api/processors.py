"""Owners' own processors: their accounts, what each still needs, and its credentials, which nobody is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr, field_validator
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from bridge.options import fits_the_header
from bridge.probe import Finding, Probe
from csms.terminals.processors import (
    BY_MACHINE,
    MACHINE,
    MISSING,
    OF_ACCOUNT,
    Confirmation,
    Credentials,
    Requirement,
    confirm,
    confirmations,
    new_account_id,
    seal,
    withdraw,
)
from csms.terminals.vault import NoVaultKeyError
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, FreeText, Reply, Resource, Shown, etag, nothing_of_yours, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from storage import owner_schema as o
from storage import schema as t
from storage.engine import reading, writing

_A = o.processor_accounts.c
MEANWHILE = "This was changed meanwhile: read it again, and send its new ETag in If-Match."
OWNER_ID = r"^[a-z0-9_]{1,32}$"

resource = Resource(
    "processors",
    parameters={
        "account_id": {
            "type": "string",
            "pattern": r"^acc_[0-9a-f]{12}$",
            "description": "As it was answered.",
            "example": "acc_0123456789ab",
        },
    },
    owned={"account_id": owned_by(_A.owner_id, _A.account_id)},
)


class ProcessorDetails(Body):
    """What is known of an owner's contract."""

    name: FreeText = Field(min_length=1, max_length=120, description="What people call it.")
    base_url: str = Field(max_length=200, description="Its payments cloud, such as https://cps.mypayter.com/.")
    data_url: str = Field("", max_length=200, description="Its Data API, such as https://api.mypayter.com/API.")
    domain: FreeText = Field(min_length=1, max_length=80, description="The owner's MyPayter domain.")
    merchant_id: FreeText = Field(min_length=1, max_length=40, description="As the acquirer gave it; receipts show it.")
    acquirer: FreeText = Field(min_length=1, max_length=80, description="Who settles with the owner.")


class ProcessorWanted(ProcessorDetails):
    """A new account."""

    owner_id: str = Field(pattern=OWNER_ID, description="Whose it is.")


class CredentialsWanted(Body):
    """What opens the owner's domain. Sealed at once; nobody is shown it again."""

    api_key: SecretStr = Field(min_length=1, max_length=200, description="Of the payments cloud.")
    data_api_user: SecretStr = Field(SecretStr(""), max_length=200, description="Of the Data API; empty: none.")
    data_api_password: SecretStr = Field(SecretStr(""), max_length=200, description="Of that user.")

    @field_validator("api_key")
    @classmethod
    def _fits(cls, value: SecretStr) -> SecretStr:
        if not fits_the_header(value.get_secret_value()):
            raise ValueError("must be printable ASCII without quotes")
        return value


class ConfirmationWanted(Body):
    """A person's word that a requirement is met, or is not any more."""

    met: bool = Field(True, description="Whether it is.")
    reference: FreeText = Field(
        min_length=1, max_length=120, description="Of the agreement, the request or the ticket."
    )


class RequirementConfirmed(ConfirmationWanted):
    """A person's word about a requirement of the account."""

    requirement: Requirement = Field(description="agreement or merchant; the others are confirmed in their own way.")


class ConfirmationShown(Shown):
    """How a requirement stands."""

    requirement: Requirement
    met: bool
    reference: str
    detail: str = Field(description="What asking found; or what is missing, and what to do.")
    confirmed_by: str = Field(description="A person, or `machine`; empty: nobody has looked yet.")
    confirmed_at: datetime | None


class ProcessorShown(Shown):
    """An account, without its secrets."""

    account_id: str
    owner_id: str
    name: str
    base_url: str
    data_url: str
    domain: str
    merchant_id: str
    acquirer: str
    has_credentials: bool
    revision: int
    created_at: datetime


class ProcessorWithRequirements(ProcessorShown):
    """An account, what it still needs, and who uses it."""

    requirements: list[ConfirmationShown]
    terminals: list[str] = Field(description="Serials of the terminals that are paid through it.")


class ProcessorFilter(PageQuery):
    """Which accounts."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")


@resource.get("/processors", Page[ProcessorShown], query=ProcessorFilter, owners=True)
async def list_processors(call: ApiCall) -> Page[ProcessorShown]:
    """List own processors."""
    query = call.mine(select(o.processor_accounts), _A.owner_id)
    if call.query.owner_id is not None:
        query = query.where(_A.owner_id == call.query.owner_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [_A.account_id], call.query, lambda row: ProcessorShown(**_shown(row))
        )


@resource.operation(
    "POST",
    "/processors",
    role=Role.OPERATOR,
    body=ProcessorWanted,
    answers={201: ProcessorWithRequirements},
    errors=(404, 409),
    owners=True,
)
async def enter_processor(call: ApiCall) -> Reply:
    """Enter an owner's own processor. No terminal uses it before all that it needs is there."""
    wanted: ProcessorWanted = call.body
    call.require_mine(wanted.owner_id)
    if wanted.owner_id == PLATFORM:
        raise Problem(409, "The platform's processor is in the settings (payter); accounts are site owners' own.")
    row = _addressed(call, wanted) | {
        "account_id": new_account_id(),
        "owner_id": wanted.owner_id,
        "credentials": "",
        "created_at": call.now,
    }
    async with writing(call.api.engine) as connection:
        owner = select(o.owners.c.owner_id).where(o.owners.c.owner_id == wanted.owner_id)
        if (await connection.execute(owner)).first() is None:
            raise Problem(404, "There is no owner of this id.")
        await connection.execute(o.processor_accounts.insert().values(row))
    return await _reply(call, row["account_id"], 201)


@resource.get("/processors/{account_id}", ProcessorWithRequirements, owners=True)
async def get_processor(call: ApiCall) -> Reply:
    """Show an own processor, what it still needs and which terminals use it."""
    return await _reply(call, call.path["account_id"])


@resource.operation(
    "PUT",
    "/processors/{account_id}",
    role=Role.OPERATOR,
    body=ProcessorDetails,
    answers={200: ProcessorWithRequirements},
    errors=(409,),
    edits=True,
    owners=True,
)
async def change_processor(call: ApiCall) -> Reply:
    """Say anew what is known of the contract.

    What was confirmed of something that changes has to be confirmed again; terminals that use the account go on. Where
    it is, and its domain, stay while terminals use it: another domain is another account.
    """
    before = await _account(call)
    call.require_revision(before.revision)
    row = _addressed(call, call.body)
    changed = {name for name, value in row.items() if getattr(before, name) != value}
    doubted = set[Requirement]()
    if changed & {"base_url", "data_url", "domain"}:
        doubted.add(Requirement.DOMAIN)
    if "domain" in changed:
        doubted.add(Requirement.AGREEMENT)
    if changed & {"merchant_id", "acquirer"}:
        doubted.add(Requirement.MERCHANT)
    async with writing(call.api.engine) as connection:
        if changed & {"base_url", "domain"} and await _depends(connection, before.account_id):
            raise Problem(
                409,
                "Terminals, or sessions that are not over, use this account: its address and domain stay. Enter a new "
                "account for another domain, and change the terminals' processor.",
            )
        await _update(connection, before, row | {"revision": before.revision + 1})
        why = "What this was about was changed since."
        await withdraw(connection, before.account_id, doubted, why, call.caller.actor, call.now)
    await _wake(call)
    return await _reply(call, before.account_id)


@resource.operation(
    "PUT",
    "/processors/{account_id}/credentials",
    role=Role.OPERATOR,
    body=CredentialsWanted,
    answers={200: ProcessorWithRequirements},
    errors=(409,),
    edits=True,
    owners=True,
)
async def rotate_processor_credentials(call: ApiCall) -> Reply:
    """Enter the account's credentials, or new ones. They hold at once, for sessions that are open too.

    Verify the account afterwards. Without a vault key nothing is kept.
    """
    before, wanted = await _account(call), call.body
    call.require_revision(before.revision)
    credentials = Credentials(
        api_key=wanted.api_key.get_secret_value(),
        data_user=wanted.data_api_user.get_secret_value(),
        data_password=wanted.data_api_password.get_secret_value(),
    )
    try:
        sealed = seal(call.api.processors.vault, before.account_id, credentials)
    except NoVaultKeyError as error:
        raise Problem(409, str(error)) from None
    async with writing(call.api.engine) as connection:
        await _update(connection, before, {"credentials": sealed, "revision": before.revision + 1})
        why = "New credentials were entered since: verify the account."
        await withdraw(connection, before.account_id, BY_MACHINE, why, call.caller.actor, call.now)
    await _wake(call)
    return await _reply(call, before.account_id)


@resource.operation(
    "POST",
    "/processors/{account_id}/verification",
    role=Role.OPERATOR,
    answers={200: ProcessorWithRequirements},
    errors=(409,),
    owners=True,
)
async def verify_processor(call: ApiCall) -> Reply:
    """Ask the owner's domain whether it answers under the account's credentials, and write down what was found."""
    before = await _account(call)
    found = await _verified(call, require_probe(call), before)
    said = Confirmation(
        requirement=Requirement.DOMAIN,
        met=found.good,
        reference=before.domain,
        detail=found.detail,
        confirmed_by=MACHINE,
    )
    async with writing(call.api.engine) as connection:
        query = select(_A.revision).where(_A.account_id == before.account_id).with_for_update()
        if (await connection.execute(query)).scalar() != before.revision:
            raise Problem(409, "The account was changed while it was verified: verify it again.")
        await confirm(connection, before.account_id, said, call.now)
    return await _reply(call, before.account_id)


@resource.operation(
    "PUT",
    "/processors/{account_id}/requirements",
    role=Role.OPERATOR,
    body=RequirementConfirmed,
    answers={200: ProcessorWithRequirements},
    errors=(409,),
    owners=True,
)
async def confirm_processor_requirement(call: ApiCall) -> Reply:
    """Confirm that the agreement with Payter, or merchant id and acquiring agreement, are there; or take it back."""
    await _account(call)
    wanted: RequirementConfirmed = call.body
    if wanted.requirement in BY_MACHINE:
        raise Problem(409, "A machine verifies this one: POST /processors/{account_id}/verification.")
    if wanted.requirement not in OF_ACCOUNT:
        raise Problem(409, "This one is of each terminal: PUT /terminals/{serial}/routing.")
    said = Confirmation(
        requirement=wanted.requirement,
        met=wanted.met,
        reference=wanted.reference,
        confirmed_by=call.caller.actor,
    )
    async with writing(call.api.engine) as connection:
        await confirm(connection, call.path["account_id"], said, call.now)
    return await _reply(call, call.path["account_id"])


@resource.operation(
    "DELETE",
    "/processors/{account_id}",
    role=Role.OPERATOR,
    answers={204: None},
    errors=(409,),
    edits=True,
    owners=True,
)
async def delete_processor(call: ApiCall) -> Reply:
    """Forget an account that was never used, with its credentials."""
    before = await _account(call)
    call.require_revision(before.revision)
    account_id = before.account_id
    async with writing(call.api.engine) as connection:
        if await _depends(connection, account_id, ever=True):
            raise Problem(409, "This account was used: its sessions and transfers refer to it. It stays.")
        requirements = o.processor_requirements
        await connection.execute(delete(requirements).where(requirements.c.account_id == account_id))
        same = (_A.account_id == account_id, _A.revision == before.revision)
        if not (await connection.execute(delete(o.processor_accounts).where(*same))).rowcount:
            raise Problem(412, MEANWHILE)
    return Reply(None, 204)


def require_probe(call: ApiCall) -> Probe:
    """What asks terminals' clouds. Raises `Problem` 409."""
    if call.api.probe is None:
        raise Problem(
            409, "The settings have no payter section, so no terminals' cloud is talked to: set at least its secrets."
        )
    return call.api.probe


def confirmation_shown(said: Confirmation) -> ConfirmationShown:
    """A requirement as callers are shown it."""
    return ConfirmationShown(
        requirement=said.requirement,
        met=said.met,
        reference=said.reference,
        detail=said.detail or ("" if said.met else f"Missing: {MISSING[said.requirement]}."),
        confirmed_by=said.confirmed_by,
        confirmed_at=said.confirmed_at,
    )


async def _verified(call: ApiCall, probe: Probe, account: Any) -> Finding:
    if await call.api.processors.access(account.account_id) is None:
        return Finding(
            False, "The account's credentials are missing or do not open, or its address is not allowed: enter them."
        )
    cloud = await probe.account(account.account_id)
    data = await call.api.processors.data_api(account.account_id)
    if not cloud.good or data is None:
        return cloud
    told = await probe.data_api(data.data_url, data.domain, data.user, data.password)
    return Finding(told.good, f"{cloud.detail} {told.detail}")


def _addressed(call: ApiCall, wanted: ProcessorDetails) -> dict[str, Any]:
    """The details as the table keeps them. Raises `Problem` 422 for an address that is not allowed."""
    row = wanted.model_dump(exclude={"owner_id"})
    for name in ("base_url", "data_url"):
        if not row[name] and name == "data_url":
            continue
        try:
            row[name] = call.api.processors.reachable.address(row[name])
        except ValueError as error:
            wrong = FieldProblem(field=name, detail=f"{name} {error}.")
            raise Problem(422, "This address cannot be used; see errors.", errors=[wrong]) from None
    return row


async def _account(call: ApiCall) -> Any:
    async with reading(call.api.engine) as connection:
        query = select(o.processor_accounts).where(_A.account_id == call.path["account_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise nothing_of_yours() if call.owner_id else Problem(404, "There is no processor account of this id.")
    return row


async def _update(connection: AsyncConnection, before: Any, values: dict[str, Any]) -> None:
    same = (_A.account_id == before.account_id, _A.revision == before.revision)
    if not (await connection.execute(update(o.processor_accounts).where(*same).values(values))).rowcount:
        raise Problem(412, MEANWHILE)


async def _depends(connection: AsyncConnection, account_id: str, *, ever: bool = False) -> bool:
    """Whether a terminal or an open session uses the account; with ``ever``, whether anything refers to it."""
    s = t.sessions.c
    sessions = [s.account_id == account_id] if ever else [s.account_id == account_id, s.open]
    asked = [
        select(func.count()).select_from(t.terminals).where(t.terminals.c.account_id == account_id),
        select(func.count()).select_from(t.sessions).where(*sessions),
    ]
    if ever:
        d, c = o.domain_transfers.c, o.processor_changes.c
        asked += [
            select(func.count()).select_from(t.arms).where(t.arms.c.account_id == account_id),
            select(func.count()).select_from(o.domain_transfers).where(d.account_id == account_id),
            select(func.count()).select_from(o.processor_changes).where(c.to_account == account_id),
        ]
    for query in asked:
        if (await connection.execute(query)).scalar_one():
            return True
    return False


async def _terminals(connection: AsyncConnection, account_id: str) -> Sequence[str]:
    query = select(t.terminals.c.serial).where(t.terminals.c.account_id == account_id).order_by(t.terminals.c.serial)
    return (await connection.execute(query)).scalars().all()


async def _wake(call: ApiCall) -> None:
    """Its terminals look now: they are to be reached in another way."""
    async with reading(call.api.engine) as connection:
        serials = await _terminals(connection, call.path["account_id"])
    for serial in serials:
        call.api.wake(serial)


def _shown(row: Any) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in ProcessorShown.model_fields if name != "has_credentials"}
    return own | {"has_credentials": bool(row.credentials)}


async def _reply(call: ApiCall, account_id: str, status: int = 200) -> Reply:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(o.processor_accounts).where(_A.account_id == account_id))).first()
        if row is None:
            raise nothing_of_yours()
        shown = ProcessorWithRequirements(
            **_shown(row),
            requirements=[confirmation_shown(each) for each in await confirmations(connection, account_id)],
            terminals=list(await _terminals(connection, account_id)),
        )
    return Reply(shown, status, {"ETag": etag(row.revision)})
