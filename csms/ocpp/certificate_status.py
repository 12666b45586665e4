"""How a certificate stands: asked of the OCSP responder that a station names, for the station (2.0.1 M06)."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, obj, record, text
from csms.stations.ocsp import OcspQuestion, OcspUnanswered, ask

#: The station's other messages wait meanwhile.
_TIMEOUT_S = 5.0


async def certificate_status(ctx: StationContext, payload: Payload, *, most_characters: int) -> Payload:
    """GetCertificateStatusResponse. Without an answer: Failed, with why; the question is kept for the operator."""
    data = obj(payload, "ocspRequestData")
    question = OcspQuestion(
        hash_algorithm=text(data, "hashAlgorithm", 6),
        issuer_name_hash=text(data, "issuerNameHash", 128),
        issuer_key_hash=text(data, "issuerKeyHash", 128),
        serial_number=text(data, "serialNumber", 40),
        responder_url=text(data, "responderURL", 2000),
    )
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
