"""Site owners on a database: their terms, their stations, their sessions in bulk; what stands in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import ledger
from billing.cost import Cost, CostLine, cost_of, vat_contained
from billing.cost_json import cost_to_json
from billing.ledger import PLATFORM, Account, EntrySet, Kind
from billing.payment import Payment
from billing.statement import Statement, statement_from_json
from billing.tariff import Dimension
from billing.terms import Terms, terms_to_json
from billing.way import Way
from csms.payouts.statements import close_next
from sessions import facts as f
from sessions.books import Posting, post
from sessions.rows import session_row
from sessions.session import Origin, Place, Session
from sessions.tables import Charging
from storage import owner_schema as o
from storage import payout_schema as p
from storage import schema as s
from storage.engine import reading, writing
from tests.store.shop import HOLD, Counter, card
from tests.unit.sessions.examples import T0

IBAN = "NO9386011117947"


async def add_owner(engine: AsyncEngine, owner_id: str, **changes: Any) -> None:
    """An owner of Oslo, paid in euro; ``terms``: a `Terms`."""
    terms = changes.pop("terms", Terms())
    row = {
        "owner_id": owner_id,
        "legal_name": f"Eier {owner_id} AS",
        "organisation_number": "999888777",
        "vat_number": "999888777MVA",
        "address": json.dumps(["Gata 1", "0001 Oslo"]),
        "country": "NO",
        "currency": "EUR",
        "language": "en",
        "time_zone": "Europe/Oslo",
        "iban": IBAN,
        "bic": None,
        "contacts": "[]",
        "terms": terms_to_json(terms),
        "created_at": T0,
    }
    async with writing(engine) as connection:
        await connection.execute(o.owners.insert().values(row | changes))


async def add_platform(engine: AsyncEngine) -> None:
    """The operator, as provisioning writes it."""
    await add_owner(engine, PLATFORM, legal_name="Operator AS", iban=None)


async def give(engine: AsyncEngine, station_id: str, owner_id: str, account_id: str = "") -> None:
    """A station and its terminal become an owner's; with an account they are paid through the owner's own processor."""
    async with writing(engine) as connection:
        await connection.execute(
            update(s.stations).where(s.stations.c.station_id == station_id).values(owner_id=owner_id)
        )
        serial = f"P{station_id.removeprefix('CS')}"
        values = {"owner_id": owner_id, "account_id": account_id}
        await connection.execute(update(s.terminals).where(s.terminals.c.serial == serial).values(values))
        if account_id:
            body = json.dumps(
                {"name": "Eier", "address": ["Gata 1"], "country": "NO", "organisation_number": "1", "vat_number": ""}
            )
            await connection.execute(s.issuers.insert().values(issuer_id=f"owner:{owner_id}", body=body))


async def sell_through_own_processor(shop: Counter, session_id: str, wh: int) -> None:
    """A charge at CS1 whose card the owner's own processor takes, from the tap to the confirmed capture."""
    arm = f"A-{session_id}"
    opened = f.ArmOpened(
        key=f"arm:{arm}",
        at=shop.now,
        serial="P1",
        arm_id=arm,
        hold_minor=HOLD,
        currency="EUR",
        account_id="acc_1",
    )
    await shop.submit(opened)
    await shop.submit(card(1, arm, session_id, shop.now))
    await shop.hold(session_id)
    await shop.charge(1, session_id, wh)
    captured = f.CaptureConfirmed(
        key=f"{session_id}:capture:confirmed", at=shop.now, session_id=session_id, amount_minor=wh // 10
    )
    await shop.service.complete(f"{session_id}:capture", captured)


def cost(gross: dict[str, int], currency: str = "EUR") -> Cost:
    """A cost by VAT rate."""
    vat = [vat_contained(minor, Decimal(rate)) for rate, minor in gross.items()]
    lines = [CostLine(Dimension.ENERGY, Decimal(1), "kWh", Decimal(1), v.vat_percent, v.gross_minor) for v in vat]
    return cost_of(currency, lines, vat)


async def add_sales(
    engine: AsyncEngine, owner_id: str, costs: Iterable[Cost], at: datetime, *, way: Way = Way.CARD, start: int = 0
) -> None:
    """Sessions that were sold for an owner, as the service writes them: the state, the sale, what is owed."""
    rows: list[dict[str, Any]] = []
    postings: list[Posting] = []
    by_card = way is Way.CARD
    for number, one in enumerate(costs, start):
        session_id = f"{owner_id}-{way}-{number}"
        if not rows:
            like = session_row(_sold(owner_id, way, at, one))
            state = json.loads(like["state"])
        about: dict[str, Any] = {"session_id": session_id, "owner_id": owner_id}
        mine = {"session_id": session_id, "receipt_token": f"token-of-{session_id}"}
        bill = cost_to_json(one)
        bills = {"cost": bill, "contract": None if by_card else bill, "captured_minor": by_card and one.total_minor}
        reference = state["authorisation"] | {"host_reference": f"H-{session_id}"}
        body = orjson.dumps(state | mine | bills | {"authorisation": reference}).decode()
        rows.append(like | mine | {"payment_ref": session_id, "state": body})
        sale, what = (_captured(one), "capture") if by_card else (ledger.contract(one), "contract:0")
        postings.append(Posting(set_key=f"{session_id}:{what}", entries=sale, **about))
        postings.append(
            Posting(set_key=f"{session_id}:owed{'' if by_card else ':0'}", entries=ledger.owed(one), **about)
        )
    async with writing(engine) as connection:
        await connection.execute(s.sessions.insert(), rows)
        await post(connection, postings, at)


