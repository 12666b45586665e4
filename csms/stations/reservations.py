"""Reservations: asked of a station, kept until used, cancelled, removed or over; a block on everybody else's taps."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact, TransactionFact, TransactionStarted, TransactionUpdated
from sessions.rows import upsert
from storage import reservation_schema as t
from storage import schema


class ReservationState(StrEnum):
    """requested → active | refused; active → used | expired | cancelled | removed."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REFUSED = "refused"
    USED = "used"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REMOVED = "removed"  # by the station, which was Faulted or Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is reserved. ``evse_id`` None: any EVSE; ``group_id``: others that may use it."""

    reservation_id: int
    evse_id: int | None
    connector_type: str | None
    id_token: str
    token_type: str
    group_id: str | None
    expires_at: datetime


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationAnswered(StationFact):
    """The station's answer: Accepted, or why not. A reservation of the same id is replaced (H01)."""

    reservation: Reservation
    status: str
    requested_by: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationEnded(StationFact):
    """It is over: cancelled by us, or expired or removed as the station says."""

    reservation_id: int
    state: ReservationState


def new_reservation_id() -> int:
    """A random id: a station may still know those of an earlier life."""
    return secrets.randbelow(2**31 - 1) + 1


async def keep_answers(
    connection: AsyncConnection, found: Sequence[ReservationAnswered], now: datetime
) -> list[Command]:
    """Write what was reserved, or refused."""
    for fact in found:
        r = fact.reservation
        state = ReservationState.ACTIVE if fact.status == "Accepted" else ReservationState.REFUSED
        row = {
            "station_id": fact.station_id,
            "reservation_id": r.reservation_id,
            "evse_id": r.evse_id,
            "connector_type": r.connector_type,
            "id_token": r.id_token.upper()[:64],
            "group_id": r.group_id.upper()[:64] if r.group_id else None,
            "expires_at": r.expires_at,
            "state": state.value,
            "status": fact.status[:20],
            "requested_by": fact.requested_by[:80],
            "created_at": now,
            "updated_at": now,
        }
        await upsert(connection, t.reservations, ["station_id", "reservation_id"], [row])
    return []


async def keep_ended(connection: AsyncConnection, found: Sequence[ReservationEnded], now: datetime) -> list[Command]:
    """Write how it ended; one that has ended already stays as it is."""
    r = t.reservations.c
    for fact in found:
        await _end(
            connection,
            and_(r.station_id == fact.station_id, r.reservation_id == fact.reservation_id),
            fact.state,
            now,
        )
    return []


async def keep_used(connection: AsyncConnection, found: Sequence[TransactionFact], now: datetime) -> list[Command]:
    """A transaction that names a reservation, or has its token or group at its EVSE, has used it."""
    r = t.reservations.c
    for fact in found:
        named = fact.raw.get("reservationId") if fact.raw else None
        tries: list[ColumnElement[bool]] = []
        if isinstance(named, int) and not isinstance(named, bool) and abs(named) < 2**31:
            tries.append(r.reservation_id == named)
        if fact.id_token and fact.evse_id:
            folded = fact.id_token.upper()[:64]
            tries.append(and_(r.id_token == folded, or_(r.evse_id == fact.evse_id, r.evse_id.is_(None))))
            group = select(schema.id_tokens.c.group_id).where(schema.id_tokens.c.id_token == folded).scalar_subquery()
            tries.append(and_(r.group_id == group, r.evse_id == fact.evse_id))
        if tries:
            await _end(connection, and_(r.station_id == fact.station_id, or_(*tries)), ReservationState.USED, now)
    return []


async def _end(connection: AsyncConnection, which: ColumnElement[bool], state: ReservationState, now: datetime) -> None:
    active = t.reservations.c.state == ReservationState.ACTIVE.value
    values: dict[str, Any] = {"state": state.value, "updated_at": now}
    await connection.execute(update(t.reservations).where(which, active).values(values))


KEEPERS = {
    ReservationAnswered: (keep_answers,),
    ReservationEnded: (keep_ended,),
    TransactionStarted: (keep_used,),
    TransactionUpdated: (keep_used,),
}
