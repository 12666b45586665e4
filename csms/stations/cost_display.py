"""What a charge costs, on the station's display: running, in the end, and the price before it begins (2.0.1 I02, I03).

Only stations that say they can are told: 2.x by `TariffCostCtrlr`, 1.6 by the OCA's key `CustomDisplayCostAndPrice`.
One that refuses is left alone until its next boot. All of it is best effort: money does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.price_text import describe_price
from billing.tariff import Tariff
from csms.stations.configuration import Configurator, Unreachable, configuration_lane
from csms.stations.device_model import Attribute, ReportPartTold, VariableId, VariablesTold
from sessions.codec import decode_session, register
from sessions.commands import Command
from sessions.cost import cost_at, payable_minor
from sessions.facts import (
    EnergyMetered,
    StartAccepted,
    StationBooted,
    StationFact,
    TransactionEnded,
    TransactionFact,
    TransactionStarted,
    TransactionUpdated,
)
from sessions.rows import load_tariffs, upsert
from sessions.service import Dispatched, Service
from sessions.session import Session
from sessions.tables import RUNNING
from storage import cost_display_schema as t
from storage import schema
from storage.engine import reading

#: The running cost is shown at most so often, seconds.
EVERY_S = 60

_ENABLED = VariableId(component="TariffCostCtrlr", variable="Enabled", variable_instance="Cost")
_ANNOUNCED_16 = VariableId(component="ConfigurationKey", variable="CustomDisplayCostAndPrice")
_DEFAULT_PRICE = VariableId(component="ConfigurationKey", variable="DefaultPrice")


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CostDisplayFound(StationFact):
    """Whether a station shows costs: it said so, or it refused to."""

    shows: bool


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CostShown(StationFact):
    """A running charge's cost was told, or need not be told again; the next time is later."""

    session_id: str
    total_minor: int


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class FindCostDisplay(Command):
    """Ask a station that has booted whether it shows costs."""

    station_id: str

    @property
    def lane(self) -> str:
        """After the check of its configuration: a station that boots is not asked two things at once."""
        return configuration_lane(self.station_id)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPrice(Command):
    """Tell a station the price of the charge that is about to begin."""

    station_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCost(Command):
    """Tell a station what a charge costs so far. ``last_minor``: what it was told before."""

    station_id: str
    last_minor: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ShowFinalCost(Command):
    """Tell a station what a charge has cost."""

    station_id: str


class CostPort(Protocol):
    """Says it as the station's version does. False: the station does not do this; None: nobody knows."""

    async def price(self, session: Session) -> bool | None:
        """The price, before the charge."""
        ...

    async def running(self, session: Session, total_minor: int, now: datetime) -> bool | None:
        """The cost so far."""
        ...

    async def final(self, session: Session, total_minor: int) -> bool | None:
        """The cost of a charge that has ended."""
        ...


# --- who can show it --------------------------------------------------------------------------------------------------


async def keep_booted(connection: AsyncConnection, found: Sequence[StationBooted], now: datetime) -> list[Command]:
    """A station that boots may have learned it."""
    return [
        FindCostDisplay(key=f"cost-display:{fact.key}"[:200], station_id=fact.station_id)
        for fact in found
        if fact.status == "Accepted"
    ]


async def keep_told(
    connection: AsyncConnection, found: Sequence[VariablesTold | ReportPartTold], now: datetime
) -> list[Command]:
    """Whoever asked for the variable: the station has said it."""
    said = {fact.station_id: shows for fact in found if (shows := announced(fact.attributes)) is not None}
    await _write(connection, said, now)
    return []


async def keep_found(connection: AsyncConnection, found: Sequence[CostDisplayFound], now: datetime) -> list[Command]:
    """Write it down."""
    await _write(connection, {fact.station_id: fact.shows for fact in found}, now)
    return []


async def _write(connection: AsyncConnection, said: dict[str, bool], now: datetime) -> None:
    rows = [{"station_id": station_id, "shows": shows, "updated_at": now} for station_id, shows in said.items()]
    if rows:
        await upsert(connection, t.cost_displays, ["station_id"], rows)


