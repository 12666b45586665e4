"""Objects of the wire are read tolerantly, judged by state, and no card number gets in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.pan import contains_pan
from bridge.cards import card_presented, card_ref, mint_id_token
from bridge.payter_objects import (
    PaymentState,
    ReadCard,
    TerminalState,
    amount_minor,
    mask_pan,
    normal_card_id,
    parse_card,
    parse_session,
    parse_sessions,
    parse_terminal,
    parse_time,
)


def luhn_valid(prefix: str, length: int = 16) -> str:
    """A number that looks like a card's; made here so that none stands in the repository."""
    body = prefix.ljust(length - 1, "7")
    candidates = (body + str(digit) for digit in range(10))
    return next(candidate for candidate in candidates if contains_pan(candidate))


@pytest.mark.parametrize(
    ("spelling", "state"),
    [
        ("AUTHORIZED", PaymentState.AUTHORIZED),
        ("COMMITED", PaymentState.COMMITTED),
        ("COMMITTED", PaymentState.COMMITTED),
        ("CANCELED", PaymentState.CANCELLED),
        ("CANCELLED", PaymentState.CANCELLED),
        ("FAILED", PaymentState.FAILED),
        ("DECLINED", PaymentState.DECLINED),
        ("commited", PaymentState.COMMITTED),
        ("SETTLING", PaymentState.UNKNOWN),
        (None, PaymentState.UNKNOWN),
        (17, PaymentState.UNKNOWN),
    ],
)
def test_the_state_decides_never_the_result(spelling: Any, state: PaymentState) -> None:
    session = parse_session({"sessionId": "s-1", "state": spelling, "result": "APPROVED"})
    assert session is not None
    assert session.state is state


def test_a_session_is_read_bare_or_wrapped() -> None:
    body = {
        "sessionId": "0f-1",
        "state": "COMMITED",
        "authorizedAmount": 5000,
        "finalAmount": "1234",
        "transactionTime": "2026-07-02T11:52:22.000",
        "commitTime": "2026-07-02T14:40:00.000+0200",
        "authorizationCode": "12345678",
        "terminalTxnId": 1001,
        "brand": "A0000000041010",
        "somethingNew": {"a": [1]},
    }
    session = parse_session(body)
    assert session == parse_session({"session": body, "error": None})
    assert session is not None
    assert (session.authorized_minor, session.final_minor) == (5000, 1234)
    assert session.at == datetime(2026, 7, 2, 11, 52, 22, tzinfo=UTC)
    assert session.committed_at == datetime(2026, 7, 2, 12, 40, tzinfo=UTC)
    assert session.terminal_transaction_id == "1001"


@pytest.mark.parametrize("body", [None, [], "x", 3, {}, {"message": "no"}])
def test_what_is_no_session_is_none(body: Any) -> None:
    assert parse_session(body) is None


@pytest.mark.parametrize("session_id", ["../terminals/x", "", "a b", "x" * 65, 7])
def test_a_session_id_that_could_leave_its_path_is_dropped(session_id: Any) -> None:
    session = parse_session({"sessionId": session_id, "state": "AUTHORIZED"})
    assert session is not None
    assert session.session_id == ""


def test_lists_of_sessions() -> None:
    one = {"sessionId": "s", "state": "AUTHORIZED"}
    for body in ([one, "junk"], {"sessions": [one]}, {"content": [one]}):
        sessions = parse_sessions(body)
        assert sessions is not None
        assert [session.session_id for session in sessions] == ["s"]
    assert parse_sessions({"other": []}) is None
    assert parse_sessions("x") is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [(0, 0), (1234, 1234), ("1234", 1234), (-1, None), (True, None), (12.5, None), ("12.5", None), (10**9, None)],
)
def test_amounts_must_be_credible(value: Any, amount: int | None) -> None:
    assert amount_minor(value) == amount


def test_times() -> None:
    assert parse_time("2026-07-02T11:52:22") == datetime(2026, 7, 2, 11, 52, 22, tzinfo=UTC)
    assert parse_time("yesterday") is None
    assert parse_time(17) is None


