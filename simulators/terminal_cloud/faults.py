"""Faults to order: per call of the wire, and of callbacks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

CALLS = (
    "start",
    "stop",
    "card",
    "authorize",
    "commit",
    "cancel",
    "ui",
    "get_session",
    "list_sessions",
    "get_terminal",
    "list_terminals",
)
CALL_FAULTS = (
    "failed",  # authorize, commit, cancel: 200 with state FAILED
    "conflict",  # 409
    "error",  # 500
    "not_found",  # 404
    "garbage",  # 200 and no JSON, the call has no effect
    "delay",  # takes effect, answered after delay_s real seconds
    # A GET is answered in part before it is dropped: HTTP clients silently repeat one that got no answer at all.
    "drop_before",  # no effect, the connection is closed without an answer
    "apply_then_drop",  # takes effect, the connection is closed without an answer
)
MAY_FAIL = ("authorize", "commit", "cancel")
CALLBACK_FAULTS = (
    "drop",
    "duplicate",
    "reorder",  # sent after the next one
    "delay",  # sent after delay_s real seconds
    # The next start, ui or authorize is answered after its callback: the card's, the choice's, the payment's. The
    # answer waits for at most delay_s real seconds (0: 10 s).
    "before_answer",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One ordered fault. ``delay_s``: real seconds."""

    kind: str
    delay_s: float = 0.0


@dataclass(slots=True)
class Faults:
    """Queues of faults: each one is used up by the call it hits."""

    calls: dict[str, deque[Fault]] = field(default_factory=dict)
    callbacks: deque[Fault] = field(default_factory=deque)
    late_answers: deque[Fault] = field(default_factory=deque)

    def order(self, call: str, kind: str, times: int = 1, delay_s: float = 0.0) -> None:
        """Order a fault for the next ``times`` calls. Raises ``ValueError`` for one that does not exist."""
        if times < 1 or not 0 <= delay_s < float("inf"):
            raise ValueError("times must be 1 or more, delay_s 0 or more")
        if call == "callback":
            if kind not in CALLBACK_FAULTS:
                raise ValueError(f"{kind!r} is no fault of callbacks; use {', '.join(CALLBACK_FAULTS)}.")
            queue = self.late_answers if kind == "before_answer" else self.callbacks
            queue.extend([Fault(kind, delay_s)] * times)
            return
        if call not in CALLS:
            raise ValueError(f"{call!r} is no call; use callback, {', '.join(CALLS)}.")
        if kind not in CALL_FAULTS:
            raise ValueError(f"{kind!r} is no fault; use {', '.join(CALL_FAULTS)}.")
        if kind == "failed" and call not in MAY_FAIL:
            raise ValueError(f"{call} cannot be failed, only {', '.join(MAY_FAIL)} can.")
        self.calls.setdefault(call, deque()).extend([Fault(kind, delay_s)] * times)

    def next_of(self, call: str) -> Fault | None:
        """The fault that hits this call, if one was ordered."""
        queue = self.calls.get(call)
        return queue.popleft() if queue else None

    def next_callback(self) -> Fault | None:
        """The fault that hits this callback, if one was ordered."""
        return self.callbacks.popleft() if self.callbacks else None

    def next_late_answer(self) -> Fault | None:
        """Whether this answer waits for a callback."""
        return self.late_answers.popleft() if self.late_answers else None

    def waiting(self) -> dict[str, list[str]]:
        """What was ordered and has not hit yet, by call."""
        waiting = {call: [fault.kind for fault in queue] for call, queue in self.calls.items() if queue}
        callbacks = [fault.kind for fault in (*self.callbacks, *self.late_answers)]
        return waiting | ({"callback": callbacks} if callbacks else {})

    def clear(self) -> None:
        """No more faults."""
        self.calls.clear()
        self.late_answers.clear()
        self.callbacks.clear()
