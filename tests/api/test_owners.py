"""Site owners and their sites: entered, changed, closed; what cannot be is refused with the reason."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from billing.ledger import Account, Entry, EntrySet, Kind
from csms.provision import provision
from sessions.books import Posting, post
from storage import owner_schema, schema
from storage.engine import reading, writing
from tests.conformance.bench import Bench

IBAN = "NO9386011117947"
COMPANY: dict[str, Any] = {
    "legal_name": "Nordhavn Lading AS",
    "organisation_number": "923 609 016",
    "country": "NO",
    "currency": "NOK",
}


async def made(bench: Bench, **more: Any) -> Any:
    return await bench.api("POST", "/owners", COMPANY | more, status=201)


async def edit(bench: Bench, owner: Any, changes: dict[str, Any], status: int = 200) -> Any:
    headers = {"If-Match": f'"{owner["revision"]}"'}
    return await bench.api("PATCH", f"/owners/{owner['owner_id']}", changes, status=status, headers=headers)


async def test_an_owner_is_entered_with_all_that_is_said_of_it(bench: Bench) -> None:
    contacts = [
        {"name": "Kari", "role": "billing", "email": "kari@example.org", "phone": "+47 22 00 00 00"},
        {"name": "Ola", "role": "drivers", "email": "help@example.org"},
    ]
    terms = {"fee_fixed_minor": 150, "fee_percent": "2.5", "period": "week", "minimum_payout_minor": 10_000}
    owner = await made(
        bench,
        vat_number="NO923609016MVA",
        address=["Kaia 1", "0150 Oslo"],
        language="nb",
        time_zone="Europe/Oslo",
        iban="NO93 8601 1117 947",
        bic="dnbanokk",
        contacts=contacts,
        terms=terms,
    )
    assert owner["owner_id"].startswith("own_")
    assert (owner["organisation_number"], owner["vat_number"]) == ("923609016", "923609016MVA")
    assert (owner["iban"], owner["bic"], owner["state"], owner["revision"]) == (IBAN, "DNBANOKK", "active", 1)
    assert owner["contacts"] == [contacts[0], contacts[1] | {"phone": ""}]
    expected = {"fee_fixed_minor": 150, "fee_percent": "2.5", "facilitation_fee_minor": 0, "fee_vat_percent": "25"}
    assert owner["terms"] == expected | {"period": "week", "minimum_payout_minor": 10_000}
    assert await bench.api("GET", f"/owners/{owner['owner_id']}") == owner
    assert owner in (await bench.api("GET", "/owners?country=NO&state=active&organisation_number=923609016"))["items"]


async def test_receipts_in_the_owners_name_can_be_issued_from_the_first_moment(bench: Bench) -> None:
    contacts = [{"name": "Ola", "role": "drivers", "email": "help@example.org", "phone": "22000000"}]
    owner = await made(bench, address=["Kaia 1"], contacts=contacts)
    issuer = await issuer_of(bench, owner)
    assert issuer == {
        "name": "Nordhavn Lading AS",
        "address": ["Kaia 1"],
        "country": "NO",
        "organisation_number": "923609016",
        "vat_number": "",
        "email": "help@example.org",
        "phone": "22000000",
    }
    await edit(bench, owner, {"legal_name": "Nordhavn AS", "contacts": []})
    issuer = await issuer_of(bench, owner)
    assert (issuer["name"], issuer["email"]) == ("Nordhavn AS", "")


async def issuer_of(bench: Bench, owner: Any) -> Any:
    query = select(schema.issuers.c.body).where(schema.issuers.c.issuer_id == f"owner:{owner['owner_id']}")
    async with reading(bench.app.engine) as connection:
        return orjson.loads((await connection.execute(query)).scalar_one())


@pytest.mark.parametrize(
    ("said", "field", "says"),
    [
        ({"organisation_number": "923609017"}, "organisation_number", "last digit"),
        ({"vat_number": "923609017MVA"}, "vat_number", "last digit"),
        ({"country": "XX"}, "country", "no such country"),
        ({"currency": "XXX"}, "currency", "not known"),
        ({"language": "sv"}, "language", "en and nb"),
        ({"time_zone": "Europe/Olso"}, "time_zone", "no such time zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "no such time zone"),
        ({"iban": "NO9386011117946"}, "iban", "check digits"),
        ({"bic": "DNBANOKK"}, "iban", "IBAN too"),
        ({"iban": IBAN, "bic": "DNBA"}, "bic", "8 or 11"),
        ({"contacts": [{"name": "Kari", "email": "kari"}]}, "contacts", "Contact 1 is no e-mail address"),
        ({"contacts": [{"name": "Kari", "email": "a@b.no\r\nBcc: x@y.no"}]}, "contacts", "e-mail"),
        ({"contacts": [{"name": "Kari", "email": "a@b.no", "phone": "call me"}]}, "contacts", "phone"),
        ({"contacts": [{"name": "Kari", "email": "a@b.no", "role": "king"}]}, "contacts.0.role", "general"),
        ({"terms": {"fee_percent": "100.5"}}, "terms.fee_percent", "less than or equal to 100"),
        ({"terms": {"fee_percent": "1.2345"}}, "terms", "at most 3 decimals"),
        ({"terms": {"period": "year"}}, "terms.period", "month"),
        ({"legal_name": "  "}, "legal_name", "at least 1"),
        ({"address": ["x"] * 7}, "address", "6"),
        ({"owner_id": "own_0123456789ab"}, "owner_id", "not permitted"),
    ],
)
async def test_an_owner_that_cannot_be_is_refused_by_field(
    bench: Bench, said: dict[str, Any], field: str, says: str
) -> None:
    problem = await bench.api("POST", "/owners", COMPANY | said, status=422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert says in problem["errors"][0]["detail"]
    assert len((await bench.api("GET", "/owners"))["items"]) == 1  # the platform


async def test_nobodys_change_is_overwritten_unseen(bench: Bench) -> None:
    owner = await made(bench)
    await bench.api("PATCH", f"/owners/{owner['owner_id']}", {"language": "nb"}, status=428)
    changed = await edit(bench, owner, {"language": "nb", "terms": {"fee_percent": "1"}})
    assert (changed["language"], changed["terms"]["fee_percent"], changed["revision"]) == ("nb", "1", 2)
    assert changed["legal_name"] == owner["legal_name"]
    await edit(bench, owner, {"language": "en"}, status=412)
    await edit(bench, changed, {"legal_name": None}, status=422)
    assert (await edit(bench, changed, {"iban": None}))["iban"] is None


async def test_two_edits_at_once_cannot_both_win(bench: Bench) -> None:
    owner = await made(bench)
    headers = {"If-Match": '"1"', "Authorization": f"Bearer {bench.token}"}
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/owners/{owner['owner_id']}"

    async def change(name: str) -> int:
        async with bench.http.patch(url, json={"legal_name": name}, headers=headers) as answer:
            return answer.status

    statuses = await asyncio.gather(*(change(f"Name {n}") for n in range(8)))
    assert sorted(statuses) == [200] + [412] * 7


async def test_a_company_is_entered_once(bench: Bench) -> None:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/owners"
    headers = {"Authorization": f"Bearer {bench.token}"}

    async def enter() -> int:
        async with bench.http.post(url, json=COMPANY, headers=headers) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(enter() for _ in range(6)))) == [201] + [422] * 5
    problem = await bench.api("POST", "/owners", COMPANY | {"organisation_number": "923609016"}, status=422)
    assert "an owner already: own_" in problem["detail"]


async def test_an_iban_is_shown_to_who_needs_it_and_masked_in_the_trail(bench: Bench) -> None:
    owner = await made(bench, iban=IBAN)
    path, admin = f"/owners/{owner['owner_id']}", bench.token
    shown = {}
    for role, whose in (("support", None), ("operator", None), ("read-only", owner["owner_id"])):
        bench.token = admin
        token = await bench.api("POST", "/tokens", {"name": role, "role": role, "owner_id": whose}, status=201)
        bench.token = token["token"]
        shown[role] = (await bench.api("GET", path))["iban"]
    assert shown == {"support": "NO*********7947", "operator": IBAN, "read-only": IBAN}
    bench.token = admin
    await bench.api("POST", "/owners", COMPANY | {"iban": f"{IBAN[:-1]}6"}, status=422)
    trail = json.dumps((await bench.api("GET", "/audit"))["items"])
    assert "NO*********7947" in trail
    assert IBAN[4:11] not in trail


async def test_the_platform_is_an_owner_whose_names_come_from_the_settings(bench: Bench) -> None:
    platform = await bench.api("GET", "/owners/platform")
    assert platform["legal_name"] == "Unconfigured operator"
    changed = await edit(bench, platform, {"iban": IBAN, "contacts": [{"name": "Kari", "email": "k@example.org"}]})
    assert (changed["iban"], changed["legal_name"]) == (IBAN, "Unconfigured operator")
    changed = await edit(bench, changed, {"language": "nb"})
    assert changed["language"] == "nb"
    for name, value in (("legal_name", "Other AS"), ("organisation_number", "923609016"), ("country", "SE")):
        assert "settings file" in (await edit(bench, changed, {name: value}, status=409))["detail"]
    assert "cannot be closed" in (await edit(bench, changed, {"state": "closed"}, status=409))["detail"]
    assert await issuers(bench) == ["platform"]


async def issuers(bench: Bench) -> list[str]:
    async with reading(bench.app.engine) as connection:
        return list((await connection.execute(select(schema.issuers.c.issuer_id))).scalars())


async def test_an_owner_is_closed_once_nothing_is_left(bench: Bench) -> None:
    owner = await made(bench)
    owner_id = owner["owner_id"]
    terminal = {"serial": "P1", "family": "P66", "currency": "NOK", "language": "en", "owner_id": owner_id}
    async with writing(bench.app.engine) as connection:
        await connection.execute(schema.terminals.insert().values(terminal))
        owed = (Entry(Account.OWNER_SHARE, 1250, "NOK"), Entry(Account.OWNER_PAYABLE, -1250, "NOK"))
        await post(
            connection, [Posting(set_key="k", entries=EntrySet(Kind.OWED, owed), owner_id=owner_id)], datetime.now(UTC)
        )
    assert "live terminals (P1)" in (await edit(bench, owner, {"state": "closed"}, status=409))["detail"]
    async with writing(bench.app.engine) as connection:
        await connection.execute(update(schema.terminals).values(inventory_state="stored"))
    assert "NOK 12.50" in (await edit(bench, owner, {"state": "closed"}, status=409))["detail"]
    async with writing(bench.app.engine) as connection:
        back = tuple(Entry(entry.account, -entry.amount_minor, "NOK") for entry in owed)
        await post(
            connection, [Posting(set_key="p", entries=EntrySet(Kind.OWED, back), owner_id=owner_id)], datetime.now(UTC)
        )
    await bench.api("PATCH", "/stations/CS1", {"owner_id": owner_id})
    assert "stations charge (CS1)" in (await edit(bench, owner, {"state": "closed"}, status=409))["detail"]
    await bench.api("PATCH", "/stations/CS1", {"owner_id": "platform"})
    closed = await edit(bench, owner, {"state": "closed"})
    assert closed["state"] == "closed"
    site = {"owner_id": owner_id, "name": "North", "country": "NO"}
    for path, body in (
        ("/sites", site),
        ("/tariffs", {"tariff_id": "N", "owner_id": owner_id, "hold": "10"}),
        ("/tokens", {"name": "Kari", "role": "read-only", "owner_id": owner_id}),
    ):
        assert "closed" in (await bench.api("POST", path, body, status=422))["detail"]
    assert "closed" in (await bench.api("PATCH", "/stations/CS1", {"owner_id": owner_id}, status=409))["detail"]
    await made(bench)  # the same company comes back
    assert "owner already" in (await edit(bench, closed, {"state": "active"}, status=422))["detail"]


async def test_the_currency_stays_once_there_is_money_in_it(bench: Bench) -> None:
    owner = await made(bench)
    owner = await edit(bench, owner, {"currency": "EUR"})
    tariff = {"tariff_id": "N", "owner_id": owner["owner_id"], "hold": "10", "currency": "EUR"}
    await bench.api("POST", "/tariffs", tariff, status=201)
    assert "tariffs in EUR" in (await edit(bench, owner, {"currency": "NOK"}, status=409))["detail"]


async def test_an_owners_user_changes_contacts_and_language_alone(bench: Bench) -> None:
    owner = await made(bench)
    admin = bench.token
    for role in ("operator", "read-only"):
        bench.token = admin
        wanted = {"name": role, "role": role, "owner_id": owner["owner_id"]}
        bench.token = (await bench.api("POST", "/tokens", wanted, status=201))["token"]
        if role == "operator":
            changed = await edit(bench, owner, {"contacts": [{"name": "Ola", "email": "o@b.no"}], "language": "nb"})
            forbidden: list[dict[str, Any]] = [{"terms": {}}, {"iban": IBAN}, {"language": "en", "state": "closed"}]
            for said in forbidden:
                assert "Ask the platform" in (await edit(bench, changed, said, status=403))["detail"]
            assert await bench.api("GET", f"/owners/{owner['owner_id']}") == changed
        else:
            await edit(bench, changed, {"language": "en"}, status=403)
        for path in ("/owners", "/sites", "/tokens"):
            await bench.api("POST", path, {}, status=403)
        await bench.api("GET", "/tokens", status=403)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"role": "admin"}, "operator at most"),
        ({"owner_id": "platform"}, "without an owner"),
        ({"owner_id": "own_000000000000"}, "no owner of this id"),
    ],
)
async def test_a_token_that_no_owners_user_may_have_is_refused(bench: Bench, said: Any, says: str) -> None:
    owner = await made(bench)
    wanted = {"name": "Kari", "role": "operator", "owner_id": owner["owner_id"]} | said
    assert says in (await bench.api("POST", "/tokens", wanted, status=422))["detail"]


async def test_tokens_say_whose_they_are(bench: Bench) -> None:
    owner = await made(bench)
    wanted = {"name": "Kari", "role": "support", "owner_id": owner["owner_id"]}
    token = await bench.api("POST", "/tokens", wanted, status=201)
    (listed,) = (await bench.api("GET", f"/tokens?owner_id={owner['owner_id']}"))["items"]
    assert (listed["token_id"], listed["owner_id"]) == (token["token_id"], owner["owner_id"])
    assert {t["owner_id"] for t in (await bench.api("GET", "/tokens"))["items"]} == {None, owner["owner_id"]}


async def test_a_site_is_entered_changed_and_shows_its_stations(bench: Bench) -> None:
    owner = await made(bench)
    wanted = {"owner_id": owner["owner_id"], "name": "Harbour", "country": "NO", "address": ["Kaia 1"]}
    site = await bench.api("POST", "/sites", wanted, status=201)
    assert (site["time_zone"], site["stations"], site["revision"]) == ("Europe/Oslo", [], 1)
    path = f"/sites/{site['site_id']}"
    await bench.api("PATCH", path, {"name": "Port"}, status=428)
    changed = await bench.api("PATCH", path, {"name": "Port", "address": []}, headers={"If-Match": '"1"'})
    assert (changed["name"], changed["address"], changed["country"]) == ("Port", [], "NO")
    await bench.api("PATCH", path, {"name": "Port"}, status=412, headers={"If-Match": '"1"'})
    await bench.api("PATCH", path, {"name": None}, status=422, headers={"If-Match": '"2"'})
    await bench.api("PATCH", path, {"time_zone": "Moon"}, status=422, headers={"If-Match": '"2"'})
    await bench.api("POST", "/sites", wanted | {"owner_id": "own_000000000000"}, status=422)
    await bench.api("POST", "/sites", wanted | {"country": "XX"}, status=422)
    await bench.api("GET", "/sites/site_000000000000", status=404)
    assert len((await bench.api("GET", f"/sites?owner_id={owner['owner_id']}"))["items"]) == 1
    assert (await bench.api("GET", "/sites?owner_id=platform"))["items"] == []


async def test_owners_are_kept_over_a_restart_as_they_are(bench: Bench) -> None:
    """Provisioning says anew what the settings say of the platform, and nothing else of any owner."""
    await made(bench, iban=IBAN)
    platform = await bench.api("GET", "/owners/platform")
    await edit(bench, platform, {"iban": IBAN, "terms": {"fee_percent": "1"}})
    before = await rows(bench)
    await provision(bench.app.engine, bench.app.settings, datetime.now(UTC))
    assert await rows(bench) == before


async def rows(bench: Bench) -> list[Any]:
    async with reading(bench.app.engine) as connection:
        query = select(owner_schema.owners).order_by(owner_schema.owners.c.owner_id)
        return [tuple(row) for row in await connection.execute(query)]
