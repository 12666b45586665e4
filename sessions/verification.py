"""What a terminal's cloud says of a terminal that is being verified before it goes live. Pure: outcomes as values.

The holds of a test transaction are `sessions.ports`' Held, Declined, Released and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Answering:
    """The cloud knows the terminal. ``state``: as it says."""

    online: bool
    state: str


@dataclass(frozen=True, slots=True)
class CredentialsRefused:
    """The cloud does not take the credentials."""


@dataclass(frozen=True, slots=True)
class TerminalUnknown:
    """The credentials are right, and no such terminal is in their domain."""


@dataclass(frozen=True, slots=True)
class CloudSilent:
    """No answer that means anything."""

    reason: str


AnswersOutcome = Answering | CredentialsRefused | TerminalUnknown | CloudSilent


@dataclass(frozen=True, slots=True)
class TrialAt:
    """A test transaction, and the processor it is made at ("": the platform's)."""

    test_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class Armed:
    """The reader waits for a card."""


@dataclass(frozen=True, slots=True)
class NotArmed:
    """The reader does not. ``offline``: the terminal is; else ``reason`` says what was in the way."""

    reason: str
    offline: bool = False


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card was presented; ``card_ref`` stands for it."""

    card_ref: str


@dataclass(frozen=True, slots=True)
class NoCardYet:
    """Nobody has presented one, or nobody could say."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The callback URL leads here."""


@dataclass(frozen=True, slots=True)
class NotReached:
    """It does not; ``reason`` says how it failed, without the address."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test transaction, as far as a terminal's cloud has to know it. Amount in minor units.

    ``armed_at``: when its reader was armed (aware UTC); a hold that is older is not this trial's.
    """

    serial: str
    account_id: str
    arm_id: str
    armed_at: datetime
    amount_minor: int
    currency: str
    language: str
    card_ref: str = ""
