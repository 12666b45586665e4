"""A car: a battery that takes a constant power, tapers when nearly full, and stops by itself."""

from dataclasses import dataclass, field

from simulators.station.meter import W_US_PER_WH


@dataclass(slots=True)
class Car:
    """A car's battery and its appetite.

    Up to ``taper_from_percent`` it takes ``max_power_w``; above, its power falls in steps of one per cent of charge, so
    that energy stays a sum of products and is exact. At 100 % it asks for nothing, or for ``trickle_w`` for ever: some
    cars never say that they are done. Energy is in watt-microseconds inside.
    """

    battery_wh: int = 60_000
    soc_percent: int = 20
    max_power_w: int = 150_000
    taper_from_percent: int = 80
    trickle_w: int = 0
    suspended: bool = False
    _stored_w_us: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.battery_wh <= 0 or not 0 <= self.soc_percent <= 100 or not 0 <= self.taper_from_percent <= 100:
            raise ValueError("a battery needs a capacity above 0 Wh and percentages from 0 to 100")
        self._stored_w_us = self._at(self.soc_percent)

    def _at(self, percent: int) -> int:
        return -(-self.battery_wh * W_US_PER_WH * percent // 100)

    @property
    def full(self) -> bool:
        """Whether the battery holds all it can."""
        return self._stored_w_us >= self._at(100)

    def power_w(self) -> int:
        """The power that the car asks for now, in W."""
        if self.suspended:
            return 0
        if self.full:
            return self.trickle_w
        if self.soc_percent < self.taper_from_percent:
            return self.max_power_w
        room = 100 - self.taper_from_percent
        return max(1, self.max_power_w * (100 - self.soc_percent) // max(1, room))

    def energy_to_next_step_w_us(self) -> int | None:
        """How much more it takes before it asks for another power; None when that does not come."""
        if self.full:
            return None
        step = self.taper_from_percent if self.soc_percent < self.taper_from_percent else self.soc_percent + 1
        return self._at(step) - self._stored_w_us

    def take(self, energy_w_us: int) -> None:
        """Store energy; what a full battery is given is lost as heat."""
        self._stored_w_us = min(self._at(100), self._stored_w_us + energy_w_us)
        self.soc_percent = self._stored_w_us * 100 // self._at(100)
