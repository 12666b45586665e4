"""What a simulated station is told when it is made."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from simulators.clock import SimClock
from simulators.station.car import Car

Version = Literal["1.6", "2.0.1"]


@dataclass(slots=True)
class Quirks:
    """What stations in the field get wrong; everything is off to begin with and may be switched while it runs."""

    kwh: bool = False
    """Energy registers in kWh (legal, but not what most expect)."""
    register_per_phase: bool = False
    """The register three times, L1, L2 and L3, each with the whole."""
    omit_transaction_id: bool = False
    """1.6: MeterValues without transactionId. 2.0.1: samples come as MeterValues, not as TransactionEvents."""
    transaction_id_minus_one: bool = False
    """1.6: a StartTransaction that fails or stays unanswered is given up; its StopTransaction says -1."""
    resend_transactions: bool = False
    """The first answer to each transaction message is lost: it comes again under a new message id."""
    omit_remote_start_id: Literal["never", "after_started", "always"] = "never"
    """2.0.1: no remoteStartId in Updated and Ended, or nowhere."""
    seq_no_zero: bool = False
    """2.0.1: seqNo is 0 in every event."""
    float_noise: bool = False
    """Energy as a 32-bit float turned into decimals, such as 9.166666984558105."""
    small_message_ids: bool = False
    """Message ids are 1, 2, 3… and begin again with each connection."""
    refuse_remote_start: bool = False
    """Remote starts are answered Rejected."""
    never_start: bool = False
    """Remote starts are Accepted and then forgotten."""
    never_answer_remote_start: bool = False
    """Remote starts are obeyed and never answered."""
    answer_delay_s: float = 0.0
    """Remote starts are answered, and then obeyed, that many simulated seconds late."""
    answer_after_event: bool = False
    """The transaction event (or StartTransaction) goes out before the answer to the remote start."""
    call_before_answer: bool = False
    """A call of the station's own goes out before each answer to one of ours."""
    clock_1970: bool = False
    """The clock counts from 1970 until the boot is answered, and a meter value is sent before that."""
    status_before_boot: bool = False
    """StatusNotifications precede the BootNotification."""


@dataclass(slots=True)
class StationConfig:
    """How a station is built and wired.

    Simulated seconds: ``boot_s``. Real seconds, because a network does not run faster with the clock:
    ``call_timeout_s``, ``reconnect_first_s`` and ``reconnect_most_s`` (back-off doubles from one to the other).
    ``settings`` overrides defaults by house name, see `simulators.station.settings.TABLE`.
    """

    identity: str
    url: str
    version: Version = "1.6"
    evses: int = 1
    password: str | None = None
    max_power_w: int = 11_000
    clock: SimClock = field(default_factory=SimClock)
    car: Car = field(default_factory=Car)
    quirks: Quirks = field(default_factory=Quirks)
    settings: dict[str, str] = field(default_factory=dict)
    vendor: str = "Tapvolt"
    model: str = "Simulated"
    fixed_cable: bool = False
    registers_wh: tuple[int, ...] = ()
    boot_s: float = 5.0
    call_timeout_s: float = 30.0
    reconnect_first_s: float = 0.2
    reconnect_most_s: float = 30.0
    record: bool = True
    on_event: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if self.version not in ("1.6", "2.0.1"):
            raise ValueError(f"version must be 1.6 or 2.0.1, not {self.version}")
        if self.evses < 1 or self.max_power_w < 1:
            raise ValueError("a station has at least one EVSE and some power")

    def new_car(self) -> Car:
        """Another car of the configured kind."""
        return dataclasses.replace(self.car)
