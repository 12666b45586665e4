"""Each defect that a station can be given shows on the wire."""

from typing import Any

import pytest

from simulators.station import Car, Quirks, Station
from simulators.station.config import Version
from tests.unit.simulators.station.central import Central, booted_station, central_system

TOKEN = {"idToken": "5c1d6f0e", "type": "Central"}
VERSIONS = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def start(central: Central, timeout_s: float = 10.0) -> Any:
    if central.version == "1.6":
        return await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"}, timeout_s)
    payload = {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1}
    return await central.command("RequestStartTransaction", payload, timeout_s)


def samples(station: Station) -> list[list[dict[str, Any]]]:
    """The periodic samples that were sent."""
    told = station.sent("MeterValues") + station.sent("TransactionEvent")
    values = [value["sampledValue"] for message in told for value in message.get("meterValue", [])]
    return [value for value in values if value[0].get("context") == "Sample.Periodic"]


async def sampled(central: Central, station: Station, count: int = 1) -> list[list[dict[str, Any]]]:
    await station.plug(1)
    await start(central)
    await station.wait_for(lambda s: len(samples(s)) >= count)
    return samples(station)


@VERSIONS
async def test_kwh(version: Version) -> None:
    async with central_system(version) as central, booted_station(central, quirks=Quirks(kwh=True)) as station:
        value = (await sampled(central, station))[0][0]
        assert float(value["value"]) == 0.183
        assert (value.get("unit") or value["unitOfMeasure"]["unit"]) == "kWh"


