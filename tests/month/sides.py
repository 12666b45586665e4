"""What provider and acquirers tell of the month: two in a hundred of their records are wrong, and it is known which."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from billing.money import to_major
from billing.reconciliation import Kind, ProviderTransaction, Side
from csms.payouts.discrepancies import provider_subject, session_subject
from sessions.provider_records import Page
from sessions.session import Session
from tests.month.payments import BEGIN, END, MonthOwner, Paid

FAULTY = 0.02
PAGE_ROWS = 500
#: A fault as it must be found: side, kind, whose, and its subject ("" where a row gets its name when it is read).
Seeded = tuple[Side, Kind, str, str]


@dataclass(slots=True)
class Told:
    """The other sides, by account; and what is wrong with them."""

    transactions: dict[str, list[ProviderTransaction]] = field(default_factory=lambda: defaultdict(list))
    settlements: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # CSV rows
    seeded: list[Seeded] = field(default_factory=list)
    records: int = 0

    def csv(self, account_id: str) -> bytes:
        """The account's settlement of the month."""
        head = "Reference;Amount;Fee;Currency;Date;Kind;Merchant ID\r\n"
        return ("\ufeff" + head + "\r\n".join(self.settlements[account_id])).encode()


def tell(owners: Sequence[MonthOwner], paid: Sequence[Paid], chance: random.Random) -> Told:
    """Both sides of every payment, faults included; a payment has a fault on one side at most."""
    by_id = {owner.owner_id: owner for owner in owners}
    told = Told()
    for each in paid:
        owner = by_id[each.session.owner_id]
        wrong_at_provider = chance.random() < FAULTY
        _tell_provider(told, each, chance, wrong_at_provider)
        if each.captured:
            _tell_acquirer(told, each, owner, chance, not wrong_at_provider and chance.random() < FAULTY)
    for rows in told.transactions.values():
        rows.sort(key=lambda row: (row.ingested_at, row.transaction_id))
    for lines in told.settlements.values():
        chance.shuffle(lines)
    return told


# --- the provider -----------------------------------------------------------------------------------------------------


def _tell_provider(told: Told, each: Paid, chance: random.Random, wrong: bool) -> None:
    s = each.session
    ended = s.captured_at or s.closed_at or s.opened_at
    row = ProviderTransaction(
        transaction_id=s.authorisation.payment_ref,
        state="COMMITTED" if each.captured else "CANCELLED",
        currency=s.currency,
        terminal_serial=s.terminal_serial or "",
        authorised_minor=s.held_minor,
        committed_minor=s.captured_minor if each.captured else None,
        at=s.held_at,
        committed_at=ended if each.captured else None,
        ingested_at=_ingested(ended),
    )
    told.records += 1
    rows = told.transactions[s.account_id]
    if not wrong:
        rows.append(row)
        return

    def seed(kind: Kind, subject: str = "") -> None:
        told.seeded.append((Side.PROVIDER, kind, s.owner_id, subject or session_subject(s.session_id)))

    if not each.captured:
        rows.append(replace(row, state="COMMITTED", committed_minor=chance.randrange(500, 40_000), committed_at=ended))
        seed(Kind.MISSING_CAPTURE)
        return
    fault = chance.choice(("dropped", "foreign", "amount", "cancelled", "doubled", "late", "currency"))
    if fault == "foreign":
        stranger = f"{chance.getrandbits(128):032x}"
        away = timedelta(hours=2)  # at a time at which this terminal took nothing
        rows += [row, replace(row, transaction_id=stranger, at=(s.held_at or ended) - away, committed_minor=777)]
        seed(Kind.MISSING_CAPTURE, provider_subject(s.account_id, stranger))
    elif fault == "amount":
        rows.append(replace(row, committed_minor=s.captured_minor + chance.choice((-1, 1, 100, 5000))))
        seed(Kind.OTHER_AMOUNT)
    elif fault == "cancelled":
        rows.append(replace(row, state="CANCELLED", committed_minor=None, committed_at=None))
        seed(Kind.OTHER_AMOUNT)
    elif fault == "doubled":
        twin = replace(
            row, transaction_id=f"{chance.getrandbits(128):032x}", at=(s.held_at or ended) + timedelta(minutes=1)
        )
        rows += [row, twin]
        seed(Kind.DOUBLED)
    elif fault == "late":
        late = ended + timedelta(hours=30)
        rows.append(replace(row, committed_at=late, ingested_at=_ingested(late)))
        seed(Kind.LATE)
    elif fault == "currency":
        rows.append(replace(row, currency="DKK"))
        seed(Kind.OTHER_CURRENCY)
    else:
        seed(Kind.UNKNOWN_AT_PROVIDER)


