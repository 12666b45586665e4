"""OCPP 2.0.1 C07, M01, M02: contract certificates of cars (ISO 15118)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.conformance.bench import Bench, bench
from tests.conformance.secure import hash_data
from tests.databases import Databases
from tests.pki import DAY, NOW, Pair, pki, root
from tests.unit.stations.test_ocsp import serving

EMAID = "NO-TAP-C12345678-9"
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}


class MobilityOperator:
    """A root, an issuing CA, a responder; and cars' contracts below them."""

    def __init__(self) -> None:
        self.root = root("MO root")
        self.issuing = self.root.issue("MO sub CA", ca=True)
        self.revoked: set[int] = set()
        self.signer: Pair = self.issuing
        self.included: list[x509.Certificate] = [self.issuing.certificate]
        self.until = NOW + DAY

    def contract(self, emaid: str = EMAID, url: str | None = None, **more: Any) -> Pair:
        return self.issuing.issue(emaid, responder=url, **more)

    async def answer(self, request: web.Request) -> web.Response:
        asked = ocsp.load_der_ocsp_request(await request.read())
        gone = asked.serial_number in self.revoked
        built = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            serial_number=asked.serial_number,
            algorithm=asked.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.REVOKED if gone else ocsp.OCSPCertStatus.GOOD,
            this_update=NOW - 2 * DAY,
            next_update=self.until,
            revocation_time=NOW if gone else None,
            revocation_reason=None,
        )
        built = built.responder_id(ocsp.OCSPResponderEncoding.HASH, self.signer.certificate)
        built = built.certificates(self.included)
        return web.Response(body=built.sign(self.signer.key, hashes.SHA256()).public_bytes(Encoding.DER))


@asynccontextmanager
async def trusting(databases: Databases, operator: MobilityOperator, **more: Any) -> AsyncIterator[Bench]:
    """A bench that trusts a mobility operator, and whose driver has a contract."""
    contracts = {"roots": [operator.root.files[0]], "ocsp_private": True} | more
    async with bench(databases.fresh("sqlite"), contracts=contracts, id_tokens=[{"id_token": EMAID}]) as made:
        yield made


async def authorise(on: Bench, *, version: str = "ocpp2.0.1", emaid: str = EMAID, **brought: Any) -> Any:
    station = await on.connect(version=version)
    return await on.ask(station, "Authorize", {"idToken": {"idToken": emaid, "type": "eMAID"}} | brought)


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_TC_C_50_local_validation_accepted(databases: Databases, version: str) -> None:
    """The station has verified the chain, and names its certificates; they are asked about here."""
    operator = MobilityOperator()
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        data = [hash_data(pair) | {"responderURL": url} for pair in (operator.contract(),)]
        assert await authorise(on, version=version, iso15118CertificateHashData=data) == ACCEPTED


async def test_TC_C_51_local_validation_revoked(databases: Databases) -> None:
    operator = MobilityOperator()
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        good, gone = operator.contract(), operator.contract()
        operator.revoked.add(gone.certificate.serial_number)
        data = [hash_data(pair) | {"responderURL": url} for pair in (good, gone)]
        answer = await authorise(on, iso15118CertificateHashData=data)
        assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"}


@pytest.mark.parametrize("wrong", ["forged", "stale", "silent", "another's"])
async def test_TC_C_51_an_answer_that_proves_nothing_authorises_nothing(databases: Databases, wrong: str) -> None:
    operator = MobilityOperator()
    if wrong == "forged":
        forger = root("MO root").issue("MO sub CA", ca=True)
        operator.signer, operator.included = forger, [forger.certificate]
    elif wrong == "stale":
        operator.until = NOW - timedelta(hours=1)
    elif wrong == "another's":  # below the root, and not the certificate's issuer
        other = operator.root.issue("Another sub CA", ca=True)
        operator.signer, operator.included = other, [other.certificate]
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        address = "http://127.0.0.1:1/" if wrong == "silent" else url
        data = [hash_data(operator.contract()) | {"responderURL": address}]
        answer = await authorise(on, iso15118CertificateHashData=data)
        assert answer["idTokenInfo"] == {"status": "Invalid"}
        assert answer["certificateStatus"] == ("CertChainError" if wrong == "silent" else "SignatureError")


