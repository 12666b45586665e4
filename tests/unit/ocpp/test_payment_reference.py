"""2.1 C24: a start on a hold says the payment's reference, unless it could not, or must not, be said."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from billing.pan import contains_pan
from csms.ocpp.schemas import request_problems
from csms.ocpp.v21.remote_control import request_start
from sessions.commands import StartCharging

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OURS = {"idToken": "ONETIME23", "type": "Central"}


def id_token(payment_ref: str) -> dict[str, str]:
    """What the station would be told."""
    command = StartCharging(
        key="k", station_id="CP1", evse_id=1, id_token="ONETIME23", remote_start_id=7, payment_ref=payment_ref
    )
    payload = request_start(command, NOW)
    assert request_problems("ocpp2.1", "RequestStartTransaction", payload) == []
    told: dict[str, str] = payload["idToken"]
    return told


@pytest.mark.parametrize("reference", ["psp_01HF-9", "A", "a" * 255, "3f2c7a52-6f0e-4b1d-9c55-0d8f1f2a7b3e"])
def test_the_reference_is_the_token(reference: str) -> None:
    assert id_token(reference) == {"idToken": reference, "type": "DirectPayment"}


@pytest.mark.parametrize("reference", ["", "two words", "a" * 256, "øre", "x\n", "a/b"])
def test_what_no_id_token_can_say_is_not_said(reference: str) -> None:
    assert id_token(reference) == OURS


def test_a_cards_number_is_never_said() -> None:
    digits = [4, *(random.randrange(10) for _ in range(14))]
    doubled = [digit if place % 2 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)]
    number = "".join(map(str, digits)) + str(-sum(doubled) % 10)
    assert contains_pan(number)
    assert id_token(number) == OURS
