"""The security profile a station has to come with: it only ever rises by itself, an operator may lower it.

A station that was told to upgrade, and said yes, is held to the profile it then comes with (2.0.1 A05.FR.06 and 07; the
1.6 whitepaper §5.3). One that nobody told, and for whom nothing is demanded, may use any door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationConnected, StationFact
from storage import schema as t


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityProfileAsked(StationFact):
    """The station agreed to use this security profile from its next connection on."""

    security_profile: int


async def keep_asked(
    connection: AsyncConnection, found: Sequence[SecurityProfileAsked], now: datetime
) -> list[Command]:
    """From now on this station's profile is minded."""
    s = t.stations.c
    for fact in found:
        if fact.security_profile > 1:
            mine = (s.station_id == fact.station_id, s.security_profile == 0)
            await connection.execute(update(t.stations).where(*mine).values(security_profile=1))
    return []


async def keep_risen(connection: AsyncConnection, found: Sequence[StationConnected], now: datetime) -> list[Command]:
    """A station that is minded and came with a higher profile comes with no lower one again."""
    s = t.stations.c
    for fact in found:
        mine = (s.station_id == fact.station_id, s.security_profile > 0, s.security_profile < fact.security_profile)
        await connection.execute(update(t.stations).where(*mine).values(security_profile=fact.security_profile))
    return []


KEEPERS = {SecurityProfileAsked: (keep_asked,), StationConnected: (keep_risen,)}
