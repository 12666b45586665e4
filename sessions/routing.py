"""Whose fact is this? Finds, or opens, the session that a fact is about. Pure.

Stations leave out transaction ids, send −1, forget remote start ids and repeat themselves; the order of the tries below
is the order of how sure each is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing.payment import Payment
from billing.way import Way
from sessions import facts, matching, meter, settlement
from sessions.commands import Command, ShowOnTerminal, Timer
from sessions.directory import Admission, ArmState
from sessions.facts import EvseStatus, Sample, TokenStatus
from sessions.limits import EvChargingNeedsTold
from sessions.session import Authorisation, Origin, Policy, Session
from sessions.tables import RUNNING, Charging
from sessions.tap import TapRefused, is_free, meaning
from sessions.tokens import UNKNOWN
from sessions.working_set import ArmRow, StationRow, WorkingSet

#: A transaction that begins before its cable is plugged in may not name its EVSE.
UNKNOWN_EVSE = 0


@dataclass(frozen=True, slots=True)
class Routed:
    """A session and the fact to decide it on; several for one fact where one event ends another session too."""

    session: Session
    fact: facts.Fact


@dataclass(slots=True)
class Route:
    """Where a fact went: the sessions to decide, and commands that belong to no session."""

    routed: list[Routed]
    commands: list[Command]
    epoch: int | None = None


def route(ws: WorkingSet, fact: facts.Fact, now: datetime, policy: Policy, node: str) -> Route:
    """Apply ``fact`` to the stations, EVSEs and arms of ``ws`` and return the sessions to decide."""
    result = Route(routed=[], commands=[])
    handler = _ROUTERS.get(type(fact))
    if handler is not None:
        handler(_Context(ws=ws, now=now, policy=policy, node=node, result=result), fact)
    elif isinstance(fact, facts.SessionFact):
        session = ws.sessions.get(fact.session_id)
        if session is not None:
            result.routed.append(Routed(session, fact))
    return result


@dataclass(slots=True)
class _Context:
    ws: WorkingSet
    now: datetime
    policy: Policy
    node: str
    result: Route

    def to(self, session: Session | None, fact: facts.Fact) -> None:
        if session is not None:
            self.result.routed.append(Routed(session, fact))

    def station(self, station_id: str) -> StationRow:
        known = self.ws.stations.get(station_id)
        return known or StationRow(station_id=station_id, admission=Admission.HELD, connected=False, epoch=0)


# --- stations ---------------------------------------------------------------------------------------------------------


def _connected(c: _Context, fact: facts.StationConnected) -> None:
    station = c.station(fact.station_id)
    epoch = station.epoch + 1
    c.ws.put_station(replace(station, connected=True, epoch=epoch, version=fact.version, node=c.node, seen_at=c.now))
    c.result.epoch = epoch
    _to_running(c, fact)


def _disconnected(c: _Context, fact: facts.StationDisconnected) -> None:
    station = c.station(fact.station_id)
    if station.epoch == fact.epoch:  # an older socket's farewell says nothing about the newer one
        c.ws.put_station(replace(station, connected=False, seen_at=c.now))
        _to_running(c, fact)


def _to_running(c: _Context, fact: facts.StationFact) -> None:
    """Every charge at the station hears of it."""
    for session in c.ws.at_station(fact.station_id):
        if session.charging in RUNNING:
            c.to(session, fact)


def _booted(c: _Context, fact: facts.StationBooted) -> None:
    station = c.station(fact.station_id)
    c.ws.put_station(
        replace(
            station,
            vendor=fact.vendor[:60],
            model=fact.model[:60],
            serial_number=fact.serial_number[:60],
            firmware_version=fact.firmware_version[:60],
            boot_status=fact.status,
            booted_at=c.now,
            seen_at=c.now,
        )
    )
    if fact.status == "Accepted":
        _to_running(c, fact)


def _evse_status(c: _Context, fact: facts.EvseStatusReported) -> None:
    if fact.evse_id == 0:
        return
    row = c.ws.evse(fact.station_id, fact.evse_id)
    running = c.ws.running_at(fact.station_id, fact.evse_id)
    plugged_at = row.plugged_at
    if fact.status is not EvseStatus.OCCUPIED:
        plugged_at = None
    elif row.status is not EvseStatus.OCCUPIED and running is None:
        plugged_at = c.now
    c.ws.put_evse(
        replace(
            row,
            status=fact.status,
            charging_state=fact.charging_state,
            raw_status=fact.raw_status[:20],
            error_code=fact.error_code[:60],
            status_at=c.now,
            plugged_at=plugged_at,
        )
    )
    c.to(running, fact)


# --- transactions -----------------------------------------------------------------------------------------------------


def _find(c: _Context, fact: facts.TransactionFact) -> Session | None:
    """By the transaction's id; then by our remote start id; then by the id token."""
    return matching.find(c.ws.at_station(fact.station_id), fact, c.now)


