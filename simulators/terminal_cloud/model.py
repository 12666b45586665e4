"""Terminals, cards and payments as the cloud keeps them. No I/O."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FAMILIES = ("P66", "P66S", "P68", "Apollo", "Apollo Max", "Apollo Polar")
AUTHORIZED, COMMITED, CANCELLED, FAILED, DECLINED = "AUTHORIZED", "COMMITED", "CANCELLED", "FAILED", "DECLINED"
IDLE, READING, CARD = "IDLE", "READING", "CARD"

_AIDS = {"visa": "A0000000031010", "mastercard": "A0000000041010", "amex": "A00000002501"}
_IFD = {"plastic": "CONTACTLESS", "phone": "CONTACTLESS", "rfid": "CONTACTLESS", "qr": "QR_CODE"}


class WireError(Exception):
    """An answer other than 2xx: HTTP status and the text of the error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Card:
    """A card by name: the same name gives the same card id. A phone presents another number than the plastic."""

    name: str
    kind: str = "plastic"

    def __post_init__(self) -> None:
        if self.kind not in _IFD:
            raise ValueError(f"{self.kind!r} is no kind of card; use {', '.join(_IFD)}.")

    @property
    def card_id(self) -> str:
        """64 hex characters."""
        return hashlib.sha256(f"{self.kind}:{self.name}".encode()).hexdigest()

    @property
    def last_four(self) -> str:
        """The digits that are shown."""
        return f"{int(self.card_id[:8], 16) % 10_000:04d}"

    @property
    def scheme(self) -> str:
        """The scheme its name begins with; Mastercard for other names."""
        return next((scheme for scheme in _AIDS if self.name.startswith(scheme)), "mastercard")

    def to_json(self, serial: str) -> dict[str, Any]:
        """The wire's Card object."""
        first = {"visa": "412345", "mastercard": "512345", "amex": "371234"}[self.scheme]
        return {
            "serialNumber": serial,
            "ifd": _IFD[self.kind],
            "aid": _AIDS[self.scheme],
            "cardId": self.card_id,
            "maskedPan": f"{first}******{self.last_four}",
            "sessions": [],
        }


@dataclass(slots=True)
class Payment:
    """A payment ("session" on the wire). Amounts in minor units."""

    session_id: str
    serial: str
    card: Card
    authorized_amount: int
    at: datetime
    number: int
    state: str = AUTHORIZED
    final_amount: int | None = None
    committed_at: datetime | None = None
    history: list[str] = field(default_factory=list)  # what was done to it, in order
    receipt_lines: list[str] = field(default_factory=list)
    ingested_at: datetime | None = None  # Data API

    def to_json(self) -> dict[str, Any]:
        """The wire's Session object."""
        reference = hashlib.sha256(self.session_id.encode()).hexdigest()
        return {
            "serialNumber": self.serial,
            "sessionId": self.session_id,
            "cardId": self.card.card_id,
            "transactionTime": self.at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
            "commitTime": self.committed_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
            if self.committed_at
            else None,
            "brand": _AIDS[self.card.scheme],
            "emvDate": self.at.strftime("%y%m%d"),
            "emvTime": self.at.strftime("%H%M%S"),
            "authorizedAmount": self.authorized_amount,
            "finalAmount": self.final_amount,
            "result": "APPROVED",  # the EMV result stays so, whatever the state
            "authorizationResponseCode": "00",
            "authorizationCode": f"{self.number:06d}",
            "authorizationHostReference": f"H{reference[:12]}",
            "terminalTxnId": self.number,
            "merchantReference": reference[:32],
            "receiptInfo": [],
            "state": self.state,
        }


