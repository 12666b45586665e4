"""Families of terminals, as data: what each can do, and what its serial numbers look like. A new one is a line here.

Sources: Payter's documentation for screens and incremental authorisation (Apollo range only, and without a visible
call, so nobody may rely on it); the Apollo user manual for the battery that guards against tampering. The serial
numbers' formats are an assumption [A]: Payter publishes none. Seen are ``APO20240000001`` on an Apollo, and serials
that begin with ``P6X`` on the P66 range; what a real terminal contradicts is a setting (`inventory.serial_patterns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_P6X = r"P6X[0-9A-Z]{5,17}"  # [A]
_APOLLO = r"AP[A-Z][0-9]{8,14}"  # [A]


@dataclass(frozen=True, slots=True)
class TerminalFamily:
    """Capabilities of one family.

    ``screens``: has a touch screen: takes /ui screens and reports touches. ``battery``: its manual tells of one that
    must be kept charged, or the terminal locks itself. ``incremental_authorisation``: the terminal could.
    ``increment_call``, ``refund_call``: the wire has a call for it. ``serial_pattern``: a regular expression that all
    of a folded serial number matches (`fold_serial`).
    """

    name: str
    screens: bool
    battery: bool
    incremental_authorisation: bool
    serial_pattern: str
    serial_example: str
    increment_call: bool = False
    refund_call: bool = False


def _p6x(name: str) -> TerminalFamily:
    return TerminalFamily(
        name,
        screens=False,
        battery=False,
        incremental_authorisation=False,
        serial_pattern=_P6X,
        serial_example="P6X20240000001",
    )


def _apollo(name: str) -> TerminalFamily:
    return TerminalFamily(
        name,
        screens=True,
        battery=True,
        incremental_authorisation=True,
        serial_pattern=_APOLLO,
        serial_example="APO20240000001",
    )


FAMILIES: dict[str, TerminalFamily] = {
    family.name: family
    for family in (
        _p6x("P66"),
        _p6x("P66S"),
        _p6x("P68"),
        _apollo("Apollo"),
        _apollo("Apollo Max"),
        _apollo("Apollo Polar"),
    )
}

# What every terminal can do: the answer for a family that nobody has entered yet.
PLAIN = TerminalFamily(
    "", screens=False, battery=False, incremental_authorisation=False, serial_pattern=r".+", serial_example=""
)


def family_of(name: str) -> TerminalFamily:
    """The family of that name, whatever the case; the plainest capabilities for an unknown one."""
    wanted = " ".join(name.split()).casefold()
    for family in FAMILIES.values():
        if family.name.casefold() == wanted:
            return family
    return PLAIN


def fold_serial(serial: str) -> str:
    """A serial number as it is compared and kept: without spaces, in capitals."""
    return "".join(serial.split()).upper()


def serial_fits(family: TerminalFamily, serial: str, patterns: Mapping[str, str]) -> bool:
    """Whether a folded serial number can be one of the family's. ``patterns``: by family's name, instead of its own."""
    return re.fullmatch(patterns.get(family.name, family.serial_pattern), serial) is not None
