"""The machine's checks of a case: what is known is gathered, the terminals' cloud asked, all of it judged and kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.tariff_json import tariff_from_json
from csms.stations.calls import Waiters
from csms.terminals import onboarding
from csms.terminals.checklist import ENDED, TEST, CaseState, StepState
from csms.terminals.processor_choice import unmet, untransferred
from csms.terminals.processors import Platform
from csms.terminals.verdicts import JUDGES, Known, Place, Price, Verdict
from csms.terminals.verification_port import ProbePort, VerificationPort
from sessions.codec import register
from sessions.commands import Command
from sessions.directory import Admission
from sessions.facts import Fact
from sessions.service import Dispatched, Service
from storage import onboarding_schema as t
from storage import owner_schema
from storage import schema as s
from storage.engine import reading


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCase(Command):
    """Run the machine's checks of a case. ``key`` also tells who waits for it."""

    case_id: int

    @property
    def lane(self) -> str:
        """The checks of one case run one after the other."""
        return f"case:{self.case_id}"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChecked(Fact):
    """What the machine found."""

    case_id: int
    verdicts: tuple[Verdict, ...]


async def gather(connection: AsyncConnection, case: Any, platform: Platform, now: datetime) -> Known:
    """What the database knows of the case's terminal."""
    terminal = (await connection.execute(select(s.terminals).where(s.terminals.c.serial == case.serial))).one()
    owners = owner_schema.owners.c
    currency = (await connection.execute(select(owners.currency).where(owners.owner_id == terminal.owner_id))).scalar()
    called = (
        select(t.test_transactions.c.called_back_at)
        .where(t.test_transactions.c.case_id == case.case_id, t.test_transactions.c.called_back_at.is_not(None))
        .order_by(t.test_transactions.c.called_back_at.desc())
    )
    x = t.onboarding_steps.c
    tested = select(x.code).where(x.case_id == case.case_id, x.code == TEST, x.state == StepState.PASSED.value)
    return Known(
        now=now,
        serial=case.serial,
        station_serial=terminal.station_serial,
        currency=terminal.currency,
        owner_id=terminal.owner_id,
        owner_currency=currency or terminal.currency,
        account_id=case.account_id,
        account_now=terminal.account_id,
        licence_exempt=terminal.licence_exempt,
        activated_at=terminal.activated_at,
        licensed_until=terminal.licensed_until,
        places=await _places(connection, case.serial),
        untransferred=await untransferred(connection, case.serial, case.account_id, platform),
        unmet=tuple(await unmet(connection, case.account_id, case.serial)) if case.account_id else (),
        test_passed=(await connection.execute(tested.limit(1))).first() is not None,
        called_back_at=(await connection.execute(called.limit(1))).scalar(),
    )


async def _places(connection: AsyncConnection, serial: str) -> tuple[Place, ...]:
    p = s.terminal_evses.c
    evse = and_(s.evses.c.station_id == p.station_id, s.evses.c.evse_id == p.evse_id)
    query = (
        select(
            p.station_id,
            p.evse_id,
            s.evses.c.tariff_id,
            s.stations.c.admission,
            s.stations.c.connected,
            s.stations.c.boot_status,
            s.stations.c.serial_number,
            s.stations.c.owner_id,
            s.tariffs.c.body,
            s.tariffs.c.owner_id.label("tariff_owner"),
        )
        .outerjoin(s.evses, evse)
        .outerjoin(s.stations, s.stations.c.station_id == p.station_id)
        .outerjoin(s.tariffs, s.tariffs.c.tariff_id == s.evses.c.tariff_id)
        .where(p.serial == serial)
        .order_by(p.position)
    )
    return tuple(
        Place(
            station_id=row.station_id,
            evse_id=row.evse_id,
            admission=Admission(row.admission) if row.admission else None,
            connected=bool(row.connected),
            booted=row.boot_status == "Accepted",
            station_reports=row.serial_number or "",
            owner_id=row.owner_id or "",
            tariff_id=row.tariff_id,
            price=_price(row) if row.body else None,
        )
        for row in await connection.execute(query)
    )


def _price(row: Any) -> Price:
    tariff = tariff_from_json(orjson.loads(row.body))
    return Price(tariff_id=tariff.tariff_id, currency=tariff.currency, owner_id=row.tariff_owner)


def judged(known: Known, codes: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts on these steps, those that are a machine's."""
    return tuple(JUDGES[code](known) for code in codes if code in JUDGES)


class Checks:
    """Gathers, asks, judges. ``now``: the clock."""

    def __init__(
        self,
        engine: AsyncEngine,
        cloud: VerificationPort,
        probe: ProbePort,
        now: Callable[[], datetime],
        platform: Platform,
    ) -> None:
        self._engine = engine
        self._cloud = cloud
        self._probe = probe
        self._now = now
        self._platform = platform

    async def make(self, case_id: int) -> tuple[Verdict, ...]:
        """What the machine finds now; nothing for a case that has ended."""
        async with reading(self._engine) as connection:
            query = select(t.onboarding_cases).where(t.onboarding_cases.c.case_id == case_id)
            case = (await connection.execute(query)).first()
            if case is None or CaseState(case.state) in ENDED:
                return ()
            codes = list(await onboarding.states(connection, case_id))
        answers = await self._cloud.answers(case.serial, case.account_id)
        reached = await self._probe.probe()
        async with reading(self._engine) as connection:  # read last: what was asked takes its time
            known = await gather(connection, case, self._platform, self._now())
        return judged(replace(known, answers=answers, reached=reached), codes)


class CheckDoer:
    """Runs the checks of cases; whoever waits is told."""

    def __init__(self, service: Service, checks: Checks, now: Callable[[], datetime], waiters: Waiters) -> None:
        self._service = service
        self._checks = checks
        self._now = now
        self._waiters = waiters

    async def __call__(self, command: CheckCase, dispatched: Dispatched) -> None:
        """Checking changes nothing outside, so a try that was cut off is simply made again."""
        verdicts = await self._checks.make(command.case_id)
        key = f"{command.key}:checked"
        await self._service.complete(
            command.key, CaseChecked(key=key, at=self._now(), case_id=command.case_id, verdicts=verdicts)
        )
        self._waiters.tell(command.key)


async def keep_checked(connection: AsyncConnection, found: Sequence[CaseChecked], now: datetime) -> list[Command]:
    """Write the verdicts into the steps, unless the case has ended meanwhile."""
    for fact in found:
        try:
            case = await onboarding.locked(connection, fact.case_id)
        except onboarding.CaseRefusedError:
            continue
        await onboarding.take_verdicts(connection, case, fact.verdicts, now)
    return []


KEEPERS: dict[type[Fact], tuple[Callable[..., Awaitable[list[Command]]], ...]] = {CaseChecked: (keep_checked,)}
