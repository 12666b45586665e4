"""The simulated station in OCPP 2.0.1, from its socket's other end."""

from typing import Any

import pytest

from simulators.station import SimClock, Station, StationConfig
from tests.unit.simulators.station.central import Central, booted_station, central_system

TOKEN = {"idToken": "5c1d6f0e-3b1e-4a58-9d55-4a0c7b8d9e01", "type": "Central"}


def start(remote_start_id: int = 4711, **more: Any) -> dict[str, Any]:
    return {"idToken": TOKEN, "remoteStartId": remote_start_id, "evseId": 1} | more


async def set_variable(central: Central, component: str, variable: str, value: str) -> str:
    where = {"component": {"name": component}, "variable": {"name": variable}}
    answer = await central.command("SetVariables", {"setVariableData": [where | {"attributeValue": value}]})
    return str(answer["setVariableResult"][0]["attributeStatus"])


def events(station: Station) -> list[tuple[str, str]]:
    return [(e["eventType"], e["triggerReason"]) for e in station.sent("TransactionEvent")]


async def test_cable_first_then_remote_start_and_stop() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        await station.plug(1)
        assert await central.command("RequestStartTransaction", start()) == {"status": "Accepted"}
        await station.wait_for(lambda s: events(s).count(("Updated", "MeterValuePeriodic")) >= 2)
        transaction = station.evse(1).transaction
        assert transaction is not None
        stop = {"transactionId": transaction.transaction_id}
        assert await central.command("GetTransactionStatus", stop) == {
            "ongoingIndicator": True,
            "messagesInQueue": False,
        }
        assert await central.command("RequestStopTransaction", stop) == {"status": "Accepted"}
        await station.drained()

        told = station.sent("TransactionEvent")
        assert events(station)[:2] == [("Started", "RemoteStart"), ("Updated", "ChargingStateChanged")]
        assert events(station)[-1] == ("Ended", "RemoteStop")
        assert told[0]["idToken"] == TOKEN
        assert told[0]["evse"] == {"id": 1, "connectorId": 1}
        assert {e["transactionInfo"]["remoteStartId"] for e in told} == {4711}
        assert [e["seqNo"] for e in told] == list(range(len(told)))
        assert not any(e["offline"] for e in told)
        assert told[1]["transactionInfo"]["chargingState"] == "Charging"
        assert told[-1]["transactionInfo"]["stoppedReason"] == "Remote"
        registers = [e["meterValue"][-1]["sampledValue"][0]["value"] for e in told if "meterValue" in e]
        assert registers[:3] == [0, 183, 366]
        assert registers[-1] == station.evse(1).delivered_wh == station.evse(1).register_wh
        answer = await central.command("GetTransactionStatus", stop)
        assert answer == {"ongoingIndicator": False, "messagesInQueue": False}


async def test_a_transaction_that_began_with_the_cable_takes_the_remote_start_as_an_update() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        assert await set_variable(central, "TxCtrlr", "TxStartPoint", "EVConnected") == "Accepted"
        await station.plug(1)
        await station.wait_for(lambda s: events(s) == [("Started", "CablePluggedIn")])
        transaction = station.evse(1).transaction
        assert transaction is not None
        answer = await central.command("RequestStartTransaction", start())
        assert answer == {"status": "Accepted", "transactionId": transaction.transaction_id}
        await station.wait_for(lambda s: len(events(s)) >= 3)
        assert events(station)[1:3] == [("Updated", "RemoteStart"), ("Updated", "ChargingStateChanged")]
        update = station.sent("TransactionEvent")[1]
        assert (update["idToken"], update["transactionInfo"]["remoteStartId"]) == (TOKEN, 4711)
        await station.unplug(1)
        await station.drained()
        assert events(station)[-1] == ("Ended", "EVCommunicationLost")
        assert station.sent("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "EVDisconnected"


async def test_a_stop_point_of_the_cable_keeps_the_transaction_until_it_is_out() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        assert await set_variable(central, "TxCtrlr", "TxStopPoint", "EVConnected") == "Accepted"
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        transaction = station.evse(1).transaction
        assert transaction is not None
        await central.command("RequestStopTransaction", {"transactionId": transaction.transaction_id})
        await station.wait_for(lambda s: events(s)[-1] == ("Updated", "RemoteStop"))
        assert station.evse(1).power_w == 0
        await station.unplug(1)
        await station.drained()
        ended = station.sent("TransactionEvent")[-1]
        assert (ended["eventType"], ended["transactionInfo"]["stoppedReason"]) == ("Ended", "Remote")


@pytest.mark.parametrize("start_point", ["PowerPathClosed", "Authorized"])
async def test_nobody_plugs_in(start_point: str) -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        await set_variable(central, "TxCtrlr", "TxStartPoint", start_point)
        await set_variable(central, "TxCtrlr", "EVConnectionTimeOut", "20")
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).authorization is not None)
        await station.wait_for(lambda s: s.evse(1).authorization is None)
        await station.drained()
        if start_point == "Authorized":
            assert events(station) == [("Started", "RemoteStart"), ("Ended", "EVConnectTimeout")]
            assert station.sent("TransactionEvent")[1]["transactionInfo"]["stoppedReason"] == "Timeout"
        else:
            assert events(station) == []


