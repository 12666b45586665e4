"""Reconciliation over the API: uploads, discrepancies, proposals, repairs and notices; and who sees what."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from csms.payouts.provider_transactions import read_account
from csms.payouts.reconciliation import ReconcileAccount, reconcile
from csms.web.api.access import Role, create_token
from storage import schema
from storage.engine import reading
from tests.conformance.bench import Bench
from tests.journeys.stage import PATIENCE_S
from tests.month.filling import fill
from tests.month.payments import BEGIN, MonthOwner, Paid, owners_of, payments
from tests.month.sides import Told, Twin
from tests.store.test_reconciliation import committed
from tests.store.test_reconciliation_month import RULES

ROOT = "/reconciliation"


async def a_month(bench: Bench) -> tuple[list[MonthOwner], list[Paid]]:
    """Five owners' payments; the fifth one has a processor of its own."""
    owners = owners_of(5)
    paid = list(payments(owners, 50, random.Random(1)))
    await fill(bench.app.settings.database_url, owners, paid)
    return owners, paid


async def upload(bench: Bench, account: str, rows: Sequence[str], *, status: int = 200) -> Any:
    raw = "reference;amount;fee;currency;date;kind\n" + "\n".join(rows)
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{ROOT}/accounts/{account}/settlements?name=march.csv"
    given = {"Authorization": f"Bearer {bench.token}"}
    async with bench.http.post(url, data=raw.encode(), headers=given) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def settled(bench: Bench, account_id: str) -> None:
    """Wait until the runs that uploads ordered are over, and make one more here: never two at once."""
    o = schema.outbox.c
    left = select(o.command_key).where(o.kind == ReconcileAccount.__name__, o.done_at.is_(None)).limit(1)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with reading(bench.app.engine) as connection:
                if (await connection.execute(left)).first() is None:
                    break
            await asyncio.sleep(0.02)
    await reconcile(bench.app.engine, account_id, RULES, datetime.now(UTC))


async def token(bench: Bench, owner_id: str | None) -> str:
    return (await create_token(bench.app.engine, "Kari", Role.OPERATOR, datetime.now(UTC), owner_id=owner_id))[1]


async def test_an_owners_uploads_are_that_owners_alone(bench: Bench) -> None:
    owners, paid = await a_month(bench)
    own = owners[4]
    operator, theirs, others = bench.token, await token(bench, own.owner_id), await token(bench, owners[0].owner_id)
    await upload(bench, own.account_id, ["H1;1,00;;NOK;2026-03-11;sale"], status=403)  # not even the platform's
    bench.token = others
    await upload(bench, own.account_id, ["H1;1,00;;NOK;2026-03-11;sale"], status=404)
    await upload(bench, "platform", ["H1;1,00;;NOK;2026-03-11;sale"], status=404)
    bench.token = theirs
    mine = next(each.session for each in paid if each.session.account_id and each.captured)
    first = f"{mine.authorisation.host_reference};1,00;;{own.currency};2026-03-11;sale"
    told = await upload(bench, own.account_id, [first, f"NOBODY;2,00;;{own.currency};2026-03-12;sale", "broken;x"])
    assert (told["rows_read"], told["rows_taken"], told["rows_refused"]) == (3, 2, 1)
    assert told["refused"][0]["line"] == 4
    assert told["state"] == "booked"
    again = await upload(bench, own.account_id, [first, f"NOBODY;2,00;;{own.currency};2026-03-12;sale", "broken;x"])
    assert again["settlement_id"] == told["settlement_id"]
    await settled(bench, own.account_id)
    seen = (await bench.api("GET", f"{ROOT}/discrepancies?side=acquirer"))["items"]
    assert {"other amount", "settled unknown"} <= {each["kind"] for each in seen}
    (unknown,) = [each for each in seen if each["kind"] == "settled unknown"]
    shown = await bench.api("GET", f"{ROOT}/discrepancies/{unknown['discrepancy_id']}")
    assert shown["acquirer"][0]["reference"] == "NOBODY"
    for token_of, name in ((operator, "platform"), (others, "another owner")):
        bench.token = token_of
        assert (await bench.api("GET", f"{ROOT}/discrepancies?side=acquirer"))["items"] == [], name
        assert (await bench.api("GET", f"{ROOT}/settlements"))["items"] == [], name
        await bench.api("GET", f"{ROOT}/discrepancies/{unknown['discrepancy_id']}", status=404)
        await bench.api("GET", f"{ROOT}/settlements/{told['settlement_id']}", status=404)
    accounts = (await bench.api("GET", f"{ROOT}/accounts"))["items"]
    assert accounts == []  # this owner has no processor of its own
    bench.token = theirs
    (account,) = (await bench.api("GET", f"{ROOT}/accounts"))["items"]
    assert (account["account"], account["settled_until"]) == (own.account_id, "2026-03-12")
    bench.token = operator
    by_name = {each["account"]: each for each in (await bench.api("GET", f"{ROOT}/accounts"))["items"]}
    assert by_name[own.account_id]["settled_until"] is None
    assert by_name["platform"]["owner_id"] == "platform"


