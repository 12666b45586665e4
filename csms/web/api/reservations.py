"""Reservations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.ocpp.v16 import reservation as v16
from csms.ocpp.v201 import reservation as v201
from csms.stations.reservations import Reservation, ReservationState, new_reservation_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Moment, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import reservation_schema as t
from storage.engine import reading

resource = Resource("reservations")

_PAYLOADS: Mapping[str | None, Callable[[Reservation], dict[str, Any]]] = {"ocpp1.6": v16.reservation}


class ReservationWanted(Body):
    """What to reserve."""

    evse_id: int | None = Field(None, ge=1, le=2**31 - 1, description="Which EVSE; null: any of the station.")
    connector_type: str | None = Field(None, max_length=20, description="OCPP 2.x: any EVSE with such a connector.")
    id_token: str = Field(pattern=r"^[A-Za-z0-9*_=:+|@.-]{1,36}$", description="Who may use it. 1.6: 20 characters.")
    token_type: str = Field("ISO14443", max_length=20, description="OCPP 2.x type of the token.")
    group_id: str | None = Field(None, pattern=r"^[A-Za-z0-9*_=:+|@.-]{1,36}$", description="Whose group may as well.")
    expires_at: Moment = Field(description="Until when it holds.")


class ReservationShown(Shown):
    """A reservation."""

    reservation_id: int
    evse_id: int | None
    connector_type: str | None
    id_token: str
    group_id: str | None
    expires_at: datetime
    state: ReservationState
    status: str | None = Field(description="The station's answer.")
    requested_by: str
    created_at: datetime
    updated_at: datetime


class ReservationFilter(PageQuery):
    """Which reservations."""

    state: ReservationState | None = Field(None, description="Only in this state.")


@resource.operation(
    "POST",
    "/stations/{station_id}/reservations",
    role=Role.OPERATOR,
    query=Wait,
    body=ReservationWanted,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def reserve(call: ApiCall) -> Reply:
    """Reserve an EVSE, or any, for an id token: nobody else's card is taken there until it is used or over."""
    station = await require_station(call)
    if call.body.expires_at <= call.now:
        raise Problem(422, "expires_at has passed already.")
    wanted = Reservation(reservation_id=new_reservation_id(), **call.body.model_dump())
    return await send(call, "ReserveNow", _PAYLOADS.get(station.version, v201.reservation)(wanted))


@resource.get("/stations/{station_id}/reservations", Page[ReservationShown], query=ReservationFilter)
async def list_reservations(call: ApiCall) -> Page[ReservationShown]:
    """List a station's reservations."""
    await require_station(call)
    r = t.reservations.c
    query = select(t.reservations).where(r.station_id == call.path["station_id"])
    state = call.query.state
    if state is ReservationState.EXPIRED:
        overdue = (r.state == ReservationState.ACTIVE.value) & (r.expires_at <= call.now)
        query = query.where((r.state == state.value) | overdue)
    elif state is not None:
        query = query.where(r.state == state.value)
        if state is ReservationState.ACTIVE:
            query = query.where(r.expires_at > call.now)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [r.reservation_id], call.query, lambda row: _shown(row, call.now))


@resource.operation(
    "DELETE",
    "/stations/{station_id}/reservations/{reservation_id}",
    role=Role.OPERATOR,
    query=Wait,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409, 422),
)
async def cancel(call: ApiCall) -> Reply:
    """Cancel a reservation."""
    await require_station(call)
    r = t.reservations.c
    mine = (r.station_id == call.path["station_id"], r.reservation_id == call.path["reservation_id"])
    async with reading(call.api.engine) as connection:
        if (await connection.execute(select(r.state).where(*mine))).first() is None:
            raise Problem(404, "This station has no reservation of this number.")
    return await send(call, "CancelReservation", {"reservationId": call.path["reservation_id"]})


def _shown(row: Any, now: datetime) -> ReservationShown:
    values = {name: getattr(row, name) for name in ReservationShown.model_fields}
    if (
        row.state == ReservationState.ACTIVE.value and row.expires_at <= now
    ):  # stations need not say so (1.6 never does)
        values["state"] = ReservationState.EXPIRED
    return ReservationShown(**values)
