"""The vault: owners' credentials, sealed at rest (Fernet: AES-128-CBC and HMAC-SHA256).

The first key seals, the others still open what was sealed before: that is how a key is changed. What is sealed carries
the name of what it belongs to, so that a sealed text put beside another name does not open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken

HOW_TO_MAKE_A_KEY = (
    'make one with: python3 -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)
_NO_KEY = f"No vault key is set, so credentials cannot be kept: set vault.keys in the settings; {HOW_TO_MAKE_A_KEY}"


class NoVaultKeyError(Exception):
    """There is no key to seal with; the text says how to make one."""


class SealedError(Exception):
    """None of the keys opens this, or it belongs to something else."""


class Vault:
    """Seals and opens. ``keys``: of Fernet, the first one seals. Raises ``ValueError`` for what is no key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [Fernet(key) for key in keys]

    def seal(self, name: str, secrets: Mapping[str, str]) -> str:
        """The secrets of ``name``, sealed. Raises `NoVaultKeyError`."""
        if not self._keys:
            raise NoVaultKeyError(_NO_KEY)
        return self._keys[0].encrypt(orjson.dumps({"name": name, "secrets": dict(secrets)})).decode("ascii")

    def open(self, name: str, sealed: str) -> dict[str, str]:
        """The secrets of ``name``. Raises `SealedError`, which tells nothing of them."""
        return self._opened(name, sealed)[1]

    def resealed(self, name: str, sealed: str) -> str | None:
        """The same secrets under the first key; None if they are already. Raises `SealedError`."""
        number, secrets = self._opened(name, sealed)
        return self.seal(name, secrets) if number else None

    def _opened(self, name: str, sealed: str) -> tuple[int, dict[str, str]]:
        for number, key in enumerate(self._keys):
            try:
                found: dict[str, Any] = orjson.loads(key.decrypt(sealed.encode("ascii", "replace")))
            except InvalidToken:
                continue
            if found["name"] != name:
                raise SealedError("sealed for something else")
            return number, found["secrets"]
        raise SealedError("no key opens it; is the key that sealed it still in vault.keys?")


def is_key(text: str) -> bool:
    """Whether ``text`` can be a vault key."""
    try:
        Fernet(text)
    except ValueError:
        return False
    return True
