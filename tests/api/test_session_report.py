"""The session report over the API, from real charges: JSON, CSV and XLSX say the same, and what the ledger says."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from sqlalchemy import func, select

from storage import schema
from storage.engine import reading
from tests.api.sides import World
from tests.api.two_owners import CHARGED, card_charge, two_owners
from tests.conformance.bench import Bench

DAYS = {
    "first_day": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
    "last_day": (datetime.now(UTC) + timedelta(days=2)).date().isoformat(),
}
DAYS_OF_ONE = "first_day=2026-01-01&last_day=2026-01-01"
QUERY = "&".join(f"{name}={value}" for name, value in DAYS.items())


async def fetched(bench: Bench, path: str) -> tuple[Any, bytes]:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path}"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers, await answer.read()


async def ledger_gross(world: World, owner_id: str) -> int:
    """What was sold, as the books have it."""
    x = schema.ledger.c
    query = select(func.sum(-x.amount_minor)).where(
        x.owner_id == owner_id, x.account.in_(["revenue", "vat_payable"]), x.session_id.is_not(None)
    )
    async with reading(world.bench.app.engine) as connection:
        return int((await connection.execute(query)).scalar_one())


async def test_all_forms_say_what_the_ledger_says(database_url: str) -> None:
    async with two_owners(database_url, CHARGED) as world:
        bench, north = world.bench, world.north
        where = {"serial": north.ids["serial"], "station_id": north.ids["station_id"]}
        for n, wh in enumerate((3333, 1)):
            await card_charge(bench, f"more-{n}", **where, wh=wh)
        path, admin = f"/owners/{north.ids['owner_id']}/session-report", bench.token
        bench.token = north.token
        page = await bench.api("GET", f"{path}?{QUERY}&limit=2")
        rest = await bench.api("GET", f"{path}?{QUERY}&limit=2&after={page['next']}")
        sessions = [*page["items"], *rest["items"]]
        assert (len(sessions), rest["next"]) == (3, None)
        first = sessions[0]
        # 5 kWh at 10.00, 25 % VAT in it; 1.00 and 2.5 % for the platform.
        assert (first["gross_minor"], first["net_minor"], first["vat_minor"]) == (5000, 4000, 1000)
        assert (first["fee_minor"], first["fee_vat_minor"], first["captured_minor"]) == (225, 56, 5000)
        assert first["lines"] == [
            {
                "dimension": "ENERGY",
                "quantity": "5.0000",
                "unit": "kWh",
                "unit_price": "10",
                "vat_percent": "25",
                "amount_minor": 5000,
            }
        ]
        assert (first["processor"], first["way"], first["terminal"]) == ("platform", "card", "NORTH-P66")
        assert (first["site"], first["station_id"], first["energy_wh"]) == (north.ids["site_id"], "NORTH-CS", 5000)
        gross = await ledger_gross(world, north.ids["owner_id"])
        assert sum(session["gross_minor"] for session in sessions) == gross == 5000 + 3333 + 1
        totals = await bench.api("GET", f"{path}/totals?{QUERY}")
        (total,) = totals["ways"]
        assert (total["gross_minor"], total["sessions"], total["way"], total["currency"]) == (gross, 3, "card", "NOK")
        assert [rate["gross_minor"] for rate in total["vat"]] == [gross]

        headers, text = await fetched(bench, f"{path}.csv?{QUERY}")
        assert headers["Content-Type"] == "text/csv; charset=utf-8"
        assert headers["Content-Disposition"].startswith('attachment; filename="sessions-own_')
        rows = list(csv.DictReader(io.StringIO(text.decode())))
        told = [row for row in rows if row["record"] == "session"]
        assert [row["session_id"] for row in told] == [session["session_id"] for session in sessions]
        assert [Decimal(row["gross"]) for row in told] == [Decimal(s["gross_minor"]) / 100 for s in sessions]
        assert [Decimal(row["gross"]) for row in rows if row["record"] == "total"] == [Decimal(gross) / 100]

        headers, content = await fetched(bench, f"{path}.xlsx?{QUERY}")
        assert headers["Content-Type"].endswith("spreadsheetml.sheet")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        sheet = list(book["Sessions"].iter_rows(values_only=True))
        column = sheet[0].index("gross")
        assert [round(Decimal(str(row[column])) * 100) for row in sheet[1:]] == [
            session["gross_minor"] for session in sessions
        ]
        assert [sheet.title for sheet in book] == ["Sessions", "Price lines", "VAT", "Totals", "VAT totals"]
        bench.token = admin
        assert (await bench.api("GET", f"/owners/platform/session-report?{QUERY}"))["items"][0]["fee_minor"] == 0


async def test_what_is_asked_narrows_it(database_url: str) -> None:
    async with two_owners(database_url, CHARGED) as world:
        bench, path = world.bench, f"/owners/{world.north.ids['owner_id']}/session-report?{QUERY}"

        async def found(more: str) -> int:
            return len((await bench.api("GET", f"{path}&{more}"))["items"])

        assert await found(f"site={world.north.ids['site_id']}&station_id=NORTH-CS") == 1
        assert await found("terminal=NORTH-P66&processor=platform&way=card") == 1
        for other in ("site=x", "station_id=SOUTH-CS", "terminal=SOUTH-P66", "processor=own", "way=app"):
            assert await found(other) == 0
        yesterday = path.replace(DAYS["last_day"], DAYS["first_day"])
        assert (await bench.api("GET", yesterday))["items"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("first_day=2026-01-01", 400),
        ("first_day=2026-01-02&last_day=2026-01-01", 400),
        ("first_day=2026-01-01&last_day=2027-12-31", 400),
        ("first_day=0001-01-01&last_day=0001-01-01", 400),
        ("first_day=9999-12-31&last_day=9999-12-31", 400),
        ("first_day=yesterday&last_day=today", 400),
        ("first_day=2026-01-01&last_day=2026-01-01&way=cash", 400),
        ("first_day=2026-01-01&last_day=2026-12-31", 200),
    ],
)
async def test_a_period_that_is_none_is_refused(bench: Bench, query: str, status: int) -> None:
    for form in ("", "/totals", ".csv", ".xlsx"):
        url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/owners/platform/session-report{form}?{query}"
        async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
            assert answer.status == status, await answer.text()
        await bench.api("GET", f"/owners/own_000000000000/session-report{form}?{DAYS_OF_ONE}", status=404)
