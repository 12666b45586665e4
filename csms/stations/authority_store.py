"""Where the operator's own certificate authority is kept: made once, its keys encrypted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.stations.authority import Authority, KeyKind, make_authority, open_key
from sessions.rows import insert_for
from storage import certificate_schema as t
from storage.engine import reading, writing

_ONE = "stations"
_COLUMNS = ("root_pem", "root_key_pem", "issuing_pem", "issuing_key_pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySettings:
    """See `csms.ocpp_settings.AuthoritySection`. Days; ``passphrase`` opens the keys."""

    passphrase: str = field(repr=False)
    organisation: str
    key: KeyKind = "EC"
    valid_days: int = 365
    renew_days: int = 30


async def load_authority(engine: AsyncEngine) -> Authority | None:
    """The authority; None if there is none."""
    async with reading(engine) as connection:
        row = (await connection.execute(select(t.authorities).where(t.authorities.c.authority_id == _ONE))).first()
    return Authority(**{name: getattr(row, name) for name in _COLUMNS}) if row is not None else None


async def ensure_authority(engine: AsyncEngine, settings: AuthoritySettings, now: datetime) -> Authority:
    """The authority, made now if there is none. Raises `CertificateUnusable` if the passphrase does not open it."""
    known = await load_authority(engine)
    if known is None:
        made = await asyncio.to_thread(
            make_authority, settings.organisation, settings.passphrase, now, kind=settings.key
        )
        row = {name: getattr(made, name) for name in _COLUMNS} | {"authority_id": _ONE, "created_at": now}
        async with writing(engine) as connection:
            insert = insert_for(connection)(t.authorities).values(row)
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["authority_id"]))
        known = await load_authority(engine) or made
    await asyncio.to_thread(open_key, known.issuing_key_pem, settings.passphrase)
    return known
