"""What the versions' words become inside, and what the outcome of a fact becomes on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from csms.ocpp.v16 import core
from sessions import facts
from sessions.facts import ChargingState, EvseStatus, Sample, TokenStatus
from tests.wire.station import NOW, Central

AT = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
START = {"connectorId": 2, "idTag": "AbCdEf", "meterStart": 1000, "timestamp": "2026-11-23T11:00:00Z"}
STOP = {"transactionId": 101, "meterStop": 4200, "timestamp": "2026-11-23T11:00:00Z"}
EVENT: dict[str, Any] = {
    "eventType": "Updated",
    "timestamp": "2026-11-23T11:00:00Z",
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 3,
    "transactionInfo": {"transactionId": "tx-1", "chargingState": "SuspendedEV"},
}


# --- 1.6 transactions -------------------------------------------------------------------------------------------------


async def test_start_16(central: Central) -> None:
    station = await central.connect("CP1")
    answer = await station.ask("StartTransaction", START)
    assert answer[2] == {"transactionId": 101, "idTagInfo": {"status": "Accepted"}}
    (started,) = central.inbox.of(facts.TransactionStarted)
    assert (started.station_id, started.evse_id, started.connector_id, started.id_token) == ("CP1", 2, 1, "AbCdEf")
    assert (started.register_wh, started.station_time, started.at) == (Decimal(1000), AT, NOW)
    assert (started.transaction_id, started.raw) == (None, START)


async def test_a_start_sent_again_gets_the_same_transaction_id(central: Central) -> None:
    """Under a new message id, on a new line, in other letters: it is the same start (1.6 idTags ignore case)."""
    first = await central.connect("CP1")
    original = await first.ask("StartTransaction", START)
    again = await first.ask("StartTransaction", START)
    second = await central.connect("CP1")
    other = await second.ask("StartTransaction", {**START, "idTag": "ABCDEF"})
    assert [answer[2]["transactionId"] for answer in (original, again, other)] == [101, 101, 101]
    assert original[1] != again[1]
    assert len(central.inbox.of(facts.TransactionStarted)) == 1


@pytest.mark.parametrize(
    "change", [{"connectorId": 1}, {"idTag": "Other"}, {"meterStart": 1001}, {"timestamp": "2026-11-23T11:00:01Z"}]
)
async def test_another_start_gets_another_transaction_id(central: Central, change: dict[str, Any]) -> None:
    station = await central.connect("CP1")
    assert (await station.ask("StartTransaction", START))[2]["transactionId"] == 101
    assert (await station.ask("StartTransaction", {**START, **change}))[2]["transactionId"] == 102


async def test_the_same_start_at_another_station_is_another(central: Central) -> None:
    one, other = await central.connect("CP1"), await central.connect("CP2")
    assert (await one.ask("StartTransaction", START))[2]["transactionId"] == 101
    assert (await other.ask("StartTransaction", START))[2]["transactionId"] == 102


@pytest.mark.parametrize("transaction_id", [-1, 0, 999_999, 2**31])
async def test_a_stop_with_an_unknown_id_is_answered_as_valid(central: Central, transaction_id: int) -> None:
    station = await central.connect("CP1")
    assert (await station.ask("StopTransaction", {**STOP, "transactionId": transaction_id}))[2] == {}
    (ended,) = central.inbox.of(facts.TransactionEnded)
    assert ended.transaction_id == (str(transaction_id) if transaction_id < 2**31 else None)
    assert (ended.register_wh, ended.reason) == (Decimal(4200), "Local")


async def test_a_stop_sent_again_is_one(central: Central) -> None:
    station = await central.connect("CP1")
    for _ in range(2):
        assert (await station.ask("StopTransaction", STOP))[2] == {}
    assert len(central.inbox.of(facts.TransactionEnded)) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("HardReset", "Reboot"),
        ("SoftReset", "Reboot"),
        ("UnlockCommand", "Local"),
        ("EVDisconnected", "EVDisconnected"),
    ],
)
async def test_reasons_become_201s(central: Central, said: str, meant: str) -> None:
    station = await central.connect("CP1")
    await station.ask("StopTransaction", {**STOP, "reason": said})
    assert central.inbox.of(facts.TransactionEnded)[0].reason == meant


@pytest.mark.parametrize(
    ("standing", "said"),
    [(TokenStatus.ACCEPTED, "Accepted"), (TokenStatus.UNKNOWN, "Accepted"), (TokenStatus.BLOCKED, "Blocked")],
)
async def test_the_tag_that_stopped_it(central: Central, standing: TokenStatus, said: str) -> None:
    """A card session's one-time tag is spent by then, and was good."""
    central.directory.tokens["ABCDEF"] = standing
    station = await central.connect("CP1")
    answer = await station.ask("StopTransaction", {**STOP, "idTag": "AbCdEf"})
    assert answer[2] == {"idTagInfo": {"status": said}}


