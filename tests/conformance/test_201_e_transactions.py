"""OCPP 2.0.1 E. Transactions. Where one starts and stops is the station's configuration; all must be taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.charge_201 import ACCEPTED, TOKEN, Charge


async def running(bench: Bench, **more: Any) -> Charge:
    """A transaction that charges: 1000 Wh at its start."""
    charge = Charge(bench, await bench.connect(), **more)
    assert (await charge.started())["idTokenInfo"] == ACCEPTED
    assert (await charge.session())["charging"] == "charging"
    return charge


# --- where it starts --------------------------------------------------------------------------------------------------


async def test_TC_E_01_start_at_power_path_closed(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.status("Occupied")
    assert await charge.authorize() == "Accepted"
    assert await charge.sessions() == []
    answer = await charge.tell("Started", "Authorized", token=True, state="EVConnected", wh=1000)
    assert answer == {"idTokenInfo": ACCEPTED}
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1000)
    session = await charge.session()
    assert (session["charging"], session["origin"], session["evse_id"]) == ("charging", "rfid", 1)
    assert (session["station_id"], session["id_token"], session["open"]) == ("CS1", "GOOD", True)


async def test_TC_E_02_start_at_energy_transfer(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.status("Occupied")
    assert await charge.authorize() == "Accepted"
    answer = await charge.tell("Started", "ChargingStateChanged", token=True, state="Charging", wh=1000)
    assert answer["idTokenInfo"] == ACCEPTED
    assert (await charge.session())["meter"]["begin_wh"] == "1000"


async def test_TC_E_03_local_start_cable_first(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.status("Occupied")
    assert await charge.tell("Started", "CablePluggedIn", state="EVConnected", wh=700) == {}
    assert (await bench.api("GET", "/sessions"))["items"] == []  # nobody has authorised it
    assert await charge.authorize() == "Accepted"
    answer = await charge.tell("Updated", "Authorized", token=True, state="EVConnected")
    assert answer["idTokenInfo"] == ACCEPTED
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=700)
    await charge.tell("Ended", "StopAuthorized", reason="Local", token=True, wh=704)
    await charge.ends(energy_wh=4, origin="rfid", end_reason="Local")


async def test_TC_E_04_local_start_authorization_first(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect(), evse_id=0)
    assert await charge.authorize() == "Accepted"
    assert (await charge.tell("Started", "Authorized", token=True))["idTokenInfo"] == ACCEPTED
    session = await charge.session()
    assert (session["evse_id"], session["charging"]) == (0, "charging")  # which EVSE, nobody knows yet
    charge.evse_id = 2
    await charge.status("Occupied")
    await charge.tell("Updated", "CablePluggedIn", state="EVConnected", wh=500)
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=500)
    session = await charge.session()
    assert (session["evse_id"], session["tariff_id"], session["currency"]) == (2, "T", "NOK")
    await charge.tell("Ended", "EVCommunicationLost", reason="EVDisconnected", wh=507)
    await charge.ends(energy_wh=7, cost_minor=7, evse_id=2)


async def test_TC_E_09_start_at_ev_connected(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.status("Occupied")
    assert await charge.tell("Started", "CablePluggedIn", state="EVConnected", wh=1000) == {}
    assert (await charge.tell("Updated", "Authorized", token=True, wh=1000))["idTokenInfo"] == ACCEPTED
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1001)
    assert (await charge.session())["meter"]["begin_wh"] == "1000"


async def test_TC_E_10_start_at_authorized_local(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    assert await charge.authorize() == "Accepted"
    assert (await charge.tell("Started", "Authorized", token=True, state="Idle"))["idTokenInfo"] == ACCEPTED
    await charge.status("Occupied")
    await charge.tell("Updated", "CablePluggedIn", state="EVConnected")
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1000)
    assert (await charge.session())["charging"] == "charging"


async def test_TC_E_11_start_at_data_signed(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    assert await charge.authorize() == "Accepted"
    signed = {
        "signedMeterData": "c2lnbmVk",
        "signingMethod": "ECDSA-secp256r1-SHA256",
        "encodingMethod": "OCMF",
        "publicKey": "a2V5",
    }
    sampled = [{"value": 1000, "context": "Transaction.Begin", "signedMeterValue": signed}]
    values = [{"timestamp": stamp(), "sampledValue": sampled}]
    answer = await charge.tell("Started", "SignedDataReceived", token=True, state="EVConnected", meterValue=values)
    assert answer["idTokenInfo"] == ACCEPTED
    await charge.tell("Updated", "ChargingStateChanged", state="Charging")
    meter = (await charge.session())["meter"]
    assert meter["begin_wh"] == "1000"
    assert meter["signed"] == [
        '{"signedMeterData":"c2lnbmVk","signingMethod":"ECDSA-secp256r1-SHA256",'
        '"encodingMethod":"OCMF","publicKey":"a2V5"}'
    ]


async def test_TC_E_12_start_at_parking_bay_occupied(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    assert await charge.tell("Started", "EVDetected", state="Idle") == {}
    await charge.status("Occupied")
    assert await charge.tell("Updated", "CablePluggedIn", state="EVConnected") == {}
    assert (await bench.api("GET", "/sessions"))["items"] == []
    assert (await charge.tell("Updated", "Authorized", token=True))["idTokenInfo"] == ACCEPTED
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1000)
    assert (await charge.session())["charging"] == "charging"


async def test_TC_E_38_local_start_ev_not_ready(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.started(state="SuspendedEV")
    await charge.tell("Updated", "MeterValuePeriodic", state="SuspendedEV", wh=1000)
    session = await charge.session()
    assert (session["charging"], session["energy_wh"]) == ("charging", 0)
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1000)
    await charge.tell("Ended", "StopAuthorized", reason="Local", token=True, wh=1003)
    await charge.ends(energy_wh=3)


async def test_TC_E_53_a_transaction_may_begin_at_seq_no_0(bench: Bench) -> None:
    station = await bench.connect()
    for transaction_id in ("tx-1", "tx-2"):  # the number begins again with each
        charge = Charge(bench, station, transaction_id)
        first = charge.payload("Started", "Authorized", token=True, wh=1000)
        assert first["seqNo"] == 0
        assert (await bench.ask(station, "TransactionEvent", first))["idTokenInfo"] == ACCEPTED
        assert (await bench.ask(station, "TransactionEvent", first))["idTokenInfo"] == ACCEPTED  # sent again
        await charge.tell("Ended", "StopAuthorized", wh=1002)
        await charge.ends(energy_wh=2)
    assert len((await bench.api("GET", "/sessions"))["items"]) == 2


# --- where it stops ---------------------------------------------------------------------------------------------------

#: Where TxStopPoint lies → the events up to the end, and what it is for us.
STOPS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "TC_E_07_power_path_closed_local_stop": (
        [{"kind": "Ended", "trigger": "StopAuthorized", "state": "EVConnected", "reason": "Local", "token": True}],
        "Local",
    ),
    "TC_E_08_energy_transfer_stopped_stop_authorized": (
        [
            {"kind": "Updated", "trigger": "StopAuthorized", "state": "Charging", "token": True},
            {"kind": "Ended", "trigger": "ChargingStateChanged", "state": "EVConnected", "reason": "Local"},
        ],
        "Local",
    ),
    "TC_E_14_ev_disconnected_station_side": (
        [
            {"kind": "Updated", "trigger": "StopAuthorized", "state": "EVConnected", "token": True},
            {"kind": "Ended", "trigger": "EVCommunicationLost", "state": "Idle", "reason": "EVDisconnected"},
        ],
        "EVDisconnected",
    ),
    "TC_E_15_stop_authorized_local": (
        [{"kind": "Ended", "trigger": "StopAuthorized", "reason": "Local", "token": True}],
        "Local",
    ),
    "TC_E_17_deauthorized_ev_side_disconnect": (
        [{"kind": "Ended", "trigger": "EVCommunicationLost", "state": "Idle", "reason": "EVDisconnected"}],
        "EVDisconnected",
    ),
    "TC_E_19_parking_bay_unoccupied": (
        [
            {"kind": "Updated", "trigger": "StopAuthorized", "state": "EVConnected", "token": True},
            {"kind": "Updated", "trigger": "EVCommunicationLost", "state": "Idle"},
            {"kind": "Ended", "trigger": "EVDeparted", "reason": "Local"},
        ],
        "Local",
    ),
    "TC_E_20_ev_disconnected_ev_side": (
        [
            {"kind": "Updated", "trigger": "ChargingStateChanged", "state": "SuspendedEV"},
            {"kind": "Ended", "trigger": "EVCommunicationLost", "state": "Idle", "reason": "EVDisconnected"},
        ],
        "EVDisconnected",
    ),
    "TC_E_22_energy_transfer_stopped_suspended_ev": (
        [{"kind": "Ended", "trigger": "ChargingStateChanged", "state": "SuspendedEV", "reason": "StoppedByEV"}],
        "StoppedByEV",
    ),
}


async def stops(bench: Bench, case: str) -> None:
    events, reason = STOPS[case]
    charge = await running(bench)
    for number, event in enumerate(events, 1):
        answer = await charge.tell(**event, wh=1000 + number)
        assert answer.get("idTokenInfo") == (ACCEPTED if event.get("token") else None)
        assert answer["totalCost"] == number / 100  # what was used so far, and in the end
    await charge.status("Available")
    session = await charge.ends(energy_wh=len(events), end_reason=reason, cost_minor=len(events), cost_final=True)
    assert session["ended_at"] is not None


async def test_TC_E_07_stop_at_power_path_closed_local_stop(bench: Bench) -> None:
    await stops(bench, "TC_E_07_power_path_closed_local_stop")


async def test_TC_E_08_stop_at_energy_transfer_stop_authorized(bench: Bench) -> None:
    await stops(bench, "TC_E_08_energy_transfer_stopped_stop_authorized")


async def test_TC_E_14_stop_at_ev_disconnected_station_side(bench: Bench) -> None:
    await stops(bench, "TC_E_14_ev_disconnected_station_side")


async def test_TC_E_15_stop_at_stop_authorized_local(bench: Bench) -> None:
    await stops(bench, "TC_E_15_stop_authorized_local")


async def test_TC_E_17_stop_at_deauthorized_ev_side_disconnect(bench: Bench) -> None:
    await stops(bench, "TC_E_17_deauthorized_ev_side_disconnect")


async def test_TC_E_19_stop_at_parking_bay_unoccupied(bench: Bench) -> None:
    await stops(bench, "TC_E_19_parking_bay_unoccupied")


async def test_TC_E_20_stop_at_ev_disconnected_ev_side(bench: Bench) -> None:
    await stops(bench, "TC_E_20_ev_disconnected_ev_side")


async def test_TC_E_22_stop_at_energy_transfer_suspended_ev(bench: Bench) -> None:
    await stops(bench, "TC_E_22_energy_transfer_stopped_suspended_ev")


@pytest.mark.parametrize("stranger", ["BLOCKED", "EXPIRED", "NOBODY"])
async def test_TC_E_16_stop_at_deauthorized_invalid_id_token(bench: Bench, stranger: str) -> None:
    """Authorised by the station while it was offline; it learns better from the answer."""
    charge = Charge(bench, await bench.connect())
    token = {"idToken": stranger, "type": "ISO14443"}
    answer = await charge.started(idToken=token, offline=True)
    assert answer["idTokenInfo"]["status"] in {"Invalid", "Blocked", "Expired", "Unknown"}
    # It is asked to stop, too: not every station is configured to stop by itself.
    stop = await bench.expect(charge.station, "RequestStopTransaction")
    assert stop[3] == {"transactionId": "tx-1"}
    await charge.station.answer(stop, ACCEPTED)
    await charge.tell("Ended", "Deauthorized", reason="DeAuthorized", wh=1001)
    session = await charge.session()
    assert (session["charging"], session["origin"], session["cost_minor"]) == ("ended", "unauthorised", 0)
    assert (session["end_reason"], session["flags"]) == ("DeAuthorized", ["unauthorised-transaction"])


async def test_TC_E_21_stop_at_stop_authorized_remote(bench: Bench) -> None:
    charge = await running(bench)
    session = await charge.session()
    stopping = await bench.api("POST", f"/sessions/{session['session_id']}/stop")
    assert stopping["charging"] == "stopping"
    stop = await bench.expect(charge.station, "RequestStopTransaction")
    assert stop[3] == {"transactionId": "tx-1"}
    await charge.station.answer(stop, ACCEPTED)
    assert await charge.tell("Ended", "RemoteStop", reason="Remote", wh=1005) == {"totalCost": 0.05}
    await charge.ends(end_reason="Remote", stop_by="operator", energy_wh=5)


async def test_TC_E_26_disconnect_on_the_ev_side_suspends(bench: Bench) -> None:
    charge = await running(bench)
    await charge.tell("Updated", "EVCommunicationLost", state="Idle", wh=1003)
    session = await charge.session()
    assert (session["charging"], session["open"]) == ("charging", True)
    await charge.tell("Updated", "CablePluggedIn", state="EVConnected")
    await charge.tell("Updated", "ChargingStateChanged", state="Charging", wh=1003)
    await charge.tell("Ended", "StopAuthorized", reason="Local", token=True, wh=1006)
    await charge.ends(energy_wh=6)


async def test_TC_E_39_stop_at_deauthorized_timeout(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.started(wh=1000, state="Idle")
    assert (await charge.tell("Ended", "EVConnectTimeout", reason="Timeout", wh=1000))["totalCost"] == 0
    await charge.ends(energy_wh=0, cost_minor=0, end_reason="Timeout")


# --- what became of it ------------------------------------------------------------------------------------------------


async def told(bench: Bench, charge: Charge, request: dict[str, Any], answer: dict[str, Any]) -> None:
    command = await bench.exchange(charge.station, "GetTransactionStatus", request, answer)
    assert (command["state"], command["response"]) == ("accepted", answer)


async def test_TC_E_29_transaction_ongoing_with_messages_in_queue(bench: Bench) -> None:
    charge = await running(bench)
    await told(bench, charge, {"transactionId": "tx-1"}, {"ongoingIndicator": True, "messagesInQueue": True})
    await charge.tell("Updated", "MeterValuePeriodic", wh=1002, offline=True)  # the queue comes
    session = await charge.session()
    assert (session["charging"], session["energy_wh"]) == ("charging", 2)


async def test_TC_E_30_transaction_ongoing_without_messages_in_queue(bench: Bench) -> None:
    charge = await running(bench)
    await told(bench, charge, {"transactionId": "tx-1"}, {"ongoingIndicator": True, "messagesInQueue": False})
    assert (await charge.session())["charging"] == "charging"


async def test_TC_E_31_transaction_ended_with_messages_in_queue(bench: Bench) -> None:
    charge = await running(bench)
    await told(bench, charge, {"transactionId": "tx-1"}, {"ongoingIndicator": False, "messagesInQueue": True})
    assert (await charge.session())["open"]  # its end is on the way
    await charge.tell("Ended", "EVCommunicationLost", reason="EVDisconnected", wh=1004, offline=True)
    await charge.ends(energy_wh=4)


async def test_TC_E_31_ended_and_nothing_in_the_queue(bench: Bench) -> None:
    charge = await running(bench)
    await charge.tell("Updated", "MeterValuePeriodic", wh=1003)
    await told(bench, charge, {"transactionId": "tx-1"}, {"ongoingIndicator": False, "messagesInQueue": False})
    session = await charge.session()
    assert (session["charging"], session["energy_wh"], session["provisional"]) == ("lost", 3, True)
    assert (session["open"], session["flags"]) == (False, ["settled-provisionally"])


async def test_TC_E_33_without_a_transaction_with_messages_in_queue(bench: Bench) -> None:
    charge = await running(bench)
    await told(bench, charge, {}, {"messagesInQueue": True})
    assert (await charge.session())["charging"] == "charging"


async def test_TC_E_34_without_a_transaction_without_messages_in_queue(bench: Bench) -> None:
    charge = await running(bench)
    await told(bench, charge, {}, {"messagesInQueue": False})
    assert (await charge.session())["charging"] == "charging"  # nothing made us doubt it


# --- what should not come ---------------------------------------------------------------------------------------------


async def test_events_out_of_sequence_and_again_lead_to_one_bill(bench: Bench) -> None:
    """The last update comes after the end, the start twice, the end twice: some stations have queues of their own."""
    charge = Charge(bench, await bench.connect())
    started = charge.payload("Started", "Authorized", token=True, state="Charging", wh=1000)
    updated = charge.payload("Updated", "MeterValuePeriodic", wh=1002)
    ended = charge.payload("Ended", "StopAuthorized", reason="Local", wh=1004)
    for payload in (started, started, ended, updated, ended, started):
        await bench.ask(charge.station, "TransactionEvent", payload)
    await charge.ends(energy_wh=4, cost_minor=4)


async def test_an_update_of_a_transaction_nobody_knows_is_answered(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect(), "never-begun")
    assert await charge.tell("Updated", "MeterValuePeriodic", wh=5) == {}
    assert await charge.tell("Ended", "StopAuthorized", wh=5) == {}
    assert await charge.sessions() == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"eventType": "Sideways"}, "PropertyConstraintViolation"),
        ({"transactionInfo": {}}, "OccurrenceConstraintViolation"),
        ({"transactionInfo": {"transactionId": 5}}, "TypeConstraintViolation"),
    ],
)
async def test_an_event_that_names_no_transaction_is_refused(bench: Bench, change: dict[str, Any], code: str) -> None:
    charge = Charge(bench, await bench.connect())
    payload = charge.payload("Started", "Authorized", token=True) | change
    answer = await charge.station.ask("TransactionEvent", payload)
    assert (answer[0], answer[2]) == (4, code)
    assert (await bench.api("GET", "/sessions"))["items"] == []


async def test_an_event_with_too_long_a_token_is_answered_and_opens_nothing_good(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    answer = await charge.started(idToken=TOKEN | {"idToken": "G" * 300})
    assert answer["idTokenInfo"]["status"] == "Unknown"
    assert (await charge.session())["origin"] == "unauthorised"


async def test_events_told_again_by_another_clock_and_on_another_line_lead_to_one_bill(bench: Bench) -> None:
    """The station lost its clock and its line; what it stored comes again, stamped anew, under ids used before."""
    charge = Charge(bench, await bench.connect())
    started = charge.payload("Started", "Authorized", token=True, state="Charging", wh=1000)
    updated = charge.payload("Updated", "MeterValuePeriodic", wh=1003)
    ended = charge.payload("Ended", "StopAuthorized", reason="Local", wh=1005)
    for unset in (True, False):
        await charge.station.socket.close()
        charge.station = await bench.connect(boot=False)
        for payload in (started, updated, ended):
            at = {"timestamp": "1970-01-01T00:03:00Z"} if unset else {}
            values = [entry | at for entry in payload["meterValue"]]
            await bench.ask(charge.station, "TransactionEvent", payload | at | {"meterValue": values})
    await charge.ends(energy_wh=5, cost_minor=5)
    # Another driver's charge at the same EVSE is not ended by what comes once more of the first.
    other = Charge(bench, charge.station, "tx-2")
    await other.started(1005, idToken={"idToken": "GOOD2", "type": "ISO14443"})
    late = {"timestamp": stamp(), "offline": True}
    for payload in (started, updated, ended):
        await bench.ask(charge.station, "TransactionEvent", payload | late)
    assert (await other.session())["charging"] == "charging"
    await charge.ends(energy_wh=5)
