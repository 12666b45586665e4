"""A month of payments: owners, terminals and sessions, with the entries that the ledger has of each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing import ledger
from billing.cost import Cost, CostLine, cost_of, no_cost, vat_contained
from billing.ledger import EntrySet
from billing.payment import Payment
from billing.tariff import Dimension
from sessions.facts import Card
from sessions.session import Authorisation, Origin, Place, Session
from sessions.tables import Charging

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
CURRENCIES = ("NOK", "NOK", "NOK", "SEK", "EUR")
HOLD = 60_000
VAT = Decimal(25)


@dataclass(frozen=True, slots=True)
class MonthOwner:
    """A site owner with two terminals; with an own processor where ``account_id`` is given."""

    number: int
    account_id: str

    @property
    def owner_id(self) -> str:
        return f"own_{self.number:012x}"

    @property
    def currency(self) -> str:
        return CURRENCIES[self.number % len(CURRENCIES)]

    @property
    def merchant_id(self) -> str:
        return f"M{self.number:08d}"

    @property
    def serials(self) -> tuple[str, ...]:
        return tuple(f"P68{self.number:05d}{n}" for n in (1, 2))


@dataclass(frozen=True, slots=True)
class Paid:
    """A session, and its entry sets by what they are of."""

    session: Session
    sets: Sequence[tuple[str, EntrySet]]

    @property
    def captured(self) -> bool:
        return self.session.payment is Payment.CAPTURED


def owners_of(count: int) -> list[MonthOwner]:
    """Every fifth one has a processor of its own."""
    return [MonthOwner(n, f"prc_{n:012x}" if n % 5 == 0 else "") for n in range(1, count + 1)]


def payments(owners: Sequence[MonthOwner], count: int, chance: random.Random) -> Iterator[Paid]:
    """``count`` sessions, terminal by terminal, never two within half an hour at one."""
    places = [(owner, serial) for owner in owners for serial in owner.serials]
    for index, (owner, serial) in enumerate(places):
        mine = count // len(places) + (index < count % len(places))
        step = (END - BEGIN) / max(mine, 1)
        assert step > timedelta(minutes=31), "too many sessions for so few terminals"
        for n in range(mine):
            slack = (step - timedelta(minutes=31)).total_seconds()
            opened = BEGIN + step * n + timedelta(seconds=round(chance.random() * slack, 3))
            yield payment(owner, serial, opened, chance)


def payment(owner: MonthOwner, serial: str, opened: datetime, chance: random.Random) -> Paid:
    """One session: captured, or released without energy, or written off because its capture failed."""
    mark = f"{chance.getrandbits(128):032x}"
    fate = chance.random()
    amount = chance.randrange(500, 45_000)
    state = Payment.CAPTURED if fate < 0.95 else Payment.RELEASED if fate < 0.99 else Payment.WRITTEN_OFF
    cost = priced(amount, owner.currency) if state is not Payment.RELEASED else no_cost(owner.currency)
    ended = opened + timedelta(minutes=chance.randrange(5, 30))
    captured = state is Payment.CAPTURED
    session = Session(
        session_id=mark,
        origin=Origin.CARD,
        opened_at=opened,
        receipt_token=f"r{mark}",
        charging=Charging.ENDED,
        payment=state,
        currency=owner.currency,
        place=Place(station_id=f"CS-{serial}", evse_id=1, label="1"),
        issuer_id=f"owner:{owner.owner_id}" if owner.account_id else "platform",
        owner_id=owner.owner_id,
        account_id=owner.account_id,
        terminal_serial=serial,
        arm_id=f"a{mark}",
        card=Card(card_ref=f"c{mark}", masked_pan="************1111", aid="A0000000031010", ifd="CONTACTLESS"),
        hold_minor=HOLD,
        held_minor=HOLD,
        held_at=opened + timedelta(seconds=3),
        hold_number=1,
        authorisation=Authorisation(
            payment_ref=f"{mark[:8]}-{mark[8:12]}-{mark[12:16]}-{mark[16:20]}-{mark[20:]}",
            host_reference=f"H{chance.getrandbits(64):016X}",
            merchant_reference=f"{chance.getrandbits(128):032x}",
        ),
        capture_minor=amount if state is not Payment.RELEASED else 0,
        captured_minor=amount if captured else 0,
        captured_at=ended + timedelta(seconds=5) if captured else None,
        started_at=opened + timedelta(minutes=1),
        ended_at=ended,
        cost=cost,
        written_off_minor=amount if state is Payment.WRITTEN_OFF else 0,
        receipt_due=captured,
        closed_at=ended + timedelta(seconds=6),
    )
    return Paid(session, entry_sets(session, cost))


def priced(amount: int, currency: str) -> Cost:
    """A bill of one line."""
    line = CostLine(Dimension.ENERGY, Decimal(1), "kWh", Decimal(amount) / 100, VAT, amount)
    return cost_of(currency, [line], [vat_contained(amount, VAT)])


def entry_sets(session: Session, cost: Cost) -> list[tuple[str, EntrySet]]:
    """What `sessions.settling` books of it."""
    currency = session.currency
    sets = [("hold", ledger.hold(session.held_minor, currency))]
    if session.payment is not Payment.CAPTURED:
        sets.append(("release", ledger.release(session.held_minor, currency)))
        if session.payment is Payment.WRITTEN_OFF:
            sets.append(("write_off", ledger.write_off(cost.total_minor, currency)))
        return sets
    sets.append(("capture", ledger.capture(session.held_minor, cost, currency)))
    if session.owed_to_owner:
        sets.append(("owed", ledger.owed(cost)))
    sets.append(("release", ledger.release(session.held_minor - cost.total_minor, currency)))
    return sets
