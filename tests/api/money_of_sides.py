"""What the platform owes each side, in tests of isolation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from billing.ledger import PLATFORM
from billing.reconciliation import COMMITTED, ProviderTransaction
from csms.payouts.provider_transactions import store_transactions
from csms.payouts.statements import close_next
from csms.web.api.reconciliation import account_id_of
from storage import schema as t
from storage.engine import reading, writing
from tests.api.sides import Side, send
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


async def _reconciliation(bench: Bench, side: Side) -> None:
    """A settlement, and a transaction at the provider, of which nobody here knows; and the notice of the second."""
    account, admin = side.ids.get("account_id", PLATFORM), bench.token
    day = datetime.now(UTC).date().isoformat()
    file = f"reference;amount;currency;date\n{side.name}-HOST;12,34;NOK;{day}\n{side.name}-HOST-2;broken;NOK;{day}\n"
    now, known_as = datetime.now(UTC), account_id_of(account)
    async with writing(bench.app.engine) as connection:
        await store_transactions(connection, known_as, (_unknown(side, now),), now)
    path = f"/reconciliation/accounts/{account}/settlements?name={side.name}-settled.csv"
    made = await send(bench, path, file.encode(), token=side.token, status=200)
    assert (made["rows_taken"], made["rows_refused"]) == (1, 1), made
    side.mark("settlement_id", made["settlement_id"])
    side.ids["reconciled_account"] = account  # the platform's is named like the platform: no mark
    side.marks |= {f"{side.name}-settled.csv", f"{side.name}-HOST"}
    runs = "/reconciliation/runs?account="
    await bench.eventually(
        lambda: bench.api("GET", f"{runs}{account}"),
        lambda told: told["items"] and all(run["ended_at"] for run in told["items"]),
    )
    bench.token = side.token or admin  # what an own processor's acquirer says is not even the platform's to see
    found = await bench.api("GET", f"/reconciliation/discrepancies?account={account}")
    by_side = {one["side"]: one["discrepancy_id"] for one in found["items"]}
    side.mark("discrepancy_id", by_side["acquirer"])
    wanted = {"discrepancy_ids": [by_side["provider"]]}
    side.marks.add(by_side["provider"])
    side.mark("notice_id", (await bench.api("POST", "/reconciliation/notices", wanted, status=201))["notice_id"])
    bench.token = admin


def _unknown(side: Side, now: datetime) -> ProviderTransaction:
    return ProviderTransaction(
        transaction_id=f"{side.name}-TXN",
        terminal_serial=side.ids["serial"],
        kind="PAYMENT",
        state=COMMITTED,
        authorised_minor=1234,
        committed_minor=1234,
        currency="NOK",
        at=now,
        committed_at=now,
        ingested_at=now,
    )


MAKERS = (_refund, _statement, _reconciliation)
