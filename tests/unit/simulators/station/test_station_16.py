"""The simulated station in OCPP 1.6, from its socket's other end."""

from typing import Any

import pytest

from simulators.station import Car, SimClock, Station, StationConfig
from tests.unit.simulators.station.central import booted_station, central_system


async def test_remote_start_meters_and_remote_stop() -> None:
    async with central_system("1.6") as central, booted_station(central, evses=2) as station:
        await station.plug(1)
        answer = await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        assert answer == {"status": "Accepted"}
        await station.wait_for(lambda s: len(s.sent("MeterValues")) >= 2)
        assert station.evse(1).state == "Charging"
        answer = await central.command("RemoteStopTransaction", {"transactionId": 100})
        assert answer == {"status": "Accepted"}
        await station.drained()

        start, stop = station.sent("StartTransaction")[0], station.sent("StopTransaction")[0]
        assert (start["idTag"], start["connectorId"], start["meterStart"]) == ("TAG1", 1, 0)
        assert (stop["transactionId"], stop["reason"]) == (100, "Remote")
        # 11 kW sampled each simulated minute: 183⅓ Wh more each time, to the watt-microsecond.
        samples = [m["meterValue"][0]["sampledValue"][0]["value"] for m in station.sent("MeterValues")]
        assert samples[:2] == ["183", "366"]
        assert all(m["transactionId"] == 100 for m in station.sent("MeterValues"))
        assert stop["meterStop"] == station.evse(1).register_wh == station.evse(1).delivered_wh >= 366
        assert stop["transactionData"][-1]["sampledValue"][0]["value"] == str(stop["meterStop"])
        await station.unplug(1)
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Available")
        seen = [s["status"] for s in station.sent("StatusNotification") if s["connectorId"] == 1]
        assert seen == ["Available", "Preparing", "Charging", "Finishing", "Available"]


async def test_unplugging_ends_the_transaction() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.evse(1).state == "Preparing")
        await station.plug(1)
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.unplug(1)
        await station.drained()
        assert station.sent("StopTransaction")[0]["reason"] == "EVDisconnected"
        assert station.evse(1).state == "Available"


async def test_nobody_plugs_in() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await central.command("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "30"})
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Preparing")
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Available")
        assert station.sent("StartTransaction") == []


async def test_messages_of_an_offline_transaction_are_replayed_in_order() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) == 1)
        await station.go_offline()
        assert not station.online
        await station.wait_for(lambda s: s.outbox.transactions_waiting() >= 3)
        await station.unplug(1)
        before = len(central.calls)
        await station.go_online()
        await station.wait_for(lambda s: central.actions()[before:].count("StatusNotification") == 2)

        actions = central.actions()[before:]
        kept = actions.index("StopTransaction") + 1
        assert set(actions[: kept - 1]) == {"MeterValues"}
        assert actions[kept:] == ["StatusNotification", "StatusNotification"]
        assert "BootNotification" not in actions
        stamps = [m["meterValue"][0]["timestamp"] for m in central.payloads("MeterValues")]
        assert stamps == sorted(stamps)
        assert central.payloads("StopTransaction")[0]["reason"] == "EVDisconnected"


async def test_a_card_starts_offline_and_the_answer_gives_the_id() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        assert await station.present_token(1, "CARD") == "Accepted"  # now in the cache
        await station.plug(1)
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        assert await station.present_token(1, "CARD") == "Accepted"
        await station.drained()
        await station.unplug(1)
        await station.go_offline()
        assert await station.present_token(1, "STRANGER") == "Offline"
        assert await station.present_token(1, "card") == "Accepted"
        await station.plug(1)
        await station.wait_for(lambda s: s.outbox.transactions_waiting() >= 2)
        await station.unplug(1)
        await station.go_online()
        await station.drained()
        assert central.payloads("StopTransaction")[-1]["transactionId"] == 101
        assert {m["transactionId"] for m in central.payloads("MeterValues")} >= {101}


