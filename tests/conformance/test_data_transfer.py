"""Data transfer, both versions, and custom data."""

from __future__ import annotations

import pytest

from tests.conformance.bench import Bench


@pytest.mark.parametrize(
    ("vendor", "message", "status"),
    [
        ("unknown.example", "x", "UnknownVendorId"),
        ("org.openchargealliance.costmsg", "Unheard", "UnknownMessageId"),
        ("org.openchargealliance.costmsg", "FinalCost", "Rejected"),  # ours to send, not a station's
    ],
)
@pytest.mark.parametrize("version", [pytest.param("ocpp1.6", id="TC_064"), pytest.param("ocpp2.0.1", id="TC_P_02")])
async def test_data_transfer_to_the_system(bench: Bench, version: str, vendor: str, message: str, status: str) -> None:
    station = await bench.connect(version=version)
    answer = await bench.ask(station, "DataTransfer", {"vendorId": vendor, "messageId": message, "data": "x"})
    assert answer == {"status": status}
    refused = await station.ask("DataTransfer", {"messageId": message})  # without its vendor
    assert refused[0] == 4


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
async def test_data_transfer_to_the_station(bench: Bench, version: str) -> None:
    station = await bench.connect(version=version)
    payload = {"vendorId": "vendor.example", "messageId": "Hello", "data": "x"}
    command = await bench.exchange(station, "DataTransfer", payload, {"status": "Accepted", "data": "y"})
    assert (command["state"], command["response"]["data"]) == ("accepted", "y")


async def test_TC_P_03_custom_data_is_taken_and_harms_nothing(bench: Bench) -> None:
    station = await bench.connect()
    custom = {"vendorId": "vendor.example", "anything": {"deep": [1, 2, {"er": None}]}}
    assert "currentTime" in await bench.ask(station, "Heartbeat", {"customData": custom})
    token = {"idToken": "GOOD", "type": "ISO14443", "customData": custom}
    answer = await bench.ask(station, "Authorize", {"idToken": token, "customData": custom})
    assert answer["idTokenInfo"]["status"] == "Accepted"
    command = await bench.exchange(
        station, "ClearCache", {"customData": custom}, {"status": "Accepted", "customData": custom}
    )
    assert command["response"]["customData"] == custom
    assert (await bench.api("GET", "/findings"))["items"] == []
