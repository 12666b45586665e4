"""OCPP 2.0.1 M. Certificate management."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cryptography.x509 import ocsp

from tests.conformance.bench import Bench
from tests.conformance.secure import come, hash_data, secure_bench
from tests.databases import Databases
from tests.pki import NOW, Pair, pki
from tests.unit.stations.test_ocsp import Responder, serving
from tests.wire.station import Station

V201 = "ocpp2.0.1"
TYPES = ["CSMSRootCertificate", "ManufacturerRootCertificate", "V2GRootCertificate", "MORootCertificate"]
CASES = dict(zip(TYPES, ["TC_M_01", "TC_M_02", "TC_M_03", "TC_M_04"], strict=True))


@pytest_asyncio.fixture(name="bench")
async def with_all_doors(databases: Databases) -> AsyncIterator[Bench]:
    async with secure_bench(databases.fresh("sqlite")) as made:
        yield made


async def install(bench: Bench, station: Station, kind: str, pair: Pair, answer: dict[str, Any]) -> Any:
    """Have the operator install a root; the command as it ended."""
    body = {"certificate_type": kind, "certificate": pair.pem}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/certificates?wait=30", body))
    call = await bench.expect(station, "InstallCertificate")
    assert call[3] == {"certificateType": kind, "certificate": pair.pem}
    await station.answer(call, answer)
    return await asked


async def known(bench: Bench) -> list[Any]:
    """What the API shows of CS1's certificates."""
    return list((await bench.api("GET", "/stations/CS1/certificates"))["items"])


def chain(kind: str, pair: Pair, *children: Pair) -> dict[str, Any]:
    """CertificateHashDataChainType."""
    made: dict[str, Any] = {"certificateType": kind, "certificateHashData": hash_data(pair)}
    return made | ({"childCertificateHashData": [hash_data(child) for child in children]} if children else {})


# --- installing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES, ids=list(CASES.values()))
async def test_TC_M_01_to_04_install_ca_certificate(bench: Bench, kind: str) -> None:
    """TC_M_01, TC_M_02, TC_M_03, TC_M_04."""
    station = await come(bench, V201, 1)
    assert (await install(bench, station, kind, pki().root, {"status": "Accepted"}))["state"] == "accepted"
    (shown,) = await known(bench)
    assert (shown["certificate_type"], shown["certificate_pem"]) == (kind, pki().root.pem)
    assert shown["serial_number"] == hash_data(pki().root)["serialNumber"]


@pytest.mark.parametrize("status", ["Failed", "Rejected"])
async def test_TC_M_05_install_ca_certificate_failed(bench: Bench, status: str) -> None:
    station = await come(bench, V201, 1)
    command = await install(bench, station, "CSMSRootCertificate", pki().root, {"status": status})
    assert (command["state"], command["response"]) == ("refused", {"status": status})
    assert not await known(bench)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (lambda: pki().station.pem, "is no CA's"),
        (lambda: pki().root.issue("Old", ca=True, ends=NOW - timedelta(hours=1)).pem, "it expired"),
        (lambda: pki().root.pem * 2, "holds 2 certificates"),
        (lambda: pki().root.pem + " " * 5500, "5500 at most"),
        (lambda: "hello", "no PEM"),
    ],
)
async def test_TC_M_05_what_no_station_can_use_is_not_sent(bench: Bench, pem: Any, said: str) -> None:
    station = await come(bench, V201, 1)
    body = {"certificate_type": "CSMSRootCertificate", "certificate": pem()}
    problem = await bench.api("POST", "/stations/CS1/certificates", body, status=422)
    assert said in problem["errors"][0]["detail"]
    assert not await station.calls_so_far()


# --- listing ----------------------------------------------------------------------------------------------------------


async def ids(bench: Bench, station: Station, types: list[str], chains: list[dict[str, Any]]) -> Any:
    """Ask for the installed certificates; the command as it ended."""
    request = {"certificateType": types} if types else {}
    answer: dict[str, Any] = {"status": "Accepted", "certificateHashDataChain": chains}
    return await bench.exchange(
        station, "GetInstalledCertificateIds", request, answer if chains else {"status": "NotFound"}
    )


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("CSMSRootCertificate", id="TC_M_12"),
        pytest.param("ManufacturerRootCertificate", id="TC_M_13"),
        pytest.param("V2GRootCertificate", id="TC_M_14"),
        pytest.param("MORootCertificate", id="TC_M_16"),
    ],
)
async def test_TC_M_12_to_16_retrieve_certificates_of_a_type(bench: Bench, kind: str) -> None:
    """TC_M_12, TC_M_13, TC_M_14, TC_M_16."""
    station = await come(bench, V201, 1)
    assert (await ids(bench, station, [kind], [chain(kind, pki().root)]))["state"] == "accepted"
    (shown,) = await known(bench)
    assert (shown["certificate_type"], shown["hash_algorithm"], shown["children"]) == (kind, "SHA256", [])
    assert shown["issuer_key_hash"] == hash_data(pki().root)["issuerKeyHash"]


