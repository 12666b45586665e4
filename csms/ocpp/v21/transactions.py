"""OCPP 2.1 E. Transactions: limits, costs that the station computes, and payments at its own terminal."""

from __future__ import annotations

import secrets
from dataclasses import replace

from billing.money import to_major
from csms.ocpp.dialect import Payload, StationContext, decimal, obj, text
from csms.ocpp.message import Messages
from csms.ocpp.v201.transactions import event_answer, read_event
from sessions import facts
from sessions.directory import Outcome
from sessions.limits import RESUMED

messages = Messages("E. Transactions")


@messages.answer("TransactionEvent", tolerant=True)
async def transaction_event(ctx: StationContext, payload: Payload) -> Payload:
    """E01–E16, C18–C24. A charge on a hold is answered with the cost at which it must end."""
    info = obj(payload, "transactionInfo")
    fact = replace(
        await read_event(ctx, payload),
        limit_cost=decimal(obj(info, "transactionLimit").get("maxCost")),
        cost_at_station=bool(text(info, "tariffId", 60) or obj(payload, "costDetails")),
        receipt_token=secrets.token_urlsafe(24),
    )
    outcome = await ctx.submit(fact)
    return await event_answer(ctx, fact, payload, outcome) | _limit(fact, outcome)


def _limit(fact: facts.TransactionFact, outcome: Outcome) -> Payload:
    """E16: told at the event that names our start, and again after a power cut; never in answer to its own echo.

    A station that cannot do it leaves out the echo (E16), and our own stop remains.
    """
    if outcome.limit_minor is None or not outcome.currency or fact.trigger == "LimitSet":
        return {}
    begins = isinstance(fact, facts.TransactionStarted) or fact.remote_start_id is not None or fact.id_token
    if not begins and fact.trigger != RESUMED:
        return {}
    return {"transactionLimit": {"maxCost": float(to_major(outcome.limit_minor, outcome.currency))}}
