"""The doors through which a terminal is verified; `bridge.verification` and `bridge.callback_probe` implement them."""

from __future__ import annotations

from typing import Protocol

from sessions.ports import HoldOutcome, ReleaseOutcome, Unknown
from sessions.verification import (
    AnswersOutcome,
    Armed,
    CardRead,
    CloudSilent,
    NoCardYet,
    NotArmed,
    NotReached,
    Reached,
    Trial,
)


class VerificationPort(Protocol):
    """A terminal's cloud, for one that is not live. ``account_id``: the processor's; "": the platform's."""

    async def answers(self, serial: str, account_id: str) -> AnswersOutcome:
        """Whether the terminal answers under the account's credentials."""
        ...

    async def arm(self, trial: Trial) -> Armed | NotArmed:
        """Arm the reader with the trial's amount. No hold can come of it: safe to repeat."""
        ...

    async def card(self, trial: Trial, wait_s: int) -> CardRead | NoCardYet:
        """Wait for a card, at most ``wait_s`` seconds."""
        ...

    async def disarm(self, trial: Trial) -> bool:
        """Let the reader forget the trial; False if nobody could say whether it has."""
        ...

    async def authorise(self, trial: Trial, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Hold the amount on the card that was read. Above attempt 1 a hold is looked for first."""
        ...

    async def look_up(self, trial: Trial, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Whether a hold stands. NotFound is final."""
        ...

    async def release(self, trial: Trial, payment_ref: str, *, attempt: int) -> ReleaseOutcome:
        """Release the hold. Above attempt 1 the truth is asked for first."""
        ...


class ProbePort(Protocol):
    """The callback URL, seen from outside."""

    async def probe(self) -> Reached | NotReached:
        """Whether it leads here."""
        ...


class NoCloud:
    """No terminals' cloud is configured: nothing answers, nothing is held."""

    _WHY = "no terminals' cloud is configured here (settings: payter)"

    async def answers(self, serial: str, account_id: str) -> AnswersOutcome:
        """Silence."""
        return CloudSilent(self._WHY)

    async def arm(self, trial: Trial) -> Armed | NotArmed:
        """Not armed."""
        return NotArmed(self._WHY)

    async def card(self, trial: Trial, wait_s: int) -> CardRead | NoCardYet:
        """None."""
        return NoCardYet()

    async def disarm(self, trial: Trial) -> bool:
        """Nobody can say."""
        return False

    async def authorise(self, trial: Trial, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Unknown: a hold of before may stand."""
        return Unknown(self._WHY)

    async def look_up(self, trial: Trial, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Unknown."""
        return Unknown(self._WHY)

    async def release(self, trial: Trial, payment_ref: str, *, attempt: int) -> ReleaseOutcome:
        """Unknown: tried again on schedule."""
        return Unknown(self._WHY)

    async def probe(self) -> Reached | NotReached:
        """Not reached."""
        return NotReached(self._WHY)
