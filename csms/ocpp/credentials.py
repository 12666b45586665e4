"""Station passwords: kept as salted scrypt, compared in constant time, computed off the event loop."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets

_N, _R, _P = 2**13, 8, 1  # ~20 ms: station passwords are long and random, and thousands of stations reconnect at once


async def hash_password(password: str) -> str:
    """Return ``scrypt$salt$hash``."""
    return await asyncio.to_thread(_hash, password, secrets.token_bytes(16))


async def verify_password(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made from; False for a stored text of another kind."""
    try:
        kind, salt, _ = stored.split("$")
        raw_salt = base64.b64decode(salt)
    except ValueError:
        return False
    if kind != "scrypt":
        return False
    return hmac.compare_digest(await asyncio.to_thread(_hash, password, raw_salt), stored)


def _hash(password: str, salt: bytes) -> str:
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
