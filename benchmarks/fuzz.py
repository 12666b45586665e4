"""A million hostile frames through the stations' line, by hand or by night; the tests send a few of them each time.

    .venv/bin/python -m benchmarks.fuzz --frames 1000000 --seed 1

Ends with 0 if nothing was found; else with 1, and what was: the frame, and the seed that makes it again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time

from csms.ocpp.schemas import request_problems, response_problems
from csms.ocpp.versions import DIALECTS
from tests.wire.fuzzing import Found, Fuzzer, Tally
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
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        tally = asyncio.run(_run(arguments.seed, max(arguments.frames, REPORTS)))
    except Found as found:
        print(f"FOUND: {found}")
        return 1
    for outcome, count in tally.outcomes.most_common():
        print(f"{count:>10}  {outcome}")
    print(f"slowest frame {tally.slowest_s * 1000:.1f} ms: {tally.slowest}")
    gained = tally.blocks[-1] - tally.blocks[0]
    print(f"blocks of memory: {tally.blocks[0]} after a tenth, {tally.blocks[-1]} at the end")
    if gained > MORE_BLOCKS:
        print(f"FOUND: {gained} blocks of memory were kept")
        return 1
    return 0


def _fill_caches() -> None:
    """Tables of payloads and compiled schemas are made once and kept; that is no growth."""
    for version, dialect in DIALECTS.items():
        for action in {*dialect.answers, *dialect.asks}:
            for judge, direction in ((request_problems, "request"), (response_problems, "response")):
                judge(version, action, table(version, action, direction)[0].payload)


async def _run(seed: int, frames: int) -> Tally:
    _fill_caches()
    fuzzer, begun = Fuzzer(seed), time.monotonic()
    for part in range(REPORTS):
        await fuzzer.run(frames * (part + 1) // REPORTS - fuzzer.tally.frames)
        fuzzer.tally.weigh()
        print(f"{fuzzer.tally.frames:>10} frames, {time.monotonic() - begun:.0f} s", flush=True)
    await fuzzer.close()
    return fuzzer.tally


if __name__ == "__main__":
    sys.exit(main())
