"""Charging profiles as they are kept: 2.0.1 ChargingProfileType, whatever the version."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, moment, text, whole
from csms.stations.charging_profiles import ChargingProfile


def read_profile(payload: Payload) -> ChargingProfile | None:
    """2.0.1 ChargingProfileType; None for what cannot be told from others."""
    profile_id, stack_level = whole(payload, "id"), whole(payload, "stackLevel")
    if profile_id is None or stack_level is None:
        return None
    return ChargingProfile(
        profile_id=profile_id,
        stack_level=stack_level,
        purpose=text(payload, "chargingProfilePurpose", 40),
        kind=text(payload, "chargingProfileKind", 20),
        transaction_id=text(payload, "transactionId", 36) or None,
        valid_from=moment(payload.get("validFrom")),
        valid_to=moment(payload.get("validTo")),
        body=payload,
    )
