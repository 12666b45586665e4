"""OCPP 1.6 Smart Charging. Profiles are kept in 2.0.1's words."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.charging_profile import read_profile
from csms.ocpp.dialect import Payload, moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.charging_profiles import ChargingProfileInstalled, ChargingProfilesCleared, Criteria
from csms.stations.composite_schedules import CompositeScheduleTold
from sessions.facts import Fact

messages = Messages("Smart Charging")

#: 1.6 ChargingProfilePurposeType → 2.0.1's, where they differ.
_PURPOSES = {"ChargePointMaxProfile": "ChargingStationMaxProfile"}
_PURPOSES_16 = {ours: its for its, ours in _PURPOSES.items()}


def say_set(evse_id: int, profile: Payload) -> Payload:
    """§5.16. ``profile``: 2.0.1 ChargingProfileType, with one schedule and without what 1.6 has no word for."""
    (schedule,) = profile["chargingSchedule"]
    purpose = profile["chargingProfilePurpose"]
    said = {name: value for name, value in profile.items() if name not in {"id", "transactionId"}}
    said |= {
        "chargingProfileId": profile["id"],
        "chargingProfilePurpose": _PURPOSES_16.get(purpose, purpose),
        "chargingSchedule": {name: value for name, value in schedule.items() if name != "id"},
    }
    if "transactionId" in profile:
        said["transactionId"] = int(profile["transactionId"])
    return {"connectorId": evse_id, "csChargingProfiles": said}


def say_clear(which: Criteria) -> Payload:
    """§5.5; by its id, or else by the rest."""
    if which.profile_ids:
        return {"id": which.profile_ids[0]}
    criteria = {
        "connectorId": which.evse_id,
        "chargingProfilePurpose": _PURPOSES_16.get(which.purpose or "", which.purpose),
        "stackLevel": which.stack_level,
    }
    return {name: value for name, value in criteria.items() if value is not None}


def say_composite(evse_id: int, duration_s: int, rate_unit: str | None) -> Payload:
    """§5.7."""
    return {"connectorId": evse_id, "duration": duration_s} | ({"chargingRateUnit": rate_unit} if rate_unit else {})


@messages.ask("SetChargingProfile")
def set_charging_profile(asked: Asked) -> Iterator[Fact]:
    """§5.16. Installs a charging profile, in place of the one of its id, or of its purpose and stack level."""
    yield from _installed(asked, obj(asked.request, "csChargingProfiles"))


def started_with(asked: Asked) -> Iterator[Fact]:
    """§5.11: the TxProfile of an accepted remote start."""
    yield from _installed(asked, obj(asked.request, "chargingProfile"))


def _installed(asked: Asked, given: Payload) -> Iterator[Fact]:
    profile = read_profile(_in_our_words(given))
    if text(asked.response, "status") == "Accepted" and profile is not None:
        yield ChargingProfileInstalled(
            key=asked.key("charging-profile"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "connectorId") or 0,
            profile=profile,
            replaces_level=True,
            id_token=text(asked.request, "idTag"),
        )


@messages.ask("ClearChargingProfile")
def clear_charging_profile(asked: Asked) -> Iterator[Fact]:
    """§5.5. Removes charging profiles; those the station does not know are forgotten as well."""
    if text(asked.response, "status") in {"Accepted", "Unknown"}:
        profile_id, purpose = whole(asked.request, "id"), text(asked.request, "chargingProfilePurpose", 40)
        yield ChargingProfilesCleared(
            key=asked.key("charging-profiles-cleared"),
            at=asked.now,
            station_id=asked.station_id,
            which=Criteria(
                profile_ids=() if profile_id is None else (profile_id,),
                evse_id=whole(asked.request, "connectorId"),
                purpose=_PURPOSES.get(purpose, purpose) or None,
                stack_level=whole(asked.request, "stackLevel"),
            ),
        )


@messages.ask("GetCompositeSchedule")
def get_composite_schedule(asked: Asked) -> Iterator[Fact]:
    """§5.7. Asks for the schedule that results from all profiles, and keeps the newest of each connector."""
    schedule = obj(asked.response, "chargingSchedule")
    unit, periods = text(schedule, "chargingRateUnit", 1), tuple(objects(schedule, "chargingSchedulePeriod"))
    if text(asked.response, "status") == "Accepted" and unit and periods:
        starts_at = moment(asked.response.get("scheduleStart")) or moment(schedule.get("startSchedule"))
        yield CompositeScheduleTold(
            key=asked.key("composite-schedule"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "connectorId") or 0,
            rate_unit=unit,
            duration_s=whole(schedule, "duration"),
            starts_at=starts_at,
            periods=periods,
        )


def _in_our_words(given: Payload) -> Payload:
    """1.6 ChargingProfile as 2.0.1 ChargingProfileType."""
    purpose, transaction_id = text(given, "chargingProfilePurpose", 40), whole(given, "transactionId")
    own = {"chargingProfileId", "chargingProfilePurpose", "transactionId", "chargingSchedule"}
    said = {name: value for name, value in given.items() if name not in own}
    said |= {"id": given.get("chargingProfileId"), "chargingProfilePurpose": _PURPOSES.get(purpose, purpose)}
    if transaction_id is not None:
        said["transactionId"] = str(transaction_id)
    return said | {"chargingSchedule": [{"id": 1} | obj(given, "chargingSchedule")]}