async def test_TC_C_51_a_good_certificate_makes_no_good_token(databases: Databases) -> None:
    operator = MobilityOperator()
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        data = [hash_data(operator.contract()) | {"responderURL": url}]
        answer = await authorise(on, emaid="NO-TAP-UNKNOWN", iso15118CertificateHashData=data)
        assert answer == {"idTokenInfo": {"status": "Unknown"}, "certificateStatus": "Accepted"}


@pytest.mark.parametrize("revocable", [True, False])
async def test_TC_C_52_central_validation_accepted(databases: Databases, revocable: bool) -> None:
    """The whole chain comes, and is verified here. Its root is known by itself."""
    operator = MobilityOperator()
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        contract = operator.contract(EMAID.replace("-", ""), url if revocable else None)
        assert await authorise(on, certificate=contract.pem + operator.issuing.pem) == ACCEPTED


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("revoked", "CertificateRevoked"),
        ("expired", "CertificateExpired"),
        ("other root", "CertChainError"),
        ("half a chain", "CertChainError"),
        ("other contract", "CertChainError"),
        ("no PEM", "SignatureError"),
    ],
)
async def test_TC_C_52_central_validation_rejected(databases: Databases, wrong: str, said: str) -> None:
    operator = MobilityOperator()
    async with serving(operator.answer) as url, trusting(databases, operator) as on:
        ends = NOW - timedelta(hours=1) if wrong == "expired" else NOW + DAY
        issuer = root("MO root").issue("MO sub CA", ca=True) if wrong == "other root" else operator.issuing
        contract = issuer.issue("NOTAPC000000001" if wrong == "other contract" else EMAID, responder=url, ends=ends)
        if wrong == "revoked":
            operator.revoked.add(contract.certificate.serial_number)
        chain = contract.pem + ("" if wrong == "half a chain" else issuer.pem)
        answer = await authorise(on, certificate="hello" if wrong == "no PEM" else chain)
        assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": said}


async def test_TC_C_52_without_roots_no_certificate_is_taken(databases: Databases) -> None:
    async with bench(databases.fresh("sqlite"), id_tokens=[{"id_token": EMAID}]) as on:
        answer = await authorise(on, certificate=pki().station.pem)
        assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "NoCertificateAvailable"}


# --- a car's own request ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [pytest.param("Install", id="TC_M_26"), pytest.param("Update", id="TC_M_28")])
@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
async def test_TC_M_26_28_certificate_for_a_car(databases: Databases, version: str, action: str) -> None:
    """TC_M_26, TC_M_28: the request reaches the provider as it is, and its answer the station."""
    got: list[Any] = []

    async def provide(request: web.Request) -> web.Response:
        got.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"exiResponse": "gJgCEAAA"})

    async with (
        serving(provide) as url,
        trusting(databases, MobilityOperator(), provider_url=url, provider_token="t0ken") as on,
    ):
        asked = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": action, "exiRequest": "gJgCAAAA"}
        station = await on.connect(version=version)
        answer = await on.ask(station, "Get15118EVCertificate", asked)
        assert answer == {"status": "Accepted", "exiResponse": "gJgCEAAA"}
        assert got == [("Bearer t0ken", asked | {"stationId": "CS1"})]


async def _refuses(_: web.Request) -> web.Response:
    raise web.HTTPBadGateway


async def _says_nothing(_: web.Request) -> web.Response:
    return web.json_response(["nothing"])


async def _says_too_much(_: web.Request) -> web.Response:
    return web.json_response({"exiResponse": "A" * 7501})


@pytest.mark.parametrize(
    ("provide", "said"),
    [(_refuses, "HTTP 502"), (_says_nothing, "holds no exiResponse"), (_says_too_much, "holds no exiResponse")],
)
async def test_TC_M_26_28_without_the_providers_answer_it_failed(databases: Databases, provide: Any, said: str) -> None:
    asked = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install", "exiRequest": "gJgCAAAA"}
    async with serving(provide) as url, trusting(databases, MobilityOperator(), provider_url=url) as on:
        answer = await on.ask(await on.connect(), "Get15118EVCertificate", asked)
        assert (answer["status"], answer["exiResponse"]) == ("Failed", "")
        assert said in answer["statusInfo"]["additionalInfo"]