def _started(c: _Context, fact: facts.TransactionStarted) -> None:
    session = _find(c, fact)
    if session is None and not fact.id_token and fact.evse_id:
        # Cable first: nobody has authorised it yet; a tap or a token will name it later (EC 2).
        c.ws.put_evse(replace(c.ws.evse(fact.station_id, fact.evse_id), waiting=fact))
        return
    if fact.transaction_id is None:
        fact = replace(
            fact, transaction_id=(session.transaction_id if session else None) or c.ws.allot_transaction_id()
        )
    if session is None:
        session, fact = _open_by_token(c, fact)
    _supersede(c, session, fact)
    c.to(session, fact)


def _open_by_token(c: _Context, fact: facts.TransactionStarted) -> tuple[Session, facts.TransactionStarted]:
    """A transaction we did not start: an RFID session if the token is good, else recorded and stopped."""
    id_token = (fact.id_token or "").upper()
    row = c.ws.evse(fact.station_id, fact.evse_id or _only_evse(c, fact.station_id))
    # Another transaction at the same EVSE is superseded by this one, so it is no second charge.
    running = [s for s in c.ws.sessions.values() if s.id_token == id_token and s.charging in RUNNING]
    elsewhere = any(s.place != row.place and s.origin is not Origin.UNAUTHORISED for s in running)
    token = c.ws.tokens.get(id_token, UNKNOWN)
    status = token.starts(c.now, elsewhere=elsewhere)
    tariff = c.ws.tariffs.get(row.tariff_id or "")
    paid_there = fact.id_token_type == facts.DIRECT_PAYMENT and bool(fact.receipt_token)
    if paid_there:  # 2.1 C18: the station's own terminal has authorised it; one payment pays for one transaction
        status = TokenStatus.INVALID if _known_payment(c, fact.id_token or "") else TokenStatus.ACCEPTED
    good = status is TokenStatus.ACCEPTED
    direct = paid_there and good
    session = Session(
        session_id=_derived_id(fact),
        origin=Origin.DIRECT if direct else Origin.RFID if good else Origin.UNAUTHORISED,
        opened_at=c.now,
        receipt_token=fact.receipt_token if direct else f"none:{_derived_id(fact)}",
        charging=Charging.ACCEPTED,
        payment=Payment.AT_STATION if direct else Payment.NONE,
        authorisation=Authorisation(payment_ref=fact.id_token or "", brand=fact.payment_brand[:40])
        if direct
        else Authorisation(),
        currency=tariff.currency if tariff else "",
        place=row.place,
        tariff=tariff,
        issuer_id=c.ws.issuer_id,
        owner_id=c.ws.owner_of(fact.station_id),
        way=Way.CARD if direct else token.way,
        id_token=id_token,
        id_token_type=fact.id_token_type or "",
        token_status=status,
    )
    return session, replace(fact, token_status=status)


def _known_payment(c: _Context, reference: str) -> bool:
    """Whether a session has, or had, this payment."""
    token = reference.upper()
    return any(token in {s.id_token.upper(), s.authorisation.payment_ref.upper()} for s in c.ws.sessions.values())


def _settled(c: _Context, fact: settlement.SettlementNotified) -> None:
    """By the transaction, else by the payment: it may have been given up before a transaction began (2.1 C19)."""
    here, token = c.ws.at_station(fact.station_id), fact.psp_ref.upper()
    named = [s for s in here if fact.transaction_id is not None and s.transaction_id == fact.transaction_id]
    paid = [s for s in here if s.origin is Origin.DIRECT and s.id_token == token]
    c.to(next(iter((*named, *paid)), None), fact)


def _only_evse(c: _Context, station_id: str) -> int:
    """The station's EVSE where it has but one; else 0: which one, a later event tells (2.0.1 E04, E10)."""
    numbers = [number for station, number in c.ws.evses if station == station_id and number]
    return numbers[0] if len(numbers) == 1 else UNKNOWN_EVSE


def _placed(c: _Context, session: Session, fact: facts.TransactionFact) -> Session:
    """Give a charge that was authorised before the cable its EVSE, and the EVSE's price."""
    if session.place is None or session.place.evse_id != UNKNOWN_EVSE or not fact.evse_id:
        return session
    row = c.ws.evse(fact.station_id, fact.evse_id)
    tariff = c.ws.tariffs.get(row.tariff_id or "")
    session = replace(session, place=row.place, tariff=tariff, currency=tariff.currency if tariff else "")
    c.ws.put_session(session)
    return session


