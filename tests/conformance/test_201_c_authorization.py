"""OCPP 2.0.1, C. Authorization; 1.6, Authorize."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

GROUP = {"idToken": "GROUP", "type": "Central"}


def token(id_token: str) -> dict[str, str]:
    return {"idToken": id_token, "type": "ISO14443"}


def event(kind: str, seq_no: int, trigger: str, id_token: str = "", tx: str = "tx-1", **info: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": trigger,
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": tx} | info,
        "evse": {"id": int(tx[-1]), "connectorId": 1},
    }
    return made | ({"idToken": token(id_token)} if id_token else {})


async def authorize(bench: Bench, station: Station, id_token: str) -> Any:
    return (await bench.ask(station, "Authorize", {"idToken": token(id_token)}))["idTokenInfo"]


async def start(bench: Bench, station: Station, id_token: str, tx: str = "tx-1") -> Any:
    started = event("Started", 0, "Authorized", id_token, tx, chargingState="Charging")
    return (await bench.ask(station, "TransactionEvent", started))["idTokenInfo"]


async def stop(bench: Bench, station: Station, id_token: str, reason: str = "Local", tx: str = "tx-1") -> Any:
    ended = event("Ended", 1, "StopAuthorized", id_token, tx, stoppedReason=reason)
    return (await bench.ask(station, "TransactionEvent", ended))["idTokenInfo"]


async def enter(bench: Bench, id_token: str, **rights: Any) -> Any:
    return await bench.api("POST", "/id-tokens", {"id_token": id_token} | rights, status=201)


@pytest.mark.parametrize(
    ("id_token", "status"),
    [
        pytest.param("NOBODY", "Unknown", id="TC_C_02-unknown"),
        pytest.param("INVALID", "Invalid", id="TC_C_02-invalid"),
        pytest.param("BLOCKED", "Blocked", id="TC_C_06-blocked"),
        pytest.param("EXPIRED", "Expired", id="TC_C_07-expired"),
        pytest.param("good", "Accepted", id="case-does-not-matter"),
    ],
)
async def test_local_start(bench: Bench, id_token: str, status: str) -> None:
    await enter(bench, "INVALID", status="Invalid")
    station = await bench.connect()
    assert (await authorize(bench, station, id_token))["status"] == status
    assert (await start(bench, station, id_token))["status"] == status


@pytest.mark.parametrize(
    ("id_token", "status"),
    [pytest.param("GOOD", "Accepted", id="TC_C_08"), pytest.param("BLOCKED", "Blocked", id="TC_C_20")],
)
async def test_authorization_through_the_cache(bench: Bench, id_token: str, status: str) -> None:
    """The station starts on its cache's word; the system's answer to the start is what holds."""
    station = await bench.connect()
    assert (await start(bench, station, id_token))["status"] == status
    if status == "Blocked":  # the system stops what nobody allowed
        call = await bench.expect(station, "RequestStopTransaction")
        assert call[3] == {"transactionId": "tx-1"}
        await station.answer(call, {"status": "Accepted"})


@pytest.mark.parametrize(
    ("version", "status", "state"),
    [
        pytest.param("ocpp2.0.1", "Accepted", "accepted", id="TC_C_37"),
        pytest.param("ocpp2.0.1", "Rejected", "refused", id="TC_C_38"),
        pytest.param("ocpp1.6", "Accepted", "accepted", id="TC_061"),
    ],
)
async def test_clear_the_cache(bench: Bench, version: str, status: str, state: str) -> None:
    station = await bench.connect(version=version)
    assert (await bench.exchange(station, "ClearCache", {}, {"status": status}))["state"] == state


async def test_TC_C_39_authorization_by_group(bench: Bench) -> None:
    await enter(bench, "FIRST", group_id="GROUP")
    await enter(bench, "SECOND", group_id="group")
    station = await bench.connect()
    assert (await start(bench, station, "FIRST")) == {"status": "Accepted", "groupIdToken": GROUP}
    assert (await authorize(bench, station, "SECOND")) == {"status": "Accepted", "groupIdToken": GROUP}
    assert (await stop(bench, station, "SECOND")) == {"status": "Accepted", "groupIdToken": GROUP}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [pytest.param("Accepted", "Accepted", id="TC_C_40"), pytest.param("Invalid", "Invalid", id="TC_C_43")],
)
async def test_authorization_by_group_with_the_local_list(bench: Bench, status: str, wanted: str) -> None:
    """The local list that the station is sent holds the group; a token that it calls invalid is not asked for."""
    await enter(bench, "FIRST", group_id="GROUP")
    await enter(bench, "SECOND", group_id="GROUP", status=status)
    station = await bench.connect()
    entries = [
        {"idToken": token(name), "idTokenInfo": {"status": its, "groupIdToken": GROUP}}
        for name, its in (("FIRST", "Accepted"), ("SECOND", status))
    ]
    request = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": entries}
    command = await bench.exchange(station, "SendLocalList", request, {"status": "Accepted"})
    assert command["state"] == "accepted"
    assert (await start(bench, station, "FIRST"))["status"] == "Accepted"
    assert (await authorize(bench, station, "SECOND")) == {"status": wanted, "groupIdToken": GROUP}


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(("tx-1", "tx-2"), id="TC_C_47-with-ui-all"),
        pytest.param(("tx-2",), id="TC_C_48-with-ui-some"),
        pytest.param(("tx-1", "tx-2"), id="TC_C_49-without-ui"),
    ],
)
async def test_stop_with_a_master_pass(bench: Bench, ended: tuple[str, ...]) -> None:
    await enter(bench, "MASTER", group_id="MASTERS", master_pass=True)
    station = await bench.connect()
    for id_token, tx in (("GOOD", "tx-1"), ("GOOD2", "tx-2")):
        assert (await start(bench, station, id_token, tx))["status"] == "Accepted"
    shown = await authorize(bench, station, "MASTER")
    assert shown == {"status": "Accepted", "groupIdToken": {"idToken": "MASTERS", "type": "Central"}}
    for tx in ended:
        assert (await stop(bench, station, "MASTER", "MasterPass", tx))["status"] == "Accepted"
    running = (await bench.api("GET", "/sessions?station_id=CS1&open=true"))["items"]
    assert {s["transaction_id"] for s in running} == {"tx-1", "tx-2"} - set(ended)


async def test_a_master_pass_starts_nothing(bench: Bench) -> None:
    await enter(bench, "MASTER", group_id="MASTERS", master_pass=True)
    station = await bench.connect()
    assert (await start(bench, station, "MASTER"))["status"] == "Invalid"
    await bench.expect(station, "RequestStopTransaction")


async def test_a_token_that_may_not_charge_twice_at_once(bench: Bench) -> None:
    await enter(bench, "ONCE", concurrent=False)
    station = await bench.connect()
    assert (await start(bench, station, "ONCE"))["status"] == "Accepted"
    assert (await start(bench, station, "ONCE", "tx-2"))["status"] == "ConcurrentTx"
    await station.answer(await bench.expect(station, "RequestStopTransaction"), {"status": "Accepted"})
    await stop(bench, station, "ONCE")
    assert (await start(bench, station, "ONCE", "tx-3"))["status"] == "Accepted"


# --- 1.6 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_tag", "status"),
    [
        pytest.param("NOBODY", "Invalid", id="TC_023_1"),
        pytest.param("EXPIRED", "Expired", id="TC_023_2"),
        pytest.param("BLOCKED", "Blocked", id="TC_023_3"),
    ],
)
async def test_authorize_on_16(bench: Bench, id_tag: str, status: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    assert (await bench.ask(station, "Authorize", {"idTag": id_tag}))["idTagInfo"]["status"] == status
    assert (await station.ask("Authorize", {}))[0] == 4


async def test_groups_and_expiry_on_16(bench: Bench) -> None:
    await enter(bench, "CHILD", group_id="PARENT", expires_at="2099-01-01T00:00:00Z")
    station = await bench.connect(version="ocpp1.6")
    info = {"status": "Accepted", "parentIdTag": "PARENT", "expiryDate": "2099-01-01T00:00:00.000Z"}
    assert (await bench.ask(station, "Authorize", {"idTag": "child"}))["idTagInfo"] == info
    begin = {"connectorId": 1, "idTag": "CHILD", "meterStart": 0, "timestamp": stamp()}
    started = await bench.ask(station, "StartTransaction", begin)
    assert started["idTagInfo"] == info
    end = {"transactionId": started["transactionId"], "idTag": "BLOCKED", "meterStop": 1, "timestamp": stamp()}
    assert (await bench.ask(station, "StopTransaction", end))["idTagInfo"]["status"] == "Blocked"
