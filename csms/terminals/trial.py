"""A trial, the test transaction of a case: a small amount is held on a card at the terminal, and released again.

Its commands stand in the outbox and each reports in the commit that completes it, so that a crash between any two lines
costs neither a second hold nor a release: whoever goes on looks first. A trial is no session and stands in no ledger;
it has passed only once the release is confirmed, and one that cannot be confirmed raises an alarm.

| state | what is known | what is done |
|---|---|---|
| asked | nothing | arm the reader |
| waiting | the reader is armed | wait for a card, until `present_by` |
| authorising | a card was read; perhaps a hold stands | authorise; after a silence look it up |
| held | the hold stands | release it; after a silence again, on the provider's schedule |
| passed, failed | no hold stands | – |
| unreleased | nobody could confirm that the hold is gone | a person has to ask the acquirer |
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.ledger import PLATFORM
from billing.money import format_money, to_minor
from csms.terminals import onboarding
from csms.terminals.checklist import MACHINE, TEST, StepState, unmet
from csms.terminals.inventory import State
from csms.terminals.onboarding import CaseRefusedError, EventKind, OnboardingOptions
from csms.terminals.onboarding_checks import CheckCase
from csms.terminals.reminder_words import Phrase, say
from csms.terminals.reminders import remind
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import Fact
from sessions.rows import enqueue
from sessions.verification import TrialAt
from storage import onboarding_schema as t
from storage import schema as s
from storage.engine import reading

LOOK_UP_AFTER = timedelta(seconds=5)
#: So many unanswered tries, a minute apart, and somebody is told that a hold may stand.
ALARM_AFTER = 5


class TrialState(StrEnum):
    """See the module."""

    ASKED = "asked"
    WAITING = "waiting"
    AUTHORISING = "authorising"
    HELD = "held"
    PASSED = "passed"
    FAILED = "failed"
    UNRELEASED = "unreleased"


class Unconfirmed(StrEnum):
    """Why nobody can confirm that no hold stands."""

    HOLD_UNKNOWN = "hold unknown"  # nor whether there was one
    UNANSWERED = "unanswered"
    CAPTURED = "captured"
    FAILED = "failed"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrialCommand(Command):
    test_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTrial(_TrialCommand):
    """Arm the reader with the trial's amount."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitTrialCard(_TrialCommand):
    """Wait for a card."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTrial(_TrialCommand):
    """Hold the amount on the card that was read."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpTrial(_TrialCommand):
    """Find out whether the hold stands."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTrial(_TrialCommand):
    """Release the hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrialFact(Fact):
    test_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialArmed(_TrialFact):
    """The reader waits for a card."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCalledBack(_TrialFact):
    """The terminals' cloud called the trial's callback address."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCardRead(_TrialFact):
    """A card was presented."""

    card_ref: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialHeld(_TrialFact):
    """A hold stands. ``amount_minor``: the provider's figure."""

    payment_ref: str
    amount_minor: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialUnanswered(_TrialFact):
    """Nobody could say whether a hold stands."""

    reason: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFailed(_TrialFact):
    """No hold stands, for certain. ``problem``: why, and what to do."""

    problem: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReleased(_TrialFact):
    """The provider confirms that the hold is gone."""


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSilent(_TrialFact):
    """A hold, or its release, went unanswered once more; ``tries`` so far."""

    tries: int
    reason: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialUnreleased(_TrialFact):
    """The release cannot be confirmed, for good."""

    cause: Unconfirmed


async def begin(
    connection: AsyncConnection, case_id: int, options: OnboardingOptions, *, by: str, now: datetime
) -> tuple[str, str]:
    """Begin a trial in the caller's transaction; return (its id, the terminal's serial). Raises `CaseRefusedError`.

    Call the service's ``wake`` and the terminal's keeper after the commit.
    """
    case = await onboarding.locked(connection, case_id)
    step, known = await onboarding.find_step(connection, case, TEST)
    waits = unmet(step, known)
    if waits:
        raise CaseRefusedError(f"Before the test transaction {', '.join(waits)} must have passed: run the checks.")
    x = t.test_transactions.c
    query = select(s.terminals).where(s.terminals.c.serial == case.serial).with_for_update()
    terminal = (await connection.execute(query)).one()
    if terminal.inventory_state != State.ONBOARDING.value:
        raise CaseRefusedError(
            f"Terminal {case.serial} is {terminal.inventory_state}; a test transaction is made while it is onboarding."
        )
    running = select(x.state).where(x.serial == case.serial, x.ended_at.is_(None))
    found = (await connection.execute(running)).scalar()
    if found is not None:
        what = "its hold is being released" if found == TrialState.HELD.value else "present a card at the terminal"
        raise CaseRefusedError(f"A test transaction runs at this terminal already ({what}): wait until it has ended.")
    try:
        amount_minor = max(1, to_minor(options.test_amount, terminal.currency))
    except ValueError as error:
        raise CaseRefusedError(f"Terminal {case.serial}: {error}") from None
    test_id = f"tst_{secrets.token_hex(12)}"
    await connection.execute(
        t.test_transactions.insert().values(
            test_id=test_id,
            case_id=case_id,
            serial=case.serial,
            account_id=case.account_id,
            amount_minor=amount_minor,
            currency=terminal.currency,
            language=terminal.language,
            arm_id=f"trial-{secrets.token_urlsafe(16)}",
            state=TrialState.ASKED.value,
            problem="",
            started_by=by[:80],
            started_at=now,
            present_by=now + options.card_wait,
        )
    )
    amount = format_money(amount_minor, terminal.currency, "en")
    said = (
        f"{amount} is to be held and released: present a card at the terminal by {now + options.card_wait:%H:%M} UTC."
    )
    await onboarding.note(connection, case_id, EventKind.TEST, said, by=by, now=now)
    await onboarding.set_step(connection, case_id, TEST, StepState.OPEN, said, by=MACHINE, now=now)
    await onboarding.refresh(connection, case, now)
    await enqueue(connection, [ArmTrial(key=f"{test_id}:arm", test_id=test_id)], now)
    return test_id, str(case.serial)


