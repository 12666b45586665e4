"""Which processor a terminal is paid through: the platform's, or an own account of the same owner.

A change is written at once and takes effect between two interactions: the terminal's keeper arms the next one there,
and the commit of that arm makes the change effective. Sessions keep the account they were armed at, to their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import domain_transfers
from csms.terminals.processors import MISSING, Platform, confirmations
from sessions.commands import Command
from sessions.directory import ArmState
from sessions.facts import ArmOpened
from storage import owner_schema as o
from storage import schema as t

NO_ACCOUNT = "there is no such processor account of this terminal's owner"


class ChangeState(StrEnum):
    """How far a change is."""

    PENDING = "pending"
    EFFECTIVE = "effective"
    SUPERSEDED = "superseded"


class ProcessorRefusedError(Exception):
    """The terminal cannot use this processor (yet). ``reasons``: each says what is missing and what to do."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """How a terminal is paid just now. ``armed_at``: of its newest interaction, None if there never was one.

    ``sessions_elsewhere``: open sessions that finish at another processor than the one it is to use.
    """

    armed_at: str | None
    sessions_elsewhere: int


async def obstacles(
    connection: AsyncConnection, terminal: Any, account_id: str, platform: Platform, *, found_there: bool = False
) -> list[str]:
    """What keeps the terminal (a row of `terminals`) from using the account; nothing if it may.

    ``found_there``: it was just found to answer under the account's credentials.
    """
    reasons = []
    if account_id:
        a = o.processor_accounts
        account = (await connection.execute(select(a).where(a.c.account_id == account_id))).first()
        if account is None or account.owner_id != terminal.owner_id:
            return [NO_ACCOUNT]
        reasons += await _of_account(connection, terminal, account_id)
        domain = account.domain
    else:
        domain = platform.domain
        if not platform.has_processor:
            reasons.append("the platform has no processor of its own (settings: payter.base_url, payter.api_key)")
    sits = await domain_transfers.sits_in(connection, terminal.serial, platform.domain)
    if sits != domain and not (sits is None and found_there):
        reasons.append(await _to_be_moved(connection, terminal.serial, sits, domain))
    return reasons


async def unmet(connection: AsyncConnection, account_id: str, serial: str) -> list[str]:
    """What an own processor's account, and the terminal at it, have not had confirmed; nothing if all is."""
    known = await confirmations(connection, account_id, serial)
    return [MISSING[each.requirement] for each in known if not each.met]


async def untransferred(connection: AsyncConnection, serial: str, account_id: str, platform: Platform) -> str | None:
    """What is missing until the terminal sits in the domain of the account ("": the platform's); None: it does."""
    domain = await domain_transfers.domain_of(connection, account_id, platform.domain)
    sits = await domain_transfers.sits_in(connection, serial, platform.domain)
    return None if sits == domain else await _to_be_moved(connection, serial, sits, domain or "")


async def _of_account(connection: AsyncConnection, terminal: Any, account_id: str) -> list[str]:
    reasons = await unmet(connection, account_id, terminal.serial)
    issuer = select(t.issuers.c.issuer_id).where(t.issuers.c.issuer_id == f"owner:{terminal.owner_id}")
    if (await connection.execute(issuer)).first() is None:
        reasons.append("receipts cannot be written in the owner's name: complete the owner's name and numbers")
    e, s = t.terminal_evses.c, t.stations.c
    served = select(s.station_id).distinct().join(t.terminal_evses, e.station_id == s.station_id)
    others = served.where(e.serial == terminal.serial, s.owner_id != terminal.owner_id)
    found = (await connection.execute(others.order_by(s.station_id))).scalars()
    return reasons + [f"it serves station {name}, which is another owner's: nobody can sell for two" for name in found]


