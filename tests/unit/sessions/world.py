"""A world to drive `decide` in: facts come in any order, commands are answered in any way, the rules are checked.

`World` does what the store does around `decide`: it deduplicates facts by key and commands by key. `broken_rules` says
which of the house's promises about money do not hold; the model test expects none, and tests itself by breaking rules
of `decide` on purpose and expecting some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing.ledger import Account, EntrySet, open_hold
from billing.payment import RESOLVED, Payment
from sessions import commands as c
from sessions import decide as decisions
from sessions import facts as f
from sessions.session import Origin, Policy, Session
from sessions.tables import OVER, RUNNING, Charging
from tests.unit.sessions.examples import T0, ended

ONE_MINOR_WH = 13  # from here on every tariff of the model costs something
ENOUGH = 100  # answers, until everything must have come to rest


@dataclass
class World:
    """One session, its journal, its outbox and its books."""

    session: Session
    policy: Policy = field(default_factory=Policy)
    now: datetime = T0
    journal: set[str] = field(default_factory=set)
    asked: dict[str, c.Command] = field(default_factory=dict)  # every command, by key
    waiting: dict[str, c.Command] = field(default_factory=dict)  # not answered yet
    books: dict[str, EntrySet] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)  # references the provider told of
    captured_claims: list[int] = field(default_factory=list)  # amounts the provider said it captured
    complaints: list[str] = field(default_factory=list)  # rules broken on the way

    def see(self, fact: f.Fact) -> None:
        """Decide on a fact, as the store does: once per key."""
        if fact.key in self.journal:
            return
        self.journal.add(fact.key)
        decision = decisions.decide(self.session, fact, self.now, self.policy)
        resolved = decision.session.payment is not self.session.payment
        ours = self.session.authorisation.payment_ref
        if resolved and isinstance(fact, f.HoldReleased) and fact.payment_ref != ours:
            self.complaints.append("another hold's release resolved ours")
        self.session = decision.session
        starting = self.session.charging in {Charging.STARTING, Charging.START_UNKNOWN, Charging.ACCEPTED}
        if isinstance(fact, f.DeadlineReached) and fact.timer == c.Timer.START and starting:
            self.complaints.append("the time to plug in is up, and the EVSE is still claimed")
        for command in decision.commands:
            if command.key not in self.asked:
                self.asked[command.key] = self.waiting[command.key] = command
        for key, entries in decision.entry_sets:
            if key in self.books:
                self.complaints.append(f"the books have {key} twice")
            self.books[key] = entries
        if isinstance(fact, f.PaymentHeld):
            self.holds.add(fact.payment_ref)
        if isinstance(fact, f.CaptureConfirmed) or (isinstance(fact, f.ReleaseRefused) and fact.outcome == "captured"):
            self.captured_claims.append(fact.amount_minor)
        if self.session.closed_at is not None:
            for key in [k for k, w in self.waiting.items() if isinstance(w, c.ReachDeadline)]:
                del self.waiting[key]

    def pass_time(self, seconds: float) -> None:
        """Later."""
        self.now += timedelta(seconds=seconds)

    def drain(self) -> None:
        """Let everything come in: each command is answered, each timer falls due, a running transaction ends."""
        for _ in range(ENOUGH):
            due = sorted(self.waiting.values(), key=lambda waits: (waits.due_at or T0, waits.key))
            if due:
                self.now = max(self.now, due[0].due_at or self.now)
                # A station that always says that the charge goes on would never let it come to rest.
                self.answer(due[0], "ill" if isinstance(due[0], c.AskTransactionStatus) else "well")
            elif self.session.charging in RUNNING:
                self.see(replace(ended(register=None, station_time=self.now), key="drained", at=self.now))
            else:
                return
        self.complaints.append("it never comes to rest")

    def answer(self, command: c.Command, how: str, amount: int = 0) -> None:
        """A doer's report on ``command``; ``how``: well | ill | unknown | twisted (what a provider should not say)."""
        del self.waiting[command.key]
        fact = self._report(command, how, amount)
        if fact is not None:
            self.see(fact)
        repeated = isinstance(command, c.CaptureHold | c.ReleaseHold) and how == "unknown"
        if repeated and command.key not in self.waiting:
            self.waiting[command.key] = command  # the provider's schedule: tried again until it is answered

    def _report(self, command: c.Command, how: str, amount: int) -> f.Fact | None:
        key, at, own = f"{command.key}:{how}:{amount}", self.now, self.session.session_id
        match command, how:
            case c.AuthoriseHold() | c.LookUpHold(), "well" | "twisted":
                held = amount if how == "twisted" else self.session.hold_minor
                return f.PaymentHeld(key=f"{own}:held:P-1", at=at, session_id=own, payment_ref="P-1", amount_minor=held)
            case c.AuthoriseHold(), "ill":
                return f.PaymentDeclined(key=key, at=at, session_id=own, reason="declined")
            case c.LookUpHold(), "ill":
                return f.PaymentNotFound(key=key, at=at, session_id=own)
            case c.AuthoriseHold() | c.LookUpHold(), _:
                return f.PaymentUnanswered(key=key, at=at, session_id=own)
            case c.CaptureHold(amount_minor=asked), "well" | "twisted":
                taken = amount if how == "twisted" else asked
                return f.CaptureConfirmed(key=f"{command.key}:confirmed", at=at, session_id=own, amount_minor=taken)
            case c.CaptureHold(), "ill":
                return f.CaptureRefused(key=f"{command.key}:refused", at=at, session_id=own, outcome="failed")
            case c.CaptureHold(), _:
                return f.CaptureUnanswered(key=key, at=at, session_id=own)
            case c.ReleaseHold(payment_ref=ref), "well":
                return f.HoldReleased(key=f"{command.key}:released", at=at, session_id=own, payment_ref=ref)
            case c.ReleaseHold(payment_ref=ref), "ill" | "twisted":
                outcome = "failed" if how == "ill" else "captured"
                return f.ReleaseRefused(
                    key=f"{command.key}:refused", at=at, session_id=own, payment_ref=ref, outcome=outcome,
                    amount_minor=amount,
                )  # fmt: skip
            case c.ReleaseHold(), _:
                return f.ReleaseUnanswered(key=key, at=at, session_id=own)
            case c.StartCharging(), "well":
                return f.StartAccepted(key=key, at=at, session_id=own)
            case c.StartCharging(), "ill":
                return f.StartRefused(key=key, at=at, session_id=own, reason="Rejected")
            case c.StartCharging(), _:
                return f.StartUnanswered(key=key, at=at, session_id=own)
            case c.AskTransactionStatus(transaction_id=transaction_id), "well" | "ill" | "twisted":
                return f.TransactionStatusTold(
                    key=key, at=at, station_id="CS1", transaction_id=transaction_id, ongoing=how == "well",
                    messages_in_queue=how == "twisted",
                )  # fmt: skip
            case c.StopCharging(), _:
                return f.StopAccepted(key=key, at=at, session_id=own)
            case c.ReachDeadline(timer=timer), _:
                return f.DeadlineReached(key=command.key, at=at, session_id=own, timer=timer)
            case _:
                return None


