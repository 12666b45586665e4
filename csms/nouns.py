"""All nouns: whose keepers the service runs, and what each does in the daily round."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from csms import payouts, stations, terminals
from csms.terminals.calendar import Contributor
from csms.terminals.rounds import Step
from sessions import kept
from sessions.facts import Fact
from sessions.kept import Keeper

ROOMS = (stations, terminals, payouts)


@cache
def keepers() -> Mapping[type[Fact], Sequence[Keeper]]:
    """Every keeper, by fact type: the sessions' own, then those of the rooms' modules that have ``KEEPERS``.

    A noun is entered by being there; importing it also registers its facts and commands with the codec.
    """
    found: dict[type[Fact], tuple[Keeper, ...]] = {}
    for noun in (kept, *_nouns()):
        for kind, its in getattr(noun, "KEEPERS", {}).items():
            found[kind] = (*found.get(kind, ()), *its)
    return found


@cache
def steps() -> tuple[Step, ...]:
    """What the daily round does: the rooms' modules that have a ``ROUND``, in their order."""
    return tuple(step for noun in _nouns() for step in getattr(noun, "ROUND", ()))


@cache
def calendars() -> tuple[Contributor, ...]:
    """What owners' calendars are made of: the rooms' modules that have a ``CALENDAR``, in their order."""
    return tuple(one for noun in _nouns() for one in getattr(noun, "CALENDAR", ()))


def _nouns() -> list[Any]:
    return [
        importlib.import_module(f"{room.__name__}.{name}")
        for room in ROOMS
        for name in sorted(module.name for module in pkgutil.iter_modules(room.__path__))
    ]
