"""The floors, the names and the sizes of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.repository import ROOMS, ROOT, files, house_code

VAGUE = {"utils", "util", "helpers", "helper", "manager", "data", "misc", "common"}
LONGEST = 500


#: What each room may import of the house. The contracts below know layers; a room as such is none to them.
MAY_IMPORT = {
    "storage": {"storage"},
    "billing": {"billing", "storage"},
    "sessions": {"sessions", "billing", "storage"},
    "bridge": {"bridge", "sessions", "billing", "storage"},
    "csms": {"csms", "bridge", "sessions", "billing", "storage"},
    "simulators": {"simulators"},
}
MAY_IMPORT_SIMULATORS = {"csms/cli.py", "csms/demo.py"}


def rooms_imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} & set(ROOMS)


def test_rooms_import_only_what_is_below_them() -> None:
    wrong = {}
    for path in house_code():
        name = path.relative_to(ROOT).as_posix()
        above = rooms_imported(path) - MAY_IMPORT[name.split("/")[0]]
        if name in MAY_IMPORT_SIMULATORS:
            above -= {"simulators"}
        if above:
            wrong[name] = above
    assert wrong == {}


def test_the_floors_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_names_say_something() -> None:
    named = {part.partition(".")[0] for path in files() for part in path.relative_to(ROOT).parts}
    assert named & VAGUE == set()


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in house_code()}
    assert len(lengths) > 50
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_package_and_module_says_what_it_is() -> None:
    silent = [path.name for path in house_code() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []
    assert {path.parent.name for path in house_code() if path.name == "__init__.py"} >= set(ROOMS)
    homeless = {path.parent for path in house_code() if not (path.parent / "__init__.py").exists()}
    assert homeless == set()


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_ships_its_types(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()
