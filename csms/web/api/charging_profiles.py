"""Charging profiles: what limits a station's charging."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol, Self

import orjson
from pydantic import Field, model_validator
from sqlalchemy import select

from csms.ocpp.dialect import Payload, stamp
from csms.ocpp.v16 import smart_charging as v16
from csms.ocpp.v201 import smart_charging as v201
from csms.stations.charging_profiles import TX_PROFILE, Criteria
from csms.stations.display_messages import new_request_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Moment, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from sessions.tables import RUNNING
from storage import charging_profile_schema as t
from storage import schema
from storage.engine import reading

resource = Resource("smart charging")

MAX_INTEGER = 2**31 - 1
MAX_LIMIT = 10**9
STATION_MAX = "ChargingStationMaxProfile"


class Says(Protocol):
    """How a version says it."""

    def say_set(self, evse_id: int, profile: Payload) -> Payload: ...  # noqa: D102
    def say_clear(self, which: Criteria) -> Payload: ...  # noqa: D102
    def say_composite(self, evse_id: int, duration_s: int, rate_unit: str | None) -> Payload: ...  # noqa: D102


SAYS: dict[str, Says] = {"ocpp1.6": v16, "ocpp2.0.1": v201, "ocpp2.1": v201}


class ChargingProfileShown(Shown):
    """A charging profile that a station has."""

    evse_id: int = Field(description="Where it applies; 0: the station.")
    profile_id: int
    stack_level: int
    purpose: str
    kind: str
    transaction_id: str | None = Field(description="Of a TxProfile; null while it waits for its transaction.")
    source: str = Field(description="Who set it; CSO: this system.")
    valid_from: datetime | None
    valid_to: datetime | None
    profile: Any = Field(description="All of it, as OCPP 2.0.1's ChargingProfileType, whatever the station's version.")
    reported: bool = Field(description="The station itself has said so since it was installed.")
    updated_at: datetime


class ChargingProfileFilter(PageQuery):
    """Which charging profiles."""

    evse_id: int | None = Field(None, ge=0, le=MAX_INTEGER, description="Only of this EVSE; 0: of the station.")
    purpose: str | None = Field(None, max_length=40, description="Only of this purpose.")
    source: str | None = Field(None, max_length=20, description="Only from this source.")
    transaction_id: str | None = Field(None, max_length=36, description="Only of this transaction.")


class PeriodBody(Body):
    """From when on which limit applies."""

    start_s: int = Field(ge=0, le=MAX_INTEGER, description="Seconds from the schedule's start.")
    limit: float = Field(ge=0, le=MAX_LIMIT, description="In the schedule's unit; at most one decimal with OCPP 1.6.")
    phases: int | None = Field(None, ge=1, le=3, description="How many phases may be used.")
    phase_to_use: int | None = Field(None, ge=1, le=3, description="Which, where it is one. Not with OCPP 1.6.")


class ChargingProfileBody(Body):
    """A charging profile to install."""

    evse_id: int = Field(ge=0, le=MAX_INTEGER, description="0: the station as a whole, or every EVSE.")
    stack_level: int = Field(ge=0, le=MAX_INTEGER, description="The highest that is valid counts.")
    purpose: Literal["ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"]
    kind: Literal["Absolute", "Recurring", "Relative"]
    recurrency: Literal["Daily", "Weekly"] | None = Field(None, description="How often a recurring one begins anew.")
    transaction_id: str | None = Field(
        None, min_length=1, max_length=36, description="Of a TxProfile; left out: the one that runs at the EVSE."
    )
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    starts_at: Moment | None = Field(None, description="When the schedule starts. Not for a relative one.")
    duration_s: int | None = Field(None, ge=1, le=MAX_INTEGER, description="How long the schedule limits anything.")
    rate_unit: Literal["W", "A"]
    min_rate: float | None = Field(None, ge=0, le=MAX_LIMIT, description="Below it charging is not efficient.")
    periods: list[PeriodBody] = Field(min_length=1, max_length=1024, description="In order; the first starts at 0.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """K01's rules of what goes together; a station refuses the rest."""
        starts = [period.start_s for period in self.periods]
        broken = {
            "a TxProfile is for one EVSE: give its evse_id": self.purpose == TX_PROFILE and not self.evse_id,
            "only a TxProfile has a transaction_id": self.purpose != TX_PROFILE and self.transaction_id is not None,
            "a ChargingStationMaxProfile is for the station: evse_id 0": self.purpose == STATION_MAX and self.evse_id,
            "a ChargingStationMaxProfile cannot be relative": self.purpose == STATION_MAX and self.kind == "Relative",
            "a relative schedule has no starts_at": self.kind == "Relative" and self.starts_at is not None,
            "a schedule that is not relative needs starts_at": self.kind != "Relative" and self.starts_at is None,
            "recurrency is for recurring profiles, and they need it": (self.kind == "Recurring")
            is not (self.recurrency is not None),
            "the first period starts at 0": starts[0] != 0,
            "periods are in order of start_s, each at its own": starts != sorted(set(starts)),
            "phase_to_use needs phases 1": any(p.phase_to_use is not None and p.phases != 1 for p in self.periods),
            "valid_to is not after valid_from": self.valid_from is not None
            and self.valid_to is not None
            and self.valid_to <= self.valid_from,
        }
        for sentence, is_broken in broken.items():
            if is_broken:
                raise ValueError(sentence)
        return self


class ClearFilter(Wait):
    """Which profiles to clear: those that fit everything that is given."""

    evse_id: int | None = Field(None, ge=0, le=MAX_INTEGER, description="Of this EVSE; 0: of the station.")
    purpose: Literal["ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"] | None = None
    stack_level: int | None = Field(None, ge=0, le=MAX_INTEGER)