def _captures(world: World) -> list[c.CaptureHold]:
    return [x for x in world.asked.values() if isinstance(x, c.CaptureHold)]


def _releases(world: World) -> list[c.ReleaseHold]:
    return [x for x in world.asked.values() if isinstance(x, c.ReleaseHold)]


def broken_rules(world: World) -> Iterator[str]:
    """What must hold after every fact."""
    s = world.session
    yield from world.complaints
    captures, releases = _captures(world), _releases(world)
    if len(captures) > 1:
        yield "more than one capture"
    for both in {x.payment_ref for x in captures} & {x.payment_ref for x in releases}:
        yield f"{both} is both captured and released"
    if [ref for ref, n in Counter(x.payment_ref for x in releases).items() if n > 1]:
        yield "released twice"
    for capture in captures:
        if not 0 < capture.amount_minor <= capture.held_minor or capture.held_minor != s.held_minor:
            yield f"asked to capture {capture.amount_minor} of {s.held_minor}"
        if capture.payment_ref != s.authorisation.payment_ref:
            yield "captures another hold"
    if len([x for x in world.asked.values() if isinstance(x, c.AuthoriseHold)]) > 1:
        yield "asked for two holds"
    if len([x for x in world.asked.values() if isinstance(x, c.StartCharging)]) > 1:
        yield "started twice"
    if s.captured_minor > s.held_minor and "capture-amount-differs" not in s.flags:
        yield "captured above the hold, and nobody is told"
    if s.captured_minor and s.captured_minor not in world.captured_claims:
        yield "captured what nobody claimed"
    if s.cost and s.receipt_due and not s.captured_minor == s.cost.total_minor <= s.held_minor:
        yield "a receipt over another amount than was captured"
    yield from _broken_books(world)


