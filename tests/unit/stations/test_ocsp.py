"""Asking a real OCSP responder on this machine; and whom we do not ask."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from csms.stations.certificate import certificate_hash
from csms.stations.ocsp import LARGEST_ANSWER, OcspQuestion, OcspUnanswered, ask, is_public, request_der
from tests.pki import NOW, Pair, pki


def question(url: str, *, of: Pair | None = None, algorithm: str = "SHA256") -> OcspQuestion:
    named = certificate_hash((of or pki().station).certificate, pki().root.certificate, algorithm)
    return OcspQuestion(
        hash_algorithm=algorithm,
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
        responder_url=url,
    )


class Responder:
    """Knows the stations of the test PKI's root; the revoked ones too."""

    def __init__(self) -> None:
        self.revoked: set[int] = set()
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        """RFC 6960 over HTTP POST."""
        self.asked += 1
        assert request.content_type == "application/ocsp-request"
        asked = ocsp.load_der_ocsp_request(await request.read())
        known = {pair.certificate.serial_number: pair for pair in (pki().station, pki().server_ec)}
        pair = known.get(asked.serial_number)
        if pair is None:
            refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
            return web.Response(body=refusal.public_bytes(Encoding.DER))
        gone = asked.serial_number in self.revoked
        built = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus.REVOKED if gone else ocsp.OCSPCertStatus.GOOD,
                this_update=NOW,
                next_update=NOW + timedelta(days=1),
                revocation_time=NOW if gone else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, pki().root.certificate)
            .sign(pki().root.key, hashes.SHA256())
        )
        return web.Response(body=built.public_bytes(Encoding.DER), content_type="application/ocsp-response")


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/"))
    finally:
        await server.close()


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_a_certificate_is_asked_for_by_its_hashes(algorithm: str) -> None:
    """TC_M_24; M06: without the issuer's certificate."""
    responder = Responder()
    async with serving(responder.answer) as url:
        answer = ocsp.load_der_ocsp_response(
            base64.b64decode(await ask(question(url, algorithm=algorithm), allow_private=True))
        )
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
        responder.revoked.add(pki().station.certificate.serial_number)
        answer = ocsp.load_der_ocsp_response(base64.b64decode(await ask(question(url), allow_private=True)))
        assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED


async def test_a_refusal_is_no_answer() -> None:
    async with serving(Responder().answer) as url:
        with pytest.raises(OcspUnanswered, match="the responder refused: unauthorized"):
            await ask(question(url, of=pki().server_rsa), allow_private=True)


async def _other(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://203.0.113.7/")


async def _long(_: web.Request) -> web.Response:
    return web.Response(body=b"0" * (LARGEST_ANSWER + 1))


async def _nonsense(_: web.Request) -> web.Response:
    return web.Response(body=b"\x30\x03\x0a\x01\x07")


async def _wrong(_: web.Request) -> web.Response:
    raise web.HTTPInternalServerError


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (_other, "HTTP 302"),
        (_long, "too long"),
        (_nonsense, "no OCSP response"),
        (_wrong, "HTTP 500"),
    ],
)
async def test_any_other_answer_is_none(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], said: str
) -> None:
    async with serving(handler) as url:
        with pytest.raises(OcspUnanswered, match=said):
            await ask(question(url), allow_private=True)


async def test_an_answer_for_another_certificate_is_none() -> None:
    kept = Responder()

    async def swap(request: web.Request) -> web.Response:
        asked = request_der(question("http://unused.example", of=pki().server_ec))
        request._read_bytes = asked
        return await kept.answer(request)

    async with serving(swap) as url:
        with pytest.raises(OcspUnanswered, match="for another certificate"):
            await ask(question(url), allow_private=True)


async def test_an_answer_must_fit_the_message() -> None:
    async with serving(Responder().answer) as url:
        with pytest.raises(OcspUnanswered, match="longer than a station takes"):
            await ask(question(url), allow_private=True, most_characters=100)


async def test_silence_ends() -> None:
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with serving(silent) as url:
        with pytest.raises(OcspUnanswered, match="did not answer in time"):
            await ask(question(url), allow_private=True, timeout_s=0.05)
        released.set()


async def test_nobody_listens() -> None:
    async with serving(Responder().answer) as url:
        pass
    with pytest.raises(OcspUnanswered, match="did not answer"):
        await ask(question(url), allow_private=True)


# --- whom we do not ask -----------------------------------------------------------------------------------------------


async def test_addresses_inside_are_not_called() -> None:
    """A station must not make this system call its own network."""
    responder = Responder()
    async with serving(responder.answer) as url:
        port = url.rsplit(":", 1)[1]
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"):
            with pytest.raises(OcspUnanswered, match=r"not public|did not answer"):
                await ask(question(f"http://{host}:{port}"))
    assert responder.asked == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://",
        "//example.org",
        "http://u:p@example.org/",
        "http://[x",
    ],
)
async def test_other_addresses_are_none(url: str) -> None:
    with pytest.raises(OcspUnanswered, match="responderURL"):
        await ask(question(url))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "changed",
    [
        {"hash_algorithm": "MD5"},
        {"hash_algorithm": ""},
        {"issuer_name_hash": "xyz"},
        {"issuer_key_hash": "abcd"},
        {"serial_number": ""},
        {"serial_number": "0x" * 20},
        {"serial_number": "-1"},
        {"serial_number": "1_0"},
        {"serial_number": "f" * 4000},
    ],
)
def test_hashes_that_are_none_are_not_asked_for(changed: dict[str, str]) -> None:
    with pytest.raises(OcspUnanswered):
        request_der(replace(question("http://example.org"), **changed))
