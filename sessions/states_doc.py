"""Writes two pages of docs/ from the code itself: ``python -m sessions.states_doc states`` (or ``facts``). Pure.

`docs/states.md`: the tables as diagrams, and the joint rules. `docs/facts-and-commands.md`: every fact and command with
its sentence and what it carries.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from billing.payment import PAYMENT_TABLE, RESOLVED
from sessions import commands, facts
from sessions.decide import JOINT_RULES
from sessions.tables import CHARGING_TABLE, OVER

_STATES_HEAD = """# States

Generated from `sessions/tables.py`, `billing/payment.py` and `sessions/decide.py` by `make docs`; a test fails when
this page is stale.

A session has two states, one of its charge and one of its payment. A fact moves them by the tables; then the joint
rules are applied until none fits. What a table does not list changes nothing. In a state with an arrow to the end
nothing more is awaited; where an arrow leaves such a state all the same, it is for a success that arrives late.

A charge begins as *choosing* (a tap at a terminal with several EVSEs), as *waiting* (a tap, or an operator's start) or
as *accepted* (a token that the station read itself); a payment begins as *none*, and stays so where no card pays.
"""

_FACTS_HEAD = """# Facts and commands

Generated from `sessions/facts.py` and `sessions/commands.py` by `make docs`; a test fails when this page is stale.

A **fact** is what a shell saw, in the past tense; what moves a session is a fact. Its `key` is unique in the journal:
the same event seen twice is one fact. A **command** is what is to be done about it, in the imperative; its `key` is
unique in the outbox: deciding twice asks once.
"""

_FACTS_OF = (
    (facts.TransactionFact, "About a transaction"),
    (facts.StationFact, "About a station"),
    (facts.SessionFact, "About one known session"),
    (facts.TerminalFact, "About a terminal"),
    (facts.Fact, "About anything else"),
)


def states() -> str:
    """The page of the state diagrams."""
    rules = (f"{n}. **{rule_name(rule)}**: {sentence(rule)}" for n, rule in enumerate(JOINT_RULES, 1))
    parts = (
        _STATES_HEAD,
        "## The charge\n",
        _diagram(CHARGING_TABLE, OVER),
        "## The payment\n",
        _diagram(PAYMENT_TABLE, RESOLVED),
        "## Joint rules, in order\n",
        "\n".join(rules),
    )
    return "\n".join(parts) + "\n"


def facts_and_commands() -> str:
    """The page of the facts and commands."""
    parts = [_FACTS_HEAD, "## Facts\n", f"Every one carries {_fields(facts.Fact, ())}.\n"]
    left = list(typing.get_args(facts.AnyFact))
    for base, title in _FACTS_OF:
        mine = [kind for kind in left if issubclass(kind, base)]
        left = [kind for kind in left if kind not in mine]
        if mine:
            of_all = _fields(base, _names(facts.Fact))
            carried = f"Every one also carries {of_all}.\n\n" if of_all else ""
            parts += [f"### {title}\n", carried + _list(mine, _names(base))]
    always = _fields(commands.Command, ())
    kinds = typing.get_args(commands.AnyCommand)
    parts += ["## Commands\n", f"Every one carries {always}.\n", _list(kinds, _names(commands.Command))]
    return "\n".join(parts).rstrip() + "\n"


PAGES = {"states": states, "facts": facts_and_commands}


def sentence(thing: Any) -> str:
    """Its docstring on one line. ValueError for one without (a dataclass makes up a signature of its own)."""
    text = " ".join((thing.__doc__ or "").replace("``", "`").split())
    if not text or text.startswith(f"{thing.__name__}("):
        raise ValueError(f"{thing.__name__} has no docstring")
    return text


def rule_name(rule: Any) -> str:
    """A joint rule's name as the page shows it."""
    return str(rule.__name__).removeprefix("_rule_").replace("_", " ")


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


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _fields(kind: type, known: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in _names(kind) if name not in known)


def _list(kinds: Iterable[type], known: tuple[str, ...]) -> str:
    lines = []
    for kind in kinds:
        carried = _fields(kind, known)
        lines.append(f"- **`{kind.__name__}`**: {sentence(kind)}" + (f" Carries {carried}." if carried else ""))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(PAGES[sys.argv[1]](), end="")
