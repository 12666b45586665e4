"""What reminders and calendars say: in every language, with the same fields, and nothing that nobody says."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from functools import cache
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

from billing.words import LANGUAGES
from csms.terminals import alarms, incidents, inspections, owners
from csms.terminals.reminder_words import NAMES, TEXTS, Phrase, named, say
from tests.house.repository import house_code


@cache
def said() -> list[tuple[str, ast.Call]]:
    """Every call of ``say`` in the house, with where it is."""
    sources = [(path.name, path.read_text(encoding="utf-8")) for path in house_code()]
    return [
        (f"{name}:{node.lineno}", node)
        for name, text in sources
        if "from csms.terminals.reminder_words import" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
    ]


def key_of(call: ast.Call) -> str:
    assert len(call.args) == 1
    assert isinstance(call.args[0], ast.Constant)
    return str(call.args[0].value)


def fields(text: str) -> set[str]:
    """The names in braces; each stands there alone, because how it is written is the language's."""
    found = [(name, spec, how) for _, name, spec, how in Formatter().parse(text) if name is not None]
    assert all(name.isidentifier() and not spec and not how for name, spec, how in found), text
    return {name for name, _, _ in found}


@pytest.mark.parametrize("key", [*TEXTS, *NAMES])
def test_each_is_said_in_every_language_with_the_same_fields(key: str) -> None:
    translations = {**TEXTS, **NAMES}[key]
    assert tuple(translations) == LANGUAGES == owners.LANGUAGES
    assert all(text.strip() == text != "" for text in translations.values())
    assert len({frozenset(fields(text)) for text in translations.values()}) == 1


def test_whoever_says_something_gives_the_fields_that_it_has() -> None:
    for where, call in said():
        assert key_of(call) in TEXTS, where
        assert {one.arg for one in call.keywords} == fields(TEXTS[key_of(call)]["en"]), where


def test_nothing_is_in_the_table_that_nobody_says() -> None:
    assert {key_of(call) for _, call in said()} == TEXTS.keys()


def test_whatever_has_a_name_has_it_in_every_language() -> None:
    values = [one.value for kind in (inspections.Occasion, incidents.Kind, alarms.Kind) for one in kind]
    assert sorted(NAMES) == sorted(values)


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "Terminal P1: the inspection (weekly) has been due since 3 May 2026"),
        ("nb", "Terminal P1: kontrollen (ukentlig) skulle vært gjort senest 03.05.2026"),
        ("sv", "Terminal P1: the inspection (weekly) has been due since 3 May 2026"),
    ],
)
def test_days_and_names_are_written_as_the_language_does(language: str, written: str) -> None:
    phrase = say("inspection_overdue", serial="P1", occasion=named("weekly"), day=date(2026, 5, 3))
    assert phrase.written(language) == written


def test_moments_are_written_on_the_clock_of_their_zone() -> None:
    at = datetime(2026, 5, 3, 22, 30, 59, tzinfo=UTC)
    oslo = say("calendar_notice_what", at=at.astimezone(ZoneInfo("Europe/Oslo")))
    assert (oslo.written("en"), oslo.written("nb")) == (
        "Reported at 4 May 2026 00:30 CEST.",
        "Meldt 04.05.2026 00:30 CEST.",
    )
    assert say("calendar_notice_what", at=at).written("nb") == "Meldt 03.05.2026 22:30 UTC."


def test_a_phrase_within_a_phrase_is_written_in_the_same_language() -> None:
    phrase = say("test_late", silence=say("test_silence", reason="timeout", tries=5))
    assert phrase.written("nb") == (
        "Betalingsleverandøren svarte ikke (timeout), forsøk 5; den blir spurt igjen. Til den svarer, kan det stå en "
        "reservasjon på kortet."
    )


def test_what_people_wrote_is_no_template() -> None:
    phrase = Phrase({"en": "{text}", "nb": "{text}"}, {"text": "{serial} {0} {text.__class__} }{"})
    assert phrase.written("nb") == "{serial} {0} {text.__class__} }{"
