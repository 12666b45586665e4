"""Security events that stations tell of (2.0.1 A04; the 1.6 whitepaper §5.8), and which of them are critical."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from storage import certificate_schema as t

#: The standard's list (2.0.1 appendix 1; where 1.6 has another name it stands beside): whether it is critical.
CRITICAL: dict[str, bool] = {
    "FirmwareUpdated": True,
    "FailedToAuthenticateAtCsms": False,
    "FailedToAuthenticateAtCentralSystem": False,
    "CsmsFailedToAuthenticate": False,
    "CentralSystemFailedToAuthenticate": False,
    "SettingSystemTime": True,
    "StartupOfTheDevice": True,
    "ResetOrReboot": True,
    "SecurityLogWasCleared": True,
    "ReconfigurationOfSecurityParameters": False,
    "MemoryExhaustion": True,
    "InvalidMessages": False,
    "AttemptedReplayAttacks": False,
    "TamperDetectionActivated": True,
    "InvalidFirmwareSignature": False,
    "InvalidFirmwareSigningCertificate": False,
    "InvalidCsmsCertificate": False,
    "InvalidCentralSystemCertificate": False,
    "InvalidChargingStationCertificate": False,
    "InvalidChargePointCertificate": False,
    "InvalidTLSVersion": False,
    "InvalidTLSCipherSuite": False,
    "MaintenanceLoginAccepted": True,
    "MaintenanceLoginFailed": True,
}


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEventReported(StationFact):
    """Something happened that touches security. ``event_at``: by the station's clock."""

    type: str
    event_at: datetime
    tech_info: str


async def keep_events(
    connection: AsyncConnection, found: Sequence[SecurityEventReported], now: datetime
) -> list[Command]:
    """Write them."""
    rows = [
        {
            "station_id": fact.station_id,
            "type": fact.type[:50],
            "critical": CRITICAL.get(fact.type),
            "at": fact.event_at,
            "recorded_at": now,
            "tech_info": fact.tech_info[:255],
        }
        for fact in found
    ]
    await connection.execute(t.security_events.insert(), rows)
    return []


KEEPERS = {SecurityEventReported: (keep_events,)}