def _broken_books(world: World) -> Iterator[str]:
    s = world.session
    entries = [entry for entries in world.books.values() for entry in entries.entries]
    for key, entry_set in world.books.items():
        if sum(entry.amount_minor for entry in entry_set.entries):
            yield f"{key} does not sum to zero"
    still_open = open_hold(entries)
    resolved = s.payment in RESOLVED
    if still_open != (0 if resolved or not s.authorisation.payment_ref else s.held_minor):
        yield f"the books hold {still_open} while the payment is {s.payment}"
    sums = Counter[Account]()
    for entry in entries:
        sums[entry.account] += entry.amount_minor
    booked = sums[Account.ACQUIRER]
    second = sum(
        entry.amount_minor
        for key, entry_set in world.books.items()
        if ":unexplained:" in key
        for entry in entry_set.entries
        if entry.account is Account.ACQUIRER
    )
    if booked - second != s.captured_minor:
        yield f"the books say {booked} came, the session {s.captured_minor}"
    revenue = -(sums[Account.REVENUE] + sums[Account.VAT_PAYABLE])
    owed = sums[Account.CONTRACTS]
    if owed != (s.contract.total_minor if s.contract else 0) or (owed and s.card is not None):
        yield f"a contract owes {owed} for what no contract pays"
    if revenue - owed > s.held_minor:
        yield f"sold {revenue} on a hold of {s.held_minor}"
    if revenue != booked + owed + sums[Account.SUSPENSE]:
        yield "money is neither sold nor in suspense"
    if -sums[Account.OWNER_PAYABLE] != (revenue if s.owed_to_owner else 0):
        yield f"sold {revenue}, owed to the owner {-sums[Account.OWNER_PAYABLE]}"
    if sums[Account.SUSPENSE] and not s.flags:
        yield "money in suspense that nobody is told of"


def broken_at_rest(world: World) -> Iterator[str]:
    """What must hold once all facts are in."""
    s = world.session
    yield from broken_rules(world)
    if s.charging not in OVER:
        yield f"the charge is still {s.charging}"
    if s.payment not in RESOLVED:
        yield f"the payment is still {s.payment}"
    if s.open or s.closed_at is None:
        yield "the session never closed"
    if world.waiting:
        yield f"still waiting: {sorted(world.waiting)}"
    resolved = {x.payment_ref for x in _captures(world)} | {x.payment_ref for x in _releases(world)}
    if world.holds - resolved:
        yield f"nobody resolved {sorted(world.holds - resolved)}"
    if _captures(world) and s.payment is Payment.RELEASED:
        yield "asked to capture, and believed released"
    if s.claim is not None:
        yield "the EVSE is still claimed"
    if s.contract != (s.cost if s.origin in {Origin.RFID, Origin.OPERATOR} and not s.unpaid else None):
        yield "a contract owes something else than the cost"
    if s.charging is Charging.NOT_STARTED and s.captured_minor and not s.flags:
        yield "a charge that never began was paid for"
    delivered = s.charging in {Charging.ENDED, Charging.LOST} and not s.unpaid and s.meter.energy_wh >= ONE_MINOR_WH
    if delivered and s.held_minor and not (s.tariff is None or s.tariff.is_free) and not _captures(world):
        yield "delivered, and nothing was charged"
    if s.unpaid and s.payment is Payment.CAPTURED and not s.flags:
        yield "a free charge was paid for"
    if s.payment is Payment.CAPTURED and not s.receipt_due and not s.flags:
        yield "captured without a receipt, and nobody is told"
