"""Fail points: places where a test may kill the process, enumerated, not left to luck.

The setting ``TAPVOLT_FAILPOINT`` is ``<name>#<n>``: the process sends itself SIGKILL at the n-th pass of the point
``name``. ``TAPVOLT_FAILPOINT_LOG`` names a file that receives each point passed, one a line, so that a dry run lists
them all. Neither set (production): one dictionary look-up per pass.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()
_armed = os.environ.get("TAPVOLT_FAILPOINT", "")
_log_path = os.environ.get("TAPVOLT_FAILPOINT_LOG", "")


def arm(point: str, log_path: str = "") -> None:
    """Set the point to die at (``name#n``) and the log, as the environment does at start-up."""
    global _armed, _log_path
    _armed, _log_path = point, log_path
    _passed.clear()


def failpoint(name: str) -> None:
    """Pass the point ``name``; die here if the setting says so."""
    if not _armed and not _log_path:
        return
    _passed[name] += 1
    here = f"{name}#{_passed[name]}"
    if _log_path:
        with open(_log_path, "a", encoding="utf-8") as log:
            log.write(here + "\n")
    if here == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
