"""What the care for terminals names in paths, and how it refuses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.web.api.operation import ApiCall
from csms.web.api.problem import Problem
from storage import schema as s


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
