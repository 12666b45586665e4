"""OCPP 2.0.1, N. Diagnostics: events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.test_201_n_monitoring import POWER, result, set_monitors, wanted
from tests.wire.station import Station


def event(number: int, **more: Any) -> dict[str, Any]:
    """An EventDataType; by default an alert of monitor 1."""
    return {
        "eventId": number,
        "timestamp": stamp(),
        "trigger": "Alerting",
        "actualValue": "11.2",
        "eventNotificationType": "CustomMonitor",
        "variableMonitoringId": 1,
        **POWER,
    } | more


async def notify(bench: Bench, station: Station, *told: dict[str, Any], seq_no: int = 0) -> dict[str, Any]:
    """NotifyEvent; what was sent."""
    payload = {"generatedAt": stamp(), "seqNo": seq_no, "tbc": False, "eventData": list(told)}
    assert await bench.ask(station, "NotifyEvent", payload) == {}
    return payload


async def listed(bench: Bench, query: str = "") -> list[Any]:
    return list((await bench.api("GET", f"/stations/CS1/events{query}"))["items"])


async def with_monitor(bench: Bench, **more: Any) -> Station:
    """A station that has taken monitor 1."""
    station = await bench.connect()
    await set_monitors(bench, station, (wanted(POWER, **more), result(wanted(POWER, **more), id=1)))
    return station


async def test_TC_N_21_hard_wired_monitor(bench: Bench) -> None:
    station = await bench.connect()
    told = event(
        21,
        eventNotificationType="HardWiredMonitor",
        techCode="E-7",
        techInfo="too hot",
        cause=20,
        transactionId="tx-1",
        variableMonitoringId=4,
    )
    await notify(bench, station, told)
    (shown,) = await listed(bench)
    assert (shown["event_id"], shown["notification_type"], shown["trigger"]) == (21, "HardWiredMonitor", "Alerting")
    assert (shown["component"], shown["evse_id"], shown["connector_id"], shown["variable"]) == ("EVSE", 2, 1, "Power")
    assert (shown["tech_code"], shown["tech_info"], shown["cause"]) == ("E-7", "too hot", 20)
    assert (shown["actual_value"], shown["transaction_id"], shown["monitor_id"]) == ("11.2", "tx-1", 4)
    assert (shown["cleared"], shown["cleared_at"]) == (False, None)


@pytest.mark.parametrize(
    "monitor",
    [
        pytest.param({"type": "Periodic", "value": 2}, id="TC_N_24"),
        pytest.param({"type": "PeriodicClockAligned", "value": 900}, id="TC_N_50"),
    ],
)
async def test_periodic_events(bench: Bench, monitor: dict[str, Any]) -> None:
    station = await with_monitor(bench, **monitor)
    for n in range(3):
        await notify(bench, station, event(n, trigger="Periodic", actualValue=str(n)), seq_no=n)
    assert [shown["actual_value"] for shown in await listed(bench, "?trigger=Periodic")] == ["2", "1", "0"]
    assert await listed(bench, "?open=true") == []  # they are no alerts
    assert len(await listed(bench, "?severity=5")) == 3  # the monitor's
    assert await listed(bench, "?severity=4") == []


async def test_TC_N_48_monitor_on_a_write_only_variable(bench: Bench) -> None:
    """Its value is a secret: the event tells that it changed, and no value."""
    station = await with_monitor(bench, type="Delta", value=1)
    await notify(bench, station, event(1, trigger="Delta", actualValue=""))
    (shown,) = await listed(bench)
    assert (shown["trigger"], shown["actual_value"]) == ("Delta", "")


@pytest.mark.parametrize("threshold", ["UpperThreshold", "LowerThreshold"])
async def test_TC_N_49_an_alert_is_cleared_after_a_reboot(bench: Bench, threshold: str) -> None:
    station = await with_monitor(bench, type=threshold)
    await notify(bench, station, event(1), event(2, variableMonitoringId=2))
    assert [shown["event_id"] for shown in await listed(bench, "?open=true")] == [2, 1]
    await station.socket.close()
    station = await bench.connect()
    over = stamp()
    await notify(bench, station, event(1, cleared=True, actualValue="9", timestamp=over))
    assert [shown["event_id"] for shown in await listed(bench, "?open=true")] == [2]
    (told,) = await listed(bench, "?cleared=true")
    assert (told["event_id"], told["actual_value"]) == (1, "9")
    (alert,) = await listed(bench, "?monitor_id=1&cleared=false")
    assert stamp(datetime.fromisoformat(alert["cleared_at"])) == over


async def test_an_alert_without_a_monitor_is_cleared_by_its_variable(bench: Bench) -> None:
    station = await bench.connect()
    bare = {name: value for name, value in event(1).items() if name != "variableMonitoringId"}
    other = bare | {"variable": {"name": "Temperature"}}
    await notify(bench, station, bare, other)
    await notify(bench, station, bare | {"cleared": True})
    assert [shown["variable"] for shown in await listed(bench, "?open=true")] == ["Temperature"]


async def test_a_repeated_message_is_kept_once(bench: Bench) -> None:
    station = await bench.connect()
    payload = await notify(bench, station, event(1), event(2))
    assert await bench.ask(station, "NotifyEvent", payload) == {}
    assert [shown["event_id"] for shown in await listed(bench)] == [2, 1]


async def test_events_are_found_by_what_and_when(bench: Bench) -> None:
    station = await bench.connect()
    long_ago = datetime.now(UTC) - timedelta(days=1)
    await notify(bench, station, event(1, timestamp=stamp(long_ago)), event(2))
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [shown["event_id"] for shown in await listed(bench, f"?since={hour_ago}")] == [2]
    assert [shown["event_id"] for shown in await listed(bench, f"?until={hour_ago}")] == [1]
    assert len(await listed(bench, "?component=EVSE&variable=Power&notification_type=CustomMonitor")) == 2
    assert await listed(bench, "?component=Nothing") == []
    first = await bench.api("GET", "/stations/CS1/events?limit=1")
    rest = await bench.api("GET", f"/stations/CS1/events?limit=1&after={first['next']}")
    assert [shown["event_id"] for shown in first["items"] + rest["items"]] == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"eventData": []},
        {"eventData": None},
        {"seqNo": "0"},
        {"eventData": [event(1, trigger="Whim")]},
        {"eventData": [event(1, actualValue="x" * 2501)]},
        {"eventData": [event(1, eventId="one")]},
        {"colour": "red"},
    ],
)
async def test_a_broken_event_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    station = await bench.connect()
    payload = {"generatedAt": stamp(), "seqNo": 0, "eventData": [event(1)]} | change
    assert (await station.ask("NotifyEvent", payload))[0] == 4
    assert await listed(bench) == []
