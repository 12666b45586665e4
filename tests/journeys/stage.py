"""A stage for journeys: the whole system in this process, the terminals' cloud over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from billing.receipt import SalesDocument
from csms.app import App, running
from csms.settings import load_settings
from sessions.clock import Clock
from sessions.codec import decode_session
from sessions.session import Session
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from storage import schema as t
from storage.engine import reading

PATIENCE_S = 40.0


@dataclass(slots=True)
class Stage:
    app: App
    cloud: TerminalCloud

    async def sessions(self) -> list[Session]:
        """Every session, oldest first."""
        async with reading(self.app.engine) as connection:
            rows = await connection.execute(select(t.sessions.c.state).order_by(t.sessions.c.opened_at))
            return [decode_session(row.state) for row in rows]

    async def session(self, until: Callable[[Session], Any], which: int = -1) -> Session:
        """The newest (or the ``which``-th) session, once ``until`` holds."""
        give_up = time.monotonic() + PATIENCE_S
        found: Session | None = None
        while time.monotonic() < give_up:
            all_of_them = await self.sessions()
            if all_of_them and -len(all_of_them) <= which < len(all_of_them):
                found = all_of_them[which]
                if until(found):
                    return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"did not happen; the session is {found}")

    async def armed(self, serial: str) -> None:
        """Wait until the reader is ready."""
        await self.cloud.wait_for(lambda c: c.terminal(serial).state == "READING", timeout_s=PATIENCE_S)

    async def station_is(self, station_id: str, *, connected: bool) -> None:
        """Wait until the system knows that the station is connected, or not."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            station = await self.app.directory.station(station_id)
            if station is not None and station.connected == connected:
                return
            assert time.monotonic() < give_up, f"{station_id} is not {'connected' if connected else 'offline'}"
            await asyncio.sleep(0.01)

    async def tap(self, serial: str, card: str = "visa-1") -> None:
        """Tap when the reader is ready."""
        await self.armed(serial)
        assert await self.cloud.tap(serial, card)

    async def recorded_at(self, session_id: str) -> dict[str, datetime]:
        """When each kind of fact of a session was committed."""
        query = select(t.journal.c.kind, t.journal.c.recorded_at).where(t.journal.c.session_id == session_id)
        async with reading(self.app.engine) as connection:
            return {row.kind: row.recorded_at for row in await connection.execute(query)}

    async def receipts(self) -> list[SalesDocument]:
        """Every receipt, by number."""
        async with reading(self.app.engine) as connection:
            rows = await connection.execute(select(t.receipts.c.document).order_by(t.receipts.c.number))
            return [SalesDocument.from_json(orjson.loads(row.document)) for row in rows]

    async def ledger_sum(self) -> tuple[int, int]:
        """(sum of all entries, sum of the hold account)."""
        async with reading(self.app.engine) as connection:
            rows = (await connection.execute(select(t.ledger.c.account, t.ledger.c.amount_minor))).all()
        return sum(row.amount_minor for row in rows), sum(row.amount_minor for row in rows if row.account == "hold")

    async def findings(self) -> set[str]:
        """The codes of what stations did wrong."""
        async with reading(self.app.engine) as connection:
            return set((await connection.execute(select(t.findings.c.code))).scalars())


@contextlib.asynccontextmanager
async def stage(
    database_url: str,
    *,
    station_id: str = "CP",
    evses: int = 2,
    families: tuple[str, ...] = ("P66", "P66"),
    clock: Clock | None = None,
    one_terminal: bool = False,
    password: str | None = None,
    **overrides: Any,
) -> AsyncIterator[Stage]:
    """One station with EVSEs 1…n; terminals T1, T2, … of ``families``, one per EVSE (or the first for all).

    ``overrides``: settings, sections merged into the defaults.
    """
    async with TerminalCloud(TerminalCloudConfig(api_key="test-key")) as cloud:
        places = [f"{station_id}/{n}" for n in range(1, evses + 1)]
        terminals = []
        for n, family in enumerate(families[:1] if one_terminal else families, 1):
            cloud.add_terminal(f"T{n}", family)
            served = places if one_terminal else places[n - 1 : n]
            terminals.append({"serial": f"T{n}", "family": family, "evses": served})
        known: dict[str, Any] = {
            "station_id": station_id,
            "evses": [{"evse_id": n, "tariff_id": "T"} for n in range(1, evses + 1)],
        }
        if password:
            known["password"] = password
        values: dict[str, Any] = {
            "database_url": database_url,
            "ocpp": {"host": "127.0.0.1", "port": 0, "unknown_stations": "refuse", "messages_per_s": 10_000},
            "http": {"host": "127.0.0.1", "port": 0, "public_url": "http://127.0.0.1:1"},
            "payter": {
                "base_url": cloud.base_url,
                "api_key": "test-key",
                "callback_secret": "s" * 40,
                "card_hash_key": "k" * 40,
                "card_poll_s": 2,
                "status_poll_s": 0.2,
            },
            "tariffs": [{"tariff_id": "T", "hold": "300", "per_kwh": "10", "vat_percent": "25"}],
            "stations": [known],
            "terminals": terminals,
        }
        for section, value in overrides.items():
            values[section] = values.get(section, {}) | value if isinstance(value, dict) else value
        async with running(load_settings(None, **values), clock=clock) as app:
            yield Stage(app, cloud)
