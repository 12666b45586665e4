"""The doers' two doors to the outside: a station, a terminal's cloud. The floors above implement them.

An expected outcome (declined, refused, offline, unknown) is a value, not an exception. `Unknown` means: it may have
taken effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sessions.commands import (
    AskTransactionStatus,
    AuthoriseHold,
    CaptureHold,
    LimitCharging,
    LookUpHold,
    ReleaseHold,
    ShowOnTerminal,
    ShowSelection,
    StartCharging,
    StopCharging,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The station said yes. ``transaction_id``: a 2.0.1 station may name a cable-first transaction."""

    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The station said no (Rejected, a CALLERROR), or does not know the call."""

    reason: str


@dataclass(frozen=True, slots=True)
class Offline:
    """The station is not connected: the call was certainly not sent."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer in time, or the connection broke after sending: it may have taken effect."""

    reason: str = "timeout"


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """What the station said of a transaction; None: it did not say."""

    ongoing: bool | None
    messages_in_queue: bool | None


StationOutcome = Accepted | Refused | Offline | Unknown
StatusOutcome = TransactionStatus | Refused | Offline | Unknown


class StationPort(Protocol):
    """Implemented by `csms.ocpp`. Every call waits for the station's answer or the call timeout."""

    async def start(self, command: StartCharging) -> StationOutcome:
        """Remote start (1.6 RemoteStartTransaction, 2.0.1 RequestStartTransaction)."""
        ...

    async def stop(self, command: StopCharging) -> StationOutcome:
        """Remote stop of a known transaction."""
        ...

    async def limit(self, command: LimitCharging) -> StationOutcome:
        """Bound a running transaction's power and time."""
        ...

    async def transaction_status(self, command: AskTransactionStatus) -> StatusOutcome:
        """What became of a transaction. A version that cannot tell is asked for a status report instead: `Unknown`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold stands at the provider."""

    payment_ref: str
    amount_minor: int
    authorisation_code: str = ""
    host_reference: str = ""
    merchant_reference: str = ""
    terminal_transaction_id: str = ""
    aid: str = ""
    held_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """No hold, for certain."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider answered and knows of no such payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """Captured, by this call or an earlier one; ``amount_minor`` is the provider's figure."""

    amount_minor: int
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """The hold is gone, nothing captured."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider reports that the payment failed (state FAILED)."""

    reason: str = ""


HoldOutcome = Held | Declined | NotFound | Unknown
CaptureOutcome = Captured | Released | Failed | NotFound | Unknown
ReleaseOutcome = Released | Captured | Failed | NotFound | Unknown


class TerminalPort(Protocol):
    """Implemented by `bridge`. ``attempt`` counts from 1; above 1 an earlier try may have taken effect: look first."""

    async def authorise(self, command: AuthoriseHold, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Turn the card that was read into a hold. ``known_refs``: holds that are other sessions'."""
        ...

    async def look_up(self, command: LookUpHold, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Ask whether a hold stands for this tap; authorises nothing."""
        ...

    async def capture(self, command: CaptureHold, *, attempt: int) -> CaptureOutcome:
        """Capture, once, at most the hold."""
        ...

    async def release(self, command: ReleaseHold, *, attempt: int) -> ReleaseOutcome:
        """Give the whole hold back."""
        ...

    async def show(self, command: ShowOnTerminal) -> bool:
        """Best effort: False if it could not be shown now."""
        ...

    async def select(self, command: ShowSelection) -> bool:
        """Show the selection screen; False if it could not be shown."""
        ...
