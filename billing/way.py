"""Ways of paying for a charge, as statements and session reports name them."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """How a charge is paid: by a card at a terminal, or by the contract behind an id token."""

    CARD = "card"
    RFID = "rfid"
    APP = "app"  # an app or web page, also an operator who starts a charge for somebody
    ROAMING = "roaming"
