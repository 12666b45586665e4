"""Owners' own processors over the API: what is refused and why, what is kept, and that nobody is shown a secret."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet
from sqlalchemy import select, text

from csms.terminals.processors import reseal
from csms.terminals.vault import Vault
from csms.web.api.access import Role, create_token
from simulators.terminal_cloud import TerminalCloud
from storage import fleet_schema, schema
from storage import owner_schema as o
from storage.engine import reading, writing
from tests.conformance.bench import Bench, bench
from tests.two_domains import (
    OWN_DOMAIN,
    OWN_KEY,
    OWNER,
    SECRETS,
    VAULT_KEY,
    enter_owner,
    give,
    own_processor,
    processor_settings,
    two_domains,
    wanted_account,
    wanted_credentials,
)

SERIAL = "P66-1"


@dataclass(frozen=True)
class Shop:
    """The system, the cloud, and an owner with one terminal at one station."""

    bench: Bench
    cloud: TerminalCloud

    async def api(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return await self.bench.api(method, path, body, status=status, **more)

    async def as_owner(self, owner_id: str = OWNER, role: Role = Role.OPERATOR) -> str:
        _, token = await create_token(self.bench.app.engine, "user", role, datetime.now(UTC), owner_id=owner_id)
        return token


@pytest_asyncio.fixture(name="shop")
async def running_shop(database_url: str) -> AsyncIterator[Shop]:
    async with two_domains() as cloud:
        cloud.add_terminal(SERIAL, "P66")
        terminals = [{"serial": SERIAL, "family": "P66", "evses": ["CS1/1"]}]
        async with bench(database_url, terminals=terminals, **processor_settings(cloud)) as made:
            await enter_owner(made.app.engine, datetime.now(UTC))
            await give(made.app.engine, OWNER, SERIAL, stations=("CS1",))
            yield Shop(made, cloud)


async def test_each_requirement_stands_alone_until_it_is_met(shop: Shop) -> None:
    made = await shop.api("POST", "/processors", wanted_account(shop.cloud), status=201)
    path = f"/processors/{made['account_id']}"
    assert not made["has_credentials"]
    assert {each["requirement"]: each["met"] for each in made["requirements"]} == {
        "agreement": False,
        "domain": False,
        "merchant": False,
    }
    assert all(each["detail"].startswith("Missing: ") for each in made["requirements"])
    refused = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice(made), status=409)
    for missing in ("agreement with Payter", "has not answered", "merchant id", "not told to route", "TT number"):
        assert missing in refused["detail"]
    unsaid = await shop.api("POST", f"{path}/verification")
    assert "credentials are missing" in unsaid["requirements"][1]["detail"]
    wrong = await shop.api(
        "PUT", f"{path}/credentials", wanted_credentials(api_key="no such key"), headers={"If-Match": '"1"'}
    )
    assert wrong["has_credentials"]
    assert "refuses this API key" in (await shop.api("POST", f"{path}/verification"))["requirements"][1]["detail"]
    await shop.api(
        "PUT", f"{path}/credentials", wanted_credentials(data_api_password="wrong"), headers={"If-Match": '"2"'}
    )
    verified = (await shop.api("POST", f"{path}/verification"))["requirements"][1]
    assert not verified["met"]
    assert "Data API refuses this user" in verified["detail"]
    await shop.api("PUT", f"{path}/credentials", wanted_credentials(), headers={"If-Match": '"3"'})
    verified = (await shop.api("POST", f"{path}/verification"))["requirements"][1]
    assert (verified["met"], verified["confirmed_by"], verified["reference"]) == (True, "machine", OWN_DOMAIN)
    # A machine's word cannot be given by a person, and a person's has a name.
    for other in ("domain", "routing"):
        await shop.api("PUT", f"{path}/requirements", {"requirement": other, "reference": "says me"}, status=409)
    agreement = {"requirement": "agreement", "reference": "PA-7"}
    said = await shop.api("PUT", f"{path}/requirements", agreement)
    assert (said["requirements"][0]["met"], said["requirements"][0]["reference"]) == (True, "PA-7")
    assert said["requirements"][0]["confirmed_by"].startswith("test (")
    back = await shop.api("PUT", f"{path}/requirements", agreement | {"met": False})
    assert not back["requirements"][0]["met"]


def choice(account: dict[str, Any]) -> dict[str, Any]:
    return {"account_id": account["account_id"], "reason": "The owner has a contract of their own."}


async def test_what_changes_must_be_confirmed_anew(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud)
    path = f"/processors/{account_id}"
    details = {name: value for name, value in wanted_account(shop.cloud).items() if name != "owner_id"}
    await shop.api("PUT", path, details, status=428)
    await shop.api("PUT", path, details, status=412, headers={"If-Match": '"1"'})
    changed = await shop.api("PUT", path, details | {"merchant_id": "KARI-2"}, headers={"If-Match": '"2"'})
    assert [each["met"] for each in changed["requirements"]] == [True, True, False]
    moved = await shop.api("PUT", path, details | {"domain": "other"}, headers={"If-Match": '"3"'})
    assert [each["met"] for each in moved["requirements"]] == [False, False, False]
    rotated = await shop.api("PUT", f"{path}/credentials", wanted_credentials(), headers={"If-Match": '"4"'})
    assert rotated["revision"] == 5


async def test_an_unused_account_can_be_forgotten_and_a_used_one_not(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    unused = await shop.api("POST", "/processors", wanted_account(shop.cloud), status=201)
    await shop.api("DELETE", f"/processors/{unused['account_id']}", status=204, headers={"If-Match": '"1"'})
    await shop.api("GET", f"/processors/{unused['account_id']}", status=404)
    await moved(shop, account_id)
    await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}))
    await shop.api("DELETE", f"/processors/{account_id}", status=409, headers={"If-Match": '"2"'})
    details = {name: value for name, value in wanted_account(shop.cloud).items() if name != "owner_id"}
    refused = await shop.api(
        "PUT", f"/processors/{account_id}", details | {"domain": "x"}, status=409, headers={"If-Match": '"2"'}
    )
    assert "address and domain stay" in refused["detail"]


async def moved(shop: Shop, account_id: str, tt_number: str = "TT-2026-001") -> dict[str, Any]:
    wanted = {"account_id": account_id, "tt_number": tt_number, "from_domain": "simulator"}
    entered = await shop.api("POST", f"/terminals/{SERIAL}/domain-transfers", wanted, status=201)
    await shop.cloud.move_terminal(SERIAL, OWN_DOMAIN, tt_number)
    checked: dict[str, Any] = await shop.api("POST", f"/domain-transfers/{entered['transfer_id']}/check")
    assert checked["state"] == "moved", checked
    return checked


async def test_a_terminal_in_another_domain_is_moved_first_and_its_tt_number_kept(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    path = f"/terminals/{SERIAL}"
    refused = await shop.api("PUT", f"{path}/processor", choice({"account_id": account_id}), status=409)
    assert "TT number" in refused["detail"]
    wanted = {"account_id": account_id, "tt_number": "TT-1", "from_domain": "simulator"}
    await shop.api("POST", f"{path}/domain-transfers", wanted | {"tt_number": ""}, status=422)
    entered = await shop.api("POST", f"{path}/domain-transfers", wanted, status=201)
    assert (entered["state"], entered["from_domain"], entered["to_domain"]) == ("requested", "simulator", OWN_DOMAIN)
    await shop.api("POST", f"{path}/domain-transfers", wanted | {"tt_number": "TT-2"}, status=409)
    checked = await shop.api("POST", f"/domain-transfers/{entered['transfer_id']}/check")
    assert checked["state"] == "requested"
    assert "have Payter move the terminal here" in checked["finding"]
    refused = await shop.api("PUT", f"{path}/processor", choice({"account_id": account_id}), status=409)
    assert "its transfer TT-1 to domain kari-as is not confirmed" in refused["detail"]
    await shop.api("DELETE", f"/domain-transfers/{entered['transfer_id']}", status=204)
    await shop.api("POST", f"/domain-transfers/{entered['transfer_id']}/check", status=409)
    transfer = await moved(shop, account_id)
    assert (transfer["tt_number"], transfer["checked_by"]) == ("TT-2026-001", entered["requested_by"])
    listed = (await shop.api("GET", f"{path}/domain-transfers"))["items"]
    assert sorted(each["state"] for each in listed) == ["cancelled", "moved"]
    await shop.api("POST", f"{path}/domain-transfers", wanted, status=409)  # it is there already
    shown = await shop.api("PUT", f"{path}/processor", choice({"account_id": account_id}))
    assert (shown["account_id"], shown["domain"], shown["obstacles"]) == (account_id, OWN_DOMAIN, [])
    shown = await shop.bench.eventually(
        lambda: shop.api("GET", f"{path}/processor"), lambda now: now["armed_at"] == account_id
    )
    assert (shown["pending"], shown["changes"][0]["state"]) == (False, "effective")
    # And back: the platform's processor needs the terminal back in the platform's domain.
    refused = await shop.api("PUT", f"{path}/processor", {"account_id": "", "reason": "back"}, status=409)
    assert "it sits in domain kari-as, not in simulator" in refused["detail"]


async def test_a_change_taken_back_before_it_took_effect_is_told(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    await shop.cloud.set_online(SERIAL, False)
    await moved(shop, account_id)
    shown = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}))
    assert (shown["pending"], shown["changes"][0]["state"]) == (True, "pending")
    other = await own_processor(shop.api, shop.cloud, SERIAL)
    shown = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": other}))
    assert [each["state"] for each in shown["changes"]] == ["pending", "superseded"]


async def test_a_change_back_to_where_the_reader_is_armed_needs_not_wait(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    await shop.cloud.wait_for(lambda cloud: cloud.terminal(SERIAL).state == "READING")
    shop.cloud.fault("stop", "error", times=1000)  # so that the reader stays armed where it is
    async with writing(shop.bench.app.engine) as connection:
        await connection.execute(schema.terminals.update().values(domain=OWN_DOMAIN))
    shown = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}))
    assert (shown["pending"], shown["armed_at"]) == (True, "")
    async with writing(shop.bench.app.engine) as connection:
        await connection.execute(schema.terminals.update().values(domain="simulator"))
    shown = await shop.api("PUT", f"/terminals/{SERIAL}/processor", {"account_id": "", "reason": "back"})
    assert [each["state"] for each in shown["changes"]] == ["effective", "superseded"]


async def test_another_owners_account_or_station_is_refused(shop: Shop) -> None:
    now = datetime.now(UTC)
    await enter_owner(shop.bench.app.engine, now, "own_other0000000", "Other AS")
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    await moved(shop, account_id)
    await give(shop.bench.app.engine, "own_other0000000", stations=("CS1",))
    refused = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}), status=409)
    assert "serves station CS1, which is another owner's" in refused["detail"]
    await give(shop.bench.app.engine, "own_other0000000", SERIAL)
    refused = await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}), status=409)
    assert "no such processor account of this terminal's owner" in refused["detail"]
    wanted = {"account_id": account_id, "reference": "x"}
    await shop.api("PUT", f"/terminals/{SERIAL}/routing", wanted, status=409)
    await shop.api("POST", "/processors", wanted_account(shop.cloud, owner_id="platform"), status=409)
    await shop.api("POST", "/processors", wanted_account(shop.cloud, owner_id="own_nobody000000"), status=404)


async def test_an_owners_user_sees_their_own_alone(shop: Shop) -> None:
    await enter_owner(shop.bench.app.engine, datetime.now(UTC), "own_other0000000", "Other AS")
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    wanted = {"account_id": account_id, "tt_number": "TT-1", "from_domain": "simulator"}
    transfer = await shop.api("POST", f"/terminals/{SERIAL}/domain-transfers", wanted, status=201)
    shop.bench.token = await shop.as_owner()
    assert [each["account_id"] for each in (await shop.api("GET", "/processors"))["items"]] == [account_id]
    assert (await shop.api("GET", f"/processors/{account_id}"))["name"] == "Kari's own"
    await shop.api("POST", f"/processors/{account_id}/verification")
    await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}), status=403)
    shop.bench.token = await shop.as_owner("own_other0000000")
    assert (await shop.api("GET", "/processors"))["items"] == []
    assert (await shop.api("GET", f"/processors?owner_id={OWNER}"))["items"] == []
    for method, path, body in (
        ("GET", f"/processors/{account_id}", None),
        ("PUT", f"/processors/{account_id}/credentials", wanted_credentials()),
        ("POST", f"/processors/{account_id}/verification", None),
        ("PUT", f"/processors/{account_id}/requirements", {"requirement": "agreement", "reference": "x"}),
        ("DELETE", f"/processors/{account_id}", None),
        ("GET", f"/terminals/{SERIAL}/processor", None),
        ("POST", f"/terminals/{SERIAL}/domain-transfers", wanted),
        ("GET", f"/domain-transfers/{transfer['transfer_id']}", None),
        ("POST", f"/domain-transfers/{transfer['transfer_id']}/check", None),
        ("DELETE", f"/domain-transfers/{transfer['transfer_id']}", None),
        ("POST", "/processors", wanted_account(shop.cloud)),
    ):
        await shop.api(method, path, body, status=404, headers={"If-Match": '"2"'})


async def test_addresses_that_lead_elsewhere_are_refused(shop: Shop) -> None:
    for name in ("base_url", "data_url"):
        wanted = wanted_account(shop.cloud, **{name: "https://169.254.169.254/"})
        refused = await shop.api("POST", "/processors", wanted, status=422)
        assert refused["errors"] == [
            {
                "field": name,
                "detail": f"{name} is at a host that is not allowed; allowed are mypayter.com, and those below.",
            }
        ]


async def test_without_a_vault_key_no_credentials_are_kept(database_url: str) -> None:
    async with two_domains() as cloud, bench(database_url, **processor_settings(cloud) | {"vault": {}}) as made:
        await enter_owner(made.app.engine, datetime.now(UTC))
        account = await made.api("POST", "/processors", wanted_account(cloud), status=201)
        path = f"/processors/{account['account_id']}/credentials"
        refused = await made.api("PUT", path, wanted_credentials(), status=409, headers={"If-Match": '"1"'})
        assert "set vault.keys" in refused["detail"]
        assert "Fernet.generate_key" in refused["detail"]
        assert not (await made.api("GET", f"/processors/{account['account_id']}"))["has_credentials"]


async def test_a_secret_is_nowhere_in_the_clear(
    shop: Shop, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    account_id = await own_processor(shop.api, shop.cloud, SERIAL)
    path = f"/processors/{account_id}"
    too_long = wanted_credentials(api_key=OWN_KEY * 20)
    refused = await shop.api("PUT", f"{path}/credentials", too_long, status=422, headers={"If-Match": '"2"'})
    quoted = wanted_credentials(api_key=f'"{OWN_KEY}"')
    shown += [refused, await shop.api("PUT", f"{path}/credentials", quoted, status=422, headers={"If-Match": '"2"'})]
    shown += [await shop.api("GET", path), await shop.api("GET", "/processors")]
    shown += [await shop.api("GET", "/audit"), await shop.api("GET", f"/terminals/{SERIAL}/processor")]
    await moved(shop, account_id)
    await shop.api("PUT", f"/terminals/{SERIAL}/processor", choice({"account_id": account_id}))
    await shop.cloud.wait_for(lambda cloud: cloud.terminal(SERIAL).state == "READING")
    rows = await every_row(shop)
    assert "rotate_processor_credentials" in rows
    for secret in SECRETS:
        assert secret not in str(shown)
        assert secret not in caplog.text
        assert secret not in rows
    if database_url.startswith("sqlite:///"):
        async with writing(shop.bench.app.engine) as connection:
            await connection.execute(text("UPDATE terminals SET family = family"))
        names = [database_url.removeprefix("sqlite:///") + suffix for suffix in ("", "-wal")]
        for name in names:
            with open(name, "rb") as file:
                kept = file.read()
            assert not any(secret.encode() in kept for secret in SECRETS)


async def every_row(shop: Shop) -> str:
    """All that the database holds, as text."""
    found = []
    async with reading(shop.bench.app.engine) as connection:
        for table in fleet_schema.audit.metadata.sorted_tables:
            found += [str(tuple(row)) for row in await connection.execute(select(table))]
    return "\n".join(found)


async def test_a_new_vault_key_in_front_seals_anew_and_the_old_one_may_go(shop: Shop) -> None:
    account_id = await own_processor(shop.api, shop.cloud)
    new, engine = Fernet.generate_key().decode(), shop.bench.app.engine
    assert await reseal(engine, Vault([VAULT_KEY])) == 0
    assert await reseal(engine, Vault([new, VAULT_KEY])) == 1
    assert await reseal(engine, Vault([new])) == 0
    async with reading(engine) as connection:
        sealed = (await connection.execute(select(o.processor_accounts.c.credentials))).scalar_one()
    assert Vault([new]).open(account_id, sealed)["api_key"] == OWN_KEY
    # This process still has the old key alone: it says so instead of failing.
    unverified = await shop.api("POST", f"/processors/{account_id}/verification")
    assert "do not open" in unverified["requirements"][1]["detail"]
