"""One task a terminal: keep its reader armed, and turn what it reads into facts.

Every turn asks the cloud for the reader's state first and the database for the newest interaction second, so the
interaction is never older than the state it is compared with. Nothing else is remembered that matters: a killed process
goes on from these two. What each pair leads to:

| reader | interaction open | presented, still needed | presented, not needed, or closed, or none |
|---|---|---|---|
| IDLE | close it, arm | wait | close it, arm |
| READING | poll for the card | wait | stop, arm |
| CARD | take the card | wait | stop, arm |
| anything else | wait | wait | wait |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from bridge import screens
from bridge.cards import card_presented, mint_arm_id
from bridge.options import PayterOptions
from bridge.payter_objects import ReadCard, TerminalState, TerminalStatus
from bridge.payter_wire import Done, NoCard, NotSent, PayterWire, Refusal
from bridge.redaction import where
from bridge.texts import Words, idle_words
from sessions.directory import ArmRecord, ArmState, Inbox, TerminalDirectory, TerminalRecord
from sessions.facts import ArmClosed, ArmOpened, TerminalStateReported
from sessions.families import family_of

log = logging.getLogger(__name__)


class TerminalKeeper:
    """Keeps the terminal ``serial`` armed at all times. ``wake`` cuts any waiting short."""

    def __init__(
        self,
        serial: str,
        options: PayterOptions,
        wire: PayterWire,
        inbox: Inbox,
        terminals: TerminalDirectory,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.serial = serial
        self._options = options
        self._wire = wire
        self._inbox = inbox
        self._terminals = terminals
        self._clock = clock
        self._awake = asyncio.Event()
        self._failures = 0
        self._online: bool | None = None
        self._firmware = ""
        self._screen_due = True
        self._interacted = False
        self._unstarted = ""  # an interaction whose start certainly did not take effect: it may be used again
        self._armed: tuple[str, str, Words] | None = None  # interaction, language, words it was started with

    def wake(self) -> None:
        """Something happened: look again now."""
        self._awake.set()

    async def run(self) -> None:
        """Keep the terminal armed until it is taken out of the directory."""
        while True:
            try:
                record = await self._terminals.terminal(self.serial)
                if record is None:
                    await self._retire()
                    return
                delay_s = await self._turn(record)
            except Exception as exc:  # the database is away, or a mistake of ours: a reader must not stay dead
                log.error("terminal %s: %s", self.serial, where(exc))
                delay_s = self._back_off()
            if delay_s > 0:
                await self._wait(delay_s)

    async def heard(self, online: bool, state: str) -> None:
        """The terminal-state hook says so. Unsigned and unordered: written down, and then the cloud is asked."""
        await self._report(online, state)
        self.wake()

    async def _turn(self, record: TerminalRecord) -> float:
        """One look at the terminal and what follows from it. Returns how many seconds to wait before the next."""
        if await self._needed(await self._terminals.latest_arm(self.serial)):
            return self._options.pending_poll_s
        status = await self._wire.terminal(self.serial)
        if not isinstance(status, TerminalStatus):
            if isinstance(status, Refusal):  # not known there, or the key is wrong: it can take no card
                await self._report(False, f"HTTP {status.status}")
            return self._back_off()
        arm = await self._terminals.latest_arm(self.serial)
        if await self._needed(arm):
            return self._options.pending_poll_s
        await self._report(status.online, status.raw_state, status.firmware)
        if not status.online:
            return self._options.status_poll_s
        await self._show_start_screen(record, arm)
        is_open = arm is not None and arm.state is ArmState.OPEN
        match status.state:
            case TerminalState.IDLE:
                return await self._arm(record, arm)
            case TerminalState.READING if arm is not None and is_open and not self._outdated(arm, record):
                return await self._poll(arm)
            case TerminalState.CARD if arm is not None and is_open:
                return await self._take(arm)
            case TerminalState.READING | TerminalState.CARD:
                return await self._clear(arm)
            case _:
                return self._back_off()

    async def _needed(self, arm: ArmRecord | None) -> bool:
        """Whether a session, or a command on its way, still needs the card in the reader."""
        if arm is None or arm.state is not ArmState.PRESENTED:
            return False
        self._interacted = True
        return await self._terminals.interaction_pending(arm.arm_id)

    async def _arm(self, record: TerminalRecord, arm: ArmRecord | None) -> float:
        """Open an interaction, durably, and then arm the reader: a callback may overtake the answer."""
        arm_id = ""
        if arm is not None and arm.state is not ArmState.CLOSED:
            if arm.arm_id == self._unstarted and arm.hold_minor == record.hold_minor:
                arm_id = arm.arm_id
            else:
                await self._close(arm, "idle")
        if self._interacted and self._options.rearm_pause_s > 0:
            await asyncio.sleep(self._options.rearm_pause_s)
        self._interacted = False
        if not arm_id:
            arm_id = mint_arm_id()
            await self._inbox.submit(
                ArmOpened(
                    key=f"arm-opened:{arm_id}",
                    at=self._clock(),
                    serial=self.serial,
                    arm_id=arm_id,
                    hold_minor=record.hold_minor,
                    currency=record.currency,
                )
            )
        self._unstarted = ""
        shown = _idle(record)
        self._armed = (arm_id, record.language, shown)
        reply = await self._wire.start(
            self.serial,
            amount_minor=record.hold_minor,
            callback_url=self._options.callback_url(arm_id, "card"),
            language=record.language,
            title=shown.title,
            message=shown.message,
        )
        opened = await self._terminals.arm(arm_id)
        if isinstance(reply, Done) and opened is not None:
            return await self._poll(opened)
        if isinstance(reply, NotSent | Refusal):
            self._unstarted = arm_id
        return self._back_off()  # an unanswered start is not repeated: the next turn asks what the reader does

    async def _poll(self, arm: ArmRecord) -> float:
        """Wait for a card, until the long poll ends or something else happens."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        polling = asyncio.ensure_future(self._wire.card(self.serial, self._options.card_poll_wait_s))
        waking = asyncio.ensure_future(self._awake.wait())
        try:
            await asyncio.wait({polling, waking}, return_when=asyncio.FIRST_COMPLETED)
            if not polling.done():
                self._awake.clear()
                return 0.0
            reply = polling.result()
        finally:
            for task in (polling, waking):
                task.cancel()
            await asyncio.gather(polling, waking, return_exceptions=True)
        if isinstance(reply, ReadCard):
            return await self._present(reply, arm)
        if isinstance(reply, NoCard):
            self._failures = 0
            return self._options.pause_s if loop.time() - begun < self._options.pause_s else 0.0
        return self._back_off()

    async def _take(self, arm: ArmRecord) -> float:
        """The reader holds a card and no callback told of it."""
        reply = await self._wire.card(self.serial, 0)
        if isinstance(reply, ReadCard):
            return await self._present(reply, arm)
        if isinstance(reply, NoCard):
            latest = await self._terminals.latest_arm(self.serial)
            return await self._clear(arm) if latest == arm else 0.0  # changed: the callback came after all
        return self._back_off()

    async def _present(self, card: ReadCard, arm: ArmRecord) -> float:
        fact = card_presented(
            card,
            card_hash_key=self._options.card_hash_key,
            serial=self.serial,
            arm_id=arm.arm_id,
            now=self._clock(),
        )
        await self._inbox.submit(fact)
        self._failures = 0
        return 0.0

    async def _clear(self, arm: ArmRecord | None) -> float:
        """Make the reader forget its card, or a start that is not ours, and close the interaction."""
        if not isinstance(await self._wire.stop(self.serial), Done):
            return self._back_off()
        if arm is not None and arm.state is not ArmState.CLOSED:
            await self._close(arm, "stopped")
        self._failures += 1  # until a poll goes well again: a reader that cannot be cleared must not be asked in a loop
        return 0.0 if self._failures == 1 else self._delay()

    async def _retire(self) -> None:
        """The terminal is no longer ours: disarm it, unless a driver's card is being dealt with."""
        arm = await self._terminals.latest_arm(self.serial)
        if arm is not None and arm.state is ArmState.OPEN and isinstance(await self._wire.stop(self.serial), Done):
            await self._close(arm, "retired")

    async def _close(self, arm: ArmRecord, reason: str) -> None:
        await self._inbox.submit(
            ArmClosed(
                key=f"arm-closed:{arm.arm_id}", at=self._clock(), serial=self.serial, arm_id=arm.arm_id, reason=reason
            )
        )

    async def _report(self, online: bool, state: str, firmware: str = "") -> None:
        """Write down a change between online and offline; coming back, an Apollo has forgotten its screens."""
        if online == self._online and firmware in {"", self._firmware}:
            return
        now = self._clock()
        fact = TerminalStateReported(
            key=f"terminal-state:{self.serial}:{now.isoformat()}:{mint_arm_id()}",
            at=now,
            serial=self.serial,
            online=online,
            state=state,
            firmware=firmware,
        )
        await self._inbox.submit(fact)
        self._screen_due = self._screen_due or (online and not self._online)
        self._online, self._firmware = online, firmware or self._firmware

    async def _show_start_screen(self, record: TerminalRecord, arm: ArmRecord | None) -> None:
        """Send the start screen after every offline → online [D]; best effort."""
        if not self._screen_due:
            return
        self._screen_due = False
        if family_of(record.family).screens:
            url = self._options.callback_url(arm.arm_id, "ui") if arm else self._options.terminal_hook_url()
            await self._wire.show(self.serial, screens.start_screen(_idle(record)), url)

    def _outdated(self, arm: ArmRecord, record: TerminalRecord) -> bool:
        """Whether the reader was armed with another hold, price or language than now."""
        if arm.hold_minor != record.hold_minor:
            return True
        armed = self._armed
        return armed is not None and armed[0] == arm.arm_id and armed[1:] != (record.language, _idle(record))

    def _back_off(self) -> float:
        self._failures += 1
        return self._delay()

    def _delay(self) -> float:
        exponent = min(self._failures - 1, 16)
        return min(self._options.retry_first_s * 2.0**exponent, self._options.retry_max_s)

    async def _wait(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._awake.wait()
        except TimeoutError:
            pass
        self._awake.clear()


def _idle(record: TerminalRecord) -> Words:
    return idle_words(record.language, record.price_text, record.hold_minor, record.currency)
