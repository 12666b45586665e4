"""The stations' doors with TLS, tried with real handshakes and real certificates, wrong ones included."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from csms.ocpp.tls import SUITES, KeyPair, TlsDoor, TlsError
from tests.pki import NOW, Pair, client_context, ec_key, pem_of, pki, root

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def pair_of(pair: Pair) -> KeyPair:
    return KeyPair(certificate=pair.files[0], key=pair.files[1])


def door(*pairs: Pair, trusted: Pair | None = None) -> TlsDoor:
    servers = pairs or (pki().server_ec, pki().server_rsa)
    return TlsDoor([pair_of(p) for p in servers], [trusted.files[0]] if trusted else None)


@dataclass
class Met:
    """What a handshake came to, as the station saw it, and which certificate the server saw."""

    version: str
    suite: str
    server: bytes
    station: bytes | None


class Listener:
    """A bare server that says hello through one door."""

    def __init__(self, at: TlsDoor) -> None:
        self.door = at
        self._seen: asyncio.Queue[bytes | None] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Listener]:
        server = await asyncio.start_server(self._hello, "127.0.0.1", 0, ssl=self.door.context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _hello(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._seen.put(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.write(b"hello\n")
        await reader.read()
        writer.close()

    async def meet(self, client: ssl.SSLContext) -> Met:
        """Shake hands and wait for the hello: with TLS 1.3 a refusal comes after the station's own last word."""
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=client, server_hostname="localhost"
            )
            try:
                if await reader.readline() != b"hello\n":
                    raise ConnectionResetError
                line = writer.get_extra_info("ssl_object")
                assert line.compression() is None
                return Met(line.version(), line.cipher()[0], line.getpeercert(True), await self._seen.get())
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


async def refused(listener: Listener, client: ssl.SSLContext) -> bool:
    try:
        await listener.meet(client)
    except (ssl.SSLError, ConnectionError):
        return True
    return False


# --- what is spoken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
async def test_each_demanded_suite_is_spoken(suite: str) -> None:
    """A00.FR.318: both families, for a station that knows only one suite."""
    async with Listener(door()).running() as listener:
        met = await listener.meet(client_context(pki().root, ciphers=suite, versions=TLS_1_2))
    assert (met.version, met.suite) == ("TLSv1.2", suite)
    expected = pki().server_ec if "ECDSA" in suite else pki().server_rsa
    assert met.server == expected.der


