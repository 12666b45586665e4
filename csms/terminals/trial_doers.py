"""Carries a trial's commands out at the terminals' cloud (`csms.terminals.trial`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.terminals import trial as m
from csms.terminals.verification_port import VerificationPort
from sessions.facts import Fact
from sessions.ports import Captured, Declined, Failed, Held, HoldOutcome, NotFound, Released, Unknown
from sessions.service import Dispatched, Service
from sessions.verification import Answering, Armed, CardRead, NotArmed, Trial
from storage import onboarding_schema as t
from storage import schema as s
from storage.engine import reading

POLL_S = 5  # of one wait for a card; between two the deadline is looked at
PAUSE_S = 0.5  # real seconds, where a wait is answered at once
ARMING_TRIES = 3
IDLE = "IDLE"  # as the terminals' cloud says of a reader that waits for nothing


class TrialDoers:
    """One method a command.

    ``retry_delay_s(attempt)``: the provider's schedule for what went unanswered. ``wake``: tells the terminal's keeper
    that the reader is free.
    """

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        cloud: VerificationPort,
        now: Callable[[], datetime],
        *,
        retry_delay_s: Callable[[int], float | None],
        wake: Callable[[str], None],
    ) -> None:
        self._service = service
        self._engine = engine
        self._cloud = cloud
        self._now = now
        self._retry_delay_s = retry_delay_s
        self._wake = wake

    async def arm(self, command: m.ArmTrial, dispatched: Dispatched) -> None:
        """Arm the reader; doing so again takes nobody's money."""
        row = await self._row(command.test_id)
        outcome: Armed | NotArmed = NotArmed("")
        for _ in range(ARMING_TRIES):
            outcome = await self._cloud.arm(_trial(row, self._now()))
            if isinstance(outcome, Armed) or outcome.offline:
                break
            await asyncio.sleep(PAUSE_S)
        if isinstance(outcome, Armed):
            await self._done(command, m.TrialArmed(key=f"{command.key}ed", at=self._now(), test_id=command.test_id))
            return
        problem = (
            "The terminal is offline. Switch it on, give it internet, and start the test transaction again."
            if outcome.offline
            else f"The reader could not be armed ({outcome.reason}). See that nobody uses the terminal, run the "
            "checks, and start the test transaction again."
        )
        await self._fail(command, row, problem)

    async def wait(self, command: m.AwaitTrialCard, _: Dispatched) -> None:
        """Wait for a card until the time is up. After a crash the reader still holds one that was presented."""
        row = await self._row(command.test_id)
        trial = _trial(row)
        while True:
            outcome = await self._cloud.card(trial, POLL_S)
            if isinstance(outcome, CardRead):
                key = f"{command.key}:read"
                read = m.TrialCardRead(key=key, at=self._now(), test_id=row.test_id, card_ref=outcome.card_ref)
                await self._done(command, read)
                return
            if self._now() >= row.present_by:
                break
            status = await self._cloud.answers(row.serial, row.account_id)
            if isinstance(status, Answering) and status.online and status.state == IDLE:
                await self._cloud.arm(trial)  # it was switched off and on, or somebody stopped it
            await asyncio.sleep(PAUSE_S)
        await self._cloud.disarm(trial)
        problem = (
            "No card was presented in time. Start the test transaction again and hold a card to the reader while it "
            "says so; if it said nothing, check that the terminal is online."
        )
        await self._fail(command, row, problem)

    async def hold(self, command: m.HoldTrial, dispatched: Dispatched) -> None:
        """Authorise once; above the first try a hold is looked for before anything else."""
        row = await self._row(command.test_id)
        known = await self._known_refs(row)
        outcome = await self._cloud.authorise(_trial(row), attempt=dispatched.attempt, known_refs=known)
        if isinstance(outcome, Unknown):
            key = f"{command.key}:unanswered"
            silent = m.TrialUnanswered(key=key, at=self._now(), test_id=row.test_id, reason=outcome.reason)
            await self._done(command, silent)
            return
        await self._concluded(command, row, outcome)

    async def look_up(self, command: m.LookUpTrial, dispatched: Dispatched) -> None:
        """Whether the hold stands; asked on the provider's schedule until somebody knows."""
        row = await self._row(command.test_id)
        outcome = await self._cloud.look_up(_trial(row), known_refs=await self._known_refs(row))
        if not isinstance(outcome, Unknown):
            await self._concluded(command, row, outcome)
            return
        if not await self._again(command, dispatched, outcome.reason):
            await self._unreleased(command, m.Unconfirmed.HOLD_UNKNOWN)

    async def release(self, command: m.ReleaseTrial, dispatched: Dispatched) -> None:
        """Release until it is confirmed."""
        row = await self._row(command.test_id)
        outcome = await self._cloud.release(_trial(row), row.payment_ref, attempt=dispatched.attempt)
        match outcome:
            case Released():
                released = m.TrialReleased(key=f"{command.key}d", at=self._now(), test_id=row.test_id)
                await self._done(command, released)
                self._wake(row.serial)
                return
            case Unknown(reason):
                if await self._again(command, dispatched, reason):
                    return
                cause = m.Unconfirmed.UNANSWERED
            case Captured():
                cause = m.Unconfirmed.CAPTURED
            case Failed():
                cause = m.Unconfirmed.FAILED
            case NotFound():
                cause = m.Unconfirmed.NOT_FOUND
        await self._unreleased(command, cause)

    # --- outcomes -----------------------------------------------------------------------------------------------------

    async def _concluded(self, command: m.HoldTrial | m.LookUpTrial, row: Any, outcome: HoldOutcome) -> None:
        match outcome:
            case Held():
                held = m.TrialHeld(
                    key=f"{command.key}:held",
                    at=self._now(),
                    test_id=row.test_id,
                    payment_ref=outcome.payment_ref,
                    amount_minor=outcome.amount_minor,
                )
                await self._done(command, held)
                self._wake(row.serial)
            case Declined(reason):
                await self._fail(
                    command, row, f"Nothing was held: {reason}. Start again, with another card if need be."
                )
            case _:
                await self._fail(command, row, "It was interrupted before anything was held. Start it again.")

    async def _again(self, command: m.LookUpTrial | m.ReleaseTrial, dispatched: Dispatched, reason: str) -> bool:
        """Try again later, on schedule; False when the schedule is used up."""
        delay_s = self._retry_delay_s(dispatched.attempt)
        if delay_s is None:
            return False
        fact = m.TrialSilent(
            key=f"{command.key}:unanswered:{dispatched.attempt}",
            at=self._now(),
            test_id=command.test_id,
            tries=dispatched.attempt,
            reason=reason,
        )
        await self._service.complete(command.key, fact, retry_at=self._now() + timedelta(seconds=delay_s))
        return True

    async def _fail(self, command: Any, row: Any, problem: str) -> None:
        failed = m.TrialFailed(key=f"{command.key}:failed", at=self._now(), test_id=row.test_id, problem=problem)
        await self._done(command, failed)
        self._wake(row.serial)

    async def _unreleased(self, command: Any, cause: m.Unconfirmed) -> None:
        key = f"{command.key}:unreleased"
        fact = m.TrialUnreleased(key=key, at=self._now(), test_id=command.test_id, cause=cause)
        await self._done(command, fact)

    async def _done(self, command: Any, fact: Fact) -> None:
        await self._service.complete(command.key, fact)

    # --- what is known ------------------------------------------------------------------------------------------------

    async def _row(self, test_id: str) -> Any:
        query = select(t.test_transactions).where(t.test_transactions.c.test_id == test_id)
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).one()

    async def _known_refs(self, row: Any) -> frozenset[str]:
        """The provider's references that are a charge's, or another trial's, already."""
        charges = select(s.sessions.c.payment_ref).where(
            s.sessions.c.terminal_serial == row.serial, s.sessions.c.payment_ref.is_not(None)
        )
        x = t.test_transactions.c
        trials = select(x.payment_ref).where(x.serial == row.serial, x.payment_ref.is_not(None))
        async with reading(self._engine) as connection:
            newest = charges.order_by(s.sessions.c.opened_at.desc()).limit(500)
            return frozenset(
                [*(await connection.execute(newest)).scalars(), *(await connection.execute(trials)).scalars()]
            )


def _trial(row: Any, armed_at: datetime | None = None) -> Trial:
    """As the terminals' cloud has to know it."""
    return Trial(
        serial=row.serial,
        account_id=row.account_id,
        arm_id=row.arm_id,
        armed_at=row.armed_at or armed_at or row.started_at,
        amount_minor=row.amount_minor,
        currency=row.currency,
        language=row.language,
        card_ref=row.card_ref or "",
    )
