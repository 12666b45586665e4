"""Families of terminals, as data: what each one can do. A new one is a line here.

Sources: Payter's documentation for screens and incremental authorisation (Apollo range only, and without a visible
call, so nobody may rely on it); the Apollo user manual for the battery that guards against tampering.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TerminalFamily:
    """Capabilities of one family.

    ``screens``: takes /ui screens and reports touches. ``battery``: its manual tells of one that must be kept charged,
    or the terminal locks itself. ``incremental_authorisation``: the terminal could. ``increment_call``,
    ``refund_call``: the wire has a call for it.
    """

    name: str
    screens: bool
    battery: bool
    incremental_authorisation: bool
    increment_call: bool = False
    refund_call: bool = False


FAMILIES: dict[str, TerminalFamily] = {
    family.name: family
    for family in (
        TerminalFamily("P66", screens=False, battery=False, incremental_authorisation=False),
        TerminalFamily("P66S", screens=False, battery=False, incremental_authorisation=False),
        TerminalFamily("P68", screens=False, battery=False, incremental_authorisation=False),
        TerminalFamily("Apollo", screens=True, battery=True, incremental_authorisation=True),
        TerminalFamily("Apollo Max", screens=True, battery=True, incremental_authorisation=True),
        TerminalFamily("Apollo Polar", screens=True, battery=True, incremental_authorisation=True),
    )
}

# What every terminal can do: the answer for a family that nobody has entered yet.
PLAIN = TerminalFamily("", screens=False, battery=False, incremental_authorisation=False)


def family_of(name: str) -> TerminalFamily:
    """The family of that name, whatever the case; the plainest capabilities for an unknown one."""
    wanted = " ".join(name.split()).casefold()
    for family in FAMILIES.values():
        if family.name.casefold() == wanted:
            return family
    return PLAIN
