"""An energy meter counted in whole watt-microseconds, so that nothing is ever rounded twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta

W_US_PER_WH = 3_600_000_000  # one watt-hour is 3600 s × 1 000 000 µs of one watt
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Meter:
    """An import register that never falls and keeps its value through reboots and power cuts."""

    register_w_us: int = 0

    @property
    def register_wh(self) -> int:
        """The register in whole Wh, rounded down: never more than was delivered."""
        return self.register_w_us // W_US_PER_WH

    def add(self, energy_w_us: int) -> None:
        """Count energy. Raises ``ValueError`` for a negative amount: the register never falls."""
        if energy_w_us < 0:
            raise ValueError("an import register never falls")
        self.register_w_us += energy_w_us


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter and the car showed at one moment (true simulated time)."""

    moment: datetime
    context: str
    register_w_us: int
    power_w: int
    offered_w: int
    soc_percent: int | None

    @property
    def register_wh(self) -> int:
        """The register in whole Wh, rounded down."""
        return self.register_w_us // W_US_PER_WH
