"""The audit trail: who did what, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from storage import fleet_schema as t
from storage.engine import reading

resource = Resource("audit")


class AuditShown(Shown):
    """One operation that changed something, or was refused."""

    audit_id: str
    at: datetime
    actor: str
    token_id: str | None
    role: str
    operation: str
    path: str
    request: Any = Field(description="What was sent, secrets masked.")
    status: int | None = Field(description="How it was answered; null: it began and never ended.")


class AuditFilter(PageQuery):
    """Which rows."""

    actor: str | None = Field(None, max_length=80, description="Only this token's name.")
    operation: str | None = Field(None, max_length=80, description="Only this operation.")


@resource.get("/audit", Page[AuditShown], role=Role.ADMIN, query=AuditFilter)
async def list_audit(call: ApiCall) -> Page[AuditShown]:
    """List what was done, the newest first."""
    a = t.audit.c
    query = select(t.audit)
    for name in ("actor", "operation"):
        if getattr(call.query, name) is not None:
            query = query.where(a[name] == getattr(call.query, name))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [a.at, a.audit_id], call.query, _shown, newest_first=True)


def _shown(row: Any) -> AuditShown:
    values = {name: getattr(row, name) for name in AuditShown.model_fields}
    text = row.request
    try:
        values["request"] = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:  # cut off: it was too long to keep
        values["request"] = text
    return AuditShown(**values)
