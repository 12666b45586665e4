"""OCPP 2.0.1 M. Certificate management."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.certificate_status import certificate_status
from csms.ocpp.contract_calls import contract_certificate
from csms.ocpp.dialect import Payload, StationContext, text
from csms.ocpp.installed import chains, deleted, installed, listed
from csms.ocpp.message import Asked, Messages
from sessions.facts import Fact

messages = Messages("M. Certificate management")


@messages.answer("Get15118EVCertificate")
async def get15118ev_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """M01, M02. Hands a car's request to the operator's provider of contract certificates, and its answer back."""
    return await contract_certificate(ctx, payload, longest=7500)


@messages.answer("GetCertificateStatus")
async def get_certificate_status(ctx: StationContext, payload: Payload) -> Payload:
    """M06. Asks the OCSP responder that the station names, and passes its answer on."""
    return await certificate_status(ctx, payload, most_characters=5500)


@messages.ask("DeleteCertificate")
def delete_certificate(asked: Asked) -> Iterator[Fact]:
    """M04. Removes an installed certificate."""
    yield from deleted(asked)


@messages.ask("GetInstalledCertificateIds")
def get_installed_certificate_ids(asked: Asked) -> Iterator[Fact]:
    """M03. Lists installed certificates, of the types named or of all."""
    types = asked.request.get("certificateType")
    named = tuple(kind for kind in types if isinstance(kind, str)) if isinstance(types, list) else ()
    yield from listed(asked, named, chains(asked.response))


@messages.ask("InstallCertificate")
def install_certificate(asked: Asked) -> Iterator[Fact]:
    """M05. Installs a root certificate."""
    yield from installed(asked, text(asked.request, "certificateType", 40))
