"""Fail points: a dry run lists them, and the process dies at the one it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = "from storage.failpoint import failpoint\nfor _ in range(3):\n    failpoint('a')\n    failpoint('b')\n"


def run(log: Path, point: str) -> int:
    environment = {**os.environ, "TAPVOLT_FAILPOINT": point, "TAPVOLT_FAILPOINT_LOG": str(log)}
    return subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, check=False).returncode


def test_a_dry_run_lists_every_pass(tmp_path: Path) -> None:
    assert run(tmp_path / "log", "") == 0
    assert (tmp_path / "log").read_text().split() == ["a#1", "b#1", "a#2", "b#2", "a#3", "b#3"]


def test_the_process_dies_at_the_pass_it_is_told(tmp_path: Path) -> None:
    assert run(tmp_path / "log", "b#2") == -signal.SIGKILL
    assert (tmp_path / "log").read_text().split() == ["a#1", "b#1", "a#2", "b#2"]


def test_a_pass_that_is_never_reached_kills_nobody(tmp_path: Path) -> None:
    assert run(tmp_path / "log", "b#9") == 0