# --- id tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", TokenStatus)
async def test_standings_in_both_versions(central: Central, status: TokenStatus) -> None:
    """1.6 has no word for an unknown token but Invalid."""
    central.directory.tokens["ABCDEF"] = status
    central.inbox.token_status = status
    in_16 = "Invalid" if status is TokenStatus.UNKNOWN else status.value
    old, new = await central.connect("CP1", "ocpp1.6"), await central.connect("CP2", "ocpp2.0.1")
    assert (await old.ask("Authorize", {"idTag": "AbCdEf"}))[2] == {"idTagInfo": {"status": in_16}}
    assert (await old.ask("StartTransaction", START))[2]["idTagInfo"] == {"status": in_16}
    token = {"idToken": "AbCdEf", "type": "ISO14443"}
    assert (await new.ask("Authorize", {"idToken": token}))[2] == {"idTokenInfo": {"status": status.value}}
    answer = await new.ask("TransactionEvent", {**EVENT, "idToken": token})
    assert answer[2] == {"idTokenInfo": {"status": status.value}}


async def test_no_authorization_needs_none(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    answer = await station.ask("Authorize", {"idToken": {"idToken": "", "type": "NoAuthorization"}})
    assert answer[2] == {"idTokenInfo": {"status": "Accepted"}}


# --- 2.0.1 transactions -----------------------------------------------------------------------------------------------


async def test_an_event_201(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    info = {"transactionId": "tx-1", "chargingState": "SuspendedEV", "remoteStartId": 7}
    evse = {"id": 2, "connectorId": 1}
    payload = {**EVENT, "transactionInfo": info, "evse": evse, "offline": True}
    assert (await station.ask("TransactionEvent", payload))[2] == {}
    (updated,) = central.inbox.of(facts.TransactionUpdated)
    assert (updated.transaction_id, updated.remote_start_id, updated.seq_no) == ("tx-1", 7, 3)
    assert (updated.evse_id, updated.connector_id, updated.offline) == (2, 1, True)
    assert (updated.charging_state, updated.trigger) == (ChargingState.SUSPENDED_EV, "MeterValuePeriodic")
    assert (updated.station_time, updated.at, updated.raw) == (AT, NOW, payload)


async def test_an_event_sent_again_is_one_although_it_now_says_offline(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    await station.ask("TransactionEvent", EVENT)
    await station.ask("TransactionEvent", {**EVENT, "offline": True})
    assert len(central.inbox.of(facts.TransactionUpdated)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "2026-11-23T11:00:15Z"},
        {"seqNo": 4},
        {"triggerReason": "Deauthorized"},
        {"meterValue": [{"timestamp": "2026-11-23T11:00:00Z", "sampledValue": [{"value": 5}]}]},
    ],
)
async def test_events_that_always_say_the_same_number_are_told_apart(central: Central, change: dict[str, Any]) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    await station.ask("TransactionEvent", EVENT)
    await station.ask("TransactionEvent", {**EVENT, **change})
    assert len(central.inbox.of(facts.TransactionUpdated)) == 2


@pytest.mark.parametrize(
    ("total", "said"),
    [(None, None), ((0, "EUR"), 0.0), ((1234, "EUR"), 12.34), ((1234, "JPY"), 1234.0)],
)
async def test_the_cost_is_told_and_free_is_told_too(
    central: Central, total: tuple[int, str] | None, said: float | None
) -> None:
    """I03.FR.03: omitted is not free."""
    central.inbox.total = total
    station = await central.connect("CP1", "ocpp2.0.1")
    for kind in ("Started", "Updated", "Ended"):
        answer = (await station.ask("TransactionEvent", {**EVENT, "eventType": kind}))[2]
        assert answer.get("totalCost") == (None if kind == "Started" else said)
        assert ("totalCost" in answer) == (total is not None and kind != "Started")


async def test_an_end_without_a_reason_is_local(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    await station.ask("TransactionEvent", {**EVENT, "eventType": "Ended"})
    info = {"transactionId": "tx-2", "stoppedReason": "Timeout"}
    await station.ask("TransactionEvent", {**EVENT, "eventType": "Ended", "transactionInfo": info})
    assert [ended.reason for ended in central.inbox.of(facts.TransactionEnded)] == ["Local", "Timeout"]


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        ("ocpp1.6", "StartTransaction", START),
        ("ocpp1.6", "StopTransaction", STOP),
        ("ocpp2.0.1", "TransactionEvent", EVENT),
    ],
)
@pytest.mark.parametrize("timestamp", [None, "yesterday", 5])
async def test_without_a_time_ours_is_used_and_it_is_noted(
    central: Central, version: str, action: str, payload: dict[str, Any], timestamp: Any
) -> None:
    station = await central.connect("CP1", version)
    assert (await station.ask(action, {**payload, "timestamp": timestamp}))[0] == 3
    times = [fact.station_time for fact in central.inbox.facts if isinstance(fact, facts.TransactionFact)]
    assert times == [NOW]
    assert "timestamp-unreadable" in central.inbox.findings()


