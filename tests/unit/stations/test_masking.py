"""What must not be written down is not."""

from __future__ import annotations

from typing import Any

import pytest

from csms.stations.masking import MASK, masked, may_hold_a_secret


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"password": "x"}, {"password": MASK}),
        ({"connectionData": {"basicAuthPassword": "x"}}, {"connectionData": {"basicAuthPassword": MASK}}),
        ({"key": "AuthorizationKey", "value": "x"}, {"key": "AuthorizationKey", "value": MASK}),
        ({"key": "HeartbeatInterval", "value": "300"}, {"key": "HeartbeatInterval", "value": "300"}),
        (
            [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": "x", "attributeType": "Actual"}],
            [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": MASK, "attributeType": "Actual"}],
        ),
        ({"variable": {"name": "HeartbeatInterval"}, "attributeValue": "1"},) * 2,
        ([1, None, "password"],) * 2,
        ({"owner": {"IBAN": "NO93 8601 1117 947"}}, {"owner": {"IBAN": "NO*********7947"}}),
        ({"iban": "short"}, {"iban": "*****"}),
        ({"iban": None},) * 2,
    ],
)
def test_secrets_are_masked_and_nothing_else(said: Any, kept: Any) -> None:
    assert masked(said) == kept


def test_a_quick_look_misses_no_secret() -> None:
    assert may_hold_a_secret('{"basicAuthPassword": "x"}')
    assert may_hold_a_secret('{"key":"AuthorizationKey"}')
    assert not may_hold_a_secret('{"status":"Accepted"}')
