"""Configuration as desired state: what stations should be set to, whether they are, and bringing them there.

Templates say what is wanted, in 2.0.1's names; the more special one wins. After every accepted boot, and again at
intervals, a station is read and only what differs is written. What it refuses, or lost since, is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from csms.stations.device_model import VariableId
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import ConformanceFound, Fact, StationBooted, StationFact
from sessions.rows import upsert
from sessions.service import Dispatched, Service
from storage import device_model_schema as t
from storage import schema
from storage.engine import reading

log = logging.getLogger(__name__)


class Scope(StrEnum):
    """Whose template; the later ones are more special."""

    ALL = "all"
    VENDOR = "vendor"
    MODEL = "model"
    SITE = "site"
    STATION = "station"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A variable and the value it should have. ``version``: only on this OCPP version; None: on every one."""

    id: VariableId
    value: str
    version: str | None = None


class WrittenStatus(StrEnum):
    """How a station took a value."""

    ACCEPTED = "accepted"
    REBOOT_REQUIRED = "reboot required"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A variable as the station told it. ``known``: it has it; ``value`` None: it does not show it."""

    id: VariableId
    known: bool
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The station's answer to a value; ``detail`` is its word."""

    status: WrittenStatus
    detail: str


class Unreachable(Exception):
    """The station is offline, or did not answer."""


class Configurator(Protocol):
    """Reads and writes a connected station's variables: `csms.ocpp.configurator`."""

    def version(self, station_id: str) -> str | None:
        """The OCPP version of its connection; None if it has none."""
        ...

    async def read(self, station_id: str, wanted: Sequence[VariableId]) -> list[Read]:
        """Ask for variables, in as many calls as it takes. Raises `Unreachable`."""
        ...

    async def write(self, station_id: str, variable: VariableId, value: str) -> Written:
        """Set one. Raises `Unreachable`."""
        ...


class Status(StrEnum):
    """How a wanted variable stands."""

    IN_FORCE = "in_force"
    REBOOT_PENDING = "reboot_pending"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the station has no such variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome for one variable. ``drifted``: it had been in force, and was found changed."""

    id: VariableId
    wanted: str
    actual: str | None
    status: Status
    detail: str = ""
    drifted: bool = False


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChecked(StationFact):
    """A station was read and, where it differed, written. ``next_at``: when it is checked again."""

    results: tuple[Checked, ...]
    next_at: datetime


def configuration_lane(station_id: str) -> str:
    """The lane of whatever asks a station for its variables of ourselves."""
    return f"configuration:{station_id}"


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationUnchecked(StationFact):
    """A station could not be reached. It may come back without a boot: it is checked again at ``next_at``."""

    next_at: datetime


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfiguration(Command):
    """Read a station's variables and set what differs. ``periodic``: not after a boot, but because it is time."""

    station_id: str
    periodic: bool = False

    @property
    def lane(self) -> str:
        """One check of a station at a time."""
        return configuration_lane(self.station_id)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationAsked(StationFact):
    """An operator wants a station checked now."""

    command_key: str


async def keep_asked(connection: AsyncConnection, found: Sequence[ConfigurationAsked], now: datetime) -> list[Command]:
    """See to it."""
    return [CheckConfiguration(key=fact.command_key, station_id=fact.station_id) for fact in found]


async def keep_booted(connection: AsyncConnection, found: Sequence[StationBooted], now: datetime) -> list[Command]:
    """An accepted boot is followed by a check."""
    return [
        CheckConfiguration(key=f"configuration:{fact.key}"[:200], station_id=fact.station_id)
        for fact in found
        if fact.status == "Accepted"
    ]


async def keep_checked(
    connection: AsyncConnection, found: Sequence[ConfigurationChecked], now: datetime
) -> list[Command]:
    """Write how each variable stands, forget what is no longer wanted, and see to the next check."""
    commands: list[Command] = []
    s = t.configuration_state.c
    for fact in found:
        mine = s.station_id == fact.station_id
        before = {_id(row): row for row in await connection.execute(select(t.configuration_state).where(mine))}
        await connection.execute(delete(t.configuration_state).where(mine))
        rows = {
            checked.id: {"station_id": fact.station_id}
            | asdict(checked.id)
            | {
                "wanted": checked.wanted,
                "actual": checked.actual,
                "status": checked.status.value,
                "detail": checked.detail[:500],
                "drifts": (before[checked.id].drifts if checked.id in before else 0) + checked.drifted,
                "checked_at": now,
            }
            for checked in fact.results
        }
        if rows:
            await connection.execute(t.configuration_state.insert(), list(rows.values()))
        commands.append(await _next_check(connection, fact))
    return commands


