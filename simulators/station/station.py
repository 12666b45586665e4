"""A charging station that behaves like a physical one, over a real websocket, in OCPP 1.6J or 2.0.1."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from simulators.station.car import Car
from simulators.station.charging import Charging, Due
from simulators.station.config import StationConfig
from simulators.station.dialect import Dialect
from simulators.station.evse import Evse
from simulators.station.line import Line
from simulators.station.meter import W_US_PER_WH, Meter
from simulators.station.outbox import Message, Outbox, Payload, Urgency
from simulators.station.settings import Settings
from simulators.station.transaction import Authorization, StopCause, Transaction
from simulators.station.v16 import V16
from simulators.station.v201 import V201

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Registration = Literal["unknown", "Accepted", "Pending", "Rejected"]
GROUND_FAULTS = ("GroundFailure",)


class Station:
    """One station. Enter it as an async context to switch it on and off.

    What people do to it are its coroutines (`plug`, `present_token`, `reboot`, …); what it shows are `evse`, `frames`,
    `displayed`, `booted` and `online`. `wait_for` waits for any of these to become true.
    """

    def __init__(self, config: StationConfig) -> None:
        self.config = config
        self.clock = config.clock.copy()
        self.settings = Settings(config.settings | {"evses": str(config.evses)})
        self.frames: list[tuple[Literal["sent", "received"], Any]] = []
        self.displayed: list[tuple[str, Any]] = []
        self.booted = asyncio.Event()
        self.registration: Registration = "unknown"
        self.known_tokens: dict[str, str | None] = {}
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
        self.powered = False
        self._boot_reason = "PowerUp"
        self._cut_at: datetime | None = None
        self._boot_retry_at: datetime | None = None
        self._heartbeat_at: datetime | None = None
        self._aligned_at: datetime | None = None
        self._reset_scheduled: list[int | None] = []
        self._waiters: list[tuple[Callable[[Station], bool], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._settling = False
        self._tasks: set[asyncio.Task[Any]] = set()

    # Switching on and off.

    async def __aenter__(self) -> Self:
        self._power_up("PowerUp")
        self.spawn(self.line.run())
        self.spawn(self._watch_time())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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
            for _, future in self._waiters:
                if not future.done():
                    future.set_exception(error)

    # Looking.

    @property
    def online(self) -> bool:
        """Whether a websocket is open."""
        return self.line.connected

    @property
    def registered(self) -> bool:
        """Whether the boot was accepted; a lost connection does not change that, a reboot does."""
        return self.registration == "Accepted"

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

    async def wait_for(self, predicate: Callable[[Station], bool], timeout_s: float = 10.0) -> None:
        """Wait until the predicate holds; it is asked anew after each frame and each change of state.

        ``timeout_s`` is in real seconds. Raises ``TimeoutError``.
        """
        self.settle()
        if predicate(self):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (predicate, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        finally:
            self._waiters.remove(waiter)

    async def drained(self, timeout_s: float = 10.0) -> None:
        """Wait until every transaction message was answered (real seconds). Raises ``TimeoutError``."""
        await self.wait_for(lambda station: station.outbox.transactions_waiting() == 0, timeout_s)

    def changed(self, text: str | None = None) -> None:
        """Something changed: say so, and let those who wait look again."""
        if text is not None and self.config.on_event is not None:
            self.config.on_event(f"{self.config.identity} {text}")
        self._wake.set()
        settling, self._settling = self._settling, True
        try:
            for predicate, future in list(self._waiters):
                if future.done():
                    continue
                try:
                    if predicate(self):
                        future.set_result(None)
                except Exception as error:  # a broken predicate is the waiter's failure, not the station's
                    future.set_exception(error)
        finally:
            self._settling = settling

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
        self._after_transaction()

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
        self._after_transaction()

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
        self._after_transaction()

    async def present_token(self, evse_id: int, id_token: str, token_type: str = "ISO14443") -> str:  # noqa: S107
        """Hold an RFID card to the reader: starts a charge, or stops one of the same token or group.

        Returns the authorisation status; "Offline" when the station may not decide alone and "NotReady" before its boot
        was accepted, or when the EVSE cannot be used.
        """
        evse = self._touch(evse_id)
        running = evse.transaction.authorization if evse.transaction is not None and not evse.finished else None
        if running is not None and running.id_token.lower() == id_token.lower():
            self._stop_locally(evse, running)
            return "Accepted"
        if not self.registered or evse.fault_code is not None or not evse.operative:
            return "NotReady"
        status, group = await self._authorize(id_token, token_type)
        if status != "Accepted":
            self.changed(f"EVSE {evse_id}: token {id_token} is refused, {status}")
            return status
        evse = self._touch(evse_id)
        authorization = Authorization(id_token, token_type, remote=False, group=group)
        if evse.authorization is not None:
            if group is None or group != evse.authorization.group:
                return "ConcurrentTx"
            self._stop_locally(evse, authorization)
        else:
            self.charging.authorize(evse, authorization)
        return status

    def _stop_locally(self, evse: Evse, authorization: Authorization) -> None:
        self.charging.stop(evse, StopCause.LOCAL, authorization)
        self._after_transaction()

    async def reboot(self, kind: Literal["soft", "hard"] = "soft") -> None:
        """Restart, as someone at the station would; returns when it is up again (not: booted)."""
        self.settle()
        await self._reboot(StopCause.REBOOT, "LocalReset", hard=kind == "hard")

    async def power_cut(self) -> None:
        """The mains fail: not a word is sent, charging stops, registers keep their value. See `power_on`."""
        self.settle()
        self._cut_at = self.clock.true_now()
        self._power_down()
        await self.line.hang_up()

    async def power_on(self) -> None:
        """The mains return: transactions that were cut end as of the cut (PowerLoss), then the station boots."""
        if self.powered:
            raise ValueError("the power is on")
        self._power_up("PowerUp")

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
            self.outbox.add(Message(action, lambda: payload, urgency))
            self.line.wake()

    def post_transaction(
        self,
        action: str,
        build: Callable[[], Payload],
        transaction: Transaction,
        on_result: Callable[[Payload], None] | None = None,
    ) -> None:
        """Queue a transaction message: kept until it is answered, sent in order."""
        self.outbox.add(Message(action, build, Urgency.TRANSACTION, transaction=transaction, on_result=on_result))
        self.line.wake()
        self.changed()

    def start_remotely(self, evse: Evse, authorization: Authorization) -> None:
        """Obey an accepted remote start, after asking about the token where the settings say so."""
        # C03: a central token was made by the CSMS for this start; there is nothing to ask.
        central = self.config.version != "1.6" and authorization.token_type in ("Central", "NoAuthorization")
        if self.settings.boolean("authorize_remote_start") and not central:
            self.spawn(self._start_if_authorized(evse, authorization))
        else:
            self.charging.authorize(evse, authorization)

    async def _start_if_authorized(self, evse: Evse, authorization: Authorization) -> None:
        status, _ = await self._authorize(authorization.id_token, authorization.token_type)
        self.settle()
        if status == "Accepted" and evse.authorization is None:
            self.charging.authorize(evse, authorization)

    def stop_if_running(self, evse: Evse, transaction: Transaction, cause: StopCause) -> None:
        """Stop a transaction unless it ended meanwhile."""
        if evse.transaction is transaction:
            self.charging.stop(evse, cause)
            self._after_transaction()

    def judge_token(self, transaction: Transaction, answer: Payload) -> None:
        """The answer to a transaction message may say that its token is no good."""
        info = self.dialect.token_info(answer)
        if info is not None and info.get("status") != "Accepted":
            self.settle()
            self.charging.deauthorize(transaction, self.evses[transaction.evse_id])
            self._after_transaction()

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
        if name == "heartbeat_interval_s":
            self._schedule_heartbeat()
        if name == "aligned_interval_s":
            self._schedule_aligned(self.clock.true_now())
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
        self.spawn(self._reboot(cause, boot_reason, hard=hard))

    def reset_when_idle(self, evse_id: int | None) -> None:
        """2.0.1 Reset OnIdle: restart when the last transaction has ended; an EVSE alone needs no restart."""
        self._reset_scheduled.append(evse_id)
        self._after_transaction()

    def post_boot(self, reason: str) -> None:
        """Queue a BootNotification."""
        message = Message("BootNotification", lambda: self.dialect.boot(reason), Urgency.EARLY)
        message.on_result = self._boot_answered
        message.on_failure = self._boot_failed
        self.outbox.add(message)
        self.line.wake()

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
        self.post_boot(self._boot_reason)

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

    async def _authorize(self, id_token: str, token_type: str) -> tuple[str, str | None]:
        if not self.online:
            return self._authorize_alone(id_token)
        answer = await self.request("Authorize", self.dialect.authorize(id_token, token_type))
        info = self.dialect.token_info(answer) if answer is not None else None
        if info is None:
            return self._authorize_alone(id_token)
        status, group = str(info.get("status")), self.dialect.group(info)
        if status == "Accepted":
            self.known_tokens[id_token.lower()] = group
        else:
            self.known_tokens.pop(id_token.lower(), None)
        return status, group

    def _authorize_alone(self, id_token: str) -> tuple[str, str | None]:
        cached = self.settings.boolean("auth_cache") and self.settings.boolean("local_authorize_offline")
        if cached and id_token.lower() in self.known_tokens:
            return "Accepted", self.known_tokens[id_token.lower()]
        return ("Accepted", None) if self.settings.boolean("offline_unknown_id") else ("Offline", None)

    async def request(self, action: str, payload: Payload) -> Payload | None:
        """Send a CALL and wait for its answer; None when none came."""
        future: asyncio.Future[Payload | None] = asyncio.get_running_loop().create_future()

        def settle(answer: Payload | None) -> None:
            if not future.done():
                future.set_result(answer)

        message = Message(action, lambda: payload, Urgency.ORDINARY, on_result=settle, on_failure=lambda: settle(None))
        self.outbox.add(message)
        self.line.wake()
        return await future

    def _boot_answered(self, answer: Payload) -> None:
        status: Registration = answer["status"]
        self.registration = status
        self.changed(f"boot {status}")
        interval = int(answer.get("interval", 0))
        if status != "Accepted":
            self._boot_retry_at = self.clock.true_now() + timedelta(seconds=interval or 60)
            return
        self._boot_retry_at = None
        if interval:
            self.settings.values["heartbeat_interval_s"] = str(interval)
        if self.config.quirks.clock_1970:
            self.clock.set_offset(self.config.clock.offset)
        self._schedule_heartbeat()
        self._schedule_aligned(self.clock.true_now())
        self.dialect.all_statuses()
        self.booted.set()
        self.settle()
        for evse in self.evses.values():
            self.charging.refresh(evse)

    def _boot_failed(self) -> None:
        if not self.registered and self.online:  # offline, the next connection boots anew
            self._boot_retry_at = self.clock.true_now() + timedelta(seconds=60)

    def _schedule_heartbeat(self) -> None:
        interval = self.settings.integer("heartbeat_interval_s")
        self._heartbeat_at = self.clock.true_now() + timedelta(seconds=interval) if interval else None

    def _schedule_aligned(self, after: datetime) -> None:
        interval = self.settings.integer("aligned_interval_s")
        if not interval:
            self._aligned_at = None
            return
        midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
        step = timedelta(seconds=interval)
        self._aligned_at = midnight + ((after - midnight) // step + 1) * step

    def _heartbeat(self, moment: datetime) -> None:
        self._heartbeat_at = moment + timedelta(seconds=self.settings.integer("heartbeat_interval_s"))
        self.post("Heartbeat", {})

    def _aligned(self, moment: datetime) -> None:
        self._schedule_aligned(moment)
        self.sample(list(self.evses.values()), "Sample.Clock")

    def _retry_boot(self, _: datetime) -> None:
        self._boot_retry_at = None
        if self.online:
            self.post_boot(self._boot_reason)

    def _due(self) -> Iterator[Due]:
        if not self.powered:
            return
        for evse in self.evses.values():
            yield from self.charging.due(evse)
        if self._heartbeat_at is not None and self.registered:
            yield self._heartbeat_at, self._heartbeat
        if self._aligned_at is not None and self.registered:
            yield self._aligned_at, self._aligned
        if self._boot_retry_at is not None:
            yield self._boot_retry_at, self._retry_boot

    def settle(self) -> None:
        """Let everything happen, in order, that was due by now."""
        if self._settling:
            return
        self._settling = True
        try:
            now = self.clock.true_now()
            while (due := min(self._due(), key=lambda due: due[0], default=None)) is not None and due[0] <= now:
                self._advance(due[0])
                due[1](due[0])
            self._advance(now)
        finally:
            self._settling = False
        self._after_transaction()

    def _advance(self, moment: datetime) -> None:
        for evse in self.evses.values():
            evse.advance(moment)

    async def _watch_time(self) -> None:
        while True:
            self._wake.clear()
            self.settle()
            self._wake.clear()
            soonest = min((moment for moment, _ in self._due()), default=None)
            wait = None if soonest is None else max(0.0, (soonest - self.clock.true_now()).total_seconds())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else self.clock.real_seconds(wait)):
                    await self._wake.wait()

    def _after_transaction(self) -> None:
        """Carry out resets that waited for the last transaction."""
        if None in self._reset_scheduled and all(e.transaction is None for e in self.evses.values()):
            self._reset_scheduled.clear()
            self.reboot_later(StopCause.HARD_RESET, "ScheduledReset", hard=False)

    async def _reboot(self, cause: StopCause, boot_reason: str, *, hard: bool) -> None:
        self.settle()
        for evse in self.evses.values():
            if evse.transaction is not None:
                self.charging.stop(evse, cause)
        if not hard and self.online:
            # It restarts all the same when the messages do not get through; they are kept.
            with contextlib.suppress(TimeoutError):
                await self.wait_for(lambda s: not s.online or s.outbox.transactions_waiting() == 0, 5.0)
        self._power_down()
        await self.line.hang_up(politely=True)
        await self.clock.sleep(self.config.boot_s)
        self._power_up(boot_reason)

    def _power_down(self) -> None:
        self.settle()
        self.powered = False
        self.registration = "unknown"
        self.booted.clear()
        self._boot_retry_at = None
        for evse in self.evses.values():
            evse.powered = False
        self.changed("power is off")

    def _power_up(self, boot_reason: str) -> None:
        self._advance(self.clock.true_now())
        self.powered = True
        self._boot_reason = boot_reason
        if self.config.quirks.clock_1970:
            self.clock.set_offset(EPOCH - self.clock.true_now())
        for evse in self.evses.values():
            if evse.transaction is not None and self._cut_at is not None:
                evse.settled_to, back = self._cut_at, evse.settled_to
                self.charging.stop(evse, StopCause.POWER_LOSS)
                evse.settled_to = back
            evse.powered, evse.finished, evse.authorization, evse.plug_deadline = True, False, None, None
        self._cut_at = None
        self.changed("power is on")
        self.line.wake()
