"""A stage for onboarding: a new terminal N1 of a site owner, whose station connects over a real socket.

The owner's own processor is a second cloud with a key of its own: a terminal is only in one of the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import ClientSession
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.terminals.checklist import Origin, Processor
from csms.terminals.processors import Confirmation, Credentials, Processors, Requirement, confirm, seal
from csms.web.api.access import Role, create_token
from simulators.station import Station, StationConfig
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from storage import onboarding_schema, owner_schema
from storage import schema as t
from storage.engine import reading, writing
from tests.journeys.stage import PATIENCE_S, Stage, stage
from tests.two_domains import VAULT_KEY

OWNER = "own_000000000001"
OTHER = "own_000000000002"
ACCOUNT = "acc_000000000001"
SERIAL = "N1"
PASSWORD = "onboarding-station-password"
DOMAIN = "eier"
OWN_ALLOWED: dict[str, Any] = {"vault": {"keys": [VAULT_KEY]}, "processors": {"loopback": True}}
PATHS = tuple((origin, processor) for origin in Origin for processor in Processor)
DETAILS = {
    "inventory": {"location": "By the entrance", "authorised personnel": "Kari Nordmann"},
    "personnel": {"trained": "Kari Nordmann, Ola Nordmann"},
}


def owner_row(owner_id: str, currency: str = "NOK") -> dict[str, Any]:
    """An owner as the table has it."""
    texts = {"legal_name": "Eier AS", "organisation_number": "1", "vat_number": "1", "country": "NO", "language": "nb"}
    return texts | {
        "owner_id": owner_id,
        "address": "[]",
        "currency": currency,
        "time_zone": "Europe/Oslo",
        "contacts": "[]",
        "terms": "{}",
        "created_at": datetime.now(UTC),
    }


@dataclass(slots=True)
class Rig:
    """``at``: the cloud that the new terminal is in. Calls are the owner's unless ``token`` says otherwise."""

    on: Stage
    at: TerminalCloud
    http: ClientSession
    admin: str
    owner: str
    stranger: str
    station: Station | None = None

    async def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        token: str = "",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call the API; the JSON of its answer."""
        heads = {"Authorization": f"Bearer {token or self.owner}"} | dict(headers or {})
        url = f"http://127.0.0.1:{self.on.app.http_port}/api/v1{path}"
        sent: dict[str, Any] = {"json": body} if raw is None else {"data": io.BytesIO(raw)}
        async with self.http.request(method, url, headers=heads, **sent) as answer:
            content = await answer.read()
            assert answer.status == status, f"{method} {path}: {answer.status}, not {status}: {content[:2000]!r}"
            return orjson.loads(content) if answer.content_type.endswith("json") else content

    async def start(self, origin: Origin = Origin.INTEGRATED, serial: str = SERIAL) -> int:
        """Start a case; its number."""
        made = await self.api("POST", "/onboarding-cases", {"serial": serial, "origin": origin}, status=201)
        return int(made["case_id"])

    async def case(self, case_id: int) -> Any:
        """The case as it stands."""
        return await self.api("GET", f"/onboarding-cases/{case_id}")

    async def check(self, case_id: int) -> Any:
        """Run the machine's checks."""
        return await self.api("POST", f"/onboarding-cases/{case_id}/checks?wait=30")

    async def confirm(self, case_id: int, code: str, *, passed: bool = True, note: str = "", status: int = 200) -> Any:
        """Say what Kari found."""
        said = {"person": "Kari Nordmann", "passed": passed, "note": note, "details": DETAILS.get(code, {})}
        return await self.api("POST", f"/onboarding-cases/{case_id}/steps/{code}/confirmation", said, status=status)

    async def confirm_all(self, case_id: int) -> None:
        """Every step that is a person's, in order."""
        for step in (await self.case(case_id))["steps"]:
            if step["who"] == "person":
                await self.confirm(case_id, step["code"])

    async def step(self, case_id: int, code: str) -> Any:
        """One step."""
        return next(s for s in (await self.case(case_id))["steps"] if s["code"] == code)

    async def verified(self, origin: Origin, serial: str = SERIAL) -> int:
        """A case that is ready: confirmed by people, checked by the machine, its test transaction made."""
        case_id = await self.start(origin, serial)
        for step in (await self.case(case_id))["steps"]:
            if step["who"] == "person" and step["code"] != "storage_test":
                await self.confirm(case_id, step["code"])
        await self.check(case_id)
        await self.begin_test(case_id)
        await self.present(serial=serial)
        test = await self.tested(case_id)
        assert (test["state"], test["problem"]) == ("passed", "")
        await self.confirm(case_id, "storage_test")
        ready = await self.until(case_id, lambda case: case["state"] == "ready")
        assert {step["state"] for step in ready["steps"]} == {"passed"}
        return case_id

    async def begin_test(self, case_id: int, status: int = 201) -> Any:
        """Start a test transaction."""
        return await self.api("POST", f"/onboarding-cases/{case_id}/test-transactions", status=status)

    async def present(self, card: str = "visa-1", serial: str = SERIAL) -> None:
        """Tap once the reader asks for the test's card."""
        await self.at.wait_for(
            lambda c: (c.terminal(serial).state, c.terminal(serial).authorized_amount) == ("READING", 100),
            timeout_s=PATIENCE_S,
        )
        assert await self.at.tap(serial, card)

    async def tested(self, case_id: int) -> Any:
        """The newest test transaction, once it has ended and its checks are made."""
        seen = await self.until(case_id, lambda case: case["test_transactions"][0]["ended_at"])
        return seen["test_transactions"][0]

    async def until(self, case_id: int, true: Callable[[Any], Any]) -> Any:
        """The case, once ``true`` of it holds."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            seen = await self.case(case_id)
            if true(seen):
                return seen
            assert time.monotonic() < give_up, f"did not happen; last seen: {seen}"
            await asyncio.sleep(0.02)

    async def write(self, statement: Any) -> None:
        """Change the database by hand."""
        async with writing(self.on.app.engine) as connection:
            await connection.execute(statement)

    async def terminal_is(self, serial: str = SERIAL) -> str:
        """The terminal's inventory state."""
        async with reading(self.on.app.engine) as connection:
            query = select(t.terminals.c.inventory_state).where(t.terminals.c.serial == serial)
            return str((await connection.execute(query)).scalar())

    async def set_terminal(self, **values: Any) -> None:
        """Change the new terminal's row."""
        await self.write(update(t.terminals).where(t.terminals.c.serial == SERIAL).values(values))

    async def tests(self) -> list[Any]:
        """The rows of all test transactions."""
        async with reading(self.on.app.engine) as connection:
            return list((await connection.execute(select(onboarding_schema.test_transactions))).all())


