"""What a batch of facts is decided on: everything it may touch, read once, changed in memory, written once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from billing.ledger import PLATFORM
from billing.tariff import Tariff
from sessions.directory import Admission, ArmState
from sessions.facts import ChargingState, EvseStatus, TransactionStarted
from sessions.session import Place, Session
from sessions.tables import RUNNING, Charging
from sessions.tokens import TokenRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRow:
    """A station, as far as decisions care."""

    station_id: str
    admission: Admission
    connected: bool
    epoch: int
    node: str | None = None
    version: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware_version: str | None = None
    boot_status: str | None = None
    booted_at: datetime | None = None
    seen_at: datetime | None = None
    owner_id: str = PLATFORM


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseRow:
    """An EVSE. ``waiting``: a cable-first transaction that nobody has authorised yet (2.0.1)."""

    station_id: str
    evse_id: int
    label: str | None = None
    tariff_id: str | None = None
    max_power_w: int | None = None
    status: EvseStatus = EvseStatus.AVAILABLE
    charging_state: ChargingState | None = None
    raw_status: str | None = None
    error_code: str | None = None
    status_at: datetime | None = None
    plugged_at: datetime | None = None
    waiting: TransactionStarted | None = None

    @property
    def name(self) -> str:
        """ "station/evse", as claims and screen items name it."""
        return f"{self.station_id}/{self.evse_id}"

    @property
    def place(self) -> Place:
        """The EVSE as a session freezes it."""
        label = self.label or f"{self.station_id} {self.evse_id}"
        return Place(station_id=self.station_id, evse_id=self.evse_id, label=label, max_power_w=self.max_power_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalRow:
    """A terminal and the EVSEs it serves, in the operator's order. ``out_of_service``: why it takes no new card."""

    serial: str
    currency: str
    language: str
    touch_screen: bool
    out_of_service: str = ""
    evses: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """An interaction at a reader."""

    arm_id: str
    serial: str
    state: ArmState
    hold_minor: int
    currency: str
    opened_at: datetime
    account_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedRow:
    """An active reservation. ``evse_id`` None: one of the station's EVSEs, whichever."""

    station_id: str
    evse_id: int | None
    id_token: str
    group_id: str | None


@dataclass(slots=True)
class WorkingSet:
    """The rows of a batch. Changing one marks it to be written."""

    sessions: dict[str, Session] = field(default_factory=dict)
    stations: dict[str, StationRow] = field(default_factory=dict)
    evses: dict[tuple[str, int], EvseRow] = field(default_factory=dict)
    terminals: dict[str, TerminalRow] = field(default_factory=dict)
    arms: dict[str, ArmRow] = field(default_factory=dict)
    tariffs: dict[str, Tariff] = field(default_factory=dict)
    tokens: dict[str, TokenRecord] = field(default_factory=dict)
    reserved: list[ReservedRow] = field(default_factory=list)
    issuer_id: str = ""
    next_transaction: int = 0
    taken_transactions: set[str] = field(default_factory=set)  # above `next_transaction`, and not allotted by us
    stored: set[str] = field(default_factory=set)  # session ids that the database has
    changed_sessions: dict[str, None] = field(default_factory=dict)  # ordered
    changed_stations: set[str] = field(default_factory=set)
    changed_evses: set[tuple[str, int]] = field(default_factory=set)
    changed_arms: set[str] = field(default_factory=set)

    def put_session(self, session: Session) -> None:
        """Keep ``session``'s new state."""
        if self.sessions.get(session.session_id) is not session:
            self.sessions[session.session_id] = session
            self.changed_sessions[session.session_id] = None

    def put_station(self, station: StationRow) -> None:
        """Keep ``station``'s new state."""
        self.stations[station.station_id] = station
        self.changed_stations.add(station.station_id)

    def put_evse(self, evse: EvseRow) -> None:
        """Keep ``evse``'s new state."""
        self.evses[evse.station_id, evse.evse_id] = evse
        self.changed_evses.add((evse.station_id, evse.evse_id))

    def put_arm(self, arm: ArmRow) -> None:
        """Keep ``arm``'s new state."""
        self.arms[arm.arm_id] = arm
        self.changed_arms.add(arm.arm_id)

    def owner_of(self, station_id: str) -> str:
        """Whose station it is; one never heard of is the platform's."""
        station = self.stations.get(station_id)
        return station.owner_id if station is not None else PLATFORM

    def evse(self, station_id: str, evse_id: int) -> EvseRow:
        """The EVSE's row; a new one for an EVSE never heard of."""
        return self.evses.get((station_id, evse_id)) or EvseRow(station_id=station_id, evse_id=evse_id)

    def allot_transaction_id(self) -> str:
        """The next 1.6 transaction id (an int of ours, never 0 or below, never used twice)."""
        self.next_transaction += 1
        while str(self.next_transaction) in self.taken_transactions:
            self.next_transaction += 1
        return str(self.next_transaction)

    def at_station(self, station_id: str) -> list[Session]:
        """The batch's sessions of a station, oldest first."""
        found = [s for s in self.sessions.values() if s.place is not None and s.place.station_id == station_id]
        return sorted(found, key=lambda s: (s.opened_at, s.session_id))

    def running_at(self, station_id: str, evse_id: int) -> Session | None:
        """The session whose transaction runs on the EVSE; the newest if a lost end left two."""
        running = [
            s
            for s in self.at_station(station_id)
            if s.charging in RUNNING and s.place is not None and s.place.evse_id == evse_id
        ]
        return running[-1] if running else None

    def occupant(self, station_id: str, evse_id: int) -> Session | None:
        """The open session that has, or is about to have, the EVSE."""
        for s in reversed(self.at_station(station_id)):
            busy = s.charging in RUNNING or s.claim is not None
            if busy and s.place is not None and s.place.evse_id == evse_id:
                return s
        return None

    def choosing_at(self, serial: str) -> list[Session]:
        """The terminal's sessions that still wait for a choice on the screen."""
        return [s for s in self.sessions.values() if s.terminal_serial == serial and s.charging is Charging.CHOOSING]

    def clear_waiting(
        self, station_id: str, evse_id: int | None, transaction_id: str | None
    ) -> TransactionStarted | None:
        """Take the waiting cable-first transaction ``transaction_id`` off its EVSE and return it."""
        for (station, number), evse in self.evses.items():
            waiting = evse.waiting
            same_evse = evse_id is None or number == evse_id
            if station == station_id and same_evse and waiting and waiting.transaction_id == transaction_id:
                self.put_evse(replace(evse, waiting=None))
                return waiting
        return None
