"""Who may call the API: bearer tokens with a role.

A token is 256 random bits, shown once; its SHA-256 is kept (there is nothing to guess, so nothing to slow down).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from csms.terminals.owners import OwnerRefusedError, require_active
from storage import fleet_schema as t
from storage.engine import reading, writing

_TOKEN = re.compile(r"tvk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
#: ``used_at`` is as fine as this: not a write per request.
_USED_EVERY = timedelta(minutes=5)


class Role(StrEnum):
    """What a token may do; each may do what the later ones may."""

    ADMIN = "admin"  # tokens, certificates, settings
    OPERATOR = "operator"  # everything that changes stations and charges
    SUPPORT = "support"  # looks at everything, triggers and unlocks for a driver on the phone
    READ_ONLY = "read-only"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where ``needed`` is demanded."""
        order = list(Role)
        return order.index(self) <= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. ``owner_id``: a site owner's user, who touches that owner's alone; None: the platform's."""

    token_id: str
    name: str
    role: Role
    owner_id: str | None = None

    @property
    def actor(self) -> str:
        """As the audit trail and commands name the caller."""
        return f"{self.name} ({self.token_id})"[:80]


class TokenRefusedError(Exception):
    """No such token is made; the text says why."""


async def create_token(
    engine: AsyncEngine,
    name: str,
    role: Role,
    now: datetime,
    expires_at: datetime | None = None,
    *,
    owner_id: str | None = None,
) -> tuple[str, str]:
    """Make a token; return (its id, the token itself, which is shown this once). ``owner_id``: for an owner's user.

    Raises `TokenRefusedError`.
    """
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    async with writing(engine) as connection:
        if owner_id is not None:
            await _may_have_users(connection, owner_id, role)
        await connection.execute(
            t.api_tokens.insert().values(
                token_id=token_id,
                name=name,
                role=role.value,
                owner_id=owner_id,
                token_hash=_hash(secret),
                created_at=now,
                expires_at=expires_at,
            )
        )
    return token_id, f"tvk_{token_id}_{secret}"


async def _may_have_users(connection: AsyncConnection, owner_id: str, role: Role) -> None:
    if role is Role.ADMIN:
        raise TokenRefusedError("An owner's user is operator at most: administrators are the platform's own people.")
    if owner_id == PLATFORM:
        raise TokenRefusedError("The platform's own people have tokens without an owner: leave it out.")
    try:
        await require_active(connection, owner_id)
    except OwnerRefusedError as refused:
        raise TokenRefusedError(str(refused)) from None


async def who(engine: AsyncEngine, authorization: str | None, now: datetime) -> Caller | None:
    """The caller that an Authorization header stands for; None if it stands for nobody."""
    scheme, _, given = (authorization or "").partition(" ")
    found = _TOKEN.fullmatch(given.strip())
    if scheme.lower() != "bearer" or found is None:
        return None
    token_id, secret = found.groups()
    async with reading(engine) as connection:
        row = (await connection.execute(select(t.api_tokens).where(t.api_tokens.c.token_id == token_id))).first()
    if row is None or not hmac.compare_digest(row.token_hash, _hash(secret)):
        return None
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.used_at is None or now - row.used_at > _USED_EVERY:
        async with writing(engine) as connection:
            await connection.execute(
                update(t.api_tokens).where(t.api_tokens.c.token_id == token_id).values(used_at=now)
            )
    return Caller(token_id, row.name, Role(row.role), row.owner_id)


async def revoke_token(engine: AsyncEngine, token_id: str, now: datetime) -> bool:
    """End a token; False if there is none of that id."""
    async with writing(engine) as connection:
        mine = t.api_tokens.c.token_id == token_id
        known = (await connection.execute(select(t.api_tokens.c.token_id).where(mine))).first() is not None
        await connection.execute(
            update(t.api_tokens).where(mine, t.api_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
        )
    return known


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
