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

The reader is asked about, and spoken to, through the processor at which it was armed; a new interaction begins at the
one the terminal is to use now. So a change of processor takes effect between two interactions, and "stop, arm" is how.
A terminal that takes no cards (`out_of_service`) is stopped in the same way, says why, and is not armed.
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
from bridge.payter_wire import Done, Failure, NoCard, NotSent, PayterWire, Refusal
from bridge.redaction import where
from bridge.texts import Words, idle_words, stop_words, words
from bridge.wires import Wires
from sessions.commands import Message
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
        wires: Wires,
        inbox: Inbox,
        terminals: TerminalDirectory,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.serial = serial
        self._options = options
        self._wires = wires
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
        self._spoken_to = ""  # the account through which it was last looked at
        self._notice: tuple[str, str] | None = None  # why it is out of service and in which language, as last shown

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
        if record.on_trial:  # the reader is a test transaction's: whoever began that ends it, and wakes us
            return self._options.pending_poll_s
        arm = await self._terminals.latest_arm(self.serial)
        if await self._needed(arm):
            return self._options.pending_poll_s
        account_id = _account(arm, record)
        wire = await self._wires.of(account_id)
        status = await wire.terminal(self.serial)
        if not isinstance(status, TerminalStatus):
            return await self._unseen(record, arm, wire, status)
        if await self._terminals.terminal(self.serial) != record:
            return 0.0  # a test transaction has armed the reader meanwhile, say: what was seen is not ours to clear
        arm = await self._terminals.latest_arm(self.serial)
        if await self._needed(arm):
            return self._options.pending_poll_s
        if _account(arm, record) != account_id:
            return 0.0  # another process armed it meanwhile, at another processor: what was asked means nothing
        await self._report(status.online, status.raw_state, status.firmware)
        if not status.online:
            return self._options.status_poll_s
        if account_id != self._spoken_to:
            self._spoken_to, self._screen_due = account_id, True
        is_open = arm is not None and arm.state is ArmState.OPEN
        if status.state is TerminalState.CARD and arm is not None and is_open:
            return await self._take(arm, wire)  # whatever has changed: somebody stands there with a card
        if record.out_of_service and not record.stops_only:
            return await self._keep_out(record, arm, wire, status)
        if self._notice is not None:
            self._notice, self._screen_due = None, True
        await self._show_start_screen(record, arm, wire)
        match status.state:
            case TerminalState.IDLE:
                return await self._arm(record, arm)
            case TerminalState.READING if arm is not None and is_open and not self._outdated(arm, record):
                return await self._poll(arm, wire)
            case TerminalState.READING | TerminalState.CARD:
                return await self._clear(arm, wire)
            case _:
                return self._back_off()

    async def _unseen(self, record: TerminalRecord, arm: ArmRecord | None, wire: PayterWire, failure: Failure) -> float:
        """The cloud told nothing. A terminal that left an old processor is not waited for there."""
        refused = isinstance(failure, Refusal) and failure.credible and failure.status in {401, 403, 404}
        gone = bool(wire.unreachable) or refused
        if gone and arm is not None and arm.state is not ArmState.CLOSED and arm.account_id != record.account_id:
            # No card of it is in use (asked above), and nothing can be armed there any more.
            await self._close(arm, "processor changed")
            return 0.0
        if wire.unreachable:
            await self._report(False, "no processor")
        elif isinstance(failure, Refusal):  # not known there, or the key is wrong: it can take no card
            await self._report(False, f"HTTP {failure.status}")
        return self._back_off()

    async def _keep_out(
        self, record: TerminalRecord, arm: ArmRecord | None, wire: PayterWire, status: TerminalStatus
    ) -> float:
        """The terminal takes no cards: stop its reader, say why on its screen, look again later."""
        if status.state is TerminalState.BUSY:
            return self._back_off()  # busy with something unknown: it is not interrupted
        message = Message.NOT_LICENSED if record.out_of_service == "licence" else Message.OUT_OF_SERVICE
        text = words(message, record.language, {})
        has_screen = family_of(record.family).screens
        notice = (record.out_of_service, record.language)
        is_shown = self._notice == notice and not self._screen_due
        if not has_screen or not is_shown or status.state is not TerminalState.IDLE:
            # On a P6x a message goes away by itself, so that it is sent again at every look.
            shown_s = max(self._options.ui_message_timeout_s, int(2 * self._options.status_poll_s) + 1)
            reply = await wire.stop(self.serial, text.line(self._options.message_separator), shown_s=shown_s)
            if not isinstance(reply, Done):
                return self._back_off()
        if arm is not None and arm.state is not ArmState.CLOSED:
            await self._close(arm, message.value)
        if has_screen and not is_shown:
            screen = screens.notification("out-of-service", message, text)
            url = self._options.terminal_hook_url(record.account_id)
            if not isinstance(await wire.show(self.serial, screen, url), Done):
                return self._back_off()
        self._notice, self._screen_due, self._failures = notice, False, 0
        return self._options.status_poll_s

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
            same = (arm.hold_minor, arm.account_id) == (record.hold_minor, record.account_id)
            if arm.arm_id == self._unstarted and same:
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
                    account_id=record.account_id,
                )
            )
        self._unstarted = ""
        shown = _idle(record)
        self._armed = (arm_id, record.language, shown)
        wire = await self._wires.of(record.account_id)
        reply = await wire.start(
            self.serial,
            amount_minor=record.hold_minor,
            callback_url=self._options.callback_url(arm_id, "card", record.account_id),
            language=record.language,
            title=shown.title,
            message=shown.message,
        )
        opened = await self._terminals.arm(arm_id)
        if isinstance(reply, Done) and opened is not None:
            return await self._poll(opened, wire)
        if isinstance(reply, NotSent | Refusal):
            self._unstarted = arm_id
        return self._back_off()  # an unanswered start is not repeated: the next turn asks what the reader does

    async def _poll(self, arm: ArmRecord, wire: PayterWire) -> float:
        """Wait for a card, until the long poll ends or something else happens."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        polling = asyncio.ensure_future(wire.card(self.serial, self._options.card_poll_wait_s))
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

    async def _take(self, arm: ArmRecord, wire: PayterWire) -> float:
        """The reader holds a card and no callback told of it."""
        reply = await wire.card(self.serial, 0)
        if isinstance(reply, ReadCard):
            return await self._present(reply, arm)
        if isinstance(reply, NoCard):
            latest = await self._terminals.latest_arm(self.serial)
            return await self._clear(arm, wire) if latest == arm else 0.0  # changed: the callback came after all
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

    async def _clear(self, arm: ArmRecord | None, wire: PayterWire) -> float:
        """Make the reader forget its card, or a start that is not ours, and close the interaction."""
        if not isinstance(await wire.stop(self.serial), Done):
            return self._back_off()
        if arm is not None and arm.state is not ArmState.CLOSED:
            await self._close(arm, "stopped")
        self._failures += 1  # until a poll goes well again: a reader that cannot be cleared must not be asked in a loop
        return 0.0 if self._failures == 1 else self._delay()

    async def _retire(self) -> None:
        """The terminal is no longer ours: disarm it, unless a driver's card is being dealt with."""
        arm = await self._terminals.latest_arm(self.serial)
        if arm is None or arm.state is not ArmState.OPEN:
            return
        wire = await self._wires.of(arm.account_id)
        if isinstance(await wire.stop(self.serial), Done):
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

    async def _show_start_screen(self, record: TerminalRecord, arm: ArmRecord | None, wire: PayterWire) -> None:
        """Send the start screen after every offline → online [D]; best effort."""
        if not self._screen_due:
            return
        self._screen_due = False
        if family_of(record.family).screens:
            url = self._options.ui_callback_url(arm, record.account_id)
            await wire.show(self.serial, screens.start_screen(_idle(record)), url)

    def _outdated(self, arm: ArmRecord, record: TerminalRecord) -> bool:
        """Whether the reader was armed with another hold, price or language than now, or at another processor."""
        if (arm.hold_minor, arm.account_id) != (record.hold_minor, record.account_id):
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


def _account(arm: ArmRecord | None, record: TerminalRecord) -> str:
    """The processor through which the reader is spoken to: where it was armed, else where it will be."""
    return record.account_id if arm is None or arm.state is ArmState.CLOSED else arm.account_id


def _idle(record: TerminalRecord) -> Words:
    if record.stops_only:
        return stop_words(record.language)
    return idle_words(record.language, record.price_text, record.hold_minor, record.currency)