async def keep_unchecked(
    connection: AsyncConnection, found: Sequence[ConfigurationUnchecked], now: datetime
) -> list[Command]:
    """What was known of it stays; only the next check is seen to."""
    return [await _next_check(connection, fact) for fact in found]


async def _next_check(
    connection: AsyncConnection, fact: ConfigurationChecked | ConfigurationUnchecked
) -> CheckConfiguration:
    following = CheckConfiguration(
        key=f"configuration:{fact.station_id}:{fact.next_at.isoformat()}",
        station_id=fact.station_id,
        due_at=fact.next_at,
        periodic=True,
    )
    row = {"station_id": fact.station_id, "next_key": following.key}
    await upsert(connection, t.configuration_checks, ["station_id"], [row])
    return following


KEEPERS = {
    StationBooted: (keep_booted,),
    ConfigurationAsked: (keep_asked,),
    ConfigurationChecked: (keep_checked,),
    ConfigurationUnchecked: (keep_unchecked,),
}


def built_in(*, sample_interval_s: int, connection_timeout_s: int) -> tuple[Wanted, ...]:
    """What billing needs: samples of the energy register, registers at start and end, an end at unplugging."""
    register = "Energy.Active.Import.Register"

    def want(component: str, variable: str, value: object, version: str | None = None) -> Wanted:
        return Wanted(id=VariableId(component=component, variable=variable), value=str(value), version=version)

    return (
        want("SampledDataCtrlr", "TxUpdatedInterval", sample_interval_s),
        want("SampledDataCtrlr", "TxStartedMeasurands", register),
        want("SampledDataCtrlr", "TxUpdatedMeasurands", register),
        want("SampledDataCtrlr", "TxEndedMeasurands", register),
        want("TxCtrlr", "EVConnectionTimeOut", connection_timeout_s),
        want("TxCtrlr", "StopTxOnEVSideDisconnect", "true"),
        want("AuthCtrlr", "AuthorizeRemoteStart", "false"),
        want("AlignedDataCtrlr", "Interval", 0, "ocpp1.6"),  # 1.6 bills from samples; aligned ones come on top
    )


def resolved(layers: Iterable[Iterable[Wanted]], version: str) -> dict[VariableId, str]:
    """What is wanted of a station: later layers win. Pure."""
    wanted: dict[VariableId, str] = {}
    for layer in layers:
        wanted |= {entry.id: entry.value for entry in layer if entry.version in {None, version}}
    return wanted


def same(wanted: str, actual: str | None) -> bool:
    """Whether a value is the wanted one, however it is written: case of booleans, order and spaces of lists. Pure."""
    if actual is None:
        return False
    left, right = wanted.strip(), actual.strip()
    if left.lower() in {"true", "false"}:
        return left.lower() == right.lower()
    return sorted(part.strip() for part in left.split(",")) == sorted(part.strip() for part in right.split(","))