def _ingested(at: datetime) -> datetime:
    """Rows are ingested together, so that they share boundaries."""
    return (at + timedelta(minutes=3)).replace(second=0, microsecond=0)


class TwinReading:
    """The account's records as the Data API gives them: from a time on, in pages, the boundary again and again."""

    def __init__(self, rows: Sequence[ProviderTransaction]) -> None:
        self._rows = rows
        self._times = [row.ingested_at for row in rows]
        self.pages = 0

    async def page(self, since: datetime, offset: int) -> Page:
        from bisect import bisect_left

        self.pages += 1
        first = bisect_left(self._times, since) + offset
        rows = tuple(self._rows[first : first + PAGE_ROWS])
        return Page(rows, len(rows), rows[-1].ingested_at if rows else None)

    async def close(self) -> None:
        pass


class Twin:
    """`sessions.provider_records.ProviderRecords` over a told month."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def open(self, account_id: str) -> TwinReading | None:
        rows = self._told.transactions.get(account_id)
        return TwinReading(rows) if rows is not None else None


# --- the acquirer -----------------------------------------------------------------------------------------------------


def _tell_acquirer(told: Told, each: Paid, owner: MonthOwner, chance: random.Random, wrong: bool) -> None:
    s = each.session
    assert s.captured_at is not None
    settled_on = (s.captured_at + timedelta(days=chance.choice((1, 1, 2)))).date()
    rows = told.settlements[s.account_id]
    write = _writer(rows, owner, chance)
    told.records += 1
    if not wrong:
        write(_reference(s, chance), s.captured_minor, s.currency, settled_on)
        return
    host = s.authorisation.host_reference

    def seed(kind: Kind, subject: str = "") -> None:
        told.seeded.append((Side.ACQUIRER, kind, s.owner_id, subject or session_subject(s.session_id)))

    fault = chance.choice(("dropped", "foreign", "amount", "doubled", "late", "currency"))
    if fault == "dropped" and not BEGIN + timedelta(days=3) < s.captured_at < END - timedelta(days=5):
        fault = "late"  # the file begins too late, or ends too early, for anybody to say that it is missing
    if fault == "foreign":
        write(host, s.captured_minor, s.currency, settled_on)
        write(f"X{chance.getrandbits(64):016X}", chance.randrange(500, 40_000), s.currency, settled_on)
        whose = owner.owner_id if owner.account_id else "platform"
        told.seeded.append((Side.ACQUIRER, Kind.SETTLED_UNKNOWN, whose, ""))
    elif fault == "amount":
        change = chance.choice((s.captured_minor // 20 + 100, 2500, -(s.captured_minor // 5)))  # no fee explains it
        write(host, s.captured_minor + change, s.currency, settled_on)
        seed(Kind.OTHER_AMOUNT)
    elif fault == "doubled":
        write(host, s.captured_minor, s.currency, settled_on)
        write(host, s.captured_minor, s.currency, settled_on + timedelta(days=chance.choice((0, 1))))
        seed(Kind.DOUBLED)
    elif fault == "late":
        write(host, s.captured_minor, s.currency, settled_on + timedelta(days=6))
        seed(Kind.LATE)
    elif fault == "currency":
        write(host, s.captured_minor, "DKK", settled_on)
        seed(Kind.OTHER_CURRENCY)
    else:
        seed(Kind.UNSETTLED)


def _writer(rows: list[str], owner: MonthOwner, chance: random.Random) -> Callable[[str, int, str, date], None]:
    """Some owners' acquirers settle net of their fee and do not say what it was."""
    net = owner.number % 10 == 5

    def write(reference: str, amount: int, currency: str, day: date) -> None:
        fee = round(amount * 0.015)
        paid = f"{to_major(amount - fee if net else amount, currency)}".replace(".", ",")
        told = "" if net else f"{to_major(fee, currency)}".replace(".", ",")
        merchant = owner.merchant_id if owner.account_id else ""
        rows.append(f"{reference};{paid};{told};{currency};{day.isoformat()};Sale;{merchant}")

    return write


def _reference(s: Session, chance: random.Random) -> str:
    """How acquirers write a reference: nearly always as it is, now and then not quite."""
    host, merchant = s.authorisation.host_reference, s.authorisation.merchant_reference
    way = chance.random()
    if way < 0.90:
        return host
    if way < 0.95:
        return merchant
    if way < 0.97:
        return f" 00{host.lower()} "
    if way < 0.99:
        return f"{host[:6]}-{host[6:12]} {host[12:]}"
    return merchant[:20]  # cut