async def _trial(connection: AsyncConnection, fact: _TrialFact) -> Any:
    query = select(t.test_transactions).where(t.test_transactions.c.test_id == fact.test_id).with_for_update()
    return (await connection.execute(query)).one()


async def _write(connection: AsyncConnection, fact: _TrialFact, **values: Any) -> None:
    mine = t.test_transactions.c.test_id == fact.test_id
    await connection.execute(update(t.test_transactions).where(mine).values(values))


async def keep_armed(connection: AsyncConnection, found: Sequence[TrialArmed], now: datetime) -> list[Command]:
    """The reader is armed: wait for a card."""
    for fact in found:
        await _write(connection, fact, state=TrialState.WAITING.value, armed_at=fact.at)
    return [AwaitTrialCard(key=f"{fact.test_id}:card", test_id=fact.test_id) for fact in found]


async def keep_called_back(
    connection: AsyncConnection, found: Sequence[TrialCalledBack], now: datetime
) -> list[Command]:
    """The callback URL works. One that comes after the trial is over has the case's checks made again."""
    late: list[Command] = []
    for fact in found:
        await _write(connection, fact, called_back_at=now)
        trial = await _trial(connection, fact)
        if trial.ended_at is not None:
            late.append(CheckCase(key=f"check:{trial.test_id}:called-back", case_id=trial.case_id))
    return late


async def keep_card(connection: AsyncConnection, found: Sequence[TrialCardRead], now: datetime) -> list[Command]:
    """A card was read: hold the amount on it."""
    for fact in found:
        await _write(connection, fact, state=TrialState.AUTHORISING.value, card_ref=fact.card_ref)
    return [HoldTrial(key=f"{fact.test_id}:hold", test_id=fact.test_id) for fact in found]


async def keep_unanswered(
    connection: AsyncConnection, found: Sequence[TrialUnanswered], now: datetime
) -> list[Command]:
    """Look the hold up."""
    commands: list[Command] = []
    for fact in found:
        trial = await _trial(connection, fact)
        said = f"Nobody could say whether the amount is held ({fact.reason}); it is looked up."
        await onboarding.note(connection, trial.case_id, EventKind.TEST, said, by=MACHINE, now=now)
        commands.append(LookUpTrial(key=f"{fact.test_id}:look-up", due_at=now + LOOK_UP_AFTER, test_id=fact.test_id))
    return commands


async def keep_held(connection: AsyncConnection, found: Sequence[TrialHeld], now: datetime) -> list[Command]:
    """A hold stands: release it."""
    for fact in found:
        trial = await _trial(connection, fact)
        other = fact.amount_minor != trial.amount_minor
        held = format_money(fact.amount_minor, trial.currency, "en")
        problem = (
            f"The provider held {held}, not {format_money(trial.amount_minor, trial.currency, 'en')}. Have it check "
            "the currency and the amounts it has configured for the terminal, then make the test transaction again."
        )
        await _write(
            connection,
            fact,
            state=TrialState.HELD.value,
            payment_ref=fact.payment_ref,
            held_at=now,
            problem=problem if other else "",
        )
        said = f"{held} is held; it is being released."
        await onboarding.note(connection, trial.case_id, EventKind.TEST, said, by=MACHINE, now=now)
    return [ReleaseTrial(key=f"{fact.test_id}:release", test_id=fact.test_id) for fact in found]


async def keep_silent(connection: AsyncConnection, found: Sequence[TrialSilent], now: datetime) -> list[Command]:
    """No answer yet; after some tries somebody is told."""
    for fact in found:
        await _write(connection, fact, release_tries=fact.tries)
        trial = await _trial(connection, fact)
        silence = say("test_silence", reason=fact.reason, tries=fact.tries)
        said = silence.written("en")
        await onboarding.note(connection, trial.case_id, EventKind.TEST, said, by=MACHINE, now=now)
        if fact.tries >= ALARM_AFTER:
            await _alarm(connection, trial, "late", say("test_late", silence=silence), now)
    return []


