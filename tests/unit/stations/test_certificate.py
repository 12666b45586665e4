"""Certificates read, described, judged and named by their hashes; hostile ones among them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import NameAttribute, load_der_x509_certificate
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from csms.stations.certificate import (
    LONGEST_PEM,
    CertificateUnusable,
    certificate_hash,
    certificate_problem,
    describe,
    key_problem,
    read_certificate,
    read_chain,
    read_der,
    renewal_due,
    trusted_root,
    weakness,
)
from tests.pki import DAY, IDENTITY, NOW, OPERATOR, ec_key, name, pki, root, rsa_key, weakly_signed


def test_a_certificate_is_described() -> None:
    made = pki().station
    shown = describe(read_certificate(made.pem))
    assert (shown.common_name, shown.organisation, shown.issuer) == (IDENTITY, OPERATOR, "Test root")
    assert shown.serial_number == f"{made.certificate.serial_number:x}"
    assert shown.fingerprint == hashlib.sha256(made.der).hexdigest()
    assert (shown.not_before, shown.not_after) == (NOW - DAY, NOW + 365 * DAY)
    assert (shown.key, shown.signature_hash) == ("EC secp256r1", "sha256")
    assert (shown.is_ca, shown.self_signed) == (False, False)
    assert describe(read_der(pki().server_rsa.der)).key == "RSA 2048"
    ca = describe(pki().root.certificate)
    assert (ca.is_ca, ca.self_signed) == (True, True)


def test_a_name_that_stands_there_twice_is_none() -> None:
    twice = name(IDENTITY)
    twice = type(twice)([*twice, NameAttribute(NameOID.COMMON_NAME, "CS2")])
    made = pki().root.issue(subject=twice)
    assert describe(made.certificate).common_name == ""
    said = certificate_problem(made.certificate, names=[IDENTITY, "CS2", ""], organisation=None, now=NOW)
    assert said == (
        "the certificate is another station's: its CN is neither this station's serial number nor its identity"
    )


# --- is it this station's? --------------------------------------------------------------------------------------------


def problem(which: str, names: tuple[str, ...] = (IDENTITY,), organisation: str | None = OPERATOR) -> str | None:
    made = pki().station if which == "good" else pki().wrong_stations[which]
    return certificate_problem(made.certificate, names=names, organisation=organisation, now=NOW)


def test_a_good_certificate_has_no_problem() -> None:
    assert problem("good") is None
    assert problem("good", ("SN-1", IDENTITY)) is None
    assert problem("good", organisation=None) is None


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("expired", "the certificate is of no use: it expired on"),
        ("not yet valid", "the certificate is of no use: it is not valid before"),
        ("other identity", "the certificate is another station's"),
        ("other operator", "the certificate is of another operator: its O is not 'Operator AS'"),
        ("no name", "the certificate is another station's"),
        ("RSA 1024", "its RSA key has 1024 bits; use 2048 or more"),
        ("EC 192", "its elliptic curve key has 192 bits; use 224 or more"),
    ],
)
def test_what_is_wrong_is_said(which: str, said: str) -> None:
    assert said in (problem(which) or "")


def test_an_identity_is_compared_exactly() -> None:
    for wrong in ("cs1", "CS1 ", "CS", "", "CS1\0"):
        assert problem("good", (wrong,)) is not None


def test_a_weak_signature_is_said() -> None:
    weak = load_der_x509_certificate(weakly_signed(root(key=rsa_key())))
    assert weakness(weak, NOW) == "it is signed with SHA1; have it signed with SHA-256 or better"


def test_only_rsa_and_elliptic_curves_are_keys() -> None:
    assert key_problem(ed25519.Ed25519PrivateKey.generate().public_key()) is None
    assert key_problem(ec_key(ec.SECP224R1()).public_key()) is None
    said = key_problem(dsa.generate_private_key(2048).public_key())
    assert said == "its key is of the kind DSA; use RSA or an elliptic curve"


def test_renewal_is_due_in_time() -> None:
    assert not renewal_due(NOW + 31 * DAY, NOW, 30)
    assert renewal_due(NOW + 30 * DAY, NOW, 30)
    assert renewal_due(NOW - DAY, NOW, 30)


# --- roots ------------------------------------------------------------------------------------------------------------


def test_a_root_may_be_installed() -> None:
    assert trusted_root(pki().root.pem, NOW).self_signed
    issuing = pki().root.issue("Issuing CA", ca=True)
    assert not trusted_root(issuing.pem, NOW).self_signed


def test_what_is_no_root_may_not() -> None:
    for pem, said in (
        (pki().station.pem, "is no CA's"),
        (pki().root.pem * 2, "holds 2 certificates"),
        (pki().root.pem + "\n" * LONGEST_PEM, f"stations take {LONGEST_PEM} at most"),
        (pki().root.issue("Old CA", ca=True, ends=NOW - timedelta(hours=1)).pem, "it expired on"),
        ("", "is no PEM certificate"),
    ):
        with pytest.raises(CertificateUnusable, match=said):
            trusted_root(pem, NOW)


# --- OCPP's hashes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_hashes_are_over_the_issuers_name_and_key(algorithm: str, kind: str) -> None:
    """CertificateHashDataType: the DER of the issuer's name; the bits of the issuer's public key, without tag."""
    issuer = pki().root if kind == "EC" else root("RSA root", key=rsa_key())
    made = issuer.issue()
    hashed = certificate_hash(made.certificate, issuer.certificate, algorithm)
    assert (hashed.hash_algorithm, hashed.serial_number) == (algorithm, f"{made.certificate.serial_number:x}")

    def digest(content: bytes) -> str:
        return hashlib.new(algorithm.lower(), content).hexdigest()

    assert hashed.issuer_name_hash == digest(issuer.certificate.subject.public_bytes())
    forms = (Encoding.X962, PublicFormat.UncompressedPoint) if kind == "EC" else (Encoding.DER, PublicFormat.PKCS1)
    assert hashed.issuer_key_hash == digest(issuer.key.public_key().public_bytes(*forms))
    assert (
        certificate_hash(issuer.certificate).issuer_name_hash
        == hashlib.sha256(issuer.certificate.subject.public_bytes()).hexdigest()
    )


def test_a_hash_needs_the_right_issuer_and_a_known_algorithm() -> None:
    with pytest.raises(CertificateUnusable, match="issuer's certificate is needed"):
        certificate_hash(pki().station.certificate)
    with pytest.raises(CertificateUnusable, match="SHA256, SHA384, SHA512"):
        certificate_hash(pki().root.certificate, None, "MD5")


# --- hostile texts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pem",
    [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n\0\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\né\n-----END CERTIFICATE-----\ud800",
    ],
)
def test_hostile_texts_are_unreadable(pem: str) -> None:
    with pytest.raises(CertificateUnusable):
        read_chain(pem)


@given(st.data())
def test_damaged_certificates_are_described_or_unusable(data: st.DataObject) -> None:
    """One to three bytes changed anywhere: whatever is deep in it is only read when it is asked for."""
    der = bytearray(data.draw(st.sampled_from([pki().station.der, pki().server_rsa.der, pki().root.der])))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        certificate = read_der(bytes(der))
        shown = describe(certificate)
        certificate_problem(certificate, names=[IDENTITY], organisation=OPERATOR, now=NOW)
        certificate_hash(certificate, pki().root.certificate)
    except CertificateUnusable:
        return
    assert "\0" not in shown.common_name + shown.organisation + shown.issuer
