"""Who is let in when several come at once, from elsewhere, or after an operator's approval."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from csms.ocpp.credentials import hash_password
from csms.ocpp.options import OcppOptions
from sessions import facts
from sessions.directory import Admission, StationRecord
from tests.wire.station import Central, basic, running

SECRET, OTHER = "a-password-of-the-station", "a-password-of-another"
BOOTS: dict[str, dict[str, Any]] = {
    "ocpp1.6": {"chargePointVendor": "m", "chargePointModel": "b"},
    "ocpp2.0.1": {"reason": "PowerUp", "chargingStation": {"model": "b", "vendorName": "m"}},
}


async def refused(central: Central, *versions: str, authorization: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        await central.connect("CP1", *versions, authorization=authorization, register=False)
    return int(refusal.value.response.status_code)


@pytest.mark.parametrize("version", BOOTS)
async def test_an_approved_station_is_accepted_at_its_next_boot_on_the_same_line(version: str) -> None:
    """TC_B_02, TC_B_30: a pending station asks again without reconnecting."""
    async with running(OcppOptions(unknown_stations="hold")) as central:
        station = await central.connect("CP1", version, register=False)
        for _ in range(2):
            assert (await station.ask("BootNotification", BOOTS[version]))[2]["status"] == "Pending"
        approved = replace(central.directory.stations["CP1"], admission=Admission.ACCEPTED)
        central.directory.stations["CP1"] = approved
        assert (await station.ask("Heartbeat", {}))[2] == "SecurityError"  # not before it booted
        assert (await station.ask("BootNotification", BOOTS[version]))[2]["status"] == "Accepted"
        assert (await station.ask("Heartbeat", {}))[0] == 3
        assert [boot.status for boot in central.inbox.of(facts.StationBooted)] == ["Pending", "Pending", "Accepted"]


async def test_a_station_refused_or_deleted_while_it_waits_goes_on_waiting() -> None:
    async with running(OcppOptions(unknown_stations="hold")) as central:
        station = await central.connect("CP1", register=False)
        central.directory.stations["CP1"] = replace(central.directory.stations["CP1"], admission=Admission.REFUSED)
        assert (await station.ask("BootNotification", BOOTS["ocpp1.6"]))[2]["status"] == "Pending"
        del central.directory.stations["CP1"]
        assert (await station.ask("BootNotification", BOOTS["ocpp1.6"]))[2]["status"] == "Pending"


async def test_nobody_locks_a_station_out_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """TC_A_03. Guessing ends at its own address; the station comes in from its own."""
    async with running(OcppOptions(password_failures=2, password_wait_s=3600)) as central:
        central.directory.add("CP1", await hash_password(SECRET))
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(ServerConnection, "remote_address", property(lambda _: ("192.0.2.7", 4711)))
            assert [await refused(central, authorization=basic("CP1", OTHER)) for _ in range(3)] == [401, 401, 429]
            assert await refused(central, authorization=basic("CP1", SECRET)) == 429
        await central.connect("CP1", authorization=basic("CP1", SECRET), register=False)


async def test_of_two_first_passwords_one_stands() -> None:
    """Trust on first use trusts one: the other that came at the same moment is a stranger."""
    async with running(OcppOptions(unknown_stations="accept")) as central:
        both_asked = asyncio.Barrier(2)
        look_up, first_looks = central.directory.station, iter(range(2))

        async def at_once(station_id: str) -> StationRecord | None:
            found = await look_up(station_id)
            if next(first_looks, None) is not None:
                await both_asked.wait()
            return found

        central.directory.station = at_once  # type: ignore[method-assign]
        came = await asyncio.gather(
            *(central.connect("CP1", authorization=basic("CP1", word), register=False) for word in (SECRET, OTHER)),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in came) == ["InvalidStatus", "Station"]


async def test_who_speaks_no_ocpp_is_not_put_on_file() -> None:
    async with running(OcppOptions(unknown_stations="accept", password_failures=1)) as central:
        assert await refused(central, "mqtt", authorization=basic("CP1", SECRET)) == 400
        assert not central.directory.stations
        await central.connect("CP1", authorization=basic("CP1", OTHER), register=False)
