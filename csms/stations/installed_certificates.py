"""Certificates that stations say they have installed: roots, and chains below them. OCPP 2.0.1 M03 to M05."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.certificate import CertificateHash
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import upsert
from storage import certificate_schema as t

#: Of a report, at most.
MOST = 200
_KEY = ("station_id", "certificate_type", "hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCertificate:
    """A certificate at a station. ``certificate_type``: 2.x's GetCertificateIdUseEnumType."""

    certificate_type: str
    hash: CertificateHash
    children: tuple[CertificateHash, ...] = ()


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesListed(StationFact):
    """The station's whole list of these types; of all types, where none is named."""

    types: tuple[str, ...]
    certificates: tuple[InstalledCertificate, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInstalled(StationFact):
    """The station took a root."""

    certificate: InstalledCertificate
    certificate_pem: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateDeleted(StationFact):
    """The station has it no more, or never had it."""

    hash: CertificateHash


async def keep_listed(connection: AsyncConnection, found: Sequence[CertificatesListed], now: datetime) -> list[Command]:
    """Replace what was known of these types; PEM texts that were installed from here stay."""
    c = t.installed_certificates.c
    for fact in found:
        mine = [c.station_id == fact.station_id]
        if fact.types:
            mine.append(c.certificate_type.in_(fact.types))
        known = (await connection.execute(select(t.installed_certificates).where(*mine))).all()
        pems = {tuple(getattr(row, name) for name in _KEY): row.certificate_pem for row in known}
        await connection.execute(delete(t.installed_certificates).where(*mine))
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for certificate in fact.certificates[:MOST]:
            row = _row(fact.station_id, certificate, None, now)
            key = tuple(row[name] for name in _KEY)
            rows[key] = row | {"certificate_pem": pems.get(key)}
        if rows:
            await upsert(connection, t.installed_certificates, list(_KEY), list(rows.values()))
    return []


async def keep_installed(
    connection: AsyncConnection, found: Sequence[CertificateInstalled], now: datetime
) -> list[Command]:
    """Write the roots."""
    for fact in found:
        row = _row(fact.station_id, fact.certificate, fact.certificate_pem, now)
        await upsert(connection, t.installed_certificates, list(_KEY), [row])
    return []


async def keep_deleted(
    connection: AsyncConnection, found: Sequence[CertificateDeleted], now: datetime
) -> list[Command]:
    """Forget them, whichever type they were of."""
    c = t.installed_certificates.c
    for fact in found:
        same = [c.station_id == fact.station_id, c.hash_algorithm == fact.hash.hash_algorithm]
        hashes = ("issuer_name_hash", "issuer_key_hash", "serial_number")  # kept in lower case
        same += [c[name] == getattr(fact.hash, name).lower() for name in hashes]
        await connection.execute(delete(t.installed_certificates).where(*same))
    return []


KEEPERS = {
    CertificatesListed: (keep_listed,),
    CertificateInstalled: (keep_installed,),
    CertificateDeleted: (keep_deleted,),
}


def _row(station_id: str, certificate: InstalledCertificate, pem: str | None, now: datetime) -> dict[str, Any]:
    return {
        "station_id": station_id,
        "certificate_type": certificate.certificate_type[:40],
        "hash_algorithm": certificate.hash.hash_algorithm[:6],
        "issuer_name_hash": certificate.hash.issuer_name_hash[:128].lower(),
        "issuer_key_hash": certificate.hash.issuer_key_hash[:128].lower(),
        "serial_number": certificate.hash.serial_number[:40].lower(),
        "children": orjson.dumps([asdict(child) for child in certificate.children]).decode(),
        "certificate_pem": pem,
        "reported_at": now,
    }
