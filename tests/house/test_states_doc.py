"""The pages that are made from tables, facts and commands are true; every fact and command is in use."""

from __future__ import annotations

import typing
from dataclasses import dataclass

import pytest

from billing.payment import PAYMENT_TABLE
from sessions import commands, decide, doers, facts, states_doc
from sessions.routing import _ROUTERS
from sessions.tables import CHARGING_TABLE
from tests.house.repository import ROOT

FACTS: tuple[type, ...] = typing.get_args(facts.AnyFact)
COMMANDS: tuple[type, ...] = typing.get_args(commands.AnyCommand)

#: Written down by `sessions.service`, and decided on by nobody.
KEPT = {facts.StationEventRecorded, facts.ConformanceFound, facts.TerminalStateReported}
#: In the journal for whoever looks into a session later: they change nothing.
SILENT = {facts.StopAccepted, facts.StopRefused, facts.ReleaseUnanswered}


@pytest.mark.parametrize(("page", "document"), [("states", "states"), ("facts-and-commands", "facts")])
def test_the_page_is_not_stale(page: str, document: str) -> None:
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == states_doc.PAGES[document](), f"docs/{page}.md is stale: run `make docs`"


def test_the_diagrams_have_every_row_of_the_tables() -> None:
    page = states_doc.states()
    for table in (CHARGING_TABLE, PAYMENT_TABLE):
        for state, row in table.items():
            for event, after in row.items():
                assert f"    {state} --> {after}: {event}\n" in page


@pytest.mark.parametrize("rule", decide.JOINT_RULES, ids=states_doc.rule_name)
def test_every_joint_rule_says_what_it_does(rule: object) -> None:
    assert states_doc.sentence(rule).endswith(".")


@pytest.mark.parametrize("kind", [*FACTS, *COMMANDS], ids=lambda kind: kind.__name__)
def test_every_fact_and_command_says_what_it_is(kind: type) -> None:
    assert states_doc.sentence(kind).endswith(".")
    page = (ROOT / "docs" / "facts-and-commands.md").read_text(encoding="utf-8")
    assert f"- **`{kind.__name__}`**: {states_doc.sentence(kind)}" in page


def test_a_missing_docstring_is_noticed() -> None:
    @dataclass
    class Undescribed:
        key: str

    with pytest.raises(ValueError, match="Undescribed has no docstring"):
        states_doc.sentence(Undescribed)


def test_no_fact_or_command_is_left_out() -> None:
    for module, base, kinds in ((facts, facts.Fact, FACTS), (commands, commands.Command, COMMANDS)):
        defined = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, base)]
        bases = {ancestor for kind in defined for ancestor in kind.__mro__[1:]}
        assert {kind for kind in defined if kind not in bases} == set(kinds)


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_every_fact_is_decided_routed_or_kept(kind: type) -> None:
    used = kind in decide._HANDLERS or kind in _ROUTERS
    assert used or kind in KEPT | SILENT


def test_every_command_has_a_doer() -> None:
    named = set(doers.Doers.__init__.__code__.co_names)
    assert {kind.__name__ for kind in COMMANDS} <= named
