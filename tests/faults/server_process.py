"""A central system as a process of its own, forked from one that has imported everything; made to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing.process
import signal
from typing import Any

from tests.forking import FORKING


def _serve(settings: dict[str, Any], failpoint: str, log_path: str) -> None:
    from csms.app import running
    from csms.settings import load_settings
    from storage import failpoint as failpoints

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    failpoints.arm(failpoint, log_path)

    async def main() -> None:
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        async with running(load_settings(None, **settings)):
            await stopped.wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


class ServerProcess:
    """Start, watch, stop. ``failpoint``: where it kills itself (`storage.failpoint`)."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self, failpoint: str = "", log_path: str = "") -> None:
        """Fork a server."""
        process = FORKING.Process(target=_serve, args=(self._settings, failpoint, log_path), daemon=True)
        process.start()
        self._process = process

    @property
    def killed(self) -> bool:
        """Whether it died by SIGKILL."""
        return self._process is not None and self._process.exitcode == -signal.SIGKILL

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_alive()

    async def stop(self) -> None:
        """Stop it in good order."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()
            await asyncio.to_thread(self._process.join, 10)
            if self._process.is_alive():
                self._process.kill()
                await asyncio.to_thread(self._process.join, 10)
