"""The stations' doors with TLS: security profile 2 (TLS and HTTP Basic) and 3 (mutual TLS).

One `TlsDoor` per listening port. Its context offers TLS 1.2 and 1.3, and with 1.2 both families of suites that the
standard demands (OCPP 2.0.1 part 2 A00.FR.309 to 322): ECDHE, and TLS_RSA for stations that can no better; Python's own
default leaves the latter out. OpenSSL's security level 2 refuses keys and signatures below 112 bits from both sides.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from csms.stations.certificate import CertificateUnusable, key_name, read_chain, weakness

log = logging.getLogger(__name__)

#: In the order of our preference. TLS 1.3 brings its own, all of them good.
SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",  # TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, and so on
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",  # TLS_RSA_WITH_AES_256_GCM_SHA384
    "AES128-GCM-SHA256",
)

_LOOK_EVERY_S = 5.0

#: What OpenSSL calls it → what to tell the operator.
_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is not this certificate's: name the key that the certificate was made with",
    "EE_KEY_TOO_SMALL": "the certificate's key is too small: use RSA of 2048 bits or more, or an elliptic curve",
    "CA_KEY_TOO_SMALL": "a CA's key is too small: use RSA of 2048 bits or more, or an elliptic curve",
    "CA_MD_TOO_WEAK": "a certificate is signed with a weak hash: have it signed with SHA-256 or better",
}


class TlsError(Exception):
    """The certificates of a door cannot be used; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A server certificate with its chain, and its key, both PEM files. ``password``: of an encrypted key."""

    certificate: Path
    key: Path
    password: str | None = None


class TlsDoor:
    """The context of one listening port, kept up to date with its files.

    ``pairs``: one or more server certificates, with keys of different kinds (ECDSA and RSA). ``trusted``: PEM files of
    the CAs whose station certificates are taken (profile 3); None where stations have no certificate (profile 2).
    ``more_trusted``: further CAs, PEM, which `trust` replaces.
    """

    def __init__(self, pairs: Sequence[KeyPair], trusted: Sequence[Path] | None = None, more_trusted: str = "") -> None:
        """Read the files. Raises `TlsError`."""
        self._pairs = tuple(pairs)
        self._trusted = tuple(trusted) if trusted is not None else None
        self._more_trusted = more_trusted
        self._looked_at = time.monotonic()
        self._stamps = self._stamped()
        self._newest = self._made()
        #: Hand this one to the listener: every handshake goes on with the newest.
        self.context = self._newest
        self.context.sni_callback = self._meet

    @property
    def mutual(self) -> bool:
        """Whether stations must bring a certificate."""
        return self._trusted is not None

    def trust(self, pem: str) -> None:
        """Take these CAs' certificates too, instead of `more_trusted` before. Raises `TlsError`."""
        before, self._more_trusted = self._more_trusted, pem
        try:
            self.reload()
        except TlsError:
            self._more_trusted = before
            raise

    def reload(self) -> None:
        """Read the files again, for handshakes from now on. Raises `TlsError`; then the old ones stay.

        A TLS 1.2 session that was begun before may still be resumed: what is no longer trusted ends with it.
        """
        stamps = self._stamped()
        self._newest = self._made()
        self._stamps = stamps

    def _meet(self, handshake: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called by every handshake, whether or not the station names the server."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            if self._stamped() != self._stamps:
                try:
                    self.reload()
                    log.info("the certificates for stations have changed and were read again")
                except TlsError as error:
                    log.error("the changed certificates cannot be used, the old ones stay: %s", error)
        handshake.context = self._newest

    def _stamped(self) -> tuple[tuple[float, int] | None, ...]:
        """When each file was last written, and its length."""
        files = [path for pair in self._pairs for path in (pair.certificate, pair.key)] + [*(self._trusted or ())]
        return tuple(_stamp(path) for path in files)

    def _made(self) -> ssl.SSLContext:
        if not self._pairs:
            raise TlsError("no server certificate is named: name a certificate and its key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
        context.options |= ssl.OP_NO_TICKET  # nothing that proves a station's certificate is kept outside
        context.num_tickets = 0
        context.set_ciphers(":".join((*SUITES, "@SECLEVEL=2")))
        context.sslobject_class = _Handshake
        kinds = {_load(context, pair) for pair in self._pairs}
        if len(kinds) < len(self._pairs):
            raise TlsError("two server certificates have keys of the same kind: name at most one RSA and one ECDSA")
        for kind in sorted({"RSA", "EC"} - kinds):
            log.warning("no %s server certificate: stations that know only suites of that kind cannot connect", kind)
        if self._trusted is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # an issuing CA may be trusted by itself
            for text in (*(_text(path) for path in self._trusted), self._more_trusted):
                _trust(context, text)
            if not context.get_ca_certs():
                raise TlsError("no CA is trusted: name the CAs whose station certificates are to be taken")
        return context


class _Handshake(ssl.SSLObject):
    """A handshake that tells the operator why it failed; the station only gets an alert."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as error:
            log.warning("a station's certificate was refused: %s", error.verify_message)
            raise
        except ssl.SSLError as error:
            log.info("a TLS handshake failed: %s", error.reason)
            raise


def _load(context: ssl.SSLContext, pair: KeyPair) -> str:
    """Load one pair; the kind of its key."""
    chain = _text(pair.certificate)
    _text(pair.key)
    asked = []

    def password() -> str:  # without it OpenSSL would ask the terminal
        asked.append(pair.key)
        return pair.password or ""

    try:
        context.load_cert_chain(pair.certificate, pair.key, password=password)
    except (ssl.SSLError, OSError, ValueError) as error:
        said = _REASONS.get(str(getattr(error, "reason", "")), "OpenSSL cannot read them: is each of them a PEM file?")
        if asked:
            said = "the key's password is wrong" if pair.password else "the key is encrypted: set its password"
        raise TlsError(f"{pair.certificate} with {pair.key}: {said}") from None
    try:
        leaf = read_chain(chain)[0]
        problem = weakness(leaf, datetime.now(UTC))  # the machine's clock, like OpenSSL
        if problem is not None:
            log.warning("%s: stations will refuse this certificate: %s", pair.certificate, problem)
        return key_name(leaf.public_key()).split()[0]
    except CertificateUnusable as error:
        raise TlsError(f"{pair.certificate}: {error}") from None


def _trust(context: ssl.SSLContext, pem: str) -> None:
    if not pem.strip():
        return
    try:
        read_chain(pem)
        context.load_verify_locations(cadata=pem)
    except (CertificateUnusable, ssl.SSLError, ValueError) as error:
        raise TlsError(f"the trusted CAs cannot be read: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise TlsError(f"there is no file {path}: name the PEM file") from None
    except UnicodeDecodeError:
        raise TlsError(f"{path} is no PEM file: turn it into PEM, for example with openssl") from None
    except OSError as error:
        raise TlsError(f"{path} cannot be read ({error.strerror}): let this process read it") from None


def _stamp(path: Path) -> tuple[float, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime, found.st_size
    return None
