"""Certificates for tests: authorities, servers' pairs, stations' good and bad ones. Made once a process.

Times are real time's: OpenSSL asks the machine's clock.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
OPERATOR = "Operator AS"
IDENTITY = "CS1"


def name(common_name: str | None, organisation: str | None = OPERATOR) -> x509.Name:
    """A subject."""
    parts = [(NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value is not None])


def pem_of(key: Key) -> str:
    """A private key as PEM, without encryption."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """The one RSA key of this size: making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A new key, by default on P-256."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def signing_request(key: Key, subject: x509.Name) -> str:
    """A CSR as PEM."""
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def weakly_signed(pair: Pair) -> bytes:
    """The DER of an RSA authority's certificate that says it is signed with SHA-1."""
    sha_256, sha_1 = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    assert pair.der.count(sha_256) == 2
    return pair.der.replace(sha_256, sha_1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key; both also as files."""

    certificate: x509.Certificate
    key: Key
    issuer: Pair | None = None
    chain: tuple[x509.Certificate, ...] = ()  # what stands above it, where its peer does not know it

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def files(self) -> tuple[Path, Path]:
        """The certificate's file and the key's."""
        folder = Path(tempfile.mkdtemp(prefix="tapvolt-pki-", dir=_folder()))
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        above = [one.public_bytes(Encoding.PEM).decode() for one in self.chain]
        certificate.write_text("".join((self.pem, *above)), encoding="ascii")
        key.write_text(pem_of(self.key), encoding="ascii")
        return certificate, key

    def issue(
        self,
        common_name: str | None = IDENTITY,
        *,
        organisation: str | None = OPERATOR,
        subject: x509.Name | None = None,
        key: Key | None = None,
        begins: datetime = NOW - DAY,
        ends: datetime = NOW + 365 * DAY,
        server: bool = False,
        ca: bool = False,
        responder: str | None = None,
    ) -> Pair:
        """Have this authority sign a certificate, good or bad. ``responder``: address of its OCSP responder."""
        return _issue(
            self,
            subject or name(common_name, organisation),
            key or ec_key(),
            (begins, ends),
            server=server,
            ca=ca,
            responder=responder,
        )


def root(common_name: str = "Test root", *, key: Key | None = None) -> Pair:
    """A new authority of its own."""
    return _issue(None, name(common_name), key or ec_key(), (NOW - 2 * DAY, NOW + 3650 * DAY), ca=True)


def client_context(
    trusted: Pair,
    pair: Pair | None = None,
    *,
    ciphers: str | None = None,
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
    weak: bool = False,
) -> ssl.SSLContext:
    """How a station connects. ``weak``: it also sends what no station should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted.pem)
    if versions is not None:
        context.minimum_version, context.maximum_version = versions
    if ciphers is not None or weak:
        context.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL={0 if weak else 2}")
    if pair is not None:
        context.load_cert_chain(*pair.files)
    return context


class Pki:
    """The authorities and pairs that most tests want."""

    def __init__(self) -> None:
        self.root = root()
        self.stranger = root("Another root")

    @cached_property
    def server_ec(self) -> Pair:
        """The central system's ECDSA pair, for 127.0.0.1."""
        return self.root.issue("localhost", server=True)

    @cached_property
    def server_rsa(self) -> Pair:
        """The central system's RSA pair, for 127.0.0.1."""
        return self.root.issue("localhost", key=rsa_key(), server=True)

    @cached_property
    def station(self) -> Pair:
        """A good one."""
        return self.root.issue()

    @cached_property
    def wrong_stations(self) -> dict[str, Pair]:
        """Bad ones by what is wrong with them."""
        return {
            "expired": self.root.issue(begins=NOW - 20 * DAY, ends=NOW - DAY),
            "not yet valid": self.root.issue(begins=NOW + DAY),
            "other CA": self.stranger.issue(),
            "other identity": self.root.issue("CS2"),
            "other operator": self.root.issue(organisation="Somebody else"),
            "no name": self.root.issue(None),
            "RSA 1024": self.root.issue(key=rsa_key(1024)),
            "EC 192": self.root.issue(key=ec_key(ec.SECP192R1())),
            "not for clients": self.root.issue(server=True),
        }


@cache
def pki() -> Pki:
    """The one of this process."""
    return Pki()


@cache
def _folder() -> str:
    return tempfile.mkdtemp(prefix="tapvolt-pki-")


def _issue(
    issuer: Pair | None,
    subject: x509.Name,
    key: Key,
    valid: Sequence[datetime],
    *,
    server: bool = False,
    ca: bool = False,
    responder: str | None = None,
) -> Pair:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if responder is not None:
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    if server:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key, issuer)