async def test_an_unaccepted_tag_in_the_answer_stops_the_charge() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        central.script["StartTransaction"] = lambda p: {"transactionId": 7, "idTagInfo": {"status": "Invalid"}}
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("StopTransaction")) == 1)
        assert station.sent("StopTransaction")[0]["reason"] == "DeAuthorized"


async def test_remote_tags_are_authorised_when_asked_to() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        central.script["Authorize"] = lambda p: {"idTagInfo": {"status": "Blocked"}}
        await central.command("ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "true"})
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(central.payloads("Authorize")) == 1)
        central.script["Authorize"] = lambda p: {"idTagInfo": {"status": "Accepted"}}
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG2"})
        await station.wait_for(lambda s: len(s.sent("StartTransaction")) == 1)
        assert [a["idTag"] for a in station.sent("Authorize")] == ["TAG1", "TAG2"]
        assert station.sent("StartTransaction")[0]["idTag"] == "TAG2"


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_reset(kind: str, reason: str) -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) == 1)
        assert await central.command("Reset", {"type": kind}) == {"status": "Accepted"}
        await station.wait_for(lambda s: len(s.sent("BootNotification")) == 2 and s.booted.is_set())
        await station.drained()
        assert station.sent("StopTransaction")[0]["reason"] == reason
        assert central.connections == 2
        order = [action for action in central.actions() if action in ("BootNotification", "StopTransaction")]
        if kind == "Soft":  # says goodbye first
            assert order == ["BootNotification", "StopTransaction", "BootNotification"]
        assert station.evse(1).register_wh == station.sent("StopTransaction")[0]["meterStop"] > 0


async def test_a_power_cut_ends_the_transaction_as_of_the_cut() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) == 1)
        await station.power_cut()
        register = station.evse(1).register_wh
        await station.clock.sleep(120)
        await station.power_on()
        await station.wait_for(lambda s: len(s.sent("StopTransaction")) == 1)
        await station.drained()
        stop = station.sent("StopTransaction")[0]
        assert (stop["reason"], stop["meterStop"]) == ("PowerLoss", register)
        boots = [i for i, a in enumerate(central.actions()) if a == "BootNotification"]
        assert boots[1] < central.actions().index("StopTransaction")


async def test_a_callerror_is_retried_and_then_discarded() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await central.command("ChangeConfiguration", {"key": "TransactionMessageRetryInterval", "value": "5"})
        central.script["StartTransaction"] = lambda p: "InternalError"
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.outbox.transactions_waiting() == 0)
        starts = central.payloads("StartTransaction")
        assert len(starts) == 3
        assert starts[0] == starts[2]
        await station.unplug(1)
        await station.drained()
        assert station.sent("StopTransaction")[0]["transactionId"] == -1


async def test_an_unanswered_start_comes_again_under_another_id() -> None:
    async with central_system("1.6") as central, booted_station(central, call_timeout_s=0.05) as station:
        answers: list[Any] = [None, {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}]
        central.script["StartTransaction"] = lambda p: answers.pop(0)
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) >= 1)
        ids = [message_id for message_id, action, _ in central.calls if action == "StartTransaction"]
        assert len(set(ids)) == 2
        assert station.sent("MeterValues")[0]["transactionId"] == 5


async def test_boot_pending_then_accepted() -> None:
    async with central_system("1.6") as central:
        answers = ["Pending", "Rejected", "Accepted"]
        central.script["BootNotification"] = lambda p: (
            central.usual("BootNotification")
            | {
                "status": answers.pop(0),
                "interval": 5,
            }
        )
        async with booted_station(central) as station:
            assert len(station.sent("BootNotification")) == 3
            assert central.actions()[:3] == ["BootNotification"] * 3


async def test_no_transaction_while_pending() -> None:
    async with central_system("1.6") as central:
        central.script["BootNotification"] = lambda p: central.usual("BootNotification") | {"status": "Pending"}
        async with Station(StationConfig(identity="CP1", url=central.url, clock=SimClock(600))) as station:
            await station.wait_for(lambda s: s.registration.status == "Pending")
            await station.plug(1)
            answer = await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
            assert answer == {"status": "Rejected"}
            assert await station.present_token(1, "CARD") == "NotReady"
            await central.command("TriggerMessage", {"requestedMessage": "BootNotification"})
            await station.wait_for(lambda s: len(s.sent("BootNotification")) == 2)
            assert set(central.actions()) == {"BootNotification"}


