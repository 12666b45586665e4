"""All nouns of this room: whose keepers the service runs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from csms import stations
from sessions import kept
from sessions.facts import Fact
from sessions.kept import Keeper


@cache
def keepers() -> Mapping[type[Fact], Sequence[Keeper]]:
    """Every keeper, by fact type: the sessions' own, then those of this package's modules that have ``KEEPERS``.

    A noun is entered by being here; importing it also registers its facts and commands with the codec.
    """
    found: dict[type[Fact], tuple[Keeper, ...]] = {}
    for noun in (kept, *_nouns()):
        for kind, its in getattr(noun, "KEEPERS", {}).items():
            found[kind] = (*found.get(kind, ()), *its)
    return found


def _nouns() -> list[Any]:
    names = sorted(module.name for module in pkgutil.iter_modules(stations.__path__))
    return [importlib.import_module(f"{stations.__name__}.{name}") for name in names if name != "nouns"]
