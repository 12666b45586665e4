"""OCPP 1.6: charging sessions, begun and ended locally, remotely, and offline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessions.clock import ManualClock
from tests.conformance.bench import Bench, bench, boot_payload, stamp
from tests.databases import Databases
from tests.wire.station import Station

ACCEPTED = {"status": "Accepted"}
V16 = "ocpp1.6"


class Point:
    """A 1.6 station and its connector 1; the register shows 1000 Wh at first."""

    def __init__(self, bench: Bench, station: Station) -> None:
        self.bench = bench
        self.station = station

    async def ask(self, action: str, **payload: Any) -> Any:
        return await self.bench.ask(self.station, action, payload)

    async def status(self, status: str, error_code: str = "NoError") -> None:
        assert await self.ask("StatusNotification", connectorId=1, errorCode=error_code, status=status) == {}

    async def authorize(self, id_tag: str = "GOOD") -> str:
        return str((await self.ask("Authorize", idTag=id_tag))["idTagInfo"]["status"])

    async def start(self, id_tag: str = "GOOD", *, wh: int = 1000, at: datetime | None = None) -> tuple[int, str]:
        """StartTransaction; its transaction id and the tag's standing."""
        answer = await self.ask("StartTransaction", connectorId=1, idTag=id_tag, meterStart=wh, timestamp=stamp(at))
        return answer["transactionId"], answer["idTagInfo"]["status"]

    async def metered(self, number: int, wh: int) -> None:
        sampled = [{"timestamp": stamp(), "sampledValue": [{"value": str(wh)}]}]
        assert await self.ask("MeterValues", connectorId=1, transactionId=number, meterValue=sampled) == {}

    async def stop(self, number: int, wh: int, reason: str, *, at: datetime | None = None, **more: Any) -> Any:
        said = {"transactionId": number, "meterStop": wh, "timestamp": stamp(at), "reason": reason} | more
        return await self.ask("StopTransaction", **said)

    async def sessions(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.bench.api("GET", "/sessions"))["items"]
        return items

    async def session(self, **expected: Any) -> dict[str, Any]:
        """The one session, as the API shows it; it must be as ``expected``."""
        (listed,) = await self.sessions()
        shown: dict[str, Any] = await self.bench.api("GET", f"/sessions/{listed['session_id']}")
        assert {name: shown[name] for name in expected} == expected
        return shown

    async def remote_start(self, answer: str = "Accepted") -> str:
        """An operator starts; the station answers. The id tag."""
        session = await self.bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=201)
        call = await self.bench.expect(self.station, "RemoteStartTransaction")
        assert call[3] == {"connectorId": 1, "idTag": session["id_token"]}
        await self.station.answer(call, {"status": answer})
        state = {"Accepted": "accepted", "Rejected": "not_started"}[answer]
        path = f"/sessions/{session['session_id']}"
        await self.bench.eventually(lambda: self.bench.api("GET", path), lambda s: s["charging"] == state)
        return str(session["id_token"])

    async def remote_stop(self, answer: str = "Accepted") -> list[Any]:
        """An operator stops; the station answers. The call."""
        session = await self.session()
        stopping = await self.bench.api("POST", f"/sessions/{session['session_id']}/stop")
        assert stopping["charging"] == "stopping"
        call = await self.bench.expect(self.station, "RemoteStopTransaction")
        assert call[3] == {"transactionId": int(session["transaction_id"])}
        await self.station.answer(call, {"status": answer})
        return call

    async def reconnect(self, *, boot: bool) -> None:
        """The line breaks and comes back."""
        await self.station.socket.close()
        self.station = await self.bench.connect(version=V16, boot=boot)


async def point(bench: Bench) -> Point:
    return Point(bench, await bench.connect(version=V16))


async def charged(at: Point, number: int) -> None:
    """From the first power to the cable in hand: 5 Wh."""
    await at.status("Charging")
    await at.metered(number, 1003)
    await at.session(charging="charging", energy_wh=3, cost_minor=3, cost_final=False)
    assert await at.stop(number, 1005, "Local", idTag="GOOD") == {"idTagInfo": ACCEPTED}
    await at.status("Finishing")
    await at.status("Available")
    await at.session(charging="ended", energy_wh=5, cost_minor=5, cost_final=True, open=False, flags=[])


async def test_TC_003_regular_session_plugin_first(bench: Bench) -> None:
    at = await point(bench)
    await at.status("Preparing")
    assert await at.authorize() == "Accepted"
    number, standing = await at.start()
    assert (number > 0, standing) == (True, "Accepted")
    await charged(at, number)


async def test_TC_004_1_regular_session_identification_first(bench: Bench) -> None:
    at = await point(bench)
    assert await at.authorize() == "Accepted"
    await at.status("Preparing")
    number, standing = await at.start()
    assert standing == "Accepted"
    await charged(at, number)


