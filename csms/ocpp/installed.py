"""Installed certificates, as all versions say them; types are told in 2.x's words. OCPP 2.0.1 M03, M04, M05."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, obj, objects, text
from csms.ocpp.message import Asked
from csms.stations.certificate import (
    HASHES,
    CertificateHash,
    CertificateUnusable,
    certificate_hash,
    is_self_signed,
    read_certificate,
)
from csms.stations.installed_certificates import (
    CertificateDeleted,
    CertificateInstalled,
    CertificatesListed,
    InstalledCertificate,
)
from sessions.facts import Fact


def installed(asked: Asked, certificate_type: str) -> Iterator[Fact]:
    """What an answer to InstallCertificate means. Only a root can be named by its hashes without its issuer."""
    pem = text(asked.request, "certificate", 10_000)
    if text(asked.response, "status") != "Accepted":
        return
    try:
        certificate = read_certificate(pem)
        if not is_self_signed(certificate):
            return
        hashed = certificate_hash(certificate)
    except CertificateUnusable:
        return
    yield CertificateInstalled(
        key=asked.key("certificate-installed"),
        at=asked.now,
        station_id=asked.station_id,
        certificate=InstalledCertificate(certificate_type=certificate_type, hash=hashed),
        certificate_pem=pem,
    )


def deleted(asked: Asked) -> Iterator[Fact]:
    """What an answer to DeleteCertificate means."""
    hashed = read_hash(obj(asked.request, "certificateHashData"))
    if hashed is not None and text(asked.response, "status") in {"Accepted", "NotFound"}:
        yield CertificateDeleted(
            key=asked.key("certificate-deleted"), at=asked.now, station_id=asked.station_id, hash=hashed
        )


def listed(asked: Asked, types: tuple[str, ...], certificates: list[InstalledCertificate]) -> Iterator[Fact]:
    """What an answer to GetInstalledCertificateIds means; NotFound is an empty list."""
    if text(asked.response, "status") in {"Accepted", "NotFound"}:
        yield CertificatesListed(
            key=asked.key("certificates-listed"),
            at=asked.now,
            station_id=asked.station_id,
            types=types,
            certificates=tuple(certificates),
        )


def chains(response: Payload) -> list[InstalledCertificate]:
    """2.x's CertificateHashDataChainType, as far as it can be read."""
    found = []
    for chain in objects(response, "certificateHashDataChain"):
        hashed, kind = read_hash(obj(chain, "certificateHashData")), text(chain, "certificateType", 40)
        if hashed is not None and kind:
            below = [read_hash(child) for child in objects(chain, "childCertificateHashData")[:4]]
            children = tuple(child for child in below if child is not None)
            found.append(InstalledCertificate(certificate_type=kind, hash=hashed, children=children))
    return found


def read_hash(data: Payload) -> CertificateHash | None:
    """CertificateHashDataType; None if a part is missing or unknown."""
    algorithm = text(data, "hashAlgorithm", 6)
    name, key = text(data, "issuerNameHash", 128), text(data, "issuerKeyHash", 128)
    serial = text(data, "serialNumber", 40)
    if algorithm not in HASHES or not (name and key and serial):
        return None
    return CertificateHash(hash_algorithm=algorithm, issuer_name_hash=name, issuer_key_hash=key, serial_number=serial)
