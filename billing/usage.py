"""Usage: what was delivered and when, cut into periods; the part of an OCPI charging period that a price depends on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a session: aware ``start`` and ``end``, and the energy metered between them in Wh. The times are
    kept in UTC.

    ``parked``: the vehicle was not asking for power (OCPI PARKING_TIME). Time in which the *station* held power back is
    not parked. ``interpolated``: only both ends were metered, so nobody knows when in between the energy flowed; it
    is then billed at the cheapest energy rate that applied at any time of the period. ``start == end`` is allowed:
    energy without time.

    Raises ``ValueError`` for naive times, an end before the start, and negative energy.
    """

    start: datetime
    end: datetime
    energy_wh: int
    parked: bool = False
    interpolated: bool = False

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"A period's times need a time zone: {self.start} to {self.end}.")
        # In UTC, because Python subtracts two times of the same zone by the wall clock, daylight saving and all.
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.end < self.start:
            raise ValueError(f"A period cannot end ({self.end}) before it starts ({self.start}).")
        if self.energy_wh < 0:
            raise ValueError(f"A period's energy cannot be negative: {self.energy_wh} Wh.")


@dataclass(frozen=True, slots=True)
class Usage:
    """The periods of one session in order of time. Raises ``ValueError`` when they overlap or are out of order."""

    periods: tuple[Period, ...] = ()

    def __post_init__(self) -> None:
        for earlier, later in zip(self.periods, self.periods[1:], strict=False):
            if later.start < earlier.end:
                raise ValueError(f"Periods overlap: one ends {earlier.end}, the next starts {later.start}.")

    @property
    def energy_wh(self) -> int:
        """All energy of the session, in Wh."""
        return sum(period.energy_wh for period in self.periods)
