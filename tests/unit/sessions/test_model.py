"""The promises about money hold, whatever happens in whatever order (issue bar "Model").

Hypothesis makes up a *plan*: a session and what befalls it, at boundary amounts, with answers that are late, repeated,
missing or absurd. After each step, and once everything is in, `tests.unit.sessions.world` checks the promises. The last
tests break a rule of `decide` on purpose and expect that a plan is found which shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from billing import ledger
from billing.payment import PAYMENT_TABLE, Payment, PaymentEvent
from billing.tariff import simple_tariff
from sessions import commands as c
from sessions import decide as decisions
from sessions import facts as f
from sessions.commands import Timer
from sessions.facts import ChargingState, EvseStatus
from sessions.session import Authorisation, Origin, Session
from sessions.tables import CHARGING_TABLE, Charging, ChargingEvent
from sessions.work import Work
from tests.unit.sessions.examples import (
    CARD,
    FREE,
    HOLD,
    card,
    ended,
    metered,
    sample,
    session,
    started,
    updated,
)
from tests.unit.sessions.world import World, broken_at_rest, broken_rules

Step = tuple[Any, ...]

#: Amounts where comparisons turn over.
AMOUNTS = (0, 1, HOLD - 1, HOLD, HOLD + 1, 10 * HOLD, -1)
#: Registers, Wh: 10 Wh cost one minor unit, so the hold is used up at 50 000 (half up: at 50 005 it is passed).
REGISTERS = (0, 4, 5, 10, 49_989, 49_995, 50_000, 50_004, 50_005, 50_010, 120_000, 5_000_000, -3)
WAITS = (0, 1, 59, 125, 900, 1800, 3600, 48 * 3600)
FIXED = simple_tariff("flat", "EUR", hold_minor=HOLD, per_session=Decimal("49.99"), per_kwh=Decimal("0.4"))


@dataclass(frozen=True)
class Plan:
    """A session and its steps, readable in a failure's report."""

    origin: str
    steps: tuple[Step, ...]


SESSIONS: dict[str, Callable[[], Session]] = {
    "card": session,
    "card, start fee": lambda: session(tariff=FIXED),
    "card, choosing": lambda: session(Charging.CHOOSING),
    "card, free": lambda: session(tariff=FREE),
    "operator": lambda: session(origin=Origin.OPERATOR),
    "rfid": lambda: session(Charging.ACCEPTED, origin=Origin.RFID, remote_start_id=None),
    "unauthorised": lambda: session(Charging.ACCEPTED, origin=Origin.UNAUTHORISED, remote_start_id=None),
}