@VERSIONS
async def test_register_per_phase(version: Version) -> None:
    quirks = Quirks(register_per_phase=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        values = [v for v in (await sampled(central, station))[0] if v["measurand"].startswith("Energy")]
        assert [v["phase"] for v in values] == ["L1", "L2", "L3"]
        assert [str(v["value"]) for v in values] == ["183"] * 3


@VERSIONS
async def test_float_noise(version: Version) -> None:
    async with central_system(version) as central, booted_station(central, quirks=Quirks(float_noise=True)) as station:
        value = (await sampled(central, station))[0][0]
        assert str(value["value"]) == "183.3333282470703"


@VERSIONS
async def test_omit_transaction_id(version: Version) -> None:
    quirks = Quirks(omit_transaction_id=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await sampled(central, station)
        assert "transactionId" not in station.sent("MeterValues")[0]


async def test_transaction_id_minus_one() -> None:
    config: dict[str, Any] = {"quirks": Quirks(transaction_id_minus_one=True), "call_timeout_s": 0.05}
    async with central_system("1.6") as central, booted_station(central, **config) as station:
        central.script["StartTransaction"] = lambda p: None
        await station.plug(1)
        await start(central)
        await station.wait_for(lambda s: len(s.sent("MeterValues")) >= 1)
        await station.unplug(1)
        await station.drained()
        assert len(station.sent("StartTransaction")) == 1
        assert station.sent("StopTransaction")[0]["transactionId"] == -1


@VERSIONS
async def test_resend_transactions(version: Version) -> None:
    quirks = Quirks(resend_transactions=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await station.plug(1)
        await start(central)
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.unplug(1)
        await station.drained()
        actions = ("StartTransaction", "StopTransaction", "TransactionEvent")
        told = [(message_id, payload) for message_id, action, payload in central.calls if action in actions]
        assert len({message_id for message_id, _ in told}) == len(told) >= 4
        assert [payload for _, payload in told[::2]] == [payload for _, payload in told[1::2]]


@pytest.mark.parametrize(("omit", "seen"), [("after_started", {"Started"}), ("always", set())])
async def test_omit_remote_start_id(omit: Any, seen: set[str]) -> None:
    quirks = Quirks(omit_remote_start_id=omit)
    async with central_system("2.0.1") as central, booted_station(central, quirks=quirks) as station:
        await sampled(central, station)
        await station.unplug(1)
        await station.drained()
        told = station.sent("TransactionEvent")
        assert {e["eventType"] for e in told} == {"Started", "Updated", "Ended"}
        assert {e["eventType"] for e in told if "remoteStartId" in e["transactionInfo"]} == seen


async def test_seq_no_zero() -> None:
    async with central_system("2.0.1") as central, booted_station(central, quirks=Quirks(seq_no_zero=True)) as station:
        await sampled(central, station)
        told = station.sent("TransactionEvent")
        assert len(told) >= 3
        assert {e["seqNo"] for e in told} == {0}


@VERSIONS
async def test_small_message_ids(version: Version) -> None:
    quirks = Quirks(small_message_ids=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        assert central.calls[0][:2] == ("1", "BootNotification")
        await station.go_offline()
        await station.go_online()
        await station.wait_for(lambda s: [message_id for message_id, *_ in central.calls].count("1") == 2)
        assert central.connections == 2


@VERSIONS
async def test_refuse_remote_start(version: Version) -> None:
    quirks = Quirks(refuse_remote_start=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await station.plug(1)
        assert await start(central) == {"status": "Rejected"}
        assert station.evse(1).transaction is None


@VERSIONS
async def test_never_start(version: Version) -> None:
    async with central_system(version) as central, booted_station(central, quirks=Quirks(never_start=True)) as station:
        await station.plug(1)
        assert await start(central) == {"status": "Accepted"}
        assert station.evse(1).state == "Preparing"
        station.config.quirks.never_start = False
        assert await start(central) == {"status": "Accepted"}  # nothing was remembered of the first
        await station.wait_for(lambda s: s.evse(1).state == "Charging")


@VERSIONS
async def test_never_answer_remote_start(version: Version) -> None:
    quirks = Quirks(never_answer_remote_start=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await station.plug(1)
        with pytest.raises(TimeoutError):
            await start(central, timeout_s=0.2)
        assert station.evse(1).state == "Charging"


@VERSIONS
async def test_answer_delay(version: Version) -> None:
    quirks = Quirks(answer_delay_s=90)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await station.plug(1)
        asked = station.clock.true_now()
        assert await start(central) == {"status": "Accepted"}
        assert (station.clock.true_now() - asked).total_seconds() >= 90
        await station.wait_for(lambda s: s.evse(1).state == "Charging")


@VERSIONS
async def test_answer_after_event(version: Version) -> None:
    quirks = Quirks(answer_after_event=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks) as station:
        await station.plug(1)
        assert await start(central) == {"status": "Accepted"}
        order = [f[2] if f[0] == 2 else f[1] for way, f in central.frames if way == "station" and f[0] in (2, 3)]
        event = "StartTransaction" if version == "1.6" else "TransactionEvent"
        assert order.index(event) < order.index("c1")


@VERSIONS
async def test_call_before_answer(version: Version) -> None:
    quirks = Quirks(call_before_answer=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks):
        assert await start(central) == {"status": "Accepted"}
        order = [f[2] if f[0] == 2 else f[1] for way, f in central.frames if way == "station" and f[0] in (2, 3)]
        assert order.index("Heartbeat") < order.index("c1")


@VERSIONS
async def test_clock_1970(version: Version) -> None:
    async with central_system(version) as central, booted_station(central, quirks=Quirks(clock_1970=True)) as station:
        assert central.actions()[:2] == ["MeterValues", "BootNotification"]
        assert station.sent("MeterValues")[0]["meterValue"][0]["timestamp"].startswith("1970-01-01T")
        assert station.sent("StatusNotification")[0]["timestamp"] > "2026"


@VERSIONS
async def test_status_before_boot(version: Version) -> None:
    quirks = Quirks(status_before_boot=True)
    async with central_system(version) as central, booted_station(central, quirks=quirks):
        assert central.actions()[0] == "StatusNotification"


async def test_garbage_is_sent_as_it_is() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.send_raw("{not json")
        await station.send_raw(b"\x00\xff")
        await station.plug(1)
        await station.wait_for(lambda s: "StatusNotification" in central.actions()[-1:])
        odd = [frame for way, frame in central.frames if way == "station" and not isinstance(frame, list)]
        assert odd == ["{not json", b"\x00\xff"]


async def test_a_trickling_car_never_says_that_it_is_done() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1, Car(battery_wh=10, soc_percent=100, trickle_w=60))
        await start(central)
        await station.wait_for(lambda s: len(samples(s)) >= 1)
        assert station.evse(1).state == "Charging"
        assert samples(station)[0][0]["value"] == "1"
