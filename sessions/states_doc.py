"""Writes `docs/states.md` from the tables: ``python -m sessions.states_doc > docs/states.md``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from billing.payment import PAYMENT_TABLE, RESOLVED
from sessions import commands, facts
from sessions.decide import JOINT_RULES
from sessions.tables import CHARGING_TABLE, OVER

_HEAD = """# States, facts and commands

Generated from `sessions/tables.py`, `billing/payment.py`, `sessions/decide.py`, `sessions/facts.py` and
`sessions/commands.py` by `make docs`; a test fails when this page is stale.

A session has two states, one of its charge and one of its payment. A fact moves them by the tables; then the joint
rules are applied until none fits. What a table does not list changes nothing.
"""


def document() -> str:
    """The page."""
    parts = [
        _HEAD,
        "## The charge\n",
        _diagram(CHARGING_TABLE, OVER),
        "## The payment\n",
        _diagram(PAYMENT_TABLE, RESOLVED),
        "## Joint rules, in order\n",
        "\n".join(
            f"{n}. `{rule.__name__.removeprefix('_rule_')}`: {rule.__doc__}" for n, rule in enumerate(JOINT_RULES, 1)
        ),
        "\n## Facts\n",
        _classes(facts, facts.Fact),
        "\n## Commands\n",
        _classes(commands, commands.Command),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _diagram(table: Mapping[Any, Mapping[Any, StrEnum]], final: frozenset[Any]) -> str:
    """A Mermaid state diagram. Final states are those from which nothing more is awaited."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [
        f"    {state.value} --> {after.value}: {event.value}"
        for state, row in table.items()
        for event, after in row.items()
    ]
    lines += [f"    {state.value} --> [*]" for state in table if state in final]
    return "\n".join([*lines, "```\n"])


def _classes(module: Any, base: type) -> str:
    """Each concrete class with its sentence."""
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and dataclasses.is_dataclass(value)
        and not any(
            value is not other and issubclass(other, value) for other in vars(module).values() if inspect.isclass(other)
        )
    ]
    return "\n".join(f"- `{value.__name__}`: {' '.join((value.__doc__ or '').split())}" for value in found)


if __name__ == "__main__":
    print(document(), end="")
