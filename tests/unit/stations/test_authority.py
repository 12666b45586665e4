"""The operator's own authority: what it signs, what it refuses to sign, and that its keys stay shut."""

from __future__ import annotations

import base64
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from csms.stations.authority import (
    Authority,
    Issued,
    KeyKind,
    RequestRefused,
    Usage,
    make_authority,
    read_request,
    sign_request,
)
from csms.stations.certificate import (
    CertificateUnusable,
    certificate_problem,
    describe,
    read_certificate,
    read_chain,
    trusted_root,
)
from tests.pki import DAY, IDENTITY, NOW, OPERATOR, ec_key, name, rsa_key, signing_request

PASSPHRASE = "a-passphrase-of-the-settings"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority(OPERATOR, PASSPHRASE, NOW)


def sign(authority: Authority, csr: str, **changed: object) -> Issued:
    given = {"names": [IDENTITY, "SN-1"], "organisation": OPERATOR, "valid_days": 400, "now": NOW} | changed
    return sign_request(authority, PASSPHRASE, csr, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_an_authority_is_a_root_and_an_issuing_ca(kind: KeyKind) -> None:
    made = make_authority(OPERATOR, PASSPHRASE, NOW, kind=kind)
    root = trusted_root(made.root_pem, NOW)
    assert (root.self_signed, root.organisation) == (True, OPERATOR)
    assert root.key == {"EC": "EC secp256r1", "RSA": "RSA 3072"}[kind]
    issuing = read_certificate(made.issuing_pem)
    issuing.verify_directly_issued_by(read_certificate(made.root_pem))
    assert describe(issuing).is_ca
    constraints = issuing.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.path_length == 0


def test_keys_are_encrypted_and_never_shown(authority: Authority) -> None:
    for pem in (authority.root_key_pem, authority.issuing_key_pem):
        assert pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert "KEY" not in repr(authority)
    with pytest.raises(CertificateUnusable, match="the passphrase is not the one it has"):
        sign_request(
            authority,
            "another-passphrase",
            signing_request(ec_key(), name(IDENTITY)),
            names=[IDENTITY],
            organisation=None,
            valid_days=1,
            now=NOW,
        )
    with pytest.raises(ValueError, match="16 characters or more"):
        make_authority(OPERATOR, "short", NOW)


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_request_is_signed(authority: Authority, kind: str) -> None:
    """A02: the station's key under our name for it, for clients, no longer than asked."""
    key = ec_key() if kind == "EC" else rsa_key()
    issued = sign(authority, signing_request(key, name("SN-1")))
    leaf, issuing = read_chain(issued.chain_pem)
    leaf.verify_directly_issued_by(issuing)
    assert issuing == read_certificate(authority.issuing_pem)
    forms = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert leaf.public_key().public_bytes(*forms) == key.public_key().public_bytes(*forms)
    assert certificate_problem(leaf, names=["SN-1"], organisation=OPERATOR, now=NOW) is None
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (NOW - timedelta(hours=1), NOW + 400 * DAY)
    assert issued.not_after == leaf.not_valid_after_utc
    assert issued.serial_number == f"{leaf.serial_number:x}"
    assert len(issued.serial_number) <= 40  # CertificateHashDataType.serialNumber
    assert len(issued.chain_pem) <= 10_000  # CertificateSignedRequest.certificateChain
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    assert not describe(leaf).is_ca
    own = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    above = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    assert above.key_identifier == issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_openssl_trusts_the_chain(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=authority.root_pem + authority.issuing_pem)
    assert len(context.get_ca_certs()) == 2


@pytest.mark.parametrize(
    ("usage", "client", "server"), [(Usage.STATION, True, False), (Usage.V2G, False, True), (Usage.BOTH, True, True)]
)
def test_a_certificate_is_for_what_was_asked(authority: Authority, usage: Usage, client: bool, server: bool) -> None:
    """TC_A_12, TC_A_13."""
    issued = sign(authority, signing_request(ec_key(), name(IDENTITY)), usage=usage)
    extended = read_certificate(issued.certificate_pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in extended, ExtendedKeyUsageOID.SERVER_AUTH in extended) == (
        client,
        server,
    )


def test_two_certificates_have_two_numbers(authority: Authority) -> None:
    csr = signing_request(ec_key(), name(IDENTITY))
    assert sign(authority, csr).serial_number != sign(authority, csr).serial_number


def test_nothing_outlives_the_issuing_ca() -> None:
    short = make_authority(OPERATOR, PASSPHRASE, NOW, issuing_years=1)
    csr = signing_request(ec_key(), name(IDENTITY))
    assert sign(short, csr).not_after == NOW + 365 * DAY
    with pytest.raises(CertificateUnusable, match="issuing CA has expired"):
        sign(short, csr, now=NOW + 366 * DAY)


def test_extensions_of_a_request_are_not_ours(authority: Authority) -> None:
    """A station must not make itself a CA, or take another host's name."""
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name(IDENTITY))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("csms.example.org")]), critical=False)
    )
    csr = asked.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    leaf = read_certificate(sign(authority, csr).certificate_pem)
    assert not describe(leaf).is_ca
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


