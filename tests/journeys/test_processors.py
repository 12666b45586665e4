"""A live terminal goes from the platform's processor to its owner's own: what becomes of the money on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from sqlalchemy import func, select

from billing.ledger import PLATFORM
from billing.payment import Payment
from billing.receipt import SalesDocument
from csms.terminals import inventory
from csms.web.api.access import Role, create_token
from sessions.facts import EvseStatus
from sessions.session import Session
from sessions.tables import Charging
from simulators.station import Station
from storage import schema as t
from storage.engine import reading, writing
from tests.databases import Databases
from tests.journeys.stage import PATIENCE_S, Stage
from tests.journeys.test_card_sessions import captured, playing
from tests.two_domains import (
    OWN_DOMAIN,
    OWN_KEY,
    OWN_PASSWORD,
    OWN_USER,
    OWNER,
    VAULT_KEY,
    enter_owner,
    give,
    own_processor,
)

BOOK = f"owner:{OWNER}"


@dataclass(frozen=True)
class Play:
    """The system at speed, a station with two EVSEs and one terminal for both, all one owner's."""

    on: Stage
    station: Station
    http: aiohttp.ClientSession
    token: str

    async def api(self, method: str, path: str, body: Any = None, status: int = 200, headers: Any = None) -> Any:
        """Call an operation."""
        url = f"http://127.0.0.1:{self.on.app.http_port}/api/v1{path}"
        sent = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        async with self.http.request(method, url, json=body, headers=sent) as response:
            answer = await response.json() if response.status != 204 else None
            assert response.status == status, f"{method} {path}: {response.status} {answer}"
            return answer

    async def moved_to(self, account_id: str) -> None:
        """Payter moves the terminal into the owner's domain; the system finds it there."""
        wanted = {"account_id": account_id, "tt_number": "TT-4711"}
        transfer = await self.api("POST", "/terminals/T1/domain-transfers", wanted, status=201)
        await self.on.cloud.move_terminal("T1", OWN_DOMAIN, "TT-4711")
        checked = await self.api("POST", f"/domain-transfers/{transfer['transfer_id']}/check")
        assert (checked["state"], checked["from_domain"]) == ("moved", "simulator")

    async def choose(self, account_id: str) -> Any:
        """Change the terminal's processor."""
        wanted = {"account_id": account_id, "reason": "a contract of their own"}
        return await self.api("PUT", "/terminals/T1/processor", wanted)

    async def begin(self, evse: int, card: str) -> Session:
        """Plug in, tap (a P6x takes the cable plugged in last), get some energy; the session."""
        await self.station.plug(evse)
        give_up = time.monotonic() + PATIENCE_S
        while not await self._is_plugged(evse):
            assert time.monotonic() < give_up, f"EVSE {evse} is not plugged in"
            await asyncio.sleep(0.01)
        await self.on.tap("T1", card)
        if self.on.cloud.terminal("T1").family == "Apollo":
            await self.on.cloud.wait_for(lambda c: c.terminal("T1").choice(f"CP/{evse}"), timeout_s=PATIENCE_S)
            assert await self.on.cloud.choose("T1", f"CP/{evse}")
        session = await self.on.session(lambda s: s.charging is Charging.CHARGING and self._of(s, evse))
        await self.station.wait_for(lambda s: s.evse(evse).delivered_wh >= 300, timeout_s=PATIENCE_S)
        return session

    async def _is_plugged(self, evse: int) -> bool:
        [terminal] = await self.on.app.directory.terminals()
        return terminal.evses[evse - 1].status is EvseStatus.OCCUPIED

    @staticmethod
    def _of(session: Session, evse: int) -> bool:
        return session.place is not None and session.place.evse_id == evse

    async def books(self) -> dict[tuple[str, str], int]:
        """What stands on each account of each book, as far as it is not zero."""
        k = t.ledger.c
        query = select(k.book, k.account, func.sum(k.amount_minor)).group_by(k.book, k.account)
        async with reading(self.on.app.engine) as connection:
            found = {(book, account): int(total) for book, account, total in await connection.execute(query)}
        return {place: total for place, total in found.items() if total}

    async def receipt_of(self, session_id: str) -> SalesDocument:
        """A session's receipt."""
        query = select(t.receipts.c.document).where(t.receipts.c.session_id == session_id)
        async with reading(self.on.app.engine) as connection:
            return SalesDocument.from_json(orjson.loads((await connection.execute(query)).scalar_one()))


