"""What the shells may ask: who is this station, this terminal, this token. Reads only; writing is `Inbox.submit`.

`sessions.store` implements both protocols; the shells see nothing else of the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sessions.facts import EvseStatus, Fact, TokenStatus
from sessions.tokens import TokenRecord


class Admission(StrEnum):
    """What we think of a station: only ``accepted`` ones charge."""

    ACCEPTED = "accepted"
    HELD = "held"  # unknown, waiting for an operator's approval: boot is answered Pending
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRecord:
    """A station as stored. ``password_hash``: see `csms.ocpp.credentials`; None = none set yet."""

    station_id: str
    admission: Admission
    password_hash: str | None
    connected: bool
    epoch: int
    version: str | None = None
    serial_number: str | None = None  # as it last said
    security_profile: int = 0  # the least it may come with; 0: any
    #: New passwords that it may come back with, the newest last; of each, the hash of every form it may bring.
    pending_hashes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecord:
    """An issued receipt: its number in the issuer's series, and where a driver finds it."""

    number: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalEvse:
    """One EVSE that a terminal serves."""

    station_id: str
    evse_id: int
    label: str
    status: EvseStatus
    station_connected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalRecord:
    """A terminal as configured. ``hold_minor``: what to arm it with (the largest hold of its EVSEs' tariffs).

    ``account_id``: the processor a new tap is paid through; "": the platform's. ``out_of_service``: why it is not to be
    armed ("state": not live; "licence": none, or expired); "" when it is. ``stops_only``: its licence ran out during a
    charge that was started here: it is armed for that one's card, to stop it. ``on_trial``: a test transaction has its
    reader.
    """

    serial: str
    family: str  # P66 | P66S | P68 | Apollo | Apollo Max | Apollo Polar
    currency: str
    language: str  # en | nb
    hold_minor: int
    price_text: str  # shown on the idle screen, in `language`
    evses: tuple[TerminalEvse, ...]
    account_id: str = ""
    out_of_service: str = ""
    stops_only: bool = False
    on_trial: bool = False


class ArmState(StrEnum):
    """An interaction at a reader: open → presented → closed."""

    OPEN = "open"
    PRESENTED = "presented"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRecord:
    """The newest interaction of a terminal."""

    arm_id: str
    serial: str
    state: ArmState
    hold_minor: int
    opened_at: datetime
    account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorAccess:
    """How an owner's own processor is reached. Equal ones are reached in the same way."""

    account_id: str
    base_url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a submitted fact, after its commit.

    ``duplicate``: the key was known; the other fields are then the first one's. ``transaction_id``: the session's
    (allotted in the commit for 1.6). ``token_status``: how the session's own ``id_token`` stands. ``total_minor``: the
    cost so far or final, incl. VAT, None where there is no tariff (0 = free, to be sent). ``limit_minor``: the cost at
    which a running transaction must end, where its station has not yet said that it will end it there by itself.
    """

    duplicate: bool = False
    session_id: str | None = None
    transaction_id: str | None = None
    token_status: TokenStatus | None = None
    id_token: str = ""
    total_minor: int | None = None
    currency: str | None = None
    ended: bool = False
    limit_minor: int | None = None
    epoch: int | None = None


class Inbox(Protocol):
    """Where facts go. Returns after the commit that holds the fact; raises only if it could not be stored at all."""

    async def submit(self, fact: Fact) -> Outcome:
        """Commit the fact, then return what became of it."""
        ...


class StationDirectory(Protocol):
    """What the OCPP shell may ask."""

    async def station(self, station_id: str) -> StationRecord | None:
        """The station, None if never heard of."""
        ...

    async def register_station(self, station_id: str, admission: Admission, password_hash: str | None) -> None:
        """Write down a station that connected for the first time (policy accept or hold). Idempotent."""
        ...

    async def adopt_password(self, station_id: str, password_hash: str) -> None:
        """The station came with a new password: it is its password now, and all from before are void."""
        ...

    async def token(self, id_token: str) -> TokenRecord:
        """The id token as kept, `UNKNOWN` if it is not; one-time tokens whose charge is to begin or runs are good."""
        ...

    async def cost_limit_supported(self, station_id: str) -> bool | None:
        """Whether the station's TxCtrlr.SupportedLimits lists MaxCost (2.1 E16); None if it never told."""
        ...

    async def payment_status(self, station_id: str, reference: str) -> TokenStatus:
        """How a payment reference stands as an id token (2.1 DirectPayment).

        Accepted while its charge is to come or runs, Invalid afterwards. One nobody knows is the station's own
        terminal's, which has authorised it: Accepted.
        """
        ...

    async def tx_profile(self, station_id: str, evse_id: int) -> dict[str, Any] | None:
        """The TxProfile that counts at an EVSE, as 2.0.1's ChargingProfileType; None if there is none."""
        ...

    async def dynamic_limits(self, station_id: str, profile_id: int) -> dict[str, Any] | None:
        """What an operator last gave a dynamic charging profile (2.1 K28); None if nothing."""
        ...

    async def receipt(self, session_id: str) -> ReceiptRecord | None:
        """The session's receipt; None if none is issued yet."""
        ...


class TerminalDirectory(Protocol):
    """What the bridge may ask."""

    async def terminals(self) -> tuple[TerminalRecord, ...]:
        """All terminals."""
        ...

    async def terminal(self, serial: str) -> TerminalRecord | None:
        """One terminal, None if unknown."""
        ...

    async def latest_arm(self, serial: str) -> ArmRecord | None:
        """The newest interaction of a terminal."""
        ...

    async def arm(self, arm_id: str) -> ArmRecord | None:
        """One interaction."""
        ...

    async def interaction_pending(self, arm_id: str) -> bool:
        """Whether a session or a command still needs the card read in this interaction."""
        ...


class ProcessorDirectory(Protocol):
    """Where owners' own processors are looked up (`csms.terminals.processors`)."""

    async def access(self, account_id: str) -> ProcessorAccess | None:
        """How the account is reached now; None if there is none, or if its credentials are missing or do not open."""
        ...
