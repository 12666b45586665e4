"""A terminal is verified over Payter's wire before it goes live: it answers, and a trial's hold is placed and released.

What must not happen twice is `bridge.payter`'s business here too: a trial is put before it as if it were an interaction
of its own, so that holds are looked for, authorised and released by the same rules as a driver's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bridge.cards import card_ref
from bridge.options import PayterOptions
from bridge.payter import PayterTerminals
from bridge.payter_objects import ReadCard, TerminalState, TerminalStatus
from bridge.payter_wire import Done, Failure, NotSent, Refusal
from bridge.texts import trial_words
from bridge.wires import Wires
from sessions.commands import AuthoriseHold, LookUpHold, ReleaseHold
from sessions.directory import ArmRecord, ArmState, Outcome, TerminalRecord
from sessions.facts import Fact
from sessions.ports import HoldOutcome, ReleaseOutcome
from sessions.verification import (
    Answering,
    AnswersOutcome,
    Armed,
    CardRead,
    CloudSilent,
    CredentialsRefused,
    NoCardYet,
    NotArmed,
    TerminalUnknown,
    Trial,
)

ARMING_TRIES = 3  # the reader may be armed by a keeper that does not know of the trial yet


class PayterVerification:
    """Implements `csms.terminals.verification_port.VerificationPort`."""

    def __init__(self, options: PayterOptions, wires: Wires, clock: Callable[[], datetime]) -> None:
        self._options = options
        self._wires = wires
        self._clock = clock

    async def answers(self, serial: str, account_id: str) -> AnswersOutcome:
        """Ask for the terminal under the account's credentials."""
        wire = await self._wires.of(account_id)
        if wire.unreachable:
            return CredentialsRefused()
        match await wire.terminal(serial):
            case TerminalStatus(online=online, raw_state=state):
                return Answering(online, state)
            case Refusal(status=401 | 403):
                return CredentialsRefused()
            case Refusal(status=404, credible=True):
                return TerminalUnknown()
            case Refusal(status=status):
                return CloudSilent(f"HTTP {status}")
            case failure:
                return CloudSilent(failure.reason)

    async def arm(self, trial: Trial) -> Armed | NotArmed:
        """Arm the reader with the trial's amount, whatever it was armed with. No hold comes of it: repeatable."""
        wire = await self._wires.of(trial.account_id)
        reason = ""
        for _ in range(ARMING_TRIES):
            status = await wire.terminal(trial.serial)
            if not isinstance(status, TerminalStatus):
                return NotArmed(_reason(status))
            if not status.online:
                return NotArmed("offline", offline=True)
            if status.state is not TerminalState.IDLE and not isinstance(await wire.stop(trial.serial), Done):
                reason = "the reader is busy"
                continue
            shown = trial_words(trial.language, trial.amount_minor, trial.currency)
            reply = await wire.start(
                trial.serial,
                amount_minor=trial.amount_minor,
                callback_url=self._options.callback_url(trial.arm_id, "card", trial.account_id),
                language=trial.language,
                title=shown.title,
                message=shown.message,
            )
            if isinstance(reply, Done):
                return Armed()
            reason = _reason(reply)
        return NotArmed(reason)

    async def card(self, trial: Trial, wait_s: int) -> CardRead | NoCardYet:
        """Wait for a card, at most ``wait_s`` seconds."""
        wire = await self._wires.of(trial.account_id)
        card = await wire.card(trial.serial, wait_s)
        if isinstance(card, ReadCard):
            return CardRead(card_ref(self._options.card_hash_key, card.card_id))
        return NoCardYet()

    async def disarm(self, trial: Trial) -> bool:
        """Let the reader forget the trial; False if nobody could say whether it has."""
        wire = await self._wires.of(trial.account_id)
        return isinstance(await wire.stop(trial.serial), Done)

    async def authorise(self, trial: Trial, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Hold the amount on the card that was read. Above attempt 1 a hold is looked for first."""
        command = AuthoriseHold(
            key=trial.arm_id,
            serial=trial.serial,
            account_id=trial.account_id,
            arm_id=trial.arm_id,
            card_ref=trial.card_ref,
            hold_minor=trial.amount_minor,
            currency=trial.currency,
            language=trial.language,
        )
        terminals = self._terminals(trial, ArmState.PRESENTED)
        return await terminals.authorise(command, attempt=attempt, known_refs=known_refs)

    async def look_up(self, trial: Trial, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Whether a hold stands. NotFound is final: a card still in the reader has been forgotten."""
        command = LookUpHold(
            key=trial.arm_id,
            serial=trial.serial,
            account_id=trial.account_id,
            arm_id=trial.arm_id,
            card_ref=trial.card_ref,
        )
        terminals = self._terminals(trial, ArmState.PRESENTED)
        return await terminals.look_up(command, known_refs=known_refs)

    async def release(self, trial: Trial, payment_ref: str, *, attempt: int) -> ReleaseOutcome:
        """Release the hold. Above attempt 1 the truth is asked for first."""
        command = ReleaseHold(
            key=trial.arm_id,
            serial=trial.serial,
            account_id=trial.account_id,
            payment_ref=payment_ref,
            language=trial.language,
        )
        terminals = self._terminals(trial, ArmState.CLOSED)
        return await terminals.release(command, attempt=attempt)

    def _terminals(self, trial: Trial, state: ArmState) -> PayterTerminals:
        alone = _Alone(trial, state)
        return PayterTerminals(self._options, self._wires, alone, alone, clock=self._clock, wake=lambda _serial: None)


class _Alone:
    """A trial as the only interaction there is: an inbox and a directory of no consequence."""

    def __init__(self, trial: Trial, state: ArmState) -> None:
        self._arm = ArmRecord(
            arm_id=trial.arm_id,
            serial=trial.serial,
            state=state,
            hold_minor=trial.amount_minor,
            opened_at=trial.armed_at,
            account_id=trial.account_id,
        )

    async def submit(self, _fact: Fact) -> Outcome:
        """That the interaction is over is written by whoever made the trial."""
        return Outcome()

    async def terminals(self) -> tuple[TerminalRecord, ...]:
        return ()

    async def terminal(self, _serial: str) -> TerminalRecord | None:
        return None

    async def latest_arm(self, _serial: str) -> ArmRecord | None:
        return self._arm

    async def arm(self, _arm_id: str) -> ArmRecord | None:
        return self._arm

    async def interaction_pending(self, _arm_id: str) -> bool:
        return True


def _reason(reply: Failure) -> str:
    if isinstance(reply, Refusal):
        return f"HTTP {reply.status}"
    return "the payment service cannot be reached" if isinstance(reply, NotSent) else reply.reason
