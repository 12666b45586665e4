"""The inventory over the API: what is entered, what is refused and why, who moves what, and what others never learn."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from openpyxl import Workbook
from sqlalchemy import select, update

from storage import schema as s
from storage import terminal_schema as t
from storage.engine import reading, writing
from tests.api.owners_calls import Estate
from tests.estate import ANNE, BERIT, OTHER_SIM, SIM, enter, license_terminal, sell

SERIAL = "APO20240000001"
#: A terminal of Anne's as she enters it.
OWN: dict[str, Any] = {
    "origin": "own",
    "serial": SERIAL,
    "family": "Apollo",
    "currency": "NOK",
    "station_serial": "SN-anne",
    "distributor": "Kortleverandøren",
    "purchase_reference": "PO 7",
}
NEEDED = ["serial", "family", "station_serial", "owner_id", "currency", "supplier_order", "sim_serial"]


def sheet(*rows: list[str], headings: list[str] = NEEDED) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows([headings, *rows])
    return out.getvalue().encode()


def row(serial: str, sim: str = "", **other: str) -> list[str]:
    values = {
        "serial": serial,
        "family": "Apollo",
        "station_serial": "SN-anne",
        "owner_id": ANNE,
        "currency": "NOK",
        "supplier_order": "SO-1",
        "sim_serial": sim,
    } | other
    return [values[name] for name in NEEDED]


async def test_an_own_terminal_is_entered_and_stored(estate: Estate) -> None:
    body = OWN | {"serial": " apo2024 0000001", "sim_serial": SIM, "site_id": "anne-site", "place": "counter"}
    shown = await estate.call("anne", "POST", "/terminals", body | {"evses": ["anne-1/2", "anne-1/1"]}, status=201)
    assert shown == await estate.call("platform", "GET", f"/terminals/{SERIAL}")
    told = {name: shown[name] for name in ("serial", "owner_id", "state", "language", "sim_serial", "evses", "licence")}
    assert told == {
        "serial": SERIAL,
        "owner_id": ANNE,
        "state": "stored",
        "language": "nb",
        "sim_serial": SIM,
        "evses": ["anne-1/2", "anne-1/1"],
        "licence": "none",
    }
    (move,) = (await estate.call("anne", "GET", f"/terminals/{SERIAL}/moves"))["items"]
    assert (move["from_state"], move["to_state"], move["moved_by"][:6]) == (None, "stored", "anne (")
    second = OWN | {"serial": "APO20240000002", "evses": ["anne-1/1"]}  # one station may have two terminals
    await estate.call("anne", "POST", "/terminals", second, status=201)
    await estate.call("reader", "POST", "/terminals", OWN, status=403)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"serial": "P6X20240001"}, "no serial number of the family Apollo.*looks like one of P66, P66S, P68"),
        ({"serial": "APO2024O000001"}, "no serial number of the family Apollo"),
        ({"serial": "  "}, "serial number is missing"),
        ({"serial": "APO/../20240000001"}, "is none"),
        ({"family": "P99"}, "no known terminal family; use one of P66, P66S"),
        ({"family": "P66"}, "looks like one of Apollo"),
        ({"sim_serial": SIM[:-1] + "5"}, "wrong digit"),
        ({"sim_serial": "12345"}, "18 to 20 digits"),
        ({"station_serial": " "}, "station it is, or will be, connected to is required"),
        ({"distributor": ""}, "Say where it was bought"),
        ({"currency": "SEK"}, "takes SEK, and the owner's account is in NOK"),
        ({"currency": "XXX"}, "not known"),
        ({"language": "de"}, "speak en and nb"),
        ({"site_id": "berit-site"}, "no site"),
        ({"evses": ["berit-1/1"]}, "The owner has no EVSE berit-1/1"),
        ({"evses": ["none/1"]}, "The owner has no EVSE none/1"),
        ({"evses": ["CS1/1"]}, "The owner has no EVSE CS1/1"),  # the platform's
        ({"evses": ["anne-1/1", "anne-1/1"]}, "named twice"),
        ({"origin": "integrated"}, "must be on the list"),
    ],
)
async def test_what_is_not_entered_is_refused_with_the_reason(
    estate: Estate, change: dict[str, Any], says: str
) -> None:
    refused = await estate.call("anne", "POST", "/terminals", OWN | change, status=409)
    assert re.search(says, refused["detail"]), refused
    await estate.call("platform", "GET", f"/terminals/{SERIAL}", status=404)


async def test_every_reason_is_told_at_once(estate: Estate) -> None:
    wrong = OWN | {"serial": "X", "sim_serial": "1", "currency": "SEK", "evses": ["none/1"]}
    refused = await estate.call("anne", "POST", "/terminals", wrong, status=409)
    assert len(refused["errors"]) == 4


async def test_a_tariff_in_another_currency_is_refused(estate: Estate) -> None:
    async with writing(estate.engine) as connection:
        wrong = s.evses.c.station_id == "anne-1"
        await connection.execute(update(s.evses).where(wrong).values(tariff_id="berit-kwh"))
    refused = await estate.call("anne", "POST", "/terminals", OWN | {"evses": ["anne-1/1"]}, status=409)
    assert "priced in SEK, and the terminal takes NOK" in refused["detail"]


async def test_a_duplicate_is_refused_and_nobody_learns_whose_it_is(estate: Estate) -> None:
    await estate.call("anne", "POST", "/terminals", OWN | {"sim_serial": SIM}, status=201)
    again = OWN | {"serial": "apo 20240000001", "sim_serial": ""}
    mine = await estate.call("anne", "POST", "/terminals", again, status=409)
    assert mine["detail"] == f"This terminal is in the inventory already: terminal {SERIAL}."
    theirs = OWN | {"currency": "SEK", "station_serial": "SN-berit"}
    for told in (theirs, theirs | {"serial": "APO20240000002", "sim_serial": SIM}):
        refused = await estate.call("berit", "POST", "/terminals", told, status=409)
        assert "registered already" in refused["detail"]
        assert ANNE not in str(refused)
        assert "anne" not in str(refused).lower()
    platform = await estate.call("platform", "POST", "/terminals", theirs | {"owner_id": BERIT}, status=409)
    assert ANNE in platform["detail"]
    for path in (f"/terminals/{SERIAL}", f"/terminals/{SERIAL}/moves"):
        await estate.call("berit", "GET", path, status=404)
    await estate.call("berit", "POST", "/terminals", OWN | {"owner_id": ANNE}, status=404)
    assert (await estate.call("berit", "GET", "/terminals"))["items"] == []


async def test_the_settings_may_say_what_serial_numbers_look_like(estate: Estate) -> None:
    families = {one["name"]: one for one in (await estate.call("reader", "GET", "/terminal-families"))["items"]}
    assert set(families) == {"P66", "P66S", "P68", "Apollo", "Apollo Max", "Apollo Polar"}
    assert {name for name, one in families.items() if one["touch_screen"] and one["battery"]} == {
        name for name in families if name.startswith("Apollo")
    }
    estate.bench.app.api.serial_patterns = {"Apollo": "SIM-.*"}
    await estate.call("anne", "POST", "/terminals", OWN, status=409)
    await estate.call("anne", "POST", "/terminals", OWN | {"serial": "sim-1"}, status=201)


async def test_what_a_terminal_serves_is_changed_by_who_has_read_it(estate: Estate) -> None:
    await estate.call("anne", "POST", "/terminals", OWN | {"evses": ["anne-1/1"]}, status=201)
    path = f"/terminals/{SERIAL}/evses"
    await estate.call("anne", "PUT", path, {"evses": []}, status=428)
    both = {"evses": ["anne-1/1", "anne-1/2"]}
    changed = await estate.call("anne", "PUT", path, both, tag='"1"')
    assert (changed["evses"], changed["revision"]) == (both["evses"], 2)
    await estate.call("anne", "PUT", path, {"evses": []}, tag='"1"', status=412)
    await estate.call("anne", "PUT", path, {"evses": ["berit-1/1"]}, tag='"2"', status=409)
    await estate.call("anne", "PUT", path, {"evses": ["anne-1"]}, tag='"2"', status=422)
    await estate.call("berit", "PUT", path, {"evses": []}, tag='"2"', status=404)
    assert (await estate.call("anne", "GET", f"/terminals/{SERIAL}"))["evses"] == both["evses"]
    async with writing(estate.engine) as connection:
        values = {"serial": "T1", "family": "P66", "currency": "NOK", "language": "en"}
        await connection.execute(s.terminals.insert().values(values))
    refused = await estate.call("platform", "PUT", "/terminals/T1/evses", {"evses": []}, tag='"1"', status=409)
    assert "settings file" in refused["detail"]


async def test_who_may_handle_a_terminal_is_written_down(estate: Estate) -> None:
    await estate.call("anne", "POST", "/terminals", OWN, status=201)
    await estate.call("anne", "POST", "/terminals", OWN | {"serial": "APO20240000002", "sim_serial": SIM}, status=201)
    people = [{"name": "Kari", "phone": "+47 900 00 000", "since": "2026-01-05", "trained_on": None}]
    path = f"/terminals/{SERIAL}"
    told = {"personnel": people, "sim_serial": OTHER_SIM, "station_serial": "SN-2"}
    shown = await estate.call("anne", "PATCH", path, told, tag='"1"')
    assert (shown["personnel"], shown["sim_serial"], shown["station_serial"]) == (people, OTHER_SIM, "SN-2")
    kept = await estate.call("anne", "PATCH", path, {"sim_serial": ""}, tag='"2"')
    assert (kept["personnel"], kept["sim_serial"]) == (people, None)
    named = await estate.call("anne", "PATCH", path, {"personnel": [{"name": "Ola"}]}, tag='"3"')
    assert named["personnel"] == [{"name": "Ola", "phone": "", "since": None, "trained_on": None}]
    await estate.call("anne", "PATCH", path, {"sim_serial": SIM}, tag='"4"', status=409)
    await estate.call("anne", "PATCH", path, {"sim_serial": "1"}, tag='"4"', status=409)
    await estate.call("anne", "PATCH", path, {"station_serial": " "}, tag='"4"', status=409)
    card = {"personnel": [{"name": "4111" + "1" * 12}]}
    await estate.call("anne", "PATCH", path, card, tag='"4"', status=422)


async def test_moves_say_where_who_and_why(estate: Estate) -> None:
    await enter(estate.engine, SERIAL)
    path = f"/terminals/{SERIAL}/moves"
    here = {"site_id": "anne-site", "place": "safe", "reason": "arrived", "moved_by": "Kari"}
    moved = await estate.call("anne", "POST", path, here, status=201)
    assert (moved["from_state"], moved["to_state"], moved["place"]) == ("stored", "stored", "anne-site · safe")
    assert moved["moved_by"] == "Kari, by anne"
    refused = await estate.call("anne", "POST", path, here | {"site_id": "berit-site"}, status=409)
    assert "no site" in refused["detail"]
    for to, says in (("onboarding", "opening a case"), ("live", "it can become")):
        refused = await estate.call("platform", "POST", path, {"to": to, "reason": "x"}, status=409)
        assert says in refused["detail"]
    await estate.call("anne", "POST", path, {"to": "suspended", "reason": "in doubt"}, status=201)
    refused = await estate.call("anne", "POST", path, {"to": "live", "reason": "x"}, status=409)
    assert "by the platform" in refused["detail"]
    refused = await estate.call("platform", "POST", path, {"to": "live", "reason": "x"}, status=409)
    assert "finishing its onboarding" in refused["detail"]  # suspending is no way round it
    await estate.call("anne", "POST", path, {"to": "stolen", "reason": "break-in"}, status=201)
    shown = await estate.call("anne", "GET", f"/terminals/{SERIAL}")
    assert (shown["state"], shown["site_id"], shown["place"]) == ("stolen", "anne-site", "safe")
    history = (await estate.call("anne", "GET", path))["items"]
    assert [move["to_state"] for move in history] == ["stolen", "suspended", "stored", "stored"]
    await estate.call("berit", "POST", path, {"reason": "x", "place": "mine"}, status=404)
    await estate.call("reader", "POST", path, {"reason": "x", "place": "mine"}, status=403)


async def test_the_inventory_is_filtered_and_exported(estate: Estate) -> None:
    await sell(estate.engine)
    now = estate.bench.app.clock.now()
    for n in range(1, 5):
        await enter(estate.engine, f"APO2024000000{n}", site_id="anne-site" if n == 1 else None, place="=1+1")
    await enter(estate.engine, "P6X20240001", family="P66", owner_id=BERIT, currency="SEK", station_serial="SN-berit")
    await license_terminal(estate.engine, "APO20240000001", "ACT", "PLAN", now=now)
    await license_terminal(estate.engine, "APO20240000002", "ACT", "PLAN", now=now.replace(year=now.year - 2, day=1))
    await license_terminal(estate.engine, "APO20240000003", "PLAN", now=now)
    everything = {"APO20240000001", "APO20240000002", "APO20240000003", "APO20240000004", "P6X20240001"}

    async def listed(who: str, query: str = "") -> set[str]:
        return {one["serial"] for one in (await estate.call(who, "GET", f"/terminals?limit=500{query}"))["items"]}

    assert await listed("platform") == everything
    assert await listed("anne") == everything - {"P6X20240001"}
    assert await listed("anne", f"&owner_id={BERIT}") == set()
    assert await listed("platform", "&family=p66") == {"P6X20240001"}
    assert await listed("platform", "&family=unknown") == set()
    assert await listed("platform", "&site_id=anne-site&state=stored&origin=own") == {"APO20240000001"}
    assert await listed("platform", "&state=live") == set()
    by_licence = {
        "active": {"APO20240000001"},
        "expired": {"APO20240000002"},
        "none": {"APO20240000003", "APO20240000004", "P6X20240001"},
        "expiring": set(),
        "exempt": set(),
    }
    for cover, serials in by_licence.items():
        assert await listed("platform", f"&licence={cover}") == serials, cover
    for one in (await estate.call("platform", "GET", "/terminals?limit=500"))["items"]:
        assert one["serial"] in by_licence[one["licence"]]
    url = f"http://127.0.0.1:{estate.bench.app.http_port}/api/v1/inventory.csv?licence=active"
    async with estate.bench.http.get(url, headers={"Authorization": f"Bearer {estate.bench.token}"}) as answer:
        assert answer.status == 200
        (line,) = csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig")))
    assert (line["serial"], line["state"], line["place"]) == ("APO20240000001", "stored", "'=1+1")


async def test_an_import_list_is_taken_row_by_row(estate: Estate) -> None:
    await enter(estate.engine, "APO20240000009", owner_id=BERIT, currency="SEK", sim_serial=OTHER_SIM)
    rows = [
        row("APO20240000001", SIM),
        row("apo2024 0000002", OTHER_SIM),
        row("APO20240000003", currency="SEK"),
        row("APO20240000001"),
        row("APO20240000004", owner_id="own_000000000000"),
        row("APO20240000005", supplier_order=""),
        row("APO20240000009"),
        row("P6X20240001", family="p66s", owner_id=BERIT, currency="sek"),
        row("APO20240000006", "8,94708E+18"),
    ]
    taken = await estate.send("platform", "/terminal-import-lists", sheet(*rows), form=True)
    assert (taken["name"], taken["entered"], taken["known"], taken["refused"]) == ("list_1.csv", 2, 0, 7)
    told = [(one["line"], one["outcome"], one["reason"]) for one in taken["rows"]]
    says = [
        "",
        f"This SIM card is in the inventory already, of owner {BERIT}.",
        "takes SEK, and the owner's account is in NOK",
        "in the inventory already: terminal APO20240000001",
        "no such owner",
        "supplier's order is missing",
        f"in the inventory already, of owner {BERIT}",
        "",
        "rounded",
    ]
    for (line, outcome, reason), (n, expected) in zip(told, enumerate(says, 2), strict=True):
        assert line == n
        assert (outcome == "entered") is (expected == "")
        assert expected in reason
    shown = await estate.call("anne", "GET", "/terminals/APO20240000001")
    assert (shown["origin"], shown["state"], shown["supplier_order"]) == ("integrated", "ordered", "SO-1")
    again = await estate.send("platform", "/terminal-import-lists", sheet(rows[0], rows[7]))
    assert [one["outcome"] for one in again["rows"]] == ["known", "known"]
    refused = await estate.call("anne", "POST", "/terminals", OWN | {"origin": "integrated"}, status=409)
    assert "in the inventory already" in refused["detail"]
    lists = (await estate.call("platform", "GET", "/terminal-import-lists"))["items"]
    assert [one["list_id"] for one in lists] == [again["list_id"], taken["list_id"]]
    assert await estate.call("platform", "GET", f"/terminal-import-lists/{taken['list_id']}") == taken


async def test_an_owners_list_is_of_that_owner_and_learns_nothing(estate: Estate) -> None:
    await enter(estate.engine, "APO20240000009", owner_id=BERIT, currency="SEK")
    theirs = row("APO20240000008", owner_id=BERIT, currency="SEK")
    taken = await estate.send("anne", "/terminal-import-lists", sheet(row(SERIAL), theirs, row("APO20240000009")))
    assert [one["outcome"] for one in taken["rows"]] == ["entered", "refused", "refused"]
    assert "no such owner" in taken["rows"][1]["reason"]
    assert "ask the platform" in taken["rows"][2]["reason"]
    assert BERIT not in str(taken)
    assert (await estate.call("berit", "GET", "/terminal-import-lists"))["items"] == []
    await estate.call("berit", "GET", f"/terminal-import-lists/{taken['list_id']}", status=404)
    await estate.send("reader", "/terminal-import-lists", sheet(row(SERIAL)), status=403)


async def test_a_list_may_be_a_workbook(estate: Estate) -> None:
    book = Workbook()
    assert book.active is not None
    for line in (NEEDED, row(SERIAL, SIM), row("APO20240000002", family="Apollo Max")):
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    taken = await estate.send("platform", "/terminal-import-lists", out.getvalue())
    assert [one["outcome"] for one in taken["rows"]] == ["entered", "entered"]


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, "empty"),
        (b"serial\nAPO20240000001\n", 422, "names no column family"),
        (b"\xff\xd8\xff", 422, "CSV"),
        (b"PK\x03\x04", 422, "workbook"),
        (sheet(*(row(SERIAL) for _ in range(501))), 422, "more than 500 rows"),
        (b"x" * (4 * 1024 * 1024 + 1), 413, "larger"),
    ],
)
async def test_a_list_that_cannot_be_read_is_refused_whole(
    estate: Estate, content: bytes, status: int, says: str
) -> None:
    refused = await estate.send("platform", "/terminal-import-lists", content, status=status)
    assert says in refused["detail"]
    async with reading(estate.engine) as connection:
        assert (await connection.execute(select(t.terminal_import_lists))).all() == []
