"""The operator's own certificate authority: a root, an issuing CA below it, and what it signs for stations.

Pure functions over PEM text; who calls them keeps what they return. Private keys only leave here encrypted. OCPP 2.0.1
part 2 A02 (a station asks for a certificate), A00.FR.404 to 512 (what it must look like).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csms.stations.certificate import CertificateUnusable, key_problem, name_part, read_certificate, reading

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
KeyKind = Literal["EC", "RSA"]

LONGEST_REQUEST = 5500  # SignCertificateRequest.csr
LEAST_PASSPHRASE = 16
_CLOCK_SKEW = timedelta(hours=1)  # a station whose clock is late must not find its new certificate in the future
_YEAR = timedelta(days=365)


class Usage(StrEnum):
    """What a station's certificate is for (CertificateSigningUseEnumType)."""

    STATION = "ChargingStationCertificate"  # towards this system
    V2G = "V2GCertificate"  # towards cars, ISO 15118
    BOTH = "Both"


_EXTENDED = {
    Usage.STATION: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Usage.V2G: (ExtendedKeyUsageOID.SERVER_AUTH,),
    Usage.BOTH: (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
}


class RequestRefused(Exception):
    """A station's request for a certificate that is not signed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The root and the issuing CA, PEM. The keys are encrypted with the passphrase of the settings."""

    root_pem: str
    root_key_pem: str  # needed only to make another issuing CA
    issuing_pem: str
    issuing_key_pem: str

    def __repr__(self) -> str:
        return "Authority(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A signed certificate. ``chain_pem``: it, then the issuing CA: what CertificateSigned takes."""

    certificate_pem: str
    chain_pem: str
    serial_number: str  # hex
    common_name: str
    not_after: datetime


def make_authority(
    operator: str,
    passphrase: str,
    now: datetime,
    *,
    kind: KeyKind = "EC",
    root_years: int = 20,
    issuing_years: int = 10,
) -> Authority:
    """A new root and an issuing CA of ``operator``. ValueError for a passphrase shorter than 16 characters."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise ValueError(f"the passphrase of the authority's keys must have {LEAST_PASSPHRASE} characters or more")
    root_key, issuing_key = _new_key(kind), _new_key(kind)
    root_name, issuing_name = (_ca_name(operator, what) for what in ("Stations Root CA", "Stations Issuing CA"))
    begins = now - _CLOCK_SKEW
    root = _ca(root_name, root_key, root_name, root_key, (begins, now + root_years * _YEAR), path_length=1)
    issuing = _ca(issuing_name, issuing_key, root_name, root_key, (begins, now + issuing_years * _YEAR), path_length=0)
    return Authority(
        root_pem=_pem(root),
        root_key_pem=_encrypted(root_key, passphrase),
        issuing_pem=_pem(issuing),
        issuing_key_pem=_encrypted(issuing_key, passphrase),
    )


def sign_request(
    authority: Authority,
    passphrase: str,
    csr_pem: str,
    *,
    names: Collection[str],
    organisation: str | None,
    valid_days: int,
    now: datetime,
    usage: Usage = Usage.STATION,
) -> Issued:
    """Sign a station's request. Raises `RequestRefused`; `CertificateUnusable` if the authority cannot be used.

    ``names``: what its CN may be; ``organisation``: what its O must be, None for whatever it is. Of the request only
    the subject and the key are taken: extensions are ours to give.
    """
    request = check_request(csr_pem, names=names, organisation=organisation)
    subject, key = request.subject, request.public_key()
    common_name = name_part(subject, NameOID.COMMON_NAME)
    issuing, issuing_key = read_certificate(authority.issuing_pem), open_key(authority.issuing_key_pem, passphrase)
    if now >= issuing.not_valid_after_utc:
        raise CertificateUnusable("The issuing CA has expired: make a new one.")
    not_after = min(now + timedelta(days=valid_days), issuing.not_valid_after_utc).replace(microsecond=0)
    serial = x509.random_serial_number()
    with _refusing():
        made = (
            _builder(subject, issuing.subject, key, serial, (now - _CLOCK_SKEW, not_after), issuing_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_EXTENDED[usage]), critical=False)
            .sign(issuing_key, hashes.SHA256())
        )
    certificate_pem = _pem(made)
    return Issued(
        certificate_pem=certificate_pem,
        chain_pem=certificate_pem + authority.issuing_pem,
        serial_number=f"{serial:x}",
        common_name=common_name,
        not_after=not_after,
    )


def check_request(csr_pem: str, *, names: Collection[str], organisation: str | None) -> x509.CertificateSigningRequest:
    """A request that may be signed; see `sign_request`. Raises `RequestRefused`."""
    request = read_request(csr_pem)
    with _refusing():
        subject = request.subject
        common_name = name_part(subject, NameOID.COMMON_NAME)
        problem = key_problem(request.public_key())
    if problem is not None:
        raise RequestRefused(f"The request cannot be signed: {problem}.")
    if not common_name or common_name not in names:
        raise RequestRefused("The request's CN is neither this station's serial number nor its identity.")
    if organisation is not None and name_part(subject, NameOID.ORGANIZATION_NAME) != organisation:
        raise RequestRefused(f"The request's O is not {organisation!r}: set the operator's name at the station.")
    return request


def read_request(csr_pem: str) -> x509.CertificateSigningRequest:
    """A station's CSR whose signature proves that it has the key. Raises `RequestRefused`."""
    if len(csr_pem) > LONGEST_REQUEST:
        raise RequestRefused(f"The request has more than {LONGEST_REQUEST} characters.")
    if "-----BEGIN" not in csr_pem:
        raise RequestRefused("The request is no PEM: it has to begin with -----BEGIN CERTIFICATE REQUEST-----.")
    with _refusing():
        request = x509.load_pem_x509_csr(csr_pem.encode())
        proven = request.is_signature_valid
    if not proven:
        raise RequestRefused("The request is not signed with the key that it names.")
    return request


@contextmanager
def _refusing() -> Iterator[None]:
    """What cannot be read in a request is a refusal of it."""
    try:
        with reading("The request"):
            yield
    except CertificateUnusable as error:
        raise RequestRefused(str(error)) from None


def _new_key(kind: KeyKind) -> Key:
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return ec.generate_private_key(ec.SECP256R1())


def _ca_name(operator: str, what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, operator[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{operator[:40]} {what}"),
        ]
    )


def _ca(
    name: x509.Name, key: Key, issuer: x509.Name, issuer_key: Key, valid: tuple[datetime, datetime], *, path_length: int
) -> x509.Certificate:
    return (
        _builder(name, issuer, key.public_key(), x509.random_serial_number(), valid, issuer_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: object, serial: int, valid: tuple[datetime, datetime], issuer_key: Key
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(serial)
        .not_valid_before(valid[0].replace(microsecond=0))
        .not_valid_after(valid[1].replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)  # type: ignore[arg-type]
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(**bits: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _encrypted(key: Key, passphrase: str) -> str:
    encryption = BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def open_key(key_pem: str, passphrase: str) -> Key:
    """The authority's private key. Raises `CertificateUnusable` if the passphrase does not open it."""
    try:
        key = load_pem_private_key(key_pem.encode(), passphrase.encode())
    except (ValueError, TypeError):
        raise CertificateUnusable(
            "The authority's key cannot be opened: the passphrase is not the one it has."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateUnusable("The authority's key is of an unknown kind.")
    return key
