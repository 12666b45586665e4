"""OCPP 2.1 I07–I12: tariffs at the station, and the cost as it computes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station


async def sent(bench: Bench, station: Station, path: str, body: Any, action: str, answer: Any) -> tuple[Any, Any]:
    """An operation that sends a call: (the request that arrived, the command as it ended)."""
    url = f"/stations/{station.station_id}/tariffs/{path}?wait=30"
    asked = asyncio.create_task(bench.api("POST", url, body))
    call = await bench.expect(station, action)
    await station.answer(call, answer)
    return call[3], await asked


async def tariffs(bench: Bench) -> list[Any]:
    """What the API says the station uses."""
    items: list[Any] = (await bench.api("GET", "/stations/CS1/tariffs"))["items"]
    return items


async def test_I07_a_default_tariff_is_ours_in_ocpps_words(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    body = {"tariff_id": "T", "evse_id": 1}
    request, command = await sent(bench, station, "default", body, "SetDefaultTariff", {"status": "Accepted"})
    assert command["state"] == "accepted"
    tariff = request["tariff"]
    # 10.00 incl. 25 % are 8.00 and the tax on it.
    assert tariff["energy"] == {"prices": [{"priceKwh": 8.0}], "taxRates": [{"type": "VAT", "tax": 25.0}]}
    assert (request["evseId"], tariff["currency"], set(tariff)) == (1, "NOK", {"tariffId", "currency", "energy"})
    (shown,) = await tariffs(bench)
    assert (shown["evse_id"], shown["kind"], shown["tariff_id"]) == (1, "DefaultTariff", "T")
    assert (shown["ocpp_tariff_id"], shown["content"]) == (tariff["tariffId"], tariff)


async def test_I07_the_same_content_has_the_same_id_and_takes_the_place_of_the_one_before(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    first, _ = await sent(bench, station, "default", {"tariff_id": "T"}, "SetDefaultTariff", {"status": "Accepted"})
    again, _ = await sent(bench, station, "default", {"tariff_id": "T"}, "SetDefaultTariff", {"status": "Accepted"})
    assert first == again
    assert len(await tariffs(bench)) == 1


async def test_I07_a_refused_tariff_is_not_in_use(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    answer = {"status": "ConditionNotSupported", "statusInfo": {"reasonCode": "NoIdleTime"}}
    _, command = await sent(bench, station, "default", {"tariff_id": "T"}, "SetDefaultTariff", answer)
    assert (command["state"], command["response"]) == ("refused", answer)
    assert await tariffs(bench) == []


async def test_I07_an_id_with_other_content_is_a_finding(bench: Bench) -> None:
    """By the engineer's door anything can be sent; what it does to the ids is said."""
    station = await bench.connect(version="ocpp2.1")
    for price in (1, 2):
        tariff = {"tariffId": "MINE", "currency": "NOK", "energy": {"prices": [{"priceKwh": price}]}}
        await bench.exchange(station, "SetDefaultTariff", {"evseId": 0, "tariff": tariff}, {"status": "Accepted"})
    findings = (await bench.api("GET", "/findings?station_id=CS1"))["items"]
    assert [found["code"] for found in findings] == ["tariff-id-reused"]
    (shown,) = await tariffs(bench)
    assert (shown["ocpp_tariff_id"], shown["tariff_id"]) == ("MINE", None)


async def test_I07_only_ours_and_only_on_21(bench: Bench) -> None:
    await bench.connect(version="ocpp2.1")
    problem = await bench.api("POST", "/stations/CS1/tariffs/default", {"tariff_id": "NONE"}, status=409)
    assert "no tariff of this id" in problem["detail"]
    await bench.connect(version="ocpp2.0.1")
    problem = await bench.api("POST", "/stations/CS1/tariffs/default", {"tariff_id": "T"}, status=409)
    assert "2.1" in problem["detail"]


