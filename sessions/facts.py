"""Facts: what a shell saw, past tense, version-free.

A shell (an OCPP handler, a callback, a timer, an operator's request) turns what it saw into one of these and hands it
to `sessions.service.Service.submit`. Every fact has a unique ``key``: the same event seen twice (a resent message, a
callback plus a poll) must produce the same key, and the journal's unique index then makes the second one a no-op.

Times: ``at`` is when *we* saw it (aware UTC). ``station_time`` is what the station claims, unjudged (its clock may be
wrong), also aware UTC. Energy values are `decimal.Decimal` watt-hours as delivered by the wire; they become integer Wh
in `sessions.meter`. Amounts are integer minor units.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

#: OCPP 2.0.1 IdTokenEnumType of the tokens that are made here, each for one charge.
ONE_TIME = "Central"
#: OCPP 2.1's id token type of a card payment: the token is the provider's reference of the payment (C18–C24).
DIRECT_PAYMENT = "DirectPayment"


class ChargingState(StrEnum):
    """OCPP 2.0.1 ChargingStateEnumType; 1.6 statuses are translated to it in `csms.ocpp.v16`."""

    IDLE = "Idle"
    EV_CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"


class EvseStatus(StrEnum):
    """OCPP 2.0.1 ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class TokenStatus(StrEnum):
    """OCPP 2.0.1 AuthorizationStatusEnumType, the part this house decides on."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sampled value of the energy register or of power, exactly as the station said it.

    ``value`` is not converted: ``unit`` (None = not given; the standard's default is Wh) and ``multiplier`` (2.0.1
    unitOfMeasure.multiplier, power of ten) are judged by `sessions.meter`, because stations mislabel them.
    """

    station_time: datetime
    value: Decimal | None  # None: a signed record without a plain number (1.6 format SignedData)
    measurand: str = "Energy.Active.Import.Register"
    unit: str | None = None
    multiplier: int = 0
    phase: str | None = None
    location: str | None = None
    context: str = "Sample.Periodic"
    signed: str | None = None  # the signed record, verbatim (JSON text): one changed character breaks the signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened. ``key`` is unique in the journal; ``at`` is when we saw it (aware UTC)."""

    key: str
    at: datetime


# --- stations ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFact(Fact):
    """A fact about one station."""

    station_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConnected(StationFact):
    """A station's websocket was accepted. The commit allots its connection epoch (`Outcome.epoch`)."""

    version: str  # negotiated subprotocol: "ocpp1.6" | "ocpp2.0.1" | "ocpp2.1"
    remote_address: str = ""
    security_profile: int = 0  # 1, 2, 3; 0 in facts from before it was known


@dataclass(frozen=True, slots=True, kw_only=True)
class StationDisconnected(StationFact):
    """The socket of connection ``epoch`` closed."""

    epoch: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationBooted(StationFact):
    """BootNotification. ``status`` is what we answered: Accepted | Pending | Rejected."""

    status: str
    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    firmware_version: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseStatusReported(StationFact):
    """StatusNotification. ``evse_id`` 0 is the station itself. ``charging_state`` only where 1.6's status says it."""

    evse_id: int
    connector_id: int
    status: EvseStatus
    station_time: datetime | None = None
    charging_state: ChargingState | None = None
    error_code: str = ""
    raw_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationEventRecorded(StationFact):
    """A station message that carries state but decides nothing here: kept as it came (security event, report, …)."""

    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceFound(StationFact):
    """The station broke the standard in a way we tolerated. Counted per (station, code)."""

    code: str
    detail: str
    action: str = ""


# --- transactions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFact(StationFact):
    """What 1.6's StartTransaction/StopTransaction and 2.0.1's TransactionEvent have in common.

    ``transaction_id`` is the station's (2.0.1) or ours in decimal (1.6); None in a 1.6 StartTransaction, whose id is
    allotted in the commit. ``raw`` is the payload as received, kept in the journal.

    2.1 only: ``limit_cost`` is the cost, in major units, at which the station says it will end the transaction;
    ``cost_at_station``: it computes the cost itself; ``payment_brand``: of the card at its own terminal;
    ``receipt_token``: minted by the shell (CSPRNG), used only if a
    payment at the station's own terminal opens a session.
    """

    transaction_id: str | None
    evse_id: int | None = None
    connector_id: int | None = None
    id_token: str | None = None
    id_token_type: str | None = None
    remote_start_id: int | None = None
    station_time: datetime
    charging_state: ChargingState | None = None
    samples: tuple[Sample, ...] = ()
    seq_no: int | None = None
    offline: bool = False
    trigger: str = ""
    limit_cost: Decimal | None = None
    cost_at_station: bool = False
    payment_brand: str = ""
    receipt_token: str = ""
    raw: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted(TransactionFact):
    """1.6 StartTransaction, 2.0.1 TransactionEvent Started. ``register_wh``: 1.6 meterStart."""

    register_wh: Decimal | None = None
    token_status: TokenStatus | None = None  # set by the router from the table of id tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionUpdated(TransactionFact):
    """2.0.1 TransactionEvent Updated. May carry the id token of a cable-first start, or of a stop."""

    token_status: TokenStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded(TransactionFact):
    """1.6 StopTransaction, 2.0.1 TransactionEvent Ended. ``register_wh``: 1.6 meterStop."""

    register_wh: Decimal | None = None
    reason: str = "Local"  # 2.0.1 ReasonEnumType


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyMetered(StationFact):
    """MeterValues of either version. The transaction id may be missing: the router matches by EVSE and time."""

    samples: tuple[Sample, ...]
    evse_id: int | None = None
    transaction_id: str | None = None
    raw: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStatusTold(StationFact):
    """A station said what became of a transaction (2.0.1 E14), or, without a ``transaction_id``, of its queue.

    ``ongoing``, ``messages_in_queue``: None where it did not say.
    """

    transaction_id: str | None
    ongoing: bool | None
    messages_in_queue: bool | None