@pytest.mark.parametrize(
    ("body", "online", "state"),
    [
        ({"online": True, "state": "IDLE"}, True, TerminalState.IDLE),
        ({"online": False, "state": "READING"}, False, TerminalState.READING),
        ({"state": "card"}, True, TerminalState.CARD),
        ({"online": True, "state": "AUTHORIZING"}, True, TerminalState.BUSY),
        ({"online": True}, True, TerminalState.BUSY),
    ],
)
def test_terminals(body: Any, online: bool, state: TerminalState) -> None:
    status = parse_terminal(body)
    assert status is not None
    assert (status.online, status.state) == (online, state)


def test_what_is_no_terminal_is_none() -> None:
    assert parse_terminal({"error": "x"}) is None
    assert parse_terminal([]) is None


def test_a_card_without_an_id_is_none() -> None:
    assert parse_card({"sessionId": "x", "maskedPan": "512345******1234"}) is None
    assert parse_card([]) is None


def test_card_ids_have_one_form() -> None:
    assert normal_card_id("AB" * 32) == "ab" * 32
    assert normal_card_id("QR-Code-Abc") == "QR-Code-Abc"  # its case means something
    assert normal_card_id(12) == "12"
    assert normal_card_id(None) == ""


def test_a_card_never_prints_its_id() -> None:
    card = parse_card({"cardId": "raw-credential", "ifd": "qr_code"})
    assert card is not None
    assert card.ifd == "QR_CODE"
    assert "raw-credential" not in repr(card)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("512345******1234", "512345******1234"),
        ("5123 45** **** 1234", "512345******1234"),
        ("51234567****1234", "512345******1234"),
        ("************1234", "************1234"),
        ("xxxx1234", "****1234"),
        ("1234", "****1234"),
        ("123456", ""),
        ("", ""),
        ("cardholder", ""),
        (None, ""),
    ],
)
def test_a_masked_pan_keeps_six_and_four_at_most(given: Any, kept: str) -> None:
    assert mask_pan(given) == kept


def test_a_whole_pan_is_masked_at_once() -> None:
    pan = luhn_valid("412345")
    assert mask_pan(pan) == f"412345******{pan[-4:]}"
    assert mask_pan(" ".join(pan[i : i + 4] for i in range(0, 16, 4))) == f"412345******{pan[-4:]}"


def test_no_field_lets_a_pan_in() -> None:
    pan = luhn_valid("512345")
    session = parse_session(
        {
            "sessionId": "s",
            "state": "AUTHORIZED",
            "authorizationCode": pan,
            "authorizationResponseCode": pan,
            "authorizationHostReference": pan,
            "merchantReference": f"ref {pan}",
            "terminalTxnId": pan,
            "brand": pan,
        }
    )
    card = parse_card({"cardId": "x", "aid": pan, "ifd": pan, "maskedPan": pan})
    assert not contains_pan(repr(session))
    assert pan not in repr(session)
    assert pan not in repr(card)


def test_a_presented_card_is_hashed_and_the_chances_are_drawn_anew() -> None:
    card = ReadCard("credential", "T", "512345******1234", "A0000000041010", "CONTACTLESS")
    one, two = (
        card_presented(card, card_hash_key="k" * 16, serial="T", arm_id="a", now=datetime.now(UTC)) for _ in range(2)
    )
    assert one.key == two.key == "card:a"
    assert one.card == two.card
    assert one.card.card_ref == card_ref("k" * 16, "credential") != card_ref("other" * 4, "credential")
    assert len(one.card.card_ref) == 64
    assert "credential" not in repr(one)
    drawn = [{getattr(fact, name) for fact in (one, two)} for name in ("session_id", "id_token", "receipt_token")]
    assert all(len(values) == 2 for values in drawn)
    assert 0 < one.remote_start_id < 2**31
    assert len(one.receipt_token) >= 22  # 128 bits


def test_id_tokens_survive_any_case_and_fit_1_6() -> None:
    tokens = {mint_id_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) == 20 and token == token.upper() and token.isalnum() for token in tokens)
