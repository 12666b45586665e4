"""The bridge as the application sees it: a port for the doers, routes for the callbacks, keepers for the terminals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from bridge.callback_probe import CallbackProbe
from bridge.callbacks import PayterCallbacks, TrialCallbacks
from bridge.cards import mint_arm_id
from bridge.keeper import TerminalKeeper
from bridge.options import PayterOptions
from bridge.payter import PayterTerminals
from bridge.probe import Probe
from bridge.redaction import where
from bridge.verification import PayterVerification
from bridge.wires import Wires
from sessions.directory import Inbox, ProcessorDirectory, TerminalDirectory
from sessions.facts import TerminalStateReported
from sessions.ports import TerminalPort

log = logging.getLogger(__name__)


class Bridge:
    """Talks to all terminals, through whichever processor each is paid. ``clock`` gives aware UTC.

    In a cluster every node may serve the routes and use the port; the keepers (`start`) belong on one node at a time.
    """

    def __init__(
        self,
        options: PayterOptions,
        inbox: Inbox,
        terminals: TerminalDirectory,
        clock: Callable[[], datetime],
        processors: ProcessorDirectory | None = None,
        *,
        trials: TrialCallbacks | None = None,
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._terminals = terminals
        self._clock = clock
        self._wires = Wires(options, processors)
        self.probe = Probe(options, self._wires)
        self._callbacks = PayterCallbacks(options, inbox, terminals, clock=clock, wake=self.wake, heard=self._heard)
        self._callbacks.trials = trials
        self.callback_probe = CallbackProbe(options.public_callback_base)
        self.verification = PayterVerification(options, self._wires, clock)
        self.port: TerminalPort = PayterTerminals(options, self._wires, inbox, terminals, clock=clock, wake=self.wake)
        self._keepers: dict[str, tuple[TerminalKeeper, asyncio.Task[None]]] = {}
        self._supervisor: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """The callbacks' routes. Their paths carry a secret: log requests with `RedactingAccessLogger` only."""
        return [*self._callbacks.routes(), *self.callback_probe.routes()]

    async def start(self) -> None:
        """Start keeping every terminal armed."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="terminal keepers")

    async def stop(self) -> None:
        """Stop the keepers and close the connections, for good; stop the doers first.

        Readers stay armed: the next process goes on from there.
        """
        supervisor, self._supervisor = self._supervisor, None
        tasks = [task for _, task in self._keepers.values()] + ([supervisor] if supervisor else [])
        self._keepers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._wires.close()

    def wake(self, serial: str) -> None:
        """Something changed for this terminal (its interaction ended, its configuration changed): look now."""
        kept = self._keepers.get(serial)
        if kept is None:
            self._changed.set()
        else:
            kept[0].wake()

    async def _heard(self, serial: str, online: bool, state: str) -> None:
        kept = self._keepers.get(serial)
        if kept is not None:
            await kept[0].heard(online, state)
            return
        now = self._clock()
        key = f"terminal-state:{serial}:{now.isoformat()}:{mint_arm_id()}"
        await self._inbox.submit(TerminalStateReported(key=key, at=now, serial=serial, online=online, state=state))

    async def _supervise(self) -> None:
        """Give every terminal of the directory a keeper; read the directory again now and then."""
        while True:
            try:
                await self._match_keepers()
            except Exception as exc:  # the database is away: the keepers that run go on
                log.error("the list of terminals could not be read: %s", where(exc))
            try:
                async with asyncio.timeout(self._options.terminals_poll_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def _match_keepers(self) -> None:
        for serial, (_, task) in list(self._keepers.items()):
            if task.done():  # taken out of the directory
                del self._keepers[serial]
        for record in await self._terminals.terminals():
            if record.serial not in self._keepers:
                keeper = TerminalKeeper(
                    record.serial, self._options, self._wires, self._inbox, self._terminals, clock=self._clock
                )
                task = asyncio.create_task(keeper.run(), name=f"terminal {record.serial}")
                self._keepers[record.serial] = (keeper, task)