# --- meters -----------------------------------------------------------------------------------------------------------


async def test_samples_16_are_handed_on_as_said(central: Central) -> None:
    station = await central.connect("CP1")
    sampled = [
        {"value": "1.250", "unit": "kWh", "phase": "L1", "location": "Outlet", "context": "Transaction.End"},
        {"value": "1250"},
        {"value": "16.0", "measurand": "Current.Import", "unit": "A"},
        {"value": "broken"},
        {"value": '{"signedMeterData":"abc" }', "format": "SignedData"},
    ]
    entry = {"timestamp": "2026-11-23T11:00:00Z", "sampledValue": sampled}
    await station.ask("MeterValues", {"connectorId": 1, "transactionId": 101, "meterValue": [entry]})
    (metered,) = central.inbox.of(facts.EnergyMetered)
    assert (metered.evse_id, metered.transaction_id) == (1, "101")
    assert metered.samples == (
        Sample(
            station_time=AT,
            value=Decimal("1.250"),
            unit="kWh",
            phase="L1",
            location="Outlet",
            context="Transaction.End",
        ),
        Sample(station_time=AT, value=Decimal(1250)),
        Sample(station_time=AT, value=None, signed='{"signedMeterData":"abc" }'),
    )


async def test_samples_201_are_handed_on_as_said(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    sampled: list[dict[str, Any]] = [
        {"value": 1.25, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}, "context": "Transaction.Begin"},
        {"value": 0.1},
        {"value": 7.5, "measurand": "Power.Active.Import"},
        {"value": 5, "unitOfMeasure": {"multiplier": 99}},
    ]
    entry = {"timestamp": "2026-11-23T11:00:00Z", "sampledValue": sampled}
    await station.ask("MeterValues", {"evseId": 1, "meterValue": [entry]})
    (metered,) = central.inbox.of(facts.EnergyMetered)
    assert metered.samples == (
        Sample(station_time=AT, value=Decimal("1.25"), unit="Wh", multiplier=3, context="Transaction.Begin"),
        Sample(station_time=AT, value=Decimal("0.1")),
        Sample(station_time=AT, value=Decimal(5)),
    )


# --- status -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", core.STATUSES)
async def test_statuses_16(central: Central, said: str) -> None:
    meant = {
        "Available": (EvseStatus.AVAILABLE, None),
        "Preparing": (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
        "Charging": (EvseStatus.OCCUPIED, ChargingState.CHARGING),
        "SuspendedEV": (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EV),
        "SuspendedEVSE": (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EVSE),
        "Finishing": (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
        "Reserved": (EvseStatus.RESERVED, None),
        "Unavailable": (EvseStatus.UNAVAILABLE, None),
        "Faulted": (EvseStatus.FAULTED, None),
    }[said]
    station = await central.connect("CP1")
    await station.ask("StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": said})
    (reported,) = central.inbox.of(facts.EvseStatusReported)
    assert (reported.status, reported.charging_state) == meant
    assert (reported.evse_id, reported.connector_id, reported.raw_status) == (2, 1, said)
    assert (reported.error_code, reported.station_time) == ("NoError", None)


async def test_the_station_itself_is_evse_0(central: Central) -> None:
    station = await central.connect("CP1")
    await station.ask("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Unavailable"})
    (reported,) = central.inbox.of(facts.EvseStatusReported)
    assert (reported.evse_id, reported.connector_id) == (0, 0)


async def test_the_same_status_twice_is_twice(central: Central) -> None:
    """It may have been another in between that was lost; only transactions are told apart by content."""
    station = await central.connect("CP1")
    for _ in range(2):
        await station.ask("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
    assert len(central.inbox.of(facts.EvseStatusReported)) == 2


async def test_what_a_station_says_of_itself(central: Central) -> None:
    old, new = await central.connect("CP1", "ocpp1.6"), await central.connect("CP2", "ocpp2.0.1")
    box = {
        "chargePointVendor": "Maker",
        "chargePointModel": "Box",
        "chargeBoxSerialNumber": "S1",
        "firmwareVersion": "2",
    }
    await old.ask("BootNotification", box)
    described = {"model": "Box", "vendorName": "Maker", "serialNumber": "S1", "firmwareVersion": "2"}
    await new.ask("BootNotification", {"reason": "Watchdog", "chargingStation": described})
    for booted in central.inbox.of(facts.StationBooted):
        about = (booted.vendor, booted.model, booted.serial_number, booted.firmware_version, booted.status)
        assert about == ("Maker", "Box", "S1", "2", "Accepted")
    assert [booted.reason for booted in central.inbox.of(facts.StationBooted)] == ["", "Watchdog"]
