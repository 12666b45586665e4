"""The session report of a large month, on both databases; and what it says of refunds."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import ledger
from billing.cost import Cost, CostLine, VatLine
from billing.payment import Payment
from billing.tariff import Dimension
from billing.terms import Terms
from billing.way import Way
from csms.payouts.session_report import Processor, ReportWanted, Totals, chunks, count, totals
from csms.payouts.session_report_table import CsvReport
from csms.terminals import owners
from csms.terminals.owners import Owner
from sessions.books import Posting, post
from sessions.rows import session_row
from sessions.session import Origin, Session
from sessions.tables import Charging
from storage import schema as t
from storage.engine import writing
from tests.scale import sized
from tests.unit.sessions.examples import session

T0 = datetime(2026, 3, 1, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")
SESSIONS = sized(50_000)
OWNER = Owner(
    owner_id="own_000000000001",
    legal_name="Nordhavn Lading AS",
    organisation_number="923609016",
    country="NO",
    currency="NOK",
    created_at=T0,
    terms=Terms(fee_fixed_minor=100, fee_percent=Decimal("2.5"), facilitation_fee_minor=50),
)
WANTED = ReportWanted(owner_id=OWNER.owner_id, since=T0, until=T0 + timedelta(days=31))


def cost(energy: int, parking: int, currency: str = "NOK") -> Cost:
    """Energy with 25 % VAT, parking with 12 %."""
    lines = (
        CostLine(Dimension.ENERGY, Decimal("12.5"), "kWh", Decimal(energy) / 1250, Decimal(25), energy),
        CostLine(Dimension.PARKING_TIME, Decimal(7), "min", Decimal(parking) / 700, Decimal(12), parking),
    )
    vat = tuple(
        VatLine(line.vat_percent, line.amount_minor - tax, tax, line.amount_minor)
        for line, tax in ((lines[0], energy // 5), (lines[1], parking * 12 // 112))
    )
    net, tax = sum(v.net_minor for v in vat), sum(v.vat_minor for v in vat)
    return Cost(currency, lines, vat, net, tax, net + tax)


def settled() -> list[Session]:
    """One of each kind."""
    paid = replace(session(Charging.ENDED, Payment.CAPTURED), owner_id=OWNER.owner_id, currency="NOK", tariff=None)
    free = replace(
        session(Charging.ENDED, origin=Origin.RFID),
        owner_id=OWNER.owner_id,
        currency="NOK",
        tariff=None,
        way=Way.RFID,
    )

    def by_contract(way: Way, bill: Cost) -> Session:
        return replace(free, way=way, cost=bill, contract=bill)

    euros = cost(999, 101, "EUR")
    return [
        replace(paid, cost=cost(7333, 1117), captured_minor=8450),
        replace(paid, cost=cost(401, 99), captured_minor=500, account_id="acc_1"),
        replace(paid, cost=cost(5000, 0), payment=Payment.WRITTEN_OFF, written_off_minor=5000, captured_minor=0),
        replace(paid, cost=euros, captured_minor=euros.total_minor, currency="EUR"),
        by_contract(Way.RFID, cost(12_345, 678)),
        by_contract(Way.APP, cost(1, 1)),
        by_contract(Way.ROAMING, cost(33, 67)),
        replace(free, unpaid=True, cost=cost(100, 100)),
    ]


def generated(number: int, owner_id: str, *, step: timedelta) -> Iterator[dict[str, Any]]:
    """Rows of `sessions`; made from a few kinds, since making each anew would take minutes."""
    kinds = [session_row(replace(one, session_id="SESSION-", owner_id=owner_id)) for one in settled()]
    for n in range(number):
        row, session_id = dict(kinds[n % len(kinds)]), f"S{n:07}{owner_id[-3:]}"
        row |= {
            "session_id": session_id,
            "station_id": f"CS{n % 200}",
            "receipt_token": session_id,
            "transaction_id": session_id,
            "arm_id": session_id,
            "payment_ref": session_id,
            "open": False,
            "closed_at": T0 + step * n,
            "state": row["state"].replace("SESSION-", session_id).replace('"CS1"', f'"CS{n % 200}"'),
        }
        yield row


async def enter(engine: AsyncEngine, number: int, owner_id: str = OWNER.owner_id) -> None:
    rows = list(generated(number, owner_id, step=timedelta(days=31) / number))
    async with writing(engine) as connection:
        for first in range(0, number, 2000):
            await connection.execute(t.sessions.insert(), rows[first : first + 2000])


@pytest.mark.timeout(300)  # making them takes most of it
async def test_a_large_month_is_read_in_chunks_and_adds_up(engine: AsyncEngine) -> None:
    await enter(engine, SESSIONS)
    await enter(engine, 100, "own_000000000002")
    assert await count(engine, WANTED) == SESSIONS
    added, seen = Totals(), 0
    lines: dict[tuple[str, Way], int] = defaultdict(int)
    per_rate: dict[tuple[str, Way, Decimal | None], int] = defaultdict(int)
    async for chunk in chunks(engine, WANTED, OWNER):
        assert 0 < len(chunk) <= 500
        seen += len(chunk)
        for one in chunk:
            added.add(one)
            for line in one.cost.lines:
                lines[one.cost.currency, one.way] += line.amount_minor
                per_rate[one.cost.currency, one.way, line.vat_percent] += line.amount_minor
    assert seen == SESSIONS
    ways = {(total.currency, total.way): total for total in added.ways()}
    assert {key: t.sums["gross_minor"] for key, t in ways.items()} == lines
    rates = {(*key, rate): sums for key, t in ways.items() for rate, sums in t.rates.items()}
    assert {key: gross for key, (_, _, gross) in rates.items()} == per_rate
    assert all(net + vat == gross for net, vat, gross in rates.values())
    # By hand: what each kind sold, so many times.
    each = SESSIONS // len(settled())
    assert {key: t.sessions for key, t in ways.items()} == {
        ("NOK", Way.CARD): 3 * each,
        ("EUR", Way.CARD): each,
        ("NOK", Way.RFID): 2 * each,
        ("NOK", Way.APP): each,
        ("NOK", Way.ROAMING): each,
    }
    cards = ways["NOK", Way.CARD].sums
    assert cards["gross_minor"] == cards["captured_minor"] == each * (8450 + 500)
    assert cards["written_off_minor"] == each * 5000
    # 1.00 and 2.5 % of 84.50 (2.11), and 0.50 for the owner's own processor; VAT on each, half up.
    assert cards["fee_minor"] == each * (311 + 50)
    assert cards["fee_vat_minor"] == each * (78 + 13)
    assert ways["EUR", Way.CARD].sums["fee_minor"] == each * 28  # no fixed fee in a foreign currency
    assert ways["NOK", Way.RFID].sums["gross_minor"] == each * 13_023


async def test_the_totals_of_a_csv_are_the_sums_of_its_lines(engine: AsyncEngine) -> None:
    await enter(engine, 1600)
    written, added, text = CsvReport(OSLO), Totals(), b""
    async for chunk in chunks(engine, WANTED, OWNER):
        for one in chunk:
            added.add(one)
        text += written.add(chunk)
    text += written.end(added)
    lines: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    rates: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    sessions: dict[tuple[str, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    stated: dict[str, dict[tuple[str, ...], Any]] = {"total": {}, "vat total": {}}
    for row in csv.DictReader(io.StringIO(text.decode())):
        way, rate = (row["way"], row["currency"]), (row["way"], row["currency"], row["vat_percent"])
        three = [Decimal(row[name] or 0) for name in ("net", "vat", "gross")]
        if row["record"] == "session":
            sessions[way] = [a + b for a, b in zip(sessions[way], three, strict=True)]
        elif row["record"] == "line":
            lines[rate] += Decimal(row["amount"])
        elif row["record"] == "vat":
            rates[rate] += Decimal(row["rate_gross"])
        elif row["record"] == "total":
            stated["total"][way] = three
        else:
            stated["vat total"][rate] = Decimal(row["rate_gross"])
    assert stated["total"] == sessions
    assert stated["vat total"] == rates == lines
    assert len(lines) == 10  # five ways and currencies, at two rates


async def test_the_report_is_narrowed_to_what_is_asked(engine: AsyncEngine) -> None:
    await enter(engine, 800)
    async with writing(engine) as connection:
        await connection.execute(
            t.stations.insert(), [{"station_id": f"CS{n}", "admission": "accepted"} for n in range(8)]
        )
        await connection.execute(t.stations.update().where(t.stations.c.station_id == "CS3").values(site="site_1"))

    async def found(**more: Any) -> int:
        wanted = replace(WANTED, **more)
        seen = [one async for chunk in chunks(engine, wanted, OWNER, size=7) for one in chunk]
        assert len({one.session_id for one in seen}) == len(seen) == await count(engine, wanted)
        assert [one.closed_at for one in seen] == sorted(one.closed_at for one in seen)
        return len(seen)

    assert await found() == 800
    assert await found(processor=Processor.OWN) == 100
    assert await found(processor=Processor.PLATFORM) == 700
    assert await found(processor=Processor.STATION) == 0
    assert await found(way=Way.CARD) == 400
    assert await found(way=Way.RFID, processor=Processor.OWN) == 0
    assert await found(station_id="CS3") == await found(site="site_1") == 4
    assert await found(terminal_serial="nobody") == 0
    assert await found(until=T0 + timedelta(days=15, hours=12)) == 400
    assert await found(since=T0 + timedelta(days=31)) == 0
    assert await found(owner_id="own_000000000009") == 0


async def test_what_was_given_back_stands_beside_what_was_sold(engine: AsyncEngine) -> None:
    await enter(engine, 1)
    back = ledger.reversal(ledger.EntrySet(ledger.Kind.CAPTURE, ledger.settlement(cost(733, 17)).entries))
    fields = {"session_id": "S0000000001", "owner_id": OWNER.owner_id}
    async with writing(engine) as connection:
        postings = [Posting(set_key="S0000000001:refund:rfd_1", entries=back, **fields)]
        others = [Posting(set_key="S0000000001:contract:0:reversed", entries=back, **fields)]
        await post(connection, [*postings, *others], T0)
    (total,) = (await totals(engine, WANTED, OWNER)).ways()
    assert (total.sums["gross_minor"], total.sums["refunded_minor"], total.sums["captured_minor"]) == (8450, 750, 8450)


async def test_an_owner_comes_back_as_it_was_entered(engine: AsyncEngine) -> None:
    contact = owners.Contact(name="Kari", email="kari@example.org")
    owner = replace(OWNER, address=("Kaia 1",), contacts=(contact,), iban="NO9386011117947")
    async with writing(engine) as connection:
        assert await owners.enter(connection, owner) == owner
        assert await owners.find(connection, owner.owner_id) == owner
        assert await owners.owed(connection, owner.owner_id) == {}
