"""The floors below the bridge, in memory: an inbox that deduplicates and a directory that reads what was submitted."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from sessions.directory import ArmRecord, ArmState, Outcome, TerminalRecord
from sessions.facts import ArmClosed, ArmOpened, CardPresented, Fact

F = TypeVar("F", bound=Fact)
SERIAL = "APO20240000001"


def now() -> datetime:
    return datetime.now(UTC)


def terminal(
    serial: str = SERIAL, family: str = "Apollo", hold_minor: int = 20_000, **changes: object
) -> TerminalRecord:
    record = TerminalRecord(
        serial=serial,
        family=family,
        currency="NOK",
        language="nb",
        hold_minor=hold_minor,
        price_text="5,90 kr/kWh",
        evses=(),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


class MemoryHouse:
    """Implements `Inbox` and `TerminalDirectory`. ``pending``: interactions that somebody still needs."""

    def __init__(self, *records: TerminalRecord) -> None:
        self.records = {record.serial: record for record in records}
        self.facts: dict[str, Fact] = {}
        self.arms: dict[str, ArmRecord] = {}
        self.latest: dict[str, str] = {}
        self.pending: set[str] = set()
        self.cards_wait = True  # a presented card is needed until somebody says otherwise
        self.broken = 0  # how many of the next submissions fail
        self.submissions = 0
        self.pending_asked = 0
        self.terminals_asked = 0
        self._changed = asyncio.Condition()

    async def submit(self, fact: Fact) -> Outcome:
        self.submissions += 1
        if self.broken > 0:
            self.broken -= 1
            raise ConnectionError("the database is away, with parameters: 4111 and the like")
        duplicate = fact.key in self.facts
        if not duplicate:
            self.facts[fact.key] = fact
            self._apply(fact)
        async with self._changed:
            self._changed.notify_all()
        return Outcome(duplicate=duplicate)

    def _apply(self, fact: Fact) -> None:
        match fact:
            case ArmOpened():
                self.arms[fact.arm_id] = ArmRecord(
                    arm_id=fact.arm_id,
                    serial=fact.serial,
                    state=ArmState.OPEN,
                    hold_minor=fact.hold_minor,
                    opened_at=fact.at,
                    account_id=fact.account_id,
                )
                self.latest[fact.serial] = fact.arm_id
            case CardPresented() if self.arms[fact.arm_id].state is ArmState.OPEN:
                self.arms[fact.arm_id] = replace(self.arms[fact.arm_id], state=ArmState.PRESENTED)
                if self.cards_wait:
                    self.pending.add(fact.arm_id)
            case ArmClosed() if fact.arm_id in self.arms:
                self.arms[fact.arm_id] = replace(self.arms[fact.arm_id], state=ArmState.CLOSED)
                self.pending.discard(fact.arm_id)

    def put_arm(
        self,
        arm_id: str = "arm-1",
        state: ArmState = ArmState.OPEN,
        serial: str = SERIAL,
        hold_minor: int = 20_000,
        account_id: str = "",
    ) -> ArmRecord:
        """An interaction from before."""
        arm = ArmRecord(
            arm_id=arm_id,
            serial=serial,
            state=state,
            hold_minor=hold_minor,
            opened_at=now(),
            account_id=account_id,
        )
        self.arms[arm_id] = arm
        self.latest[serial] = arm_id
        return arm

    def seen(self, kind: type[F]) -> list[F]:
        """The facts of one kind, in order."""
        return [fact for fact in self.facts.values() if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the facts make ``condition`` true."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(condition)

    async def terminals(self) -> tuple[TerminalRecord, ...]:
        return tuple(self.records.values())

    async def terminal(self, serial: str) -> TerminalRecord | None:
        self.terminals_asked += 1
        async with self._changed:
            self._changed.notify_all()
        return self.records.get(serial)

    async def latest_arm(self, serial: str) -> ArmRecord | None:
        return self.arms.get(self.latest.get(serial, ""))

    async def arm(self, arm_id: str) -> ArmRecord | None:
        return self.arms.get(arm_id)

    async def interaction_pending(self, arm_id: str) -> bool:
        self.pending_asked += 1
        async with self._changed:
            self._changed.notify_all()
        return arm_id in self.pending