async def keep_released(connection: AsyncConnection, found: Sequence[TrialReleased], now: datetime) -> list[Command]:
    """The hold is gone, and the trial has passed, unless something else was wrong with it."""
    commands: list[Command] = []
    for fact in found:
        trial = await _trial(connection, fact)
        amount = format_money(trial.amount_minor, trial.currency, "en")
        state = TrialState.FAILED if trial.problem else TrialState.PASSED
        await _write(connection, fact, state=state.value, released_at=now, ended_at=now)
        text = trial.problem or f"{amount} was held and released; the provider's reference is {trial.payment_ref}."
        commands += await _conclude(connection, trial, state is TrialState.PASSED, text, now)
    return commands


async def keep_failed(connection: AsyncConnection, found: Sequence[TrialFailed], now: datetime) -> list[Command]:
    """No hold stands: it has failed."""
    commands: list[Command] = []
    for fact in found:
        trial = await _trial(connection, fact)
        await _write(connection, fact, state=TrialState.FAILED.value, problem=fact.problem, ended_at=now)
        commands += await _conclude(connection, trial, False, fact.problem, now)
    return commands


async def keep_unreleased(
    connection: AsyncConnection, found: Sequence[TrialUnreleased], now: datetime
) -> list[Command]:
    """It will never be confirmed: people have to."""
    commands: list[Command] = []
    for fact in found:
        trial = await _trial(connection, fact)
        what = _unconfirmed(fact.cause, trial.payment_ref)
        problem = what.written("en")
        await _write(connection, fact, state=TrialState.UNRELEASED.value, problem=problem, ended_at=now)
        await _alarm(connection, trial, "given up", what, now)
        commands += await _conclude(connection, trial, False, problem, now)
    return commands


def _unconfirmed(cause: Unconfirmed, payment_ref: str | None) -> Phrase:
    """Why it cannot be confirmed, and what to do."""
    match cause:
        case Unconfirmed.HOLD_UNKNOWN:
            return say("test_hold_unknown")
        case Unconfirmed.UNANSWERED:
            why = say("test_unanswered")
        case Unconfirmed.CAPTURED:
            why = say("test_captured")
        case Unconfirmed.FAILED:
            why = say("test_failed")
        case Unconfirmed.NOT_FOUND:
            why = say("test_not_found")
    return say("test_unreleased", why=why, payment=_payment(payment_ref))


def _payment(payment_ref: str | None) -> str | Phrase:
    return payment_ref or say("payment_unknown")


async def _conclude(connection: AsyncConnection, trial: Any, passed: bool, text: str, now: datetime) -> list[Command]:
    """Into the case, unless that has ended meanwhile; then its history alone."""
    await onboarding.note(connection, trial.case_id, EventKind.TEST, text, by=MACHINE, now=now)
    try:
        case = await onboarding.locked(connection, trial.case_id)
    except CaseRefusedError:
        return []
    state = StepState.PASSED if passed else StepState.FAILED
    await onboarding.set_step(connection, trial.case_id, TEST, state, text, by=MACHINE, now=now)
    await onboarding.refresh(connection, case, now)
    return [CheckCase(key=f"check:{trial.test_id}", case_id=trial.case_id)]


async def _alarm(connection: AsyncConnection, trial: Any, kind: str, what: Phrase, now: datetime) -> None:
    """Remind the owner and the platform, once for each kind."""
    owner = select(t.onboarding_cases.c.owner_id).where(t.onboarding_cases.c.case_id == trial.case_id)
    owner_id = (await connection.execute(owner)).scalar_one()
    for told in dict.fromkeys((PLATFORM, owner_id)):
        await remind(
            connection,
            now,
            key=f"test-hold:{trial.test_id}:{kind}:{told}",
            owner_id=told,
            kind="test hold",
            about=trial.serial,
            subject=say("test_hold", serial=trial.serial),
            body=[say("test_hold_what", case=trial.case_id, payment=_payment(trial.payment_ref), what=what)],
            due_on=now.date(),
        )


class TrialCallbacks:
    """What the callbacks' routes ask (`bridge.callbacks.TrialCallbacks`). ``submit``: the inbox; ``now``: the clock."""

    def __init__(self, engine: AsyncEngine, submit: Any, now: Any) -> None:
        self._engine = engine
        self._submit = submit
        self._now = now

    async def trial(self, arm_id: str) -> TrialAt | None:
        """The trial of this interaction."""
        x = t.test_transactions.c
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(x.test_id, x.account_id).where(x.arm_id == arm_id))).first()
        return TrialAt(row.test_id, row.account_id) if row is not None else None

    async def called_back(self, test_id: str) -> None:
        """Write it down, once."""
        await self._submit(TrialCalledBack(key=f"{test_id}:called-back", at=self._now(), test_id=test_id))


KEEPERS = {
    TrialArmed: (keep_armed,),
    TrialCalledBack: (keep_called_back,),
    TrialCardRead: (keep_card,),
    TrialUnanswered: (keep_unanswered,),
    TrialHeld: (keep_held,),
    TrialSilent: (keep_silent,),
    TrialReleased: (keep_released,),
    TrialFailed: (keep_failed,),
    TrialUnreleased: (keep_unreleased,),
}
