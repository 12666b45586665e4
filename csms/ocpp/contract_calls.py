"""Contract certificates, as 2.0.1 and 2.1 say them: in Authorize (C07), and a car's own request (M01, M02)."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, objects, record, text
from csms.stations.contract_certificates import chain_standing, from_provider, hashes_standing
from csms.stations.ocsp import OcspQuestion


async def certificate_standing(ctx: StationContext, payload: Payload, emaid: str) -> str | None:
    """AuthorizeResponse.certificateStatus; None if the station brought no certificate."""
    pem = text(payload, "certificate", 10_000)
    if pem:
        return await chain_standing(pem, emaid, ctx.options.contracts, ctx.now())
    told = objects(payload, "iso15118CertificateHashData")[:4]
    if not told:
        return None
    questions = [ocsp_question(data) for data in told]
    return await hashes_standing(questions, ctx.options.contracts, ctx.now())


def ocsp_question(data: Payload) -> OcspQuestion:
    """OCSPRequestDataType, as far as it is there."""
    return OcspQuestion(
        hash_algorithm=text(data, "hashAlgorithm", 6),
        issuer_name_hash=text(data, "issuerNameHash", 128),
        issuer_key_hash=text(data, "issuerKeyHash", 128),
        serial_number=text(data, "serialNumber", 40),
        responder_url=text(data, "responderURL", 2000),
    )


async def contract_certificate(ctx: StationContext, payload: Payload, *, longest: int) -> Payload:
    """Get15118EVCertificateResponse: what the provider says; Failed with why, and kept, where there is nothing."""
    asked = {name: value for name, value in payload.items() if name != "customData"} | {"stationId": ctx.station_id}
    try:
        answer = await from_provider(asked, ctx.options.contracts, longest)
    except ValueError as nothing:
        await record(ctx, "Get15118EVCertificate", payload)
        info = {"reasonCode": "NoProvider", "additionalInfo": str(nothing)[:512]}
        return {"status": "Failed", "exiResponse": "", "statusInfo": info}
    return {"status": "Accepted", "exiResponse": answer}
