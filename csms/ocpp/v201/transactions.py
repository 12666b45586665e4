"""OCPP 2.0.1 E. Transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from billing.money import to_major
from csms.ocpp.dialect import Payload, StationContext, Unusable, content_key, obj, objects, stamped, text, whole
from csms.ocpp.message import Asked, Messages
from csms.ocpp.v201.authorization import id_token_info
from csms.ocpp.v201.meter_values import samples
from sessions import facts
from sessions.directory import Outcome
from sessions.facts import ChargingState, TokenStatus
from sessions.ports import TransactionStatus

messages = Messages("E. Transactions")


@messages.answer("TransactionEvent", tolerant=True)
async def transaction_event(ctx: StationContext, payload: Payload) -> Payload:
    """E01–E15. One frame, one fact; some stations always send seqNo 0, so time and samples are part of its key."""
    fact = await read_event(ctx, payload)
    return await event_answer(ctx, fact, payload, await ctx.submit(fact))


async def read_event(ctx: StationContext, payload: Payload) -> facts.TransactionFact:
    """The event as a fact. Raises `Unusable` for one that names no transaction."""
    info = obj(payload, "transactionInfo")
    transaction_id = text(info, "transactionId", 64)
    kind = text(payload, "eventType", 20)
    if not transaction_id or kind not in {"Started", "Updated", "Ended"}:
        raise Unusable("transactionInfo.transactionId or eventType is missing or unknown")
    at = await stamped(ctx, payload, "TransactionEvent")
    token, evse = obj(payload, "idToken"), obj(payload, "evse")
    seq_no, trigger = whole(payload, "seqNo"), text(payload, "triggerReason", 40)
    state = text(info, "chargingState", 20)
    # Not the whole payload: what is sent again now says `offline`.
    content = [transaction_id, kind, seq_no, payload.get("timestamp"), trigger, state, payload.get("meterValue")]
    common: dict[str, Any] = {
        "key": content_key("event", ctx.station_id, content),
        "at": ctx.now(),
        "station_id": ctx.station_id,
        "transaction_id": transaction_id,
        "evse_id": whole(evse, "id"),
        "connector_id": whole(evse, "connectorId"),
        "id_token": text(token, "idToken") or None,
        "id_token_type": text(token, "type", 20) or None,
        "remote_start_id": whole(info, "remoteStartId"),
        "station_time": at,
        "charging_state": ChargingState(state) if state in ChargingState.__members__.values() else None,
        "samples": samples(objects(payload, "meterValue"), at),
        "seq_no": seq_no,
        "offline": payload.get("offline") is True,
        "trigger": trigger,
        "raw": payload,
    }
    if kind == "Started":
        return facts.TransactionStarted(**common)
    if kind == "Updated":
        return facts.TransactionUpdated(**common)
    return facts.TransactionEnded(**common, reason=text(info, "stoppedReason", 30) or "Local")


async def event_answer(ctx: StationContext, fact: facts.TransactionFact, payload: Payload, outcome: Outcome) -> Payload:
    """E01.FR.11: the token's standing if one was sent. I02, I03: the cost; 0.00 is free, omitted is not (I03.FR.03)."""
    answer: Payload = {}
    token = obj(payload, "idToken")
    id_token = text(token, "idToken")
    if id_token or token.get("type") == "NoAuthorization":
        record = await ctx.directory.token(id_token)
        own = outcome.session_id is None or not id_token or id_token.upper() == outcome.id_token
        status = outcome.token_status or TokenStatus.ACCEPTED if own else record.standing(ctx.now())
        answer["idTokenInfo"] = id_token_info(status, record)
    if not isinstance(fact, facts.TransactionStarted) and outcome.total_minor is not None and outcome.currency:
        answer["totalCost"] = float(to_major(outcome.total_minor, outcome.currency))  # a JSON number; not reckoned with
    return answer


@messages.ask("GetTransactionStatus")
def transaction_status(asked: Asked) -> Iterable[facts.Fact]:
    """E14. Asks whether a transaction runs and whether messages wait; where neither is so, its end is lost."""
    told = status_of(asked.response)
    yield facts.TransactionStatusTold(
        key=asked.key("transaction-status"),
        at=asked.now,
        station_id=asked.station_id,
        transaction_id=text(asked.request, "transactionId", 64) or None,
        ongoing=told.ongoing,
        messages_in_queue=told.messages_in_queue,
    )


def status_of(response: Payload) -> TransactionStatus:
    """What GetTransactionStatus was answered; None for what was not said, or is no truth value."""
    ongoing, waits = response.get("ongoingIndicator"), response.get("messagesInQueue")
    return TransactionStatus(
        ongoing=ongoing if isinstance(ongoing, bool) else None,
        messages_in_queue=waits if isinstance(waits, bool) else None,
    )