def _captured(one: Cost) -> EntrySet:
    """A capture without its hold, which is a memo."""
    entries = ledger.capture(one.total_minor, one, one.currency).entries
    return EntrySet(Kind.CAPTURE, tuple(e for e in entries if e.account not in {Account.HOLD, Account.HOLD_CONTRA}))


def _sold(owner_id: str, way: Way, at: datetime, one: Cost) -> Session:
    return Session(
        session_id="",
        origin=Origin.CARD if way is Way.CARD else Origin.RFID,
        opened_at=at,
        receipt_token="",
        charging=Charging.ENDED,
        payment=Payment.CAPTURED if way is Way.CARD else Payment.NONE,
        currency=one.currency,
        place=Place(station_id="CS1", evse_id=1),
        owner_id=owner_id,
        way=way,
        started_at=at,
        ended_at=at,
        cost=one,
        closed_at=at,
    )


async def post_all(engine: AsyncEngine, postings: Iterable[Posting], at: datetime) -> None:
    """Book, in a transaction of its own."""
    async with writing(engine) as connection:
        await post(connection, postings, at)


async def close_all(engine: AsyncEngine, owner_id: str, until: datetime) -> None:
    """Close every period of an owner that was over."""
    while await close_next(engine, owner_id, until, until):
        pass


async def statements_of(engine: AsyncEngine, owner_id: str | None = None) -> list[Statement]:
    """An owner's statements, or all, in the order of their numbers."""
    query = select(p.statements.c.document).order_by(p.statements.c.statement_id)
    if owner_id is not None:
        query = query.where(p.statements.c.owner_id == owner_id)
    async with reading(engine) as connection:
        return [statement_from_json(text) for text in (await connection.execute(query)).scalars()]


async def books(engine: AsyncEngine, book: str = PLATFORM, **where: Any) -> dict[Account, int]:
    """What stands on each account of a book, zeros left out."""
    c = s.ledger.c
    query = select(c.account, func.sum(c.amount_minor).label("minor")).where(c.book == book).group_by(c.account)
    for name, value in where.items():
        query = query.where(c[name] == value)
    async with reading(engine) as connection:
        rows = (await connection.execute(query)).all()
    return {Account(row.account): int(row.minor) for row in rows if row.minor}


async def assert_stated_to_the_minor_unit(engine: AsyncEngine) -> None:
    """Every statement adds up from its own entries; together with what is not stated yet they are the ledger."""
    e, c, st = p.statement_entries.c, s.ledger.c, p.statements.c
    async with reading(engine) as connection:
        sums = {
            row.statement_id: row
            for row in await connection.execute(
                select(e.statement_id, func.sum(e.amount_minor).label("minor"))
                .where(e.kind != "payout")
                .group_by(e.statement_id)
            )
        }
        carried: dict[tuple[str, str], int] = {}
        paid: dict[tuple[str, str], int] = {}
        for row in await connection.execute(select(p.statements).order_by(st.statement_id)):
            whose = (row.owner_id, row.currency)
            assert row.opening_minor == carried.get(whose, 0), row.statement_id
            stated = int(sums[row.statement_id].minor) if row.statement_id in sums else 0
            assert row.opening_minor + stated == row.payout_minor + row.carried_minor, row.statement_id
            assert statement_from_json(row.document).stated_minor == stated
            carried[whose] = row.carried_minor
            paid[whose] = paid.get(whose, 0) + row.payout_minor
        owed_now = select(c.owner_id, c.currency, -func.sum(c.amount_minor)).where(
            c.account == Account.OWNER_PAYABLE.value, c.book == PLATFORM
        )
        total = {(r[0], r[1]): int(r[2]) for r in await connection.execute(owed_now.group_by(c.owner_id, c.currency))}
        unstated = owed_now.where(c.entry_id.not_in(select(e.entry_id))).group_by(c.owner_id, c.currency)
        later = {(r[0], r[1]): int(r[2]) for r in await connection.execute(unstated)}
        sent = select(st.owner_id, st.currency, -func.sum(e.amount_minor)).join(
            p.statement_entries, e.statement_id == st.statement_id
        )
        sent = sent.where(e.kind == "payout").group_by(st.owner_id, st.currency)
        gone = {(r[0], r[1]): int(r[2]) for r in await connection.execute(sent)}
    for whose in total.keys() | carried.keys():
        left = carried.get(whose, 0) + paid.get(whose, 0) - gone.get(whose, 0) + later.get(whose, 0)
        assert total.get(whose, 0) == left, whose
