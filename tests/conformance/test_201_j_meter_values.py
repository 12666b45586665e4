"""OCPP 2.0.1 J. Meter values: clock-aligned and sampled, in and outside transactions, signed or not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.conformance.charge_201 import Charge

SIGNED = {
    "signedMeterData": "T0NNRnx7IkZWIjoiMS4wIn18",
    "signingMethod": "ECDSA-secp256r1-SHA256",
    "encodingMethod": "OCMF",
    "publicKey": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
}


def values(context: str, *registers: int, signed: bool = False, every_s: int = 1) -> list[dict[str, Any]]:
    """MeterValue[], the last one now, each with a register and a voltage beside it."""
    made = []
    for n, wh in enumerate(registers, 1):
        at = datetime.now(UTC) - timedelta(seconds=every_s * (len(registers) - n))
        register: dict[str, Any] = {"value": wh, "context": context, "unitOfMeasure": {"unit": "Wh"}}
        if signed:
            register["signedMeterValue"] = SIGNED
        voltage = {"value": 230.1, "measurand": "Voltage", "context": context, "phase": "L1-N"}
        made.append({"timestamp": stamp(at), "sampledValue": [register, voltage]})
    return made


async def running(bench: Bench) -> Charge:
    charge = Charge(bench, await bench.connect())
    await charge.started(1000)
    return charge


async def test_TC_J_01_clock_aligned_no_transaction(bench: Bench) -> None:
    station = await bench.connect()
    for evse_id, registers in ((1, (500, 510)), (0, (9000,)), (1, (520,))):
        payload = {"evseId": evse_id, "meterValue": values("Sample.Clock", *registers)}
        assert await bench.ask(station, "MeterValues", payload) == {}
    assert (await bench.api("GET", "/sessions"))["items"] == []
    shown = (await bench.api("GET", "/stations/CS1/registers"))["items"]
    assert [(r["evse_id"], r["register_wh"], r["context"]) for r in shown] == [
        (0, "9000", "Sample.Clock"),
        (1, "520", "Sample.Clock"),
    ]
    # What the meter showed before a transaction is nobody's.
    charge = Charge(bench, station)
    await charge.started(520)
    await charge.tell("Ended", "StopAuthorized", wh=523)
    await charge.ends(energy_wh=3)


async def test_TC_J_02_clock_aligned_transaction_ongoing(bench: Bench) -> None:
    charge = await running(bench)
    for wh in (1001, 1002):
        await charge.tell("Updated", "MeterValueClock", meterValue=values("Sample.Clock", wh))
    session = await charge.session()
    assert (session["energy_wh"], session["meter"]["last_wh"], session["charging"]) == (2, "1002", "charging")


async def test_TC_J_03_clock_aligned_ended(bench: Bench) -> None:
    charge = await running(bench)
    all_of_them = values("Sample.Clock", 1001, 1002, 1003)
    assert (await charge.tell("Ended", "StopAuthorized", meterValue=all_of_them))["totalCost"] == 0.03
    await charge.ends(energy_wh=3)


async def test_TC_J_04_clock_aligned_signed(bench: Bench) -> None:
    charge = await running(bench)
    await charge.tell("Updated", "MeterValueClock", meterValue=values("Sample.Clock", 1002, signed=True))
    await charge.tell("Ended", "StopAuthorized", wh=1004)
    session = await charge.ends(energy_wh=4)
    assert [json.loads(record) for record in session["meter"]["signed"]] == [SIGNED]


async def test_TC_J_07_sampled_started_evse_known(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect(), evse_id=3)
    await charge.tell("Started", "Authorized", token=True, meterValue=values("Transaction.Begin", 7000))
    session = await charge.session()
    assert (session["meter"]["begin_wh"], session["evse_id"], session["energy_wh"]) == ("7000", 3, 0)


async def test_TC_J_08_sampled_transaction_begin_evse_not_known(bench: Bench) -> None:
    """Authorised before the cable: the register at the begin comes with the event that knows the EVSE."""
    charge = Charge(bench, await bench.connect(), evse_id=0)
    await charge.tell("Started", "Authorized", token=True)
    assert (await charge.session())["meter"]["begin_wh"] is None
    charge.evse_id = 2
    begin = values("Transaction.Begin", 7000)
    await charge.tell("Updated", "CablePluggedIn", state="EVConnected", meterValue=begin)
    session = await charge.session()
    assert (session["evse_id"], session["meter"]["begin_wh"]) == (2, "7000")
    await charge.tell("Ended", "EVCommunicationLost", reason="EVDisconnected", wh=7002)
    await charge.ends(energy_wh=2, cost_minor=2)


async def test_TC_J_09_sampled_updated(bench: Bench) -> None:
    charge = await running(bench)
    for wh in (1001, 1003):
        answer = await charge.tell("Updated", "MeterValuePeriodic", meterValue=values("Sample.Periodic", wh))
        assert answer == {"totalCost": (wh - 1000) / 100}
    assert (await charge.session())["cost_minor"] == 3


async def test_TC_J_10_sampled_ended(bench: Bench) -> None:
    """All samples once more, with the begin and the end among them."""
    charge = await running(bench)
    await charge.tell("Updated", "MeterValuePeriodic", meterValue=values("Sample.Periodic", 1002))
    again = values("Transaction.Begin", 1000, every_s=5) + values("Transaction.End", 1004)
    await charge.tell("Ended", "StopAuthorized", meterValue=again)
    await charge.ends(energy_wh=4)


async def test_TC_J_11_sampled_signed(bench: Bench) -> None:
    charge = Charge(bench, await bench.connect())
    await charge.tell("Started", "Authorized", token=True, meterValue=values("Transaction.Begin", 1000, signed=True))
    other = [dict(SIGNED, signedMeterData="VHJhbnNhY3Rpb24uRW5k")]
    end = values("Transaction.End", 1005)
    end[0]["sampledValue"][0]["signedMeterValue"] = other[0]
    await charge.tell("Ended", "StopAuthorized", meterValue=end)
    session = await charge.ends(energy_wh=5)
    assert [json.loads(record) for record in session["meter"]["signed"]] == [SIGNED, *other]


# --- what should not come ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampled",
    [
        [{"value": "one"}],
        [{"value": None}],
        [5],
        "1005",
        [{"value": 1e300}],
        [{"value": 1005, "unitOfMeasure": {"unit": "parsec", "multiplier": 99}}],
        [{"value": 1005, "signedMeterValue": "x"}],
    ],
)
async def test_values_that_cannot_be_are_answered_and_bill_nothing(bench: Bench, sampled: Any) -> None:
    charge = await running(bench)
    entry = {"timestamp": stamp(), "sampledValue": sampled}
    await charge.tell("Updated", "MeterValuePeriodic", meterValue=[entry])
    assert await bench.ask(charge.station, "MeterValues", {"evseId": 1, "meterValue": [entry]}) == {}
    await charge.tell("Ended", "StopAuthorized", wh=1006)
    session = await charge.session()
    assert (session["charging"], session["energy_wh"]) == ("ended", 6)


async def test_a_reading_told_twice_counts_once_and_a_falling_one_is_not_believed(bench: Bench) -> None:
    charge = await running(bench)
    twice = charge.payload("Updated", "MeterValuePeriodic", wh=1003)
    for _ in range(2):
        await bench.ask(charge.station, "TransactionEvent", twice)
    await charge.tell("Updated", "MeterValuePeriodic", wh=400)
    await charge.tell("Ended", "StopAuthorized", wh=1005)
    session = await charge.session()
    assert (session["energy_wh"], session["flags"]) == (5, ["register-fell"])