def _derived_id(fact: facts.TransactionFact) -> str:
    """A session id for a transaction that began at the station: the same for the same content."""
    return hashlib.sha256(fact.key.encode()).hexdigest()[:32]


def _supersede(c: _Context, session: Session, fact: facts.TransactionStarted | facts.TransactionUpdated) -> None:
    """A new transaction on an EVSE is evidence that the one before has ended, told or not.

    What comes again, or late, of a transaction that is known already is not.
    """
    if session.started_at is not None or session.place is None:
        return
    register_wh = fact.register_wh if isinstance(fact, facts.TransactionStarted) else None
    if register_wh is None:
        register_wh = meter.register_of(fact.samples)
    evse_id = fact.evse_id or session.place.evse_id
    for other in c.ws.at_station(fact.station_id):
        same = other.place is not None and other.place.evse_id == evse_id
        if same and other.session_id != session.session_id and other.charging in RUNNING:
            key = f"{other.session_id}:superseded:{session.session_id}"
            ended = facts.TransactionSuperseded(key=key, at=c.now, session_id=other.session_id, register_wh=register_wh)
            c.to(other, ended)


def _start_accepted(c: _Context, fact: facts.StartAccepted) -> None:
    """An answer may name the transaction that waits for it; the id of another charge's is a mistake, and not taken."""
    session = c.ws.sessions.get(fact.session_id)
    if session is not None and session.place is not None and fact.transaction_id is not None:
        others = [s for s in c.ws.at_station(session.place.station_id) if s.session_id != session.session_id]
        if any(other.transaction_id == fact.transaction_id for other in others):
            fact = replace(fact, transaction_id=None)
    c.to(session, fact)


def _updated(c: _Context, fact: facts.TransactionUpdated) -> None:
    session = _find(c, fact)
    if session is not None:
        waiting = None
        if session.charging not in RUNNING:
            waiting = c.ws.clear_waiting(fact.station_id, fact.evse_id, fact.transaction_id)
        if waiting is not None:
            fact = replace(fact, samples=(*_begin_samples(waiting, fact.station_time), *fact.samples))
        _supersede(c, session, fact)
        c.to(_placed(c, session, fact), fact)
        return
    waiting = c.ws.clear_waiting(fact.station_id, fact.evse_id, fact.transaction_id) if fact.id_token else None
    if fact.id_token and (waiting is not None or fact.evse_id):
        # Cable first, then a token at the station's own reader.
        evse_id = fact.evse_id or (waiting.evse_id if waiting else None)
        start = facts.TransactionStarted(
            key=fact.key,
            at=fact.at,
            station_id=fact.station_id,
            transaction_id=fact.transaction_id,
            evse_id=evse_id,
            id_token=fact.id_token,
            id_token_type=fact.id_token_type,
            station_time=fact.station_time,
            charging_state=fact.charging_state,
            samples=(*(_begin_samples(waiting, fact.station_time) if waiting else ()), *fact.samples),
            seq_no=fact.seq_no,
            limit_cost=fact.limit_cost,
            cost_at_station=fact.cost_at_station,
            payment_brand=fact.payment_brand,
            receipt_token=fact.receipt_token,
        )
        opened, start = _open_by_token(c, start)
        _supersede(c, opened, start)
        c.to(opened, start)


def _begin_samples(waiting: facts.TransactionStarted, at: datetime) -> tuple[Sample, ...]:
    """The register at plug-in, as the start register at authorisation: time before the tap is nobody's."""
    return tuple(
        replace(s, station_time=at, context="Transaction.Begin") for s in waiting.samples if s.value is not None
    )


def _ended(c: _Context, fact: facts.TransactionEnded) -> None:
    session = _find(c, fact)
    if session is None:
        here = c.ws.at_station(fact.station_id)
        session = matching.ended_with_it(here, fact) or matching.only_candidate(here, fact)
    c.ws.clear_waiting(fact.station_id, fact.evse_id, fact.transaction_id)
    c.to(_placed(c, session, fact) if session is not None else None, fact)


def _metered(c: _Context, fact: facts.EnergyMetered) -> None:
    if fact.transaction_id is not None and fact.transaction_id not in matching.NO_TRANSACTION_IDS:
        for session in c.ws.at_station(fact.station_id):
            if session.transaction_id == fact.transaction_id:
                c.to(session, fact)
                return
    if fact.evse_id:
        c.to(c.ws.running_at(fact.station_id, fact.evse_id), fact)


