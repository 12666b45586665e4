"""The session report: what was sold at an owner's stations in a period, charge by charge, with what the platform takes.

A charge stands in the report of the day on which it was settled, by the clock of the owner's time zone: nothing of it
is estimated, and what is still open comes into a later one. The report is read in chunks; nothing is kept in memory but
the totals.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cost import Cost, no_cost
from billing.ledger import Account
from billing.way import Way
from csms.terminals.owners import Owner
from sessions.codec import decode_session
from sessions.session import Origin, Session
from storage import schema as t
from storage.engine import reading

CHUNK = 500
#: Where a sale is collected; a credit of `refund` there is money given back.
_RECEIVABLE = (Account.ACQUIRER.value, Account.STATION_ACQUIRER.value, Account.CONTRACTS.value)


class Processor(StrEnum):
    """Who collects."""

    PLATFORM = "platform"  # the platform's processor, or whoever is behind the token: paid out with the statement
    OWN = "own"  # the owner's own processor
    STATION = "station"  # the station's own terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWanted:
    """Which sessions: settled in ``since`` ≤ t < ``until`` (UTC), of ``owner_id``, and whatever else is not None."""

    owner_id: str
    since: datetime
    until: datetime
    site: str | None = None
    station_id: str | None = None
    terminal_serial: str | None = None
    processor: Processor | None = None
    way: Way | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSession:
    """One charge. Amounts in minor units of ``cost.currency``; fees without VAT; energy in Wh; times in UTC.

    ``cost``: what was sold: nothing where nothing was collected, nor is owed by whoever is behind the token.
    """

    session_id: str
    closed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    site: str | None
    station_id: str
    evse_id: int | None
    terminal_serial: str | None
    processor: Processor
    way: Way
    receipt_number: int | None
    energy_wh: int
    cost: Cost
    captured_minor: int
    refunded_minor: int
    written_off_minor: int
    fee_minor: int
    fee_vat_minor: int


def period(first_day: date, last_day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From the beginning of ``first_day`` to the end of ``last_day`` in ``zone``, UTC; a day may have 23 or 25 hours.

    Raises ``ValueError`` where the days are no period.
    """
    if last_day < first_day:
        raise ValueError("last_day lies before first_day.")
    try:
        begin, end = (datetime.combine(day, time(), zone) for day in (first_day, last_day + timedelta(days=1)))
        return begin.astimezone(UTC), end.astimezone(UTC)
    except OverflowError:
        raise ValueError("There are no such days.") from None


def sold(session: Session) -> Cost:
    """What a settled session sold, as the ledger has it; a cost of zero where nothing was."""
    if session.contract is not None:
        return session.contract
    explained = session.cost is not None and 0 < session.captured_minor == session.cost.total_minor
    if session.cost is None or not explained or "captured-after-write-off" in session.flags:
        return no_cost(session.currency)
    return session.cost


def processor_of(session: Session) -> Processor:
    """Who collected it."""
    if session.origin is Origin.DIRECT:
        return Processor.STATION
    return Processor.OWN if session.account_id else Processor.PLATFORM


def report_query(wanted: ReportWanted) -> Select[Any]:
    """The rows of the report, for `reported`; in the order of `KEYS` they are read in pages."""
    s, x, r = t.sessions.c, t.ledger.c, t.receipts.c
    given_back = (
        select(func.sum(-x.amount_minor))
        .where(
            x.session_id == s.session_id,
            x.account.in_(_RECEIVABLE),
            x.set_key.like(s.session_id + literal(":refund:%")),
        )
        .correlate(t.sessions)
        .scalar_subquery()
    )
    number = select(func.min(r.number)).where(r.session_id == s.session_id).correlate(t.sessions).scalar_subquery()
    query = (
        select(
            *KEYS,
            s.state,
            t.stations.c.site,
            given_back.label("refunded_minor"),
            number.label("receipt_number"),
        )
        .join_from(t.sessions, t.stations, s.station_id == t.stations.c.station_id, isouter=True)
        .where(s.owner_id == wanted.owner_id, s.closed_at >= wanted.since, s.closed_at < wanted.until)
    )
    return query.where(*_narrowed(wanted))


KEYS: tuple[ColumnElement[Any], ...] = (t.sessions.c.closed_at, t.sessions.c.session_id)


def _narrowed(wanted: ReportWanted) -> list[ColumnElement[bool]]:
    s = t.sessions.c
    direct = s.origin == Origin.DIRECT.value
    collects = {
        Processor.PLATFORM: [s.account_id == "", ~direct],
        Processor.OWN: [s.account_id != "", ~direct],
        Processor.STATION: [direct],
    }
    found: list[ColumnElement[bool]] = list(collects[wanted.processor]) if wanted.processor else []
    equal = (
        (t.stations.c.site, wanted.site),
        (s.station_id, wanted.station_id),
        (s.terminal_serial, wanted.terminal_serial),
        (s.way, wanted.way.value if wanted.way else None),
    )
    return found + [column == value for column, value in equal if value is not None]


