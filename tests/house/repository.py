"""What is in the repository, for the house's tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("billing", "bridge", "csms", "sessions", "simulators", "storage")
NOT_OURS = {".venv", ".git", "var", "dist", "build", "__pycache__"}


def files() -> list[Path]:
    """Every file of the project: what git knows or would add; where there is no git, whatever lies there."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:  # a machine without git
        listed = None
    if listed is None or listed.returncode:
        found = (path for path in ROOT.rglob("*") if not NOT_OURS & set(path.relative_to(ROOT).parts))
    else:
        found = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return sorted(path for path in found if path.is_file())


def texts(*, locks: bool = True) -> dict[str, str]:
    """Every text file: its path from the root, and what it says. ``locks``: also the lists of hashes."""
    found = {}
    for path in files():
        if locks or path.suffix != ".lock":
            try:
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return found


def house_code() -> list[Path]:
    """The Python files of the rooms (not their tests)."""
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ROOMS]