@resource.get("/stations/{station_id}/charging-profiles", Page[ChargingProfileShown], query=ChargingProfileFilter)
async def list_charging_profiles(call: ApiCall) -> Page[ChargingProfileShown]:
    """List the charging profiles a station has: what was installed and is not over, and what it told of."""
    await require_station(call)
    p = t.charging_profiles.c
    query = select(t.charging_profiles).where(p.station_id == call.path["station_id"])
    for name in ("evse_id", "purpose", "source", "transaction_id"):
        wanted = getattr(call.query, name)
        if wanted is not None:
            query = query.where(p[name] == wanted)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [p.evse_id, p.profile_id], call.query, _shown)


@resource.operation(
    "POST",
    "/stations/{station_id}/charging-profiles/refresh",
    role=Role.SUPPORT,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def refresh_charging_profiles(call: ApiCall) -> Reply:
    """Ask the station for all its charging profiles. Not with OCPP 1.6, which has no such question."""
    return await send(call, "GetChargingProfiles", {"requestId": new_request_id(), "chargingProfile": {}})


@resource.operation(
    "PUT",
    "/stations/{station_id}/charging-profiles/{profile_id}",
    role=Role.OPERATOR,
    query=Wait,
    body=ChargingProfileBody,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def install_charging_profile(call: ApiCall) -> Reply:
    """Install a charging profile, in place of the one with its number."""
    wanted: ChargingProfileBody = call.body
    transaction_id = await _transaction(call, wanted) if wanted.purpose == TX_PROFILE else None
    says = await _says(call)
    if says is v16 and any(period.phase_to_use is not None for period in wanted.periods):
        raise Problem(422, "OCPP 1.6 has no phase_to_use: leave it out.")
    profile = _profile(call.path["profile_id"], wanted, transaction_id)
    return await send(call, "SetChargingProfile", says.say_set(wanted.evse_id, profile))


@resource.operation(
    "DELETE",
    "/stations/{station_id}/charging-profiles/{profile_id}",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def clear_charging_profile(call: ApiCall) -> Reply:
    """Ask the station to remove a charging profile."""
    says = await _says(call)
    return await send(call, "ClearChargingProfile", says.say_clear(Criteria(profile_ids=(call.path["profile_id"],))))


@resource.operation(
    "DELETE",
    "/stations/{station_id}/charging-profiles",
    role=Role.OPERATOR,
    query=ClearFilter,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def clear_charging_profiles(call: ApiCall) -> Reply:
    """Ask the station to remove the charging profiles of an EVSE, purpose or stack level."""
    asked: ClearFilter = call.query
    which = Criteria(evse_id=asked.evse_id, purpose=asked.purpose, stack_level=asked.stack_level)
    if which == Criteria():
        raise Problem(422, "Say which: evse_id, purpose or stack_level.")
    says = await _says(call)
    return await send(call, "ClearChargingProfile", says.say_clear(which))


async def _says(call: ApiCall) -> Says:
    return says(await require_station(call))


def says(station: Any) -> Says:
    """How a station's version says it. Raises `Problem` 409 for a station that has never connected."""
    known = SAYS.get(station.version or "")
    if known is None:
        raise Problem(409, "This station has never connected, so its OCPP version is not known. Connect it first.")
    return known


async def _transaction(call: ApiCall, wanted: ChargingProfileBody) -> str:
    """The transaction that runs at the EVSE (K01.FR.03, K01.FR.09, K01.FR.33). Raises `Problem` 409."""
    await require_station(call)
    s = schema.sessions.c
    query = select(s.transaction_id).where(
        s.station_id == call.path["station_id"],
        s.evse_id == wanted.evse_id,
        s.charging.in_([state.value for state in RUNNING]),
    )
    async with reading(call.api.engine) as connection:
        running = [str(found) for found in (await connection.execute(query.order_by(s.opened_at.desc()))).scalars()]
    if not running:
        raise Problem(409, "No transaction runs at this EVSE: a TxProfile has nothing to limit. Use TxDefaultProfile.")
    if wanted.transaction_id not in {None, *running}:
        raise Problem(409, "Another transaction runs at this EVSE: leave transaction_id out to mean that one.")
    return wanted.transaction_id or running[0]


def _profile(profile_id: int, wanted: ChargingProfileBody, transaction_id: str | None) -> Payload:
    """2.0.1 ChargingProfileType."""
    periods = [
        _given(startPeriod=p.start_s, limit=p.limit, numberPhases=p.phases, phaseToUse=p.phase_to_use)
        for p in wanted.periods
    ]
    schedule = _given(
        id=1,
        startSchedule=stamp(wanted.starts_at) if wanted.starts_at else None,
        duration=wanted.duration_s,
        chargingRateUnit=wanted.rate_unit,
        chargingSchedulePeriod=periods,
        minChargingRate=wanted.min_rate,
    )
    return _given(
        id=profile_id,
        stackLevel=wanted.stack_level,
        chargingProfilePurpose=wanted.purpose,
        chargingProfileKind=wanted.kind,
        recurrencyKind=wanted.recurrency,
        validFrom=stamp(wanted.valid_from) if wanted.valid_from else None,
        validTo=stamp(wanted.valid_to) if wanted.valid_to else None,
        transactionId=transaction_id,
        chargingSchedule=[schedule],
    )


def _given(**values: Any) -> Payload:
    return {name: value for name, value in values.items() if value is not None}


def _shown(row: Any) -> ChargingProfileShown:
    values = {name: getattr(row, name) for name in set(ChargingProfileShown.model_fields) - {"profile"}}
    return ChargingProfileShown(**values, profile=orjson.loads(row.body))
