"""OCPP 2.0.1 H. Reservation."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.cancelling import cancelled
from csms.ocpp.dialect import Payload, StationContext, moment, obj, stamp, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.reservations import Reservation, ReservationAnswered, ReservationEnded, ReservationState
from sessions.facts import Fact

messages = Messages("H. Reservation")

_UPDATES = {"Expired": ReservationState.EXPIRED, "Removed": ReservationState.REMOVED}


@messages.answer("ReservationStatusUpdate")
async def reservation_status_update(ctx: StationContext, payload: Payload) -> Payload:
    """H04, H20. The station says that a reservation has expired, or that it had to remove it."""
    reservation_id = whole(payload, "reservationId")
    state = _UPDATES.get(text(payload, "reservationUpdateStatus", 20))
    if reservation_id is not None and state is not None:
        await ctx.submit(
            ReservationEnded(
                key=ctx.unique_key("reservation"),
                at=ctx.now(),
                station_id=ctx.station_id,
                reservation_id=reservation_id,
                state=state,
            )
        )
    return {}


@messages.ask("ReserveNow")
def reserve_now(asked: Asked) -> Iterator[Fact]:
    """H01. Reserves an EVSE, or any, for an id token; it then blocks others' card taps there."""
    expires_at = moment(asked.request.get("expiryDateTime"))
    if expires_at is None:
        return
    yield ReservationAnswered(
        key=asked.key("reservation"),
        at=asked.now,
        station_id=asked.station_id,
        reservation=Reservation(
            reservation_id=asked.request["id"],
            evse_id=whole(asked.request, "evseId") or None,  # 0 is no EVSE: any
            connector_type=text(asked.request, "connectorType", 20) or None,
            id_token=text(obj(asked.request, "idToken"), "idToken", 64),
            token_type=text(obj(asked.request, "idToken"), "type", 20),
            group_id=text(obj(asked.request, "groupIdToken"), "idToken", 64) or None,
            expires_at=expires_at,
        ),
        status=text(asked.response, "status", 20),
        requested_by=asked.requested_by,
    )


@messages.ask("CancelReservation")
def cancel_reservation(asked: Asked) -> Iterator[Fact]:
    """H02. Cancels a reservation; one that the station does not know is removed."""
    return cancelled(asked)


def reservation(wanted: Reservation) -> Payload:
    """H01: the payload that reserves."""
    payload: Payload = {
        "id": wanted.reservation_id,
        "expiryDateTime": stamp(wanted.expires_at),
        "idToken": {"idToken": wanted.id_token, "type": wanted.token_type},
    }
    if wanted.evse_id is not None:
        payload["evseId"] = wanted.evse_id
    if wanted.connector_type is not None:
        payload["connectorType"] = wanted.connector_type
    if wanted.group_id is not None:
        payload["groupIdToken"] = {"idToken": wanted.group_id, "type": "Central"}
    return payload
