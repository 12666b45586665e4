"""What the operator sets for Payter, and the schedule on which unanswered calls are tried again.

Marks as in the adapter: [D] said by Payter's documentation, [C] seen in public client code, [A] our assumption. Every
[A] that a real terminal could contradict is a setting here, so that contradicting it costs no code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from sessions.directory import ArmRecord

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86400.0

# Payter's advice for an unanswered commit or cancel [D]: (how many waits, of how many seconds), one after the other.
RETRY_SCHEDULE: tuple[tuple[int, float], ...] = ((5, MINUTE_S), (24, HOUR_S), (7, DAY_S))


def retry_delay_s(attempt: int) -> float | None:
    """Seconds to wait after the unanswered attempt number ``attempt`` (from 1); None when the schedule is used up.

    Raises ``ValueError`` for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    left = attempt
    for times, delay_s in RETRY_SCHEDULE:
        if left <= times:
            return delay_s
        left -= times
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayterOptions:
    """Settings of the Payter adapter. From the simulator to Payter only these change.

    ``base_url`` and ``api_key`` are the platform's; both empty where it has no processor and only owners bring theirs.
    Raises ``ValueError`` for a URL that is not http(s), an API key that cannot stand in its header, or a secret that
    is too short to be one.
    """

    base_url: str  # https://cps.mypayter.com/ (production) or https://cps-test.mypayter.com/ [D]
    api_key: str = field(repr=False)
    public_callback_base: str  # how Payter reaches this host; the callbacks' paths are added
    callback_secret: str = field(repr=False)  # part of the callbacks' paths: there is no signature
    card_hash_key: str = field(repr=False)  # key of the HMAC that stands for a card
    receipt_url_prefix: str = ""  # a receipt's page is this + its token; empty: public_callback_base + "/r/"

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    card_poll_wait_s: int = 20  # waitTime of the long poll, seconds [C]
    status_poll_s: float = 30.0  # between two looks at a terminal that is offline, or busy with something unknown
    pending_poll_s: float = 2.0  # bound on waiting for the end of an interaction: another node may have ended it
    pause_s: float = 1.0  # shortest turn of the keeper when the long poll is answered at once
    rearm_pause_s: float = (
        0.0  # after an interaction, before arming again: how long its last message stays readable, if
    )
    # a start wipes it [A]; meanwhile nobody can tap
    retry_first_s: float = 1.0  # keeper's back-off: doubles from here …
    retry_max_s: float = 60.0  # … up to here
    terminals_poll_s: float = 30.0  # how often the list of terminals is read again

    ui_message_timeout_s: int = 10  # uiMessageTimeout, seconds [C]
    message_separator: str = ". "  # between title and text where a call takes one string [A]
    qr_screen_type: str = "info"  # the built-in screen with a QR code, and its property: [D] for the screensaver,
    qr_property: str = "qrcode"  # which is a set of info screens; [A] that /ui takes the same
    selection_type: str = "3"  # style "item list" of the selection screen [D]
    clock_tolerance_s: float = 300.0  # transactionTime against our clock; a time without a zone is read as UTC [A]

    def __post_init__(self) -> None:
        reached = ("base_url",) if self.base_url or self.api_key else ()
        for name in (*reached, "public_callback_base"):
            parts = urlsplit(getattr(self, name))
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{name} must be an http(s) URL")
        if reached and not fits_the_header(self.api_key):
            raise ValueError("api_key must be printable ASCII without quotes")
        if len(self.callback_secret) < 16 or not _fits_a_path(self.callback_secret):
            raise ValueError("callback_secret must be at least 16 characters of A-Z a-z 0-9 - _")
        if len(self.card_hash_key) < 16:
            raise ValueError("card_hash_key must be at least 16 characters")

    def at(self, base_url: str, api_key: str) -> Self:
        """The same for another processor. Raises ``ValueError`` as the class does."""
        return replace(self, base_url=base_url, api_key=api_key)

    def callback_url(self, arm_id: str, kind: str, account_id: str = "") -> str:
        """Where Payter is to report the card, the chosen item or the session of interaction ``arm_id``. Secret."""
        return f"{self._callbacks(account_id)}/{arm_id}/{kind}"

    def ui_callback_url(self, arm: ArmRecord | None, account_id: str) -> str:
        """Where touches on a screen are told while ``arm`` is the terminal's newest interaction. Secret."""
        return self.callback_url(arm.arm_id, "ui", arm.account_id) if arm else self.terminal_hook_url(account_id)

    def terminal_hook_url(self, account_id: str = "") -> str:
        """The account-wide terminal-state hook, to be entered at Payter. Secret."""
        return f"{self._callbacks(account_id)}/terminal"

    def _callbacks(self, account_id: str) -> str:
        return f"{self.public_callback_base.rstrip('/')}/callbacks/payter/{self.secret_of(account_id)}"

    def secret_of(self, account_id: str) -> str:
        """The secret in the callbacks' paths: whoever owns an account may see them there, so each has its own."""
        if not account_id:
            return self.callback_secret
        mark = hmac.new(self.callback_secret.encode(), account_id.encode(), hashlib.sha256).digest()
        return f"{account_id}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"

    def receipt_url(self, token: str) -> str:
        """The page of the receipt with this token."""
        return (self.receipt_url_prefix or f"{self.public_callback_base.rstrip('/')}/r/") + token


def fits_the_header(api_key: str) -> bool:
    """Whether an API key can stand in its header: printable ASCII without quotes."""
    return api_key.isascii() and all(c not in '"\\' and c.isprintable() for c in api_key) and bool(api_key)


def _fits_a_path(text: str) -> bool:
    return all(c.isascii() and (c.isalnum() or c in "-_") for c in text)
