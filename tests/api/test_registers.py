"""The newest register of each EVSE."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conformance.bench import Bench, stamp


async def test_the_newest_register_is_shown_whatever_comes_late(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    now = datetime.now(UTC)

    async def metered(connector_id: int, wh: str, at: datetime, **more: Any) -> None:
        sampled = [{"timestamp": stamp(at), "sampledValue": [{"value": wh} | more]}]
        assert await bench.ask(station, "MeterValues", {"connectorId": connector_id, "meterValue": sampled}) == {}

    async def shown() -> list[tuple[int, str, str]]:
        items = (await bench.api("GET", "/stations/CS1/registers"))["items"]
        return [(item["evse_id"], item["register_wh"], item["context"]) for item in items]

    assert await shown() == []
    await metered(2, "7.5", now + timedelta(days=400), unit="kWh")  # a clock that is ahead
    await metered(2, "8.25", now - timedelta(seconds=5), unit="kWh", context="Sample.Clock")
    await metered(1, "100", now - timedelta(seconds=4))
    await metered(1, "50", now - timedelta(hours=1))  # out of a queue
    await metered(1, "230", now, measurand="Voltage", unit="V")
    assert await shown() == [(1, "100", "Sample.Periodic"), (2, "8250.00", "Sample.Clock")]
    begun = {"connectorId": 1, "idTag": "GOOD", "meterStart": 100, "timestamp": stamp(now)}
    number = (await bench.ask(station, "StartTransaction", begun))["transactionId"]
    sampled = [{"timestamp": stamp(), "sampledValue": [{"value": "103"}]}]
    await bench.ask(station, "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": sampled})
    assert (await shown())[0] == (1, "103", "Sample.Periodic")
    await bench.api("GET", "/stations/CS9/registers", status=404)
