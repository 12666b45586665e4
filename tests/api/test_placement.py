"""Stations belong to owners and stand at their sites; EVSEs cost what a tariff of the owner's says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from csms.provision import provision
from csms.settings import SettingsError, load_settings
from storage import schema as t
from storage.engine import reading, writing
from tests.api.test_owners import made
from tests.api.test_sessions import TAG, event, rfid_charge
from tests.conformance.bench import Bench

TARIFF = {"tariff_id": "NIGHT", "hold": "300", "per_kwh": "4.50", "vat_percent": "25"}


async def site_of(bench: Bench, owner_id: str) -> str:
    site = await bench.api("POST", "/sites", {"owner_id": owner_id, "name": "Harbour", "country": "NO"}, status=201)
    return str(site["site_id"])


async def give(bench: Bench, owner_id: str) -> Any:
    return await bench.api("PATCH", "/stations/CS1", {"owner_id": owner_id})


async def test_a_station_changes_hands_and_leaves_what_was_the_old_owners(bench: Bench) -> None:
    owner = await made(bench)
    site_id = await site_of(bench, "platform")
    await bench.api("PATCH", "/stations/CS1", {"site": site_id})
    station = await bench.api("GET", "/stations/CS1")
    assert [evse["tariff_id"] for evse in station["evses"]] == ["T", "T", "T"]
    given = await give(bench, owner["owner_id"])
    assert (given["owner_id"], given["site"]) == (owner["owner_id"], None)
    assert [evse["tariff_id"] for evse in given["evses"]] == [None, None, None]
    own_site = await site_of(bench, owner["owner_id"])
    await bench.api("PATCH", "/stations/CS1", {"site": own_site})
    assert (await bench.api("GET", f"/sites/{own_site}"))["stations"] == ["CS1"]
    assert len((await bench.api("GET", f"/stations?owner_id={owner['owner_id']}"))["items"]) == 1
    back = await bench.api("PATCH", "/stations/CS1", {"owner_id": "platform", "site": site_id})
    assert (back["owner_id"], back["site"]) == ("platform", site_id)


async def test_a_station_stands_at_a_site_of_its_own_owner(bench: Bench) -> None:
    owner = await made(bench)
    platforms = await site_of(bench, "platform")
    await give(bench, owner["owner_id"])
    for site, says in (
        (platforms, "another owner's"),
        ("site_000000000000", "no such site"),
        ("Behind the barn", "no such site"),
    ):
        assert says in (await bench.api("PATCH", "/stations/CS1", {"site": site}, status=409))["detail"]
    await give(bench, "platform")
    assert (await bench.api("PATCH", "/stations/CS1", {"site": "Behind the barn"}))["site"] == "Behind the barn"
    assert (await bench.api("PATCH", "/stations/CS1", {"site": None}))["site"] is None
    both = {"owner_id": owner["owner_id"], "site": platforms}
    await bench.api("PATCH", "/stations/CS1", both, status=409)
    assert (await bench.api("GET", "/stations/CS1"))["owner_id"] == "platform"


async def test_a_station_with_an_open_charge_keeps_its_owner(bench: Bench) -> None:
    owner = await made(bench)
    station = await bench.connect()
    session_id = await rfid_charge(bench, station, "tx-1", ends=False)
    problem = await bench.api("PATCH", "/stations/CS1", {"owner_id": owner["owner_id"]}, status=409)
    assert "charge is open" in problem["detail"]
    await bench.ask(station, "TransactionEvent", event("Ended", "tx-1", seq_no=1, wh=1005))
    await give(bench, owner["owner_id"])
    assert (await bench.api("GET", f"/sessions/{session_id}"))["owner_id"] == "platform"
    await bench.ask(station, "TransactionEvent", event("Started", "tx-2", wh=1005, idToken=TAG))
    (later,) = (await bench.api("GET", f"/sessions?owner_id={owner['owner_id']}"))["items"]
    assert (later["transaction_id"], later["way"]) == ("tx-2", "rfid")


async def test_a_terminal_of_another_owner_keeps_a_station_where_it_is(bench: Bench) -> None:
    owner = await made(bench)
    await terminal(bench, currency="NOK")
    problem = await bench.api("PATCH", "/stations/CS1", {"owner_id": owner["owner_id"]}, status=409)
    assert "P1" in problem["detail"]
    async with writing(bench.app.engine) as connection:
        await connection.execute(update(t.terminals).values(owner_id=owner["owner_id"]))
    await give(bench, owner["owner_id"])


async def terminal(bench: Bench, *, currency: str) -> None:
    async with writing(bench.app.engine) as connection:
        row = {"serial": "P1", "family": "P66", "currency": currency, "language": "en"}
        await connection.execute(t.terminals.insert().values(row))
        place = {"serial": "P1", "station_id": "CS1", "evse_id": 1, "position": 0}
        await connection.execute(t.terminal_evses.insert().values(place))


async def test_an_evse_costs_what_a_tariff_of_its_owner_says(bench: Bench) -> None:
    owner = await made(bench)
    mine = TARIFF | {"owner_id": owner["owner_id"]}
    await bench.api("POST", "/tariffs", mine, status=201)
    problem = await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": "NIGHT"}, status=409)
    assert "another owner's" in problem["detail"]
    await give(bench, owner["owner_id"])
    for tariff_id, says in (("T", "another owner's"), ("NONE", "no such tariff")):
        problem = await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": tariff_id}, status=409)
        assert says in problem["detail"]
    station = await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": "NIGHT", "label": "Bay 1"})
    assert station["evses"][0] | {"evse_id": 1, "tariff_id": "NIGHT", "label": "Bay 1"} == station["evses"][0]
    station = await bench.api("PATCH", "/stations/CS1/evses/1", {"max_power_w": 22_000})
    assert (station["evses"][0]["tariff_id"], station["evses"][0]["max_power_w"]) == ("NIGHT", 22_000)
    station = await bench.api("PATCH", "/stations/CS1/evses/9", {"tariff_id": "NIGHT"})
    assert [e["evse_id"] for e in station["evses"]] == [1, 2, 3, 9]
    station = await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": None})
    assert station["evses"][0]["tariff_id"] is None
    await bench.api("PATCH", "/stations/CS1/evses/0", {"tariff_id": "NIGHT"}, status=409)
    await bench.api("PATCH", "/stations/CS9/evses/1", {"tariff_id": "NIGHT"}, status=404)


async def test_a_tariff_is_in_the_currency_of_the_terminal(bench: Bench) -> None:
    await terminal(bench, currency="EUR")
    problem = await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": "T"}, status=409)
    assert "in NOK" in problem["detail"]
    assert "P1, which serves this EVSE, takes EUR" in problem["detail"]
    await bench.api("PATCH", "/stations/CS1/evses/2", {"tariff_id": "T"})


async def test_a_tariff_is_made_once_and_never_changes(bench: Bench) -> None:
    first = await bench.api("POST", "/tariffs", TARIFF, status=201)
    assert (first["tariff_id"], first["owner_id"], first["currency"], first["hold_minor"]) == (
        *("NIGHT", "platform", "NOK"),
        30_000,
    )
    assert "4.50" in first["price"]
    assert await bench.api("POST", "/tariffs", TARIFF, status=200) == first
    for other in ({"per_kwh": "4.60"}, {"hold": "301"}, {"owner_id": (await made(bench))["owner_id"]}):
        problem = await bench.api("POST", "/tariffs", TARIFF | other, status=409)
        assert "another tariff of this name" in problem["detail"]
    assert await bench.api("GET", "/tariffs/NIGHT") == first
    assert {x["tariff_id"] for x in (await bench.api("GET", "/tariffs?owner_id=platform"))["items"]} == {"T", "NIGHT"}
    for method in ("PUT", "PATCH", "DELETE"):
        await bench.api(method, "/tariffs/NIGHT", {}, status=405)
    await bench.api("GET", "/tariffs/NONE", status=404)


async def test_a_tariff_may_be_said_as_ocpi_says_it(bench: Bench) -> None:
    night = {"start_time": "22:00", "end_time": "06:00"}
    energy = {"type": "ENERGY", "price": 3.2, "vat": 25, "step_size": 1}
    ocpi = {"elements": [{"price_components": [energy], "restrictions": night}, {"price_components": [energy]}]}
    wanted = {"tariff_id": "OCPI", "hold": "300", "ocpi": ocpi}
    shown = await bench.api("POST", "/tariffs", wanted, status=201)
    assert shown["ocpi"]["elements"][0]["restrictions"] == night
    assert shown["ocpi"]["elements"][0]["price_components"][0]["price"] == "3.2"
    assert await bench.api("POST", "/tariffs", wanted, status=200) == shown


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"currency": "XXX"}, id="currency"),
        pytest.param({"hold": "-1"}, id="negative-hold"),
        pytest.param({"hold": "0"}, id="no-hold"),
        pytest.param({"hold": "1E+99999999"}, id="a-hold-of-more-digits-than-memory"),
        pytest.param({"per_kwh": "1E+99999999"}, id="a-price-of-more-digits-than-memory"),
        pytest.param({"per_kwh": "1E-99999999"}, id="a-price-of-more-decimals-than-memory"),
        pytest.param({"per_kwh": "-1"}, id="negative-price"),
        pytest.param({"vat_percent": "101"}, id="vat"),
        pytest.param({"time_zone": "Europe/Olso"}, id="zone"),
        pytest.param({"tariff_id": "a b"}, id="name"),
        pytest.param({"unknown": 1}, id="unknown-field"),
        pytest.param({"ocpi": {}}, id="ocpi-without-elements"),
        pytest.param({"ocpi": {"elements": []}}, id="ocpi-with-no-elements"),
        pytest.param({"ocpi": {"elements": 5}}, id="ocpi-elements-a-number"),
        pytest.param({"ocpi": {"elements": [1]}}, id="ocpi-element-a-number"),
        pytest.param({"ocpi": {"elements": [{"price_components": [{"type": "ENERGY"}]}]}}, id="ocpi-no-price"),
        pytest.param(
            {"ocpi": {"elements": [{"price_components": [], "restrictions": [1]}]}}, id="ocpi-restrictions-a-list"
        ),
        pytest.param(
            {"ocpi": {"elements": [{"price_components": [{"type": "ENERGY", "price": "9E+9999999"}]}]}},
            id="ocpi-exponent",
        ),
        pytest.param({"ocpi": {"elements": [{"price_components": [{"type": "SPACE", "price": 1}]}]}}, id="ocpi-type"),
    ],
)
async def test_a_tariff_that_cannot_be_is_refused(bench: Bench, said: dict[str, Any]) -> None:
    problem = await bench.api("POST", "/tariffs", TARIFF | said, status=422)
    assert len(problem["detail"]) < 500
    await bench.api("GET", "/tariffs/NIGHT", status=404)


async def test_an_owners_tariffs_are_in_the_owners_currency(bench: Bench) -> None:
    owner = await made(bench)
    wanted = TARIFF | {"owner_id": owner["owner_id"], "currency": "EUR"}
    assert "paid out in NOK" in (await bench.api("POST", "/tariffs", wanted, status=409))["detail"]
    wanted["owner_id"] = "own_000000000000"
    await bench.api("POST", "/tariffs", wanted, status=422)


async def test_the_settings_leave_owners_tariffs_alone(bench: Bench) -> None:
    owner = await made(bench)
    await bench.api("POST", "/tariffs", TARIFF | {"owner_id": owner["owner_id"]}, status=201)
    await give(bench, owner["owner_id"])
    await bench.api("PATCH", "/stations/CS1/evses/1", {"tariff_id": "NIGHT"})
    settings = bench.app.settings
    await provision(bench.app.engine, settings, datetime.now(UTC))
    evses = (await bench.api("GET", "/stations/CS1"))["evses"]
    assert [evse["tariff_id"] for evse in evses] == ["NIGHT", None, None]
    said = settings.model_dump(include={"database_url"}) | {"tariffs": [TARIFF]}
    with pytest.raises(SettingsError, match="'NIGHT' is a site owner's"):
        await provision(bench.app.engine, load_settings(None, **said), datetime.now(UTC))


async def test_the_settings_terminals_serve_the_operators_stations_alone(bench: Bench) -> None:
    owner = await made(bench)
    said = bench.app.settings.model_dump(include={"database_url"}) | {
        "tariffs": [TARIFF],
        "stations": [{"station_id": "CS1", "evses": [{"evse_id": 1, "tariff_id": TARIFF["tariff_id"]}]}],
    }
    cloud = {"base_url": "http://127.0.0.1:1", "api_key": "k"}
    secrets = {"callback_secret": "s" * 40, "card_hash_key": "k" * 40}
    with_terminal = said | {
        "payter": cloud | secrets,
        "terminals": [{"serial": "SIM-P66-1", "family": "P66", "evses": ["CS1/1"]}],
    }
    await provision(bench.app.engine, load_settings(None, **with_terminal), datetime.now(UTC))
    refused = await bench.api("PATCH", "/stations/CS1", {"owner_id": owner["owner_id"]}, status=409)
    assert "SIM-P66-1" in refused["detail"]
    async with writing(bench.app.engine) as connection:
        await connection.execute(t.terminal_evses.delete())
    await bench.api("PATCH", "/stations/CS1", {"owner_id": owner["owner_id"]})
    with pytest.raises(SettingsError, match="'SIM-P66-1' cannot serve station 'CS1', which is another owner's"):
        await provision(bench.app.engine, load_settings(None, **with_terminal), datetime.now(UTC))
    async with reading(bench.app.engine) as connection:
        assert (await connection.execute(select(t.terminal_evses))).all() == []
    await provision(bench.app.engine, load_settings(None, **said), datetime.now(UTC))


async def test_an_id_token_says_who_pays_for_its_charges(bench: Bench) -> None:
    token = await bench.api("POST", "/id-tokens", {"id_token": "app-1", "way": "app"}, status=201)
    assert token["way"] == "app"
    assert (await bench.api("GET", "/id-tokens/GOOD"))["way"] == "rfid"
    listed = (await bench.api("GET", "/id-tokens?way=app"))["items"]
    assert [item["id_token"] for item in listed] == ["APP-1"]
    changed = await bench.api("PUT", "/id-tokens/app-1", {"way": "roaming"}, headers={"If-Match": '"1"'})
    assert changed["way"] == "roaming"
    await bench.api("POST", "/id-tokens", {"id_token": "x", "way": "card"}, status=422)
    taken = await bench.api("POST", "/id-tokens/import", {"tokens": [{"id_token": "APP-1", "way": "app"}]})
    assert taken == {"entered": 0, "changed": 1, "unchanged": 0}
    station = await bench.connect()
    tag = {"idToken": "APP-1", "type": "ISO14443"}
    await bench.ask(station, "TransactionEvent", event("Started", "tx-1", wh=1000, idToken=tag))
    (session,) = (await bench.api("GET", "/sessions?way=app"))["items"]
    assert session["transaction_id"] == "tx-1"
