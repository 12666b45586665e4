"""Certificates: the operator's own authority, what stations asked it for, what they have installed; security events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field
from sqlalchemy import select

from csms.ocpp.certificate_calls import renewal_call
from csms.stations.authority import Usage
from csms.stations.authority_store import load_authority
from csms.stations.certificate import CertificateUnusable, describe, read_certificate, trusted_root
from csms.stations.certificate_requests import RequestState
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import certificate_schema as t
from storage.engine import reading

resource = Resource("certificates")

RootType = Literal[
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
    "V2GRootCertificate",
    "MORootCertificate",
    "OEMRootCertificate",
]
#: What 1.6 calls them; it knows no others.
_TYPES_16 = {
    "CSMSRootCertificate": "CentralSystemRootCertificate",
    "ManufacturerRootCertificate": "ManufacturerRootCertificate",
}


class CertificateShown(Shown):
    """A certificate."""

    common_name: str
    organisation: str
    issuer: str
    serial_number: str
    fingerprint: str = Field(description="SHA-256, hexadecimal.")
    not_before: datetime
    not_after: datetime
    key: str
    certificate_pem: str


class AuthorityShown(Shown):
    """The operator's own certificate authority."""

    root: CertificateShown = Field(description="What stations' peers have to trust; to be installed where needed.")
    issuing: CertificateShown


class HashShown(Shown):
    """OCPP's name of a certificate: CertificateHashDataType."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class InstalledShown(HashShown):
    """A certificate that a station says it has."""

    certificate_type: str
    children: list[HashShown]
    certificate_pem: str | None = Field(description="Where it was installed from here.")
    reported_at: datetime


class RequestShown(Shown):
    """A station's request for a certificate."""

    request_id: str
    usage: Usage
    state: RequestState
    reason: str | None
    requested_at: datetime
    common_name: str | None
    serial_number: str | None
    not_after: datetime | None
    renew_at: datetime | None
    certificate_pem: str | None
    command_id: str | None = Field(description="The call that took it to the station.")
    attempts: int


class SecurityEventShown(Shown):
    """A security event that a station told of."""

    event_id: int
    station_id: str
    type: str
    critical: bool | None = Field(description="By the standard's list; null: not on it.")
    at: datetime = Field(description="By the station's clock.")
    recorded_at: datetime
    tech_info: str


class SecurityEventFilter(PageQuery):
    """Which events."""

    station_id: str | None = Field(None, max_length=48, description="Only this station's.")
    type: str | None = Field(None, max_length=50, description="Only this type.")
    critical: bool | None = Field(None, description="Only critical ones, or only others.")


class RootInstallation(Body):
    """A CA's certificate that a station is to trust."""

    certificate_type: RootType = Field(description="What for.")
    certificate: str = Field(max_length=10_000, description="PEM.")


class Renewal(Body):
    """Which certificate."""

    usage: Usage = Field(Usage.STATION, description="1.6 knows only the first.")


@resource.get("/authority", AuthorityShown, errors=(404,))
async def get_authority(call: ApiCall) -> AuthorityShown:
    """Show the certificates of the operator's own authority."""
    authority = await load_authority(call.api.engine)
    if authority is None:
        raise Problem(404, "This system has no certificate authority: set [authority] in the settings.")
    return AuthorityShown(root=_certificate(authority.root_pem), issuing=_certificate(authority.issuing_pem))


@resource.get("/stations/{station_id}/certificate-requests", Page[RequestShown], query=PageQuery)
async def list_certificate_requests(call: ApiCall) -> Page[RequestShown]:
    """List what a station asked to be signed, the newest first."""
    await require_station(call)
    r = t.certificate_requests.c
    query = select(t.certificate_requests).where(r.station_id == call.path["station_id"])
    async with reading(call.api.engine) as connection:
        keys = [r.requested_at, r.request_id]
        return await fetch_page(connection, query, keys, call.query, _shown_as(RequestShown), newest_first=True)


@resource.operation(
    "POST",
    "/stations/{station_id}/certificate-renewals",
    role=Role.OPERATOR,
    query=Wait,
    body=Renewal,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def renew_certificate(call: ApiCall) -> Reply:
    """Make the station ask for a new certificate now. It is asked by itself before the old one ends."""
    station = await require_station(call)
    action, payload = renewal_call(station.version or "", call.body.usage)
    return await send(call, action, payload)


@resource.get("/stations/{station_id}/certificates", Page[InstalledShown], query=PageQuery)
async def list_installed_certificates(call: ApiCall) -> Page[InstalledShown]:
    """List the certificates a station has, as it last said.

    To ask it, send the command GetInstalledCertificateIds; to remove one, DeleteCertificate with its hashes.
    """
    await require_station(call)
    c = t.installed_certificates.c
    query = select(t.installed_certificates).where(c.station_id == call.path["station_id"])
    keys = [c.certificate_type, c.hash_algorithm, c.issuer_name_hash, c.issuer_key_hash, c.serial_number]
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, keys, call.query, _installed)


@resource.operation(
    "POST",
    "/stations/{station_id}/certificates",
    role=Role.OPERATOR,
    query=Wait,
    body=RootInstallation,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def install_certificate(call: ApiCall) -> Reply:
    """Have the station trust a CA. The certificate is looked at first: a station may take what it cannot use."""
    station = await require_station(call)
    asked: RootInstallation = call.body
    try:
        trusted_root(asked.certificate, call.now, most=10_000 if station.version == "ocpp2.1" else 5500)
    except CertificateUnusable as error:
        raise Problem(
            422, "The certificate cannot be installed.", errors=[FieldProblem(field="certificate", detail=str(error))]
        ) from None
    kind: str = asked.certificate_type
    if station.version == "ocpp1.6":
        if kind not in _TYPES_16:
            raise Problem(409, f"OCPP 1.6 stations take only {' and '.join(_TYPES_16)}.")
        kind = _TYPES_16[kind]
    return await send(call, "InstallCertificate", {"certificateType": kind, "certificate": asked.certificate})


@resource.get("/security-events", Page[SecurityEventShown], query=SecurityEventFilter)
async def list_security_events(call: ApiCall) -> Page[SecurityEventShown]:
    """List security events that stations told of, the newest first."""
    e = t.security_events.c
    query = select(t.security_events)
    for name in ("station_id", "type", "critical"):
        wanted = getattr(call.query, name)
        if wanted is not None:
            query = query.where(e[name] == wanted if name != "critical" else e.critical.is_(wanted))
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, [e.event_id], call.query, _shown_as(SecurityEventShown), newest_first=True
        )


def _certificate(pem: str) -> CertificateShown:
    described = describe(read_certificate(pem))
    names = set(CertificateShown.model_fields) - {"certificate_pem"}
    return CertificateShown(**{name: getattr(described, name) for name in names}, certificate_pem=pem)


def _installed(row: Any) -> InstalledShown:
    values = {name: getattr(row, name) for name in InstalledShown.model_fields}
    return InstalledShown(**values | {"children": orjson.loads(row.children)})


def _shown_as(model: type[Any]) -> Any:
    return lambda row: model(**{name: getattr(row, name) for name in model.model_fields})