class ConfigurationDoer:
    """Carries out `CheckConfiguration`. ``enabled``: False: nothing is asked of stations."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        configurator: Configurator,
        now: Callable[[], datetime],
        *,
        base: tuple[Wanted, ...],
        every: timedelta,
        enabled: bool,
    ) -> None:
        self._service = service
        self._engine = engine
        self._configurator = configurator
        self._now = now
        self._base = base
        self._every = every
        self._enabled = enabled

    async def __call__(self, command: CheckConfiguration, _: Dispatched) -> None:
        """Check one station, and report. An unreachable one is checked at its next boot, or when it is time again."""
        if not self._enabled or not await self._is_next(command):
            await self._service.complete(command.key)
            return
        try:
            version = self._configurator.version(command.station_id)
            if version is None:
                raise Unreachable("it is not connected")
            results = await self._check(command.station_id, version)
        except Unreachable as gone:
            log.info("station %s: not configured: %s", command.station_id, gone)
            now = self._now()
            unchecked = ConfigurationUnchecked(
                key=f"{command.key}:unchecked", at=now, station_id=command.station_id, next_at=now + self._every
            )
            await self._service.complete(command.key, unchecked)
            return
        now = self._now()
        checked = ConfigurationChecked(
            key=f"{command.key}:checked",
            at=now,
            station_id=command.station_id,
            results=tuple(results),
            next_at=now + self._every,
        )
        await self._service.complete(command.key, checked, *self._findings(command, results, now))

    async def _is_next(self, command: CheckConfiguration) -> bool:
        """A check that is due, but was followed by a newer one (after a boot), has nothing to do."""
        if not command.periodic:
            return True
        c = t.configuration_checks.c
        async with reading(self._engine) as connection:
            query = select(c.next_key).where(c.station_id == command.station_id)
            return (await connection.execute(query)).scalar() == command.key

    async def _check(self, station_id: str, version: str) -> list[Checked]:
        wanted = resolved(await layers(self._engine, self._base, station_id), version)
        s = t.configuration_state.c
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(t.configuration_state).where(s.station_id == station_id))
            before = {_id(row): row for row in rows}
        found = {read.id: read for read in await self._configurator.read(station_id, list(wanted))}
        results = []
        for variable, value in wanted.items():
            read, was = found.get(variable), before.get(variable)
            if read is None or not read.known:
                results.append(Checked(id=variable, wanted=value, actual=None, status=Status.UNKNOWN))
                continue
            in_force = was is not None and was.status == Status.IN_FORCE.value and was.wanted == value
            if same(value, read.value) or (read.value is None and in_force):  # what it does not show was set once
                results.append(Checked(id=variable, wanted=value, actual=read.value, status=Status.IN_FORCE))
                continue
            written = await self._configurator.write(station_id, variable, value)
            status = {
                WrittenStatus.ACCEPTED: Status.IN_FORCE,
                WrittenStatus.REBOOT_REQUIRED: Status.REBOOT_PENDING,
                WrittenStatus.REFUSED: Status.REFUSED,
            }[written.status]
            drifted = in_force and read.value is not None
            detail = f"found {read.value!r}; {written.detail}" if drifted else written.detail
            actual = value if status is Status.IN_FORCE else read.value
            results.append(
                Checked(id=variable, wanted=value, actual=actual, status=status, detail=detail, drifted=drifted)
            )
        return results

    def _findings(self, command: CheckConfiguration, results: list[Checked], now: datetime) -> list[Fact]:
        return [
            ConformanceFound(
                key=f"{command.key}:refused:{checked.id}"[:200],
                at=now,
                station_id=command.station_id,
                code="configuration-refused",
                detail=f"{checked.id} = {checked.wanted}: {checked.detail}",
                action=str(checked.id)[:60],
            )
            for checked in results
            if checked.status is Status.REFUSED
        ]


async def layers(engine: AsyncEngine, base: tuple[Wanted, ...], station_id: str) -> list[tuple[Wanted, ...]]:
    """The templates that fit a station, the most special last; what is built in comes first."""
    s, c = schema.stations.c, t.configuration_templates.c
    async with reading(engine) as connection:
        station = (await connection.execute(select(schema.stations).where(s.station_id == station_id))).first()
        rows = (await connection.execute(select(t.configuration_templates).order_by(c.template_id))).all()
    if station is None:
        return [base]
    mine = {
        Scope.ALL: "",
        Scope.VENDOR: station.vendor,
        Scope.MODEL: station.model,
        Scope.SITE: station.site,
        Scope.STATION: station_id,
    }
    fitting = [
        tuple(wanted_from(entry) for entry in orjson.loads(row.variables))
        for scope in Scope
        for row in rows
        if row.scope == scope.value and row.name == mine[scope]
    ]
    return [base, *fitting]


def wanted_from(entry: dict[str, Any]) -> Wanted:
    """A template's entry as it is stored."""
    return Wanted(id=VariableId(**entry["id"]), value=entry["value"], version=entry.get("version"))


def _id(row: Any) -> VariableId:
    return VariableId(**{name: getattr(row, name) for name in VariableId.__dataclass_fields__})
