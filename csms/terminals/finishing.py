"""Finishing a case: the terminal goes live in the commit that finds every step passed, and in no other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import onboarding
from csms.terminals.checklist import MACHINE, TEST, CaseState, Step, StepState, Who, settled, stale
from csms.terminals.inventory import MoveRefusedError, State, move
from csms.terminals.onboarding import EventKind, OnboardingOptions
from csms.terminals.onboarding_checks import gather, judged
from csms.terminals.processors import Platform
from csms.terminals.verdicts import IN_THE_DATABASE
from storage import schema as s


def out_of_date(steps: tuple[Step, ...], rows: dict[str, Any], options: OnboardingOptions, now: datetime) -> list[str]:
    """The machine's steps that passed too long ago to count."""
    return [
        step.code
        for step in steps
        if step.who is Who.MACHINE
        and rows[step.code].state == StepState.PASSED.value
        and stale(rows[step.code].checked_at, now, options.test_valid if step.code == TEST else options.checks_valid)
    ]


async def finish(
    connection: AsyncConnection, case_id: int, options: OnboardingOptions, platform: Platform, *, by: str, now: datetime
) -> list[str]:
    """Set the terminal live and complete the case, or return what stands in the way, sentence by sentence.

    What the database alone decides is judged again here, so commit also when it is refused. Run the checks before, if
    any are `out_of_date`. Raises `CaseRefusedError` for a case that has ended.
    """
    case = await onboarding.locked(connection, case_id)
    rows = await onboarding.states(connection, case_id)
    steps = onboarding.steps_of(case, rows)
    known = await gather(connection, case, platform, now)
    again = judged(known, [code for code in IN_THE_DATABASE if code in rows])
    expired = out_of_date(steps, rows, options, now)
    if known.account_now != known.account_id:
        return ["The terminal's processor was changed after this case began: cancel it and start a new one."]
    if known.owner_id != case.owner_id:
        return ["The terminal went to another owner after this case began: cancel it; its owner starts a new one."]
    await onboarding.take_verdicts(connection, case, again, now)
    if TEST in expired:
        text = "The test transaction is too old to count: make it again."
        await onboarding.set_step(connection, case_id, TEST, StepState.OPEN, text, by=MACHINE, now=now)
        await onboarding.refresh(connection, case, now)
    rows = await onboarding.states(connection, case_id)
    missing = [_missing(step, rows[step.code]) for step in steps if not settled(StepState(rows[step.code].state))]
    expired = out_of_date(steps, rows, options, now)
    missing += [f"{step.title}: verified too long ago; run the checks." for step in steps if step.code in expired]
    if missing:
        return missing
    at = select(s.terminals.c.inventory_state).where(s.terminals.c.serial == case.serial).with_for_update()
    found = (await connection.execute(at)).scalar_one()
    if found != State.ONBOARDING.value:
        return [
            f"Terminal {case.serial} is {found} now: settle what led to that, and move it back to onboarding in the "
            "inventory."
        ]
    try:
        said = f"case {case_id} was completed"
        await move(connection, case.serial, State.LIVE, by=by, reason=said, now=now, place=case.place)
    except MoveRefusedError as refused:
        return [str(refused)]
    await onboarding.end(connection, case_id, CaseState.COMPLETED, now)
    text = f"Terminal {case.serial} is live."
    await onboarding.note(connection, case_id, EventKind.COMPLETED, text, by=by, now=now)
    return []


def _missing(step: Step, row: Any) -> str:
    if row.state == StepState.FAILED.value:
        return f"{step.title}: {row.result}"
    who = "the machine has not verified it; run the checks" if step.who is Who.MACHINE else "nobody has confirmed it"
    return f"{step.title}: {row.result or who + '.'}"
