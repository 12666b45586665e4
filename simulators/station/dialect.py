"""What both OCPP versions share: choosing an EVSE, availability, profiles, triggers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.station.evse import Evse
from simulators.station.meter import Reading
from simulators.station.outbox import Payload, Urgency
from simulators.station.profile import MAX_PURPOSES, Profile
from simulators.station.rpc import CallFailedError
from simulators.station.transaction import Authorization, Transaction

if TYPE_CHECKING:
    from simulators.station.station import Station

REMOTE_STARTS = ("RemoteStartTransaction", "RequestStartTransaction")
PRICE_VENDOR = "org.openchargealliance.costmsg"
PRICE_MESSAGES = ("SetUserPrice", "RunningCost", "FinalCost")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a call of the central system, and what the station does once it is on the wire."""

    payload: Payload
    then: Callable[[], None] | None = None


class Dialect(ABC):
    """One OCPP version. It reports what happens at the EVSEs (see `charging.Reporter`) and answers calls."""

    subprotocol: str
    known_actions: frozenset[str]
    malformed: str
    while_rejected: str | None

    def __init__(self, station: Station) -> None:
        self.station = station
        self.settings = station.settings
        self.quirks = station.config.quirks
        self.handlers: dict[str, Callable[[Payload], Answer]] = {}

    def answer(self, action: str, payload: Payload) -> Answer:
        """The answer to a call. Raises `CallFailedError` for what the station does not know or does not do."""
        handler = self.handlers.get(action)
        if handler is None:
            if action in self.known_actions:
                raise CallFailedError("NotSupported", f"{action} is not supported")
            raise CallFailedError("NotImplemented", f"{action} is not known")
        return handler(payload)

    @abstractmethod
    def boot(self, reason: str) -> Payload:
        """A BootNotification; ``reason`` in 2.0.1's words (BootReasonEnumType)."""

    @abstractmethod
    def authorize(self, id_token: str, token_type: str) -> Payload:
        """An Authorize request."""

    @abstractmethod
    def token_info(self, answer: Payload) -> dict[str, Any] | None:
        """What an answer says of the token: ``status`` and perhaps a group; None when it says nothing."""

    @abstractmethod
    def group(self, info: dict[str, Any]) -> str | None:
        """The group (1.6: parent) of a token."""

    @abstractmethod
    def status(self, evse: Evse, moment: datetime) -> None:
        """Report a connector's state."""

    @abstractmethod
    def started(self, transaction: Transaction, trigger: str) -> None:
        """Report the start."""

    @abstractmethod
    def updated(
        self,
        transaction: Transaction,
        trigger: str,
        moment: datetime,
        reading: Reading | None = None,
        authorization: Authorization | None = None,
    ) -> None:
        """Report a change or a reading."""

    @abstractmethod
    def ended(self, transaction: Transaction, trigger: str) -> None:
        """Report the end."""

    @abstractmethod
    def idle_sample(self, evse: Evse, reading: Reading) -> None:
        """Report a reading outside any transaction."""

    @abstractmethod
    def early_sample(self, evse: Evse) -> None:
        """Report a reading before the boot was answered."""

    @abstractmethod
    def all_statuses(self, urgency: Urgency = Urgency.ORDINARY) -> None:
        """Report every connector's state: after a boot and after a lost connection."""

    def choose_evse(self, evse_id: int | None) -> Evse | None:
        """The EVSE for a remote start: the one named, or a free one, with a cable rather than without."""
        if evse_id is not None:
            evse = self.station.evses.get(evse_id)
            return evse if evse is not None and self._free(evse) else None
        free = [evse for evse in self.station.evses.values() if self._free(evse)]
        return min(free, key=lambda evse: (not evse.plugged, evse.evse_id), default=None)

    def _free(self, evse: Evse) -> bool:
        if evse.fault_code is not None or not evse.operative or evse.operative_next is False:
            return False
        # An authorisation that waits for its cable, or a transaction that has a token, holds the EVSE.
        return evse.authorization is None and not (evse.transaction is not None and evse.finished)

    def remote_start(
        self, evse: Evse | None, authorization: Authorization, rejected: Payload, accepted: Payload
    ) -> Answer:
        """Answer a remote start, and obey it afterwards."""
        if evse is None or self.quirks.refuse_remote_start or not self.station.registered:
            return Answer(rejected)
        if self.quirks.never_start:
            return Answer(accepted)
        return Answer(accepted, lambda: self.station.tokens.start_remotely(evse, authorization))

    def transaction_by(self, match: Callable[[Transaction], bool]) -> tuple[Evse, Transaction] | None:
        """The running transaction that matches."""
        for evse in self.station.evses.values():
            if evse.transaction is not None and match(evse.transaction):
                return evse, evse.transaction
        return None

    def named_evses(self, evse_id: int | None) -> list[Evse] | None:
        """One EVSE, or all for none or 0; None when there is no such EVSE."""
        if not evse_id:
            return list(self.station.evses.values())
        evse = self.station.evses.get(evse_id)
        return None if evse is None else [evse]

    def change_availability(self, evse_id: int | None, *, operative: bool) -> Answer:
        """Take EVSEs in or out of use, at once or after their transactions."""
        evses = self.named_evses(evse_id)
        if evses is None:
            return Answer({"status": "Rejected"})
        scheduled = any(evse.transaction is not None for evse in evses)

        def change() -> None:
            for evse in evses:
                evse.operative_next = operative
                self.station.charging.refresh(evse)

        return Answer({"status": "Scheduled" if scheduled else "Accepted"}, change)

    def set_profile(self, evse_id: int, profile: Profile, transaction_id: Callable[[Transaction], str]) -> Answer:
        """Install a charging profile; a TxProfile needs its transaction, a maximum belongs to the whole station."""
        evses = self.named_evses(evse_id)
        if evses is None:
            return Answer({"status": "Rejected"})
        if profile.purpose == "TxProfile":
            running = evses[0].transaction if evse_id else None
            if running is None or profile.transaction_id not in (None, transaction_id(running)):
                return Answer({"status": "Rejected"})
        elif profile.purpose in MAX_PURPOSES:
            if evse_id:
                return Answer({"status": "Rejected"})
            # No load balancing here: each EVSE gets its equal share of the station's maximum.
            share = tuple(replace(p, limit_w=p.limit_w // len(evses)) for p in profile.periods)
            profile = replace(profile, periods=share)
        elif profile.purpose != "TxDefaultProfile":
            return Answer({"status": "Rejected"})

        def install() -> None:
            for evse in evses:
                self.station.charging.install(evse, profile)

        return Answer({"status": "Accepted"}, install)

    def clear_profiles(self, evse_id: int | None, match: Callable[[Profile], bool]) -> Answer:
        """Remove the profiles that match."""
        found = [(e, p) for e in self.named_evses(evse_id) or [] for p in e.profiles if match(p)]

        def clear() -> None:
            for evse, profile in found:
                evse.profiles = [p for p in evse.profiles if p is not profile]
                self.station.charging.refresh(evse)

        return Answer({"status": "Accepted" if found else "Unknown"}, clear)

    def data_transfer(self, payload: Payload) -> Answer:
        """Show prices on the display (the price vendor id of the Open Charge Alliance); know no other vendor."""
        if payload["vendorId"] != PRICE_VENDOR:
            return Answer({"status": "UnknownVendorId"})
        message_id = payload.get("messageId")
        if message_id not in PRICE_MESSAGES:
            return Answer({"status": "UnknownMessageId"})
        return Answer({"status": "Accepted"}, lambda: self.station.show(message_id, payload.get("data")))

    def clear_cache(self, _: Payload) -> Answer:
        """Forget the tokens that were once accepted."""
        if not self.settings.boolean("auth_cache"):
            return Answer({"status": "Rejected"})
        return Answer({"status": "Accepted"}, self.station.tokens.forget)
