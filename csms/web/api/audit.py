"""Who did what: a row before every operation that changes something, completed with its status after.

A row without a status is an operation that began and never ended: the process died in it.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.pan import redact_pans
from csms.stations.masking import masked
from csms.web.api.access import Caller
from storage import fleet_schema as t
from storage.engine import writing


async def begin(engine: AsyncEngine, caller: Caller, operation: str, path: str, body: Any, now: datetime) -> str:
    """Write that the operation begins; return the row's id."""
    audit_id = f"aud_{secrets.token_hex(12)}"
    request = None if body is None else redact_pans(orjson.dumps(masked(body), default=str).decode())[:20_000]
    async with writing(engine) as connection:
        await connection.execute(
            t.audit.insert().values(
                audit_id=audit_id,
                at=now,
                token_id=caller.token_id,
                actor=caller.name[:80],
                role=caller.role.value,
                operation=operation,
                path=redact_pans(path)[:400],
                request=request,
            )
        )
    return audit_id


async def end(engine: AsyncEngine, audit_id: str, status: int) -> None:
    """Write how it ended."""
    async with writing(engine) as connection:
        await connection.execute(update(t.audit).where(t.audit.c.audit_id == audit_id).values(status=status))
