"""A charging station that behaves like a physical one, over a real websocket, in OCPP 1.6J or 2.0.1."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from simulators.station.car import Car
from simulators.station.charging import Charging
from simulators.station.config import StationConfig
from simulators.station.dialect import Dialect
from simulators.station.evse import Evse
from simulators.station.line import Line
from simulators.station.meter import W_US_PER_WH, Meter
from simulators.station.outbox import Message, Outbox, Payload, Urgency
from simulators.station.power import Power
from simulators.station.registration import Registration
from simulators.station.schedule import Schedule
from simulators.station.settings import Settings
from simulators.station.tokens import Tokens
from simulators.station.transaction import Authorization, StopCause, Transaction
from simulators.station.v16 import V16
from simulators.station.v201 import V201
from simulators.station.waiting import Waiting

GROUND_FAULTS = ("GroundFailure",)


class Station:
    """One station. Enter it as an async context to switch it on and off.

    What people do to it are its coroutines (`plug`, `present_token`, `reboot`, …); what it shows are `evse`, `frames`,
    `displayed`, `booted` and `online`. `wait_for` waits for any of these to become true.
    """

    def __init__(self, config: StationConfig) -> None:
        self.config = config
        self.clock = config.clock.copy()
        fixed = {"evses": str(config.evses)}
        if config.version == "1.6":  # has no start and stop points: a transaction is a closed power path
            fixed |= {"tx_start_point": "PowerPathClosed", "tx_stop_point": "Authorized"}
        self.settings = Settings(config.settings | fixed)
        self.frames: list[tuple[Literal["sent", "received"], Any]] = []
        self.displayed: list[tuple[str, Any]] = []
        self.last_status: dict[int, str] = {}
        self.outbox = Outbox()
        self.password = None if config.password is None else config.password.encode()
        now = self.clock.true_now()
        self.evses = {n: Evse(n, config.max_power_w, now) for n in range(1, config.evses + 1)}
        for evse, register_wh in zip(self.evses.values(), config.registers_wh, strict=False):
            evse.meter = Meter(register_wh * W_US_PER_WH)
        self.dialect: Dialect = V16(self) if config.version == "1.6" else V201(self)
        self.charging = Charging(self.settings, self.dialect, lambda: self.registered, self.changed)
        self.line = Line(self)
        self.power = Power(self)
        self.registration = Registration(self)
        self.schedule = Schedule(self)
        self.tokens = Tokens(self)
        self._waiting = Waiting(self)
        self._tasks: set[asyncio.Task[Any]] = set()

    # Switching on and off.

    async def __aenter__(self) -> Self:
        self.power.up("PowerUp")
        self.spawn(self.line.run())
        self.spawn(self.schedule.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
        if error is None:
            self._waiting.check()

    async def close(self) -> None:
        """Switch off without a word: the socket closes, nothing is sent."""
        await self.line.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside; its failure fails those who wait (`wait_for`)."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.changed(f"the simulator failed: {error!r}")
            self._waiting.fail(error)

    # Looking.

    @property
    def online(self) -> bool:
        """Whether a websocket is open."""
        return self.line.connected

    @property
    def booted(self) -> asyncio.Event:
        """Set while the boot is accepted; cleared by a restart."""
        return self.registration.accepted

    @property
    def registered(self) -> bool:
        """Whether the boot was accepted; a lost connection does not change that, a restart does."""
        return self.registration.status == "Accepted"

    @property
    def powered(self) -> bool:
        """Whether the station has power."""
        return self.power.on

    def evse(self, evse_id: int) -> Evse:
        """An EVSE as it is now. Raises ``KeyError`` when there is none of that number."""
        self.settle()
        return self.evses[evse_id]

    def sent(self, action: str) -> list[Payload]:
        """The payloads of all CALLs of that action that went out, in order."""
        return [
            f[3] for way, f in self.frames if way == "sent" and isinstance(f, list) and f[0] == 2 and f[2] == action
        ]

    def received(self, action: str) -> list[Payload]:
        """The payloads of all CALLs of that action that came in, in order."""
        calls = (f for way, f in self.frames if way == "received" and isinstance(f, list) and f[:1] == [2])
        return [f[3] for f in calls if f[2] == action]

    async def wait_for(self, predicate: Callable[[Station], bool], timeout_s: float = 30.0) -> None:
        """Wait until the predicate holds; it is asked anew after each frame and each change of state.

        ``timeout_s`` is in real seconds. Raises ``TimeoutError``.
        """
        self.settle()
        await self._waiting.wait(predicate, timeout_s)

    async def drained(self, timeout_s: float = 30.0) -> None:
        """Wait until every transaction message was answered (real seconds). Raises ``TimeoutError``."""
        await self.wait_for(lambda station: station.outbox.transactions_waiting() == 0, timeout_s)

    def changed(self, text: str | None = None) -> None:
        """Something changed: say so, and let those who wait look again."""
        if text is not None and self.config.on_event is not None:
            self.config.on_event(f"{self.config.identity} {text}")
        self.schedule.wake()
        with self.schedule.held():  # a predicate looks; it does not make time pass in the middle of a change
            self._waiting.look()

    def settle(self) -> None:
        """Let everything happen, in order, that was due by now."""
        if self.schedule.settle():
            self.power.reset_if_idle()

    # What people do.

    async def plug(self, evse_id: int, car: Car | None = None) -> None:
        """Connect a car, of the configured kind unless given. Raises ``ValueError`` when one is connected."""
        evse = self._touch(evse_id)
        if evse.plugged:
            raise ValueError(f"EVSE {evse_id} already has a car")
        self.charging.plug(evse, self.config.new_car() if car is None else car)

    async def unplug(self, evse_id: int) -> None:
        """Take the cable out. Raises ``ValueError`` when there is none."""
        evse = self._touch(evse_id)
        self._car(evse)
        self.charging.unplug(evse)
        self.power.reset_if_idle()

    async def suspend_ev(self, evse_id: int) -> None:
        """The car stops asking for power."""
        evse = self._touch(evse_id)
        self._car(evse).suspended = True
        self.charging.refresh(evse)

    async def resume_ev(self, evse_id: int) -> None:
        """The car asks again."""
        evse = self._touch(evse_id)
        self._car(evse).suspended = False
        self.charging.refresh(evse)

    async def suspend_evse(self, evse_id: int) -> None:
        """The station stops offering power, as for a load limit of its own."""
        evse = self._touch(evse_id)
        evse.paused = True
        self.charging.refresh(evse)

    async def resume_evse(self, evse_id: int) -> None:
        """The station offers power again."""
        evse = self._touch(evse_id)
        evse.paused = False
        self.charging.refresh(evse)

    async def fault(self, evse_id: int, code: str = "GroundFailure") -> None:
        """Break an EVSE; ``code`` is a 1.6 ChargePointErrorCode. A running transaction ends."""
        evse = self._touch(evse_id)
        self.charging.fault(evse, code, StopCause.GROUND_FAULT if code in GROUND_FAULTS else StopCause.FAULT)
        self.power.reset_if_idle()

    async def clear_fault(self, evse_id: int) -> None:
        """Mend it."""
        evse = self._touch(evse_id)
        evse.fault_code = None
        self.charging.refresh(evse)

    async def emergency_stop(self) -> None:
        """Someone presses the button: all transactions end, all EVSEs are faulted until `clear_fault`."""
        self.settle()
        for evse in self.evses.values():
            self.charging.fault(evse, "OtherError", StopCause.EMERGENCY_STOP)
        self.power.reset_if_idle()

    async def present_token(self, evse_id: int, id_token: str, token_type: str = "ISO14443") -> str:  # noqa: S107
        """Hold an RFID card to the reader: starts a charge, or stops one of the same token or group.

        Returns the authorisation status; "Offline" when the station may not decide alone and "NotReady" before its boot
        was accepted, or when the EVSE cannot be used.
        """
        return await self.tokens.present(self._touch(evse_id), Authorization(id_token, token_type, remote=False))

    async def reboot(self, kind: Literal["soft", "hard"] = "soft") -> None:
        """Restart, as someone at the station would; returns when it is up again (not: booted)."""
        self.settle()
        await self.power.restart(StopCause.REBOOT, "LocalReset", hard=kind == "hard")

    async def power_cut(self) -> None:
        """The mains fail: not a word is sent, charging stops, registers keep their value. See `power_on`."""
        await self.power.cut()

    async def power_on(self) -> None:
        """The mains return: transactions that were cut end as of the cut (PowerLoss), then the station boots."""
        if self.powered:
            raise ValueError("the power is on")
        self.power.up("PowerUp")

    async def go_offline(self) -> None:
        """The network fails; charging goes on, transaction messages are kept."""
        self.settle()
        self.line.available = False
        await self.line.hang_up()

    async def go_online(self) -> None:
        """The network returns; the station connects as soon as it may."""
        self.line.restore()

    async def set_clock_offset(self, offset: timedelta) -> None:
        """Make the station's clock wrong; its timestamps are, its intervals are not."""
        self.clock.set_offset(offset)
        self.changed(f"clock is off by {offset}")

    async def send_raw(self, data: bytes | str) -> None:
        """Put anything on the wire. Raises ``ConnectionError`` when offline."""
        await self.line.send_raw(data)

    # What the central system's calls lead to; the dialects use these.

    def stamp(self, moment: datetime) -> str:
        """A true moment as this station's clock would show it."""
        return (moment + self.clock.offset).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def post(self, action: str, payload: Payload, *, urgency: Urgency = Urgency.ORDINARY) -> None:
        """Queue a CALL; it is dropped when the station is offline, for it would be stale."""
        if self.online or urgency is Urgency.TRANSACTION:
            self.enqueue(Message(action, lambda: payload, urgency))

    def enqueue(self, message: Message) -> None:
        """Queue a message as it is."""
        self.outbox.add(message)
        self.line.wake()
        self.changed()

    def post_transaction(
        self,
        action: str,
        build: Callable[[], Payload],
        transaction: Transaction,
        on_result: Callable[[Payload], None] | None = None,
    ) -> None:
        """Queue a transaction message: kept until it is answered, sent in order."""
        self.enqueue(Message(action, build, Urgency.TRANSACTION, transaction=transaction, on_result=on_result))

    def stop_if_running(self, evse: Evse, transaction: Transaction, cause: StopCause) -> None:
        """Stop a transaction unless it ended meanwhile."""
        if evse.transaction is transaction:
            self.charging.stop(evse, cause)
            self.power.reset_if_idle()

    def judge_token(self, transaction: Transaction, answer: Payload) -> None:
        """The answer to a transaction message may say that its token is no good."""
        info = self.dialect.token_info(answer)
        if info is not None and info.get("status") != "Accepted":
            self.settle()
            self.charging.deauthorize(transaction, self.evses[transaction.evse_id])
            self.power.reset_if_idle()

    def sample(self, evses: list[Evse], context: str) -> None:
        """Send a reading of each EVSE now: in its transaction where there is one."""
        trigger = {"Trigger": "Trigger", "Sample.Clock": "MeterValueClock"}[context]
        for evse in evses:
            reading = evse.read(context)
            if evse.transaction is not None:
                self.dialect.updated(evse.transaction, trigger, reading.moment, reading)
            else:
                self.dialect.idle_sample(evse, reading)

    def show(self, message: str, content: Any) -> None:
        """Put something on the display: prices and costs. See `displayed`."""
        self.displayed.append((message, content))
        self.changed(f"display: {message} {content}")

    def change_setting(self, name: str, value: str) -> None:
        """Set a setting and live by it at once."""
        self.settings.values[name] = value
        if name in ("sample_interval_s", "ended_interval_s"):
            for evse in self.evses.values():
                self.charging.restart_sampling(evse)
        if name in ("heartbeat_interval_s", "aligned_interval_s"):
            self.schedule.restart()
        if name == "password":
            # 1.6: AuthorizationKey is hexadecimal and stands for bytes; 2.0.1: the password is text.
            hexadecimal = self.config.version == "1.6" and len(value) % 2 == 0
            try:
                self.password = bytes.fromhex(value) if hexadecimal else value.encode()
            except ValueError:
                self.password = value.encode()
            self.spawn(self.line.hang_up())
        self.changed(f"setting {name} = {'…' if name == 'password' else value}")

    def reboot_later(self, cause: StopCause, boot_reason: str, *, hard: bool) -> None:
        """Restart, now that the reset is answered."""
        self.spawn(self.power.restart(cause, boot_reason, hard=hard))

    def boot_accepted(self, interval_s: int | None) -> None:
        """The boot was accepted, with a heartbeat interval: tell what is so, and start what waited."""
        if interval_s is not None:
            self.settings.values["heartbeat_interval_s"] = str(interval_s)
        if self.config.quirks.clock_1970:
            self.clock.set_offset(self.config.clock.offset)
        self.schedule.restart()
        self.dialect.all_statuses()
        self.settle()
        for evse in self.evses.values():
            self.charging.refresh(evse)

    def authorization_header(self) -> dict[str, str]:
        """HTTP Basic: user name = identity (OCPP-J security profile 1)."""
        if self.password is None:
            return {}
        return {
            "Authorization": "Basic " + base64.b64encode(f"{self.config.identity}:".encode() + self.password).decode()
        }

    def connected(self) -> None:
        """A websocket has opened: boot after a start, else tell what is so; kept messages go before that."""
        self.changed("connected")
        if self.registered:
            self.dialect.all_statuses()
            return
        quirks = self.config.quirks
        if quirks.clock_1970:
            self.dialect.early_sample(self.evses[1])
        if quirks.status_before_boot:
            self.dialect.all_statuses(Urgency.EARLY)
        self.registration.announce(self.registration.reason)

    def disconnected(self) -> None:
        """The websocket has gone; what is not kept is forgotten."""
        self.outbox.drop_ordinary()
        self.changed("disconnected")

    # Inside.

    def _touch(self, evse_id: int) -> Evse:
        if evse_id not in self.evses:
            raise ValueError(f"no EVSE {evse_id}; there are 1 to {len(self.evses)}")
        self.settle()
        return self.evses[evse_id]

    @staticmethod
    def _car(evse: Evse) -> Car:
        if evse.car is None:
            raise ValueError(f"EVSE {evse.evse_id} has no car")
        return evse.car

    async def request(self, action: str, payload: Payload) -> Payload | None:
        """Send a CALL and wait for its answer; None when none came."""
        future: asyncio.Future[Payload | None] = asyncio.get_running_loop().create_future()

        def settle(answer: Payload | None) -> None:
            if not future.done():
                future.set_result(answer)

        message = Message(action, lambda: payload, Urgency.ORDINARY, on_result=settle, on_failure=lambda: settle(None))
        self.enqueue(message)
        return await future
