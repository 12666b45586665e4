"""OCPP 1.6 Local Auth List Management: its version, full and differential updates, and how they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench

ACCEPTED = {"idTag": "GOOD", "idTagInfo": {"status": "Accepted", "parentIdTag": "PARENT"}}
EXPIRING = {"idTag": "GOOD2", "idTagInfo": {"status": "Accepted", "expiryDate": "2099-01-01T00:00:00.000Z"}}
#: In a differential update an entry without idTagInfo is taken off the list (§5.15).
REMOVED = {"idTag": "GOOD"}


def update(kind: str = "Full", version: int = 1, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"updateType": kind, "listVersion": version, "localAuthorizationList": list(entries)}


@pytest.mark.parametrize(
    "version",
    [pytest.param(-1, id="TC_042_1-not-supported"), pytest.param(0, id="TC_042_2-empty"), pytest.param(7, id="filled")],
)
async def test_get_local_list_version(bench: Bench, version: int) -> None:
    station = await bench.connect(version="ocpp1.6")
    command = await bench.exchange(station, "GetLocalListVersion", {}, {"listVersion": version})
    assert (command["state"], command["response"]) == ("accepted", {"listVersion": version})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        pytest.param("NotSupported", "refused", id="TC_043_1-not-supported"),
        pytest.param("Failed", "refused", id="TC_043_3-failed"),
        pytest.param("Accepted", "accepted", id="TC_043_4-full"),
        pytest.param("VersionMismatch", "refused", id="version-mismatch"),
    ],
)
async def test_send_a_full_list(bench: Bench, status: str, state: str) -> None:
    station = await bench.connect(version="ocpp1.6")
    command = await bench.exchange(station, "SendLocalList", update("Full", 1, ACCEPTED, EXPIRING), {"status": status})
    assert (command["state"], command["response"]) == (state, {"status": status})


async def test_TC_043_5_send_a_differential_list(bench: Bench) -> None:
    """First the whole list, then one token added and one taken off; each has its own version."""
    station = await bench.connect(version="ocpp1.6")
    for changes in (update("Full", 1, ACCEPTED), update("Differential", 2, EXPIRING, REMOVED), update("Full", 3)):
        command = await bench.exchange(station, "SendLocalList", changes, {"status": "Accepted"})
        assert command["state"] == "accepted"
    command = await bench.exchange(station, "GetLocalListVersion", {}, {"listVersion": 3})
    assert command["response"] == {"listVersion": 3}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"updateType": "Full"}, id="no-version"),
        pytest.param(update("Partial"), id="unknown-type"),
        pytest.param(update("Full", 1, {"idTag": "A" * 21}), id="too-long"),
        pytest.param(update("Full", 1, {"idTag": "A", "idTagInfo": {"status": "Good"}}), id="unknown-status"),
        pytest.param(update() | {"listVersion": "1"}, id="wrong-type"),
        pytest.param(update("Full", 1, {"idTag": "A", "idTagInfo": {}}), id="no-status"),
    ],
)
async def test_a_list_that_breaks_the_schema_is_not_sent(bench: Bench, wrong: dict[str, Any]) -> None:
    station = await bench.connect(version="ocpp1.6")
    problem = await bench.api("POST", "/stations/CS1/commands/SendLocalList", wrong, status=422)
    assert problem["errors"]
    assert await station.calls_so_far() == []


async def test_an_answer_that_breaks_the_schema_is_shown_as_it_came(bench: Bench) -> None:
    """A station that answers nonsense gets no list believed in; the operator sees what it said."""
    station = await bench.connect(version="ocpp1.6")
    command = await bench.exchange(station, "GetLocalListVersion", {}, {"listVersion": "three"})
    assert command["response"] == {"listVersion": "three"}
    again = await bench.exchange(station, "SendLocalList", update("Full", 1, ACCEPTED), {"status": "Accepted"})
    assert again["state"] == "accepted"