async def test_TC_004_2_identification_first_connection_timeout(bench: Bench) -> None:
    at = await point(bench)
    assert await at.authorize() == "Accepted"
    await at.status("Preparing")
    await at.status("Available")
    assert await at.sessions() == []
    (evse, *_) = (await bench.api("GET", "/stations/CS1"))["evses"]
    assert evse["status"] == "Available"


async def test_TC_005_1_ev_side_disconnected(bench: Bench) -> None:
    at = await point(bench)
    number, _ = await at.start()
    await at.status("Charging")
    await at.status("SuspendedEV")
    await at.stop(number, 1004, "EVDisconnected")
    await at.status("Finishing")
    await at.status("Available")
    await at.session(charging="ended", end_reason="EVDisconnected", energy_wh=4, flags=[])


async def test_TC_007_regular_start_cached_id(bench: Bench) -> None:
    """The station's cache says that the tag is good: it does not ask."""
    at = await point(bench)
    await at.status("Preparing")
    number, standing = await at.start("good")  # id tags ignore case
    assert standing == "Accepted"
    await at.session(id_token="GOOD", origin="rfid")
    await charged(at, number)


async def test_TC_010_remote_start_cable_first(bench: Bench) -> None:
    at = await point(bench)
    await at.status("Preparing")
    tag = await at.remote_start()
    assert await at.authorize(tag) == "Accepted"  # AuthorizeRemoteTxRequests
    number, standing = await at.start(tag)
    assert standing == "Accepted"
    await at.status("Charging")
    await at.session(charging="charging", origin="operator", transaction_id=str(number))
    await at.stop(number, 1002, "Local")
    await at.session(charging="ended", energy_wh=2)
    assert await at.authorize(tag) == "Invalid"  # it was for this charge alone


async def test_TC_011_1_remote_start_first(bench: Bench) -> None:
    at = await point(bench)
    tag = await at.remote_start()
    await at.status("Preparing")
    number, standing = await at.start(tag)
    assert standing == "Accepted"
    await at.status("Charging")
    await at.session(charging="charging", transaction_id=str(number))


async def test_TC_011_2_remote_start_time_out(databases: Databases) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with bench(databases.fresh("sqlite"), clock=clock, sessions={"connection_timeout_s": 60}) as made:
        at = await point(made)
        tag = await at.remote_start()
        await at.status("Preparing")
        await at.status("Available")  # ConnectionTimeOut
        await clock.advance(3600)  # the system's own timer comes after the station's
        await made.eventually(at.sessions, lambda found: found[0]["charging"] == "not_started")
        await at.session(end_reason="never plugged in", open=False, flags=[])
        assert await at.authorize(tag) == "Invalid"


async def test_TC_012_remote_stop(bench: Bench) -> None:
    at = await point(bench)
    number, _ = await at.start()
    await at.status("Charging")
    await at.remote_stop()
    await at.stop(number, 1006, "Remote")
    await at.status("Finishing")
    await at.status("Available")
    await at.session(charging="ended", end_reason="Remote", stop_by="operator", energy_wh=6, flags=[])


async def test_TC_024_start_lock_failure(bench: Bench) -> None:
    at = await point(bench)
    assert await at.authorize() == "Accepted"
    await at.status("Preparing")
    await at.status("Faulted", "ConnectorLockFailure")
    assert await at.sessions() == []
    (evse, *_) = (await bench.api("GET", "/stations/CS1"))["evses"]
    assert (evse["status"], evse["error_code"]) == ("Faulted", "ConnectorLockFailure")
    await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=409)  # not there, not now


async def test_TC_026_remote_start_rejected(bench: Bench) -> None:
    at = await point(bench)
    tag = await at.remote_start("Rejected")
    await at.session(charging="not_started", end_reason="Rejected", open=False)
    assert await at.authorize(tag) == "Invalid"
    await at.bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=201)  # the EVSE is free


async def test_TC_028_remote_stop_rejected(bench: Bench) -> None:
    at = await point(bench)
    number, _ = await at.start()
    await at.remote_stop("Rejected")

    async def refused() -> Any:
        journal = (await at.session())["journal"]
        return [entry["details"]["reason"] for entry in journal if entry["kind"] == "StopRefused"]

    assert await bench.eventually(refused, lambda reasons: reasons) == ["Rejected"]
    await at.session(charging="stopping", open=True)
    await at.metered(number, 1004)  # it goes on
    await at.stop(number, 1005, "Local")
    await at.session(charging="ended", energy_wh=5)


