"""Owners' own processors: their contract, their MyPayter domain, their acquirer; the money never is the platform's.

What an account needs before a terminal may use it is a list of requirements, each confirmed by a person with a
reference or verified by asking the cloud. Credentials are sealed (`csms.terminals.vault`) and opened only to call that
cloud.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from csms.terminals.vault import SealedError, Vault
from sessions.directory import ProcessorAccess
from sessions.rows import upsert
from storage import owner_schema as o
from storage.engine import reading, writing

log = logging.getLogger(__name__)

MACHINE = "machine"  # who confirmed what was verified by asking
_PATH = re.compile(r"(/[A-Za-z0-9_-]{1,40}){0,5}/?")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Requirement(StrEnum):
    """What must be so before a terminal may be paid through an owner's own processor."""

    AGREEMENT = "agreement"
    DOMAIN = "domain"
    MERCHANT = "merchant"
    ROUTING = "routing"  # of each terminal


#: What is missing where one is not met, and what to do.
MISSING: dict[Requirement, str] = {
    Requirement.AGREEMENT: "the owner's agreement with Payter is not confirmed: enter its reference",
    Requirement.DOMAIN: "the domain has not answered under these credentials: enter them, then verify the account",
    Requirement.MERCHANT: "merchant id and acquiring agreement are not confirmed: enter the agreement's reference",
    Requirement.ROUTING: "Payter is not told to route this terminal to this platform: tell them, enter the reference",
}
#: Verified by asking; nobody can confirm it on paper.
BY_MACHINE = frozenset({Requirement.DOMAIN})
#: Of the account; the others are of each terminal.
OF_ACCOUNT = (Requirement.AGREEMENT, Requirement.DOMAIN, Requirement.MERCHANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The platform's side. ``domain``: the name of its MyPayter domain."""

    domain: str
    has_processor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """Where own processors may be: owners enter addresses, and this system calls them."""

    hosts: tuple[str, ...]
    loopback: bool = False  # development

    def address(self, url: str) -> str:
        """``url`` as it is kept. Raises ``ValueError`` with a sentence that says what is allowed."""
        try:
            parts, port = urlsplit(url), urlsplit(url).port
        except ValueError:
            raise ValueError("is no web address") from None
        host = parts.hostname or ""
        if not url.isascii() or not url.isprintable() or len(url) > 200 or not host:
            raise ValueError("is no web address")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("must be an address without user, query and fragment")
        if not _PATH.fullmatch(parts.path):
            raise ValueError("must have a plain path, such as /API, or none")
        path = parts.path.rstrip("/") + "/"
        if self.loopback and parts.scheme == "http" and host in _LOOPBACK:
            shown = f"[{host}]" if ":" in host else host
            return f"http://{shown}{f':{port}' if port else ''}{path}"
        if parts.scheme != "https" or port not in {None, 443}:
            raise ValueError("must begin with https:// and name no other port")
        if not any(host == allowed or host.endswith(f".{allowed}") for allowed in self.hosts):
            raise ValueError(f"is at a host that is not allowed; allowed are {', '.join(self.hosts)}, and those below")
        return f"https://{host}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What opens an owner's domain. The Data API's user may be missing: then there is no reconciling with it."""

    api_key: str = field(repr=False)
    data_user: str = field(default="", repr=False)
    data_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataApiAccess:
    """How the MyPayter Data API of an account is reached."""

    account_id: str
    data_url: str
    domain: str
    user: str = field(repr=False)
    password: str = field(repr=False)


class Processors:
    """Opens accounts. Implements `sessions.directory.ProcessorDirectory`."""

    def __init__(self, engine: AsyncEngine, vault: Vault, reachable: Reachable, platform: Platform) -> None:
        self._engine = engine
        self.vault = vault
        self.reachable = reachable
        self.platform = platform

    async def access(self, account_id: str) -> ProcessorAccess | None:
        """See `ProcessorDirectory.access`. Why an account does not open is in the log, without its secrets."""
        row, credentials = await self._open(account_id)
        if credentials is None or not self._allowed(account_id, row.base_url):
            return None
        return ProcessorAccess(account_id=account_id, base_url=row.base_url, api_key=credentials.api_key)

    async def data_api(self, account_id: str) -> DataApiAccess | None:
        """How its Data API is reached; None if there is no such account, no user for it, or if it does not open."""
        row, credentials = await self._open(account_id)
        if credentials is None or not credentials.data_user or not row.data_url:
            return None
        if not self._allowed(account_id, row.data_url):
            return None
        return DataApiAccess(
            account_id=account_id,
            data_url=row.data_url,
            domain=row.domain,
            user=credentials.data_user,
            password=credentials.data_password,
        )

    def _allowed(self, account_id: str, url: str) -> bool:
        """Judged again at every use: the settings may say otherwise than when it was entered."""
        try:
            self.reachable.address(url)
        except ValueError:
            log.error("processor %s is at a host that the settings do not allow (processors.hosts)", account_id)
            return False
        return True

    async def _open(self, account_id: str) -> tuple[Any, Credentials | None]:
        a = o.processor_accounts
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(a).where(a.c.account_id == account_id))).first()
        if row is None or not row.credentials:
            return row, None
        try:
            return row, Credentials(**self.vault.open(account_id, row.credentials))
        except (SealedError, TypeError) as error:
            why = error if isinstance(error, SealedError) else "other fields than expected"
            log.error("the credentials of processor %s do not open: %s", account_id, why)
            return row, None


