"""A terminal's way from one MyPayter domain to another. Payter moves it; its TT number is required and kept.

A terminal is "not found" under every domain's credentials but those of the one it sits in. So that it has arrived is
verified by asking for it under the new domain's.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.registration import Origin
from storage import owner_schema as o
from storage import schema as t

TT_NUMBER = r"^[A-Za-z0-9][A-Za-z0-9./_-]{1,39}$"


class TransferState(StrEnum):
    """Where a transfer is."""

    REQUESTED = "requested"
    MOVED = "moved"
    CANCELLED = "cancelled"


class TransferRefusedError(Exception):
    """The transfer cannot be entered, or is over; the text says why."""


async def sits_in(connection: AsyncConnection, serial: str, platform_domain: str) -> str | None:
    """The domain that the terminal sits in, as far as is known.

    It was found there, or moved there, or it was armed there: nothing is armed that did not answer. An integrated one
    comes preconfigured for the platform's.
    """
    k = t.terminals.c
    row = (await connection.execute(select(k.domain, k.origin).where(k.serial == serial))).first()
    if row is not None and row.domain is not None:
        return str(row.domain)
    newest = select(t.arms.c.account_id).where(t.arms.c.serial == serial).order_by(t.arms.c.opened_at.desc()).limit(1)
    account_id = (await connection.execute(newest)).scalar()
    if account_id is None:
        return platform_domain if row is not None and row.origin == Origin.INTEGRATED else None
    return await domain_of(connection, account_id, platform_domain)


async def domain_of(connection: AsyncConnection, account_id: str, platform_domain: str) -> str | None:
    """The domain of an account; None if there is no such account."""
    if not account_id:
        return platform_domain
    a = o.processor_accounts.c
    found: str | None = (await connection.execute(select(a.domain).where(a.account_id == account_id))).scalar()
    return found


async def found_in(connection: AsyncConnection, serial: str, domain: str) -> None:
    """Write down that the terminal sits there."""
    await connection.execute(update(t.terminals).where(t.terminals.c.serial == serial).values(domain=domain))


async def enter(
    connection: AsyncConnection,
    serial: str,
    *,
    account_id: str,
    from_domain: str | None,
    tt_number: str,
    platform_domain: str,
    by: str,
    now: datetime,
) -> str:
    """Write that Payter was asked to move the terminal to the account's domain; return the transfer's id.

    ``from_domain``: where it comes from; None where that is known here. Raises `TransferRefusedError`.
    """
    to_domain = await domain_of(connection, account_id, platform_domain)
    if to_domain is None:
        raise TransferRefusedError("There is no such processor account.")
    sits = await sits_in(connection, serial, platform_domain)
    if from_domain is None:
        from_domain = sits
    if from_domain is None:
        raise TransferRefusedError("Nobody has found out in which domain this terminal sits: send from_domain.")
    if sits is not None and from_domain != sits:
        raise TransferRefusedError(f"The terminal sits in domain {sits}; it cannot come from another.")
    if to_domain == from_domain:
        raise TransferRefusedError(f"The terminal sits in domain {to_domain} already: it need not be moved.")
    transfer_id = f"ttr_{secrets.token_hex(6)}"
    row = {
        "transfer_id": transfer_id,
        "serial": serial,
        "from_domain": from_domain,
        "to_domain": to_domain,
        "account_id": account_id,
        "tt_number": tt_number,
        "state": TransferState.REQUESTED.value,
        "requested_by": by[:80],
        "requested_at": now,
    }
    try:
        await connection.execute(o.domain_transfers.insert().values(row))
    except IntegrityError:
        raise TransferRefusedError(
            "Another transfer of this terminal is under way: check it, or cancel it, before you enter a new one."
        ) from None
    return transfer_id


async def conclude(
    connection: AsyncConnection, transfer_id: str, *, arrived: bool, finding: str, by: str, now: datetime
) -> None:
    """Write what a look under the new domain's credentials found. Raises `TransferRefusedError` if it is over."""
    row = await _requested(connection, transfer_id)
    values: dict[str, Any] = {"checked_at": now, "checked_by": by[:80], "finding": finding[:1000]}
    if arrived:
        values |= {"state": TransferState.MOVED.value, "moved_at": now}
        await found_in(connection, row.serial, row.to_domain)
    await connection.execute(update(o.domain_transfers).where(_is(transfer_id)).values(values))


async def cancel(connection: AsyncConnection, transfer_id: str, *, by: str, now: datetime) -> None:
    """It does not take place, or its number was wrong. Raises `TransferRefusedError` if it is over."""
    await _requested(connection, transfer_id)
    values = {"state": TransferState.CANCELLED.value, "checked_at": now, "checked_by": by[:80]}
    await connection.execute(update(o.domain_transfers).where(_is(transfer_id)).values(values))


async def under_way(connection: AsyncConnection, serial: str) -> Any:
    """The terminal's transfer that has been asked for and is not over; None if there is none."""
    d = o.domain_transfers
    query = select(d).where(d.c.serial == serial, d.c.state == TransferState.REQUESTED.value)
    return (await connection.execute(query)).first()


async def _requested(connection: AsyncConnection, transfer_id: str) -> Any:
    row = (await connection.execute(select(o.domain_transfers).where(_is(transfer_id)).with_for_update())).first()
    if row is None:
        raise TransferRefusedError("There is no such transfer.")
    if row.state != TransferState.REQUESTED:
        raise TransferRefusedError(f"This transfer is over: it is {row.state}.")
    return row


def _is(transfer_id: str) -> Any:
    return o.domain_transfers.c.transfer_id == transfer_id
