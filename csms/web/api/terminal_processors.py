"""Which processor each terminal is paid through, and its way between MyPayter domains (the TT number)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import domain_transfers
from csms.terminals.domain_transfers import TT_NUMBER, TransferRefusedError, TransferState
from csms.terminals.processor_choice import (
    NO_ACCOUNT,
    ChangeState,
    ProcessorRefusedError,
    choose,
    in_use,
    obstacles,
)
from csms.terminals.processors import Confirmation, Requirement, confirm, confirmations
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, FreeText, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.processors import (
    ConfirmationShown,
    ConfirmationWanted,
    confirmation_shown,
    require_probe,
)
from csms.web.api.terminals import require_terminal
from storage import owner_schema as o
from storage import schema as t
from storage.engine import reading, writing

ACCOUNT_ID = r"^(acc_[0-9a-f]{12})?$"
_D = o.domain_transfers.c


async def _transfer_owner(connection: AsyncConnection, transfer_id: Any) -> str | None:
    query = select(t.terminals.c.owner_id).join(o.domain_transfers, _D.serial == t.terminals.c.serial)
    owner_id: str | None = (await connection.execute(query.where(_D.transfer_id == transfer_id))).scalar()
    return owner_id


resource = Resource(
    "processors",
    parameters={
        "domain_transfer_id": {
            "type": "string",
            "pattern": r"^ttr_[0-9a-f]{12}$",
            "description": "As it was answered.",
            "example": "ttr_0123456789ab",
        },
    },
    owned={"domain_transfer_id": _transfer_owner},
)


class ChangeShown(Shown):
    """A change of a terminal's processor."""

    from_account: str
    to_account: str
    state: ChangeState
    reason: str
    requested_by: str
    requested_at: datetime
    effective_at: datetime | None


class TerminalProcessorShown(Shown):
    """How a terminal is paid."""

    serial: str
    owner_id: str
    account_id: str = Field(description="The processor of new taps: an own account, or empty: the platform's.")
    armed_at: str | None = Field(description="The processor of its newest interaction; null: it never had one.")
    pending: bool = Field(description="A change waits for the reader: no interaction has begun at the new one yet.")
    sessions_elsewhere: int = Field(description="Open sessions that finish at the processor they began at.")
    domain: str | None = Field(description="The MyPayter domain it sits in, as far as is known.")
    requirements: list[ConfirmationShown] = Field(description="Of the own account and this terminal.")
    obstacles: list[str] = Field(description="What would keep it from using this processor today.")
    changes: list[ChangeShown] = Field(description="The newest 20, newest first.")


class ProcessorChoice(Body):
    """The processor that a terminal is to be paid through."""

    account_id: str = Field(pattern=ACCOUNT_ID, description="An own account of its owner; empty: the platform's.")
    reason: FreeText = Field(min_length=1, max_length=400, description="Why; it is kept.")


class RoutingConfirmation(ConfirmationWanted):
    """A person's word that Payter was told to route the terminal to this platform."""

    account_id: str = Field(pattern=r"^acc_[0-9a-f]{12}$", description="The own account that it is to be paid through.")


class TransferShown(Shown):
    """A terminal's way from one domain to another."""

    transfer_id: str
    serial: str
    from_domain: str
    to_domain: str
    account_id: str
    tt_number: str
    state: TransferState
    requested_by: str
    requested_at: datetime
    checked_at: datetime | None
    checked_by: str | None
    finding: str | None
    moved_at: datetime | None


class TransferWanted(Body):
    """A transfer that Payter was asked for."""

    account_id: str = Field(pattern=ACCOUNT_ID, description="Whose domain it is moved to; empty: the platform's.")
    tt_number: str = Field(pattern=TT_NUMBER, description="Payter's number of the transfer.")
    from_domain: FreeText | None = Field(
        None, min_length=1, max_length=80, description="The domain it comes from; left out where it is known here."
    )


@resource.get("/terminals/{serial}/processor", TerminalProcessorShown, owners=True)
async def get_terminal_processor(call: ApiCall) -> TerminalProcessorShown:
    """Show which processor a terminal is paid through, and how far a change is."""
    terminal = await require_terminal(call)
    async with reading(call.api.engine) as connection:
        return await _shown(call, connection, terminal)


