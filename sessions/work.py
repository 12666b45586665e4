"""A decision in the making: the session as it becomes, and what is to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from billing.ledger import EntrySet
from billing.payment import PaymentEvent
from billing.payment import after as payment_after
from sessions.commands import Command, Message, ReachDeadline, ShowOnTerminal, Timer
from sessions.session import Policy, Session
from sessions.tables import ChargingEvent
from sessions.tables import after as charging_after


@dataclass(slots=True)
class Work:
    """A decision in the making."""

    s: Session
    now: datetime
    policy: Policy
    commands: list[Command] = field(default_factory=list)
    entry_sets: list[tuple[str, EntrySet]] = field(default_factory=list)

    def set(self, **changes: Any) -> None:
        """Change the session."""
        self.s = replace(self.s, **changes)

    def flag(self, reason: str) -> None:
        """Ask for an operator's look."""
        if reason not in self.s.flags:
            self.set(flags=(*self.s.flags, reason))

    def charging(self, event: ChargingEvent) -> bool:
        """Move the charge; return whether the table has a row."""
        new = charging_after(self.s.charging, event)
        moved = new is not self.s.charging
        if moved:
            self.set(charging=new)
        return moved

    def payment(self, event: PaymentEvent) -> bool:
        """Move the payment; return whether the table has a row."""
        new = payment_after(self.s.payment, event)
        moved = new is not self.s.payment
        if moved:
            self.set(payment=new)
        return moved

    def book(self, what: str, entries: EntrySet) -> None:
        """Write entries under a key of their own: once for ever."""
        self.entry_sets.append((f"{self.s.session_id}:{what}", entries))

    def timer(self, timer: Timer, due_at: datetime, number: int = 0) -> None:
        """Set a deadline."""
        key = f"{self.s.session_id}:timer:{timer}:{number}"
        self.commands.append(ReachDeadline(key=key, session_id=self.s.session_id, due_at=due_at, timer=timer))

    def show(self, message: Message, *, arm_id: str | None = None, receipt: bool = False, **parameters: str) -> None:
        """Say something on the terminal, if there is one. With ``arm_id`` the interaction ends with it."""
        if self.s.terminal_serial is None:
            return
        label = self.s.place.label if self.s.place else ""
        self.commands.append(
            ShowOnTerminal(
                key=f"{self.s.session_id}:show:{message}:{arm_id or ''}",
                session_id=self.s.session_id,
                serial=self.s.terminal_serial,
                account_id=self.s.account_id,
                message=message,
                language=self.s.language,
                parameters={"evse": label, "currency": self.s.currency, **parameters},
                receipt_url_token=self.s.receipt_token if receipt else None,
                arm_id=arm_id,
                ends_interaction=arm_id is not None,
            )
        )
