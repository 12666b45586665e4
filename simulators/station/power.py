"""The station's own power: restarts, mains failures, resets that wait for the last transaction."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from simulators.station.transaction import StopCause

if TYPE_CHECKING:
    from simulators.station.station import Station

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GOODBYE_S = 5.0  # real seconds that a soft restart waits for its last messages to be answered


class Power:
    """On, off, and what is kept in between: registers, settings, availability, messages not yet answered."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.on = False
        self._cut_at: datetime | None = None
        self._restarting = False
        self._reset_waits = False

    async def cut(self) -> None:
        """The mains fail. Raises ``ValueError`` when there is no power to cut."""
        if not self.on:
            raise ValueError("the power is off")
        self.down()
        self._cut_at = self._station.clock.true_now()
        await self._station.line.hang_up()

    async def restart(self, cause: StopCause, boot_reason: str, *, hard: bool) -> None:
        """End all transactions, say so unless it is a hard one, go dark for a while, come up again."""
        station = self._station
        if self._restarting or not self.on:
            return
        self._restarting = True
        try:
            station.settle()
            for evse in station.evses.values():
                if evse.transaction is not None:
                    station.charging.stop(evse, cause)
            if not hard and station.online:
                # It restarts all the same when its messages do not get through; they are kept.
                with contextlib.suppress(TimeoutError):
                    await station.wait_for(lambda s: not s.online or not s.outbox.transactions_waiting(), GOODBYE_S)
            self.down()
            await station.line.hang_up(politely=True)
            await station.clock.sleep(station.config.boot_s)
            self.up(boot_reason)
        finally:
            self._restarting = False

    def reset_when_idle(self) -> None:
        """2.0.1 Reset OnIdle: restart as soon as no transaction runs."""
        self._reset_waits = True
        self.reset_if_idle()

    def reset_if_idle(self) -> None:
        """Carry out the reset that waited for the last transaction."""
        if self._reset_waits and all(evse.transaction is None for evse in self._station.evses.values()):
            self._reset_waits = False
            self._station.spawn(self.restart(StopCause.HARD_RESET, "ScheduledReset", hard=False))

    def down(self) -> None:
        """Everything stops; nothing is sent."""
        station = self._station
        station.settle()
        self.on = False
        station.registration.forget()
        for evse in station.evses.values():
            evse.powered = False
        station.changed("power is off")

    def up(self, boot_reason: str) -> None:
        """Come up; transactions that a power cut broke off end as of the cut."""
        station = self._station
        now = station.clock.true_now()
        if station.config.quirks.clock_1970:
            station.clock.set_offset(EPOCH - now)
        for evse in station.evses.values():
            if evse.transaction is not None and self._cut_at is not None:
                evse.settled_to = self._cut_at
                station.charging.stop(evse, StopCause.POWER_LOSS)
            evse.advance(now)
            evse.powered, evse.finished, evse.authorization, evse.plug_deadline = True, False, None, None
        self.on, self._cut_at = True, None
        station.registration.reason = boot_reason
        station.changed("power is on")
        station.line.reconsider()
