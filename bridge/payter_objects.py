"""The objects of Payter's wire, read tolerantly: a terminal, a card, a payment session.

Extra fields are ignored, missing ones get a harmless value, both spellings of the states are known. A payment is judged
by ``state``, never by ``result``: that is the EMV result and stays APPROVED even when a commit fails [C].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from billing.pan import contains_pan, redact_pans

AMOUNT_LIMIT = 100_000_000  # minor units; a larger figure is not an amount of a charge but a mistake
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MASKED = re.compile(r"(\d*)([*xX•.#]+)(\d*)")


class TerminalState(StrEnum):
    """What the reader is doing [C]. A string that nobody has seen counts as busy."""

    IDLE = "IDLE"
    READING = "READING"
    CARD = "CARD"
    BUSY = "BUSY"


class PaymentState(StrEnum):
    """What became of a payment [C]; EXPIRED is [A]. ``UNKNOWN``: a state that nobody has seen, or none."""

    AUTHORIZED = "AUTHORIZED"
    COMMITTED = "COMMITTED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


_PAYMENT_STATES = {
    **{state.value: state for state in PaymentState},
    "AUTHORISED": PaymentState.AUTHORIZED,
    "COMMITED": PaymentState.COMMITTED,  # the service's own spelling; the Data API has the other one
    "CANCELED": PaymentState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class TerminalStatus:
    """A terminal as its cloud sees it."""

    serial: str
    online: bool
    state: TerminalState
    raw_state: str
    firmware: str = ""  # [A]: no document tells of it; kept where a cloud says it


@dataclass(frozen=True, slots=True)
class ReadCard:
    """A card that a reader holds. ``card_id`` can be a raw credential (QR, RFID): hash it, never store or print it."""

    card_id: str = field(repr=False)
    serial: str
    masked_pan: str
    aid: str
    ifd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSession:
    """A payment at the provider. Amounts in minor units, None where not given or not credible."""

    session_id: str
    state: PaymentState
    card_id: str = field(default="", repr=False)
    authorized_minor: int | None = None
    final_minor: int | None = None
    at: datetime | None = None
    committed_at: datetime | None = None
    response_code: str = ""
    authorisation_code: str = ""
    host_reference: str = ""
    merchant_reference: str = ""
    terminal_transaction_id: str = ""
    aid: str = ""


def parse_terminal(body: Any) -> TerminalStatus | None:
    """The object of ``GET /terminals/{serial}``; None if it is none. A missing ``online`` counts as online [A]."""
    if not isinstance(body, dict) or not ("state" in body or "online" in body):
        return None
    raw = _text(body.get("state"), 32).upper()
    state = TerminalState(raw) if raw in ("IDLE", "READING", "CARD") else TerminalState.BUSY
    return TerminalStatus(
        _text(body.get("serialNumber"), 64),
        body.get("online") is not False,
        state,
        raw,
        _text(body.get("firmwareVersion"), 60),
    )


def parse_card(body: Any) -> ReadCard | None:
    """The Card of the long poll or of the callback; None without a card id (one public simulator sends none)."""
    if not isinstance(body, dict):
        return None
    card_id = normal_card_id(body.get("cardId"))
    if not card_id:
        return None
    return ReadCard(
        card_id,
        _text(body.get("serialNumber"), 64),
        mask_pan(body.get("maskedPan")),
        _word(body.get("aid"), 32),
        _word(body.get("ifd"), 32).upper() or "UNKNOWN",
    )


def parse_session(body: Any) -> PaymentSession | None:
    """A Session, also when wrapped as ``{"session": …}``; None if the body is none."""
    if isinstance(body, dict) and isinstance(body.get("session"), dict):
        body = body["session"]
    if not isinstance(body, dict) or not ("state" in body or "sessionId" in body):
        return None
    session_id = body.get("sessionId")
    return PaymentSession(
        session_id=session_id if isinstance(session_id, str) and _IDENTIFIER.fullmatch(session_id) else "",
        state=_PAYMENT_STATES.get(_text(body.get("state"), 32).upper(), PaymentState.UNKNOWN),
        card_id=normal_card_id(body.get("cardId")),
        authorized_minor=amount_minor(body.get("authorizedAmount")),
        final_minor=amount_minor(body.get("finalAmount")),
        at=parse_time(body.get("transactionTime")),
        committed_at=parse_time(body.get("commitTime")),
        response_code=_word(body.get("authorizationResponseCode"), 8),
        authorisation_code=_word(body.get("authorizationCode"), 16),
        host_reference=redact_pans(_text(body.get("authorizationHostReference"), 64)),
        merchant_reference=redact_pans(_text(body.get("merchantReference"), 64)),
        terminal_transaction_id=_word(body.get("terminalTxnId"), 32),
        aid=_word(body.get("brand") or body.get("aid"), 32),
    )


def parse_sessions(body: Any) -> list[PaymentSession] | None:
    """A list of Sessions, bare or under ``sessions`` or ``content`` [A]; None if the body is neither."""
    if isinstance(body, dict):
        body = body.get("sessions", body.get("content"))
    if not isinstance(body, list):
        return None
    return [session for session in map(parse_session, body) if session is not None]


def normal_card_id(value: Any) -> str:
    """A card id in one form: hexadecimal ids in lower case, others (QR, RFID) as they are."""
    text = _text(value, 1024)
    return text.lower() if re.fullmatch(r"[0-9A-Fa-f]{32,}", text) else text


def amount_minor(value: Any) -> int | None:
    """A credible amount in minor units: a whole number from 0 up to the limit, also as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= AMOUNT_LIMIT:
        return None
    return value


def parse_time(value: Any) -> datetime | None:
    """A time, aware and in UTC; without a zone it is read as UTC [A]. None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def mask_pan(value: Any) -> str:
    """At most the first six and the last four digits of a masked PAN (PCI DSS); "" if it is none.

    Digits without a mask are a PAN that should not be here: they are masked at once.
    """
    text = re.sub(r"[\s-]", "", _text(value, 40))
    if text.isascii() and text.isdecimal():
        if len(text) < 12:
            return f"****{text}" if len(text) == 4 else ""
        return f"{text[:6]}{'*' * (len(text) - 10)}{text[-4:]}"
    parts = _MASKED.fullmatch(text)
    if parts is None:
        return ""
    first, last = parts[1][:6], parts[3][-4:]
    return f"{first}{'*' * max(4, min(19, len(text)) - len(first) - len(last))}{last}"


def _text(value: Any, limit: int) -> str:
    """A string or a number as text, cut to ``limit``; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value).strip()[:limit]


def _word(value: Any, limit: int) -> str:
    """A short code; "" when it is none, or when it looks like a PAN."""
    text = _text(value, limit)
    return text if re.fullmatch(r"[A-Za-z0-9 ._/-]*", text) and not contains_pan(text) else ""