def announced(attributes: Iterable[Attribute]) -> bool | None:
    """Whether these variables say that costs are shown; None if they do not speak of it. Pure."""
    said = [a.value for a in attributes if a.id in {_ENABLED, _ANNOUNCED_16} and a.attribute == "Actual"]
    return said[-1] is not None and said[-1].strip().lower() == "true" if said else None


# --- when it is shown -------------------------------------------------------------------------------------------------


async def keep_metered(
    connection: AsyncConnection, found: Sequence[TransactionFact | EnergyMetered], now: datetime
) -> list[Command]:
    """A charge goes on: its cost is shown, once in a while."""
    shows = await _showing(connection, {fact.station_id for fact in found})
    told = [(fact.station_id, fact.evse_id, fact.transaction_id) for fact in found if fact.station_id in shows]
    if not told:
        return []
    s = schema.sessions.c
    query = select(s.session_id, s.station_id, s.evse_id, s.transaction_id)
    query = query.where(s.station_id.in_(shows), s.charging.in_([state.value for state in RUNNING]))
    return [
        _show(row.session_id, row.station_id, now)
        for row in await connection.execute(query)
        if any(
            row.station_id == station_id and (row.transaction_id == transaction_id or row.evse_id == evse_id)
            for station_id, evse_id, transaction_id in told
        )
    ]


async def keep_shown(connection: AsyncConnection, found: Sequence[CostShown], now: datetime) -> list[Command]:
    """Time alone may cost something: look again later."""
    shows = await _showing(connection, {fact.station_id for fact in found})
    return [
        _show(fact.session_id, fact.station_id, _next_slot(now), last_minor=fact.total_minor, later=True)
        for fact in found
        if fact.station_id in shows
    ]


async def keep_ended(connection: AsyncConnection, found: Sequence[TransactionEnded], now: datetime) -> list[Command]:
    """A charge is over."""
    shows = await _showing(connection, {fact.station_id for fact in found})
    ended = [fact.transaction_id for fact in found if fact.station_id in shows and fact.transaction_id]
    if not ended:
        return []
    s = schema.sessions.c
    query = select(s.session_id, s.station_id).where(s.station_id.in_(shows), s.transaction_id.in_(ended))
    return [
        ShowFinalCost(key=f"{row.session_id}:cost:final", session_id=row.session_id, station_id=row.station_id)
        for row in await connection.execute(query)
    ]


async def keep_start_accepted(
    connection: AsyncConnection, found: Sequence[StartAccepted], now: datetime
) -> list[Command]:
    """A charge is about to begin."""
    s = schema.sessions.c
    ids = [fact.session_id for fact in found]
    rows = (await connection.execute(select(s.session_id, s.station_id).where(s.session_id.in_(ids)))).all()
    shows = await _showing(connection, {row.station_id for row in rows if row.station_id})
    return [
        ShowPrice(key=f"{row.session_id}:price", session_id=row.session_id, station_id=row.station_id)
        for row in rows
        if row.station_id in shows
    ]


async def _showing(connection: AsyncConnection, station_ids: set[str]) -> set[str]:
    shown = t.cost_displays.c
    query = select(shown.station_id).where(shown.station_id.in_(station_ids), shown.shows)
    return set((await connection.execute(query)).scalars())


def _show(
    session_id: str, station_id: str, at: datetime, *, last_minor: int | None = None, later: bool = False
) -> ShowCost:
    """Its key lets a charge's cost be shown once a slot of time, whoever asks for it."""
    return ShowCost(
        key=f"{session_id}:cost:{int(at.timestamp()) // EVERY_S}",
        session_id=session_id,
        station_id=station_id,
        last_minor=last_minor,
        due_at=at if later else None,
    )


def _next_slot(now: datetime) -> datetime:
    slot = int(now.timestamp()) // EVERY_S + 1
    return datetime.fromtimestamp(slot * EVERY_S, UTC)


KEEPERS = {
    StationBooted: (keep_booted,),
    VariablesTold: (keep_told,),
    ReportPartTold: (keep_told,),
    CostDisplayFound: (keep_found,),
    TransactionStarted: (keep_metered,),
    TransactionUpdated: (keep_metered,),
    EnergyMetered: (keep_metered,),
    CostShown: (keep_shown,),
    TransactionEnded: (keep_ended,),
    StartAccepted: (keep_start_accepted,),
}


