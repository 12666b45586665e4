"""How a certificate stands: asked of the OCSP responder that a station names, for the station (2.0.1 M06)."""

from __future__ import annotations

from csms.ocpp.contract_calls import ocsp_question
from csms.ocpp.dialect import Payload, StationContext, obj, record
from csms.stations.ocsp import OcspUnanswered, ask

#: The station's other messages wait meanwhile.
_TIMEOUT_S = 5.0


async def certificate_status(ctx: StationContext, payload: Payload, *, most_characters: int) -> Payload:
    """GetCertificateStatusResponse. Without an answer: Failed, with why; the question is kept for the operator."""
    question = ocsp_question(obj(payload, "ocspRequestData"))
    try:
        answer = await ask(
            question,
            allow_private=ctx.options.ocsp_private,
            most_characters=most_characters,
            timeout_s=_TIMEOUT_S,
        )
    except OcspUnanswered as unanswered:
        await record(ctx, "GetCertificateStatus", payload)
        info = {"reasonCode": "NoOCSPAnswer", "additionalInfo": str(unanswered)[:512]}
        return {"status": "Failed", "statusInfo": info}
    return {"status": "Accepted", "ocspResult": answer}
