"""A shop on a database: a station, a terminal, a tariff, an issuer, and the service that decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.tariff import simple_tariff
from billing.tariff_json import tariff_to_json
from sessions import facts as f
from sessions.clock import ManualClock
from sessions.codec import decode_session
from sessions.commands import AuthoriseHold
from sessions.directory import Outcome
from sessions.kept import KEEPERS, Keeper
from sessions.service import Dispatched, Service
from sessions.session import Policy, Session
from storage import schema as t
from storage.engine import reading, writing
from tests.unit.sessions.examples import T0

HOLD = 5000
TARIFF = simple_tariff("kwh", "EUR", hold_minor=HOLD, per_kwh=Decimal(1), vat_percent=Decimal(25))
ISSUER = {
    "name": "Operator AS",
    "address": ["Street 1", "0001 Town"],
    "country": "NO",
    "organisation_number": "999999999",
    "vat_number": "999999999MVA",
}


async def open_shop(engine: AsyncEngine, *, stations: int = 1, family: str = "P66") -> None:
    """Stations CS1…, one EVSE each, with a terminal P1… each."""
    async with writing(engine) as connection:
        await connection.execute(
            t.tariffs.insert().values(tariff_id="kwh", body=orjson.dumps(tariff_to_json(TARIFF)).decode())
        )
        await connection.execute(t.issuers.insert().values(issuer_id="I1", body=orjson.dumps(ISSUER).decode()))
        for n in range(1, stations + 1):
            await connection.execute(
                t.stations.insert().values(
                    station_id=f"CS{n}", admission="accepted", connected=True, node="gateway", epoch=1
                )
            )
            await connection.execute(
                t.evses.insert().values(
                    station_id=f"CS{n}", evse_id=1, label=f"Bay {n}", tariff_id="kwh", max_power_w=150_000
                )
            )
            await connection.execute(
                t.terminals.insert().values(serial=f"P{n}", family=family, currency="EUR", language="en")
            )
            await connection.execute(
                t.terminal_evses.insert().values(serial=f"P{n}", station_id=f"CS{n}", evse_id=1, position=0)
            )


@dataclass
class Counter:
    """The service behind the counter, and what it handed to the doers."""

    engine: AsyncEngine
    clock: ManualClock
    service: Service
    dispatched: list[Dispatched] = field(default_factory=list)
    next_due: list[datetime | None] = field(default_factory=list)

    def note(self, ready: Sequence[Dispatched], next_due: datetime | None) -> None:
        self.dispatched += ready
        self.next_due.append(next_due)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    async def submit(self, fact: f.Fact) -> Outcome:
        return await self.service.submit(fact)

    async def tap(self, n: int = 1, *, session_id: str | None = None, arm: str | None = None) -> str:
        """A tap at terminal ``n``; return the session's id."""
        arm, session_id = arm or f"A{n}", session_id or f"S{n}"
        await self.submit(
            f.ArmOpened(key=f"arm:{arm}", at=self.now, serial=f"P{n}", arm_id=arm, hold_minor=HOLD, currency="EUR")
        )
        await self.submit(card(n, arm, session_id, self.now))
        return session_id

    async def hold(self, session_id: str, ref: str | None = None) -> Outcome:
        """The terminal's cloud confirms the hold."""
        authorise = [d.command for d in self.dispatched if isinstance(d.command, AuthoriseHold)]
        (mine,) = [command for command in authorise if command.session_id == session_id]
        ref = ref or f"PAY-{session_id}"
        held = f.PaymentHeld(
            key=f"{session_id}:held:{ref}", at=self.now, session_id=session_id, payment_ref=ref, amount_minor=HOLD
        )
        return await self.service.complete(mine.key, held)

    async def charge(self, n: int, session_id: str, wh: int, *, hours: int = 1) -> None:
        """Start, an hour, stop with ``wh`` on the register."""
        start = await self.submit(started(n, self.now, id_token=f"TAG-{session_id}"))
        await self.clock.advance(3600 * hours)
        await self.submit(ended(n, self.now, start.transaction_id, wh))

    async def sell(self, n: int, session_id: str, wh: int = 10_000) -> None:
        """From the tap to the confirmed capture."""
        await self.tap(n, session_id=session_id, arm=f"A-{session_id}")
        await self.hold(session_id)
        await self.charge(n, session_id, wh)
        captured = f.CaptureConfirmed(
            key=f"{session_id}:capture:confirmed", at=self.now, session_id=session_id, amount_minor=wh // 10
        )
        await self.service.complete(f"{session_id}:capture", captured)

    async def session(self, session_id: str) -> Session:
        """The session as stored."""
        rows = await self.rows(select(t.sessions.c.state).where(t.sessions.c.session_id == session_id))
        return decode_session(rows[0].state)

    async def rows(self, query: Select[Any]) -> list[Any]:
        """What the query finds."""
        async with reading(self.engine) as connection:
            return list((await connection.execute(query)).all())

    async def count(self, table: Any, *where: Any) -> int:
        """How many rows there are."""
        rows = await self.rows(select(func.count()).select_from(table).where(*where))
        return int(rows[0][0])


@asynccontextmanager
async def counter(
    engine: AsyncEngine,
    *,
    node: str = "node-a",
    clock: ManualClock | None = None,
    policy: Policy | None = None,
    keepers: Mapping[type[f.Fact], Sequence[Keeper]] = KEEPERS,
) -> AsyncIterator[Counter]:
    """A running service of one node."""
    clock = clock or ManualClock(T0)
    service = Service(
        engine,
        clock,
        policy or Policy(),
        node=node,
        issuer_id="I1",
        public_url="https://pay.example.org",
        keepers=keepers,
    )
    made = Counter(engine, clock, service)
    service.on_commands = made.note
    await service.start()
    try:
        yield made
    finally:
        await service.stop()


def card(n: int, arm: str, session_id: str, at: datetime, *, ref: str | None = None) -> f.CardPresented:
    return f.CardPresented(
        key=f"card:{arm}",
        at=at,
        serial=f"P{n}",
        arm_id=arm,
        card=f.Card(card_ref=ref or f"card-{session_id}", masked_pan="************1111", aid="A0000000031010"),
        session_id=session_id,
        id_token=f"TAG-{session_id}",
        remote_start_id=n,
        receipt_token=f"receipt-{session_id}",
    )


def started(n: int, at: datetime, *, id_token: str = "RFID1", key: str | None = None) -> f.TransactionStarted:
    return f.TransactionStarted(
        key=key or f"CS{n}:start:{id_token}:{at.isoformat()}",
        at=at,
        station_id=f"CS{n}",
        transaction_id=None,
        evse_id=1,
        id_token=id_token,
        station_time=at,
        register_wh=Decimal(0),
    )


def ended(n: int, at: datetime, transaction_id: str | None, wh: int) -> f.TransactionEnded:
    return f.TransactionEnded(
        key=f"CS{n}:end:{transaction_id}:{wh}",
        at=at,
        station_id=f"CS{n}",
        transaction_id=transaction_id,
        station_time=at,
        register_wh=Decimal(wh),
    )


def later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