def _status_told(c: _Context, fact: facts.TransactionStatusTold) -> None:
    for session in c.ws.at_station(fact.station_id):
        if fact.transaction_id in {None, session.transaction_id} and session.charging in RUNNING:
            c.to(session, fact)


def _ev_needs(c: _Context, fact: EvChargingNeedsTold) -> None:
    session = c.ws.running_at(fact.station_id, fact.evse_id)
    if session is not None and session.charging is Charging.CHARGING and session.transaction_id is not None:
        c.to(session, fact)


# --- terminals --------------------------------------------------------------------------------------------------------


def _arm_opened(c: _Context, fact: facts.ArmOpened) -> None:
    c.ws.put_arm(
        ArmRow(
            arm_id=fact.arm_id,
            serial=fact.serial,
            state=ArmState.OPEN,
            hold_minor=fact.hold_minor,
            currency=fact.currency,
            opened_at=c.now,
            account_id=fact.account_id,
        )
    )


def _arm_closed(c: _Context, fact: facts.ArmClosed) -> None:
    arm = c.ws.arms.get(fact.arm_id)
    if arm is not None and arm.state is not ArmState.CLOSED:
        c.ws.put_arm(replace(arm, state=ArmState.CLOSED))


def _card_presented(c: _Context, fact: facts.CardPresented) -> None:
    arm, terminal = c.ws.arms.get(fact.arm_id), c.ws.terminals.get(fact.serial)
    if arm is None or terminal is None or arm.serial != fact.serial or arm.state is not ArmState.OPEN:
        return  # a late or invented callback changes nothing
    c.ws.put_arm(replace(arm, state=ArmState.PRESENTED))
    for other in c.ws.choosing_at(fact.serial):  # somebody walked away from the selection screen
        key = f"{other.session_id}:overtaken:{fact.arm_id}"
        c.to(other, facts.DeadlineReached(key=key, at=c.now, session_id=other.session_id, timer=Timer.CHOICE))
    found = meaning(c.ws, terminal, arm, fact, c.now, c.policy)
    if isinstance(found, TapRefused):
        c.result.commands.append(
            ShowOnTerminal(
                key=f"tap:{fact.arm_id}:refused",
                serial=fact.serial,
                account_id=arm.account_id,
                message=found.message,
                language=terminal.language,
                parameters={"evse": found.label},
                arm_id=fact.arm_id,
                ends_interaction=True,
            )
        )
        return
    c.to(found, fact)


def _evse_chosen(c: _Context, fact: facts.EvseChosen) -> None:
    session = c.ws.sessions.get(fact.session_id)
    if session is None or session.terminal_serial != fact.serial:
        return
    still_free = tuple(
        (place, tariff)
        for place, tariff in session.choices
        if is_free(c.ws, c.ws.evse(place.station_id, place.evse_id))
    )
    c.to(replace(session, choices=still_free), fact)


def _operator_started(c: _Context, fact: facts.OperatorStarted) -> None:
    row = c.ws.evse(fact.station_id, fact.evse_id)
    if not is_free(c.ws, row, fact.id_token):
        return
    tariff, token = c.ws.tariffs.get(row.tariff_id or ""), c.ws.tokens.get(fact.id_token.upper())
    c.to(
        Session(
            session_id=fact.session_id,
            origin=Origin.OPERATOR,
            opened_at=c.now,
            receipt_token=fact.receipt_token,
            charging=Charging.WAITING,
            payment=Payment.NONE,
            currency=tariff.currency if tariff else "",
            place=row.place,
            tariff=tariff,
            issuer_id=c.ws.issuer_id,
            owner_id=c.ws.owner_of(fact.station_id),
            way=token.way if token is not None else Way.APP,
            id_token=fact.id_token,
            id_token_type=fact.id_token_type,
            remote_start_id=fact.remote_start_id,
        ),
        fact,
    )


_ROUTERS: dict[type[facts.Fact], Callable[[_Context, Any], None]] = {
    facts.StationConnected: _connected,
    facts.StationDisconnected: _disconnected,
    facts.StationBooted: _booted,
    facts.EvseStatusReported: _evse_status,
    facts.StartAccepted: _start_accepted,
    facts.TransactionStarted: _started,
    facts.TransactionUpdated: _updated,
    facts.TransactionEnded: _ended,
    facts.EnergyMetered: _metered,
    facts.TransactionStatusTold: _status_told,
    EvChargingNeedsTold: _ev_needs,
    settlement.SettlementNotified: _settled,
    facts.ArmOpened: _arm_opened,
    facts.ArmClosed: _arm_closed,
    facts.CardPresented: _card_presented,
    facts.EvseChosen: _evse_chosen,
    facts.OperatorStarted: _operator_started,
}