# --- what is not signed -----------------------------------------------------------------------------------------------


def _forged() -> str:
    """Another station's key under this one's name: the signature is not of the key."""
    der = x509.load_pem_x509_csr(signing_request(ec_key(), name(IDENTITY)).encode()).public_bytes(Encoding.DER)
    damaged = der[:-4] + bytes(255 - byte for byte in der[-4:])
    return x509.load_der_x509_csr(damaged).public_bytes(Encoding.PEM).decode()


TWO_NAMES = x509.Name(
    [*name(IDENTITY), x509.NameAttribute(NameOID.COMMON_NAME, "CS2"), x509.NameAttribute(NameOID.COUNTRY_NAME, "NO")]
)


@pytest.mark.parametrize(
    ("csr", "said"),
    [
        (lambda: signing_request(ec_key(), name("CS2")), "CN is neither this station's serial number nor its identity"),
        (lambda: signing_request(ec_key(), name(None)), "CN is neither"),
        (lambda: signing_request(ec_key(), TWO_NAMES), "CN is neither"),
        (lambda: signing_request(ec_key(), name(IDENTITY, "Other")), "O is not 'Operator AS'"),
        (lambda: signing_request(ec_key(), name(IDENTITY, None)), "O is not 'Operator AS'"),
        (lambda: signing_request(rsa_key(1024), name(IDENTITY)), "1024 bits; use 2048 or more"),
        (lambda: signing_request(ec_key(ec.SECP192R1()), name(IDENTITY)), "192 bits; use 224 or more"),
        (_forged, "not signed with the key that it names"),
        (lambda: "", "is no PEM"),
        (lambda: "-----BEGIN CERTIFICATE REQUEST-----", "cannot be read"),
        (lambda: signing_request(ec_key(), name(IDENTITY))[:200], "cannot be read"),
        (lambda: "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 6000, "more than 5500 characters"),
    ],
)
def test_what_is_wrong_is_refused(authority: Authority, csr: object, said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        sign(authority, csr())  # type: ignore[operator]


GOOD_DER = x509.load_pem_x509_csr(signing_request(ec_key(), name(IDENTITY)).encode()).public_bytes(Encoding.DER)


@given(position=st.integers(0, len(GOOD_DER) - 1), bits=st.integers(1, 255))
def test_damaged_requests_are_refused(position: int, bits: int) -> None:
    """One bit anywhere, and the signature is wrong, or nothing can be read."""
    der = bytearray(GOOD_DER)
    der[position] ^= bits
    lines = "\n".join(("-----BEGIN CERTIFICATE REQUEST-----", base64.b64encode(der).decode(), _END, ""))
    with pytest.raises(RequestRefused):
        read_request(lines)


_END = "-----END CERTIFICATE REQUEST-----"
