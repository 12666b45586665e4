"""Organisation and VAT numbers: taken as people write them, refused where they cannot be."""

from __future__ import annotations

import pytest

from billing.company_numbers import organisation_number, vat_number


@pytest.mark.parametrize(
    ("country", "written", "kept"),
    [
        ("NO", "923609016", "923609016"),
        ("NO", "923 609 016", "923609016"),
        ("NO", "974760673", "974760673"),
        ("SE", "556036-0793", "5560360793"),
        ("DE", "HRB 12345 B", "HRB 12345 B"),
        ("DK", "10150817", "10150817"),
    ],
)
def test_an_organisation_number_is_kept_alike(country: str, written: str, kept: str) -> None:
    assert organisation_number(country, written) == kept


@pytest.mark.parametrize(
    ("country", "written", "says"),
    [
        ("NO", "923609017", "last digit"),
        ("NO", "92360901", "nine digits"),
        ("NO", "９２３６０９０１６", "nine digits"),  # digits, but none that a register writes
        ("NO", "", "nine digits"),
        ("SE", "556036-0794", "last digit"),
        ("SE", "1", "ten digits"),
        ("DE", "", "1 to 39"),
        ("DE", "=HYPERLINK()", "1 to 39"),
        ("DE", "x" * 40, "1 to 39"),
    ],
)
def test_an_organisation_number_that_cannot_be_is_refused(country: str, written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        organisation_number(country, written)


@pytest.mark.parametrize(
    ("country", "written", "kept"),
    [
        ("NO", "NO 923 609 016 MVA", "923609016MVA"),
        ("NO", "923609016", "923609016MVA"),
        ("DE", "de 136 695 976", "DE136695976"),
        ("GR", "EL094014201", "EL094014201"),
        ("SE", "SE556036079301", "SE556036079301"),
        ("AT", "ATU13585627", "ATU13585627"),
        ("NL", "NL004495445B01", "NL004495445B01"),
        ("US", "12-3456789", "12-3456789"),
        ("NO", "", ""),
        ("DE", "", ""),
    ],
)
def test_a_vat_number_is_kept_alike(country: str, written: str, kept: str) -> None:
    assert vat_number(country, written) == kept


@pytest.mark.parametrize(
    ("country", "written", "says"),
    [
        ("NO", "923609017MVA", "last digit"),
        ("DE", "136695976", "begins with DE"),
        ("DE", "FR136695976", "begins with DE"),
        ("DE", "DE13669597", "begins with DE"),
        ("GR", "GR094014201", "begins with EL"),
        ("US", "+1", "1 to 39"),
    ],
)
def test_a_vat_number_that_cannot_be_is_refused(country: str, written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        vat_number(country, written)
    assert written not in str(refused.value)
