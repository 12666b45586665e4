"""OCPP 1.6: passwords, TLS and security profiles (the security whitepaper)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.bench import PASSWORD, Bench, stamp
from tests.conformance.secure import (
    come,
    hash_data,
    no_handshake,
    pending,
    refused,
    request_certificate,
    request_in,
    rotate,
    secure_bench,
    signed_pair,
)
from tests.databases import Databases
from tests.pki import client_context, ec_key, name, pki, signing_request

V16 = "ocpp1.6"


@pytest_asyncio.fixture(name="bench")
async def with_all_doors(databases: Databases) -> AsyncIterator[Bench]:
    async with secure_bench(databases.fresh("sqlite")) as made:
        yield made


async def test_TC_073_update_password_for_http_basic_authentication(bench: Bench) -> None:
    station = await come(bench, V16, 2)
    command, call = await rotate(bench, station, {"status": "Accepted"})
    assert command["state"] == "accepted"
    assert call[3]["key"] == "AuthorizationKey"
    digits = call[3]["value"]
    assert len(digits) == 40  # what every station takes
    new = bytes.fromhex(digits).decode()
    assert len(new) >= 16
    assert command["request"] == {"key": "AuthorizationKey", "value": "**********"}
    assert await pending(bench)
    await station.socket.close()
    # Until it has come back with the new one, the old one is good: it may not have kept the new one.
    await come(bench, V16, 2, password=PASSWORD)
    assert await pending(bench)
    await come(bench, V16, 2, password=new)
    assert not await pending(bench)
    assert (await refused(bench, V16, 2, password=PASSWORD)).startswith("401 ")
    await come(bench, V16, 2, password=new)


async def test_TC_073_a_station_that_does_not_decode_the_digits_comes_back_too(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    _, call = await rotate(bench, station, {"status": "Accepted"})
    await come(bench, V16, 1, password=call[3]["value"])
    assert (await refused(bench, V16, 1, password=bytes.fromhex(call[3]["value"]).decode())).startswith("401 ")


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_TC_073_refused_nothing_changes(bench: Bench, status: str) -> None:
    station = await come(bench, V16, 1)
    command, call = await rotate(bench, station, {"status": status})
    assert (command["state"], command["response"]) == ("refused", {"status": status})
    assert not await pending(bench)
    assert (await refused(bench, V16, 1, password=call[3]["value"])).startswith("401 ")
    await come(bench, V16, 1)


async def test_TC_073_a_password_is_not_set_by_hand(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    for key in ("AuthorizationKey", "authorizationkey "):
        payload = {"key": key, "value": "00" * 20}
        problem = await bench.api("POST", "/stations/CS1/commands/ChangeConfiguration", payload, status=409)
        assert "/stations/CS1/password" in problem["detail"]
    assert not await station.calls_so_far()


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_TC_074_update_charge_point_certificate_by_request(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/certificate-renewals?wait=30", {}))
    call = await bench.expect(station, "ExtendedTriggerMessage")
    assert call[3] == {"requestedMessage": "SignChargePointCertificate"}
    await station.answer(call, {"status": "Accepted"})
    assert (await asked)["state"] == "accepted"
    key = ec_key()
    answer, signed = await request_certificate(bench, station, signing_request(key, name("CS1")))
    assert answer == {"status": "Accepted"}
    assert signed is not None
    assert set(signed[3]) == {"certificateChain"}
    await station.answer(signed, {"status": "Accepted"})
    shown = await request_in(bench, "installed")
    assert (shown["common_name"], shown["usage"]) == ("CS1", "ChargingStationCertificate")
    # It opens the door with mutual TLS, and only to this station.
    await come(bench, V16, 3, pair=signed_pair(signed, key))


@pytest.mark.parametrize("wrong", ["CS2", None])
async def test_TC_074_a_request_for_somebody_else_is_rejected(bench: Bench, wrong: str | None) -> None:
    station = await come(bench, V16, 1)
    answer, signed = await request_certificate(bench, station, signing_request(ec_key(), name(wrong)))
    assert (answer, signed) == ({"status": "Rejected"}, None)
    assert not (await bench.api("GET", "/stations/CS1/certificate-requests"))["items"]


@pytest.mark.parametrize(
    ("case", "kind", "its_word"),
    [
        ("TC_075_1", "ManufacturerRootCertificate", "ManufacturerRootCertificate"),
        ("TC_075_2", "CSMSRootCertificate", "CentralSystemRootCertificate"),
    ],
    ids=["TC_075_1", "TC_075_2"],
)
async def test_TC_075_install_a_certificate(bench: Bench, case: str, kind: str, its_word: str) -> None:
    """TC_075_1, TC_075_2."""
    station = await come(bench, V16, 1)
    body = {"certificate_type": kind, "certificate": pki().root.pem}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/certificates?wait=30", body))
    call = await bench.expect(station, "InstallCertificate")
    assert call[3] == {"certificateType": its_word, "certificate": pki().root.pem}
    await station.answer(call, {"status": "Accepted"})
    assert (await asked)["state"] == "accepted", case
    (shown,) = (await bench.api("GET", "/stations/CS1/certificates"))["items"]
    assert (shown["certificate_type"], shown["certificate_pem"]) == (kind, pki().root.pem)
    listed = await bench.exchange(
        station,
        "GetInstalledCertificateIds",
        {"certificateType": its_word},
        {"status": "Accepted", "certificateHashData": [hash_data(pki().root)]},
    )
    assert listed["state"] == "accepted"
    assert (await bench.api("GET", "/stations/CS1/certificates"))["items"][0]["certificate_pem"] == pki().root.pem


async def test_TC_075_what_1_6_does_not_know_is_not_sent(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    body = {"certificate_type": "V2GRootCertificate", "certificate": pki().root.pem}
    problem = await bench.api("POST", "/stations/CS1/certificates", body, status=409)
    assert "OCPP 1.6 stations take only" in problem["detail"]
    assert not await station.calls_so_far()


@pytest.mark.parametrize(("status", "left"), [("Accepted", 0), ("NotFound", 0), ("Failed", 1)])
async def test_TC_076_delete_a_certificate(bench: Bench, status: str, left: int) -> None:
    station = await come(bench, V16, 1)
    listed = {"status": "Accepted", "certificateHashData": [hash_data(pki().root)]}
    kind = {"certificateType": "CentralSystemRootCertificate"}
    await bench.exchange(station, "GetInstalledCertificateIds", kind, listed)
    assert len((await bench.api("GET", "/stations/CS1/certificates"))["items"]) == 1
    deletion = {"certificateHashData": hash_data(pki().root)}
    command = await bench.exchange(station, "DeleteCertificate", deletion, {"status": status})
    assert command["state"] == ("accepted" if status == "Accepted" else "refused")
    assert len((await bench.api("GET", "/stations/CS1/certificates"))["items"]) == left


async def test_TC_077_invalid_charge_point_certificate(bench: Bench) -> None:
    """The station finds what it was sent wrong: it says so twice, and is not sent it again."""
    station = await come(bench, V16, 1)
    answer, signed = await request_certificate(bench, station, signing_request(ec_key(), name("CS1")))
    assert (answer["status"], signed is not None) == ("Accepted", True)
    await station.answer(signed or [], {"status": "Rejected"})
    await request_in(bench, "rejected")
    event = {"type": "InvalidChargePointCertificate", "timestamp": stamp(), "techInfo": "wrong issuer"}
    assert await bench.ask(station, "SecurityEventNotification", event) == {}
    (shown,) = (await bench.api("GET", "/security-events?station_id=CS1"))["items"]
    assert (shown["type"], shown["critical"], shown["tech_info"]) == (event["type"], False, "wrong issuer")
    await station.socket.close()
    back = await come(bench, V16, 1)
    assert not await back.calls_so_far()


async def test_TC_078_invalid_central_system_certificate(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    body = {"certificate_type": "CSMSRootCertificate", "certificate": pki().root.pem}
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/certificates?wait=30", body))
    await station.answer(await bench.expect(station, "InstallCertificate"), {"status": "Rejected"})
    assert (await asked)["state"] == "refused"
    assert not (await bench.api("GET", "/stations/CS1/certificates"))["items"]
    event = {"type": "InvalidCentralSystemCertificate", "timestamp": stamp()}
    for _ in range(2):  # sent again, it is one event
        assert await bench.ask(station, "SecurityEventNotification", event) == {}
    (shown,) = (await bench.api("GET", "/security-events?type=InvalidCentralSystemCertificate"))["items"]
    assert shown["station_id"] == "CS1"


# --- profiles ---------------------------------------------------------------------------------------------------------


async def test_TC_083_upgrade_security_profile_accepted(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    command = await bench.exchange(
        station, "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}, {"status": "Accepted"}
    )
    assert command["state"] == "accepted"
    await come(bench, V16, 1)  # it has not rebooted yet, or could not
    await come(bench, V16, 2)
    assert (await bench.api("GET", "/stations/CS1"))["security_profile"] == 2
    said = await refused(bench, V16, 1)
    assert said.startswith("403 this station has to use security profile 2 or higher")
    await come(bench, V16, 3)
    assert (await refused(bench, V16, 2)).startswith("403 ")
    shown = await bench.api("GET", "/stations/CS1/connections")
    assert [one["security_profile"] for one in shown["items"]][:2] == [3, 2]


async def test_TC_083_refused_the_station_may_stay(bench: Bench) -> None:
    station = await come(bench, V16, 1)
    await bench.exchange(
        station, "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}, {"status": "Rejected"}
    )
    await come(bench, V16, 2)
    await come(bench, V16, 1)
    assert (await bench.api("GET", "/stations/CS1"))["security_profile"] == 0


async def test_TC_085_basic_authentication(bench: Bench) -> None:
    await come(bench, V16, 1)
    for wrong in ("wrong", PASSWORD + " ", PASSWORD.upper(), None):
        assert (await refused(bench, V16, 1, password=wrong)).startswith("401 ")
    await come(bench, V16, 1)


async def test_TC_086_server_side_certificate(bench: Bench) -> None:
    for suite in ("ECDHE-ECDSA-AES256-GCM-SHA384", "AES128-GCM-SHA256"):
        tls = client_context(pki().root, ciphers=suite, versions=(ssl.TLSVersion.TLSv1_2,) * 2)
        station = await bench.connect(version=V16, profile=2, tls=tls)
        assert station.socket.transport.get_extra_info("cipher")[0] == suite
    with pytest.raises(ssl.SSLCertVerificationError):  # a station that trusts others does not come
        await bench.connect(version=V16, profile=2, tls=client_context(pki().stranger))


async def test_TC_087_client_side_certificate(bench: Bench) -> None:
    await come(bench, V16, 3)
    assert (await refused(bench, V16, 3, pair=pki().wrong_stations["other identity"])).startswith("403 ")
    for wrong in ("expired", "other CA"):
        tls = client_context(pki().root)
        tls.load_cert_chain(*pki().wrong_stations[wrong].files)
        await no_handshake(bench, V16, 3, tls)


@pytest.mark.parametrize(
    ("offered", "spoken"), [((V16,), V16), ((V16, "ocpp2.0.1"), "ocpp2.0.1"), (("ocpp1.5", V16), V16)]
)
async def test_TC_088_websocket_subprotocol_negotiation(bench: Bench, offered: Any, spoken: str) -> None:
    station = await bench.connect("CS1", *offered, boot=False)
    assert station.version == spoken
    assert (await refused(bench, "ocpp1.5", 1)).startswith("400 no OCPP version in common")
