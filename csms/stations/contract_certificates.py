"""Contract certificates of cars (ISO 15118, Plug & Charge): whether one stands, and where new ones come from.

OCPP 2.0.1 C07 (authorising with one), M01 and M02 (a car gets or renews one). Here, unlike for a station that verifies
by itself, an OCSP answer counts only if it is signed below a root that the operator trusts.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from csms.stations.certificate import (
    CertificateUnusable,
    certificate_hash,
    is_ca,
    name_part,
    read_chain,
    reading,
)
from csms.stations.ocsp import OcspQuestion, OcspUnanswered, ask

ACCEPTED = "Accepted"  # and the other words of AuthorizeCertificateStatusEnumType
REVOKED = "CertificateRevoked"
EXPIRED = "CertificateExpired"
SIGNATURE = "SignatureError"
CHAIN = "CertChainError"
NONE = "NoCertificateAvailable"

_PROVIDER_TIMEOUT_S = 20.0
_LONGEST_CHAIN = 5
_OCSP_AGE = timedelta(days=7)  # an answer that names no next update


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOptions:
    """``roots``: of mobility operators, trusted. ``provider_url``: who issues contract certificates; empty: nobody."""

    roots: tuple[x509.Certificate, ...] = ()
    provider_url: str = ""
    provider_token: str = field(default="", repr=False)
    allow_private: bool = False


async def hashes_standing(questions: Sequence[OcspQuestion], options: ContractOptions, now: datetime) -> str:
    """How certificates stand that the station has verified and names by their hashes (C07.FR.02)."""
    if not options.roots or not questions:
        return NONE
    for question in questions:
        standing = await _standing(question, options, now, ())
        if standing != ACCEPTED:
            return standing
    return ACCEPTED


async def chain_standing(pem: str, emaid: str, options: ContractOptions, now: datetime) -> str:
    """How a contract certificate with its chain stands, verified here (C07.FR.05). Its CN must be the ``emaid``."""
    if not options.roots:
        return NONE
    try:
        chain = read_chain(pem)
    except CertificateUnusable:
        return SIGNATURE
    if not chain or len(chain) > _LONGEST_CHAIN:
        return CHAIN
    if any(not c.not_valid_before_utc <= now < c.not_valid_after_utc for c in chain):
        return EXPIRED
    above = _issuers(chain[0], chain[1:], options.roots)
    if not above:
        return CHAIN
    if _plain(name_part(chain[0].subject, NameOID.COMMON_NAME)) != _plain(emaid):
        return CHAIN
    # The root vouches for itself; whoever names a responder is asked about.
    for certificate, issuer in zip([chain[0], *above], above, strict=False):
        url = _responder(certificate)
        if url is not None and certificate not in options.roots:
            named = certificate_hash(certificate, issuer)
            question = OcspQuestion(
                hash_algorithm=named.hash_algorithm,
                issuer_name_hash=named.issuer_name_hash,
                issuer_key_hash=named.issuer_key_hash,
                serial_number=named.serial_number,
                responder_url=url,
            )
            standing = await _standing(question, options, now, tuple(above))
            if standing != ACCEPTED:
                return standing
    return ACCEPTED


async def from_provider(request: dict[str, Any], options: ContractOptions, longest: int) -> str:
    """The provider's exiResponse to a car's exiRequest. ValueError with why there is none."""
    if not options.provider_url:
        raise ValueError("no provider of contract certificates is known here")
    headers = {"Content-Type": "application/json"}
    if options.provider_token:
        headers["Authorization"] = f"Bearer {options.provider_token}"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_PROVIDER_TIMEOUT_S)) as http,
            http.post(
                options.provider_url, data=orjson.dumps(request), headers=headers, allow_redirects=False
            ) as answer,
        ):
            body = await answer.content.read(longest * 2 + 1000)
            if answer.status != 200:
                raise ValueError(f"the provider answered with HTTP {answer.status}")
    except (ClientError, OSError) as error:
        raise ValueError(f"the provider did not answer ({type(error).__name__})") from None
    try:
        given = orjson.loads(body)["exiResponse"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        given = None
    if not isinstance(given, str) or not given or len(given) > longest:
        raise ValueError("the provider's answer holds no exiResponse that a station takes")
    return given


async def _standing(
    question: OcspQuestion, options: ContractOptions, now: datetime, known: tuple[x509.Certificate, ...]
) -> str:
    try:
        der = base64.b64decode(
            await ask(question, allow_private=options.allow_private, most_characters=16_000, timeout_s=5)
        )
        with reading("The answer"):
            answer = ocsp.load_der_ocsp_response(der)
            (single,) = [one for one in answer.responses if one.serial_number == int(question.serial_number, 16)]
            same = (
                single.issuer_key_hash.hex() == question.issuer_key_hash.lower()
                and single.issuer_name_hash.hex() == question.issuer_name_hash.lower()
            )
            until = single.next_update_utc or single.this_update_utc + _OCSP_AGE
            trusted = same and now < until and _signed(answer, question, (*answer.certificates, *known), options.roots)
            status = single.certificate_status
    except (OcspUnanswered, CertificateUnusable, ValueError):
        return CHAIN
    if not trusted:
        return SIGNATURE
    return {ocsp.OCSPCertStatus.GOOD: ACCEPTED, ocsp.OCSPCertStatus.REVOKED: REVOKED}.get(status, CHAIN)


def _signed(
    answer: ocsp.OCSPResponse,
    question: OcspQuestion,
    given: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> bool:
    """Whether the certificate's own issuer signed it, or a responder that the issuer named (RFC 6960 §4.2.2.2)."""
    for signer in (*given, *roots):
        if not _verifies(signer, answer):
            continue
        if _is_issuer(signer, question):
            return signer in roots or bool(_issuers(signer, given, roots))
        above = _issuers(signer, given, roots)
        if above and _is_issuer(above[0], question) and _may_sign_ocsp(signer):
            return True
    return False


def _is_issuer(certificate: x509.Certificate, question: OcspQuestion) -> bool:
    """Whether it is the CA that the question's hashes name."""
    digest = x509.ocsp.OCSPRequestBuilder().add_certificate(certificate, certificate, _HASHES[question.hash_algorithm])
    return is_ca(certificate) and digest.build().issuer_key_hash.hex() == question.issuer_key_hash.lower()


_HASHES: dict[str, Any] = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}


def _may_sign_ocsp(certificate: x509.Certificate) -> bool:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in uses


def _verifies(signer: x509.Certificate, answer: ocsp.OCSPResponse) -> bool:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    if algorithm is None:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), cast(Any, algorithm))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _issuers(
    certificate: x509.Certificate, given: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """The CAs above it up to a trusted root; empty if none is reached."""
    found: list[x509.Certificate] = []
    below = certificate
    for _ in range(_LONGEST_CHAIN):
        root = next((one for one in roots if _issued(below, one)), None)
        if root is not None:
            return [*found, root]
        ca = next((one for one in given if one not in (*found, below) and _issued(below, one)), None)
        if ca is None:
            return []
        found.append(ca)
        below = ca
    return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        return is_ca(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False


def _responder(certificate: x509.Certificate) -> str | None:
    try:
        told = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None
    for access in told:
        if access.access_method == AuthorityInformationAccessOID.OCSP:
            value = access.access_location.value
            return value if isinstance(value, str) else None
    return None


def _plain(emaid: str) -> str:
    """An eMAID without the separators that may be left out (ISO 15118-2 annex H)."""
    return emaid.replace("-", "").upper()