def reported(row: Any, owner: Owner) -> ReportedSession:
    """A line of the report from a row of `report_query`; fees by the terms in force."""
    session = decode_session(row.state)
    cost, processor = sold(session), processor_of(session)
    terms, fee_minor = owner.terms.in_currency(owner.currency, cost.currency), 0
    if cost.total_minor and processor is not Processor.STATION:
        fee = terms.facilitation_minor if processor is Processor.OWN else terms.fee_minor
        fee_minor = fee(cost.total_minor, cost.currency)
    return ReportedSession(
        session_id=session.session_id,
        closed_at=row.closed_at,
        started_at=session.started_at,
        ended_at=session.ended_at,
        site=row.site,
        station_id=session.place.station_id if session.place else "",
        evse_id=session.place.evse_id if session.place else None,
        terminal_serial=session.terminal_serial,
        processor=processor,
        way=session.way,
        receipt_number=row.receipt_number,
        energy_wh=session.meter.energy_wh,
        cost=cost,
        captured_minor=session.captured_minor,
        refunded_minor=int(row.refunded_minor or 0),
        written_off_minor=session.written_off_minor,
        fee_minor=fee_minor,
        fee_vat_minor=terms.fee_vat_minor(fee_minor),
    )


def _all(rows: Sequence[Any], owner: Owner) -> list[ReportedSession]:
    return [reported(row, owner) for row in rows]


async def count(engine: AsyncEngine, wanted: ReportWanted) -> int:
    """How many sessions the report has."""
    async with reading(engine) as connection:
        query = select(func.count()).select_from(report_query(wanted).order_by(None).subquery())
        return int((await connection.execute(query)).scalar_one())


async def chunks(
    engine: AsyncEngine, wanted: ReportWanted, owner: Owner, size: int = CHUNK
) -> AsyncIterator[list[ReportedSession]]:
    """The report in the order of settlement, ``size`` sessions at a time; no transaction is kept open between them."""
    query, after = report_query(wanted).order_by(*KEYS).limit(size), None
    while True:
        one = query if after is None else query.where(tuple_(*KEYS) > after)
        async with reading(engine) as connection:
            rows = (await connection.execute(one)).all()
        if rows:  # reading states costs more than fetching them: the loop is not to wait for it
            yield await asyncio.to_thread(_all, rows, owner)
        if len(rows) < size:
            return
        after = tuple_(*(literal(getattr(rows[-1], str(key.key)), key.type) for key in KEYS))


# --- totals -----------------------------------------------------------------------------------------------------------

#: What is added up of sessions, beyond the VAT per rate.
SUMS = (
    *("energy_wh", "net_minor", "vat_minor", "gross_minor", "captured_minor", "refunded_minor", "written_off_minor"),
    *("fee_minor", "fee_vat_minor"),
)


@dataclass(slots=True, kw_only=True)
class WayTotal:
    """All charges paid one way, in one currency. ``rates``: VAT rate → net, VAT and gross of what was sold."""

    currency: str
    way: Way
    sessions: int = 0
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    rates: dict[Decimal | None, list[int]] = field(default_factory=dict)


def amounts(session: ReportedSession) -> dict[str, int]:
    """What of a session is added up, by the names of `SUMS`."""
    cost = session.cost
    own = {"net_minor": cost.net_minor, "vat_minor": cost.vat_minor, "gross_minor": cost.total_minor}
    return {name: own[name] if name in own else getattr(session, name) for name in SUMS}


class Totals:
    """Adds a report up, by currency and way."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, Way], WayTotal] = {}

    def add(self, session: ReportedSession) -> None:
        """Count a session in."""
        key = (session.cost.currency, session.way)
        total = self._ways.setdefault(key, WayTotal(currency=key[0], way=session.way))
        total.sessions += 1
        for name, amount in amounts(session).items():
            total.sums[name] += amount
        for line in session.cost.vat:
            rate = total.rates.setdefault(line.vat_percent, [0, 0, 0])
            for n, amount in enumerate((line.net_minor, line.vat_minor, line.gross_minor)):
                rate[n] += amount

    def ways(self) -> list[WayTotal]:
        """In the order of currencies and ways."""
        order = list(Way)
        return sorted(self._ways.values(), key=lambda total: (total.currency, order.index(total.way)))


async def totals(engine: AsyncEngine, wanted: ReportWanted, owner: Owner) -> Totals:
    """The totals of the whole report."""
    made = Totals()
    async for chunk in chunks(engine, wanted, owner):
        for session in chunk:
            made.add(session)
    return made