@contextlib.asynccontextmanager
async def onboarding(
    database_url: str, processor: Processor = Processor.PLATFORM, *, connect: bool = True, **settings: Any
) -> AsyncIterator[Rig]:
    """A stored terminal N1 for EVSE CP/2, licensed and transferred; its station is connected unless told otherwise."""
    own = processor is Processor.OWN
    async with (
        stage(database_url, families=("P66",), password=PASSWORD, **OWN_ALLOWED, **settings) as on,
        TerminalCloud(TerminalCloudConfig(api_key="owner-key")) as second,
        ClientSession() as http,
    ):
        app = on.app
        at = second if own else on.cloud
        at.add_terminal(SERIAL, "Apollo")
        assert app.bridge is not None
        async with writing(app.engine) as connection:
            await _furnish(connection, own, second.base_url, app.processors)
        now = datetime.now(UTC)
        _, admin = await create_token(app.engine, "Admin", Role.ADMIN, now)
        _, owner = await create_token(app.engine, "Eier", Role.OPERATOR, now, owner_id=OWNER)
        _, stranger = await create_token(app.engine, "Nabo", Role.OPERATOR, now, owner_id=OTHER)
        rig = Rig(on, at, http, admin, owner, stranger)
        async with contextlib.AsyncExitStack() as stack:
            if connect:
                config = StationConfig(
                    identity="CP", url=app.ocpp_url, evses=2, password=PASSWORD, boot_s=0.1, reconnect_first_s=0.05
                )
                rig.station = await stack.enter_async_context(Station(config))
                await asyncio.wait_for(rig.station.booted.wait(), PATIENCE_S)
            yield rig


async def _furnish(connection: AsyncConnection, own: bool, own_url: str, processors: Processors) -> None:
    now = datetime.now(UTC)
    await connection.execute(owner_schema.owners.insert(), [owner_row(OWNER), owner_row(OTHER)])
    await connection.execute(update(t.stations).where(t.stations.c.station_id == "CP").values(owner_id=OWNER))
    account = {
        "account_id": ACCOUNT,
        "owner_id": OWNER,
        "name": "Eiers",
        "base_url": own_url,
        "data_url": "",
        "domain": DOMAIN,
        "merchant_id": "1",
        "acquirer": "Bank",
        "credentials": seal(processors.vault, ACCOUNT, Credentials(api_key="owner-key")),
        "created_at": now,
    }
    await connection.execute(owner_schema.processor_accounts.insert().values(account))
    for requirement in Requirement:
        serial = SERIAL if requirement is Requirement.ROUTING else ""
        said = Confirmation(requirement=requirement, serial=serial, met=True, confirmed_by="Kari Nordmann")
        await confirm(connection, ACCOUNT, said, now)
    terminal = {
        "serial": SERIAL,
        "family": "Apollo",
        "currency": "NOK",
        "language": "nb",
        "owner_id": OWNER,
        "account_id": ACCOUNT if own else "",
        "domain": DOMAIN if own else processors.platform.domain,
        "inventory_state": "stored",
        "licence_exempt": False,
        "activated_at": now,
        "licensed_until": now + timedelta(days=365),
    }
    await connection.execute(t.terminals.insert().values(terminal))
    place = {"serial": SERIAL, "station_id": "CP", "evse_id": 2, "position": 0}
    await connection.execute(t.terminal_evses.insert().values(place))
