"""When a transaction starts, changes and ends: the rules between the plug and the wire, in OCPP 2.0.1's words.

1.6 is the special case in which a transaction starts when the power path closes (plugged in and authorised) and ends as
soon as either is gone.
"""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

from simulators.station.car import Car
from simulators.station.evse import Evse
from simulators.station.meter import Reading
from simulators.station.profile import Profile
from simulators.station.settings import Settings
from simulators.station.transaction import Authorization, StopCause, Transaction

Due = tuple[datetime, Callable[[datetime], None]]


class Reporter(Protocol):
    """What tells the central system; one for each OCPP version."""

    def status(self, evse: Evse, moment: datetime) -> None:
        """The connector's state changed."""

    def started(self, transaction: Transaction, trigger: str) -> None:
        """A transaction started."""

    def updated(
        self,
        transaction: Transaction,
        trigger: str,
        moment: datetime,
        reading: Reading | None = None,
        authorization: Authorization | None = None,
    ) -> None:
        """Something about it changed, or was sampled."""

    def ended(self, transaction: Transaction, trigger: str) -> None:
        """A transaction ended; ``end``, ``cause`` and ``stop_token`` say how."""

    def idle_sample(self, evse: Evse, reading: Reading) -> None:
        """A reading outside any transaction."""


class Charging:
    """The rules. ``may_start`` is asked before a transaction starts: not before the boot was accepted."""

    def __init__(
        self, settings: Settings, reporter: Reporter, may_start: Callable[[], bool], changed: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self._report = reporter
        self._may_start = may_start
        self._changed = changed

    # What happens at the EVSE. The caller has let time pass up to now: `evse.settled_to` is the moment of each event.

    def plug(self, evse: Evse, car: Car) -> None:
        """A car is connected."""
        evse.car, evse.finished, evse.plug_deadline = car, False, None
        self._changed(f"EVSE {evse.evse_id}: cable plugged in")
        self._status(evse)
        if evse.transaction is not None:
            evse.transaction.charging_state = "EVConnected"
            self._report.updated(evse.transaction, "CablePluggedIn", evse.settled_to)
        self.refresh(evse, "CablePluggedIn")

    def unplug(self, evse: Evse) -> None:
        """The car leaves."""
        evse.car = None
        self._changed(f"EVSE {evse.evse_id}: cable unplugged")
        transaction = evse.transaction
        if transaction is None:
            evse.authorization = None
        elif "EVConnected" in self._stop_points() or self.settings.boolean("stop_on_ev_disconnect"):
            self.stop(evse, StopCause.EV_DISCONNECTED)
        else:
            self._report.updated(transaction, StopCause.EV_DISCONNECTED.trigger, evse.settled_to)
            transaction.charging_state = "Idle"
        evse.finished = False
        self.refresh(evse)

    def authorize(self, evse: Evse, authorization: Authorization) -> None:
        """Someone may charge here; the cable may come later, within the connection time-out."""
        evse.authorization, evse.finished = authorization, False
        if authorization.profile is not None:
            self.install(evse, authorization.profile)
        if not evse.plugged:
            timeout = timedelta(seconds=self.settings.integer("ev_connection_timeout_s"))
            evse.plug_deadline = evse.settled_to + timeout
        trigger = "RemoteStart" if authorization.remote else "Authorized"
        self._changed(f"EVSE {evse.evse_id}: authorised {authorization.id_token}")
        self._status(evse)
        if evse.transaction is not None:
            evse.transaction.authorization = authorization
            evse.transaction.remote_start_id = authorization.remote_start_id
            self._report.updated(evse.transaction, trigger, evse.settled_to, authorization=authorization)
        self.refresh(evse, trigger)

    def stop(self, evse: Evse, cause: StopCause, token: Authorization | None = None) -> None:
        """Stop charging; whether the transaction ends now depends on TxStopPoint (2.0.1)."""
        transaction = evse.transaction
        evse.plug_deadline = None
        if transaction is None:
            evse.authorization = None
            self.refresh(evse)
            return
        first = transaction.cause is None
        if first:
            transaction.cause, transaction.stop_token = cause, token
        if self._ends(evse, cause):
            self._end(evse, transaction, cause.trigger)
        else:
            evse.authorization, evse.finished = None, True
            if first:
                transaction.charging_state = evse.charging_state
                self._report.updated(transaction, cause.trigger, evse.settled_to, authorization=token)
        self.refresh(evse)

    def deauthorize(self, transaction: Transaction, evse: Evse) -> None:
        """The central system does not accept the token of a transaction that has begun."""
        if evse.transaction is not transaction or transaction.cause is not None:
            return
        if self.settings.boolean("stop_on_invalid_id"):
            self.stop(evse, StopCause.DEAUTHORIZED)
        else:
            transaction.refused = True
            self.refresh(evse)

    def fault(self, evse: Evse, code: str, cause: StopCause) -> None:
        """The EVSE breaks; ``code`` in 1.6's ChargePointErrorCode."""
        evse.fault_code = code
        self.stop(evse, cause)

    def install(self, evse: Evse, profile: Profile) -> None:
        """Take a charging profile in place of the one with its id, or with its purpose and stack level."""
        evse.profiles = [
            p
            for p in evse.profiles
            if p.profile_id != profile.profile_id
            and (p.purpose, p.stack_level) != (profile.purpose, profile.stack_level)
        ]
        evse.profiles.append(profile)
        self.refresh(evse)

    def restart_sampling(self, evse: Evse) -> None:
        """Count the sampling intervals from now: one of them was changed."""
        if evse.transaction is not None:
            self._schedule_samples(evse.transaction, evse.settled_to)

    # What time brings.

    def due(self, evse: Evse) -> Iterator[Due]:
        """What will happen at this EVSE without anyone doing anything."""
        if not evse.powered:
            return
        if (change := evse.next_change()) is not None:
            yield change, lambda _: self.refresh(evse)
        if evse.plug_deadline is not None:
            yield evse.plug_deadline, lambda _: self._give_up_waiting(evse)
        transaction = evse.transaction
        if transaction is not None and transaction.next_sample_at is not None:
            yield transaction.next_sample_at, lambda moment: self._sample(evse, transaction, moment)
        if transaction is not None and transaction.next_ended_sample_at is not None:
            yield transaction.next_ended_sample_at, lambda moment: self._ended_sample(evse, transaction, moment)

    def refresh(self, evse: Evse, trigger: str = "ChargingStateChanged") -> None:
        """Start what can start, end what must end, and report what is no longer as reported."""
        transaction = evse.transaction
        if transaction is None and self._starts(evse):
            transaction = self._start(evse, trigger)
        if transaction is None and evse.operative_next is not None:
            evse.operative, evse.operative_next = evse.operative_next, None
        self._status(evse)
        if transaction is not None and evse.transaction is transaction:
            charging_state = evse.charging_state
            if charging_state != transaction.charging_state:
                transaction.charging_state = charging_state
                self._report.updated(transaction, "ChargingStateChanged", evse.settled_to)

    def _status(self, evse: Evse) -> None:
        state = str(evse.state)
        if state != evse.reported:
            evse.reported = state
            self._report.status(evse, evse.settled_to)
            self._changed(f"EVSE {evse.evse_id}: {state}, register {evse.register_wh} Wh")

    def _stop_points(self) -> list[str]:
        return self.settings.members("tx_stop_point")

    def _starts(self, evse: Evse) -> bool:
        if not self._may_start() or not evse.powered or evse.fault_code is not None or not evse.operative:
            return False
        if evse.finished:
            return False
        points = self.settings.members("tx_start_point")
        authorized = evse.authorization is not None
        return (
            ("EVConnected" in points and evse.plugged)
            or ("Authorized" in points and authorized)
            or (authorized and evse.plugged)
        )

    def _start(self, evse: Evse, trigger: str) -> Transaction:
        authorization = evse.authorization
        transaction = Transaction(
            transaction_id=str(uuid.uuid4()),
            evse_id=evse.evse_id,
            begin=evse.read("Transaction.Begin"),
            authorization=authorization,
            charging_state="EVConnected" if evse.plugged else "Idle",
            remote_start_id=None if authorization is None else authorization.remote_start_id,
        )
        evse.transaction = transaction
        self._schedule_samples(transaction, evse.settled_to)
        if trigger == "ChargingStateChanged":
            trigger = "CablePluggedIn"  # nothing happened just now but that the station may start: the cable was there
        # RemoteStart goes with the first event after the remote start, whatever set it off (F01.FR.25, F02.FR.21).
        self._report.started(transaction, "RemoteStart" if authorization and authorization.remote else trigger)
        self._changed(f"EVSE {evse.evse_id}: transaction begins at {transaction.begin.register_wh} Wh")
        return transaction

    def _ends(self, evse: Evse, cause: StopCause) -> bool:
        points = self._stop_points()
        return (
            cause.ends_at_once
            or "Authorized" in points
            or "PowerPathClosed" in points
            or ("EVConnected" in points and not evse.plugged)
        )

    def _end(self, evse: Evse, transaction: Transaction, trigger: str) -> None:
        transaction.end = evse.read("Transaction.End")
        evse.transaction, evse.last_transaction = None, transaction
        evse.authorization, evse.finished = None, evse.plugged
        evse.profiles = [p for p in evse.profiles if p.purpose != "TxProfile"]
        self._report.ended(transaction, trigger)
        self._changed(f"EVSE {evse.evse_id}: transaction ends, {evse.delivered_wh} Wh, {transaction.cause}")

    def _give_up_waiting(self, evse: Evse) -> None:
        self._changed(f"EVSE {evse.evse_id}: nobody plugged in")
        self.stop(evse, StopCause.EV_CONNECT_TIMEOUT)

    def _schedule_samples(self, transaction: Transaction, moment: datetime) -> None:
        interval, ended = (self.settings.integer(name) for name in ("sample_interval_s", "ended_interval_s"))
        transaction.next_sample_at = moment + timedelta(seconds=interval) if interval else None
        transaction.next_ended_sample_at = moment + timedelta(seconds=ended) if ended else None

    def _sample(self, evse: Evse, transaction: Transaction, moment: datetime) -> None:
        transaction.next_sample_at = moment + timedelta(seconds=self.settings.integer("sample_interval_s"))
        self._report.updated(transaction, "MeterValuePeriodic", moment, evse.read("Sample.Periodic"))

    def _ended_sample(self, evse: Evse, transaction: Transaction, moment: datetime) -> None:
        transaction.next_ended_sample_at = moment + timedelta(seconds=self.settings.integer("ended_interval_s"))
        transaction.samples.append(evse.read("Sample.Periodic"))