@contextlib.asynccontextmanager
async def play(database_url: str, family: str = "P66") -> AsyncIterator[Play]:
    settings: dict[str, Any] = {
        "sessions": {"fresh_cable_s": 3600},
        "payter": {"domain": "simulator"},
        "processors": {"loopback": True},
        "vault": {"keys": [VAULT_KEY]},
        "issuer": {"name": "Platform AS", "organisation_number": "123456789"},
    }
    async with playing(database_url, "1.6", families=(family,), one_terminal=True, **settings) as (on, station):
        on.cloud.add_domain(OWN_DOMAIN, OWN_KEY, OWN_USER, OWN_PASSWORD)
        await enter_owner(on.app.engine, datetime.now(UTC))
        await give(on.app.engine, OWNER, "T1", stations=("CP",))
        _, token = await create_token(on.app.engine, "test", Role.ADMIN, datetime.now(UTC) - timedelta(days=1))
        async with aiohttp.ClientSession() as http:
            yield Play(on, station, http, token)


async def test_a_session_finishes_where_it_began_and_the_next_one_is_the_owners(database_url: str) -> None:
    async with play(database_url) as p:
        on, station = p.on, p.station
        account_id = await own_processor(p.api, on.cloud, "T1")
        await p.begin(1, "visa-1")
        await p.moved_to(account_id)
        shown = await p.choose(account_id)
        assert shown["sessions_elsewhere"] == 1
        await p.begin(2, "visa-2")
        shown = await p.api("GET", "/terminals/T1/processor")
        assert (shown["armed_at"], shown["pending"], shown["changes"][0]["state"]) == (account_id, False, "effective")
        assert shown["sessions_elsewhere"] == 1

        await station.unplug(1)
        old = await captured(on, station, 1, 0, still_held=30_000)
        await station.unplug(2)
        new = await captured(on, station, 2, 1)
        assert (old.account_id, new.account_id) == ("", account_id)
        payments = {payment.session_id: payment.domain for payment in on.cloud.sessions("T1")}
        assert payments == {
            old.authorisation.payment_ref: "simulator",
            new.authorisation.payment_ref: OWN_DOMAIN,
        }

        # Both sides' books: what the platform collected it owes; what the owner collected it never saw.
        assert old.cost is not None
        assert new.cost is not None
        assert await p.books() == {
            (PLATFORM, "acquirer"): old.captured_minor,
            (PLATFORM, "revenue"): -old.cost.net_minor,
            (PLATFORM, "vat_payable"): -old.cost.vat_minor,
            (PLATFORM, "owner_share"): old.cost.net_minor,
            (PLATFORM, "input_vat"): old.cost.vat_minor,
            (PLATFORM, "owner_payable"): -old.captured_minor,
            (BOOK, "acquirer"): new.captured_minor,
            (BOOK, "revenue"): -new.cost.net_minor,
            (BOOK, "vat_payable"): -new.cost.vat_minor,
        }
        ours, theirs = await p.receipt_of(old.session_id), await p.receipt_of(new.session_id)
        assert (ours.number, ours.issuer.name, ours.facilitator) == ("1", "Platform AS", "")
        assert (theirs.number, theirs.issuer.name) == ("1", "Kari Lading AS")  # a series of its own
        assert theirs.facilitator == "Platform AS, 123456789"
        assert theirs.payment is not None
        assert theirs.payment.merchant_id == "KARI-4711"


