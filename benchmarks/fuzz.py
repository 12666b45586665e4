"""A million hostile frames through the stations' line, by hand or by night; the tests send a few of them each time.

    .venv/bin/python -m benchmarks.fuzz --frames 1000000 --seed 1

Ends with 0 if nothing was found; else with 1, and what was: the frame, and the seed that makes it again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time

from csms.ocpp.schemas import actions, request_problems, response_problems
from csms.ocpp.versions import DIALECTS
from storage.engine import create_engine
from storage.upgrade import upgrade
from tests.wire.fuzzing import Behind, Found, Fuzzer, Tally, stored
from tests.wire.schema_payloads import table

#: Blocks of memory that a run may gain after its first tenth: buffers of fixed size hold now more, now less.
MORE_BLOCKS = 20_000
REPORTS = 10


def main() -> int:
    """Read the arguments, send the frames, print the tally."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description="Sends hostile frames through the stations' line, from frame to handler, in every version. "
        "Each must be answered as it should be, no exception may be logged, no memory kept.",
    )
    parser.add_argument("--frames", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(2**32), help="the same seed makes the same frames (default: any)"
    )
    parser.add_argument(
        "--stored", action="store_true", help="with the service and a database behind the line: slower, and tries both"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        run = _run_stored if arguments.stored else _run
        tally = asyncio.run(run(arguments.seed, max(arguments.frames, REPORTS)))
    except Found as found:
        print(f"FOUND: {found}")
        return 1
    for outcome, count in tally.outcomes.most_common():
        print(f"{count:>10}  {outcome}")
    print(f"slowest frame: {tally.slowest_s * 1000:.0f} ms of the processor, {tally.slowest}")
    gained = tally.blocks[-1] - tally.blocks[0]
    print(f"blocks of memory: {tally.blocks[0]} after a tenth, {tally.blocks[-1]} at the end")
    if gained > MORE_BLOCKS:
        print(f"FOUND: {gained} blocks of memory were kept")
        return 1
    return 0


def _fill_caches() -> None:
    """Tables of payloads and compiled schemas are made once and kept; that is no growth."""
    for version, dialect in DIALECTS.items():
        for action in actions(version):
            request_problems(version, action, table(version, action)[0].payload)
        for action in dialect.asks:
            response_problems(version, action, table(version, action, "response")[0].payload)


async def _run_stored(seed: int, frames: int) -> Tally:
    with tempfile.TemporaryDirectory(prefix="tapvolt-fuzz-") as directory:
        url = f"sqlite:///{directory}/fuzz.sqlite3"
        engine = create_engine(url)
        await upgrade(engine)
        await engine.dispose()
        async with stored(url) as behind:
            return await _run(seed, frames, behind)


async def _run(seed: int, frames: int, behind: Behind | None = None) -> Tally:
    _fill_caches()
    fuzzer, begun = Fuzzer(seed, behind), time.monotonic()
    for part in range(REPORTS):
        await fuzzer.run(frames * (part + 1) // REPORTS - fuzzer.tally.frames)
        fuzzer.tally.weigh()
        print(f"{fuzzer.tally.frames:>10} frames, {time.monotonic() - begun:.0f} s", flush=True)
    await fuzzer.close()
    return fuzzer.tally


if __name__ == "__main__":
    sys.exit(main())
