"""How long a generated month takes to reconcile, on SQLite and on PostgreSQL.

    .venv/bin/python -m benchmarks.reconcile [sessions] [owners]

50,000 sessions of 200 owners, two in a hundred records of provider and acquirers wrong. Generating and copying in are
not counted. Exits with 1 if a fault was not found, or one was found that was not there.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from storage.engine import create_engine
from tests.databases import Databases
from tests.month.filling import fill
from tests.scale import KINDS
from tests.store.test_reconciliation_month import found, month, reconcile_month


async def measure(databases: Databases, kind: str, sessions: int, owners_count: int) -> bool:
    """Print one line; return whether exactly the seeded faults were found."""
    owners, paid, told = month(owners_count, sessions)
    url = databases.fresh(kind)
    await fill(url, owners, paid)
    engine = create_engine(url)
    begun, used = time.perf_counter(), time.process_time()
    await reconcile_month(engine, owners, told)
    took, used = time.perf_counter() - begun, time.process_time() - used
    right = await found(engine) == Counter(told.seeded)
    await engine.dispose()
    print(
        f"{kind:<11} {sessions} sessions, {told.records} records, {len(told.seeded)} faults: "
        f"{took:.1f} s ({used:.1f} s of this process), {'all found' if right else 'WRONG'}"
    )
    return right


def main() -> int:
    """Measure both."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    owners = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(Path(folder))
        try:
            right = [asyncio.run(measure(databases, kind, sessions, owners)) for kind in KINDS]
            return int(not all(right))
        finally:
            databases.close()


if __name__ == "__main__":
    sys.exit(main())
