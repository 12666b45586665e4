"""Certificates as they come from outside: read, described, judged, and named by their hashes.

OCPP 2.0.1 part 2 A §1.4 (what a certificate must be), `CertificateHashDataType`; the security whitepaper says the same
for 1.6. Every text and every byte may be hostile: whatever cannot be read raises `CertificateUnusable`, a sentence.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

#: OCPP's names of hashes (HashAlgorithmEnumType).
HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}

LONGEST_PEM = 5500  # InstallCertificateRequest.certificate
LEAST_RSA_BITS = 2048  # A00.FR.501
LEAST_EC_BITS = 224  # A00.FR.502
_WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})


class CertificateUnusable(ValueError):
    """A certificate, a key or a request that cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateDescription:
    """What people are told of a certificate. Texts hold no NUL; numbers and prints are lower-case hex."""

    common_name: str  # empty where it has none, or several
    organisation: str
    issuer: str
    serial_number: str
    fingerprint: str  # SHA-256 over the DER
    not_before: datetime
    not_after: datetime
    key: str  # "EC secp256r1", "RSA 2048"
    signature_hash: str  # "sha256"; empty where the signature brings its own
    is_ca: bool
    self_signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHash:
    """OCPP's name of a certificate: CertificateHashDataType."""

    hash_algorithm: str  # SHA256 | SHA384 | SHA512
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str  # hex without leading zeros


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Say in a sentence that ``what`` cannot be read, whichever way the parser found out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will be refused one day is refused now
            yield
    except CertificateUnusable:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning) as error:
        raise CertificateUnusable(f"{what} cannot be read: it is damaged, or of an unknown kind.") from error
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CertificateUnusable(f"{what} has extensions that contradict themselves.") from error


def read_certificate(pem: str) -> x509.Certificate:
    """The one certificate in ``pem``. Raises `CertificateUnusable`."""
    found = read_chain(pem)
    if len(found) != 1:
        raise CertificateUnusable(f"The text holds {len(found)} certificates; send one certificate as PEM.")
    return found[0]


def read_chain(pem: str) -> list[x509.Certificate]:
    """The certificates in ``pem``, in order. Raises `CertificateUnusable`."""
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise CertificateUnusable("The text is no PEM certificate: it has to begin with -----BEGIN CERTIFICATE-----.")
    with reading("The certificate"):
        return x509.load_pem_x509_certificates(pem.encode())


def read_der(der: bytes) -> x509.Certificate:
    """The certificate in ``der``, as TLS hands it over. Raises `CertificateUnusable`."""
    with reading("The certificate"):
        return x509.load_der_x509_certificate(der)


def describe(certificate: x509.Certificate) -> CertificateDescription:
    """What people are told of it. Raises `CertificateUnusable`."""
    with reading("The certificate"):
        return CertificateDescription(
            common_name=name_part(certificate.subject, NameOID.COMMON_NAME),
            organisation=name_part(certificate.subject, NameOID.ORGANIZATION_NAME),
            issuer=name_part(certificate.issuer, NameOID.COMMON_NAME)
            or certificate.issuer.rfc4514_string().replace("\0", ""),
            serial_number=f"{certificate.serial_number:x}",
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            key=key_name(certificate.public_key()),
            signature_hash=_signature_hash(certificate),
            is_ca=is_ca(certificate),
            self_signed=is_self_signed(certificate),
        )


def name_part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """The value of an attribute that stands there once; else, or if it is no text, empty."""
    found = name.get_attributes_for_oid(oid)
    value = found[0].value if len(found) == 1 else ""
    return value.replace("\0", "") if isinstance(value, str) else ""


def key_name(key: object) -> str:
    """A public key's kind and size."""
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