async def test_TC_032_1_power_failure_boot_stops_transactions(bench: Bench) -> None:
    at = await point(bench)
    number, _ = await at.start()
    await at.metered(number, 1004)
    await at.reconnect(boot=True)
    # It was away: what it says of its connector tells whether the charge goes on.
    trigger = await bench.expect(at.station, "TriggerMessage")
    assert trigger[3] == {"requestedMessage": "StatusNotification", "connectorId": 1}
    await at.station.answer(trigger, ACCEPTED)
    await at.status("Available")
    await at.stop(number, 1004, "PowerLoss")
    await at.session(charging="ended", end_reason="PowerLoss", energy_wh=4, open=False, flags=[])


async def test_TC_037_1_offline_start_valid(bench: Bench) -> None:
    at = await point(bench)
    begun = datetime.now(UTC) - timedelta(minutes=10)
    await at.reconnect(boot=False)
    number, standing = await at.start(at=begun)
    assert standing == "Accepted"
    await at.status("Charging")
    session = await at.session(charging="charging", origin="rfid", transaction_id=str(number))
    assert datetime.fromisoformat(session["started_at"]) == begun.replace(microsecond=begun.microsecond // 1000 * 1000)


@pytest.mark.parametrize("tag", ["BLOCKED", "EXPIRED", "NOBODY"])
async def test_TC_037_3_offline_start_invalid(bench: Bench, tag: str) -> None:
    at = await point(bench)
    await at.reconnect(boot=False)
    number, standing = await at.start(tag, at=datetime.now(UTC) - timedelta(minutes=10))
    assert standing == {"BLOCKED": "Blocked", "EXPIRED": "Expired", "NOBODY": "Invalid"}[tag]
    # It is asked to stop, too: not every station is configured to stop by itself.
    call = await bench.expect(at.station, "RemoteStopTransaction")
    await at.station.answer(call, ACCEPTED)
    await at.stop(number, 1001, "DeAuthorized")
    await at.status("Finishing")
    await at.session(charging="ended", origin="unauthorised", end_reason="DeAuthorized", cost_minor=0)


async def test_TC_039_offline_transaction(bench: Bench) -> None:
    at = await point(bench)
    await at.reconnect(boot=False)
    begun = datetime.now(UTC) - timedelta(minutes=30)
    number, standing = await at.start(at=begun)
    assert standing == "Accepted"
    assert await at.stop(number, 4000, "Local", at=begun + timedelta(minutes=20), idTag="GOOD")
    await at.status("Available")
    session = await at.session(charging="ended", energy_wh=3000, cost_minor=3000, open=False, flags=[])
    minutes = datetime.fromisoformat(session["ended_at"]) - datetime.fromisoformat(session["started_at"])
    assert minutes == timedelta(minutes=20)


# --- what should not come ---------------------------------------------------------------------------------------------


async def test_every_message_of_a_session_told_twice_is_told_once(bench: Bench) -> None:
    """Also on another line, under message ids that were other messages' before."""
    at = await point(bench)
    begun, over = datetime.now(UTC) - timedelta(minutes=2), datetime.now(UTC)
    numbers = {(await at.start(at=begun))[0] for _ in range(2)}
    await at.reconnect(boot=False)
    numbers |= {(await at.start(at=begun))[0] for _ in range(2)}
    (number,) = numbers
    for _ in range(2):
        await at.stop(number, 1005, "Local", at=over)
    await at.reconnect(boot=False)
    await at.stop(number, 1005, "Local", at=over)
    assert (await at.start(at=begun))[0] == number
    await at.session(charging="ended", energy_wh=5, flags=[])


@pytest.mark.parametrize("number", [-1, 0, 4711])
async def test_a_stop_of_a_transaction_nobody_knows_is_answered(bench: Bench, number: int) -> None:
    at = await point(bench)
    assert await at.stop(number, 1005, "Local") == {}
    assert await at.sessions() == []


async def test_a_stop_without_its_id_that_comes_again_ends_no_other_charge(bench: Bench) -> None:
    """Its clock was set in between, so it says another time: the register tells that it is the same."""
    at = await point(bench)
    await at.start()
    assert await at.stop(-1, 1005, "Local", at=datetime(1970, 1, 1, 0, 9, tzinfo=UTC)) == {}
    second, _ = await at.start("GOOD2", wh=1005)
    assert await at.stop(-1, 1005, "Local") == {}
    newer, older = await at.sessions()
    assert (newer["transaction_id"], newer["charging"]) == (str(second), "charging")
    assert (older["charging"], older["energy_wh"]) == ("ended", 5)


async def test_a_held_station_cannot_charge(bench: Bench) -> None:
    station = await bench.connect("CS9", V16, password=None, boot=False)
    answer = await bench.ask(station, "BootNotification", boot_payload(V16))
    assert answer["status"] == "Pending"
    begun = {"connectorId": 1, "idTag": "GOOD", "meterStart": 0, "timestamp": stamp()}
    refused = await station.ask("StartTransaction", begun)
    assert (refused[0], refused[2]) == (4, "SecurityError")
    assert (await bench.api("GET", "/sessions"))["items"] == []