# --- showing it -------------------------------------------------------------------------------------------------------


class CostDisplayDoer:
    """Carries out this module's commands. ``enabled``: False: stations are not asked of ourselves."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        port: CostPort,
        configurator: Configurator,
        now: Callable[[], datetime],
        *,
        enabled: bool,
    ) -> None:
        self._service = service
        self._engine = engine
        self._port = port
        self._configurator = configurator
        self._now = now
        self._enabled = enabled

    async def find(self, command: FindCostDisplay, _: Dispatched) -> None:
        """Ask; a 1.6 station that shows costs is told the price of its EVSEs, where they have the same."""
        shows: bool | None = None
        if self._enabled and (version := self._configurator.version(command.station_id)) is not None:
            announcement = _ANNOUNCED_16 if version == "ocpp1.6" else _ENABLED
            try:
                read = await self._configurator.read(command.station_id, [announcement])
                shows = bool(announced(Attribute(id=r.id, value=r.value) for r in read))
                tariff = await self._tariff(command.station_id) if shows and version == "ocpp1.6" else None
                if tariff is not None:
                    price = orjson.dumps({"priceText": describe_price(tariff, "en")}).decode()
                    await self._configurator.write(command.station_id, _DEFAULT_PRICE, price)
            except Unreachable:
                shows = None
        if shows is None:
            await self._service.complete(command.key)
        else:
            await self._service.complete(command.key, self._found(command.key, command.station_id, shows))

    async def price(self, command: ShowPrice, _: Dispatched) -> None:
        """Tell the price."""
        session = await self._session(command)
        done = await self._port.price(session) if session is not None and session.tariff is not None else None
        await self._finish(command, command.station_id, done)

    async def running(self, command: ShowCost, _: Dispatched) -> None:
        """Tell the cost so far, unless it is what was told before."""
        session, now = await self._session(command), self._now()
        cost = cost_at(session, now) if session is not None and session.charging in RUNNING else None
        if session is None or cost is None or session.transaction_id is None:
            await self._service.complete(command.key)
            return
        total_minor = payable_minor(session, cost)
        done: bool | None = None
        if total_minor != command.last_minor:
            done = await self._port.running(session, total_minor, now)
        if done is False:
            await self._finish(command, command.station_id, done)
            return
        shown = CostShown(
            key=f"{command.key}:shown",
            at=now,
            station_id=command.station_id,
            session_id=session.session_id,
            total_minor=total_minor,
        )
        await self._service.complete(command.key, shown)

    async def final(self, command: ShowFinalCost, _: Dispatched) -> None:
        """Tell what it has cost."""
        session, done = await self._session(command), None
        if session is not None and session.cost is not None:
            done = await self._port.final(session, payable_minor(session, session.cost))
        await self._finish(command, command.station_id, done)

    async def _finish(self, command: Command, station_id: str, done: bool | None) -> None:
        """A station that does not do it is not told again until it boots."""
        reported = () if done is not False else (self._found(command.key, station_id, False),)
        await self._service.complete(command.key, *reported)

    def _found(self, key: str, station_id: str, shows: bool) -> CostDisplayFound:
        return CostDisplayFound(key=f"{key}:found"[:200], at=self._now(), station_id=station_id, shows=shows)

    async def _session(self, command: Command) -> Session | None:
        s = schema.sessions.c
        async with reading(self._engine) as connection:
            query = select(s.state).where(s.session_id == command.session_id)
            state = (await connection.execute(query)).scalar()
        return decode_session(state) if state is not None else None

    async def _tariff(self, station_id: str) -> Tariff | None:
        """The one tariff of all its EVSEs; None where there is none, or more than one."""
        e = schema.evses.c
        async with reading(self._engine) as connection:
            rows = await connection.execute(select(e.tariff_id).where(e.station_id == station_id).distinct())
            named = {row.tariff_id for row in rows}
            tariffs = await load_tariffs(connection)
        return tariffs.get(named.pop() or "") if len(named) == 1 else None
