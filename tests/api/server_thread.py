"""A running system in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.conformance.bench import bench
from tests.wire.station import Station


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


@contextmanager
def served(database_url: str) -> Iterator[Served]:
    """The bench, from start to stop; station CS1 has connected once, so its version is known."""
    started, stop = threading.Event(), threading.Event()
    found: list[Served] = []

    async def serve() -> None:
        async with bench(database_url) as made:
            answering = asyncio.create_task(refuse_all(await made.connect()))
            found.append(Served(f"http://127.0.0.1:{made.app.http_port}", made.token))
            started.set()
            await asyncio.to_thread(stop.wait)
            answering.cancel()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="system")
    thread.start()
    try:
        assert started.wait(20), "the system did not start"
        yield found[0]
    finally:
        stop.set()
        thread.join(20)