@dataclass(slots=True)
class Terminal:
    """A terminal: its reader's state, its screen, its payments."""

    serial: str
    family: str = "Apollo"
    currency: str = "NOK"
    online: bool = True
    state: str = IDLE
    authorized_amount: int = 0
    callback_url: str = ""
    card: Card | None = None
    message: str = ""  # uiMessage of the last call
    idle_text: str = ""  # of `start`
    language: str = ""
    custom_screen: dict[str, Any] | None = None  # last /ui
    ui_callback_url: str = ""
    payments: dict[str, Payment] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)  # done while offline, forwarded later
    decline_next: int = 0

    def to_json(self) -> dict[str, Any]:
        """The wire's Terminal object."""
        return {"serialNumber": self.serial, "online": self.online, "state": self.state, "model": self.family}

    def screen(self) -> dict[str, Any]:
        """What a person sees, for tests and for the page under ``/_sim``."""
        return {
            "state": self.state if self.online else "OFFLINE",
            "idle": self.idle_text if self.state == READING else "",
            "message": self.message,
            "custom": self.custom_screen,
        }

    # --- what the integrator asks -------------------------------------------------------------------------------------

    def start(self, amount: int, callback_url: str, idle_text: str, language: str) -> None:
        """Arm the reader for one interaction."""
        if not self.online:
            raise WireError(503, "Terminal is offline")
        if self.state != IDLE:
            raise WireError(409, f"Terminal is not idle but {self.state}")
        self.state, self.authorized_amount, self.callback_url = READING, amount, callback_url
        self.idle_text, self.language, self.card = idle_text, language, None

    def stop(self, message: str) -> None:
        """Back to idle; a card that was read is forgotten."""
        if not self.online:
            raise WireError(503, "Terminal is offline")
        self.state, self.card, self.message = IDLE, None, message

    def authorize(self, message: str, now: datetime, always_declined: set[str]) -> Payment | None:
        """Turn the card that was read into a payment; None if it is declined."""
        if self.state != CARD or self.card is None:
            raise WireError(409, "No card has been read")
        card, self.card, self.state, self.message = self.card, None, IDLE, message
        if self.decline_next or card.card_id in always_declined or not self.online:
            self.decline_next = max(0, self.decline_next - 1)
            self.message = "Declined"  # the payment application's own words; uiMessage is for an approval
            return None
        number = 1000 + len(self.payments) + secrets.randbelow(8999) * 100
        payment = Payment(str(uuid.uuid4()), self.serial, card, self.authorized_amount, now, number)
        payment.history.append(f"authorized {self.authorized_amount}")
        self.payments[payment.session_id] = payment
        return payment

    def commit(self, session_id: str, amount: int, message: str, now: datetime) -> Payment:
        """Capture, once."""
        payment = self._open(session_id)
        self.message = message
        if amount > payment.authorized_amount or amount <= 0:
            payment.state = FAILED
            payment.history.append(f"commit of {amount} failed")
            return payment
        payment.state, payment.final_amount, payment.committed_at = COMMITED, amount, now
        payment.history.append(f"committed {amount}")
        if not self.online:
            self.stored.append(f"commit {session_id}")
        return payment

    def cancel(self, session_id: str, message: str) -> Payment:
        """Release the hold."""
        payment = self._open(session_id)
        self.message = message
        payment.state = CANCELLED
        payment.history.append("cancelled")
        if not self.online:
            self.stored.append(f"cancel {session_id}")
        return payment

    def payment(self, session_id: str) -> Payment:
        """One payment; WireError 404."""
        found = self.payments.get(session_id)
        if found is None:
            raise WireError(404, "Session not found")
        return found

    def _open(self, session_id: str) -> Payment:
        payment = self.payment(session_id)
        if payment.state != AUTHORIZED:
            raise WireError(409, "Session already committed or cancelled")
        return payment

    # --- what people and the weather do -------------------------------------------------------------------------------

    def tap(self, card: Card) -> bool:
        """Hold a card to the reader; False if it does not read one now."""
        if not self.online or self.state != READING:
            return False
        self.state, self.card = CARD, card
        return True

    def reboot(self) -> None:
        """Idle again; the custom screen and its callback are forgotten."""
        self.state, self.card, self.message, self.idle_text = IDLE, None, "", ""
        self.custom_screen, self.ui_callback_url = None, ""

    def come_online(self) -> None:
        """Forward what was stored."""
        self.online = True
        self.stored.clear()
