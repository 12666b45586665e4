"""A case: a terminal on its way to being live, with a number, a checklist, a history, and a state anyone can read.

Everything here works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.pan import contains_pan
from csms.terminals.checklist import (
    ENDED,
    MACHINE,
    CaseState,
    Origin,
    Processor,
    Step,
    StepState,
    Who,
    case_state,
    checklist,
    unmet,
)
from csms.terminals.inventory import MoveRefusedError, State, move
from csms.terminals.verdicts import Verdict
from sessions.families import family_of
from sessions.rows import counter, set_counter
from storage import onboarding_schema as t
from storage import schema as s

CASE_COUNTER = "onboarding-case"
TEXT_LIMIT = 2000  # characters of a comment, a note or a reason
#: Where a terminal goes when its case is cancelled: back to what it came from, or into store.
_BACK = frozenset({State.SUSPENDED, State.IN_REPAIR})


class EventKind(StrEnum):
    """What stands in a case's history."""

    STARTED = "started"
    STEP = "step"
    STATE = "state"
    COMMENT = "comment"
    ATTACHMENT = "attachment"
    TEST = "test transaction"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class CaseRefusedError(Exception):
    """It cannot be done with this case; the text says why, and what to do. ``case_id``: the case in the way."""

    def __init__(self, text: str, case_id: int | None = None) -> None:
        super().__init__(text)
        self.case_id = case_id


class NoSuchTerminalError(CaseRefusedError):
    """There is no such terminal, or none of this owner's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingOptions:
    """The operator's settings. ``test_amount``: in major units of the terminal's currency."""

    test_amount: Decimal
    card_wait: timedelta
    checks_valid: timedelta
    test_valid: timedelta
    max_attachment_bytes: int
    max_import_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """A case to start. ``owner_id``: held to this owner's terminals; None: anybody's."""

    serial: str
    origin: Origin
    by: str
    owner_id: str | None = None
    import_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a person found. ``person``: by name. ``details``: what the step asks for."""

    person: str
    passed: bool
    note: str
    details: Mapping[str, str]
    by: str


async def start(connection: AsyncConnection, new: NewCase, options: OnboardingOptions, now: datetime) -> int:
    """Start a case: the terminal is being onboarded from now on. Raises `CaseRefusedError`."""
    query = select(s.terminals).where(s.terminals.c.serial == new.serial).with_for_update()
    terminal = (await connection.execute(query)).first()
    if terminal is None or new.owner_id not in (None, terminal.owner_id):
        raise NoSuchTerminalError(
            f"There is no terminal {new.serial!r} in the inventory: register it first, with the station it belongs to."
        )
    if terminal.origin in list(Origin) and terminal.origin != new.origin:
        raise CaseRefusedError(
            f"The inventory has terminal {new.serial} as {terminal.origin}, not {new.origin}: correct the one that is "
            "wrong."
        )
    c = t.onboarding_cases.c
    there = select(c.case_id, c.state).where(c.serial == new.serial, c.ended_at.is_(None))
    found = (await connection.execute(there)).first()
    if found is not None:
        raise CaseRefusedError(
            f"Terminal {new.serial} has case {found.case_id} already, which is {found.state}: go on with it, or cancel "
            "it first.",
            found.case_id,
        )
    number = await counter(connection, CASE_COUNTER) + 1
    try:
        reason = f"case {number}"
        came_from = await move(connection, new.serial, State.ONBOARDING, by=new.by, reason=reason, now=now)
    except MoveRefusedError as refused:
        raise CaseRefusedError(str(refused)) from None
    await set_counter(connection, CASE_COUNTER, number)
    await connection.execute(
        t.onboarding_cases.insert().values(
            case_id=number,
            owner_id=terminal.owner_id,
            serial=new.serial,
            origin=new.origin.value,
            account_id=terminal.account_id,
            state=CaseState.OPEN.value,
            came_from=came_from.value,
            import_key=new.import_key,
            started_by=new.by[:80],
            started_at=now,
        )
    )
    processor = Processor.OWN if terminal.account_id else Processor.PLATFORM
    steps = checklist(new.origin, processor, battery=family_of(terminal.family).battery)
    rows = [
        {"case_id": number, "code": step.code, "position": n, "state": StepState.OPEN.value, "result": ""}
        for n, step in enumerate(steps)
    ]
    await connection.execute(t.onboarding_steps.insert(), rows)
    text = f"Terminal {new.serial}: {new.origin.value} terminal, {processor.value} processor."
    await note(connection, number, EventKind.STARTED, text, by=new.by, now=now)
    return number


