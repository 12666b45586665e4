"""OCPP 1.6 Reservation."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.cancelling import cancelled
from csms.ocpp.dialect import Payload, moment, stamp, text
from csms.ocpp.message import Asked, Messages
from csms.stations.reservations import Reservation, ReservationAnswered
from sessions.facts import Fact

messages = Messages("Reservation")


@messages.ask("ReserveNow")
def reserve_now(asked: Asked) -> Iterator[Fact]:
    """§5.13. Reserves a connector (0: any) for an id token; it then blocks others' card taps there."""
    expires_at = moment(asked.request.get("expiryDate"))
    if expires_at is None:
        return
    yield ReservationAnswered(
        key=asked.key("reservation"),
        at=asked.now,
        station_id=asked.station_id,
        reservation=Reservation(
            reservation_id=asked.request["reservationId"],
            evse_id=asked.request["connectorId"] or None,
            connector_type=None,
            id_token=text(asked.request, "idTag", 64),
            token_type="",
            group_id=text(asked.request, "parentIdTag", 64) or None,
            expires_at=expires_at,
        ),
        status=text(asked.response, "status", 20),
        requested_by=asked.requested_by,
    )


@messages.ask("CancelReservation")
def cancel_reservation(asked: Asked) -> Iterator[Fact]:
    """§5.1. Cancels a reservation; one that the station does not know is removed."""
    return cancelled(asked)


def reservation(wanted: Reservation) -> Payload:
    """§5.13: the payload that reserves. Connector 0 is any of the station."""
    payload: Payload = {
        "reservationId": wanted.reservation_id,
        "connectorId": wanted.evse_id or 0,
        "expiryDate": stamp(wanted.expires_at),
        "idTag": wanted.id_token,
    }
    return payload | ({"parentIdTag": wanted.group_id} if wanted.group_id is not None else {})
