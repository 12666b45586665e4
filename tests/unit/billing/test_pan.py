"""Card numbers are found and masked; what only looks like one is left alone. The numbers are made up on the spot."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pan import contains_pan, mask, redact_pans


def with_check_digit(digits: str) -> str:
    """The digits with the one digit that satisfies Luhn, counted the schoolbook way."""
    for check in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(digits + check)):
            value = int(digit) * (2 if place % 2 else 1)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return digits + check
    raise AssertionError("one of ten digits always fits")


VISA = with_check_digit("4" + "0" * 11 + "123")
AMEX = with_check_digit("37" + "0" * 9 + "123")
NEW_MASTERCARD = with_check_digit("2221" + "0" * 8 + "123")


def spaced(pan: str, separator: str) -> str:
    return separator.join(pan[i : i + 4] for i in range(0, len(pan), 4))


@pytest.mark.parametrize(
    "text",
    [
        VISA,
        AMEX,
        NEW_MASTERCARD,
        spaced(VISA, " "),
        spaced(VISA, "-"),
        f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}",
        f'{{"pan":"{VISA}"}}',
        f'{{"pan":{VISA}}}',
        f"card {VISA}.",
        f";{VISA}=26122011234?",
        f"{VISA}D26122011234",
        f"a=1&card={VISA}&b=2",
    ],
)
def test_found(text: str) -> None:
    assert contains_pan(text)
    redacted = redact_pans(text)
    assert not contains_pan(redacted)
    assert redacted != text


@given(st.text("0123456789", min_size=11, max_size=17), st.sampled_from("3456"))
def test_every_length_from_13_to_19_is_found(middle: str, first: str) -> None:
    assert contains_pan(with_check_digit(first + middle))


@pytest.mark.parametrize(
    "text",
    [
        VISA[:-1] + str((int(VISA[-1]) + 1) % 10),  # fails Luhn
        with_check_digit("1" + "0" * 14),  # no card scheme
        with_check_digit("9" + "0" * 14),
        with_check_digit("2220" + "9" * 11),  # just before Mastercard's range
        with_check_digit("4" + "0" * 10),  # 12 digits
        with_check_digit("4" + "0" * 18),  # 20 digits
        f"{VISA[:6]}******{VISA[-4:]}",
        f"a{VISA}",  # part of a longer name
        f"{VISA}b",
        f"0.{VISA}",  # a decimal number
        f"{VISA}.5",
        "2026-07-02T11:52:22.000+0000",
        "2026-07-02 11:52:22",
        "20260702115222",
        "2026-07-02 2026-07-03",
        '{"connectorId":1,"meterStart":4000123,"timestamp":"2026-07-02T11:52:22Z","idTag":"A1B2C3D4"}',
        '{"values":[4000, 4001, 4002, 4003, 4004]}',
        "",
    ],
)
def test_left_alone(text: str) -> None:
    assert not contains_pan(text)
    assert redact_pans(text) == text


@given(st.uuids())
def test_uuids_are_left_alone(identifier: uuid.UUID) -> None:
    assert not contains_pan(f'{{"sessionId":"{identifier}"}}')


def test_a_uuid_whose_digits_would_pass_is_left_alone() -> None:
    number = with_check_digit("4" + "0" * 6 + "4123" + "0" * 7)  # 4-4-11 digits
    identifier = f"abcdefab-{number[:4]}-{number[4:8]}-{number[8:12]}-{number[12:]}ab"
    digits_only = f"abcdefab-abcd-abcd-abcd-{with_check_digit('4' + '0' * 10)}"
    assert not contains_pan(identifier)
    assert not contains_pan(digits_only)


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_hashes_are_left_alone(card_id: str) -> None:
    assert not contains_pan(f'{{"cardId":"{card_id}"}}')


@pytest.mark.parametrize(
    ("shown", "masked"),
    [
        ("512345******1234", "************1234"),
        ("5123 45** **** 1234", "************1234"),
        ("1234", "****"),
        ("", ""),
    ],
)
def test_mask_keeps_the_last_four(shown: str, masked: str) -> None:
    assert mask(shown) == masked


def test_redacting_keeps_everything_else() -> None:
    assert redact_pans(f"card {VISA}, then {AMEX}.") == (f"card ************{VISA[-4:]}, then ***********{AMEX[-4:]}.")