async def test_configuration() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        answer = await central.command("GetConfiguration", {"key": ["connectiontimeout", "Nonsense"]})
        assert answer["configurationKey"] == [{"key": "ConnectionTimeOut", "readonly": False, "value": "60"}]
        assert answer["unknownKey"] == ["Nonsense"]
        everything = await central.command("GetConfiguration", {})
        assert len(everything["configurationKey"]) > 20
        for key, value, status in (
            ("MeterValueSampleInterval", "10", "Accepted"),
            ("MeterValueSampleInterval", "-1", "Rejected"),
            ("MeterValuesSampledData", "Energy.Active.Import.Register,RPM", "Rejected"),
            ("NumberOfConnectors", "4", "Rejected"),
            ("Nonsense", "1", "NotSupported"),
        ):
            assert await central.command("ChangeConfiguration", {"key": key, "value": value}) == {"status": status}
        assert station.settings.integer("sample_interval_s") == 10


async def test_a_new_password_is_used_at_once() -> None:
    async with central_system("1.6") as central, booted_station(central, password="secret") as station:
        await central.command("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0a" * 16})
        await station.wait_for(lambda s: len(central.passwords) == 2)
        assert central.passwords == [b"secret", b"\n" * 16]
        await station.wait_for(lambda s: s.online)
        assert len(station.sent("BootNotification")) == 1


async def test_calls_that_are_not_understood() -> None:
    async with central_system("1.6") as central, booted_station(central):
        assert (await central.command("ReserveNow", {}))[2] == "NotSupported"
        assert (await central.command("MakeCoffee", {}))[2] == "NotImplemented"
        assert (await central.command("Reset", {"type": "Gentle"}))[0] == 4
        answer = await central.command("DataTransfer", {"vendorId": "acme"})
        assert answer == {"status": "UnknownVendorId"}


async def test_prices_are_shown() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        price = {"vendorId": "org.openchargealliance.costmsg", "messageId": "RunningCost", "data": "{}"}
        assert await central.command("DataTransfer", price) == {"status": "Accepted"}
        assert station.displayed == [("RunningCost", "{}")]


async def test_faults_refuse_and_end() -> None:
    async with central_system("1.6") as central, booted_station(central, evses=2) as station:
        await station.fault(2)
        answer = await central.command("RemoteStartTransaction", {"connectorId": 2, "idTag": "TAG1"})
        assert answer == {"status": "Rejected"}
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG2"})
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.emergency_stop()
        await station.drained()
        assert station.sent("StopTransaction")[0]["reason"] == "EmergencyStop"
        await station.clear_fault(1)
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Finishing")


async def test_a_bounded_profile_limits_and_ends_the_energy() -> None:
    schedule = {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000.0}, {"startPeriod": 60, "limit": 0.0}],
    }
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        start = {"connectorId": 1, "idTag": "TAG1", "chargingProfile": profile}
        assert await central.command("RemoteStartTransaction", start) == {"status": "Accepted"}
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "SuspendedEVSE")
        assert station.evse(1).delivered_wh == 100  # 6 kW for exactly one minute
        assert await central.command("ClearChargingProfile", {"id": 1}) == {"status": "Accepted"}
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Charging")
        assert await central.command("ClearChargingProfile", {"id": 1}) == {"status": "Unknown"}


async def test_availability_waits_for_the_transaction_and_survives_a_reboot() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        answer = await central.command("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        assert answer == {"status": "Scheduled"}
        await station.unplug(1)
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["status"] == "Unavailable")
        await station.reboot()
        await station.wait_for(lambda s: s.booted.is_set())
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["connectorId"] == 1)
        assert station.sent("StatusNotification")[-1]["status"] == "Unavailable"


