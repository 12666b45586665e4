"""Doers: carry a command out at a port, report the outcome as a fact in the commit that completes the command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from sessions import commands as c
from sessions import facts as f
from sessions import ports as p
from sessions.clock import Clock
from sessions.commands import Message
from sessions.service import Dispatched, Service
from storage import schema as t
from storage.engine import reading

#: A message older than this is not shown any more, unless it also frees the reader.
STALE_SHOW_S = 60


class Doers:
    """One method per command. ``retry_delay_s(attempt)``: the provider's schedule for capture and release."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        clock: Clock,
        *,
        stations: p.StationPort,
        terminals: p.TerminalPort,
        retry_delay_s: Callable[[int], float | None],
    ) -> None:
        self._service = service
        self._engine = engine
        self._clock = clock
        self._stations = stations
        self._terminals = terminals
        self._retry_delay_s = retry_delay_s
        self._table: dict[type[c.Command], Callable[[Any, Dispatched], Awaitable[None]]] = {
            c.ReachDeadline: self._reach_deadline,
            c.ShowSelection: self._show_selection,
            c.ShowOnTerminal: self._show,
            c.AuthoriseHold: self._authorise,
            c.LookUpHold: self._look_up,
            c.CaptureHold: self._capture,
            c.ReleaseHold: self._release,
            c.StartCharging: self._start,
            c.StopCharging: self._stop,
            c.LimitCharging: self._limit,
            c.AskTransactionStatus: self._ask_status,
        }

    def add(self, kind: type[c.Command], doer: Callable[[Any, Dispatched], Awaitable[None]]) -> None:
        """Let a room above carry out its own commands."""
        self._table[kind] = doer

    async def __call__(self, dispatched: Dispatched) -> None:
        """Carry out one command."""
        await self._table[type(dispatched.command)](dispatched.command, dispatched)

    @staticmethod
    def lane(dispatched: Dispatched) -> str | None:
        """Commands of one lane run one after the other: what a reader does, it does in order."""
        match dispatched.command:
            case c.AuthoriseHold(serial=serial) | c.ShowOnTerminal(serial=serial) | c.ShowSelection(serial=serial):
                return f"terminal:{serial}"
            case other:
                lane: str | None = getattr(other, "lane", None)  # commands of the rooms above say their own
                return lane

    async def _reach_deadline(self, command: c.ReachDeadline, _: Dispatched) -> None:
        session_id = command.session_id or ""
        fact = f.DeadlineReached(key=command.key, at=self._clock.now(), session_id=session_id, timer=command.timer)
        await self._service.complete(command.key, fact)

    # --- terminals ----------------------------------------------------------------------------------------------------

    async def _show_selection(self, command: c.ShowSelection, _: Dispatched) -> None:
        await self._terminals.select(command)
        await self._service.complete(command.key)

    async def _show(self, command: c.ShowOnTerminal, dispatched: Dispatched) -> None:
        stale = self._clock.now() - dispatched.due_at > timedelta(seconds=STALE_SHOW_S)
        if command.ends_interaction or not stale or command.message is Message.FINISHED:
            await self._terminals.show(command)
        await self._service.complete(command.key)

    async def _authorise(self, command: c.AuthoriseHold, dispatched: Dispatched) -> None:
        known = await self._known_refs(command.serial)
        outcome = await self._terminals.authorise(command, attempt=dispatched.attempt, known_refs=known)
        await self._service.complete(command.key, self._hold_fact(command, outcome, final=False))

    async def _look_up(self, command: c.LookUpHold, _: Dispatched) -> None:
        known = await self._known_refs(command.serial)
        outcome = await self._terminals.look_up(command, known_refs=known)
        await self._service.complete(command.key, self._hold_fact(command, outcome, final=True))

    def _hold_fact(self, command: c.AuthoriseHold | c.LookUpHold, outcome: p.HoldOutcome, *, final: bool) -> f.Fact:
        now, session_id = self._clock.now(), command.session_id or ""
        match outcome:
            case p.Held():
                return f.PaymentHeld(
                    key=f"{session_id}:held:{outcome.payment_ref}",
                    at=now,
                    session_id=session_id,
                    payment_ref=outcome.payment_ref,
                    amount_minor=outcome.amount_minor,
                    authorisation_code=outcome.authorisation_code,
                    host_reference=outcome.host_reference,
                    merchant_reference=outcome.merchant_reference,
                    terminal_transaction_id=outcome.terminal_transaction_id,
                    aid=outcome.aid,
                    held_at=outcome.held_at,
                )
            case p.Declined(reason):
                return f.PaymentDeclined(key=f"{command.key}:declined", at=now, session_id=session_id, reason=reason)
            case p.NotFound() if final:
                return f.PaymentNotFound(key=f"{command.key}:not_found", at=now, session_id=session_id)
            case p.NotFound():  # nothing there yet; the look-ups that follow decide
                return f.PaymentUnanswered(
                    key=f"{command.key}:unanswered",
                    at=now,
                    session_id=session_id,
                    reason="not found after an interruption",
                )
            case p.Unknown(reason):
                return f.PaymentUnanswered(
                    key=f"{command.key}:unanswered", at=now, session_id=session_id, reason=reason
                )

    async def _known_refs(self, serial: str) -> frozenset[str]:
        """The provider's references that are some session's already."""
        query = select(t.sessions.c.payment_ref).where(
            t.sessions.c.terminal_serial == serial, t.sessions.c.payment_ref.is_not(None)
        )
        async with reading(self._engine) as connection:
            return frozenset(
                (await connection.execute(query.order_by(t.sessions.c.opened_at.desc()).limit(500))).scalars()
            )

    async def _capture(self, command: c.CaptureHold, dispatched: Dispatched) -> None:
        now, session_id = self._clock.now(), command.session_id or ""
        outcome = await self._terminals.capture(command, attempt=dispatched.attempt)
        fact: f.Fact
        match outcome:
            case p.Captured():
                fact = f.CaptureConfirmed(
                    key=f"{command.key}:confirmed",
                    at=now,
                    session_id=session_id,
                    amount_minor=outcome.amount_minor,
                    captured_at=outcome.captured_at,
                )
            case p.Released():
                fact = self._refused(command, "cancelled", "")
            case p.Failed(reason):
                fact = self._refused(command, "failed", reason)
            case p.NotFound():
                fact = self._refused(command, "not_found", "")
            case p.Unknown(reason):
                delay_s = self._retry_delay_s(dispatched.attempt)
                if delay_s is None:
                    fact = self._refused(command, "unanswered", reason)
                else:
                    key = f"{command.key}:unanswered:{dispatched.attempt}"
                    fact = f.CaptureUnanswered(key=key, at=now, session_id=session_id, reason=reason)
                    await self._service.complete(
                        command.key, fact, retry_at=self._clock.now() + timedelta(seconds=delay_s)
                    )
                    return
        await self._service.complete(command.key, fact)

    def _refused(self, command: c.CaptureHold, outcome: str, reason: str) -> f.CaptureRefused:
        return f.CaptureRefused(
            key=f"{command.key}:refused",
            at=self._clock.now(),
            session_id=command.session_id or "",
            outcome=outcome,
            reason=reason,
        )

    async def _release(self, command: c.ReleaseHold, dispatched: Dispatched) -> None:
        now, session_id = self._clock.now(), command.session_id or ""
        outcome = await self._terminals.release(command, attempt=dispatched.attempt)
        ref = command.payment_ref
        fact: f.Fact
        match outcome:
            case p.Released():
                fact = f.HoldReleased(key=f"{command.key}:released", at=now, session_id=session_id, payment_ref=ref)
            case p.Unknown(reason):
                delay_s = self._retry_delay_s(dispatched.attempt)
                if delay_s is not None:
                    key = f"{command.key}:unanswered:{dispatched.attempt}"
                    again = f.ReleaseUnanswered(key=key, at=now, session_id=session_id, reason=reason)
                    await self._service.complete(
                        command.key, again, retry_at=self._clock.now() + timedelta(seconds=delay_s)
                    )
                    return
                fact = self._unreleased(command, "unanswered", 0)
            case p.Captured():
                fact = self._unreleased(command, "captured", outcome.amount_minor)
            case p.Failed():
                fact = self._unreleased(command, "failed", 0)
            case p.NotFound():
                fact = self._unreleased(command, "not_found", 0)
        await self._service.complete(command.key, fact)

    def _unreleased(self, command: c.ReleaseHold, outcome: str, amount_minor: int) -> f.ReleaseRefused:
        return f.ReleaseRefused(
            key=f"{command.key}:refused",
            at=self._clock.now(),
            session_id=command.session_id or "",
            payment_ref=command.payment_ref,
            outcome=outcome,
            amount_minor=amount_minor,
        )

    # --- stations -----------------------------------------------------------------------------------------------------

    async def _start(self, command: c.StartCharging, dispatched: Dispatched) -> None:
        now, session_id = self._clock.now(), command.session_id or ""
        # An earlier try may have reached the station; asking twice could start twice. Wait for what it reports (EC 4).
        outcome = p.Unknown("interrupted") if dispatched.attempt > 1 else await self._stations.start(command)
        fact: f.Fact
        match outcome:
            case p.Accepted(transaction_id):
                fact = f.StartAccepted(
                    key=f"{command.key}:accepted", at=now, session_id=session_id, transaction_id=transaction_id
                )
            case p.Refused(reason):
                fact = f.StartRefused(key=f"{command.key}:refused", at=now, session_id=session_id, reason=reason)
            case p.Offline():
                fact = f.StartRefused(key=f"{command.key}:refused", at=now, session_id=session_id, reason="offline")
            case p.Unknown(reason):
                fact = f.StartUnanswered(key=f"{command.key}:unanswered", at=now, session_id=session_id, reason=reason)
        await self._service.complete(command.key, fact)

    async def _stop(self, command: c.StopCharging, _: Dispatched) -> None:
        now, session_id = self._clock.now(), command.session_id or ""
        fact: f.Fact
        match await self._stations.stop(command):
            case p.Accepted():
                fact = f.StopAccepted(key=f"{command.key}:accepted", at=now, session_id=session_id)
            case p.Refused(reason) | p.Unknown(reason):
                fact = f.StopRefused(key=f"{command.key}:refused", at=now, session_id=session_id, reason=reason)
            case p.Offline():
                fact = f.StopRefused(key=f"{command.key}:refused", at=now, session_id=session_id, reason="offline")
        await self._service.complete(command.key, fact)

    async def _limit(self, command: c.LimitCharging, _: Dispatched) -> None:
        """Best effort: without it our own stop remains, which needs the station online."""
        await self._stations.limit(command)
        await self._service.complete(command.key)

    async def _ask_status(self, command: c.AskTransactionStatus, _: Dispatched) -> None:
        """Without an answer nothing is known: other evidence, or a deadline, decides."""
        match await self._stations.transaction_status(command):
            case p.TransactionStatus(ongoing, messages_in_queue):
                told = f.TransactionStatusTold(
                    key=f"{command.key}:told",
                    at=self._clock.now(),
                    station_id=command.station_id,
                    transaction_id=command.transaction_id,
                    ongoing=ongoing,
                    messages_in_queue=messages_in_queue,
                )
                await self._service.complete(command.key, told)
            case _:
                await self._service.complete(command.key)
