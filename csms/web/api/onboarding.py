"""Onboarding cases: from a terminal in its box to a live one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals import finishing, onboarding, trial
from csms.terminals.checklist import TEST, CaseState, Origin, Party, Processor, StepState, Who
from csms.terminals.onboarding import CaseRefusedError, Confirmation, NewCase, NoSuchTerminalError
from csms.terminals.onboarding_checks import CheckCase
from csms.terminals.trial import TrialState
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from csms.web.api.station_commands import at_most
from sessions.rows import enqueue
from storage import onboarding_schema as t
from storage.engine import reading, writing

FINISH_WAIT_S = 60

resource = Resource(
    "onboarding",
    parameters={
        "case_id": {
            "type": "integer",
            "minimum": 1,
            "maximum": 2**31 - 1,
            "description": "The case's number.",
            "example": 1,
        },
        "step": {
            "type": "string",
            "pattern": r"^[a-z_]{1,20}$",
            "description": "The step's code, as the case lists it.",
            "example": "housing",
        },
    },
    owned={"case_id": owned_by(t.onboarding_cases.c.owner_id, t.onboarding_cases.c.case_id)},
)


class StepShown(Shown):
    """A step of the checklist."""

    code: str
    title: str
    who: Who = Field(description="machine: run the checks; person: confirm it.")
    state: StepState
    result: str = Field(description="What was found; for a failed step also what to do.")
    mend: str = Field(description="What to do if it fails.")
    depends_on: list[str] = Field(description="Steps that must have passed before.")
    asks: list[str] = Field(description="What `details` of its confirmation has to hold.")
    waivable: bool = Field(description="Whether the platform's admin may let it go, with a reason.")
    checked_at: datetime | None
    checked_by: str | None


class CaseShown(Shown):
    """A case."""

    case_id: int = Field(description="The number, for the owner's reference.")
    owner_id: str
    serial: str = Field(description="The terminal's.")
    origin: Origin
    processor: Processor
    account_id: str = Field(description="The owner's processor account; empty: the platform's.")
    state: CaseState = Field(
        description="open → in progress → waiting (for whom `waiting_for` says: a step has failed) → ready → "
        "completed; or cancelled."
    )
    waiting_for: Party | None
    place: str = Field(description="Where it stands, from the inventory step.")
    started_by: str
    started_at: datetime
    checked_at: datetime | None = Field(description="When the machine's checks were last run.")
    ended_at: datetime | None


class TestShown(Shown):
    """A test transaction. It is no sale: it stands in no session, receipt or ledger."""

    __test__ = False

    test_id: str
    amount_minor: int = Field(description="In minor units of the currency.")
    currency: str
    state: TrialState = Field(
        description="asked → waiting (present a card) → authorising → held → passed or failed; unreleased: nobody "
        "could confirm that the hold is gone."
    )
    problem: str = Field(description="What went wrong, and what to do.")
    payment_ref: str | None = Field(description="The provider's reference of the hold.")
    release_tries: int = Field(description="How often the provider gave no answer to the release.")
    started_by: str
    started_at: datetime
    present_by: datetime = Field(description="No card by then: it has failed.")
    called_back_at: datetime | None = Field(description="When the terminals' cloud called the callback URL.")
    held_at: datetime | None
    released_at: datetime | None
    ended_at: datetime | None


class AttachmentShown(Shown):
    """An attachment."""

    attachment_id: str
    name: str
    media_type: str
    size: int = Field(description="Bytes.")
    sha256: str
    uploaded_by: str
    uploaded_at: datetime


class CaseWithSteps(CaseShown):
    """A case with its checklist."""

    steps: list[StepShown]
    test_transactions: list[TestShown] = Field(description="The newest first.")
    attachments: list[AttachmentShown]


class EventShown(Shown):
    """Something that happened in a case."""

    event_id: int
    at: datetime
    by: str
    kind: str
    step: str | None
    text: str


class NewOnboarding(Body):
    """A case to start."""

    serial: str = Field(min_length=1, max_length=40, description="Serial number of a terminal in the inventory.")
    origin: Origin = Field(description="integrated: factory-mounted in its station; own: retrofitted.")


class CaseFilter(PageQuery):
    """Which cases."""

    state: CaseState | None = Field(None, description="Only in this state.")
    waiting_for: Party | None = Field(None, description="Only those whose turn it is.")
    serial: str | None = Field(None, max_length=40, description="Only of this terminal.")
    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")


class CheckWait(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for the checks to end.")


class Confirming(Body):
    """What a person found."""

    person: str = Field(min_length=2, max_length=80, description="Who looked: first and last name.")
    passed: bool = Field(description="false: it is not as it should be; say in `note` what is wrong.")
    note: str = Field("", max_length=onboarding.TEXT_LIMIT, description="What was seen.")
    details: dict[str, str] = Field(default_factory=dict, max_length=10, description="What the step `asks` for.")

    @field_validator("details")
    @classmethod
    def _short(cls, value: dict[str, str]) -> dict[str, str]:
        if any(len(name) > 40 or len(text) > 500 for name, text in value.items()):
            raise ValueError("names may have 40 characters, texts 500")
        return value


class Reason(Body):
    """Why."""

    reason: str = Field(min_length=3, max_length=onboarding.TEXT_LIMIT, description="It goes into the history.")


class NewComment(Body):
    """A comment."""

    text: str = Field(min_length=1, max_length=onboarding.TEXT_LIMIT, description="No card numbers, please.")


@asynccontextmanager
async def changing(call: ApiCall) -> AsyncIterator[AsyncConnection]:
    """A transaction in which a case may refuse what is asked of it. Raises `Problem` 404, 409."""
    try:
        async with writing(call.api.engine) as connection:
            yield connection
    except NoSuchTerminalError as refused:
        raise Problem(404, str(refused)) from None
    except CaseRefusedError as refused:
        raise Problem(409, str(refused)) from None


@resource.operation(
    "POST",
    "/onboarding-cases",
    role=Role.OPERATOR,
    body=NewOnboarding,
    answers={201: CaseWithSteps},
    errors=(404, 409),
    owners=True,
)
async def start_onboarding(call: ApiCall) -> Reply:
    """Start the case of a terminal; its checklist follows from its origin and its processor.

    The terminal must be in the inventory, and not live. It is being onboarded from then on.
    """
    new = NewCase(
        serial=call.body.serial, origin=call.body.origin, by=call.caller.actor, owner_id=call.owner_id, import_key=None
    )
    async with changing(call) as connection:
        case_id = await onboarding.start(connection, new, call.api.onboarding, call.now)
    call.api.wake(new.serial)
    return Reply(await shown(call, case_id), 201, {"Location": f"{PREFIX}/onboarding-cases/{case_id}"})


@resource.get("/onboarding-cases", Page[CaseShown], query=CaseFilter, owners=True)
async def list_onboarding_cases(call: ApiCall) -> Page[CaseShown]:
    """List cases, the newest first."""
    c, asked = t.onboarding_cases.c, call.query
    query = call.mine(select(t.onboarding_cases), c.owner_id)
    for name in ("state", "waiting_for", "serial", "owner_id"):
        if getattr(asked, name) is not None:
            query = query.where(c[name] == getattr(asked, name))
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.case_id], asked, _case, newest_first=True)


@resource.get("/onboarding-cases/{case_id}", CaseWithSteps, owners=True)
async def get_onboarding_case(call: ApiCall) -> CaseWithSteps:
    """Show a case with its checklist, its test transactions and its attachments."""
    return await shown(call, call.path["case_id"])


@resource.get("/onboarding-cases/{case_id}/history", Page[EventShown], query=PageQuery, owners=True)
async def list_onboarding_history(call: ApiCall) -> Page[EventShown]:
    """List everything that happened in a case, the oldest first; comments too."""
    await require_case(call)
    e = t.onboarding_events.c
    query = select(t.onboarding_events).where(e.case_id == call.path["case_id"])
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [e.event_id], call.query, _event)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/checks",
    role=Role.OPERATOR,
    query=CheckWait,
    answers={200: CaseWithSteps, 202: CaseWithSteps},
    errors=(409,),
    owners=True,
)
async def run_onboarding_checks(call: ApiCall) -> Reply:
    """Run the machine's checks: the case as it stands after them, or 202 if they have not ended in `wait` seconds."""
    case = await require_case(call)
    if case.ended_at is not None:
        raise Problem(409, f"Case {case.case_id} is {case.state}: there is nothing left to check.")
    ended = await _checked(call, call.query.wait)
    return Reply(await shown(call, case.case_id), 200 if ended else 202)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/steps/{step}/confirmation",
    role=Role.OPERATOR,
    body=Confirming,
    answers={200: CaseWithSteps},
    errors=(409,),
    owners=True,
)
async def confirm_onboarding_step(call: ApiCall) -> CaseWithSteps:
    """Say what a named person found at a step that is a person's. The machine's steps are refused."""
    case = await require_case(call)
    said: Confirming = call.body
    found = Confirmation(
        person=said.person, passed=said.passed, note=said.note, details=said.details, by=call.caller.actor
    )
    async with changing(call) as connection:
        await onboarding.confirm(connection, case.case_id, call.path["step"], found, call.now)
    return await shown(call, case.case_id)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/steps/{step}/waiver",
    role=Role.ADMIN,
    body=Reason,
    answers={200: CaseWithSteps},
    errors=(409,),
)
async def waive_onboarding_step(call: ApiCall) -> CaseWithSteps:
    """Let a step go, with a reason; only those that say they are waivable, and never a machine's."""
    case = await require_case(call)
    async with changing(call) as connection:
        step, reason = call.path["step"], call.body.reason
        await onboarding.waive(connection, case.case_id, step, reason, by=call.caller.actor, now=call.now)
    return await shown(call, case.case_id)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/comments",
    role=Role.OPERATOR,
    body=NewComment,
    answers={204: None},
    errors=(409,),
    owners=True,
)
async def comment_onboarding(call: ApiCall) -> Reply:
    """Add a comment to the case's history. It stays."""
    case = await require_case(call)
    async with changing(call) as connection:
        await onboarding.comment(connection, case.case_id, call.body.text, by=call.caller.actor, now=call.now)
    return Reply(None, 204)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/test-transactions",
    role=Role.OPERATOR,
    answers={201: TestShown},
    errors=(409,),
    owners=True,
)
async def start_test_transaction(call: ApiCall) -> Reply:
    """Start a test transaction: hold a small amount on the card that is presented at the terminal, and release it.

    It goes on by itself; look at it under the case. Nobody pays: the card is not charged.
    """
    case = await require_case(call)
    async with changing(call) as connection:
        test_id, serial = await trial.begin(
            connection, case.case_id, call.api.onboarding, by=call.caller.actor, now=call.now
        )
    call.api.wake(serial)
    call.api.service.wake(call.now)
    [made] = [test for test in (await shown(call, case.case_id)).test_transactions if test.test_id == test_id]
    return Reply(made, 201, {"Location": f"{PREFIX}/onboarding-cases/{case.case_id}"})


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/finish",
    role=Role.OPERATOR,
    answers={200: CaseWithSteps},
    errors=(409,),
    owners=True,
)
async def finish_onboarding(call: ApiCall) -> CaseWithSteps:
    """Set the terminal live, if every step has passed; else 409 says step by step what stands in the way.

    A verification that is older than `onboarding.checks_valid_h` is made again first. A completed case stays as it is.
    """
    case = await require_case(call)
    if case.state == CaseState.COMPLETED.value:
        return await shown(call, case.case_id)
    async with reading(call.api.engine) as connection:
        rows = await onboarding.states(connection, case.case_id)
    steps = onboarding.steps_of(case, rows)
    expired = finishing.out_of_date(steps, rows, call.api.onboarding, call.now)
    if any(code != TEST for code in expired) and not await _checked(call, FINISH_WAIT_S):
        raise Problem(409, "The checks are still being made again; try in a minute.")
    async with changing(call) as connection:
        missing = await finishing.finish(
            connection,
            case.case_id,
            call.api.onboarding,
            call.api.processors.platform,
            by=call.caller.actor,
            now=call.now,
        )
    if missing:
        raise Problem(
            409,
            f"The terminal cannot go live yet; {len(missing)} things stand in the way, see errors.",
            errors=[FieldProblem(field="steps", detail=sentence) for sentence in missing],
        )
    call.api.wake(case.serial)
    return await shown(call, case.case_id)


