"""A session's state, and a decision about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billing.cost import Cost
from billing.ledger import PLATFORM, EntrySet
from billing.payment import RESOLVED, Payment
from billing.receipt import Buyer
from billing.tariff import Tariff
from billing.way import Way
from sessions.commands import Command
from sessions.facts import ONE_TIME, Card, TokenStatus
from sessions.meter import Meter
from sessions.tables import CLAIMING, OVER, Charging


class Origin(StrEnum):
    """Who authorised the charge; a card is one way to pay."""

    CARD = "card"
    DIRECT = "direct"  # a card at the station's own terminal, which also collects (2.1 C18–C23)
    RFID = "rfid"
    OPERATOR = "operator"
    UNAUTHORISED = "unauthorised"  # a transaction nobody allowed: recorded, stopped, never charged


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """What the receipt must say of the hold; masked, never a PAN."""

    payment_ref: str = ""
    authorisation_code: str = ""
    host_reference: str = ""
    merchant_reference: str = ""
    terminal_transaction_id: str = ""
    aid: str = ""
    brand: str = ""  # as told, where no application identifier is


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The EVSE as it was when the session opened: names and limits are frozen with the tariff."""

    station_id: str
    evse_id: int
    label: str = ""
    max_power_w: int | None = None  # None: not configured, the policy's bound applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One charging session, whoever authorised it. Amounts in minor units of ``currency``."""

    session_id: str
    origin: Origin
    opened_at: datetime
    receipt_token: str
    charging: Charging
    payment: Payment
    language: str = "en"
    currency: str = ""

    place: Place | None = None
    tariff: Tariff | None = None  # frozen at the tap
    issuer_id: str = ""
    owner_id: str = PLATFORM  # whose station it is; frozen like the tariff
    account_id: str = ""  # the owner's own processor, which collects; "": the platform's
    way: Way = Way.CARD

    id_token: str = ""
    id_token_type: str = ONE_TIME
    remote_start_id: int | None = None
    transaction_id: str | None = None
    connector_id: int | None = None  # the transaction's, where the station names it
    token_status: TokenStatus = TokenStatus.ACCEPTED

    terminal_serial: str | None = None
    arm_id: str | None = None
    card: Card | None = None
    choices: tuple[tuple[Place, Tariff | None], ...] = ()  # while choosing

    hold_minor: int = 0  # what the terminal was armed with
    held_minor: int = 0
    held_at: datetime | None = None
    limit_confirmed: bool = False  # 2.1: the station said that it ends the transaction at the hold
    cost_at_station: bool = False  # 2.1: it computes the cost itself
    hold_number: int = 0  # how many holds were ever confirmed: one (a test's invariant)
    authorisation: Authorisation = field(default_factory=Authorisation)
    capture_minor: int = 0  # what we asked for
    captured_minor: int = 0  # what the provider confirmed
    captured_at: datetime | None = None
    look_ups: int = 0
    settled_minor: int | None = None  # what the station's own terminal collected
    settled_at: datetime | None = None
    settlement_awaited: bool = False
    settlement_refused: str = ""  # why the station's own terminal collected nothing
    buyer: Buyer | None = None  # the company that the receipt is for

    meter: Meter = field(default_factory=Meter)
    started_at: datetime | None = None  # of the transaction, by the station's clock where that can be believed
    ended_at: datetime | None = None
    end_reason: str = ""
    end_register_wh: str = ""  # as reported, to notice a second, different end
    heard_at: datetime | None = None  # when a message of the running transaction last came
    away_since: datetime | None = None  # the station came back then, and the transaction has not shown itself since
    doubted_at: datetime | None = None  # since when evidence says that the end was lost (`sessions.dangling`)
    doubted_until: datetime | None = None  # how long the end, or a sign of life, is waited for
    reminders: int = 0  # timers set for these
    statuses_asked: int = 0
    lost_at: datetime | None = None  # when we gave up waiting for the end
    stop_by: str = ""
    stops_asked: int = 0
    unpaid: bool = False  # a transaction that started after we gave up: free
    cost: Cost | None = None  # set once, when the session is settled
    written_off_minor: int = 0
    provisional: bool = False
    contract: Cost | None = None  # of a charge without a card: what is booked as owed by whoever is behind its token
    contracts: int = 0  # how often that was booked: an end that comes after all may say otherwise
    receipt_due: bool = False  # a sales document is owed (and issued in the same commit)
    flags: tuple[str, ...] = ()  # reasons for an operator's review
    closed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether something is still to come: the charge is not over, or its hold is not resolved."""
        return not (self.charging in OVER and self.payment in RESOLVED)

    @property
    def claim(self) -> str | None:
        """The EVSE this session claims before its transaction runs."""
        if self.charging in CLAIMING and self.place:
            return f"{self.place.station_id}/{self.place.evse_id}"
        return None

    @property
    def book(self) -> str:
        """The book its money stands in: an owner's own processor collects past the platform."""
        return f"owner:{self.owner_id}" if self.account_id else PLATFORM

    @property
    def owed_to_owner(self) -> bool:
        """Whether what is taken is the platform's to pay out: sold in its own name, and somebody else's energy."""
        return self.book == PLATFORM and self.owner_id != PLATFORM and self.origin is not Origin.DIRECT

    @property
    def one_time(self) -> bool:
        """Whether the id token was made for this session, so that whoever says it means this session."""
        return self.remote_start_id is not None and self.id_token_type == ONE_TIME

    @property
    def max_power_w(self) -> int | None:
        """The EVSE's configured maximum power."""
        return self.place.max_power_w if self.place else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Timings and bounds that decisions depend on; set by the operator (`csms.settings`). Seconds, watts."""

    connection_timeout_s: int = 120  # EVConnectionTimeOut / ConnectionTimeOut, also set at the stations
    connection_margin_s: int = 5
    choice_timeout_s: int = 30
    payment_timeout_s: int = 60  # how long a driver waits while nobody knows whether a hold stands
    look_up_interval_s: int = 10
    look_up_for_s: int = 900  # how long a hold that nobody knows of is looked for
    stop_retry_s: int = 60
    stop_attempts: int = 10
    lost_end_s: int = 300  # how long a returned station's queue is waited for before a charge's end is taken for lost
    silence_s: int = 48 * 3600  # a charge without a hold of which nothing was heard for so long is doubted
    hold_lifetime_s: int = 48 * 3600
    hold_margin_s: int = 2 * 3600
    max_power_w: int = 500_000  # no EVSE delivers more, unless configured
    sample_interval_s: int = 60
    fresh_cable_s: int = 180  # P6x: the cable plugged in last within this is meant
    offline_limit: bool = True  # bounded TxProfile where the EVSE's maximum power is configured


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from a fact: all of it lands in one commit."""

    session: Session
    commands: tuple[Command, ...] = ()
    entry_sets: tuple[tuple[str, EntrySet], ...] = ()  # (set key, entries)
