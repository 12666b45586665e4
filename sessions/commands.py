"""Commands: what a decision wants done, imperative. They land in the outbox in the decision's own commit.

A doer (`sessions.doers`) carries one out, outside any database transaction, and reports what happened as a fact. Timers
are commands due later. ``key`` makes a command unique: deciding twice never asks twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sessions.facts import ONE_TIME


class Timer(StrEnum):
    """The session's deadlines; what each one ends is in `sessions.decide`."""

    CHOICE = "choice"  # the driver did not choose an EVSE on the screen
    PAYMENT = "payment"  # nobody could say whether a hold stands
    START = "start"  # accepted (or unanswered) remote start, and no transaction: never plugged in
    STOP = "stop"  # asked to stop, and the transaction still runs: ask again
    HOLD_ENDING = "hold_ending"  # the hold is about to expire: stop while it can still be captured
    LOST_END = "lost_end"  # evidence says that the charge is over, and nobody told its end
    SILENCE = "silence"  # nothing was heard of a charge without a hold for long
    SETTLEMENT = "settlement"  # the station never said what became of the payment at its own terminal
    SETTLE = "settle"  # the station never told the end: settle on the last trusted reading, provisionally


class Message(StrEnum):
    """What a terminal says to the driver; the words per language are the bridge's (`bridge.texts`)."""

    AUTHORISING = "authorising"
    CHOOSE_EVSE = "choose_evse"
    PLUG_IN_FIRST = "plug_in_first"  # P6x with several free EVSEs and no fresh cable
    PLUG_IN = "plug_in"
    STARTING = "starting"
    CHARGING = "charging"
    STOPPING = "stopping"
    DECLINED = "declined"
    PAYMENT_UNKNOWN = "payment_unknown"
    NOT_STARTED = "not_started"
    START_REFUSED = "start_refused"
    STATION_OFFLINE = "station_offline"
    EVSE_OCCUPIED = "evse_occupied"
    EVSE_RESERVED = "evse_reserved"
    EVSE_FAULTED = "evse_faulted"
    OTHER_CARD = "other_card"
    OUT_OF_SERVICE = "out_of_service"  # the terminal takes no cards: suspended, or not live yet
    NOT_LICENSED = "not_licensed"  # the terminal takes no cards: it has no licence, or its licence ran out
    CHOICE_TIMED_OUT = "choice_timed_out"
    FINISHED = "finished"
    NOT_CHARGED = "not_charged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something to do. ``key`` unique for ever; ``due_at`` None = at once.

    ``account_id``, where a terminal is meant: the processor through which it is reached; "": the platform's.
    """

    key: str
    session_id: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachDeadline(Command):
    """Submit `DeadlineReached` at ``due_at``."""

    timer: Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSelection(Command):
    """Ask on the terminal's screen which EVSE; the answer comes back as `EvseChosen`. Item: (name, label)."""

    serial: str
    account_id: str = ""
    items: tuple[tuple[str, str], ...]
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOnTerminal(Command):
    """Show a message. ``ends_interaction``: also forget the card that was read (`stop`), so the reader can be armed."""

    serial: str
    account_id: str = ""
    message: Message
    language: str
    parameters: dict[str, str] = field(default_factory=dict)
    receipt_url_token: str | None = None  # show the QR of this receipt's page as well
    arm_id: str | None = None
    ends_interaction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoriseHold(Command):
    """Turn the card read in interaction ``arm_id`` into a hold of the armed amount."""

    serial: str
    account_id: str = ""
    arm_id: str
    card_ref: str
    hold_minor: int
    currency: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpHold(Command):
    """Ask the provider whether a hold stands for this tap."""

    serial: str
    account_id: str = ""
    arm_id: str
    card_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureHold(Command):
    """Capture ``amount_minor`` of the hold, once; the provider releases the rest."""

    serial: str
    account_id: str = ""
    payment_ref: str
    amount_minor: int
    held_minor: int
    currency: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold(Command):
    """Release the whole hold; nothing is captured."""

    serial: str
    account_id: str = ""
    payment_ref: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCharging(Command):
    """Remote start. ``limit_w``, ``limit_s``: a bounded TxProfile, the only guard while the station is offline.

    ``payment_ref``: of the hold, where there is one: 2.1 says it instead of the one-time token (C24).
    """

    station_id: str
    evse_id: int
    id_token: str
    id_token_type: str = ONE_TIME
    remote_start_id: int
    payment_ref: str = ""
    limit_w: int | None = None
    limit_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCharging(Command):
    """Install a TxProfile for a running transaction: the station forgot it with a power cut, or a car asked for one.

    ``limit_s``: after so many seconds it allows nothing; None: it goes on.
    """

    station_id: str
    evse_id: int
    transaction_id: str
    remote_start_id: int
    limit_w: int
    limit_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCharging(Command):
    """Remote stop of a known transaction."""

    station_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTransactionStatus(Command):
    """Ask a station that was away, or is silent, what became of a transaction that we believe to run there."""

    station_id: str
    evse_id: int
    transaction_id: str


AnyCommand = (
    ReachDeadline
    | ShowSelection
    | ShowOnTerminal
    | AuthoriseHold
    | LookUpHold
    | CaptureHold
    | ReleaseHold
    | StartCharging
    | StopCharging
    | LimitCharging
    | AskTransactionStatus
)
