"""Families of terminals: what each can do, and whose serial number is whose."""

from __future__ import annotations

import pytest

from sessions.families import FAMILIES, PLAIN, family_of, fold_serial, serial_fits
from simulators.terminal_cloud.model import FAMILIES as SIMULATED


def test_families() -> None:
    assert {name for name, family in FAMILIES.items() if family.screens} == {"Apollo", "Apollo Max", "Apollo Polar"}
    assert family_of(" apollo  MAX ") is FAMILIES["Apollo Max"]
    assert family_of("P99") is PLAIN
    # The wire has no call for either: nobody may rely on them.
    assert not any(family.increment_call or family.refund_call for family in FAMILIES.values())
    assert tuple(FAMILIES) == SIMULATED


@pytest.mark.parametrize("name", FAMILIES)
def test_a_serial_number_tells_the_range(name: str) -> None:
    family = FAMILIES[name]
    for other in FAMILIES.values():
        assert serial_fits(other, family.serial_example, {}) == (other.screens == family.screens)


def test_serial_numbers_are_compared_folded_and_whole() -> None:
    apollo = FAMILIES["Apollo"]
    assert fold_serial(" apo 2024\t0000001 ") == "APO20240000001"
    for wrong in ("", "APO2024000000l", "APO20240000001X", "XAPO20240000001", "APO20240000001\n", "APO٢٠٢٤٠٠٠٠٠٠١"):
        assert not serial_fits(apollo, wrong, {}), wrong
    assert serial_fits(apollo, "T1", {"Apollo": "T[0-9]"})
    assert not serial_fits(apollo, "T1", {"P66": "T[0-9]"})
