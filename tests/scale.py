"""How large the large tests are: as large as the bars (`make test FULL=1`), or so that they end in minutes.

What is left out is size and repetition, never a kind of test: every point is still killed at, every operation played,
every year lived through; but on one database instead of both, or with a tenth of the sessions.
"""

from __future__ import annotations

import os

KINDS = ("sqlite", "postgresql")
FULL = os.environ.get("FULL_SCALE", "") not in {"", "0"}
#: Where what takes long and asks little of the database is played.
LONG_ON = KINDS if FULL else KINDS[:1]


def sized(full: int) -> int:
    """So many, or a tenth."""
    return full if FULL else full // 10
