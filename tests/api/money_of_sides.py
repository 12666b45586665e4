"""What the platform owes each side, in tests of isolation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from csms.payouts.statements import close_next
from storage import schema as t
from storage.engine import reading
from tests.api.sides import Side
from tests.conformance.bench import Bench


async def _refund(bench: Bench, side: Side) -> None:
    """A part of the charge goes back to the card; its credit note has an address of its own."""
    wanted = {"amount_minor": 100, "reason": f"{side.name} was slow"}
    made = await bench.api("POST", f"/sessions/{side.ids['session_id']}/refunds", wanted, status=201)
    await bench.api("POST", f"/refunds/{made['refund_id']}/decision")
    side.mark("refund_id", made["refund_id"])
    side.marks.add(f"{side.name} was slow")
    r = t.receipts.c
    query = select(r.receipt_token).where(r.session_id == side.ids["session_id"]).order_by(r.receipt_token)
    async with reading(bench.app.engine) as connection:
        tokens = list((await connection.execute(query)).scalars())
    side.ids["receipts"] = tokens
    side.marks |= set(tokens)


async def _statement(bench: Bench, side: Side) -> None:
    if side.name == "PLATFORM":  # it owes itself nothing
        return
    now = datetime.now(UTC)
    assert await close_next(bench.app.engine, side.ids["owner_id"], now + timedelta(days=40), now)
    listed = await bench.api("GET", f"/statements?owner_id={side.ids['owner_id']}")
    side.mark("statement_id", listed["items"][0]["statement_id"])


MAKERS = (_refund, _statement)