#: An EVSE's status, and what 1.6 says with it of the charge.
EVSE_STATUSES = (
    (EvseStatus.AVAILABLE, None),
    (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
    (EvseStatus.OCCUPIED, ChargingState.CHARGING),
    (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EV),
    (EvseStatus.FAULTED, None),
)

registers = st.sampled_from(REGISTERS)
amounts = st.sampled_from(AMOUNTS)
clocks = st.sampled_from(["right", "right", "right", "1970", "ahead"])
answers = st.tuples(
    st.just("answer"),
    st.integers(0, 5),
    st.sampled_from(["well", "well", "well", "well", "ill", "unknown", "twisted"]),
    amounts,
)
steps = st.one_of(
    answers,
    answers,
    answers,
    st.tuples(st.just("wait"), st.sampled_from(WAITS)),
    st.tuples(st.just("repeat"), st.integers(0, 30)),
    st.tuples(st.just("started"), registers, clocks, st.sampled_from([1, 2])),
    st.tuples(st.just("updated"), registers, clocks, st.sampled_from([None, *ChargingState])),
    st.tuples(st.just("metered"), registers, st.sampled_from([None, "Wh", "kWh"])),
    st.tuples(st.just("ended"), st.one_of(st.none(), registers), clocks, st.sampled_from(["Local", "EmergencyStop"])),
    st.tuples(st.just("held"), amounts, st.sampled_from(["P-1", "P-2", "P-3"])),
    st.tuples(st.just("stop"), st.sampled_from(["card", "operator", "limit"])),
    st.tuples(st.just("card again"), st.integers(2, 4)),
    st.tuples(st.just("chosen"), st.sampled_from(["CS1/1", "CS1/9"])),
    st.tuples(st.just("deadline"), st.sampled_from(list(Timer))),
    st.tuples(
        st.just("payment"),
        st.sampled_from(["declined", "unanswered", "not found", "captured", "capture refused", "released"]),
        amounts,
    ),
    st.tuples(st.just("start"), st.sampled_from(["accepted", "refused", "unanswered"])),
    st.tuples(st.just("line"), st.sampled_from(["connected", "booted", "disconnected"])),
    st.tuples(st.just("status"), st.sampled_from(EVSE_STATUSES)),
    st.tuples(st.just("told"), st.sampled_from([True, False, None]), st.sampled_from([True, False, None])),
    st.tuples(st.just("superseded"), st.one_of(st.none(), registers)),
)
#: A charge whose station comes back and says nothing, or that it is over.
AWAY: tuple[Step, ...] = (
    ("answer", 0, "well", 0),
    ("answer", 0, "well", 0),
    ("started", 0, "right", 1),
    ("wait", 1800),
    ("updated", 10, "right", None),
    ("line", "connected"),
)
#: Most of the time things go as they should, up to where they do not.
OPENINGS: tuple[tuple[Step, ...], ...] = (
    (),
    (("answer", 0, "well", 0),),
    (("answer", 0, "well", 0), ("answer", 0, "well", 0), ("started", 0, "right", 1), ("wait", 1800)),
    (
        ("answer", 0, "well", 0),
        ("answer", 0, "well", 0),
        ("started", 0, "right", 1),
        ("wait", 3600),
        ("ended", 49_995, "right", "Local"),
    ),
    (
        ("answer", 0, "well", 0),
        ("answer", 0, "well", 0),
        ("started", 0, "right", 1),
        ("wait", 3600),
        ("ended", 120_000, "right", "Local"),
    ),
    (("answer", 0, "ill", 0),),
    (("answer", 0, "unknown", 0),),
    (*AWAY, ("status", EVSE_STATUSES[0])),
    (*AWAY, ("told", False, False)),
)
plans = st.builds(
    lambda origin, opening, more: Plan(origin, (*opening, *more)),
    st.sampled_from(["card", "card", "card", *SESSIONS]),
    st.sampled_from(OPENINGS),
    st.lists(steps, max_size=14).map(tuple),
)


def play(plan: Plan) -> tuple[World, list[str]]:
    """Play a plan; return the world at rest and the promises broken on the way or at the end."""
    world = World(SESSIONS[plan.origin]())
    seen: list[f.Fact] = []
    if plan.origin == "operator":
        world.see(f.StopAccepted(key="opened", at=world.now, session_id="S1"))  # only the joint rules act
    elif plan.origin in {"rfid", "unauthorised"}:
        world.see(started(0))  # what opened it
    else:
        world.see(card())
    broken: list[str] = []
    for number, step in enumerate(plan.steps):
        fact = _fact(world, number, step, seen)
        if fact is not None:
            world.see(fact)
            seen.append(fact)
        broken += broken_rules(world)
    world.drain()
    broken += broken_at_rest(world)
    at_rest = world.session, dict(world.asked), dict(world.books)
    for fact in seen:  # a fact twice changes nothing
        world.see(fact)
    if at_rest != (world.session, world.asked, world.books):
        broken.append("a fact that came twice changed something")
    return world, broken


def _fact(world: World, number: int, step: Step, seen: list[f.Fact]) -> f.Fact | None:
    key, at = f"step:{number}", world.now
    seconds = (world.now - card().at).total_seconds()
    made: f.Fact | None = None
    match step:
        case ("answer", which, how, amount):
            # Commands before timers: a timer's turn comes with time, or last.
            waiting = sorted(world.waiting.values(), key=lambda w: (isinstance(w, c.ReachDeadline), w.key))
            due = [w for w in waiting if w.due_at is None or w.due_at <= world.now] or waiting[:1]
            if due:
                world.answer(due[which % len(due)], how, amount)
        case ("wait", wait_s):
            world.now = replace(card(seconds=seconds + wait_s)).at
        case ("repeat", which):
            made = seen[which % len(seen)] if seen else None
        case ("started", register, clock, evse_id):
            made = started(seconds, register=register, evse_id=evse_id, station_time=_clock(at, clock))
        case ("updated", register, clock, state):
            reading = replace(sample(register, seconds), station_time=_clock(at, clock))
            made = updated(seconds, reading, state=state, station_time=_clock(at, clock))
        case ("metered", register, unit):
            made = metered(seconds, sample(register, seconds, unit=unit))
        case ("ended", register, clock, reason):
            made = ended(seconds, register=register, station_time=_clock(at, clock), reason=reason)
        case ("held", amount, ref) if any(isinstance(w, c.AuthoriseHold) for w in world.asked.values()):
            return f.PaymentHeld(key=f"S1:held:{ref}", at=at, session_id="S1", payment_ref=ref, amount_minor=amount)
        case ("stop", by):
            made = f.StopRequested(key=key, at=at, session_id="S1", by=by)
        case ("card again", arm):
            made = card(session_id="other", arm_id=f"A{arm}", who=CARD)
        case ("chosen", choice):
            made = f.EvseChosen(key=key, at=at, serial="P1", session_id="S1", choice=choice)
        case ("deadline", timer):
            made = f.DeadlineReached(key=key, at=at, session_id="S1", timer=timer)
        case ("payment", what, amount):
            made = _payment_fact(key, at, what, amount)
        case ("line", what):
            made = _line_fact(key, at, what)
        case ("status", (status, state)):
            made = f.EvseStatusReported(
                key=key, at=at, station_id="CS1", evse_id=1, connector_id=1, status=status, charging_state=state
            )
        case ("told", ongoing, waits):
            made = f.TransactionStatusTold(
                key=key, at=at, station_id="CS1", transaction_id="TX1", ongoing=ongoing, messages_in_queue=waits
            )
        case ("superseded", register):
            register_wh = None if register is None else Decimal(register)
            made = f.TransactionSuperseded(key=key, at=at, session_id="S1", register_wh=register_wh)
        case ("start", "accepted"):
            made = f.StartAccepted(key=key, at=at, session_id="S1", transaction_id="TX1")
        case ("start", "refused"):
            made = f.StartRefused(key=key, at=at, session_id="S1", reason="Rejected")
        case ("start", "unanswered"):
            made = f.StartUnanswered(key=key, at=at, session_id="S1")
    return made if made is None or step[0] == "repeat" else replace(made, key=key, at=at)


def _line_fact(key: str, at: datetime, what: str) -> f.Fact:
    match what:
        case "connected":
            return f.StationConnected(key=key, at=at, station_id="CS1", version="ocpp2.0.1")
        case "booted":
            return f.StationBooted(key=key, at=at, station_id="CS1", status="Accepted")
        case _:
            return f.StationDisconnected(key=key, at=at, station_id="CS1", epoch=1)


def _payment_fact(key: str, at: datetime, what: str, amount: int) -> f.Fact:
    match what:
        case "declined":
            return f.PaymentDeclined(key=key, at=at, session_id="S1", reason="declined")
        case "unanswered":
            return f.PaymentUnanswered(key=key, at=at, session_id="S1")
        case "not found":
            return f.PaymentNotFound(key=key, at=at, session_id="S1")
        case "captured":
            return f.CaptureConfirmed(key=key, at=at, session_id="S1", amount_minor=amount)
        case "capture refused":
            return f.CaptureRefused(key=key, at=at, session_id="S1", outcome="unanswered")
        case _:
            return f.HoldReleased(key=key, at=at, session_id="S1", payment_ref="P-1")


def _clock(now: datetime, clock: str) -> datetime:
    match clock:
        case "1970":
            return datetime(1970, 1, 1, 0, 3, tzinfo=UTC)
        case "ahead":
            return now.replace(year=now.year + 2)
        case _:
            return now


@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans)
def test_no_plan_breaks_a_promise(plan: Plan) -> None:
    world, broken = play(plan)
    assert not broken, "\n".join([*broken, *map(str, plan.steps), str(world.session)])


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("register", REGISTERS)
def test_boundary_registers_meet_boundary_captures(register: int, amount: int) -> None:
    """The straight way, at every pair of boundaries."""
    way: tuple[Step, ...] = (
        ("answer", 0, "well", 0),
        ("answer", 0, "well", 0),
        ("started", 0, "right", 1),
        ("wait", 3600),
        ("ended", register, "right", "Local"),
        ("answer", 0, "twisted", amount),
    )
    world, broken = play(Plan("card", way))
    assert not broken
    asked = [w.amount_minor for w in world.asked.values() if isinstance(w, c.CaptureHold)]
    proven = register if 0 <= register <= 150_000 else 0
    cents = min((proven + 5) // 10, HOLD)
    assert asked == ([cents] if cents else [])


# --- break a rule on purpose ------------------------------------------------------------------------------------------


def _without(rule: Callable[..., bool]) -> Callable[[pytest.MonkeyPatch], None]:
    kept = tuple(r for r in decisions.JOINT_RULES if r is not rule)
    return lambda patch: patch.setattr(decisions, "JOINT_RULES", kept)


def _handler(kind: type[f.Fact], change: Callable[[Any, Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Before the handler of ``kind``, let ``change`` spoil the session (returned) or the fact."""
    right = decisions._HANDLERS[kind]

    def wrong(work: Any, fact: Any) -> None:
        right(work, change(work, fact))

    return lambda patch: patch.setitem(decisions._HANDLERS, kind, wrong)


def _forget_ref(work: Any, fact: Any) -> Any:
    work.set(authorisation=Authorisation(), payment=Payment.AUTHORISING)
    return fact


def _payment_row(state: Payment, event: PaymentEvent, to: Payment | None) -> Callable[[pytest.MonkeyPatch], None]:
    rows = {**PAYMENT_TABLE[state]}
    if to is None:
        del rows[event]
    else:
        rows[event] = to
    return lambda patch: patch.setitem(PAYMENT_TABLE, state, rows)


def _charging_row(state: Charging, event: ChargingEvent) -> Callable[[pytest.MonkeyPatch], None]:
    rows = {e: to for e, to in CHARGING_TABLE[state].items() if e is not event}
    return lambda patch: patch.setitem(CHARGING_TABLE, state, rows)


HELD, ENDED, OVERSHOT = OPENINGS[1], OPENINGS[3], OPENINGS[4]
REFUSED: tuple[Step, ...] = (*HELD, ("start", "refused"))
NEVER_FOUND: tuple[Step, ...] = (
    ("answer", 0, "unknown", 0),
    ("deadline", Timer.PAYMENT),
    ("wait", 900),
    ("payment", "not found", 0),
)

#: What is broken → how, and the steps after which the search begins.
BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[Step, ...]]] = {
    "capture the cost, whatever is held": (
        lambda p: p.setattr(decisions, "min", lambda *given: given[0], raising=False),
        OVERSHOT,
    ),
    "a second hold takes the place of the first": (
        _handler(f.PaymentHeld, _forget_ref),
        HELD,
    ),
    "any release is the release of our hold": (
        _handler(f.HoldReleased, lambda work, fact: replace(fact, payment_ref=work.s.authorisation.payment_ref)),
        (*HELD, ("held", HOLD, "P-2"), ("start", "refused")),
    ),
    "a release while a capture is under way": (
        _payment_row(Payment.CAPTURING, PaymentEvent.RELEASE_CONFIRMED, Payment.RELEASED),
        ENDED,
    ),
    "a failed capture is tried again": (
        _payment_row(Payment.CAPTURING, PaymentEvent.CAPTURE_FAILED, Payment.HELD),
        ENDED,
    ),
    "a confirmed capture can fail": (
        _payment_row(Payment.CAPTURED, PaymentEvent.CAPTURE_FAILED, Payment.WRITTEN_OFF),
        (*ENDED, ("answer", 0, "well", 0)),
    ),
    "a hold after a decline is overlooked": (
        _payment_row(Payment.DECLINED, PaymentEvent.HOLD_CONFIRMED, None),
        (("answer", 0, "ill", 0),),
    ),
    "a hold after the last look-up is overlooked": (
        _payment_row(Payment.NOT_HELD, PaymentEvent.HOLD_CONFIRMED, None),
        NEVER_FOUND,
    ),
    "nobody stops looking for a hold": (
        _payment_row(Payment.UNKNOWN, PaymentEvent.LOOK_UP_EXHAUSTED, None),
        (("answer", 0, "unknown", 0), ("wait", 900)),
    ),
    "a released hold that was captured is overlooked": (
        _payment_row(Payment.RELEASING, PaymentEvent.CAPTURE_CONFIRMED, None),
        REFUSED,
    ),
    "holds are not released": (
        _without(decisions._rule_release),
        REFUSED,
    ),
    "nothing is settled": (
        _without(decisions._rule_settle),
        ENDED,
    ),
    "no receipt is owed": (
        _without(decisions._rule_receipt),
        ENDED,
    ),
    "sessions never close": (
        _without(decisions._rule_close),
        ENDED,
    ),
    "no hold, and still waiting": (
        _without(decisions._rule_give_up),
        (("answer", 0, "ill", 0),),
    ),
    "nothing is priced": (
        _without(decisions._rule_price),
        ENDED,
    ),
    "nobody plugs in, and nobody gives up": (
        _charging_row(Charging.ACCEPTED, ChargingEvent.START_TIMED_OUT),
        HELD,
    ),
    "an unanswered start waits for ever": (
        _charging_row(Charging.START_UNKNOWN, ChargingEvent.START_TIMED_OUT),
        HELD,
    ),
    "timers are forgotten": (
        lambda p: p.setattr(Work, "timer", lambda *_args, **_more: None),
        HELD,
    ),
    "nobody is told": (
        lambda p: p.setattr(Work, "flag", lambda *_: None),
        OVERSHOT,
    ),
    "the rest of a hold stays in the books": (
        lambda p: p.setattr(ledger, "release", lambda _amount, currency: ledger.write_off(0, currency)),
        ENDED,
    ),
    "a late end takes more than was asked for": (
        lambda p: p.setattr("sessions.charging.end_still_counts", lambda _w: True),
        (*AWAY, ("told", False, False), ("answer", 0, "well", 0)),
    ),
    "a charge that is found running is paid for after the release": (
        lambda p: p.setattr("sessions.dangling.ask_to_stop", lambda w: w.set(unpaid=False)),
        (*AWAY[:3], ("line", "connected"), ("told", False, False), ("wait", 59), ("updated", 0, "right", None)),
    ),
    "the hold is not booked": (
        lambda p: p.setattr(ledger, "hold", lambda _amount, currency: ledger.write_off(0, currency)),
        (),
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_rule_is_noticed(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks, opening = BROKEN[broken]
    breaks(monkeypatch)
    near = st.lists(steps, max_size=8).map(lambda more: Plan("card", (*opening, *more)))

    def shows_it(plan: Plan) -> bool:
        try:
            return bool(play(plan)[1])
        except ValueError:  # the ledger's own guard caught it first
            return True

    searching = settings(max_examples=2000, phases=[Phase.generate], derandomize=True, database=None, deadline=None)
    assert find(near, shows_it, settings=searching).steps is not None
