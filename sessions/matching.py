"""Which charge does a message of a transaction mean? Ids are missing, repeated, −1, or another clock's. Pure.

The order of the tries is the order of how sure each is. ``here``: the charges of the message's station, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sessions import facts, meter
from sessions.session import Session
from sessions.tables import CLAIMING, RUNNING, Charging

#: A start with the same content but for its time is the same start up to here; beyond, the driver came back.
TOLD_AGAIN_WITHIN = timedelta(minutes=10)
#: Two ends with the same register are one up to here; a charge of no energy may have come between them beyond.
SAME_END_WITHIN = timedelta(minutes=1)
#: 1.6 stations send these when StartTransaction was never answered.
NO_TRANSACTION_IDS = frozenset({"-1", "0", ""})


def find(here: Sequence[Session], fact: facts.TransactionFact, now: datetime) -> Session | None:
    """By the transaction's id; then by our remote start id; then by the id token."""
    if fact.transaction_id is not None and fact.transaction_id not in NO_TRANSACTION_IDS:
        for session in here:
            if session.transaction_id == fact.transaction_id:
                return session
    unbound = [s for s in here if s.transaction_id is None]
    if fact.remote_start_id is not None:
        for session in unbound:
            if session.remote_start_id == fact.remote_start_id:
                return session
    if fact.id_token:
        token = fact.id_token.upper()
        for session in reversed(unbound):
            if session.id_token.upper() == token and (session.one_time or _awaits(session, fact)):
                return session
            if fact.id_token_type == facts.DIRECT_PAYMENT and session.authorisation.payment_ref.upper() == token:
                return session  # 2.1 C24: started with the payment's reference
        if isinstance(fact, facts.TransactionStarted) and fact.transaction_id is None:
            for session in reversed(here):
                if session.id_token.upper() == token and (session.one_time or _told_again(session, fact, now)):
                    return session
    return None


def _awaits(session: Session, fact: facts.TransactionFact) -> bool:
    """A driver's own token starts many charges: it means one that was asked for at this EVSE and has not begun."""
    here = session.place is not None and fact.evse_id in {None, session.place.evse_id}
    return session.charging in CLAIMING and here


def _told_again(session: Session, fact: facts.TransactionStarted, now: datetime) -> bool:
    """1.6: a start that comes again with a corrected clock. The register has not moved before it, so it is the same."""
    metered, place = session.meter, session.place
    if session.charging not in RUNNING or place is None or place.evse_id != fact.evse_id:
        return False
    if fact.register_wh is None or metered.begin_wh != fact.register_wh or metered.begin_at is None:
        return False
    believed = metered.clock_trusted and meter.judge_time(fact.station_time, now) is not None
    return not believed or abs(fact.station_time - metered.begin_at) <= TOLD_AGAIN_WITHIN


def ended_with_it(here: Sequence[Session], fact: facts.TransactionEnded) -> Session | None:
    """An end without a usable id that was told before, by another clock: it must not end the next charge."""
    for session in reversed(here):
        same = fact.register_wh is not None and session.end_register_wh == str(fact.register_wh)
        if session.charging is Charging.ENDED and same and session.ended_at is not None:
            apart = abs(session.ended_at - fact.station_time)
            if not session.meter.clock_trusted or apart <= SAME_END_WITHIN:
                return session
    return None


def only_candidate(here: Sequence[Session], fact: facts.TransactionEnded) -> Session | None:
    """An end without a usable id (EC 37): the tag's running session, or the only one whose register and time fit."""
    running = [s for s in here if s.charging in RUNNING]
    if fact.id_token:
        tagged = [s for s in running if s.id_token.upper() == fact.id_token.upper()]
        if len(tagged) == 1:
            return tagged[0]
    fitting = [
        s
        for s in running
        if (fact.evse_id is None or s.place is None or s.place.evse_id == fact.evse_id)
        and (fact.register_wh is None or s.meter.last_wh is None or fact.register_wh >= s.meter.last_wh - 1)
        and (s.started_at is None or fact.station_time >= s.started_at or fact.station_time.year < 2020)
    ]
    return fitting[0] if len(fitting) == 1 else None
