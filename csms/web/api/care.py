"""What the care for terminals names in paths, and how it refuses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.web.api.operation import ApiCall, Resource, owned_by
from csms.web.api.problem import Problem
from storage import owner_schema
from storage import schema as s

resource = Resource(
    "care",
    parameters={
        "serial": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9._-]{1,40}$",
            "description": "The terminal's serial number.",
            "example": "P6X20260001",
        },
        "owner_id": {
            "type": "string",
            "pattern": r"^(own_[0-9a-f]{12}|platform)$",
            "description": "The site owner, or `platform`.",
            "example": "own_0123456789ab",
        },
    },
    owned={
        "serial": owned_by(s.terminals.c.owner_id, s.terminals.c.serial),
        "owner_id": owned_by(owner_schema.owners.c.owner_id, owner_schema.owners.c.owner_id),
    },
)


def care_id(prefix: str, what: str) -> dict[str, Any]:
    """The path parameter of something with an id of its own."""
    return {
        "type": "string",
        "pattern": f"^{prefix}_[0-9a-f]{{12}}$",
        "description": f"The {what}'s id, as it was answered.",
        "example": f"{prefix}_0123456789ab",
    }


async def require_terminal(call: ApiCall, connection: AsyncConnection) -> Any:
    """The row of the terminal that the path names. Raises `Problem` 404."""
    query = select(s.terminals).where(s.terminals.c.serial == call.path["serial"])
    row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no terminal of this serial number.")
    return row


def refused(error: Exception) -> Problem:
    """409 with the reason."""
    return Problem(409, str(error))
