"""OCPP 2.0.1 A. Security: passwords, TLS and security profiles."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.conformance.bench import PASSWORD, Bench, stamp
from tests.conformance.bench import bench as bench_without
from tests.conformance.secure import (
    come,
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
from tests.pki import OPERATOR, client_context, ec_key, name, pki, rsa_key, signing_request
from tests.wire.station import Station, basic

V201 = "ocpp2.0.1"
NETWORK = {
    "ocppVersion": "OCPP20",
    "ocppTransport": "JSON",
    "ocppCsmsUrl": "wss://csms.example.org/ocpp",
    "messageTimeout": 30,
    "ocppInterface": "Wired0",
}


@pytest_asyncio.fixture(name="bench")
async def with_all_doors(databases: Databases) -> AsyncIterator[Bench]:
    async with secure_bench(databases.fresh("sqlite")) as made:
        yield made


@pytest_asyncio.fixture(name="impatient")
async def that_waits_a_second_for_an_answer(databases: Databases) -> AsyncIterator[Bench]:
    async with secure_bench(databases.fresh("sqlite"), ocpp={"call_timeout_s": 1.0}) as made:
        yield made


def result(status: str) -> dict[str, Any]:
    """The answer to a SetVariables of the password."""
    about = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return {"setVariableResult": [{"attributeStatus": status} | about]}


async def test_TC_A_01_basic_authentication_valid(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    assert station.version == V201
    assert (await bench.api("GET", "/stations/CS1"))["connected"]


async def test_TC_A_02_user_name_is_not_the_identity(bench: Bench) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            f"{bench.app.ocpp_url}/CS1",
            subprotocols=[Subprotocol(V201)],
            additional_headers={"Authorization": basic("CS2", PASSWORD)},
        )
    assert refusal.value.response.status_code == 401
    assert not (await bench.api("GET", "/stations/CS1"))["connected"]


@pytest.mark.parametrize("password", ["wrong", PASSWORD[:-1], None])
async def test_TC_A_03_invalid_password(bench: Bench, password: str | None) -> None:
    assert (await refused(bench, V201, 1, password=password)).startswith("401 ")


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
async def test_TC_A_04_server_side_certificate_valid(bench: Bench, kind: str) -> None:
    suites = {"ECDSA": "ECDHE-ECDSA-AES128-GCM-SHA256", "RSA": "AES256-GCM-SHA384"}
    tls = client_context(pki().root, ciphers=suites[kind], versions=(ssl.TLSVersion.TLSv1_2,) * 2)
    station = await bench.connect(version=V201, profile=2, tls=tls)
    assert station.socket.transport.get_extra_info("cipher")[0] == suites[kind]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_TC_A_06_tls_version_too_low(bench: Bench, version: ssl.TLSVersion) -> None:
    for profile in (2, 3):
        with pytest.warns(DeprecationWarning, match="is deprecated"):
            tls = client_context(pki().root, pki().station, versions=(version, version), weak=True)
        await no_handshake(bench, V201, profile, tls)


async def test_TC_A_07_client_side_certificate_valid(bench: Bench) -> None:
    station = await come(bench, V201, 3, password=None)
    assert await bench.ask(station, "Heartbeat", {})
    shown = await bench.api("GET", "/stations/CS1/connections")
    assert shown["items"][0]["security_profile"] == 3


@pytest.mark.parametrize("wrong", ["expired", "not yet valid", "other CA", "RSA 1024", "EC 192"])
async def test_TC_A_08_client_side_certificate_invalid(bench: Bench, wrong: str) -> None:
    tls = client_context(pki().root, ciphers="ALL", weak=True)
    tls.load_cert_chain(*pki().wrong_stations[wrong].files)
    await no_handshake(bench, V201, 3, tls)


@pytest.mark.parametrize("wrong", ["other identity", "other operator", "no name"])
async def test_TC_A_08_client_side_certificate_of_somebody_else(bench: Bench, wrong: str) -> None:
    said = await refused(bench, V201, 3, pair=pki().wrong_stations[wrong], password=PASSWORD)
    assert said.startswith("403 the certificate is")


# --- passwords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V201, "ocpp2.1"])
async def test_TC_A_09_update_password_accepted(bench: Bench, version: str) -> None:
    station = await come(bench, version, 2)
    command, call = await rotate(bench, station, result("Accepted"))
    (data,) = call[3]["setVariableData"]
    assert (data["component"]["name"], data["variable"]["name"]) == ("SecurityCtrlr", "BasicAuthPassword")
    new = data["attributeValue"]
    assert 16 <= len(new) <= 40
    assert command["state"] == "accepted"
    assert new not in str(command)
    assert await pending(bench)
    await come(bench, version, 2, password=new)
    assert not await pending(bench)
    assert (await refused(bench, version, 2, password=PASSWORD)).startswith("401 ")
    # It is nowhere to be read: neither in the frames nor in the commands or the audit trail.
    for path in ("/stations/CS1/messages", "/stations/CS1/commands", "/audit"):
        assert new not in str(await bench.api("GET", path))


async def test_TC_A_10_update_password_rejected(bench: Bench) -> None:
    station = await come(bench, V201, 2)
    command, call = await rotate(bench, station, result("Rejected"))
    assert command["state"] == "refused"
    assert not await pending(bench)
    new = call[3]["setVariableData"][0]["attributeValue"]
    assert (await refused(bench, V201, 2, password=new)).startswith("401 ")
    await come(bench, V201, 2)


async def _answer_late(bench: Bench, station: Station) -> Any:
    """The command, and its call, to a station that does not answer in time."""
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/password?wait=30"))
    call = await bench.expect(station, "SetVariables")
    return await asked, call


async def test_TC_A_09_unanswered_both_passwords_are_valid(impatient: Bench) -> None:
    station = await come(impatient, V201, 2)
    command, call = await _answer_late(impatient, station)
    assert command["state"] == "timed_out"
    assert await pending(impatient)
    await come(impatient, V201, 2)
    new = call[3]["setVariableData"][0]["attributeValue"]
    await come(impatient, V201, 2, password=new)
    assert (await refused(impatient, V201, 2)).startswith("401 ")


async def test_TC_A_09_an_error_leaves_both_valid(bench: Bench) -> None:
    """After a CALLERROR nobody knows what the station did."""
    station = await come(bench, V201, 2)
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/password?wait=30"))
    call = await bench.expect(station, "SetVariables")
    await station.send(4, call[1], "InternalError", "", {})
    assert (await asked)["state"] == "refused"
    assert await pending(bench)
    await come(bench, V201, 2)


async def test_TC_A_09_two_rotations_the_later_one_survives_the_earlier(impatient: Bench) -> None:
    """The station comes back with the first while the second is under way."""
    station = await come(impatient, V201, 2)
    _, first = await rotate(impatient, station, result("Accepted"))
    _, second = await _answer_late(impatient, station)
    passwords = [call[3]["setVariableData"][0]["attributeValue"] for call in (first, second)]
    await come(impatient, V201, 2, password=passwords[0])
    assert await pending(impatient)
    assert (await refused(impatient, V201, 2)).startswith("401 ")
    await come(impatient, V201, 2, password=passwords[1])
    assert not await pending(impatient)
    assert (await refused(impatient, V201, 2, password=passwords[0])).startswith("401 ")


async def test_TC_A_09_offline_nothing_changes(bench: Bench) -> None:
    problem = await bench.api("POST", "/stations/CS1/password", status=409)
    assert "never connected" in problem["detail"]
    station = await come(bench, V201, 1)
    await station.socket.close()
    await bench.eventually(lambda: bench.api("GET", "/stations/CS1"), lambda shown: not shown["connected"])
    assert (await bench.api("POST", "/stations/CS1/password?wait=30"))["state"] == "offline"
    assert not await pending(bench)


async def test_TC_A_09_a_password_is_not_set_by_hand(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    data = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "basicauthpassword"}, "attributeValue": "x"}
    other = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeZone"}, "attributeValue": "UTC"}
    payload = {"setVariableData": [other, data]}
    problem = await bench.api("POST", "/stations/CS1/commands/SetVariables", payload, status=409)
    assert "/stations/CS1/password" in problem["detail"]
    assert not await station.calls_so_far()


async def test_TC_A_09_no_password_in_a_network_profile(bench: Bench) -> None:
    """2.1 could carry one there: it would be locked out as well."""
    station = await come(bench, "ocpp2.1", 1)
    connection = NETWORK | {"securityProfile": 2, "identity": "CS1", "basicAuthPassword": "sixteen-characters"}
    payload = {"configurationSlot": 2, "connectionData": connection}
    problem = await bench.api("POST", "/stations/CS1/commands/SetNetworkProfile", payload, status=409)
    assert "/stations/CS1/password" in problem["detail"]
    assert not await station.calls_so_far()


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V201, "ocpp2.1"])
async def test_TC_A_11_update_charging_station_certificate(bench: Bench, version: str) -> None:
    station = await come(bench, version, 1)
    asked = asyncio.create_task(bench.api("POST", "/stations/CS1/certificate-renewals?wait=30", {}))
    call = await bench.expect(station, "TriggerMessage")
    assert call[3] == {"requestedMessage": "SignChargingStationCertificate"}
    await station.answer(call, {"status": "Accepted"})
    assert (await asked)["state"] == "accepted"
    key = ec_key()
    more: dict[str, Any] = {"certificateType": "ChargingStationCertificate"}
    more |= {"requestId": 77} if version == "ocpp2.1" else {}
    # By its serial number, as it told it at boot.
    answer, signed = await request_certificate(bench, station, signing_request(key, name("SN-1")), **more)
    assert answer == {"status": "Accepted"}
    assert signed is not None
    assert {k: v for k, v in signed[3].items() if k != "certificateChain"} == more
    await station.answer(signed, {"status": "Accepted"})
    shown = await request_in(bench, "installed")
    assert shown["common_name"] == "SN-1"
    assert shown["renew_at"] < shown["not_after"]
    pair = signed_pair(signed, key)
    await come(bench, version, 3, pair=pair)
    with pytest.raises(InvalidStatus) as refusal:  # it is nobody else's
        await bench.connect("CS2", version, profile=3, tls=client_context(pki().root, pair), password=None, boot=False)
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    ("more", "usage", "server", "client"),
    [
        pytest.param({"certificateType": "V2GCertificate"}, "V2GCertificate", True, False, id="TC_A_12"),
        pytest.param({}, "Both", True, True, id="TC_A_13"),
    ],
)
async def test_TC_A_12_13_update_v2g_and_combined_certificate(
    bench: Bench, more: dict[str, Any], usage: str, server: bool, client: bool
) -> None:
    """TC_A_12, TC_A_13: the certificate is for what was asked, and for nothing else."""
    station = await come(bench, V201, 1)
    key = ec_key()
    answer, signed = await request_certificate(bench, station, signing_request(key, name("SN-1")), **more)
    assert (answer, signed is not None) == ({"status": "Accepted"}, True)
    assert signed is not None
    assert {k: v for k, v in signed[3].items() if k != "certificateChain"} == more
    await station.answer(signed, {"status": "Accepted"})
    assert (await request_in(bench, "installed"))["usage"] == usage
    pair = signed_pair(signed, key)
    uses = pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.SERVER_AUTH in uses, ExtendedKeyUsageOID.CLIENT_AUTH in uses) == (server, client)


async def test_TC_A_14_invalid_certificate(bench: Bench) -> None:
    """The station refuses what it was sent, says why, and is not sent it again."""
    station = await come(bench, V201, 1)
    more = {"certificateType": "ChargingStationCertificate"}
    _, signed = await request_certificate(bench, station, signing_request(ec_key(), name("CS1")), **more)
    assert signed is not None
    await station.answer(signed, {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCertificate"}})
    await request_in(bench, "rejected")
    event = {"type": "InvalidChargingStationCertificate", "timestamp": stamp()}
    assert await bench.ask(station, "SecurityEventNotification", event) == {}
    (shown,) = (await bench.api("GET", "/security-events?critical=false"))["items"]
    assert (shown["station_id"], shown["type"]) == ("CS1", event["type"])
    await station.socket.close()
    assert not await (await come(bench, V201, 1)).calls_so_far()


@pytest.mark.parametrize(
    ("csr", "said"),
    [
        (lambda: signing_request(ec_key(), name("CS2")), "CN is neither"),
        (lambda: signing_request(ec_key(), name("CS1", "Other")), "O is not"),
        (lambda: signing_request(rsa_key(1024), name("CS1")), "1024 bits"),
        (lambda: "no PEM", "is no PEM"),
        (lambda: signing_request(ec_key(), name("CS1"))[:120], "cannot be read"),
    ],
)
async def test_TC_A_11_what_is_wrong_is_rejected(bench: Bench, csr: Any, said: str) -> None:
    station = await come(bench, V201, 1)
    answer, signed = await request_certificate(bench, station, csr())
    assert (answer["status"], signed) == ("Rejected", None)
    assert said in answer["statusInfo"]["additionalInfo"]
    findings = (await bench.api("GET", "/findings?station_id=CS1"))["items"]
    assert "certificate-request-refused" in [finding["code"] for finding in findings]


async def test_TC_A_11_what_could_not_be_delivered_goes_out_again(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    more = {"certificateType": "ChargingStationCertificate"}
    key = ec_key()
    _, signed = await request_certificate(bench, station, signing_request(key, name("CS1")), **more)
    await station.socket.close()  # without an answer
    assert signed is not None
    await request_in(bench, "undelivered")
    back = await bench.connect(boot=False)
    again = await bench.expect(back, "CertificateSigned")
    assert again[3] == signed[3]
    await back.answer(again, {"status": "Accepted"})
    assert (await request_in(bench, "installed"))["attempts"] == 2


async def test_TC_A_11_a_newer_request_settles_an_older_one(impatient: Bench) -> None:
    """The first is never answered: the second goes out when its time is up."""
    station = await come(impatient, V201, 1)
    more = {"certificateType": "ChargingStationCertificate"}
    for _ in range(2):
        _, signed = await request_certificate(impatient, station, signing_request(ec_key(), name("CS1")), **more)
    assert signed is not None
    await station.answer(signed, {"status": "Accepted"})
    await request_in(impatient, "installed")
    shown = (await impatient.api("GET", "/stations/CS1/certificate-requests"))["items"]
    assert [one["state"] for one in shown] == ["installed", "superseded"]


async def test_TC_A_11_without_an_authority_nothing_is_signed(databases: Databases) -> None:
    async with bench_without(databases.fresh("sqlite")) as bench:
        station = await bench.connect()
        answer = await bench.ask(station, "SignCertificate", {"csr": signing_request(ec_key(), name("CS1"))})
        assert answer["status"] == "Rejected"
        assert "[authority]" in (await bench.api("GET", "/authority", status=404))["detail"]


async def test_TC_A_11_the_authority_is_shown_without_its_keys(bench: Bench) -> None:
    shown = await bench.api("GET", "/authority")
    assert shown["root"]["organisation"] == OPERATOR
    assert "PRIVATE" not in str(shown)
    assert shown["issuing"]["issuer"] == shown["root"]["common_name"]


# --- profiles ---------------------------------------------------------------------------------------------------------


async def test_TC_A_19_upgrade_security_profile_accepted(bench: Bench) -> None:
    station = await come(bench, V201, 1)
    profile = {"configurationSlot": 2, "connectionData": NETWORK | {"securityProfile": 2}}
    command = await bench.exchange(station, "SetNetworkProfile", profile, {"status": "Accepted"})
    assert command["state"] == "accepted"
    await come(bench, V201, 1)
    await come(bench, V201, 2)
    assert (await bench.api("GET", "/stations/CS1"))["security_profile"] == 2
    assert (await refused(bench, V201, 1)).startswith("403 this station has to use security profile 2 or higher")


async def test_TC_A_19_an_operator_demands_a_profile_and_may_take_it_back(bench: Bench) -> None:
    await come(bench, V201, 1)
    await bench.api("PATCH", "/stations/CS1", {"security_profile": 3})
    for profile in (1, 2):
        assert (await refused(bench, V201, profile)).startswith("403 ")
    await come(bench, V201, 3)
    await bench.api("PATCH", "/stations/CS1", {"security_profile": 1})
    await come(bench, V201, 1)


async def test_TC_A_19_a_profile_without_a_door_is_not_demanded(databases: Databases) -> None:
    async with secure_bench(databases.fresh("sqlite"), ocpp={"mutual_tls": None}) as bench:
        problem = await bench.api("PATCH", "/stations/CS1", {"security_profile": 3}, status=409)
        assert "No port is open for this security profile" in problem["detail"]
        await bench.api("PATCH", "/stations/CS1", {"security_profile": 2})