@resource.operation(
    "POST",
    "/onboarding-cases/{case_id}/cancel",
    role=Role.OPERATOR,
    body=Reason,
    answers={200: CaseWithSteps},
    errors=(409,),
    owners=True,
)
async def cancel_onboarding(call: ApiCall) -> CaseWithSteps:
    """End a case without setting the terminal live; it goes back into store, or to its suspension or repair."""
    case = await require_case(call)
    async with changing(call) as connection:
        serial = await onboarding.cancel(connection, case.case_id, call.body.reason, by=call.caller.actor, now=call.now)
    call.api.wake(serial)
    return await shown(call, case.case_id)


async def require_case(call: ApiCall) -> Any:
    """The row of the case in the path. Raises `Problem` 404."""
    async with reading(call.api.engine) as connection:
        query = select(t.onboarding_cases).where(t.onboarding_cases.c.case_id == call.path["case_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no case of this number.")
    return row


async def shown(call: ApiCall, case_id: int) -> CaseWithSteps:
    """A case as it stands. Raises `Problem` 404."""
    x, a = t.test_transactions, t.onboarding_attachments
    async with reading(call.api.engine) as connection:
        query = select(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case_id)
        row = (await connection.execute(query)).first()
        if row is None:
            raise Problem(404, "There is no case of this number.")
        rows = await onboarding.states(connection, case_id)
        newest = x.c.started_at.desc(), x.c.test_id
        tests = (await connection.execute(select(x).where(x.c.case_id == case_id).order_by(*newest).limit(50))).all()
        oldest = a.c.uploaded_at, a.c.attachment_id
        files = (await connection.execute(select(a).where(a.c.case_id == case_id).order_by(*oldest))).all()
    return CaseWithSteps(
        **_case(row).model_dump(),
        steps=[_step(step, rows[step.code]) for step in onboarding.steps_of(row, rows)],
        test_transactions=[
            TestShown(**{name: getattr(test, name) for name in TestShown.model_fields}) for test in tests
        ],
        attachments=[attachment_shown(file) for file in files],
    )


async def _checked(call: ApiCall, wait_s: float) -> bool:
    """Have the machine's checks run; whether they ended in time."""
    case_id = call.path["case_id"]
    command = CheckCase(key=f"check:{case_id}:{secrets.token_hex(8)}", case_id=case_id)
    async with call.api.waiters.expecting(command.key) as ended:
        async with writing(call.api.engine) as connection:
            await enqueue(connection, [command], call.now)
        call.api.service.wake(call.now)
        await at_most(ended, wait_s)
        return ended.is_set()


def attachment_shown(row: Any) -> AttachmentShown:
    """A row of the attachments."""
    return AttachmentShown(**{name: getattr(row, name) for name in AttachmentShown.model_fields})


def _case(row: Any) -> CaseShown:
    values = {name: getattr(row, name) for name in CaseShown.model_fields if name != "processor"}
    return CaseShown(**values, processor=Processor.OWN if row.account_id else Processor.PLATFORM)


def _step(step: Any, row: Any) -> StepShown:
    return StepShown(
        code=step.code,
        title=step.title,
        who=step.who,
        state=StepState(row.state),
        result=row.result,
        mend=step.mend,
        depends_on=list(step.depends_on),
        asks=list(step.asks),
        waivable=step.waivable,
        checked_at=row.checked_at,
        checked_by=row.checked_by,
    )


def _event(row: Any) -> EventShown:
    return EventShown(**{name: getattr(row, name) for name in EventShown.model_fields})
