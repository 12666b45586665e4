"""What stands behind the door in the wire tests: facts kept in memory, stations in a dictionary."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sessions import facts
from sessions.directory import Admission, Outcome, ReceiptRecord, StationRecord
from sessions.facts import TokenStatus
from sessions.tokens import TokenRecord

F = TypeVar("F")


class RecordingInbox:
    """Implements `sessions.directory.Inbox`: keeps every fact, allots epochs and 1.6 transaction ids.

    ``gate``: return an event to hold a fact's commit back until it is set, None to let it through.
    ``failing``: kinds whose commit fails. A fact is in ``facts`` only once its commit has returned.
    """

    def __init__(self) -> None:
        self.facts: list[facts.Fact] = []
        self.waiting: list[facts.Fact] = []
        self.gate: Callable[[facts.Fact], asyncio.Event | None] = lambda _: None
        self.failing: tuple[type, ...] = ()
        self.token_status: TokenStatus | None = TokenStatus.ACCEPTED
        self.total: tuple[int, str] | None = None
        self._outcomes: dict[str, Outcome] = {}
        self._epoch = 0
        self._transaction_id = 100
        self._changed = asyncio.Condition()

    async def submit(self, fact: facts.Fact) -> Outcome:
        """Keep the fact; the same key again gets the first one's outcome."""
        epoch = None
        if isinstance(fact, facts.StationConnected):
            self._epoch += 1
            epoch = self._epoch
        self.waiting.append(fact)
        await self._tell()
        held_back = self.gate(fact)
        if held_back is not None:
            await held_back.wait()
        self.waiting.remove(fact)
        if isinstance(fact, self.failing):
            raise OSError("the disk is full")
        known = self._outcomes.get(fact.key)
        if known is not None:
            return replace(known, duplicate=True)
        transaction_id = getattr(fact, "transaction_id", None)
        if isinstance(fact, facts.TransactionStarted) and transaction_id is None:
            self._transaction_id += 1
            transaction_id = str(self._transaction_id)
        total_minor, currency = self.total or (None, None)
        outcome = Outcome(
            transaction_id=transaction_id,
            token_status=self.token_status,
            total_minor=total_minor,
            currency=currency,
            epoch=epoch,
        )
        self._outcomes[fact.key] = outcome
        self.facts.append(fact)
        await self._tell()
        return outcome

    def of(self, kind: type[F]) -> list[F]:
        """The facts of one kind, in order of commit."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def findings(self) -> list[str]:
        """The codes of the conformance findings, in order."""
        return [found.code for found in self.of(facts.ConformanceFound)]

    def kinds(self) -> Counter[str]:
        """How many facts of each kind, without the coming and going of the line."""
        line = (facts.StationConnected, facts.StationDisconnected)
        return Counter(type(fact).__name__ for fact in self.facts if not isinstance(fact, line))

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition on this inbox holds."""
        async with self._changed:
            async with asyncio.timeout(30):
                await self._changed.wait_for(true)

    async def first(self, kind: type[F]) -> F:
        """Wait for the first fact of a kind."""
        await self.until(lambda: bool(self.of(kind)))
        return self.of(kind)[0]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class MemoryDirectory:
    """Implements `sessions.directory.StationDirectory`."""

    def __init__(self) -> None:
        self.stations: dict[str, StationRecord] = {}
        self.tokens: dict[str, TokenStatus] = {}
        self.limits: dict[tuple[str, int], dict[str, Any]] = {}
        self.receipts: dict[str, ReceiptRecord] = {}

    def add(self, station_id: str, password_hash: str | None = None, admission: Admission = Admission.ACCEPTED) -> None:
        """Put a station on file."""
        self.stations[station_id] = StationRecord(
            station_id=station_id, admission=admission, password_hash=password_hash, connected=False, epoch=0
        )

    async def station(self, station_id: str) -> StationRecord | None:
        """The station on file."""
        return self.stations.get(station_id)

    async def register_station(self, station_id: str, admission: Admission, password_hash: str | None) -> None:
        """Put one on file that came by itself."""
        if station_id not in self.stations:
            self.add(station_id, password_hash, admission)

    async def adopt_password(self, station_id: str, password_hash: str) -> None:
        """The station's new password."""
        self.stations[station_id] = replace(self.stations[station_id], password_hash=password_hash, pending_hashes=())

    async def token(self, id_token: str) -> TokenRecord:
        """The token as kept."""
        return TokenRecord(status=self.tokens.get(id_token.upper(), TokenStatus.UNKNOWN))

    async def cost_limit_supported(self, station_id: str) -> bool | None:
        """Nothing is known of it."""
        assert station_id
        return None

    async def payment_status(self, station_id: str, reference: str) -> TokenStatus:
        """A reference nobody knows is the station's own terminal's."""
        return self.tokens.get(reference.upper(), TokenStatus.ACCEPTED)

    async def tx_profile(self, station_id: str, evse_id: int) -> dict[str, Any] | None:
        """No EVSE has one."""
        return None

    async def dynamic_limits(self, station_id: str, profile_id: int) -> dict[str, Any] | None:
        """The limits on file."""
        return self.limits.get((station_id, profile_id))

    async def receipt(self, session_id: str) -> ReceiptRecord | None:
        """The receipt on file."""
        return self.receipts.get(session_id)
