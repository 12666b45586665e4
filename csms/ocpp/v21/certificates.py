"""OCPP 2.1 M. Certificate management: the status of a chain."""

from __future__ import annotations

from csms.ocpp.certificate_status import certificate_status
from csms.ocpp.contract_calls import contract_certificate
from csms.ocpp.dialect import Payload, StationContext, Unusable, obj, objects, record, stamp, text
from csms.ocpp.message import Messages

messages = Messages("M. Certificate management")

_HASH = {"hashAlgorithm": 6, "issuerNameHash": 128, "issuerKeyHash": 128, "serialNumber": 40}


@messages.answer("Get15118EVCertificate")
async def get15118ev_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """M01, M02. Hands a car's request to the operator's provider of contract certificates, and its answer back."""
    return await contract_certificate(ctx, payload, longest=17_000)


@messages.answer("GetCertificateStatus")
async def get_certificate_status(ctx: StationContext, payload: Payload) -> Payload:
    """M06. Asks the OCSP responder that the station names, and passes its answer on."""
    return await certificate_status(ctx, payload, most_characters=18_000)


@messages.answer("GetCertificateChainStatus")
async def get_certificate_chain_status(ctx: StationContext, payload: Payload) -> Payload:
    """M07. Answers Failed for each certificate: nobody is asked for a vehicle's chain, and no good word is made up."""
    asked = objects(payload, "certificateStatusRequests")
    if not asked:
        raise Unusable("certificateStatusRequests is missing")
    found = [_failed(one, ctx) for one in asked[:4]]
    await record(ctx, "GetCertificateChainStatus", payload)
    return {"certificateStatus": found}


def _failed(asked: Payload, ctx: StationContext) -> Payload:
    data, source = obj(asked, "certificateHashData"), text(asked, "source", 4)
    certificate = {name: text(data, name, most) for name, most in _HASH.items()}
    if source not in {"CRL", "OCSP"} or certificate["hashAlgorithm"] not in {"SHA256", "SHA384", "SHA512"}:
        raise Unusable("source or hashAlgorithm is missing or unknown")
    return {"certificateHashData": certificate, "source": source, "status": "Failed", "nextUpdate": stamp(ctx.now())}
