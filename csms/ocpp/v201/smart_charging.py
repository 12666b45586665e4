"""OCPP 2.0.1 K. Smart charging."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.charging_profile import read_profile
from csms.ocpp.charging_schedule import keeps_to
from csms.ocpp.dialect import Payload, StationContext, decimal, moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.charging_limits import ChargingLimitCleared, ChargingLimitSet
from csms.stations.charging_profiles import (
    ChargingProfileInstalled,
    ChargingProfilesAsked,
    ChargingProfilesCleared,
    ChargingProfilesReported,
    Criteria,
    NoChargingProfiles,
)
from csms.stations.composite_schedules import CompositeScheduleTold
from csms.stations.ev_charging import EvChargingScheduleTold
from sessions.facts import Fact
from sessions.limits import EvChargingNeedsTold

messages = Messages("K. Smart charging")

_PHASES = {"AC_two_phase": 2, "AC_three_phase": 3}


# --- the station to us ------------------------------------------------------------------------------------------------


@messages.answer("NotifyChargingLimit")
async def notify_charging_limit(ctx: StationContext, payload: Payload) -> Payload:
    """K11, K12. Keeps the limit that something else than this system imposes; without an EVSE it is the station's."""
    limit = obj(payload, "chargingLimit")
    await ctx.submit(
        ChargingLimitSet(
            key=ctx.unique_key("charging-limit"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=whole(payload, "evseId") or 0,
            source=text(limit, "chargingLimitSource", 20),
            grid_critical=_truth(limit, "isGridCritical"),
            local_generation=_truth(limit, "isLocalGeneration"),
            schedules=tuple(objects(payload, "chargingSchedule")),
        )
    )
    return {}


@messages.answer("ClearedChargingLimit")
async def cleared_charging_limit(ctx: StationContext, payload: Payload) -> Payload:
    """K13. Forgets the limit."""
    await ctx.submit(
        ChargingLimitCleared(
            key=ctx.unique_key("charging-limit"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=whole(payload, "evseId"),
            source=text(payload, "chargingLimitSource", 20),
        )
    )
    return {}


@messages.answer("NotifyEVChargingNeeds")
async def notifyev_charging_needs(ctx: StationContext, payload: Payload) -> Payload:
    """K15, K17. Keeps what the car wants; the transaction it is about gets a TxProfile.

    Without a transaction there is nothing a profile could be for, and the station goes on with what it has.
    """
    needs = obj(payload, "chargingNeeds")
    outcome = await ctx.submit(
        EvChargingNeedsTold(
            key=ctx.unique_key("ev-needs"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=whole(payload, "evseId") or 0,
            max_power_w=_power_w(needs),
            max_periods=whole(payload, "maxScheduleTuples"),
            departs_at=moment(needs.get("departureTime")),
            needs=needs,
        )
    )
    if outcome.session_id is not None:
        return {"status": "Accepted"}
    return {"status": "NoChargingProfile" if ctx.version == "ocpp2.1" else "Rejected"}


def _power_w(needs: Payload) -> int | None:
    """The most the car can take; None where it does not say."""
    ac, dc = obj(needs, "acChargingParameters"), obj(needs, "dcChargingParameters")
    phases = _PHASES.get(text(needs, "requestedEnergyTransfer", 20), 1)
    whole_power = decimal(dc.get("evMaxPower"))
    current = decimal((ac or dc).get("evMaxCurrent"))
    voltage = decimal((ac or dc).get("evMaxVoltage"))
    power = whole_power
    if power is None and current is not None and voltage is not None:
        power = current * voltage * (phases if ac else 1)
    return int(power) if power is not None and 0 < power < 2**31 else None


@messages.answer("NotifyEVChargingSchedule")
async def notifyev_charging_schedule(ctx: StationContext, payload: Payload) -> Payload:
    """K15–K17. Keeps the schedule the car chose; one beyond its TxProfile is refused, and the profile sent again."""
    evse_id, schedule = whole(payload, "evseId") or 0, obj(payload, "chargingSchedule")
    time_base = moment(payload.get("timeBase"))
    profile = await ctx.directory.tx_profile(ctx.station_id, evse_id)
    within = profile is None or keeps_to(schedule, time_base or ctx.now(), profile)
    await ctx.submit(
        EvChargingScheduleTold(
            key=ctx.unique_key("ev-schedule"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=evse_id,
            time_base=time_base,
            within_limits=within,
            schedule=schedule,
        )
    )
    return {"status": "Accepted" if within else "Rejected"}


@messages.answer("ReportChargingProfiles")
async def report_charging_profiles(ctx: StationContext, payload: Payload) -> Payload:
    """K09. Keeps the profiles the station says it has; after the last part, what it left out is gone."""
    reported = [read_profile(profile) for profile in objects(payload, "chargingProfile")]
    await ctx.submit(
        ChargingProfilesReported(
            key=ctx.unique_key("charging-profiles"),
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=whole(payload, "requestId") or 0,
            evse_id=whole(payload, "evseId") or 0,
            source=text(payload, "chargingLimitSource", 20),
            profiles=tuple(profile for profile in reported if profile is not None),
            last=payload.get("tbc") is not True,
        )
    )
    return {}


def _truth(payload: Payload, name: str) -> bool | None:
    value = payload.get(name)
    return value if isinstance(value, bool) else None


# --- ours to the station ----------------------------------------------------------------------------------------------


def say_set(evse_id: int, profile: Payload) -> Payload:
    """SetChargingProfile. ``profile``: 2.0.1 ChargingProfileType."""
    return {"evseId": evse_id, "chargingProfile": profile}


def say_clear(which: Criteria) -> Payload:
    """ClearChargingProfile; by its id, or else by the rest."""
    if which.profile_ids:
        return {"chargingProfileId": which.profile_ids[0]}
    criteria = {
        "evseId": which.evse_id,
        "chargingProfilePurpose": which.purpose,
        "stackLevel": which.stack_level,
    }
    return {"chargingProfileCriteria": {name: value for name, value in criteria.items() if value is not None}}


def say_composite(evse_id: int, duration_s: int, rate_unit: str | None) -> Payload:
    """GetCompositeSchedule."""
    return {"evseId": evse_id, "duration": duration_s} | ({"chargingRateUnit": rate_unit} if rate_unit else {})


@messages.ask("SetChargingProfile")
def set_charging_profile(asked: Asked) -> Iterator[Fact]:
    """K01–K05. Installs a charging profile; an accepted one replaces the one of its id."""
    profile = read_profile(obj(asked.request, "chargingProfile"))
    if text(asked.response, "status") == "Accepted" and profile is not None:
        yield ChargingProfileInstalled(
            key=asked.key("charging-profile"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "evseId") or 0,
            profile=profile,
        )


@messages.ask("ClearChargingProfile")
def clear_charging_profile(asked: Asked) -> Iterator[Fact]:
    """K10. Removes charging profiles; those the station does not know are forgotten as well."""
    if text(asked.response, "status") in {"Accepted", "Unknown"}:
        profile_id, which = whole(asked.request, "chargingProfileId"), obj(asked.request, "chargingProfileCriteria")
        criteria = _criteria(which, whole(which, "evseId"))
        yield ChargingProfilesCleared(
            key=asked.key("charging-profiles-cleared"),
            at=asked.now,
            station_id=asked.station_id,
            which=criteria if profile_id is None else Criteria(profile_ids=(profile_id,)),
        )


@messages.ask("GetChargingProfiles")
def get_charging_profiles(asked: Asked) -> Iterator[Fact]:
    """K09. Asks for installed charging profiles; they come as ReportChargingProfiles."""
    which = _criteria(obj(asked.request, "chargingProfile"), whole(asked.request, "evseId"))
    said = text(asked.response, "status")
    if said == "Accepted":
        yield ChargingProfilesAsked(
            key=asked.key("charging-profiles-asked"),
            at=asked.now,
            station_id=asked.station_id,
            request_id=whole(asked.request, "requestId") or 0,
            which=which,
        )
    elif said == "NoProfiles":
        yield NoChargingProfiles(
            key=asked.key("charging-profiles-none"), at=asked.now, station_id=asked.station_id, which=which
        )


@messages.ask("GetCompositeSchedule")
def get_composite_schedule(asked: Asked) -> Iterator[Fact]:
    """K08. Asks for the schedule that results from all profiles, and keeps the newest of each EVSE."""
    schedule = obj(asked.response, "schedule")
    unit, periods = text(schedule, "chargingRateUnit", 1), tuple(objects(schedule, "chargingSchedulePeriod"))
    if text(asked.response, "status") == "Accepted" and unit and periods:
        yield CompositeScheduleTold(
            key=asked.key("composite-schedule"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "evseId") or 0,
            rate_unit=unit,
            duration_s=whole(schedule, "duration"),
            starts_at=moment(schedule.get("scheduleStart")),
            periods=periods,
        )


def started_with(asked: Asked) -> Iterator[Fact]:
    """F01: the TxProfile of an accepted remote start."""
    profile = read_profile(obj(asked.request, "chargingProfile") | _transaction(asked.response))
    if text(asked.response, "status") == "Accepted" and profile is not None:
        yield ChargingProfileInstalled(
            key=asked.key("charging-profile"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "evseId") or 0,
            profile=profile,
            id_token=text(obj(asked.request, "idToken"), "idToken"),
            remote_start_id=whole(asked.request, "remoteStartId"),
        )


def _transaction(response: Payload) -> Payload:
    """A station that has a transaction waiting for the start names it."""
    named = text(response, "transactionId", 36)
    return {"transactionId": named} if named else {}


def _criteria(payload: Payload, evse_id: int | None) -> Criteria:
    """2.0.1 ChargingProfileCriterionType and ClearChargingProfileType."""
    ids, sources = payload.get("chargingProfileId"), payload.get("chargingLimitSource")
    return Criteria(
        profile_ids=tuple(n for n in ids if isinstance(n, int) and abs(n) < 2**31) if isinstance(ids, list) else (),
        evse_id=evse_id,
        purpose=text(payload, "chargingProfilePurpose", 40) or None,
        stack_level=whole(payload, "stackLevel"),
        sources=tuple(str(source) for source in sources) if isinstance(sources, list) else (),
    )