def key_problem(key: object) -> str | None:
    """Why a public key is too weak (A00.FR.501, A00.FR.502); None if it is not."""
    match key:
        case rsa.RSAPublicKey():
            if key.key_size < LEAST_RSA_BITS:
                return f"its RSA key has {key.key_size} bits; use {LEAST_RSA_BITS} or more"
        case ec.EllipticCurvePublicKey():
            if key.curve.key_size < LEAST_EC_BITS:
                return f"its elliptic curve key has {key.curve.key_size} bits; use {LEAST_EC_BITS} or more"
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            pass
        case _:
            return f"its key is of the kind {key_name(key)}; use RSA or an elliptic curve"
    return None


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may issue certificates: basicConstraints, and keyUsage where it has one."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return constraints.ca
    return constraints.ca and usage.key_cert_sign


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed with its own key: a root."""
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def weakness(certificate: x509.Certificate, now: datetime) -> str | None:
    """Why nobody should rely on it now: its time, its key, its signature. None if all is well."""
    described = describe(certificate)
    if now < described.not_before:
        return f"it is not valid before {described.not_before:%Y-%m-%d %H:%M} UTC; check the clocks"
    if now >= described.not_after:
        return f"it expired on {described.not_after:%Y-%m-%d %H:%M} UTC; renew it"
    if described.signature_hash in _WEAK_HASHES:
        return f"it is signed with {described.signature_hash.upper()}; have it signed with SHA-256 or better"
    with reading("The certificate"):
        return key_problem(certificate.public_key())


def certificate_problem(
    certificate: x509.Certificate, *, names: Collection[str], organisation: str | None, now: datetime
) -> str | None:
    """Why this certificate does not prove that a station is who it says; None if it does.

    ``names``: what its CN may be: the station's serial number or its identity (A00.FR.405, 406). ``organisation``: what
    its O must be (A00.FR.404); None: whatever it is. The chain has been verified by TLS.
    """
    weak = weakness(certificate, now)
    if weak is not None:
        return f"the certificate is of no use: {weak}"
    described = describe(certificate)
    if not described.common_name or described.common_name not in names:
        return "the certificate is another station's: its CN is neither this station's serial number nor its identity"
    if organisation is not None and described.organisation != organisation:
        return f"the certificate is of another operator: its O is not {organisation!r}"
    return None


def trusted_root(pem: str, now: datetime, *, most: int = LONGEST_PEM) -> CertificateDescription:
    """A certificate that stations may be told to trust (InstallCertificate). Raises `CertificateUnusable`.

    ``most``: characters that the station's version takes.
    """
    if len(pem) > most:
        raise CertificateUnusable(f"The certificate has {len(pem)} characters; stations take {most} at most.")
    certificate = read_certificate(pem)
    described = describe(certificate)
    if not described.is_ca:
        raise CertificateUnusable("The certificate is no CA's: it may not issue others. Send the CA's certificate.")
    weak = weakness(certificate, now)
    if weak is not None:
        raise CertificateUnusable(f"The certificate is of no use: {weak}.")
    return described


def certificate_hash(
    certificate: x509.Certificate, issuer: x509.Certificate | None = None, hash_algorithm: str = "SHA256"
) -> CertificateHash:
    """OCPP's name of ``certificate``. ``issuer`` may be left out for a root. Raises `CertificateUnusable`."""
    if hash_algorithm not in HASHES:
        raise CertificateUnusable(f"Hashes are made with one of {', '.join(HASHES)}.")
    issued_by = issuer if issuer is not None else certificate
    with reading("The certificate"):
        if certificate.issuer != issued_by.subject:
            raise CertificateUnusable("The issuer's certificate is needed to name a certificate by its hashes.")
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issued_by, HASHES[hash_algorithm]).build()
        return CertificateHash(
            hash_algorithm=hash_algorithm,
            issuer_name_hash=asked.issuer_name_hash.hex(),
            issuer_key_hash=asked.issuer_key_hash.hex(),
            serial_number=f"{asked.serial_number:x}",
        )


def renewal_due(not_after: datetime, now: datetime, days_before: int) -> bool:
    """Whether a certificate ends within ``days_before`` days, or has ended."""
    return now >= not_after - timedelta(days=days_before)


def _signature_hash(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_hash_algorithm
    return algorithm.name if algorithm is not None else ""