async def test_from_a_discrepancy_to_its_repair_and_notice(bench: Bench) -> None:
    _, paid = await a_month(bench)
    one, two = [each.session for each in paid if each.captured and not each.session.account_id][:2]
    told = Told()
    told.transactions[""] = sorted(
        (
            replace(
                committed("x", each.captured_at or BEGIN, each.captured_minor - less, currency=each.currency),
                transaction_id=each.authorisation.payment_ref,
                terminal_serial=each.terminal_serial or "",
                at=each.held_at,
            )
            for each, less in ((one, 100), (two, 200))
        ),
        key=lambda row: row.ingested_at,
    )  # fmt: skip
    late = BEGIN + timedelta(hours=1)
    await reconcile(bench.app.engine, "", RULES, late)
    await read_account(bench.app.engine, Twin(told), "", late)
    await reconcile(bench.app.engine, "", RULES, late)
    listed = (await bench.api("GET", f"{ROOT}/discrepancies?kind=other%20amount"))["items"]
    assert len(listed) == 2
    (first,) = [each["discrepancy_id"] for each in listed if each["session_id"] == one.session_id]
    (second,) = [each["discrepancy_id"] for each in listed if each["session_id"] == two.session_id]
    offers = (await bench.api("GET", f"{ROOT}/discrepancies/{first}/proposals"))["items"]
    assert [each["remedy"] for each in offers] == ["correct", "loss", "suspense"]
    by_set: dict[int, int] = {}
    for entry in offers[0]["entries"]:
        by_set[entry["set"]] = by_set.get(entry["set"], 0) + entry["amount_minor"]
    assert set(by_set.values()) == {0}
    assert any(entry["account"] == "owner_payable" for entry in offers[0]["entries"])
    path = f"{ROOT}/discrepancies/{first}/repairs"
    order = {"remedy": "correct", "digest": offers[0]["digest"], "reason": "they confirmed it"}
    bench_token, bench.token = bench.token, await token(bench, one.owner_id)
    await bench.api("POST", path, order, status=403)  # the platform's books
    bench.token = bench_token
    await bench.api("POST", path, order | {"digest": "0" * 16}, status=409)
    await bench.api("POST", path, order | {"reason": ""}, status=422)
    made = await bench.api("POST", path, order, status=201)
    assert made["state"] == "repaired"
    assert [each["outcome"] for each in made["repairs"]] == ["stale", "made"]
    assert made["repairs"][1]["entries"] == offers[0]["entries"]
    await bench.api("POST", path, order, status=409)  # once
    notice = await bench.api("POST", f"{ROOT}/notices", {"discrepancy_ids": [second]}, status=201)
    await bench.api("POST", f"{ROOT}/notices", {"discrepancy_ids": [second, "dis_0"]}, status=422)
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{ROOT}/notices/{notice['notice_id']}/text"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
        assert two.authorisation.payment_ref in await answer.text()
    decision = {"state": "explained", "note": "rounding at the terminal"}
    shown = await bench.api("POST", f"{ROOT}/discrepancies/{second}/decision", decision)
    assert [each["state"] for each in shown["history"]] == ["open", "notified", "explained"]
    assert (await bench.api("GET", f"{ROOT}/notices"))["items"][0]["discrepancy_ids"] == [second]


async def test_a_mapping_and_a_run(bench: Bench) -> None:
    await bench.api("PUT", f"{ROOT}/accounts/platform/mapping", {"date_format": "%q"}, status=422)
    await bench.api("PUT", f"{ROOT}/accounts/platform/mapping", {"date_format": "%d%d"}, status=422)
    wanted = {"amount": "Beløp", "date_format": "%d.%m.%Y", "kinds": {"Varekjøp": "sale"}}
    put = await bench.api("PUT", f"{ROOT}/accounts/platform/mapping", wanted)
    assert put == await bench.api("GET", f"{ROOT}/accounts/platform/mapping")
    await upload(bench, "platform", ["H1;1,00;;NOK;2026-03-11;sale"], status=422)  # no column of that name
    ordered = await bench.api("POST", f"{ROOT}/accounts/platform/runs", status=202)
    async with asyncio.timeout(30):
        runs: list[Any] = []
        while not any(run["run"] == ordered["run"] and run["ended_at"] for run in runs):
            runs = (await bench.api("GET", f"{ROOT}/runs"))["items"]
    async with reading(bench.app.engine) as connection:
        done = select(schema.outbox.c.done_at).where(schema.outbox.c.command_key == ordered["run"])
        assert (await connection.execute(done)).scalar() is not None
