"""A bench whose system has a door for each security profile, and what the security cases of all versions share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from tests.conformance.bench import PASSWORD, Bench, bench
from tests.pki import OPERATOR, Pair, client_context, pki
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
    async with bench(database_url, ocpp=ocpp, **overrides) as made:
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
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/password?wait=8"))
    call = await bench.expect(station, action)
    await station.answer(call, answer)
    return await asked, call


async def pending(bench: Bench) -> bool:
    """Whether a new password is on its way."""
    return bool((await bench.api("GET", "/stations/CS1/password"))["rotation_pending"])