async def test_TC_M_15_retrieve_v2g_certificate_chain(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    issuing = pki().root.issue("Sub CA", ca=True)
    told = chain("V2GCertificateChain", issuing.issue(), issuing)
    await ids(bench, station, ["V2GCertificateChain"], [told])
    (shown,) = await known(bench)
    assert shown["certificate_type"] == "V2GCertificateChain"
    (child,) = shown["children"]
    assert child["serial_number"] == hash_data(issuing)["serialNumber"]


async def test_TC_M_17_retrieve_two_types(bench: Bench) -> None:
    """The types that were not asked for stay as they were known."""
    station = await come(bench, V201, 1)
    await ids(bench, station, ["MORootCertificate"], [chain("MORootCertificate", pki().stranger)])
    wanted = ["CSMSRootCertificate", "ManufacturerRootCertificate"]
    told = [chain(wanted[0], pki().root), chain(wanted[1], pki().stranger)]
    await ids(bench, station, wanted, told)
    assert [one["certificate_type"] for one in await known(bench)] == [wanted[0], "MORootCertificate", wanted[1]]
    await ids(bench, station, wanted, told[:1])  # the manufacturer's is gone
    assert [one["certificate_type"] for one in await known(bench)] == [wanted[0], "MORootCertificate"]


async def test_TC_M_18_retrieve_all_types(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    await install(bench, station, "CSMSRootCertificate", pki().root, {"status": "Accepted"})
    await ids(bench, station, [], [chain(kind, pki().root) for kind in TYPES])
    shown = await known(bench)
    assert [one["certificate_type"] for one in shown] == sorted(TYPES)
    # What was installed from here is still known whole.
    assert [one["certificate_pem"] is not None for one in shown] == [True, False, False, False]
    await ids(bench, station, [], [])
    assert not await known(bench)


async def test_TC_M_19_no_matching_certificate(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    command = await ids(bench, station, ["V2GRootCertificate"], [])
    assert (command["state"], command["response"]) == ("refused", {"status": "NotFound"})
    assert not await known(bench)


async def test_TC_M_18_what_cannot_be_read_in_a_list_is_left_out(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    broken = [{"certificateType": "MORootCertificate"}, {"certificateHashData": hash_data(pki().root)}, 5]
    good = chain("MORootCertificate", pki().root)
    await ids(bench, station, [], [*broken, good, good])  # type: ignore[list-item]
    assert len(await known(bench)) == 1


# --- deleting ---------------------------------------------------------------------------------------------------------


async def test_TC_M_20_delete_a_certificate(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    await ids(bench, station, [], [chain(TYPES[0], pki().root), chain(TYPES[1], pki().stranger)])
    named = hash_data(pki().root)
    named |= {"issuerNameHash": named["issuerNameHash"].upper()}
    command = await bench.exchange(station, "DeleteCertificate", {"certificateHashData": named}, {"status": "Accepted"})
    assert command["state"] == "accepted"
    assert [one["certificate_type"] for one in await known(bench)] == [TYPES[1]]


@pytest.mark.parametrize(("status", "left"), [("Failed", 1), ("NotFound", 0)])
async def test_TC_M_21_delete_a_certificate_failed(bench: Bench, status: str, left: int) -> None:
    station = await come(bench, V201, 1)
    await ids(bench, station, [], [chain(TYPES[0], pki().root)])
    deletion = {"certificateHashData": hash_data(pki().root)}
    command = await bench.exchange(station, "DeleteCertificate", deletion, {"status": status})
    assert (command["state"], command["response"]) == ("refused", {"status": status})
    assert len(await known(bench)) == left


# --- how a certificate stands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V201, "ocpp2.1"])
async def test_TC_M_24_get_certificate_status(bench: Bench, version: str) -> None:
    station = await come(bench, version, 1)
    responder = Responder()
    async with serving(responder.answer) as url:
        for revoked in (False, True):
            if revoked:
                responder.revoked.add(pki().station.certificate.serial_number)
            data = hash_data(pki().station) | {"responderURL": url}
            answer = await bench.ask(station, "GetCertificateStatus", {"ocspRequestData": data})
            assert answer["status"] == "Accepted"
            found = ocsp.load_der_ocsp_response(base64.b64decode(answer["ocspResult"]))
            expected = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
            assert found.certificate_status is expected


async def test_TC_M_24_without_an_answer_it_failed(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    async with serving(Responder().answer) as url:
        pass  # nobody listens there any more
    for changed in ({"responderURL": url}, {"responderURL": "ftp://x.example"}, {"serialNumber": "zz"}):
        data = hash_data(pki().station) | {"responderURL": url} | changed
        answer = await bench.ask(station, "GetCertificateStatus", {"ocspRequestData": data})
        assert answer["status"] == "Failed"
        assert answer["statusInfo"]["additionalInfo"]
        assert "ocspResult" not in answer


async def test_TC_M_24_a_station_does_not_reach_inside(databases: Databases) -> None:
    """By default no address that is not public is called."""
    responder = Responder()
    authority = {"passphrase": "a-passphrase-of-tests", "organisation": "Operator AS"}
    async with secure_bench(databases.fresh("sqlite"), authority=authority) as bench, serving(responder.answer) as url:
        station = await come(bench, V201, 1)
        data = hash_data(pki().station) | {"responderURL": url}
        answer = await bench.ask(station, "GetCertificateStatus", {"ocspRequestData": data})
        assert (answer["status"], responder.asked) == ("Failed", 0)
        assert "not public" in answer["statusInfo"]["additionalInfo"]
