"""OCPP 2.1 F. Remote control: a start on a card's hold says the payment's reference (C24)."""

from __future__ import annotations

import re
from datetime import datetime

from billing.pan import contains_pan
from csms.ocpp.dialect import Payload
from csms.ocpp.v201 import remote_control
from sessions.commands import StartCharging
from sessions.facts import DIRECT_PAYMENT

#: identifierString of 255 characters (2.1 part 2, IdTokenType.idToken).
_SAYABLE = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,255}")


def request_start(command: StartCharging, now: datetime) -> Payload:
    """C24. Type DirectPayment with the provider's reference; a reference that could be a card's number is not said.

    The remote start id comes back with the transaction, and so does the reference: either finds the session.
    """
    payload = remote_control.request_start(command, now)
    if _SAYABLE.fullmatch(command.payment_ref) and not contains_pan(command.payment_ref):
        payload["idToken"] = {"idToken": command.payment_ref, "type": DIRECT_PAYMENT}
    return payload
