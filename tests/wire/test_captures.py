"""What stations of other makers really sent: every frame is taken, none is refused, each makes its fact.

The station's side is replayed in order; the central system's recorded calls are left out, as are the station's answers
to them.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from csms.ocpp.schemas import request_problems
from sessions import facts
from tests.wire.station import Central, assert_valid_answer

CAPTURES = Path(__file__).parent.parent / "captures"

#: Kind of fact → how many of them, counted in the files by hand. A heartbeat makes none.
EXPECTED = {
    "everest-1.6": {
        "StationBooted": 1,
        "SecurityEventReported": 1,
        "EvseStatusReported": 15,
        "TransactionStarted": 2,
        "EnergyMetered": 15,
        "TransactionEnded": 2,
    },
    "everest-2.0.1": {
        "StationBooted": 1,
        "SecurityEventReported": 1,
        "EvseStatusReported": 7,
        "TransactionStarted": 2,
        "TransactionUpdated": 19,
        "TransactionEnded": 2,
    },
    "shiv3-2.0.1": {
        "StationBooted": 1,
        "EvseStatusReported": 5,
        "TransactionStarted": 1,
        "EnergyMetered": 14,
        "TransactionEnded": 1,
    },
    "solidstudio-1.6": {
        "StationBooted": 1,
        "EvseStatusReported": 3,
        "TransactionStarted": 1,
        "EnergyMetered": 2,
        "TransactionEnded": 1,
    },
    "solidstudio-2.0.1": {
        "StationBooted": 1,
        "EvseStatusReported": 3,
        "TransactionStarted": 1,
        "TransactionUpdated": 2,
        "TransactionEnded": 1,
    },
    "solidstudio-2.1": {
        "StationBooted": 1,
        "EvseStatusReported": 3,
        "TransactionStarted": 1,
        "TransactionUpdated": 2,
        "TransactionEnded": 1,
    },
    "tinkerforge-1.6": {
        "StationBooted": 1,
        "EvseStatusReported": 9,
        "TransactionStarted": 1,
        "EnergyMetered": 20,
        "TransactionEnded": 1,
    },
}


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CAPTURES / f"{name}.jsonl").read_text().splitlines()]


async def replay(central: Central, name: str) -> list[tuple[str, dict[str, Any], list[Any]]]:
    """Send the station's calls as recorded, line by line; (action, payload, answer) of each."""
    exchanged, station = [], None
    for entry in read(name):
        if entry.get("event") == "connect":
            station = await central.connect(entry["path"].rsplit("/", 1)[1], entry["subprotocol"])
        elif entry.get("event") == "close":
            assert station is not None
            await station.socket.close()
        elif entry["from"] == "station" and entry["frame"][0] == 2:
            assert station is not None
            await station.send(*entry["frame"])
            answer = await station.next_answer()
            assert answer[1] == entry["frame"][1]
            exchanged.append((entry["frame"][2], entry["frame"][3], answer))
    return exchanged


def test_every_capture_is_here() -> None:
    assert {path.stem for path in CAPTURES.glob("*.jsonl")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
async def test_every_frame_is_taken_and_makes_its_fact(central: Central, name: str) -> None:
    version = "ocpp" + name.rsplit("-", 1)[1]
    exchanged = await replay(central, name)
    for action, payload, answer in exchanged:
        assert answer[0] == 3, f"{action} {payload} was answered {answer}"
        assert_valid_answer(version, action, answer[2])
    made = central.inbox.kinds()
    found = made.pop("ConformanceFound", 0)
    assert made == EXPECTED[name]
    keys = [fact.key for fact in central.inbox.facts]
    assert len(keys) == len(set(keys))
    broken = {action for action, payload, _ in exchanged if request_problems(version, action, payload)}
    assert {finding.action for finding in central.inbox.of(facts.ConformanceFound)} == broken
    assert found == len(broken)


@pytest.mark.parametrize("name", EXPECTED)
async def test_the_same_frames_again_make_no_second_transaction_or_reading(central: Central, name: str) -> None:
    first = await replay(central, name)
    decisive = (
        facts.TransactionStarted,
        facts.TransactionUpdated,
        facts.TransactionEnded,
        facts.EnergyMetered,
    )
    before = [fact for fact in central.inbox.facts if isinstance(fact, decisive)]
    second = await replay(central, name)
    assert [fact for fact in central.inbox.facts if isinstance(fact, decisive)] == before
    assert [answer for action, _, answer in first if action == "StartTransaction"] == [
        answer for action, _, answer in second if action == "StartTransaction"
    ]


async def test_solidstudio_16_signed_records_are_kept_verbatim(central: Central) -> None:
    exchanged = await replay(central, "solidstudio-1.6")
    (payload,) = [payload for action, payload, _ in exchanged if action == "StopTransaction"]
    sent = [
        sampled["value"]
        for entry in payload["transactionData"]
        for sampled in entry["sampledValue"]
        if sampled.get("format") == "SignedData"
    ]
    (ended,) = central.inbox.of(facts.TransactionEnded)
    assert sent
    assert [sample.signed for sample in ended.samples if sample.signed is not None] == sent
    assert ended.reason == "Local"  # 1.6 §7.39: a missing reason
    assert ended.id_token is None or ended.id_token == payload["idTag"]


async def test_tinkerforge_says_each_phase_and_its_unit(central: Central) -> None:
    """The shell judges nothing: each phase's register is handed on as it was said, in kWh."""
    await replay(central, "tinkerforge-1.6")
    samples = [sample for metered in central.inbox.of(facts.EnergyMetered) for sample in metered.samples]
    assert {sample.phase for sample in samples} == {"L1", "L2", "L3"}
    assert {sample.unit for sample in samples} == {"kWh"}
    assert min(sample.station_time.year for sample in samples) == 1970


async def test_everest_201_replays_after_the_outage_as_offline(central: Central) -> None:
    await replay(central, "everest-2.0.1")
    events = [*central.inbox.of(facts.TransactionUpdated), *central.inbox.of(facts.TransactionEnded)]
    assert any(event.offline for event in events)
    assert "EVCommunicationLost" in {ended.trigger for ended in central.inbox.of(facts.TransactionEnded)}
    assert {started.remote_start_id for started in central.inbox.of(facts.TransactionStarted)} - {None}


async def test_solidstudio_201_units_are_handed_on_as_said(central: Central) -> None:
    await replay(central, "solidstudio-2.0.1")
    (ended,) = central.inbox.of(facts.TransactionEnded)
    assert [sample.unit for sample in ended.samples] == [None] * len(ended.samples)
    units = {sample.unit for updated in central.inbox.of(facts.TransactionUpdated) for sample in updated.samples}
    assert units == {"kWh"}
    values = [sample.value for sample in ended.samples]
    assert all(isinstance(value, Decimal) for value in values)


async def test_shiv3_names_the_station_itself_as_evse_0(central: Central) -> None:
    await replay(central, "shiv3-2.0.1")
    status = central.inbox.of(facts.EvseStatusReported)[0]
    assert (status.evse_id, status.connector_id) == (0, 0)
    assert all(metered.transaction_id is None for metered in central.inbox.of(facts.EnergyMetered))