async def locked(connection: AsyncConnection, case_id: int) -> Any:
    """The case's row, ours until the commit. Raises `CaseRefusedError` for one that has ended, or that is not there."""
    query = select(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case_id).with_for_update()
    row = (await connection.execute(query)).first()
    if row is None:
        raise CaseRefusedError(f"There is no case {case_id}.")
    if CaseState(row.state) in ENDED:
        raise CaseRefusedError(f"Case {case_id} is {row.state}: nothing changes in it any more. Start a new one.")
    return row


def steps_of(case: Any, codes: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of the case's checklist, as they stood when it began."""
    processor = Processor.OWN if case.account_id else Processor.PLATFORM
    return tuple(s for s in checklist(Origin(case.origin), processor, battery=True) if s.code in codes)


async def states(connection: AsyncConnection, case_id: int) -> dict[str, Any]:
    """The rows of a case's steps, by code, in their order."""
    query = select(t.onboarding_steps).where(t.onboarding_steps.c.case_id == case_id)
    return {row.code: row for row in await connection.execute(query.order_by(t.onboarding_steps.c.position))}


async def find_step(connection: AsyncConnection, case: Any, code: str) -> tuple[Step, dict[str, StepState]]:
    """A step of the case, and how all of them stand. Raises `CaseRefusedError` for a step the case has not."""
    rows = await states(connection, case.case_id)
    for step in steps_of(case, rows):
        if step.code == code:
            return step, {name: StepState(row.state) for name, row in rows.items()}
    raise CaseRefusedError(f"Case {case.case_id} has no step {code!r}; it has {', '.join(rows)}.")


async def confirm(connection: AsyncConnection, case_id: int, code: str, said: Confirmation, now: datetime) -> None:
    """Take a person's word on a step that is a person's. Raises `CaseRefusedError`."""
    case = await locked(connection, case_id)
    step, known = await find_step(connection, case, code)
    if step.who is Who.MACHINE:
        raise CaseRefusedError(f"{step.title}: the machine verifies that. Run the checks. {step.mend}")
    missing = [name for name in step.asks if not said.details.get(name, "").strip()]
    if said.passed and missing:
        raise CaseRefusedError(f"{step.title}: say in `details` what is asked for: {', '.join(missing)}.")
    waits = unmet(step, known)
    if said.passed and waits:
        raise CaseRefusedError(f"{step.title}: {', '.join(waits)} must have passed first.")
    if not said.passed and not said.note.strip():
        raise CaseRefusedError(f"{step.title}: say in `note` what is wrong.")
    told = [said.note.strip(), *(f"{name}: {value.strip()}" for name, value in said.details.items() if value.strip())]
    refuse_card_numbers(said.person, *told)
    text = " · ".join(part for part in told if part)
    if not said.passed:
        text = f"{text} – {step.mend}"
    state = StepState.PASSED if said.passed else StepState.FAILED
    await set_step(connection, case_id, code, state, text, by=f"{said.person} ({said.by})", now=now)
    if said.passed and "location" in step.asks:
        place = {"place": said.details["location"].strip()[:200]}
        await connection.execute(
            update(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case_id).values(place)
        )
    await refresh(connection, case, now)


async def waive(connection: AsyncConnection, case_id: int, code: str, reason: str, *, by: str, now: datetime) -> None:
    """Let a step go, with a reason. Raises `CaseRefusedError`: most may not be."""
    case = await locked(connection, case_id)
    step, _ = await find_step(connection, case, code)
    if not step.waivable:
        why = "the machine verifies it" if step.who is Who.MACHINE else "it guards the drivers' cards"
        raise CaseRefusedError(f"{step.title}: this step cannot be waived, {why}. {step.mend}")
    refuse_card_numbers(reason)
    await set_step(connection, case_id, code, StepState.WAIVED, reason, by=by, now=now)
    await refresh(connection, case, now)


async def take_verdicts(connection: AsyncConnection, case: Any, found: tuple[Verdict, ...], now: datetime) -> None:
    """Write down what the machine found. A step that has to wait for others stays open and says for which."""
    rows = await states(connection, case.case_id)
    known = {verdict.code: verdict.state for verdict in found} | {
        code: StepState(row.state) for code, row in rows.items() if code not in {v.code for v in found}
    }
    by_code = {step.code: step for step in steps_of(case, rows)}
    for verdict in found:
        step = by_code.get(verdict.code)
        if step is None or step.who is not Who.MACHINE:
            continue
        state, text = verdict.state, verdict.text
        waits = unmet(step, known)
        if state is StepState.OPEN and waits:
            text = f"It waits for {', '.join(waits)}. {text}"
        await set_step(connection, case.case_id, step.code, state, text, by=MACHINE, now=now)
    await connection.execute(
        update(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case.case_id).values(checked_at=now)
    )
    await refresh(connection, case, now)


async def set_step(
    connection: AsyncConnection, case_id: int, code: str, state: StepState, text: str, *, by: str, now: datetime
) -> None:
    """Write how a step stands; what changed goes into the history."""
    c = t.onboarding_steps.c
    mine = (c.case_id == case_id, c.code == code)
    before = (await connection.execute(select(c.state, c.result).where(*mine))).one()
    values = {"state": state.value, "result": text, "checked_at": now, "checked_by": by[:160]}
    await connection.execute(update(t.onboarding_steps).where(*mine).values(values))
    if (before.state, before.result) != (state.value, text):
        await note(connection, case_id, EventKind.STEP, f"{state.value}: {text}", by=by, now=now, step=code)


async def refresh(connection: AsyncConnection, case: Any, now: datetime) -> CaseState:
    """Bring the case's state to what its steps say."""
    rows = await states(connection, case.case_id)
    state, party = case_state(steps_of(case, rows), {code: StepState(row.state) for code, row in rows.items()})
    c = t.onboarding_cases.c
    was = (await connection.execute(select(c.state, c.waiting_for).where(c.case_id == case.case_id))).one()
    turn = party.value if party else None
    if (was.state, was.waiting_for) != (state.value, turn):
        values = {"state": state.value, "waiting_for": turn}
        await connection.execute(update(t.onboarding_cases).where(c.case_id == case.case_id).values(values))
        said = f"{state.value} for the {turn}" if turn else state.value
        await note(connection, case.case_id, EventKind.STATE, said, by=MACHINE, now=now)
    return state


async def comment(connection: AsyncConnection, case_id: int, text: str, *, by: str, now: datetime) -> None:
    """Add a comment; to a case that has ended too. Raises `CaseRefusedError` for a card number in it."""
    refuse_card_numbers(text)
    await note(connection, case_id, EventKind.COMMENT, text, by=by, now=now)


async def cancel(connection: AsyncConnection, case_id: int, reason: str, *, by: str, now: datetime) -> str:
    """End a case without setting the terminal live; return its serial number. Raises `CaseRefusedError`."""
    case = await locked(connection, case_id)
    refuse_card_numbers(reason)
    x = t.test_transactions.c
    running = select(x.test_id).where(x.case_id == case_id, x.ended_at.is_(None), x.held_at.is_(None))
    if (await connection.execute(running)).first() is not None:
        raise CaseRefusedError("A test transaction has the reader: wait until it has ended, then cancel the case.")
    at = select(s.terminals.c.inventory_state).where(s.terminals.c.serial == case.serial).with_for_update()
    if (await connection.execute(at)).scalar() == State.ONBOARDING.value:
        back = State(case.came_from) if State(case.came_from) in _BACK else State.STORED
        said = f"case {case_id} was cancelled: {reason}"
        await move(connection, case.serial, back, by=by, reason=said, now=now)
    await end(connection, case_id, CaseState.CANCELLED, now)
    await note(connection, case_id, EventKind.CANCELLED, reason, by=by, now=now)
    return str(case.serial)


async def end(connection: AsyncConnection, case_id: int, state: CaseState, now: datetime) -> None:
    """Write that the case has ended."""
    values = {"state": state.value, "waiting_for": None, "ended_at": now}
    await connection.execute(update(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case_id).values(values))


async def note(
    connection: AsyncConnection,
    case_id: int,
    kind: EventKind,
    text: str,
    *,
    by: str,
    now: datetime,
    step: str | None = None,
) -> None:
    """Add to the case's history."""
    row = {"case_id": case_id, "at": now, "by": by[:160], "kind": kind.value, "step": step, "text": text}
    await connection.execute(t.onboarding_events.insert().values(row))


def refuse_card_numbers(*texts: str) -> None:
    """Raises `CaseRefusedError` where a card number stands: it must not be kept anywhere."""
    if any(map(contains_pan, texts)):
        raise CaseRefusedError("A card number stands in it, which must not be kept here: take it out.")
