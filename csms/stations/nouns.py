"""All nouns of this room: whose keepers the service runs, which commands they bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from csms.stations import calls, history
from sessions import kept
from sessions.facts import Fact
from sessions.kept import Keeper

#: A module with `KEEPERS`: fact type → keepers.
NOUNS: tuple[Any, ...] = (
    kept,
    calls,
    history,
)


def keepers() -> Mapping[type[Fact], Sequence[Keeper]]:
    """Every keeper of every noun, by fact type, in the order of `NOUNS`."""
    found: dict[type[Fact], tuple[Keeper, ...]] = {}
    for noun in NOUNS:
        for kind, its in noun.KEEPERS.items():
            found[kind] = (*found.get(kind, ()), *its)
    return found
