"""OCPP 2.1 C18–C25: payment at a terminal, the station's own or one on the web."""

from __future__ import annotations

from billing.receipt import Buyer
from csms.ocpp.dialect import Payload, StationContext, Unusable, content_key, decimal, moment, obj, text, whole
from csms.ocpp.message import Messages
from csms.stations.settlements import VatNumberChecked, looks_like_a_vat_number
from sessions.settlement import SettlementNotified, SettlementStatus

messages = Messages("C. Payment")


@messages.answer("NotifySettlement")
async def notify_settlement(ctx: StationContext, payload: Payload) -> Payload:
    """C19–C22. Books what the station's terminal collected, and answers with our receipt, if there is one."""
    psp_ref, status = text(payload, "pspRef"), text(payload, "status", 12)
    amount = decimal(payload.get("settlementAmount"))
    if not psp_ref or status not in SettlementStatus.__members__.values() or amount is None:
        raise Unusable("pspRef, status or settlementAmount is missing or unknown")
    names = ("transactionId", "pspRef", "status", "settlementAmount", "settlementTime")
    outcome = await ctx.submit(
        SettlementNotified(
            key=content_key("settlement", ctx.station_id, [payload.get(name) for name in names]),
            at=ctx.now(),
            station_id=ctx.station_id,
            psp_ref=psp_ref,
            status=SettlementStatus(status),
            amount=amount,
            transaction_id=text(payload, "transactionId", 64) or None,
            settled_at=moment(payload.get("settlementTime")),
            status_info=text(payload, "statusInfo", 500),
            receipt_id=text(payload, "receiptId", 50),
            receipt_url=text(payload, "receiptUrl", 2000),
            buyer=_buyer(payload),
        )
    )
    if outcome.session_id is None:
        if text(payload, "transactionId") or status == SettlementStatus.SETTLED:
            detail = "the transaction or payment of a settlement is not known; it is kept, and nothing is booked"
            await ctx.finding("settlement-unknown", detail, "NotifySettlement")
        return {}
    receipt = await ctx.directory.receipt(outcome.session_id)
    return {"receiptUrl": receipt.url, "receiptId": receipt.number[:50]} if receipt else {}


def _buyer(payload: Payload) -> Buyer | None:
    company, vat_number = obj(payload, "vatCompany"), text(payload, "vatNumber", 20)
    if not company and not vat_number:
        return None
    town = " ".join(part for part in (text(company, "postalCode", 20), text(company, "city", 100)) if part)
    address = (text(company, "address1", 100), text(company, "address2", 100), town)
    return Buyer(
        name=text(company, "name", 50),
        address=tuple(line for line in address if line),
        country=text(company, "country", 50),
        vat_number=vat_number,
    )


@messages.answer("VatNumberValidation")
async def vat_number_validation(ctx: StationContext, payload: Payload) -> Payload:
    """Ad hoc payment. Says whether it has the form of its country's VAT numbers; nobody is asked whose it is."""
    vat_number, evse_id = text(payload, "vatNumber", 20), whole(payload, "evseId")
    accepted = looks_like_a_vat_number(vat_number)
    await ctx.submit(
        VatNumberChecked(
            key=ctx.unique_key("vat-number"),
            at=ctx.now(),
            station_id=ctx.station_id,
            vat_number=vat_number,
            evse_id=evse_id,
            accepted=accepted,
        )
    )
    said = ("FormatOnly", "It has the form of a VAT number; it was not looked up in any register.")
    if not accepted:
        said = ("InvalidFormat", "It has not the form of a VAT number of the country it begins with.")
    answer: Payload = {"vatNumber": vat_number, "status": "Accepted" if accepted else "Rejected"}
    answer["statusInfo"] = {"reasonCode": said[0], "additionalInfo": said[1]}
    return answer | ({"evseId": evse_id} if evse_id is not None and evse_id >= 0 else {})


messages.plain("NotifyWebPaymentStarted", "C25. Tells the station that a driver is paying for an EVSE on the web.")
