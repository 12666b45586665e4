"""A card read by a terminal becomes the fact `CardPresented`: the credential is hashed, the chances are drawn."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from datetime import datetime

from bridge.payter_objects import ReadCard
from sessions.facts import Card, CardPresented


def card_ref(card_hash_key: str, card_id: str) -> str:
    """What stands for a card here: HMAC-SHA256 in hex. Without the key nobody can try credentials against it."""
    return hmac.new(card_hash_key.encode(), card_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def mint_arm_id() -> str:
    """A new interaction's id: 128 bits, as it is part of the callback's path."""
    return secrets.token_urlsafe(16)


def mint_id_token() -> str:
    """A one-time id token: 20 characters of upper-case base32, 100 bits.

    OCPP 1.6's idTag is a CiString20Type, so it must survive any change of case.
    """
    return base64.b32encode(secrets.token_bytes(13)).decode("ascii")[:20]


def card_presented(card: ReadCard, *, card_hash_key: str, serial: str, arm_id: str, now: datetime) -> CardPresented:
    """The fact of a card read in interaction ``arm_id``; callback and poll give the same key."""
    return CardPresented(
        key=f"card:{arm_id}",
        at=now,
        serial=serial,
        arm_id=arm_id,
        card=Card(
            card_ref=card_ref(card_hash_key, card.card_id), masked_pan=card.masked_pan, aid=card.aid, ifd=card.ifd
        ),
        session_id=uuid.uuid4().hex,
        id_token=mint_id_token(),
        remote_start_id=secrets.randbelow(2**31 - 1) + 1,
        receipt_token=secrets.token_urlsafe(24),  # 192 bits; 128 are asked for
    )
