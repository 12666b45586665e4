"""What a tap means: stop my charge, start one here, choose where, or no. Pure. (Edge cases 7, 8, 9, 21–24.)"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.payment import Payment
from sessions.commands import Message
from sessions.directory import Admission
from sessions.facts import CardPresented, ChargingState, EvseStatus
from sessions.session import Origin, Policy, Session
from sessions.tables import OVER, Charging
from sessions.working_set import ArmRow, EvseRow, ReservedRow, TerminalRow, WorkingSet


@dataclass(frozen=True, slots=True)
class TapRefused:
    """No session, no hold: the terminal says why."""

    message: Message
    label: str = ""


def meaning(
    ws: WorkingSet, terminal: TerminalRow, arm: ArmRow, tap: CardPresented, now: datetime, policy: Policy
) -> Session | TapRefused:
    """Return the session the tap is for (an existing one of the same card, or a new one), or why it is refused."""
    rows = [ws.evse(station_id, evse_id) for station_id, evse_id in terminal.evses]
    mine = _of_same_card(ws, terminal, tap)
    if mine is not None:
        return mine
    if terminal.out_of_service:  # its own card may still stop a charge; nothing new begins
        licence = terminal.out_of_service == "licence"
        return TapRefused(Message.NOT_LICENSED if licence else Message.OUT_OF_SERVICE)
    # Without a tariff in the terminal's currency nobody could say what it costs: not for sale (EC 45).
    free = [row for row in rows if is_free(ws, row) and _for_sale(ws, row, terminal)]
    if not free:
        return _refusal(ws, rows)
    if len(free) > 1 and not terminal.touch_screen:
        fresh_after = now - timedelta(seconds=policy.fresh_cable_s)
        fresh = [row for row in free if row.plugged_at is not None and row.plugged_at >= fresh_after]
        if not fresh:
            return TapRefused(Message.PLUG_IN_FIRST)
        free = [max(fresh, key=lambda row: row.plugged_at or fresh_after)]
    return _opened(ws, terminal, arm, tap, now, free)


def _of_same_card(ws: WorkingSet, terminal: TerminalRow, tap: CardPresented) -> Session | None:
    """The newest charge of this card at an EVSE the terminal serves: any of two terminals may stop it (EC 23)."""
    served = set(terminal.evses)
    found = [
        s
        for s in ws.sessions.values()
        if s.card is not None
        and s.card.card_ref == tap.card.card_ref
        and s.charging not in OVER
        and (
            (s.place is not None and (s.place.station_id, s.place.evse_id) in served)
            or s.terminal_serial == terminal.serial
        )
    ]
    return max(found, key=lambda s: s.opened_at) if found else None


def is_free(ws: WorkingSet, row: EvseRow, id_token: str = "") -> bool:
    """Whether a charge can start here now: reachable, not claimed, not reserved, available or with a waiting car.

    ``id_token``: whose charge it would be; a card is nobody that a reservation knows.
    """
    return _unclaimed(ws, row) and not is_reserved(ws, row, id_token)


def is_reserved(ws: WorkingSet, row: EvseRow, id_token: str = "") -> bool:
    """Whether the EVSE is kept for somebody else: by its number, or because the last free ones are reserved (H01)."""
    others = [r for r in ws.reserved if r.station_id == row.station_id and not _is_for(ws, r, id_token)]
    if any(r.evse_id == row.evse_id for r in others):
        return True
    anywhere = sum(1 for r in others if r.evse_id is None)
    kept = {r.evse_id for r in ws.reserved}
    free = [e for e in ws.evses.values() if e.station_id == row.station_id and e.evse_id not in kept]
    return anywhere > 0 and sum(_unclaimed(ws, e) for e in free) <= anywhere


def _is_for(ws: WorkingSet, reserved: ReservedRow, id_token: str) -> bool:
    token = ws.tokens.get(id_token.upper())
    group = token.group_id if token is not None else None
    return reserved.id_token == id_token.upper() or (group is not None and group == reserved.group_id)


def _unclaimed(ws: WorkingSet, row: EvseRow) -> bool:
    station = ws.stations.get(row.station_id)
    if station is None or not station.connected or station.admission is not Admission.ACCEPTED:
        return False
    if ws.occupant(row.station_id, row.evse_id) is not None:
        return False
    if row.status is EvseStatus.AVAILABLE:
        return True
    if row.status is EvseStatus.RESERVED:  # for whom, a reservation of ours says; the station's own is somebody else's
        return any((r.station_id, r.evse_id) == (row.station_id, row.evse_id) for r in ws.reserved)
    # Occupied with a car that waits is the cable-first case; 1.6's Finishing is a car that is done.
    idle = row.charging_state in {None, ChargingState.EV_CONNECTED, ChargingState.IDLE}
    return row.status is EvseStatus.OCCUPIED and idle and row.raw_status != "Finishing"


def _for_sale(ws: WorkingSet, row: EvseRow, terminal: TerminalRow) -> bool:
    tariff = ws.tariffs.get(row.tariff_id or "")
    return tariff is not None and tariff.currency == terminal.currency


def _refusal(ws: WorkingSet, rows: list[EvseRow]) -> TapRefused:
    reachable = [
        row
        for row in rows
        if (s := ws.stations.get(row.station_id)) and s.connected and s.admission is Admission.ACCEPTED
    ]
    label = rows[0].place.label if len(rows) == 1 else ""
    if not reachable:
        return TapRefused(Message.STATION_OFFLINE, label)
    if all(row.status in {EvseStatus.FAULTED, EvseStatus.UNAVAILABLE} for row in reachable):
        return TapRefused(Message.EVSE_FAULTED, label)
    if any(_unclaimed(ws, row) and is_reserved(ws, row) for row in reachable) or all(
        row.status is EvseStatus.RESERVED for row in reachable
    ):
        return TapRefused(Message.EVSE_RESERVED, label)
    if len(rows) == 1 and ws.occupant(rows[0].station_id, rows[0].evse_id) is not None:
        return TapRefused(Message.OTHER_CARD, label)
    return TapRefused(Message.EVSE_OCCUPIED, label)


def _opened(
    ws: WorkingSet, terminal: TerminalRow, arm: ArmRow, tap: CardPresented, now: datetime, free: list[EvseRow]
) -> Session:
    choices = tuple((row.place, ws.tariffs.get(row.tariff_id or "")) for row in free)
    chosen = choices[0] if len(choices) == 1 else None
    owner_id = ws.owner_of(free[0].station_id)
    return Session(
        session_id=tap.session_id,
        origin=Origin.CARD,
        opened_at=now,
        receipt_token=tap.receipt_token,
        charging=Charging.WAITING if chosen else Charging.CHOOSING,
        payment=Payment.NONE,
        language=terminal.language,
        currency=terminal.currency,
        place=chosen[0] if chosen else None,
        tariff=chosen[1] if chosen else None,
        choices=() if chosen else choices,
        issuer_id=f"owner:{owner_id}" if arm.account_id else ws.issuer_id,
        owner_id=owner_id,
        account_id=arm.account_id,
        id_token=tap.id_token,
        remote_start_id=tap.remote_start_id,
        terminal_serial=terminal.serial,
        arm_id=arm.arm_id,
        card=tap.card,
        hold_minor=arm.hold_minor,
    )