@resource.operation(
    "PUT",
    "/terminals/{serial}/processor",
    role=Role.OPERATOR,
    body=ProcessorChoice,
    answers={200: TerminalProcessorShown},
    errors=(409,),
)
async def choose_terminal_processor(call: ApiCall) -> TerminalProcessorShown:
    """Let a terminal be paid through the platform's processor, or an own one of its owner.

    It takes effect between two interactions; sessions that are open finish at the processor at which they began.
    Refused with every reason while something is missing.
    """
    terminal, wanted = await require_terminal(call), call.body
    found_there = await _found_there(call, terminal, wanted.account_id)
    try:
        async with writing(call.api.engine) as connection:
            await choose(
                connection,
                terminal.serial,
                wanted.account_id,
                platform=call.api.processors.platform,
                found_there=found_there,
                by=call.caller.actor,
                reason=wanted.reason,
                now=call.now,
            )
    except ProcessorRefusedError as refused:
        raise Problem(409, "This terminal cannot be paid in this way: " + "; ".join(refused.reasons) + ".") from None
    call.api.wake(terminal.serial)
    return await get_terminal_processor(call)


@resource.operation(
    "PUT",
    "/terminals/{serial}/routing",
    role=Role.OPERATOR,
    body=RoutingConfirmation,
    answers={200: ConfirmationShown},
    errors=(409,),
    owners=True,
)
async def confirm_terminal_routing(call: ApiCall) -> ConfirmationShown:
    """Confirm that Payter was told to route this terminal to this platform; or take it back."""
    wanted: RoutingConfirmation = call.body
    terminal = await require_terminal(call)
    said = Confirmation(
        requirement=Requirement.ROUTING,
        serial=terminal.serial,
        met=wanted.met,
        reference=wanted.reference,
        confirmed_by=call.caller.actor,
        confirmed_at=call.now,
    )
    async with writing(call.api.engine) as connection:
        a = o.processor_accounts.c
        owner = (await connection.execute(select(a.owner_id).where(a.account_id == wanted.account_id))).scalar()
        call.require_mine(owner)
        if owner != terminal.owner_id:
            raise Problem(409, f"This cannot be confirmed: {NO_ACCOUNT}.")
        await confirm(connection, wanted.account_id, said, call.now)
    return confirmation_shown(said)


@resource.get("/terminals/{serial}/domain-transfers", Page[TransferShown], query=PageQuery, owners=True)
async def list_domain_transfers(call: ApiCall) -> Page[TransferShown]:
    """List a terminal's transfers between MyPayter domains, newest first."""
    query = select(o.domain_transfers).where(_D.serial == (await require_terminal(call)).serial)
    async with reading(call.api.engine) as connection:
        keys = [_D.requested_at, _D.transfer_id]
        return await fetch_page(connection, query, keys, call.query, _transfer_shown, newest_first=True)


@resource.operation(
    "POST",
    "/terminals/{serial}/domain-transfers",
    role=Role.OPERATOR,
    body=TransferWanted,
    answers={201: TransferShown},
    errors=(409,),
    owners=True,
)
async def enter_domain_transfer(call: ApiCall) -> TransferShown:
    """Enter a transfer that Payter was asked for, with its TT number. Check it once the terminal has been moved.

    Between the move and the change of its processor the terminal takes no cards. Sessions that are open finish in the
    old domain.
    """
    wanted: TransferWanted = call.body
    terminal = await require_terminal(call)
    try:
        async with writing(call.api.engine) as connection:
            if wanted.account_id:
                a = o.processor_accounts.c
                query = select(a.owner_id).where(a.account_id == wanted.account_id)
                owner = (await connection.execute(query)).scalar()
                call.require_mine(owner)
                if owner != terminal.owner_id:
                    raise Problem(409, f"This cannot be entered: {NO_ACCOUNT}.")
            transfer_id = await domain_transfers.enter(
                connection,
                terminal.serial,
                account_id=wanted.account_id,
                from_domain=wanted.from_domain,
                tt_number=wanted.tt_number,
                platform_domain=call.api.processors.platform.domain,
                by=call.caller.actor,
                now=call.now,
            )
    except TransferRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return await _transfer(call, transfer_id)


