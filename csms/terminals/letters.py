"""Reminders as e-mails. Pure: the same reminder makes the same letter, so that a repeat is recognised as one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
                      r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")  # fmt: skip
_SEVEN_BITS = SMTP.clone(cte_type="7bit")  # whatever is written, for servers that do not take 8BITMIME
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody to write to."""

    name: str
    address: str


def is_address(text: str) -> bool:
    """Whether ``text`` is an e-mail address that any mail server takes (ASCII, without quotes or comments)."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def recipients(contacts: Iterable[Mapping[str, Any]]) -> list[Recipient]:
    """Those of an owner's contacts (name, role, email, phone) that have an address, each address once."""
    found: dict[str, Recipient] = {}
    for contact in contacts:
        address = str(contact.get("email") or "").strip()
        if is_address(address):
            name = one_line(str(contact.get("name") or ""))[:80]
            found.setdefault(address.lower(), Recipient(name=name, address=address))
    return list(found.values())


def one_line(text: str) -> str:
    """``text`` as a header can hold it: without line breaks and other control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def message_id(reminder_key: str, domain: str) -> str:
    """The reminder's Message-ID: always the same one."""
    return f"<{hashlib.sha256(reminder_key.encode()).hexdigest()[:40]}@{domain}>"


def letter(
    *,
    reminder_key: str,
    subject: str,
    body: str,
    written_at: datetime,
    sender: Recipient,
    to: Sequence[Recipient],
) -> EmailMessage:
    """The e-mail. ``written_at``: when the reminder was; raises nothing for whatever text."""
    made = EmailMessage(policy=_SEVEN_BITS)
    made["From"] = _mailbox(sender)
    made["To"] = tuple(_mailbox(one) for one in to)
    made["Subject"] = one_line(subject)
    made["Date"] = written_at
    made["Message-ID"] = message_id(reminder_key, sender.address.partition("@")[2])
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    made.set_content("\n".join(_CONTROL.sub(" ", line) for line in body.splitlines()) + "\n")
    return made


def _mailbox(one: Recipient) -> Address:
    local, _, domain = one.address.partition("@")
    try:
        return Address(one.name, local, domain)
    except (HeaderParseError, ValueError, IndexError):
        return Address("", local, domain)
