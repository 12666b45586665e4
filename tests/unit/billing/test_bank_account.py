"""IBAN and BIC: what is wrong is said, and never repeated."""

from __future__ import annotations

import pytest

from billing.bank_account import checked_bic, checked_iban, mask_iban


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("NO9386011117947", "NO9386011117947"),
        ("no93 8601 1117 947", "NO9386011117947"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("SE4550000000058398257466", "SE4550000000058398257466"),  # whose own check digits nobody here verifies
        ("GB29NWBK60161331926819", "GB29NWBK60161331926819"),
    ],
)
def test_an_iban_is_kept_as_banks_write_it(written: str, kept: str) -> None:
    assert checked_iban(written) == kept


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("NO9386011117946", "check digits"),
        ("NO93860111179", "length"),
        ("XX9386011117947", "country"),
        ("NO93860111A7947", "form"),
        ("NO93 8601 1117 9 ÿ7", "form"),
        ("", "form"),
        ("5123450000000001", "form"),  # as long as a card's number
    ],
)
def test_an_iban_that_cannot_be_is_refused_with_the_reason(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        checked_iban(written)
    assert not written or written not in str(refused.value)


def test_an_account_number_whose_own_check_digit_is_wrong_is_refused() -> None:
    number = "86011117948"  # its right one is 86011117947
    checksum = 98 - int(f"{number}232400") % 97
    with pytest.raises(ValueError, match="mistyped"):
        checked_iban(f"NO{checksum:02}{number}")


@pytest.mark.parametrize(("written", "kept"), [("dnbanokk", "DNBANOKK"), ("DNBANOKKXXX", "DNBANOKKXXX")])
def test_a_bic_is_kept_as_banks_write_it(written: str, kept: str) -> None:
    assert checked_bic(written) == kept


@pytest.mark.parametrize(("written", "says"), [("DNBANO", "8 or 11"), ("DNBAXXKK", "country"), ("", "8 or 11")])
def test_a_bic_that_cannot_be_is_refused(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        checked_bic(written)


def test_a_masked_iban_is_recognised_and_tells_no_more() -> None:
    assert mask_iban("NO93 8601 1117 947") == "NO*********7947"
    assert mask_iban("12345678") == "********"