async def test_I09_the_stations_list_takes_the_place_of_ours(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    await sent(bench, station, "default", {"tariff_id": "T"}, "SetDefaultTariff", {"status": "Accepted"})
    assigned = [
        {"tariffId": "A", "tariffKind": "DefaultTariff", "evseIds": [1, 2], "validFrom": "2026-01-01T00:00:00Z"},
        {"tariffId": "B", "tariffKind": "DriverTariff", "evseIds": [3], "idTokens": ["X"]},
    ]
    answer = {"status": "Accepted", "tariffAssignments": assigned}
    request, _ = await sent(bench, station, "read", {}, "GetTariffs", answer)
    assert request == {"evseId": 0}
    shown = [(item["evse_id"], item["ocpp_tariff_id"], item["kind"]) for item in await tariffs(bench)]
    assert shown == [(1, "A", "DefaultTariff"), (2, "A", "DefaultTariff"), (3, "B", "DriverTariff")]
    await sent(bench, station, "read", {"evse_id": 1}, "GetTariffs", {"status": "NoTariff"})
    assert [item["evse_id"] for item in await tariffs(bench)] == [2, 3]


async def test_I10_what_the_station_removed_is_forgotten(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    assigned = [{"tariffId": name, "tariffKind": "DefaultTariff", "evseIds": [1]} for name in ("A", "B", "C")]
    answer = {"status": "Accepted", "tariffAssignments": assigned}
    await sent(bench, station, "read", {}, "GetTariffs", answer)
    results = [
        {"tariffId": "A", "status": "Accepted"},
        {"tariffId": "B", "status": "Rejected"},
        {"tariffId": "C", "status": "NoTariff"},
    ]
    body = {"ocpp_tariff_ids": ["A", "B", "C"]}
    request, _ = await sent(bench, station, "clear", body, "ClearTariffs", {"clearTariffsResult": results})
    assert request == {"tariffIds": ["A", "B", "C"]}
    assert [item["ocpp_tariff_id"] for item in await tariffs(bench)] == ["B"]
    await sent(bench, station, "clear", {}, "ClearTariffs", {"clearTariffsResult": [{"status": "Accepted"}]})
    assert await tariffs(bench) == []


async def test_I11_another_tariff_for_a_transaction(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    tariff = {"tariffId": "X", "currency": "NOK", "energy": {"prices": [{"priceKwh": 1}]}}
    payload = {"transactionId": "TX-1", "tariff": tariff}
    command = await bench.exchange(station, "ChangeTransactionTariff", payload, {"status": "TxNotFound"})
    assert command["state"] == "refused"


def cost(total: float, currency: str = "NOK", **more: Any) -> dict[str, Any]:
    """CostDetailsType."""
    price = {"currency": currency, "typeOfCost": "NormalCost", "total": {"inclTax": total}}
    return {"totalCost": price, "totalUsage": {"energy": 0, "chargingTime": 0, "idleTime": 0}, **more}


async def ended(bench: Bench, station: Station, details: dict[str, Any]) -> None:
    """A free charge (nothing was delivered) whose cost the station computed."""
    token = {"idToken": "GOOD", "type": "ISO14443"}
    for number, kind in enumerate(("Started", "Ended")):
        event = {
            "eventType": kind,
            "timestamp": stamp(),
            "triggerReason": "Authorized" if kind == "Started" else "StopAuthorized",
            "seqNo": number,
            "transactionInfo": {"transactionId": "TX-1"},
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [{"timestamp": stamp(), "sampledValue": [{"value": 1000}]}],
            "idToken": token,
        }
        await bench.ask(station, "TransactionEvent", event | ({"costDetails": details} if kind == "Ended" else {}))


async def test_I12_the_stations_cost_is_kept_beside_ours(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    await ended(bench, station, cost(0))
    (kept,) = (await bench.api("GET", "/stations/CS1/cost-details"))["items"]
    assert (kept["transaction_id"], kept["currency"], float(kept["total"]), kept["ours_minor"]) == ("TX-1", "NOK", 0, 0)
    assert kept["details"] == cost(0)
    assert (await bench.api("GET", "/findings"))["items"] == []


@pytest.mark.parametrize(
    ("details", "code"),
    [
        (cost(7.5), "cost-differs"),
        (cost(0, "EUR"), "cost-differs"),
        (cost(0, failureToCalculate=True, failureReason="no tariff"), "cost-not-calculated"),
    ],
)
async def test_I12_another_cost_or_none_is_a_finding(bench: Bench, details: dict[str, Any], code: str) -> None:
    station = await bench.connect(version="ocpp2.1")
    await ended(bench, station, details)
    (found,) = (await bench.api("GET", "/findings"))["items"]
    assert (found["code"], found["action"]) == (code, "TransactionEvent")