async def test_offline_events_are_marked_and_replayed_in_order() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: events(s).count(("Updated", "MeterValuePeriodic")) == 1)
        await station.drained()
        await station.go_offline()
        await station.wait_for(lambda s: s.outbox.transactions_waiting() >= 2)
        await station.unplug(1)
        before = len(central.calls)
        await station.go_online()
        await station.wait_for(lambda s: "StatusNotification" in central.actions()[before:])
        actions = central.actions()[before:]
        assert actions == ["TransactionEvent"] * (len(actions) - 1) + ["StatusNotification"]
        told = central.payloads("TransactionEvent")
        assert [e["seqNo"] for e in told] == list(range(len(told)))
        assert [e["offline"] for e in told] == [False] * 3 + [True] * (len(told) - 3)
        assert told[-1]["eventType"] == "Ended"


async def test_a_card_starts_and_stops() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        assert await station.present_token(1, "0A1B2C3D") == "Accepted"
        await station.plug(1)
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        group = {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Local"}}}
        central.script["Authorize"] = lambda p: group
        assert await station.present_token(1, "FFFFFFFF") == "ConcurrentTx"
        assert await station.present_token(1, "0A1B2C3D") == "Accepted"
        await station.drained()
        ended = station.sent("TransactionEvent")[-1]
        assert (ended["triggerReason"], ended["transactionInfo"]["stoppedReason"]) == ("StopAuthorized", "Local")
        assert ended["idToken"] == {"idToken": "0A1B2C3D", "type": "ISO14443"}


async def test_a_refused_token_suspends_or_stops() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        await set_variable(central, "TxCtrlr", "StopTxOnInvalidId", "false")
        central.script["TransactionEvent"] = lambda p: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in p else {}
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).state == "SuspendedEVSE")
        await station.unplug(1)
        await set_variable(central, "TxCtrlr", "StopTxOnInvalidId", "true")
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: events(s)[-1] == ("Ended", "Deauthorized"))


async def test_resets() -> None:
    async with central_system("2.0.1") as central, booted_station(central, evses=2) as station:
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        assert await central.command("Reset", {"type": "Immediate", "evseId": 1}) == {"status": "Accepted"}
        await station.wait_for(lambda s: events(s)[-1] == ("Ended", "ResetCommand"))
        assert await central.command("RequestStartTransaction", start()) == {"status": "Accepted"}
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        assert await central.command("Reset", {"type": "OnIdle"}) == {"status": "Scheduled"}
        await station.unplug(1)
        await station.wait_for(lambda s: len(s.sent("BootNotification")) == 2)
        assert station.sent("BootNotification")[1]["reason"] == "ScheduledReset"
        await station.wait_for(lambda s: s.booted.is_set())
        assert await central.command("Reset", {"type": "Immediate"}) == {"status": "Accepted"}
        await station.wait_for(lambda s: len(s.sent("BootNotification")) == 3)
        assert station.sent("BootNotification")[2]["reason"] == "RemoteReset"


