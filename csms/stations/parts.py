"""Reports in parts: a request, and numbered parts that may come in any order, again, or before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.rows import insert_for, upsert

_KEY = ["station_id", "request_id"]


def is_whole(numbers: Sequence[int], last: int | None) -> bool:
    """Whether every part from 0 to the ``last`` is there."""
    return last is not None and last >= 0 and len({n for n in numbers if 0 <= n <= last}) == last + 1


class Parted:
    """The two tables of one kind of report: ``head`` and ``parts``, both by station and request id."""

    def __init__(self, head: Table, parts: Table) -> None:
        self._head = head
        self._parts = parts

    async def asked(self, connection: AsyncConnection, row: dict[str, Any]) -> None:
        """Write the request. Parts of an earlier one with the same id are forgotten; early ones of this one stay."""
        mine = self._mine(self._head, row["station_id"], row["request_id"])
        before = (await connection.execute(select(self._head.c.status).where(*mine))).first()
        if before is not None and before.status is not None:
            mine = self._mine(self._parts, row["station_id"], row["request_id"])
            await connection.execute(delete(self._parts).where(*mine))
        await upsert(connection, self._head, _KEY, [row | {"completed_at": None}])

    async def part(self, connection: AsyncConnection, row: dict[str, Any], unasked: dict[str, Any]) -> None:
        """Write a part, and a request made of ``unasked`` if nobody has asked."""
        key = {name: row[name] for name in _KEY}
        insert = insert_for(connection)(self._head).values(key | unasked)
        await connection.execute(insert.on_conflict_do_nothing(index_elements=_KEY))
        await upsert(connection, self._parts, [*_KEY, "seq_no"], [row])

    async def complete(
        self, connection: AsyncConnection, station_id: str, request_id: int, now: datetime
    ) -> list[str] | None:
        """The bodies of all parts, in order, if the report has just become whole, which is written down."""
        mine = self._mine(self._head, station_id, request_id)
        head = (await connection.execute(select(self._head).where(*mine))).first()
        p = self._parts.c
        told = select(p.seq_no, p.last).where(*self._mine(self._parts, station_id, request_id))
        numbers = {row.seq_no: row.last for row in await connection.execute(told)}
        last = max((number for number, is_last in numbers.items() if is_last), default=None)
        if head is None or head.completed_at is not None or not is_whole(list(numbers), last):
            return None
        await connection.execute(update(self._head).where(*mine).values(completed_at=now))
        return [row.body for row in await self.bodies(connection, station_id, request_id)]

    async def bodies(self, connection: AsyncConnection, station_id: str, request_id: int) -> Sequence[Any]:
        """The parts so far, in order."""
        query = select(self._parts).where(*self._mine(self._parts, station_id, request_id))
        return (await connection.execute(query.order_by(self._parts.c.seq_no))).all()

    async def forget(self, connection: AsyncConnection, station_id: str, request_id: int) -> bool:
        """Delete a report; False if there is none."""
        mine = self._mine(self._head, station_id, request_id)
        known = (await connection.execute(select(self._head.c.request_id).where(*mine))).first() is not None
        for table in (self._parts, self._head):
            await connection.execute(delete(table).where(*self._mine(table, station_id, request_id)))
        return known

    @staticmethod
    def _mine(table: Table, station_id: str, request_id: int) -> tuple[Any, ...]:
        return table.c.station_id == station_id, table.c.request_id == request_id