async def _to_be_moved(connection: AsyncConnection, serial: str, sits: str | None, domain: str) -> str:
    moving = await domain_transfers.under_way(connection, serial)
    if moving is not None and moving.to_domain == domain:
        return (
            f"its transfer {moving.tt_number} to domain {domain} is not confirmed: check it once Payter has moved it "
            f"(POST /domain-transfers/{moving.transfer_id}/check)"
        )
    at = f"it sits in domain {sits}, not in {domain}" if sits is not None else f"it was not found in domain {domain}"
    return (
        f"{at}: have Payter move it there, and enter the transfer with its TT number "
        f"(POST /terminals/{serial}/domain-transfers)"
    )


async def choose(
    connection: AsyncConnection,
    serial: str,
    account_id: str,
    *,
    platform: Platform,
    found_there: bool,
    by: str,
    reason: str,
    now: datetime,
) -> bool:
    """Let the terminal be paid through the account from its next interaction on; False if it is already.

    Raises `ProcessorRefusedError`; LookupError for a terminal nobody knows.
    """
    query = select(t.terminals).where(t.terminals.c.serial == serial).with_for_update()
    terminal = (await connection.execute(query)).first()
    if terminal is None:
        raise LookupError(serial)
    if terminal.account_id == account_id:
        return False
    reasons = await obstacles(connection, terminal, account_id, platform, found_there=found_there)
    if reasons:
        raise ProcessorRefusedError(reasons)
    domain = await domain_transfers.domain_of(connection, account_id, platform.domain)
    mine = t.terminals.c.serial == serial
    await connection.execute(update(t.terminals).where(mine).values(account_id=account_id, domain=domain))
    c = o.processor_changes
    pending = (c.c.serial == serial, c.c.state == ChangeState.PENDING.value)
    await connection.execute(update(c).where(*pending).values(state=ChangeState.SUPERSEDED.value))
    # Taken back before it took effect: the reader is still armed where it is to be.
    still = await _armed_at(connection, serial) == account_id
    change = {
        "serial": serial,
        "from_account": terminal.account_id,
        "to_account": account_id,
        "state": ChangeState.EFFECTIVE.value if still else ChangeState.PENDING.value,
        "effective_at": now if still else None,
        "reason": reason,
        "requested_by": by[:80],
        "requested_at": now,
    }
    await connection.execute(c.insert().values(change))
    return True


async def _armed_at(connection: AsyncConnection, serial: str) -> str | None:
    """Where the reader is armed just now; None if it is not."""
    a = t.arms.c
    query = select(a.account_id, a.state).where(a.serial == serial).order_by(a.opened_at.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return None if row is None or row.state == ArmState.CLOSED else str(row.account_id)


async def in_use(connection: AsyncConnection, terminal: Any) -> InUse:
    """How the terminal (a row of `terminals`) is paid just now."""
    a, s = t.arms.c, t.sessions.c
    newest = select(a.account_id).where(a.serial == terminal.serial).order_by(a.opened_at.desc()).limit(1)
    here = and_(s.open, s.terminal_serial == terminal.serial, s.account_id != terminal.account_id)
    return InUse(
        armed_at=(await connection.execute(newest)).scalar(),
        sessions_elsewhere=(await connection.execute(select(func.count()).where(here))).scalar_one(),
    )


async def keep_effective(connection: AsyncConnection, found: Sequence[ArmOpened], now: datetime) -> list[Command]:
    """The first arm at the new processor makes the change effective, in its own commit."""
    c = o.processor_changes
    armed = {fact.serial: fact.account_id for fact in found}
    waiting = select(c.c.change_id, c.c.serial, c.c.to_account).where(
        c.c.serial.in_(armed), c.c.state == ChangeState.PENDING.value
    )
    here = [row.change_id for row in await connection.execute(waiting) if row.to_account == armed[row.serial]]
    if here:
        effective = {"state": ChangeState.EFFECTIVE.value, "effective_at": now}
        await connection.execute(update(c).where(c.c.change_id.in_(here)).values(effective))
    return []


KEEPERS = {ArmOpened: (keep_effective,)}
