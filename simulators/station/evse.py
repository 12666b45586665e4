"""An EVSE: connector, cable, car, meter and contactor; no protocol."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from simulators.station.car import Car
from simulators.station.meter import MICROSECOND, Meter, Reading
from simulators.station.profile import Profile, limit_w
from simulators.station.transaction import Authorization, Transaction


class EvseState(StrEnum):
    """What a driver would see. 1.6 reports these words; 2.0.1 folds the middle five into Occupied."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


@dataclass(slots=True, eq=False)
class Evse:
    """One EVSE with one connector. Power in W, energy in Wh at the surface; time is true simulated time."""

    evse_id: int
    max_power_w: int
    settled_to: datetime
    meter: Meter = field(default_factory=Meter)
    car: Car | None = None
    powered: bool = True
    operative: bool = True
    operative_next: bool | None = None
    fault_code: str | None = None
    paused: bool = False
    finished: bool = False
    authorization: Authorization | None = None
    plug_deadline: datetime | None = None
    transaction: Transaction | None = None
    last_transaction: Transaction | None = None
    profiles: list[Profile] = field(default_factory=list)
    reported: str | None = None

    @property
    def plugged(self) -> bool:
        """Whether a car is connected."""
        return self.car is not None

    @property
    def register_wh(self) -> int:
        """The energy register in whole Wh."""
        return self.meter.register_wh

    @property
    def delivered_wh(self) -> int:
        """What the running transaction, or else the last one, delivered, in whole Wh; 0 before the first."""
        if self.transaction is not None:
            return self.meter.register_wh - self.transaction.begin.register_wh
        if self.last_transaction is not None and self.last_transaction.end is not None:
            return self.last_transaction.end.register_wh - self.last_transaction.begin.register_wh
        return 0

    @property
    def state(self) -> EvseState:
        """What a driver would see now."""
        if self.fault_code is not None:
            return EvseState.FAULTED
        if self.transaction is not None:
            return self._state_in_transaction(self.transaction)
        if not self.operative:
            return EvseState.UNAVAILABLE
        if self.plugged:
            return EvseState.FINISHING if self.finished else EvseState.PREPARING
        return EvseState.PREPARING if self.authorization is not None else EvseState.AVAILABLE

    def _state_in_transaction(self, transaction: Transaction) -> EvseState:
        if self.finished:
            return EvseState.FINISHING
        if self.authorization is None:
            return EvseState.PREPARING
        if self.car is None:
            return EvseState.PREPARING if self.plug_deadline is not None else EvseState.SUSPENDED_EV
        # The station's own pause wins when both hold (1.6 §4.9).
        if self.paused or transaction.refused or self.offered_w(self.settled_to) == 0:
            return EvseState.SUSPENDED_EVSE
        if self.car.suspended or (self.car.full and self.car.trickle_w == 0):
            return EvseState.SUSPENDED_EV
        return EvseState.CHARGING

    @property
    def charging_state(self) -> str:
        """2.0.1 ChargingStateEnumType of the running transaction."""
        state = self.state
        if state in (EvseState.CHARGING, EvseState.SUSPENDED_EV, EvseState.SUSPENDED_EVSE) and self.plugged:
            return str(state)
        return "EVConnected" if self.plugged else "Idle"

    def offered_w(self, moment: datetime) -> int:
        """What the charging profiles leave of the EVSE's power at ``moment``."""
        began = self.transaction.began_at if self.transaction is not None else None
        limit = limit_w(self.profiles, moment, began)
        return self.max_power_w if limit is None else min(self.max_power_w, limit)

    @property
    def power_w(self) -> int:
        """The power that flows now."""
        if not self.powered or self.car is None or self.state is not EvseState.CHARGING:
            return 0
        return min(self.offered_w(self.settled_to), self.car.power_w())

    def next_change(self) -> datetime | None:
        """When the power will next change by itself: a step of the car's curve, or a profile's edge."""
        if self.transaction is None or not self.powered:
            return None
        began = self.transaction.began_at
        moments = [m for p in self.profiles if (m := p.next_change(self.settled_to, began)) is not None]
        power = self.power_w
        if power and self.car is not None and (left := self.car.energy_to_next_step_w_us()) is not None:
            moments.append(self.settled_to + -(-left // power) * MICROSECOND)
        return min(moments, default=None)

    def advance(self, moment: datetime) -> None:
        """Let time pass up to ``moment``: energy is the sum of power × time over the spans of constant power."""
        while self.settled_to < moment:
            change = self.next_change()
            until = moment if change is None else min(moment, change)
            power = self.power_w
            if power and self.car is not None:
                energy = power * ((until - self.settled_to) // MICROSECOND)
                self.meter.add(energy)
                self.car.take(energy)
            self.settled_to = until

    def read(self, context: str) -> Reading:
        """What the meter shows; ``context`` in OCPP's words (ReadingContext)."""
        return Reading(
            moment=self.settled_to,
            context=context,
            register_w_us=self.meter.register_w_us,
            power_w=self.power_w,
            offered_w=self.offered_w(self.settled_to),
            soc_percent=None if self.car is None else self.car.soc_percent,
        )
