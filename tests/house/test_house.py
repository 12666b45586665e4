"""The house's own rules."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from billing.pan import contains_pan
from csms import settings_doc
from csms.settings import Settings
from sessions import commands, decide, doers, facts, states_doc

ROOT = Path(__file__).parents[2]
ROOMS = ("billing", "bridge", "csms", "sessions", "simulators", "storage")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()]


def test_the_floors_hold() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("page", "document"), [("settings.md", settings_doc.document), ("states.md", states_doc.document)]
)
def test_generated_pages_are_not_stale(page: str, document: object) -> None:
    assert callable(document)
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == document(), f"docs/{page} is stale: run `make docs`"


def test_every_setting_is_described() -> None:
    def check(model: type[BaseModel], path: str) -> None:
        for name, field in model.model_fields.items():
            nested, _ = settings_doc._nested(field.annotation)
            if nested is not None:
                assert nested.__doc__, f"{path}{name}"
                check(nested, f"{path}{name}.")
            else:
                assert field.description, f"{path}{name} has no description"

    check(Settings, "")


def test_every_command_has_a_doer_and_every_fact_is_decided_or_routed() -> None:
    from typing import get_args

    from sessions.routing import _ROUTERS

    done = set(doers.Doers.__init__.__code__.co_names)
    assert {kind.__name__ for kind in get_args(commands.AnyCommand)} <= done
    kept = {facts.StationEventRecorded, facts.ConformanceFound, facts.TerminalStateReported}
    silent = {facts.StopAccepted, facts.StopRefused, facts.ReleaseUnanswered}
    for kind in get_args(facts.AnyFact):
        assert kind in kept | silent or kind in decide._HANDLERS or kind in _ROUTERS, kind


def test_names_say_something() -> None:
    vague = {"utils", "helpers", "manager", "data", "misc", "common"}
    assert [p for p in tracked() if p.suffix == ".py" and p.stem in vague] == []


def test_files_are_short() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in tracked()
        if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in ROOMS and "migrations" not in p.parts
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 620
    }
    assert long == {}


def test_no_card_number_is_in_the_repository() -> None:
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".html", ".jsonl", ".json", ".css"}:
            assert not contains_pan(path.read_text(encoding="utf-8")), path


def test_the_project_speaks_of_itself_alone() -> None:
    foreign = re.compile(r"/work/|/root/|files\.pythonhosted|pypi\.org/simple")
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".lock", ".html"} and path != Path(__file__):
            found = foreign.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found[0] if found else ''}"


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_readme_and_the_makefile_agree() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", readme))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