async def test_variables_and_reports() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:

        def ask(component: str, variable: str) -> dict[str, Any]:
            return {"component": {"name": component}, "variable": {"name": variable}}

        asked = [
            ask("TxCtrlr", "EVConnectionTimeOut"),
            ask("TxCtrlr", "Nonsense"),
            ask("Nonsense", "Nonsense"),
            ask("SecurityCtrlr", "BasicAuthPassword"),
            ask("TxCtrlr", "EVConnectionTimeOut") | {"attributeType": "MaxSet"},
        ]
        answer = await central.command("GetVariables", {"getVariableData": asked})
        assert [r["attributeStatus"] for r in answer["getVariableResult"]] == [
            "Accepted",
            "UnknownVariable",
            "UnknownComponent",
            "Rejected",
            "NotSupportedAttributeType",
        ]
        assert await set_variable(central, "SampledDataCtrlr", "TxUpdatedInterval", "5") == "Accepted"
        assert await set_variable(central, "SampledDataCtrlr", "TxUpdatedMeasurands", "RPM") == "Rejected"
        assert await set_variable(central, "SmartChargingCtrlr", "RateUnit", "W") == "Rejected"
        answer = await central.command("GetBaseReport", {"requestId": 9, "reportBase": "FullInventory"})
        assert answer == {"status": "Accepted"}
        await station.wait_for(lambda s: bool(s.sent("NotifyReport")) and not s.sent("NotifyReport")[-1]["tbc"])
        parts = station.sent("NotifyReport")
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        assert len(parts) > 1
        variables = {(d["component"]["name"], d["variable"]["name"]) for part in parts for d in part["reportData"]}
        assert {("TxCtrlr", "TxStartPoint"), ("EVSE", "AvailabilityState")} <= variables


async def test_costs_are_shown() -> None:
    async with central_system("2.0.1") as central, booted_station(central) as station:
        assert await central.command("CostUpdated", {"totalCost": 1.25, "transactionId": "T"}) == {}
        central.script["TransactionEvent"] = lambda p: {"totalCost": 3.5} if p["eventType"] == "Ended" else {}
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        await station.unplug(1)
        await station.drained()
        assert [content["totalCost"] for _, content in station.displayed] == [1.25, 3.5]


async def test_profiles_unlocking_availability_and_triggers() -> None:
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [
            {
                "id": 1,
                "chargingRateUnit": "A",
                "startSchedule": "2020-01-01T00:00:00Z",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10, "numberPhases": 3}],
            }
        ],
    }
    async with central_system("2.0.1") as central, booted_station(central) as station:
        assert (await central.command("SetChargingProfile", {"evseId": 0, "chargingProfile": profile})) == {
            "status": "Accepted"
        }
        tx_profile = profile | {"id": 2, "chargingProfilePurpose": "TxProfile", "transactionId": "unknown"}
        answer = await central.command("SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile})
        assert answer == {"status": "Rejected"}
        await station.plug(1)
        await central.command("RequestStartTransaction", start())
        await station.wait_for(lambda s: s.evse(1).state == "Charging")
        assert station.evse(1).power_w == 6900
        unlock = {"evseId": 1, "connectorId": 1}
        assert await central.command("UnlockConnector", unlock) == {"status": "OngoingAuthorizedTransaction"}
        answer = await central.command("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})
        assert answer == {"status": "Scheduled"}
        trigger = {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
        assert await central.command("TriggerMessage", trigger) == {"status": "Accepted"}
        await station.wait_for(lambda s: ("Updated", "Trigger") in events(s))
        await station.unplug(1)
        await station.wait_for(lambda s: s.sent("StatusNotification")[-1]["connectorStatus"] == "Unavailable")
        assert await central.command("UnlockConnector", unlock) == {"status": "Unlocked"}
        assert await central.command("TriggerMessage", trigger) == {"status": "Rejected"}
        answer = await central.command("TriggerMessage", {"requestedMessage": "SignV2GCertificate"})
        assert answer == {"status": "NotImplemented"}
        clear = {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile"}}
        assert await central.command("ClearChargingProfile", clear) == {"status": "Accepted"}


async def test_a_rejected_boot_answers_with_security_error() -> None:
    async with central_system("2.0.1") as central:
        central.script["BootNotification"] = lambda p: central.usual("BootNotification") | {"status": "Rejected"}
        config = StationConfig(identity="CP1", url=central.url, version="2.0.1", clock=SimClock(10))
        async with Station(config) as station:
            await station.wait_for(lambda s: s.registration.status == "Rejected")
            answer = await central.command("RequestStartTransaction", start())
            assert answer[2] == "SecurityError"
