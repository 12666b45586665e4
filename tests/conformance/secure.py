"""A bench whose system has a door for each security profile, and what the security cases of all versions share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.stations.certificate import certificate_hash, read_chain
from tests.conformance.bench import PASSWORD, Bench, bench
from tests.pki import OPERATOR, Key, Pair, client_context, pki
from tests.wire.station import Station


@asynccontextmanager
async def secure_bench(database_url: str, **overrides: Any) -> AsyncIterator[Bench]:
    """The bench with TLS and mutual TLS, an ECDSA and an RSA server certificate, one trusted CA."""
    pairs = [{"certificate": p.files[0], "key": p.files[1]} for p in (pki().server_ec, pki().server_rsa)]
    ocpp = {
        "certificates": pairs,
        "tls": {"port": 0},
        "mutual_tls": {"port": 0, "trusted": [pki().root.files[0]], "organisation": OPERATOR},
    }
    ocpp |= overrides.pop("ocpp", {})
    authority = {"passphrase": "a-passphrase-of-tests", "organisation": OPERATOR, "ocsp_private": True}
    async with bench(database_url, **({"authority": authority} | overrides), ocpp=ocpp) as made:
        yield made


async def come(bench: Bench, version: str, profile: int, *, pair: Pair | None = None, **rest: Any) -> Station:
    """CS1 at the door of ``profile``, with its password, or its certificate at the third."""
    if profile == 1:
        return await bench.connect(version=version, **rest)
    given = pair or (pki().station if profile == 3 else None)
    rest.setdefault("password", None if profile == 3 else PASSWORD)
    return await bench.connect(version=version, profile=profile, tls=client_context(pki().root, given), **rest)


async def refused(bench: Bench, version: str, profile: int, **rest: Any) -> str:
    """The status and reason with which CS1 is refused."""
    with pytest.raises(InvalidStatus) as refusal:
        await come(bench, version, profile, boot=False, **rest)
    response = refusal.value.response
    return f"{response.status_code} {bytes(response.body or b'').decode().strip()}"


async def no_handshake(bench: Bench, version: str, profile: int, tls: ssl.SSLContext) -> None:
    """TLS itself fails, and the API shows no new connection."""
    before = (await bench.api("GET", "/stations/CS1/connections"))["items"]
    with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage)):
        await bench.connect(version=version, profile=profile, tls=tls, boot=False)
    assert (await bench.api("GET", "/stations/CS1/connections"))["items"] == before


async def rotate(bench: Bench, station: Station, answer: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Have the operator change the station's password; the command as it ended, and the call that arrived."""
    action = "ChangeConfiguration" if station.version == "ocpp1.6" else "SetVariables"
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/password?wait=30"))
    call = await bench.expect(station, action)
    await station.answer(call, answer)
    return await asked, call


async def pending(bench: Bench) -> bool:
    """Whether a new password is on its way."""
    return bool((await bench.api("GET", "/stations/CS1/password"))["rotation_pending"])


async def request_certificate(
    bench: Bench, station: Station, csr: str, **more: Any
) -> tuple[dict[str, Any], list[Any] | None]:
    """Have the station ask for a certificate; the answer, and the CertificateSigned that follows an Accepted."""
    answer = await bench.ask(station, "SignCertificate", {"csr": csr} | more)
    return answer, (await bench.expect(station, "CertificateSigned") if answer["status"] == "Accepted" else None)


async def newest_request(bench: Bench) -> Any:
    """The newest certificate request of CS1, as the API shows it."""
    return (await bench.api("GET", "/stations/CS1/certificate-requests"))["items"][0]


async def request_in(bench: Bench, state: str) -> Any:
    """The newest certificate request of CS1, once it is in ``state``."""
    return await bench.eventually(lambda: newest_request(bench), lambda shown: shown["state"] == state)


def signed_pair(call: list[Any], key: Key) -> Pair:
    """What a CertificateSigned brings, as a station keeps it: its certificate, the issuing CA's, its key."""
    leaf, issuing = read_chain(call[3]["certificateChain"])
    return Pair(leaf, key, chain=(issuing,))


def hash_data(pair: Pair, algorithm: str = "SHA256") -> dict[str, str]:
    """CertificateHashDataType of a certificate of the test PKI, as a station tells it."""
    issuer = pair.issuer.certificate if pair.issuer is not None else None
    made = certificate_hash(pair.certificate, issuer, algorithm)
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": made.issuer_name_hash,
        "issuerKeyHash": made.issuer_key_hash,
        "serialNumber": made.serial_number,
    }
