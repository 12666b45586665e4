"""A running system in a process of its own, for clients that block.

Not a thread: Hypothesis takes any use of `random` while it draws for the test's own, and sockets use it at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tests.conformance.bench import bench
from tests.forking import FORKING
from tests.wire.station import Station

START_S = 60.0


@dataclass(frozen=True)
class Served:
    """``base_url``: where it listens; ``token``: an administrator's."""

    base_url: str
    token: str


async def refuse_all(station: Station) -> None:
    """Answer whatever the system asks: nobody is to wait for a station that is silent."""
    while True:
        call = await station.next_call(patience_s=None)
        await station.send(4, call[1], "NotSupported", "", {})


async def _serve(database_url: str, line: Connection) -> None:
    async with bench(database_url) as made:
        answering = asyncio.create_task(refuse_all(await made.connect()))
        line.send(Served(f"http://127.0.0.1:{made.app.http_port}", made.token))
        await asyncio.to_thread(line.poll, None)
        answering.cancel()


def _run(database_url: str, line: Connection) -> None:
    asyncio.run(_serve(database_url, line))


@contextmanager
def served(database_url: str) -> Iterator[Served]:
    """The bench, from start to stop; station CS1 has connected once, so its version is known."""
    ours, theirs = FORKING.Pipe()
    process = FORKING.Process(target=_run, args=(database_url, theirs), name="system", daemon=True)
    process.start()
    theirs.close()  # so that its death is the end of the line
    try:
        assert ours.poll(START_S), "the system did not start"
        yield ours.recv()
    finally:
        ours.close()
        process.join(START_S)
        if process.is_alive():
            process.kill()
            process.join()
