"""The guard that works while a station is offline: a charging profile that ends the charge when the hold is used up.

1.6 §3.13 and 2.0.1 K say it alike, but for the profile's id and one list more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from csms.ocpp.dialect import Payload, stamp
from sessions.commands import LimitCharging, StartCharging


def tx_profile(command: StartCharging, now: datetime) -> Payload | None:
    """What both versions' TxProfile has in common; None for a start without a limit. It has no transaction id."""
    if not command.limit_w or not command.limit_s:
        return None
    return {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "validTo": stamp(now + timedelta(days=7)),
    }


def running_profile(command: LimitCharging, now: datetime) -> Payload:
    """2.0.1's TxProfile for a transaction that runs: from now on. It takes the place of the one it was started with."""
    return {
        "id": command.remote_start_id,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "transactionId": command.transaction_id,
        "validTo": stamp(now + timedelta(days=7)),
        "chargingSchedule": [{"id": 1, "startSchedule": stamp(now)} | schedule(command)],
    }


def schedule(command: StartCharging | LimitCharging) -> Payload:
    """``limit_w`` watts for ``limit_s`` seconds, then nothing: a profile that only ended would free the charge."""
    periods = [{"startPeriod": 0, "limit": command.limit_w}]
    if command.limit_s is not None:
        periods.append({"startPeriod": command.limit_s, "limit": 0})
    return {"chargingRateUnit": "W", "chargingSchedulePeriod": periods}
