"""Certificates of stations, as all versions say them: the request, its delivery, its renewal; security events."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, content_key, stamped, text, whole
from csms.stations.authority import RequestRefused, Usage, check_request
from csms.stations.certificate_requests import CertificateRequested, new_request_id
from csms.stations.security_events import SecurityEventReported

_RENEWALS = {
    Usage.STATION: "SignChargingStationCertificate",
    Usage.V2G: "SignV2GCertificate",
    Usage.BOTH: "SignCombinedCertificate",
}


async def certificate_wanted(ctx: StationContext, payload: Payload, usage: Usage) -> str | None:
    """Take a station's CSR (A02.FR.02); None if it will be signed, else why not."""
    organisation = ctx.options.signing_organisation
    if organisation is None:
        return "this system has no certificate authority"
    station = await ctx.directory.station(ctx.station_id)
    serial = station.serial_number if station is not None else None
    csr = text(payload, "csr", 6000)
    try:
        check_request(csr, names={ctx.station_id, serial or ctx.station_id}, organisation=organisation)
    except RequestRefused as refused:
        await ctx.finding("certificate-request-refused", str(refused), "SignCertificate")
        return str(refused)
    request_id = new_request_id()
    await ctx.submit(
        CertificateRequested(
            key=f"requested:{request_id}",
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=request_id,
            usage=usage,
            csr=csr,
            sign_request_id=whole(payload, "requestId"),
        )
    )
    return None


def delivery_call(version: str, chain_pem: str, usage: Usage, sign_request_id: int | None) -> tuple[str, Payload]:
    """The call that takes a signed chain to a station."""
    payload: Payload = {"certificateChain": chain_pem}
    if version != "ocpp1.6" and usage is not Usage.BOTH:
        payload["certificateType"] = usage.value
    if version == "ocpp2.1" and sign_request_id is not None:
        payload["requestId"] = sign_request_id
    return "CertificateSigned", payload


def renewal_call(version: str, usage: Usage) -> tuple[str, Payload]:
    """The call that makes a station ask for a certificate (A03)."""
    if version == "ocpp1.6":
        return "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}
    return "TriggerMessage", {"requestedMessage": _RENEWALS[usage]}


async def security_event(ctx: StationContext, payload: Payload) -> Payload:
    """A04. Kept, with whether it is critical."""
    await ctx.submit(
        SecurityEventReported(
            key=content_key("security-event", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            type=text(payload, "type", 50),
            event_at=await stamped(ctx, payload, "SecurityEventNotification"),
            tech_info=text(payload, "techInfo", 255),
        )
    )
    return {}
