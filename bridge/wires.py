"""Which wire leads to which processor: the platform's own from the settings, owners' own by their credentials."""

from __future__ import annotations

import asyncio
import logging

from bridge.options import PayterOptions
from bridge.payter_wire import PayterWire
from sessions.directory import ProcessorAccess, ProcessorDirectory

log = logging.getLogger(__name__)

_NO_PLATFORM = "the platform has no processor (settings: payter.base_url, payter.api_key)"


class Wires:
    """One `PayterWire` an account, kept for as long as its credentials are the same.

    ``account_id`` "" is the platform's. An account that cannot be opened is a wire on which nothing is ever sent.
    """

    def __init__(self, options: PayterOptions, processors: ProcessorDirectory | None = None) -> None:
        self._options = options
        self._processors = processors
        self._platform = PayterWire(options, "" if options.base_url else _NO_PLATFORM)
        self._own: dict[str, tuple[ProcessorAccess | None, PayterWire]] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def of(self, account_id: str) -> PayterWire:
        """The account's wire, with the credentials it has now."""
        if not account_id:
            return self._platform
        access = await self._processors.access(account_id) if self._processors else None
        kept = self._own.get(account_id)
        if kept is not None and kept[0] == access:
            return kept[1]
        wire = self._wire(account_id, access)
        self._own[account_id] = (access, wire)
        if kept is not None:  # its calls on their way may be moving money: let them end
            task = asyncio.create_task(kept[1].retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        return wire

    async def close(self) -> None:
        """Close all, for good."""
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for wire in (self._platform, *(wire for _, wire in self._own.values())):
            await wire.close()

    def _wire(self, account_id: str, access: ProcessorAccess | None) -> PayterWire:
        if access is not None:
            try:
                return PayterWire(self._options.at(access.base_url, access.api_key))
            except ValueError:  # its text says nothing that is not said here, and may one day quote what it judged
                log.error("processor %s: its address or API key cannot be used; enter them anew", account_id)
        else:
            log.error("processor %s cannot be opened: nothing is sent through it", account_id)
        return PayterWire(self._options, "the processor's account cannot be opened")
