"""What the station has yet to say: transaction messages are kept and go in order, the rest is dropped when offline."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from simulators.station.transaction import Transaction

Payload = dict[str, Any]


class Urgency(Enum):
    """When a message may go, and whether it outlives a lost connection."""

    TRANSACTION = "kept until answered; only once the boot is accepted"
    ORDINARY = "dropped with the connection; only once the boot is accepted"
    EARLY = "dropped with the connection; may go before the boot is accepted"


@dataclass(slots=True, eq=False)
class Message:
    """A CALL to come. The payload is built when it is sent, because a 1.6 transactionId is known no sooner."""

    action: str
    build: Callable[[], Payload]
    urgency: Urgency
    transaction: Transaction | None = None
    order: int = 0
    on_result: Callable[[Payload], None] | None = None
    on_failure: Callable[[], None] | None = None
    attempts: int = 0
    not_before: datetime | None = None
    answers_lost: int = 0


class Outbox:
    """The queue of one station."""

    def __init__(self) -> None:
        self._order = 0
        self._transactions: deque[Message] = deque()
        self._others: deque[Message] = deque()

    def add(self, message: Message) -> None:
        """Put a message at the end."""
        self._order += 1
        message.order = self._order
        (self._transactions if message.urgency is Urgency.TRANSACTION else self._others).append(message)

    def next(self, now: datetime, *, registered: bool) -> Message | None:
        """The oldest message that may go; a transaction message that waits for a retry lets others pass."""
        other = next((m for m in self._others if registered or m.urgency is Urgency.EARLY), None)
        head = self._transactions[0] if self._transactions and registered else None
        if head is not None and head.not_before is not None and head.not_before > now:
            head = None
        if head is None or other is None:
            return head or other
        return head if head.order < other.order else other

    def retry_at(self) -> datetime | None:
        """When the transaction message at the head may be tried again."""
        return self._transactions[0].not_before if self._transactions else None

    def remove(self, message: Message) -> None:
        """Take out a message that was answered or is given up."""
        queue = self._transactions if message.urgency is Urgency.TRANSACTION else self._others
        if message in queue:
            queue.remove(message)

    def drop_ordinary(self) -> None:
        """Forget all that does not outlive a connection; each message's ``on_failure`` is told."""
        dropped, self._others = self._others, deque()
        for message in dropped:
            if message.on_failure is not None:
                message.on_failure()

    def transactions_waiting(self) -> int:
        """How many transaction messages are not yet answered."""
        return len(self._transactions)

    def holds(self, transaction: Transaction) -> bool:
        """Whether a message of that transaction is not yet answered."""
        return any(message.transaction is transaction for message in self._transactions)
