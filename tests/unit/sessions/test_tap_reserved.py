"""A reservation keeps its EVSE from everybody else's card."""

from __future__ import annotations

from typing import Any

import pytest

from sessions.commands import Message, ShowOnTerminal
from sessions.facts import EvseStatus, TokenStatus
from sessions.tap import is_free
from sessions.tokens import TokenRecord
from sessions.working_set import ReservedRow
from tests.unit.sessions.premises import Premises


def reserved(evse_id: int | None, **more: Any) -> ReservedRow:
    return ReservedRow(station_id="CS1", evse_id=evse_id, id_token="MINE", group_id=more.get("group_id"))


@pytest.mark.parametrize(
    ("reservations", "first_is_free", "second_is_free"),
    [
        ([], True, True),
        ([reserved(1)], False, True),
        ([reserved(None)], True, True),  # one of two stays free
        ([reserved(None), reserved(None)], False, False),
        ([reserved(1), reserved(None)], False, False),
    ],
)
def test_what_is_reserved_is_not_free(
    reservations: list[ReservedRow], first_is_free: bool, second_is_free: bool
) -> None:
    p = Premises()
    p.ws.reserved = reservations
    assert is_free(p.ws, p.ws.evse("CS1", 1)) is first_is_free
    assert is_free(p.ws, p.ws.evse("CS1", 2)) is second_is_free
    assert is_free(p.ws, p.ws.evse("CS2", 1))


def test_its_own_token_and_group_may_use_it() -> None:
    p = Premises()
    p.ws.reserved = [reserved(1, group_id="G")]
    p.ws.tokens["FRIEND"] = TokenRecord(status=TokenStatus.ACCEPTED, group_id="G")
    p.evse("CS1", 1, status=EvseStatus.RESERVED)
    row = p.ws.evse("CS1", 1)
    assert is_free(p.ws, row, "mine")
    assert is_free(p.ws, row, "friend")
    assert not is_free(p.ws, row, "STRANGER")


def test_a_card_is_told_that_the_evse_is_reserved() -> None:
    p = Premises()
    p.ws.reserved = [reserved(1)]
    p.tap("A1")
    (shown,) = [c for c in p.commands if isinstance(c, ShowOnTerminal)]
    assert shown.message is Message.EVSE_RESERVED
    assert not p.ws.sessions
