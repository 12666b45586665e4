"""A clock that can run faster than the wall's, so that an hour's charge fits in a demonstration.

Simulated time is a pure function of the wall clock: ``anchor + (wall - anchor) * speed``. Processes that are given the
same anchor and the same speed therefore agree on the time without speaking to each other. **The central system must run
with the same speed and anchor as the simulators**, or else its deadlines and its tariff's minutes will not be theirs.
"""

import asyncio
from datetime import UTC, datetime, timedelta


def wall() -> datetime:
    """The real time, aware, in UTC."""
    return datetime.now(UTC)


class SimClock:
    """Simulated time, with ``speed`` simulated seconds in each real one.

    With the anchor left out, simulated time starts from the real time at which the clock was made; give the anchor when
    more than one process must agree.

    Raises ``ValueError`` for a speed that is not above zero and for an anchor without a time zone.
    """

    def __init__(self, speed: float = 1.0, anchor: datetime | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        if anchor is not None and anchor.tzinfo is None:
            raise ValueError("anchor needs a time zone")
        self.speed = speed
        self.anchor = wall() if anchor is None else anchor.astimezone(UTC)
        self.offset = timedelta(0)

    def true_now(self) -> datetime:
        """Simulated time as it is, whatever a wrong clock shows: physics runs on this one."""
        return self.anchor + (wall() - self.anchor) * self.speed

    def now(self) -> datetime:
        """Simulated time as this clock shows it: the true one plus the offset."""
        return self.true_now() + self.offset

    def set_offset(self, offset: timedelta) -> None:
        """Make the clock wrong by ``offset`` (positive: fast). Sleeping is not affected."""
        self.offset = offset

    def copy(self) -> "SimClock":
        """A clock with the same speed and anchor and an offset of its own."""
        twin = SimClock(self.speed, self.anchor)
        twin.offset = self.offset
        return twin

    async def sleep(self, seconds: float) -> None:
        """Wait for that many simulated seconds."""
        await self.sleep_until(self.true_now() + timedelta(seconds=seconds))

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until the true simulated time has reached ``moment``; returns at once when it has passed."""
        # asyncio counts on another clock than the wall's and may wake a little early; hence the second look.
        while (left := moment - self.true_now()) > timedelta(0):  # noqa: ASYNC110
            await asyncio.sleep(left.total_seconds() / self.speed)

    def real_seconds(self, seconds: float) -> float:
        """How many real seconds that many simulated ones take: for time limits that asyncio keeps."""
        return seconds / self.speed