async def test_a_card_may_stop_the_charge_that_it_began_at_the_processor_before(database_url: str) -> None:
    async with play(database_url) as p:
        account_id = await own_processor(p.api, p.on.cloud, "T1")
        await p.begin(1, "visa-1")
        await p.moved_to(account_id)
        await p.choose(account_id)
        await p.on.tap("T1", "visa-1")
        session = await captured(p.on, p.station, 1)
        assert (session.account_id, session.stop_by) == ("", "card")
        assert len(p.on.cloud.sessions("T1")) == 1  # the second tap held nothing in the new domain
        await p.on.armed("T1")


async def test_rotated_credentials_capture_what_was_held_under_the_old_ones(database_url: str) -> None:
    async with play(database_url) as p:
        account_id = await own_processor(p.api, p.on.cloud, "T1")
        await p.moved_to(account_id)
        await p.choose(account_id)
        await p.begin(1, "visa-1")
        p.on.cloud.domains[OWN_DOMAIN].api_key = "new-key-of-kari"  # Payter gives the owner a new one
        wanted = {"api_key": "new-key-of-kari", "data_api_user": OWN_USER, "data_api_password": OWN_PASSWORD}
        path = f"/processors/{account_id}/credentials"
        await p.api("PUT", path, wanted, headers={"If-Match": '"2"'})
        verified = await p.api("POST", f"/processors/{account_id}/verification")
        assert verified["requirements"][1]["met"]
        await p.station.unplug(1)
        await captured(p.on, p.station, 1)
        await p.on.armed("T1")


@pytest.fixture
def sqlite(databases: Databases) -> str:
    return databases.fresh("sqlite")


@pytest.mark.parametrize("family", ["P66", "Apollo"])
async def test_a_suspended_terminal_says_so_and_is_armed_again_when_it_is_live(sqlite: str, family: str) -> None:
    async with play(sqlite, family) as p:
        on = p.on
        await on.armed("T1")
        await move(p, inventory.State.SUSPENDED)
        await on.cloud.wait_for(lambda c: said(c.screen("T1"), "Out of service"), timeout_s=PATIENCE_S)
        assert on.cloud.terminal("T1").state == "IDLE"
        assert not await on.cloud.tap("T1", "visa-1")
        await move(p, inventory.State.LIVE)
        await p.begin(1, "visa-1")
        await p.station.unplug(1)
        await captured(on, p.station, 1)


async def test_a_licence_that_runs_out_during_a_charge_touches_nothing_of_it(sqlite: str) -> None:
    async with play(sqlite) as p:
        on = p.on
        await p.begin(1, "visa-1")
        async with writing(on.app.engine) as connection:
            await connection.execute(t.terminals.update().values(licence_exempt=False))
        on.app.api.wake("T1")
        await on.cloud.wait_for(lambda c: "Not licensed" in c.screen("T1")["idle"], timeout_s=PATIENCE_S)
        await on.tap("T1", "visa-2")  # nobody can start here …
        await on.cloud.wait_for(lambda c: said(c.screen("T1"), "no valid licence"), timeout_s=PATIENCE_S)
        await on.tap("T1", "visa-1")  # … but stop
        session = await captured(on, p.station, 1)
        assert (session.payment, session.stop_by, session.flags) == (Payment.CAPTURED, "card", ())
        await on.cloud.wait_for(lambda c: c.terminal("T1").state == "IDLE" and said(c.screen("T1"), "Not licensed"))
        assert len(await on.sessions()) == 1


async def move(p: Play, to: inventory.State) -> None:
    """Move the terminal in the inventory, as an operation does, and wake its keeper."""
    now = p.on.app.clock.now()
    async with writing(p.on.app.engine) as connection:
        await inventory.move(connection, "T1", to, by="test", reason="a test", now=now)
    p.on.app.api.wake("T1")


def said(screen: dict[str, Any], words: str) -> bool:
    """Whether the words are on a terminal's screen."""
    custom = screen["custom"] or {"properties": {}}
    return words in screen["message"] or words in str(custom["properties"])
