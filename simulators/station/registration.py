"""The boot: announced after each start, repeated until it is accepted (1.6 §4.2; 2.0.1 B01 to B03)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from simulators.station.outbox import Message, Payload, Urgency

if TYPE_CHECKING:
    from simulators.station.station import Station

Status = Literal["unknown", "Accepted", "Pending", "Rejected"]
RETRY_S = 60


class Registration:
    """What the central system said to the boot; a lost connection does not change it, a restart does."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.status: Status = "unknown"
        self.accepted = asyncio.Event()
        self.reason = "PowerUp"
        self.retry_at: datetime | None = None

    def forget(self) -> None:
        """The station restarts."""
        self.status, self.retry_at = "unknown", None
        self.accepted.clear()

    def announce(self, reason: str) -> None:
        """Queue a BootNotification; ``reason`` in 2.0.1's words."""
        dialect = self._station.dialect
        message = Message("BootNotification", lambda: dialect.boot(reason), Urgency.EARLY)
        message.on_result = self._answered
        message.on_failure = self._failed
        self._station.enqueue(message)

    def retry(self, _: datetime) -> None:
        """The interval has passed: try again."""
        self.retry_at = None
        if self._station.online:
            self.announce(self.reason)

    def _answered(self, answer: Payload) -> None:
        status, interval = answer.get("status"), answer.get("interval")
        if status not in ("Accepted", "Pending", "Rejected"):
            self._failed()
            return
        self.status = status
        self._station.changed(f"boot {status}")
        seconds = interval if isinstance(interval, int) and interval > 0 else None
        if status == "Accepted":
            self.retry_at = None
            self._station.boot_accepted(seconds)
            self.accepted.set()
        else:
            self.retry_at = self._station.clock.true_now() + timedelta(seconds=seconds or RETRY_S)

    def _failed(self) -> None:
        if self.status != "Accepted" and self._station.online:  # offline: the next connection announces it anew
            self.retry_at = self._station.clock.true_now() + timedelta(seconds=RETRY_S)