def new_account_id() -> str:
    """An id for a new account."""
    return f"acc_{secrets.token_hex(6)}"


def seal(vault: Vault, account_id: str, credentials: Credentials) -> str:
    """The credentials as the account's row keeps them. Raises `csms.terminals.vault.NoVaultKeyError`."""
    named = {name: getattr(credentials, name) for name in Credentials.__dataclass_fields__}
    return vault.seal(account_id, named)


async def reseal(engine: AsyncEngine, vault: Vault) -> int:
    """Seal with the first key whatever another one sealed; return how much that was. After it the others may go."""
    a, changed = o.processor_accounts, 0
    async with writing(engine) as connection:
        query = select(a.c.account_id, a.c.credentials).where(a.c.credentials != "").with_for_update()
        for row in (await connection.execute(query)).all():
            try:
                again = vault.resealed(row.account_id, row.credentials)
            except SealedError as error:
                log.error("the credentials of processor %s do not open: %s", row.account_id, error)
                continue
            if again is not None:
                mine = a.c.account_id == row.account_id
                await connection.execute(update(a).where(mine).values(credentials=again))
                changed += 1
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How a requirement stands. ``confirmed_by``: a person, or `MACHINE`; empty: nobody has looked yet."""

    requirement: Requirement
    serial: str = ""
    met: bool = False
    reference: str = ""
    detail: str = ""
    confirmed_by: str = ""
    confirmed_at: datetime | None = None


async def confirm(connection: AsyncConnection, account_id: str, said: Confirmation, now: datetime) -> None:
    """Write how a requirement stands, over what was said before."""
    row = {
        "account_id": account_id,
        "requirement": said.requirement.value,
        "serial": said.serial,
        "met": said.met,
        "reference": said.reference[:120],
        "detail": said.detail[:1000],
        "confirmed_by": said.confirmed_by[:80],
        "confirmed_at": now,
    }
    await upsert(connection, o.processor_requirements, ["account_id", "requirement", "serial"], [row])


async def withdraw(
    connection: AsyncConnection, account_id: str, requirements: Iterable[Requirement], why: str, by: str, now: datetime
) -> None:
    """What was confirmed holds no more, because what it was about was changed. Terminals that use it go on."""
    r = o.processor_requirements
    names = [requirement.value for requirement in requirements]
    mine = (r.c.account_id == account_id, r.c.requirement.in_(names), r.c.met)
    changed = {"met": False, "detail": why, "confirmed_by": by[:80], "confirmed_at": now}
    await connection.execute(update(r).where(*mine).values(changed))


async def confirmations(connection: AsyncConnection, account_id: str, serial: str = "") -> list[Confirmation]:
    """Every requirement of the account, and with ``serial`` of that terminal too, met or not."""
    r = o.processor_requirements
    query = select(r).where(r.c.account_id == account_id, r.c.serial.in_(["", serial]))
    known = {(row.requirement, row.serial): row for row in await connection.execute(query)}
    wanted: Sequence[tuple[Requirement, str]] = [(requirement, "") for requirement in OF_ACCOUNT]
    wanted = [*wanted, (Requirement.ROUTING, serial)] if serial else wanted
    return [_confirmation(requirement, of, known.get((requirement.value, of))) for requirement, of in wanted]


def _confirmation(requirement: Requirement, serial: str, row: Any) -> Confirmation:
    if row is None:
        return Confirmation(requirement=requirement, serial=serial)
    return Confirmation(
        requirement=requirement,
        serial=serial,
        met=row.met,
        reference=row.reference,
        detail=row.detail,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
    )
