"""Asking an OCSP responder how a certificate stands, for stations that cannot reach it (2.0.1 M06, RFC 6960).

The address comes from a station, or from a certificate that it was shown: it is not trusted. Only http and https, no
redirects, no addresses inside the operator's own network unless the operator allows it, a time-out and a size limit.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from yarl import URL

from csms.stations.certificate import HASHES, CertificateUnusable, reading

_SERIAL = re.compile("[0-9a-fA-F]{1,40}")

LARGEST_ANSWER = 12_000  # bytes; in base64 it has to fit what the version's message may carry
TIMEOUT_S = 8.0


class OcspUnanswered(Exception):
    """Nobody said how the certificate stands; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspQuestion:
    """OCPP's OCSPRequestDataType: a certificate by its issuer's hashes and its number, and whom to ask."""

    hash_algorithm: str  # SHA256 | SHA384 | SHA512
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str  # hex
    responder_url: str


def request_der(question: OcspQuestion) -> bytes:
    """The OCSP request. Raises `OcspUnanswered` for hashes that are none."""
    if question.hash_algorithm not in HASHES:
        raise OcspUnanswered(f"hashAlgorithm is none of {', '.join(HASHES)}")
    try:
        if not _SERIAL.fullmatch(question.serial_number):
            raise ValueError
        name, key = (bytes.fromhex(text) for text in (question.issuer_name_hash, question.issuer_key_hash))
        serial = int(question.serial_number, 16)
        algorithm = HASHES[question.hash_algorithm]
        built = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, serial, algorithm).build()
    except (ValueError, TypeError, OverflowError):
        raise OcspUnanswered(
            "the certificate's hashes or its serial number are no hexadecimal of that length"
        ) from None
    return built.public_bytes(Encoding.DER)


async def ask(
    question: OcspQuestion, *, allow_private: bool = False, most_characters: int = 5500, timeout_s: float = TIMEOUT_S
) -> str:
    """The responder's answer as base64 DER, for the station to verify. Raises `OcspUnanswered`.

    ``allow_private``: also addresses that are not public. ``most_characters``: what the station takes.
    """
    request = request_der(question)
    url = _address(question.responder_url, allow_private=allow_private)
    der = await _post(url, request, allow_private=allow_private, timeout_s=timeout_s)
    _judge(der, question)
    encoded = base64.b64encode(der).decode()
    if len(encoded) > most_characters:
        raise OcspUnanswered("the responder's answer is longer than a station takes")
    return encoded


def _judge(der: bytes, question: OcspQuestion) -> None:
    """Whether it is an answer to the question. Whether it is true, the station sees by its signature."""
    try:
        with reading("The answer"):
            answer = ocsp.load_der_ocsp_response(der)
            if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                raise OcspUnanswered(f"the responder refused: {answer.response_status.name.lower()}")
            numbers = {single.serial_number for single in answer.responses}
    except CertificateUnusable:
        raise OcspUnanswered("the responder's answer is no OCSP response") from None
    if int(question.serial_number, 16) not in numbers:
        raise OcspUnanswered("the responder answered for another certificate")


def _address(text: str, *, allow_private: bool) -> URL:
    try:
        url = URL(text)
        port = url.port
    except (ValueError, TypeError):
        raise OcspUnanswered("responderURL is no address") from None
    if url.scheme not in {"http", "https"} or not url.host or not port:
        raise OcspUnanswered("responderURL is no http or https address")
    if url.user or url.password:
        raise OcspUnanswered("responderURL holds a user or a password")
    if not allow_private and _literal(url.host) and not is_public(url.host):
        raise OcspUnanswered(_PRIVATE)
    return url


_PRIVATE = "responderURL leads to an address that is not public; allow those in the settings if it is meant"


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where an IPv6 address wraps one of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is not None:
            return wrapped.is_global and not wrapped.is_multicast
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF).is_global
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class _PublicOnly(AbstractResolver):
    """Resolves names once, and connects to nothing else: what was looked at is what is called."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `OcspUnanswered` if one of its addresses is not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(entry["host"]) for entry in found):
            raise OcspUnanswered(_PRIVATE)
        return found

    async def close(self) -> None:
        """Nothing is held."""


async def _post(url: URL, request: bytes, *, allow_private: bool, timeout_s: float) -> bytes:
    connector = TCPConnector(resolver=None if allow_private else _PublicOnly(), limit=1)
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    try:
        async with (
            ClientSession(connector=connector, timeout=ClientTimeout(total=timeout_s), auto_decompress=False) as http,
            http.post(url, data=request, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise OcspUnanswered(f"the responder answered with HTTP {answer.status}")
            body = await answer.content.read(LARGEST_ANSWER + 1)
            while len(body) <= LARGEST_ANSWER and (more := await answer.content.read(LARGEST_ANSWER + 1)):
                body += more
    except (TimeoutError, ClientError, OSError, ValueError) as error:
        what = "in time" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
        raise OcspUnanswered(f"the responder did not answer {what}") from None
    if len(body) > LARGEST_ANSWER:
        raise OcspUnanswered("the responder's answer is too long")
    return body