async def test_unlocking_ends_the_transaction() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        assert await central.command("UnlockConnector", {"connectorId": 9}) == {"status": "NotSupported"}
        assert await central.command("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        await station.drained()
        assert station.sent("StopTransaction")[0]["reason"] == "UnlockCommand"


async def test_triggered_and_clock_aligned_messages() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        await central.command("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) == 1)
        assert station.sent("MeterValues")[0]["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"
        await central.command("ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "60"})
        await station.wait_for(lambda s: len(s.sent("MeterValues")) == 2)
        aligned = station.sent("MeterValues")[1]["meterValue"][0]
        assert aligned["timestamp"].endswith(":00.000Z")
        assert aligned["sampledValue"][0]["context"] == "Sample.Clock"


async def test_the_car_suspends_resumes_and_fills_up() -> None:
    async with central_system("1.6") as central, booted_station(central, speed=3600) as station:
        await station.plug(1, Car(battery_wh=1000, soc_percent=50, taper_from_percent=80))
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.suspend_ev(1)
        assert station.evse(1).state == "SuspendedEV"
        await station.suspend_evse(1)
        assert station.evse(1).state == "SuspendedEVSE"
        await station.resume_evse(1)
        await station.resume_ev(1)
        assert station.evse(1).state == "Charging"
        await station.wait_for(lambda s: s.evse(1).state == "SuspendedEV")
        assert station.evse(1).delivered_wh == 500


async def test_a_pulled_plug_may_only_suspend() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        change = {"key": "StopTransactionOnEVSideDisconnect", "value": "false"}
        assert await central.command("ChangeConfiguration", change) == {"status": "Accepted"}
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.unplug(1)
        assert station.evse(1).state == "SuspendedEV"
        assert station.evse(1).power_w == 0
        await station.plug(1)
        assert station.evse(1).state == "Charging"
        await station.drained()
        assert len(station.sent("StartTransaction")) == 1
        assert station.sent("StopTransaction") == []


async def test_the_central_system_is_away_for_a_while() -> None:
    async with central_system("1.6") as central:
        port = int(central.url.split(":")[2].split("/")[0])
        async with booted_station(central, reconnect_first_s=0.01, reconnect_most_s=0.05) as station:
            await station.plug(1)
            await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
            await station.wait_for(lambda s: len(s.sent("MeterValues")) == 1)
            assert central.server is not None
            central.server.close()
            await central.server.wait_closed()
            await station.wait_for(lambda s: not s.online and s.outbox.transactions_waiting() >= 1)
            async with central_system("1.6", port) as successor:
                await station.wait_for(lambda s: len(successor.payloads("MeterValues")) >= 1)
                assert successor.actions()[0] == "MeterValues"
                assert successor.payloads("MeterValues")[0]["transactionId"] == 100


async def test_a_refused_connection_is_tried_again() -> None:
    async with central_system("1.6") as central:
        config = StationConfig(identity="CP1", url=central.url, password="wrong", reconnect_first_s=0.01)
        async with Station(config) as station:
            seen: list[str] = []
            config.on_event = seen.append
            await station.wait_for(lambda s: len(central.passwords) >= 2)
            station.password = b"right"
            await station.wait_for(lambda s: s.booted.is_set())
            assert any("cannot connect" in text for text in seen)


async def test_a_message_that_was_cut_off_comes_again() -> None:
    async with central_system("1.6") as central, booted_station(central) as station:
        central.script["StartTransaction"] = lambda p: None
        await station.plug(1)
        await central.command("RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"})
        await station.wait_for(lambda s: len(s.sent("StartTransaction")) == 1)
        await station.go_offline()
        del central.script["StartTransaction"]
        await station.go_online()
        await station.drained()
        first, second = station.sent("StartTransaction")
        assert first == second
        assert station.sent("BootNotification") == station.sent("BootNotification")[:1]


async def test_what_breaks_the_simulator_is_not_hidden() -> None:
    async def break_it() -> None:
        raise ZeroDivisionError

    async with central_system("1.6") as central:
        station = await Station(StationConfig(identity="CP1", url=central.url)).__aenter__()
        station.spawn(break_it())
        with pytest.raises(ZeroDivisionError):
            await station.wait_for(lambda s: False)
        with pytest.raises(ZeroDivisionError):
            await station.__aexit__(None, None, None)
