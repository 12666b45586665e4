"""Terminals, cards and payments as the cloud keeps them. No I/O."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

FAMILIES = ("P66", "P66S", "P68", "Apollo", "Apollo Max", "Apollo Polar")
AUTHORIZED, COMMITED, CANCELLED, FAILED, DECLINED = "AUTHORIZED", "COMMITED", "CANCELLED", "FAILED", "DECLINED"
IDLE, READING, CARD = "IDLE", "READING", "CARD"

_AIDS = {"visa": "A0000000031010", "mastercard": "A0000000041010", "amex": "A00000002501"}
_FIRST_DIGITS = {"visa": "412345", "mastercard": "512345", "amex": "371234"}
KINDS = ("plastic", "phone", "rfid", "qr")
_IFD = {"plastic": "CONTACTLESS", "phone": "CONTACTLESS", "rfid": "CONTACTLESS", "qr": "QR_CODE"}


DOMAIN = "simulator"  # the domain that is there if nobody names another


@dataclass(slots=True)
class Domain:
    """A MyPayter domain: its credentials open what is in it alone. Without a user, any Data API log-in will do."""

    name: str
    api_key: str = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    webhook_url: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A terminal's move from one domain to another, by its TT number."""

    serial: str
    from_domain: str
    to_domain: str
    tt_number: str
    at: datetime


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
        """What recognises it: 64 hex characters; for RFID and QR, as at Payter, the raw credential."""
        mark = hashlib.sha256(f"{self.kind}:{self.name}".encode()).hexdigest()
        return {"rfid": f"04{mark[:12]}".upper(), "qr": f"QR-{self.name}-{mark[:12]}"}.get(self.kind, mark)

    @property
    def masked_pan(self) -> str:
        """First six and last four digits, or "" for what has no number. The whole number exists nowhere."""
        if self.kind in ("rfid", "qr"):
            return ""
        last_four = int(hashlib.sha256(self.card_id.encode()).hexdigest()[:8], 16) % 10_000
        return f"{_FIRST_DIGITS[self.scheme]}******{last_four:04d}"

    @property
    def scheme(self) -> str:
        """The scheme its name begins with; Mastercard for other names; "" for what is no bank card."""
        if self.kind in ("rfid", "qr"):
            return ""
        return next((scheme for scheme in _AIDS if self.name.startswith(scheme)), "mastercard")

    @property
    def aid(self) -> str:
        """The EMV application, or ""."""
        return _AIDS.get(self.scheme, "")

    @property
    def ifd(self) -> str:
        """The interface that read it."""
        return _IFD[self.kind]

    def to_json(self, serial: str) -> dict[str, Any]:
        """The wire's Card object."""
        return {
            "serialNumber": serial,
            "ifd": self.ifd,
            "aid": self.aid,
            "cardId": self.card_id,
            "maskedPan": self.masked_pan,
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
    domain: str = DOMAIN  # in which it was authorised: there it stays, wherever the terminal goes
    state: str = AUTHORIZED
    final_amount: int | None = None
    committed_at: datetime | None = None
    ended_at: datetime | None = None  # committed, cancelled, failed or expired, and forwarded by the terminal
    history: list[str] = field(default_factory=list)  # what was done to it, in order
    receipt_lines: list[str] = field(default_factory=list)

    @property
    def card_id(self) -> str:
        """The card that pays."""
        return self.card.card_id

    def to_json(self) -> dict[str, Any]:
        """The wire's Session object."""
        reference = hashlib.sha256(self.session_id.encode()).hexdigest()
        return {
            "serialNumber": self.serial,
            "sessionId": self.session_id,
            "cardId": self.card_id,
            "transactionTime": self.at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
            "commitTime": self.committed_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
            if self.committed_at
            else None,
            "brand": self.card.aid,
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
    domain: str = DOMAIN
    online: bool = True
    firmware: str = ""
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
    stored: list[str] = field(default_factory=list)  # ids of payments ended while offline, to be forwarded
    decline_next: int = 0

    def to_json(self) -> dict[str, Any]:
        """The wire's Terminal object."""
        told = {"firmwareVersion": self.firmware} if self.firmware else {}
        return {"serialNumber": self.serial, "online": self.online, "state": self.state, "model": self.family} | told

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

    def show(self, screen: Any, callback_url: str) -> None:
        """Put a custom screen over the reader's own: ``{id, type, properties}``, properties a flat string map."""
        if not self.online:
            raise WireError(503, "Terminal is offline")
        if not self.family.startswith("Apollo"):
            raise WireError(400, f"{self.family} has no screen for this")
        if not isinstance(screen, dict) or not all(isinstance(screen.get(key), str) for key in ("id", "type")):
            raise WireError(400, "id, type and properties are required")
        properties = screen.get("properties")
        if not isinstance(properties, dict) or not all(isinstance(value, str) for value in properties.values()):
            raise WireError(400, "properties must be a flat map of strings")
        self.custom_screen, self.ui_callback_url = screen, callback_url

    def authorize(self, message: str, now: datetime, always_declined: set[str]) -> Payment | None:
        """Turn the card that was read into a payment; None if it is declined."""
        if self.state != CARD or self.card is None:
            raise WireError(409, "No card has been read")
        card, self.card, self.state, self.message = self.card, None, IDLE, message
        if not self.online or card.card_id in always_declined or self.decline_next:
            if self.online and card.card_id not in always_declined:
                self.decline_next -= 1
            self.message = "Declined"  # the payment application's own words; uiMessage is for an approval
            return None
        payment = Payment(
            str(uuid.uuid4()), self.serial, card, self.authorized_amount, now, 1001 + len(self.payments), self.domain
        )
        payment.history.append(f"authorized {self.authorized_amount}")
        self.payments[payment.session_id] = payment
        return payment

    def commit(self, session_id: str, amount: int, message: str, now: datetime) -> Payment:
        """Capture, once. Above the authorised amount, or nothing: the payment is FAILED."""
        payment = self._open(session_id)
        self.message = message
        if amount > payment.authorized_amount or amount <= 0:
            return self._end(payment, FAILED, f"commit of {amount} failed", now)
        payment.final_amount, payment.committed_at = amount, now
        return self._end(payment, COMMITED, f"committed {amount}", now)

    def cancel(self, session_id: str, message: str, now: datetime) -> Payment:
        """Release the hold."""
        payment = self._open(session_id)
        self.message = message
        return self._end(payment, CANCELLED, "cancelled", now)

    def fail(self, session_id: str, call: str, now: datetime) -> Payment:
        """The payment fails in ``call`` for a reason of the acquirer's."""
        return self._end(self._open(session_id), FAILED, f"{call} failed", now)

    def expire(self, session_id: str, now: datetime) -> Payment:
        """The issuer lets the hold lapse, wherever the terminal is."""
        payment = self._open(session_id)
        payment.state, payment.ended_at = CANCELLED, now
        payment.history.append("expired")
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

    def _end(self, payment: Payment, state: str, what: str, now: datetime) -> Payment:
        """Confirmed at once; an offline terminal stores it, and only what was forwarded has really ended."""
        payment.state = state
        payment.history.append(what)
        if self.online:
            payment.ended_at = now
        else:
            payment.history.append("stored")
            self.stored.append(payment.session_id)
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

    def come_online(self, now: datetime) -> None:
        """Forward what was stored."""
        self.online = True
        for session_id in self.stored:
            self.payments[session_id].ended_at = now
            self.payments[session_id].history.append("forwarded")
        self.stored.clear()

    def choice(self, touched: str) -> str | None:
        """The name of the item or button with that name or label; None if nothing of the kind can be touched."""
        properties = (self.custom_screen or {}).get("properties", {})
        names: list[str] = [key.split(".")[1] for key in properties if key.startswith(("items.", "buttons."))]
        for name in names:
            label: str | None = properties.get(f"items.{name}.label", properties.get(f"buttons.{name}.label"))
            disabled = str(properties.get(f"items.{name}.disabled", "")).lower() == "true"
            if not disabled and self.online and touched in (name, unquote(name), label):
                return name
        return None
