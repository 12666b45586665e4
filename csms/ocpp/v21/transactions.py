"""OCPP 2.1 E. Transactions: limits, costs that the station computes, and payments at its own terminal."""

from __future__ import annotations

import secrets
from dataclasses import replace

from billing.money import to_major
from csms.ocpp.dialect import Payload, StationContext, decimal, obj, objects, text
from csms.ocpp.message import Messages
from csms.ocpp.v201.transactions import event_answer, read_event
from csms.stations.cost_details import CostDetailed
from sessions import facts
from sessions.directory import Outcome
from sessions.limits import RESUMED

messages = Messages("E. Transactions")


@messages.answer("TransactionEvent", tolerant=True)
async def transaction_event(ctx: StationContext, payload: Payload) -> Payload:
    """E01–E16, C18–C24, I12. A charge on a hold is answered with the cost at which it must end."""
    info, details = obj(payload, "transactionInfo"), obj(payload, "costDetails")
    token = objects(obj(payload, "idToken"), "additionalInfo")
    brands = [text(one, "additionalIdToken", 40) for one in token if one.get("type") == "PaymentBrand"]
    fact = replace(
        await read_event(ctx, payload),
        limit_cost=decimal(obj(info, "transactionLimit").get("maxCost")),
        cost_at_station=bool(text(info, "tariffId", 60) or details),
        payment_brand=next(iter(brands), ""),
        receipt_token=secrets.token_urlsafe(24),
    )
    outcome = await ctx.submit(fact)
    if details:
        await _cost_details(ctx, fact, details, outcome)
    answer = await event_answer(ctx, fact, payload, outcome)
    if fact.id_token and fact.id_token_type == facts.DIRECT_PAYMENT:  # no token of ours: its session answers for it
        answer["idTokenInfo"] = {"status": (outcome.token_status or facts.TokenStatus.ACCEPTED).value}
    return answer | await _limit(ctx, fact, outcome)


async def _limit(ctx: StationContext, fact: facts.TransactionFact, outcome: Outcome) -> Payload:
    """E16: told at the event that names our start, and again after a power cut; never in answer to its own echo.

    Not to a station that lists its limits without this one. One that never listed them leaves out the echo if it
    cannot do it. Either way our own stop remains.
    """
    if outcome.limit_minor is None or not outcome.currency or fact.trigger == "LimitSet":
        return {}
    begins = isinstance(fact, facts.TransactionStarted) or fact.remote_start_id is not None or fact.id_token
    if not begins and fact.trigger != RESUMED:
        return {}
    if await ctx.directory.cost_limit_supported(ctx.station_id) is False:
        return {}
    return {"transactionLimit": {"maxCost": float(to_major(outcome.limit_minor, outcome.currency))}}


async def _cost_details(ctx: StationContext, fact: facts.TransactionFact, details: Payload, outcome: Outcome) -> None:
    """I12: kept; at the end another cost than ours is a finding."""
    cost = obj(details, "totalCost")
    currency, total = text(cost, "currency", 3), decimal(obj(cost, "total").get("inclTax"))
    failed = details.get("failureToCalculate") is True
    await ctx.submit(
        CostDetailed(
            key=f"cost:{fact.key}",
            at=ctx.now(),
            station_id=ctx.station_id,
            transaction_id=fact.transaction_id or "",
            currency=currency,
            total=total,
            ours_minor=outcome.total_minor,
            failed=failed,
            failure=text(details, "failureReason", 500),
            details=details,
        )
    )
    if failed:
        detail = text(details, "failureReason", 200) or "no reason was given"
        await ctx.finding("cost-not-calculated", detail, "TransactionEvent")
    elif isinstance(fact, facts.TransactionEnded) and outcome.total_minor is not None and outcome.currency:
        ours = to_major(outcome.total_minor, outcome.currency)
        if total is not None and (currency, total) != (outcome.currency, ours):
            detail = f"the station computed {total} {currency}, we {ours} {outcome.currency}"
            await ctx.finding("cost-differs", detail, "TransactionEvent")
