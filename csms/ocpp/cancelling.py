"""CancelReservation's answer: 1.6 §5.1 and 2.0.1 H02 say it alike."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import text
from csms.ocpp.message import Asked
from csms.stations.reservations import ReservationEnded, ReservationState
from sessions.facts import Fact

_STATES = {"Accepted": ReservationState.CANCELLED, "Rejected": ReservationState.REMOVED}


def cancelled(asked: Asked) -> Iterator[Fact]:
    """The reservation is over; one that the station does not know is as good as removed."""
    state = _STATES.get(text(asked.response, "status", 20))
    if state is not None:
        yield ReservationEnded(
            key=asked.key("reservation"),
            at=asked.now,
            station_id=asked.station_id,
            reservation_id=asked.request["reservationId"],
            state=state,
        )
