"""Refunds, statements and payouts over the API, as the operator's two people and an owner's user work with them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest_asyncio
from pypdf import PdfReader
from sqlalchemy import select

from billing.terms import Terms
from billing.way import Way
from csms.payouts.statements import CloseStatements
from csms.web.api.access import Role, create_token
from sessions.rows import enqueue
from storage import schema as s
from storage.engine import reading, writing
from tests.conformance.bench import Bench, bench
from tests.store.bank_files import camt, entry, pain_002
from tests.store.owned import add_owner, add_sales, assert_stated_to_the_minor_unit, cost

ACCOUNTS = [{"currency": "NOK", "iban": "NO93 8601 1117 947", "bic": "DNBANOKK"}]
BEFORE = datetime.now(UTC) - timedelta(days=70)


@pytest_asyncio.fixture
async def office(database_url: str) -> AsyncIterator[Bench]:
    """A running system with two owners, sales of two months ago, and an account to pay from."""
    async with bench(database_url, payouts={"name": "Operatør & Sønn AS", "accounts": ACCOUNTS}) as made:
        engine = made.app.engine
        terms = Terms(fee_fixed_minor=100, fee_percent=Decimal(2))
        for owner in ("own_a", "own_b"):
            await add_owner(engine, owner, currency="NOK", terms=terms, created_at=BEFORE, iban="NO9386011117947")
        await add_sales(engine, "own_a", [cost({"25": 10_000}, "NOK"), cost({"25": 2500}, "NOK")], BEFORE)
        await add_sales(engine, "own_a", [cost({"25": 5000}, "NOK")], BEFORE, way=Way.APP)
        await add_sales(engine, "own_b", [cost({"25": 700}, "NOK")], BEFORE)
        yield made


async def close(office: Bench) -> None:
    """What the round asks for; the doer does it."""
    now = datetime.now(UTC)
    commands = [CloseStatements(key=f"statements:{o}:test", owner_id=o, until=now) for o in ("own_a", "own_b")]
    async with writing(office.app.engine) as connection:
        await enqueue(connection, commands, now)
    office.app.service.wake(now)

    async def left() -> int:
        async with reading(office.app.engine) as connection:
            waiting = select(s.outbox.c.command_key).where(
                s.outbox.c.kind == "CloseStatements", s.outbox.c.done_at.is_(None)
            )
            return len((await connection.execute(waiting)).all())

    await office.eventually(left, lambda n: n == 0)


async def download(office: Bench, path: str, token: str | None = None) -> tuple[int, str, bytes]:
    url = f"http://127.0.0.1:{office.app.http_port}/api/v1{path}"
    async with office.http.get(url, headers={"Authorization": f"Bearer {token or office.token}"}) as answer:
        return answer.status, answer.content_type, await answer.read()


async def upload(office: Bench, content: bytes, *, status: int = 200) -> Any:
    url = f"http://127.0.0.1:{office.app.http_port}/api/v1/return-files"
    headers = {"Authorization": f"Bearer {office.token}"}
    async with office.http.post(url, data=content, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def test_from_a_refund_to_a_paid_out_statement(office: Bench) -> None:
    session = "own_a-app-0"
    proposed = await office.api(
        "POST",
        f"/sessions/{session}/refunds",
        {"amount_minor": 1000, "reason": "the app showed another price"},
        status=201,
    )
    assert proposed["state"] == "proposed"
    assert {(e["account"], e["amount_minor"]) for e in proposed["entries"]} == {
        *(("contracts", -1000), ("revenue", 800), ("vat_payable", 200)),
        *(("owner_payable", 1000), ("owner_share", -800), ("input_vat", -200)),
    }
    preview = await office.api("GET", "/statement-preview?owner_id=own_a")
    assert (preview["gross_minor"], preview["refunded_minor"], preview["statement_id"]) == (17_500, 0, "")
    await office.api("POST", f"/refunds/{proposed['refund_id']}/decision")
    decided = await office.api("POST", f"/refunds/{proposed['refund_id']}/decision")  # twice is once
    assert (decided["state"], decided["decided_by"].split(" ")[0]) == ("asked", "test")
    too_much = {"amount_minor": 4001, "reason": "once more"}
    refused = await office.api("POST", f"/sessions/{session}/refunds", too_much, status=409)
    assert refused["detail"] == "NOK 40.01 cannot be refunded: NOK 40.00 of this sale is left to refund."
    await office.api("POST", f"/refunds/{proposed['refund_id']}/confirmation", {"acquirer_reference": "bill 7"})
    await office.api("POST", f"/refunds/{proposed['refund_id']}/withdrawal", status=409)
    assert [r["state"] for r in (await office.api("GET", "/refunds?state=confirmed"))["items"]] == ["confirmed"]

    await close(office)
    listed = (await office.api("GET", "/statements?owner_id=own_a"))["items"]
    first = listed[-1]["statement_id"]
    assert [(x["payout_state"], x["waits"]) for x in listed if x["payout_minor"]] == [("waiting", "")]
    one = await office.api("GET", f"/statements/{first}")
    fees = 3 * 100 + 200 + 50 + 100
    assert (one["fees"]["fixed_minor"], one["fees"]["percent_minor"]) == (300, 350)
    # The refund was decided in the running period: this statement knows nothing of it, the preview does.
    assert one["payout_minor"] == 17_500 - fees - (fees * 25 + 50) // 100
    assert (await office.api("GET", "/statement-preview?owner_id=own_a"))["refunded_minor"] == 1000
    status, kind, body = await download(office, f"/statements/{first}/pdf?lang=nb")
    assert (status, kind) == (200, "application/pdf")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages)
    assert "Samlet avregning" in text
    assert "175,00 kr" in text.replace("\u00a0", " ")
    assert (await download(office, f"/statements/{first}/pdf?lang=nb"))[2] == body
    _, kind, body = await download(office, f"/statements/{first}/csv")
    assert kind == "text/csv"
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    parts = [Decimal(r["amount"]) for r in rows if r["section"] in {"opening", "sales", "refunds", "fees"}]
    assert sum(parts) == Decimal(next(r["amount"] for r in rows if r["section"] == "balance"))

    await office.api("POST", "/payout-batches", {"currency": "EUR"}, status=409)
    await office.api("POST", "/payout-batches", {"currency": "NOK", "execution_date": "2001-01-01"}, status=422)
    batch = await office.api("POST", "/payout-batches", {"currency": "NOK"}, status=201)
    assert (batch["batch_id"], batch["payments"], batch["state"]) == ("PB00000001", 2, "proposed")
    await office.api("GET", "/payout-batches/PB00000001/file", status=409)
    refused = await office.api("POST", "/payout-batches/PB00000001/release", status=409)
    assert refused["detail"] == "Another person has to release what you proposed (payouts.four_eyes)."
    _, second = await create_token(office.app.engine, "Ola", Role.OPERATOR, datetime.now(UTC))
    mine, office.token = office.token, second
    released = await office.api("POST", "/payout-batches/PB00000001/release")
    office.token = mine
    assert {p["state"] for p in released["payouts"]} == {"in transit"}
    status, kind, file = await download(office, "/payout-batches/PB00000001/file")
    assert (status, kind) == (200, "application/xml")
    assert b"<Nm>Operator Sonn AS</Nm>" in file
    assert b"SEPA" not in file
    assert (await download(office, "/payout-batches/PB00000001/file"))[2] == file

    paid, other = (p["statement_id"] for p in released["payouts"])
    report = await upload(office, camt(entry("DBIT", Decimal(one["payout_minor"]) / 100, paid, currency="NOK")))
    assert [line["outcome"] for line in report["lines"]] == ["executed"]
    file = pain_002((other, "RJCT"))
    assert [line["outcome"] for line in (await upload(office, file))["lines"]] == ["returned"]
    assert (await upload(office, file))["again"]
    assert len((await office.api("GET", "/return-files"))["items"]) == 2
    await upload(office, b"<x/>", status=400)
    states = {x["statement_id"]: x["payout_state"] for x in (await office.api("GET", "/statements"))["items"]}
    assert (states[paid], states[other]) == ("executed", "returned")
    preview = await office.api("GET", "/statement-preview?owner_id=own_b")
    assert [item["kind"] for item in preview["items"]] == ["returned"]
    await assert_stated_to_the_minor_unit(office.app.engine)


async def test_an_owners_user_reads_that_owners_statements_and_touches_nothing(office: Bench) -> None:
    await close(office)
    ours = (await office.api("GET", "/statements?owner_id=own_a"))["items"][-1]["statement_id"]
    theirs = (await office.api("GET", "/statements?owner_id=own_b"))["items"][-1]["statement_id"]
    _, office.token = await create_token(office.app.engine, "Eier", Role.OPERATOR, datetime.now(UTC), owner_id="own_a")
    listed = (await office.api("GET", "/statements"))["items"]
    assert {x["owner_id"] for x in listed} == {"own_a"}
    assert (await office.api("GET", "/statements?owner_id=own_b"))["items"] == []
    assert (await office.api("GET", "/statement-preview"))["owner_id"] == "own_a"
    for path in ("", "/pdf", "/csv"):
        assert (await download(office, f"/statements/{ours}{path}"))[0] == 200
        assert (await download(office, f"/statements/{theirs}{path}"))[0] == 404
    await office.api("GET", "/statement-preview?owner_id=own_b", status=404)
    await office.api("GET", "/statement-preview?owner_id=nobody", status=404)
    for method, path, body in (
        ("GET", "/refunds", None),
        ("POST", "/sessions/own_a-card-0/refunds", {"reason": "mine"}),
        ("GET", "/payout-batches", None),
        ("GET", "/payable-statements", None),
        ("POST", "/payout-batches", {"currency": "NOK"}),
        ("POST", f"/statements/{ours}/payout-return", {"reason": "give me more"}),
        ("GET", "/return-files", None),
    ):
        await office.api(method, path, body, status=403)