# --- a session's own: every one names it ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFact(Fact):
    """A fact about one known session."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAccepted(SessionFact):
    """The station accepted the remote start: it only means "will try" (1.6 §5.11). 2.0.1 may name a transaction."""

    transaction_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRefused(SessionFact):
    """The station said no, or was certainly not asked (offline before the call was sent)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUnanswered(SessionFact):
    """Sent, or possibly sent, and no answer: unknown. Never repeated blindly."""

    reason: str = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAccepted(SessionFact):
    """The station accepted the remote stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRefused(SessionFact):
    """The station refused the stop, is offline, or did not answer: it is asked again later."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(SessionFact):
    """Somebody wants the charge to end: ``by`` card | operator | limit."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionSuperseded(SessionFact):
    """Another transaction began at the session's EVSE. ``register_wh``: the register at its start, if it was told."""

    register_wh: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineReached(SessionFact):
    """A timer of the session fell due. ``timer``: see `sessions.commands.Timer`."""

    timer: str


# --- terminals and payments -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalFact(Fact):
    """A fact about one terminal."""

    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOpened(TerminalFact):
    """We are about to arm the reader (written before the call: a callback may overtake the answer)."""

    arm_id: str
    hold_minor: int
    currency: str
    account_id: str = ""  # the processor it is armed at; what its card begins is settled there


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmClosed(TerminalFact):
    """An interaction is over (authorised, stopped, given up): the keeper may arm again."""

    arm_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalStateReported(TerminalFact):
    """The cloud says the terminal is online or not (hook, callback or GET). ``firmware``: "" where it is not told."""

    online: bool
    state: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as a terminal's cloud lets us know it. ``card_ref``: keyed hash, never the raw credential; no PAN ever."""

    card_ref: str
    masked_pan: str = ""
    aid: str = ""
    ifd: str = "UNKNOWN"  # entry mode: CONTACTLESS, QR_CODE, …


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPresented(TerminalFact):
    """A card was read in the interaction ``arm_id``. Key: ``card:{arm_id}``, so callback and poll are one fact.

    ``session_id``, ``id_token``, ``remote_start_id`` and ``receipt_token`` are minted by the shell (CSPRNG), because
    `decide` is pure; they are used only if this tap opens a session.
    """

    arm_id: str
    card: Card
    session_id: str
    id_token: str
    remote_start_id: int
    receipt_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseChosen(TerminalFact):
    """A button on the selection screen of ``session_id``: ``choice`` is the item's name, "station_id/evse_id"."""

    session_id: str
    choice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentHeld(SessionFact):
    """A hold stands. ``payment_ref`` is the provider's session id; the rest is kept for the receipt."""

    payment_ref: str
    amount_minor: int
    authorisation_code: str = ""
    host_reference: str = ""
    merchant_reference: str = ""
    terminal_transaction_id: str = ""
    aid: str = ""
    held_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDeclined(SessionFact):
    """No hold: the issuer, the terminal or the cloud said no, or the card was gone."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentUnanswered(SessionFact):
    """Nobody knows whether a hold stands: ask (GET), never repeat blindly."""

    reason: str = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentNotFound(SessionFact):
    """The provider was asked, answered, and knows of no hold for this tap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureConfirmed(SessionFact):
    """The provider confirmed the capture of ``amount_minor`` (its number, not ours)."""

    amount_minor: int
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRefused(SessionFact):
    """The provider refused for good: ``outcome`` failed | cancelled | not_found | unanswered."""

    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureUnanswered(SessionFact):
    """The capture may or may not have taken effect; the command is tried again on the provider's schedule."""

    reason: str = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(SessionFact):
    """The provider confirmed that the hold is gone without a capture."""

    payment_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRefused(SessionFact):
    """The hold could not be released: ``outcome`` captured (with the amount) | failed | not_found | unanswered."""

    payment_ref: str
    outcome: str
    amount_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseUnanswered(SessionFact):
    """The release may or may not have taken effect; tried again on the provider's schedule."""

    reason: str = "timeout"


# --- operators --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorStarted(StationFact):
    """An operator starts a charge by hand on an EVSE; a session without a payment."""

    session_id: str
    evse_id: int
    id_token: str
    id_token_type: str = ONE_TIME
    remote_start_id: int
    receipt_token: str
    operator: str


AnyFact = (
    StationConnected
    | StationDisconnected
    | StationBooted
    | EvseStatusReported
    | StationEventRecorded
    | ConformanceFound
    | TransactionStarted
    | TransactionUpdated
    | TransactionEnded
    | EnergyMetered
    | TransactionStatusTold
    | StartAccepted
    | StartRefused
    | StartUnanswered
    | StopAccepted
    | StopRefused
    | StopRequested
    | TransactionSuperseded
    | DeadlineReached
    | ArmOpened
    | ArmClosed
    | TerminalStateReported
    | CardPresented
    | EvseChosen
    | PaymentHeld
    | PaymentDeclined
    | PaymentUnanswered
    | PaymentNotFound
    | CaptureConfirmed
    | CaptureRefused
    | CaptureUnanswered
    | HoldReleased
    | ReleaseRefused
    | ReleaseUnanswered
    | OperatorStarted
)
