"""What must not be written down: secrets by their field's name, or by the name they stand beside; card numbers."""

from __future__ import annotations

import re
from typing import Any

_SECRET = re.compile(r"password|secret|passphrase|private|authorization_?key|api_?key|\bpin\b", re.IGNORECASE)
_NAMES = ("key", "name", "variable")
_VALUES = ("value", "attributeValue")
MASK = "**********"


def masked(value: Any) -> Any:
    """``value`` without secrets: ``{"password": …}``, ``{"key": "AuthorizationKey", "value": …}`` and the like."""
    if isinstance(value, dict):
        beside = any(names_a_secret(value.get(name)) for name in _NAMES)
        return {
            key: MASK if _SECRET.search(str(key)) or (beside and key in _VALUES) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def names_a_secret(value: Any) -> bool:
    """Whether a name, or an OCPP variable with a name, stands for a secret."""
    if isinstance(value, dict):
        value = value.get("name")
    return isinstance(value, str) and _SECRET.search(value) is not None


def may_hold_a_secret(text: str) -> bool:
    """A quick look before a text is taken apart."""
    return _SECRET.search(text) is not None