@resource.get("/domain-transfers/{domain_transfer_id}", TransferShown, owners=True)
async def get_domain_transfer(call: ApiCall) -> TransferShown:
    """Show a transfer."""
    return await _transfer(call, call.path["domain_transfer_id"])


@resource.operation(
    "POST",
    "/domain-transfers/{domain_transfer_id}/check",
    role=Role.OPERATOR,
    answers={200: TransferShown},
    errors=(409,),
    owners=True,
)
async def check_domain_transfer(call: ApiCall) -> TransferShown:
    """Ask for the terminal under the new domain's credentials. If it answers, it has been moved."""
    transfer = await _transfer(call, call.path["domain_transfer_id"])
    found = await require_probe(call).terminal(transfer.account_id, transfer.serial)
    try:
        async with writing(call.api.engine) as connection:
            await domain_transfers.conclude(
                connection,
                transfer.transfer_id,
                arrived=found.good,
                finding=found.detail,
                by=call.caller.actor,
                now=call.now,
            )
    except TransferRefusedError as refused:
        raise Problem(409, str(refused)) from None
    call.api.wake(transfer.serial)
    return await _transfer(call, transfer.transfer_id)


@resource.operation(
    "DELETE",
    "/domain-transfers/{domain_transfer_id}",
    role=Role.OPERATOR,
    answers={204: None},
    errors=(409,),
    owners=True,
)
async def cancel_domain_transfer(call: ApiCall) -> Reply:
    """Cancel a transfer that does not take place, or whose number was wrong. It stays on the list."""
    try:
        async with writing(call.api.engine) as connection:
            await domain_transfers.cancel(
                connection, call.path["domain_transfer_id"], by=call.caller.actor, now=call.now
            )
    except TransferRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return Reply(None, 204)


async def _found_there(call: ApiCall, terminal: Any, account_id: str) -> bool:
    """Whether a terminal of which nobody knows where it sits answers under the account's credentials."""
    async with reading(call.api.engine) as connection:
        sits = await domain_transfers.sits_in(connection, terminal.serial, call.api.processors.platform.domain)
    if sits is not None or call.api.probe is None or terminal.account_id == account_id:
        return False
    return (await call.api.probe.terminal(account_id, terminal.serial)).good


async def _shown(call: ApiCall, connection: AsyncConnection, terminal: Any) -> TerminalProcessorShown:
    platform = call.api.processors.platform
    used = await in_use(connection, terminal)  # before the changes: an arm that is seen has made its change effective
    c = o.processor_changes
    query = select(c).where(c.c.serial == terminal.serial).order_by(c.c.change_id.desc()).limit(20)
    changes = [
        ChangeShown(**{name: getattr(row, name) for name in ChangeShown.model_fields})
        for row in await connection.execute(query)
    ]
    needed = await confirmations(connection, terminal.account_id, terminal.serial) if terminal.account_id else []
    return TerminalProcessorShown(
        serial=terminal.serial,
        owner_id=terminal.owner_id,
        account_id=terminal.account_id,
        armed_at=used.armed_at,
        pending=any(change.state is ChangeState.PENDING for change in changes),
        sessions_elsewhere=used.sessions_elsewhere,
        domain=await domain_transfers.sits_in(connection, terminal.serial, platform.domain),
        requirements=[confirmation_shown(each) for each in needed],
        obstacles=await obstacles(connection, terminal, terminal.account_id, platform),
        changes=changes,
    )


def _transfer_shown(row: Any) -> TransferShown:
    return TransferShown(**{name: getattr(row, name) for name in TransferShown.model_fields})


async def _transfer(call: ApiCall, transfer_id: str) -> TransferShown:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(o.domain_transfers).where(_D.transfer_id == transfer_id))).first()
    if row is None:
        raise Problem(404, "There is no transfer of this id.")
    return _transfer_shown(row)
