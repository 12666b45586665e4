"""A terminals' cloud with two domains, and an owner who brings a processor of their own."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine

from sessions.rows import upsert
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from storage import owner_schema as o
from storage import schema as t
from storage.engine import writing

PLATFORM_KEY = "platform-api-key-Zx81"
OWN_KEY = "own-api-key-Qw27"
OWN_USER = "data-user-of-kari"
OWN_PASSWORD = "data-password-of-kari"
OWN_DOMAIN = "kari-as"
OWNER = "own_kari00000000"
MERCHANT_ID = "KARI-4711"
VAULT_KEY = Fernet.generate_key().decode()
SECRETS = (OWN_KEY, OWN_USER, OWN_PASSWORD)


def two_domains(**changes: Any) -> TerminalCloud:
    """The cloud: the platform's domain and the owner's."""
    cloud = TerminalCloud(TerminalCloudConfig(api_key=PLATFORM_KEY, **changes))
    cloud.add_domain(OWN_DOMAIN, OWN_KEY, OWN_USER, OWN_PASSWORD)
    return cloud


def processor_settings(cloud: TerminalCloud) -> dict[str, Any]:
    """The settings' sections for it."""
    return {
        "payter": {
            "base_url": cloud.base_url,
            "api_key": PLATFORM_KEY,
            "domain": "simulator",
            "callback_secret": "s" * 40,
            "card_hash_key": "k" * 40,
            "card_poll_s": 2,
            "status_poll_s": 0.2,
        },
        "processors": {"loopback": True},
        "vault": {"keys": [VAULT_KEY]},
    }


async def enter_owner(engine: AsyncEngine, now: Any, owner_id: str = OWNER, name: str = "Kari Lading AS") -> None:
    """The owner, and their name on receipts."""
    row = {
        "owner_id": owner_id,
        "legal_name": name,
        "organisation_number": "999888777",
        "vat_number": "",
        "address": "[]",
        "country": "NO",
        "currency": "NOK",
        "language": "nb",
        "time_zone": "Europe/Oslo",
        "contacts": "[]",
        "terms": "{}",
        "created_at": now,
    }
    issuer = f'{{"name":"{name}","address":["Veien 1","0001 Oslo"],"country":"NO","organisation_number":"999888777"}}'
    async with writing(engine) as connection:
        await upsert(connection, o.owners, ["owner_id"], [row])
        await upsert(connection, t.issuers, ["issuer_id"], [{"issuer_id": f"owner:{owner_id}", "body": issuer}])


async def give(engine: AsyncEngine, owner_id: str, *serials: str, stations: tuple[str, ...] = ()) -> None:
    """Make terminals and stations the owner's."""
    owner = {"owner_id": owner_id}
    async with writing(engine) as connection:
        await connection.execute(t.terminals.update().where(t.terminals.c.serial.in_(serials)).values(owner))
        await connection.execute(t.stations.update().where(t.stations.c.station_id.in_(stations)).values(owner))


def wanted_account(cloud: TerminalCloud, **changes: Any) -> dict[str, Any]:
    """The body of a new account."""
    return {
        "owner_id": OWNER,
        "name": "Kari's own",
        "base_url": cloud.base_url,
        "data_url": f"{cloud.base_url}API",
        "domain": OWN_DOMAIN,
        "merchant_id": MERCHANT_ID,
        "acquirer": "Example Bank",
    } | changes


def wanted_credentials(**changes: Any) -> dict[str, Any]:
    """The body with its credentials."""
    return {"api_key": OWN_KEY, "data_api_user": OWN_USER, "data_api_password": OWN_PASSWORD} | changes


async def own_processor(api: Any, cloud: TerminalCloud, *serials: str, **changes: Any) -> str:
    """An account with everything it needs, routed for these terminals; its id. ``api``: (method, path, body, …)."""
    account_id = str((await api("POST", "/processors", wanted_account(cloud, **changes), status=201))["account_id"])
    path = f"/processors/{account_id}"
    await api("PUT", f"{path}/credentials", wanted_credentials(), headers={"If-Match": '"1"'})
    for requirement in ("agreement", "merchant"):
        await api("PUT", f"{path}/requirements", {"requirement": requirement, "reference": f"{requirement} 2026-1"})
    shown = await api("POST", f"{path}/verification")
    assert [each["met"] for each in shown["requirements"]] == [True, True, True], shown["requirements"]
    for serial in serials:
        await api("PUT", f"/terminals/{serial}/routing", {"account_id": account_id, "reference": "mail of 1 May"})
    return account_id
