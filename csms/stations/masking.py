"""What must not be written down: secrets by their field's name, or by the name they stand beside, or in an address."""

from __future__ import annotations

import re
from typing import Any

from billing.bank_account import mask_iban

_SECRET = re.compile(
    r"password|secret|passphrase|private|authorization_?key|api_?key|data_api_user|\bpin\b|door_code", re.IGNORECASE
)
#: In an address: the user's part, and what makes a link of this system's unguessable.
_IN_ADDRESS = re.compile(
    r"(?<=://)[^/@\s\"']+(?=@)|(?<=/uploads/)[A-Za-z0-9_-]{43}|(?<=/firmware/)[A-Za-z0-9_-]{43}"
    r"|(?<=/calendar/)[A-Za-z0-9_-]{43}"
)
_NAMES = ("key", "name", "variable")
_VALUES = ("value", "attributeValue")
MASK = "**********"


def masked(value: Any) -> Any:
    """``value`` without secrets: ``{"password": …}``, ``{"key": "AuthorizationKey", "value": …}`` and the like.

    Of an ``iban`` what is needed to recognise it stays.
    """
    if isinstance(value, dict):
        beside = any(names_a_secret(value.get(name)) for name in _NAMES)
        return {
            key: MASK if _SECRET.search(str(key)) or (beside and key in _VALUES) else _masked_field(key, item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    return masked_address(value) if isinstance(value, str) else value


def _masked_field(key: Any, item: Any) -> Any:
    is_iban = isinstance(item, str) and str(key).lower() == "iban"
    return mask_iban(item) if is_iban else masked(item)


def masked_address(text: str) -> str:
    """``text`` without the secrets of addresses in it: a user's password, an upload link's token."""
    return _IN_ADDRESS.sub(MASK, text)


def names_a_secret(value: Any) -> bool:
    """Whether a name, or an OCPP variable with a name, stands for a secret."""
    if isinstance(value, dict):
        value = value.get("name")
    return isinstance(value, str) and _SECRET.search(value) is not None


def may_hold_a_secret(text: str) -> bool:
    """A quick look before a text is taken apart."""
    return _SECRET.search(text) is not None or _IN_ADDRESS.search(text) is not None