@pytest.mark.parametrize("suite", ["ECDHE-RSA-AES256-SHA384", "AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "PSK"])
async def test_no_other_suite_is_spoken(suite: str) -> None:
    async with Listener(door()).running() as listener:
        assert await refused(listener, client_context(pki().root, ciphers=suite, versions=TLS_1_2, weak=True))


async def test_the_newest_version_is_preferred() -> None:
    async with Listener(door()).running() as listener:
        assert (await listener.meet(client_context(pki().root))).version == "TLSv1.3"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_older_versions_are_refused(version: ssl.TLSVersion) -> None:
    """TC_A_06; A00.FR.314."""
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        old = client_context(pki().root, versions=(version, version), weak=True)
    async with Listener(door()).running() as listener:
        assert await refused(listener, old)
        # The same station can with a newer version: it is the version that is refused.
        assert (await listener.meet(client_context(pki().root, versions=TLS_1_2, weak=True))).version == "TLSv1.2"


async def test_one_certificate_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    async with Listener(door(pki().server_ec)).running() as listener:
        assert (await listener.meet(client_context(pki().root))).server == pki().server_ec.der
    assert "no RSA server certificate" in caplog.text


async def test_no_session_is_resumed_with_a_ticket() -> None:
    """A ticket would keep a station's certificate trusted after its CA no longer is."""
    async with Listener(door()).running() as listener:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, ssl=client_context(pki().root), server_hostname="localhost"
        )
        assert await reader.readline() == b"hello\n"
        session = writer.get_extra_info("ssl_object").session
        assert not session.has_ticket
        writer.close()
        await writer.wait_closed()


# --- the station's certificate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [None, TLS_1_2], ids=["newest", "1.2"])
async def test_a_stations_certificate_is_seen(versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None) -> None:
    """TC_A_07."""
    async with Listener(door(trusted=pki().root)).running() as listener:
        met = await listener.meet(client_context(pki().root, pki().station, versions=versions))
    assert met.station == pki().station.der


@pytest.mark.parametrize("versions", [None, TLS_1_2], ids=["newest", "1.2"])
@pytest.mark.parametrize("wrong", ["expired", "not yet valid", "other CA", "RSA 1024", "EC 192", "not for clients"])
async def test_a_wrong_certificate_is_refused(
    wrong: str, versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """TC_A_08. The handshake fails; the operator is told why."""
    caplog.set_level(logging.INFO)
    client = client_context(pki().root, ciphers="ALL", weak=True, versions=versions)
    client.load_cert_chain(*pki().wrong_stations[wrong].files)
    async with Listener(door(trusted=pki().root)).running() as listener:
        assert await refused(listener, client)
    assert "refused" in caplog.text or "failed" in caplog.text


async def test_no_certificate_is_refused() -> None:
    async with Listener(door(trusted=pki().root)).running() as listener:
        assert await refused(listener, client_context(pki().root))
        assert (await listener.meet(client_context(pki().root, pki().station))).station is not None


async def test_the_door_without_mutual_tls_asks_for_no_certificate() -> None:
    async with Listener(door()).running() as listener:
        met = await listener.meet(client_context(pki().root, pki().wrong_stations["other CA"]))
    assert met.station is None
    assert not listener.door.mutual


async def test_an_issuing_ca_may_be_trusted_without_its_root() -> None:
    issuing = pki().stranger.issue("Issuing CA", ca=True)
    async with Listener(door(trusted=issuing)).running() as listener:
        assert listener.door.mutual
        assert (await listener.meet(client_context(pki().root, issuing.issue()))).station
        assert await refused(listener, client_context(pki().root, pki().stranger.issue()))


# --- files that change ------------------------------------------------------------------------------------------------


def written(folder: Path, pair: Pair) -> KeyPair:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_text(pair.pem)
    key.write_text(pem_of(pair.key))
    return KeyPair(certificate=certificate, key=key)


async def test_changed_files_are_used_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.ocpp.tls._LOOK_EVERY_S", 0)
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(pki().root.pem)
    changing = TlsDoor([written(tmp_path, pki().server_ec)], [trusted])
    async with Listener(changing).running() as listener:
        station, other = (client_context(pki().root, pair) for pair in (pki().station, pki().stranger.issue()))
        assert (await listener.meet(station)).server == pki().server_ec.der
        assert await refused(listener, other)
        renewed = pki().root.issue("localhost", server=True, ends=NOW + timedelta(days=700))
        written(tmp_path, renewed)
        trusted.write_text(pki().stranger.pem * 2)
        assert (await listener.meet(other)).server == renewed.der
        assert await refused(listener, station)  # what is no longer trusted is no longer let in


async def test_changed_files_that_cannot_be_used_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("csms.ocpp.tls._LOOK_EVERY_S", 0)
    pair = written(tmp_path, pki().server_ec)
    async with Listener(TlsDoor([pair])).running() as listener:
        pair.key.write_text("half a ke")
        for _ in range(2):
            assert (await listener.meet(client_context(pki().root))).server == pki().server_ec.der
    assert "the changed certificates cannot be used, the old ones stay" in caplog.text


async def test_cas_can_be_trusted_while_it_runs() -> None:
    async with Listener(door(trusted=pki().root)).running() as listener:
        other = client_context(pki().root, pki().stranger.issue())
        listener.door.trust(pki().stranger.pem)
        assert (await listener.meet(other)).station
        with pytest.raises(TlsError, match="the trusted CAs cannot be read"):
            listener.door.trust("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")
        assert (await listener.meet(other)).station
        listener.door.trust("")
        assert await refused(listener, other)


# --- what is said of files that are wrong -----------------------------------------------------------------------------


def _encrypted(folder: Path, password: str | None) -> KeyPair:
    pair = written(folder, pki().server_ec)
    encryption = BestAvailableEncryption(b"right-password")
    pair.key.write_bytes(pki().server_ec.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return KeyPair(certificate=pair.certificate, key=pair.key, password=password)


def _mismatched(folder: Path) -> KeyPair:
    pair = written(folder, pki().server_ec)
    pair.key.write_text(pem_of(ec_key()))
    return pair


def _no_pem(folder: Path) -> KeyPair:
    pair = written(folder, pki().server_ec)
    pair.certificate.write_bytes(pki().server_ec.der)
    return pair


def test_an_encrypted_key_is_read_with_its_password(tmp_path: Path) -> None:
    assert TlsDoor([_encrypted(tmp_path, "right-password")]).context


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_mismatched, "the key is not this certificate's"),
        (_no_pem, "is no PEM file"),
        (lambda folder: _encrypted(folder, "wrong"), "the key's password is wrong"),
        (lambda folder: _encrypted(folder, None), "the key is encrypted: set its password"),
        (lambda folder: KeyPair(certificate=folder / "none.pem", key=folder / "none.pem"), "there is no file"),
        (lambda folder: KeyPair(certificate=folder, key=folder), "cannot be read"),
        (lambda folder: written(folder, pki().wrong_stations["RSA 1024"]), "the certificate's key is too small"),
    ],
)
def test_wrong_files_are_explained(tmp_path: Path, make: Callable[[Path], KeyPair], said: str) -> None:
    with pytest.raises(TlsError, match=said) as error:
        TlsDoor([make(tmp_path)])
    assert "password" not in str(error.value) or "right-password" not in str(error.value)


def test_a_door_needs_a_certificate_and_mutual_tls_a_ca(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="no server certificate is named"):
        TlsDoor([])
    with pytest.raises(TlsError, match="no CA is trusted"):
        TlsDoor([pair_of(pki().server_ec)], [])
    with pytest.raises(TlsError, match="keys of the same kind"):
        TlsDoor([pair_of(pki().server_ec), pair_of(root().issue("localhost", server=True))])


def test_an_expired_server_certificate_is_said(caplog: pytest.LogCaptureFixture) -> None:
    expired = pki().root.issue("localhost", server=True, begins=NOW - timedelta(days=9), ends=NOW - timedelta(days=1))
    door(expired)
    assert "stations will refuse this certificate: it expired on" in caplog.text
