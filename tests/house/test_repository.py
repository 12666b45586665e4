"""What lies in the repository: no card numbers, no machine's own paths, and documents that say what is true."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from billing.pan import contains_pan, redact_pans
from csms.cli import _parser
from csms.settings import load_settings
from simulators.station import console
from simulators.terminal_cloud.faults import CALL_FAULTS, CALLBACK_FAULTS, CALLS
from tests.house.repository import ROOMS, ROOT, texts

TEXTS = texts()
PAGES = {name: text for name, text in TEXTS.items() if name.endswith(".md") and not name.startswith("tests/")}
FOLDERS = r"/work[/]|/root[/]|/home[/]\w|/Users[/]\w"
MACHINE = re.compile(FOLDERS + r"|[Pp]ythonhosted[.]|pypi[.]org|index[-]url|extra[-]index")
EXAMPLE = (ROOT / "deploy" / "tapvolt.toml").read_text(encoding="utf-8")


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", TEXTS["Makefile"], re.MULTILINE))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def shell_commands() -> list[tuple[str, str]]:
    """Every `tapvolt …` line of the pages' shell blocks, without its comment."""
    return [
        (page, line.split("  #")[0].removeprefix(".venv/bin/").strip())
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if re.match(r"(\.venv/bin/)?tapvolt ", line)
    ]


def test_there_is_something_to_look_at() -> None:
    assert {"README.md", "ARCHITECTURE.md", "docs/settings.md", "Makefile", "pyproject.toml"} <= TEXTS.keys()
    assert len(shell_commands()) > 5


def test_no_card_number_is_in_the_repository() -> None:
    found = {
        f"{name}:{number}": redact_pans(line.strip()[:120])
        for name, text in texts(locks=False).items()
        if contains_pan(text)
        for number, line in enumerate(text.splitlines(), 1)
        if contains_pan(line)
    }
    assert found == {}


def test_no_machine_is_in_the_repository() -> None:
    found = {name: match[0] for name, text in TEXTS.items() if (match := MACHINE.search(text))}
    assert found == {}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_pin_everything_by_hash_and_name_no_address(name: str) -> None:
    lines = TEXTS[name].splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+( ;.*)? \\$", line) for line in pinned)
    assert "://" not in TEXTS[name]
    project = tomllib.loads(TEXTS["pyproject.toml"])
    wanted = [*project["project"]["dependencies"]]
    wanted += project["dependency-groups"]["dev"] if "dev" in name else []
    names = {re.split(r"[\[=]", line)[0] for line in pinned}
    missing = {re.split(r"[\[><=;]", want)[0].strip().lower() for want in wanted} - names
    assert missing == set(), f"{name} is stale: run `make lock`"


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads(TEXTS["pyproject.toml"])["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", TEXTS["CHANGELOG.md"], re.MULTILINE)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_what_a_page_tells_to_make_can_be_made(page: str) -> None:
    code = "\n".join([*re.findall(r"`([^`\n]+)`", PAGES[page]), *blocks(page, "sh")])
    assert set(re.findall(r"\bmake ([a-z]+)\b", code)) <= makefile_targets()


def test_the_readme_begins_with_the_two_commands() -> None:
    assert re.findall(r"^make ([a-z]+)", blocks("README.md", "sh")[0], re.MULTILINE) == ["demo", "test"]
    ci = TEXTS[".ci/run"].splitlines()
    assert ci[-2:] == ["make check", "make test"]
    assert "set -euo pipefail" in ci


@pytest.mark.parametrize(("page", "line"), shell_commands())
def test_the_pages_commands_exist(page: str, line: str) -> None:
    words = shlex.split(line.replace("$NOW", "2026-01-01T00:00:00+00:00"))
    _parser().parse_args(words[1:])


def test_operators_are_told_what_each_flag_means() -> None:
    """A flag without a line in docs/operators.md sends an operator to the source code."""
    code = "\n".join(text for name, text in TEXTS.items() if name.startswith("sessions/"))
    raised = set(re.findall(r'\.flags?(?:\(|, )"([a-z-]+)"', code)) | {"undecidable", "settled-provisionally"}
    explained = set(re.findall(r"`([a-z_-]+)`", PAGES["docs/operators.md"]))
    assert {"late-start", "energy-unproven", "register-fell", "capture-failed"} <= raised
    assert raised - explained == set()


@pytest.mark.parametrize("table", [console.TABLE, dict.fromkeys((*CALLS, *CALL_FAULTS, *CALLBACK_FAULTS))])
def test_engineers_are_told_every_command_and_fault_of_the_simulators(table: dict[str, object]) -> None:
    quoted = " ".join(re.findall(r"`([^`\n]+)`", PAGES["docs/simulators.md"])).split()
    assert [name for name in table if name not in quoted] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", PAGES[page]):
        if "://" not in target and not target.startswith("mailto:"):
            assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", sorted(PAGES))
def test_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z0-9_.]+\.[a-z]+)(?::\w+)?`", PAGES[page])
    ours = [name for name in named if name.split("/")[0] in {*ROOMS, "tests", "docs", "benchmarks", "deploy"}]
    assert [name for name in ours if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", re.findall(r"`(\w+/[\w/]+\.py):(\w+)`", TEXTS["ARCHITECTURE.md"]), ids="::".join)
def test_functions_that_the_architecture_names_exist(name: tuple[str, str]) -> None:
    path, function = name
    assert re.search(rf"^\s*(async def|def|class) {function}\b|^{function}\b", TEXTS[path], re.MULTILINE)


def test_the_example_settings_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = tmp_path / "tapvolt.toml"
    filled.write_text(EXAMPLE.replace('"…"', f'"{"x" * 32}"'), encoding="utf-8")
    settings = load_settings(filled)
    assert settings.terminals[0].evses == ("CP-1/1",)
    assert settings.payter is not None


def test_the_readme_shows_the_example_settings() -> None:
    shown: dict[str, Any] = tomllib.loads(blocks("README.md", "toml")[0])
    assert shown == tomllib.loads(EXAMPLE)


def test_the_unit_runs_what_is_there() -> None:
    start = re.search(r"^ExecStart=\S+/tapvolt (.*)$", TEXTS["deploy/tapvolt.service"], re.MULTILINE)
    assert start is not None
    _parser().parse_args(shlex.split(start[1]))
