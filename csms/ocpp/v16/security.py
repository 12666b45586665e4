"""OCPP 1.6 Security."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.certificate_calls import certificate_wanted, security_event
from csms.ocpp.dialect import Payload, StationContext, objects, text
from csms.ocpp.installed import deleted, installed, listed, read_hash
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import firmware_answered, log_answered, progressed
from csms.stations.authority import Usage
from csms.stations.installed_certificates import InstalledCertificate
from csms.stations.transfers import TransferKind
from sessions.facts import Fact

messages = Messages("Security")

#: 1.6's CertificateUseEnumType → 2.x's words.
_TYPES = {
    "CentralSystemRootCertificate": "CSMSRootCertificate",
    "ManufacturerRootCertificate": "ManufacturerRootCertificate",
}


@messages.answer("LogStatusNotification")
async def log_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """N01. Follows an upload of a log to its end."""
    return await progressed(ctx, TransferKind.LOG, payload)


@messages.answer("SecurityEventNotification")
async def security_event_notification(ctx: StationContext, payload: Payload) -> Payload:
    """A04. Keeps what the station said, with whether it is critical."""
    return await security_event(ctx, payload)


@messages.answer("SignedFirmwareStatusNotification")
async def signed_firmware_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """L01. Follows an update with signed firmware to its end."""
    return await progressed(ctx, TransferKind.FIRMWARE, payload)


@messages.answer("SignCertificate")
async def sign_certificate(ctx: StationContext, payload: Payload) -> Payload:
    """A02. Takes a CSR that is right; the operator's own authority signs it, and CertificateSigned follows."""
    return {"status": "Rejected" if await certificate_wanted(ctx, payload, Usage.STATION) else "Accepted"}


messages.plain("CertificateSigned", "A02. Hands the station its signed certificate.")


@messages.ask("DeleteCertificate")
def delete_certificate(asked: Asked) -> Iterator[Fact]:
    """M04. Removes an installed certificate."""
    yield from deleted(asked)


messages.plain("ExtendedTriggerMessage", "Asks the station to send a message now, the security ones included.")


@messages.ask("GetLog")
def ask_for_log(asked: Asked) -> Iterator[Fact]:
    """N01. Asks the station to upload a log."""
    yield from log_answered(asked)


@messages.ask("SignedUpdateFirmware")
def signed_update_firmware(asked: Asked) -> Iterator[Fact]:
    """L01. Asks the station to install signed firmware; an update under way may give way to it."""
    yield from firmware_answered(asked)


@messages.ask("GetInstalledCertificateIds")
def get_installed_certificate_ids(asked: Asked) -> Iterator[Fact]:
    """M03. Lists installed certificates of a type."""
    kind = _TYPES.get(text(asked.request, "certificateType"), "")
    hashes = [read_hash(data) for data in objects(asked.response, "certificateHashData")]
    found = [InstalledCertificate(certificate_type=kind, hash=one) for one in hashes if one is not None]
    yield from listed(asked, (kind,), found)


@messages.ask("InstallCertificate")
def install_certificate(asked: Asked) -> Iterator[Fact]:
    """M05. Installs a root certificate."""
    yield from installed(asked, _TYPES.get(text(asked.request, "certificateType"), ""))
