"""The bench: the whole system on real sockets, stations made of bare frames, an operator with a token."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientSession
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from csms.app import App, running
from csms.settings import load_settings
from csms.web.api.access import Role, create_token
from sessions.clock import Clock
from tests.wire.station import _SILENT, OPEN_S, Station, assert_valid_answer, assert_valid_call, basic

PATIENCE_S = 30.0
PASSWORD = "sixteen-characters"


class Bench:
    """One running system. ``http``: an operator's client (role admin) whose paths begin after ``/api/v1``."""

    def __init__(self, app: App, http: ClientSession, token: str) -> None:
        self.app = app
        self.http = http
        self.token = token
        self._lines = AsyncExitStack()

    # --- the operator -------------------------------------------------------------------------------------------------

    async def api(
        self, method: str, path: str, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        """Call the API; the JSON of its answer, which must have ``status``."""
        given = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        url = f"http://127.0.0.1:{self.app.http_port}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=given) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {path}: {answer.status}, not {status}: {text}"
            return await answer.json(content_type=None) if text else None

    async def send(self, station_id: str, action: str, payload: dict[str, Any], *, wait: float = 30) -> Any:
        """Send an action through the engineer's door; the command as it ended."""
        return await self.api("POST", f"/stations/{station_id}/commands/{action}?wait={wait}", payload)

    async def exchange(
        self, station: Station, action: str, payload: dict[str, Any], answer: dict[str, Any], *, sent: Any = None
    ) -> Any:
        """Send an action, let the station give ``answer``; the command as it ended.

        The request that arrived must be ``sent`` (by default ``payload``) and, like ours always, valid.
        """
        asking = self.send(station.station_id, action, payload)
        call, asked = await self._arrival(asking, station, action)
        assert call[3] == (payload if sent is None else sent)
        await station.answer(call, answer)
        return await asked

    async def arrange(
        self, station: Station, method: str, path: str, body: Any, action: str, sent: Any, answer: dict[str, Any]
    ) -> Any:
        """Call an operation that sends ``action``, which must arrive as ``sent``; the command as it ended."""
        asking = self.api(method, f"{path}{'&' if '?' in path else '?'}wait=30", body)
        call, asked = await self._arrival(asking, station, action)
        assert call[3] == sent
        await station.answer(call, answer)
        return await asked

    async def refuse(self, station: Station, action: str, payload: dict[str, Any], code: str) -> Any:
        """Send an action, let the station answer with a CALLERROR; the command as it ended."""
        call, asked = await self._arrival(self.send(station.station_id, action, payload), station, action)
        await station.send(4, call[1], code, "", {})
        return await asked

    async def _arrival(
        self, asking: Coroutine[Any, Any, Any], station: Station, action: str
    ) -> tuple[list[Any], asyncio.Task[Any]]:
        asked = asyncio.create_task(asking)
        arrives = asyncio.create_task(self.expect(station, action))
        await asyncio.wait({asked, arrives}, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():  # refused, or not sent: say that, rather than that nothing arrived
            arrives.cancel()
            raise AssertionError(f"{action} did not reach the station: {await asked}")
        return await arrives, asked

    async def eventually(self, look: Callable[[], Awaitable[Any]], until: Callable[[Any], Any]) -> Any:
        """What ``look`` returns, once ``until`` of it holds."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            seen = await look()
            if until(seen):
                return seen
            assert time.monotonic() < give_up, f"did not happen; last seen: {seen}"
            await asyncio.sleep(0.01)

    # --- the stations -------------------------------------------------------------------------------------------------

    async def connect(
        self,
        station_id: str = "CS1",
        version: str = "ocpp2.0.1",
        *more: str,
        password: str | None = PASSWORD,
        boot: bool = True,
        profile: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> Station:
        """A connected station, by default booted and accepted. ``more``: further subprotocols it offers.

        ``profile``: the security profile whose port it comes to; ``tls``: what it brings to the ports 2 and 3.
        """
        scheme = "ws" if profile == 1 else "wss"
        url = f"{scheme}://127.0.0.1:{self.app.ocpp.ports[profile]}{self.app.settings.ocpp.path}/{station_id}"
        socket = await self._lines.enter_async_context(
            connect(
                url,
                ssl=tls,
                subprotocols=[Subprotocol(v) for v in (version, *more)],
                additional_headers={"Authorization": basic(station_id, password)} if password else None,
                compression=None,
                max_size=None,
                open_timeout=OPEN_S,
                logger=_SILENT,
                proxy=None,
            )
        )
        station = Station(socket, station_id)
        if boot:
            answer = await self.ask(station, "BootNotification", boot_payload(version))
            assert answer["status"] == "Accepted"
        return station

    async def ask(self, station: Station, action: str, payload: dict[str, Any]) -> Any:
        """A station's CALL; the payload of its CALLRESULT, judged by the `ocpp` package's own schema."""
        answer = await station.ask(action, payload)
        assert answer[0] == 3, f"{action} was refused: {answer}"
        assert_valid_answer(station.version, action, answer[2])
        return answer[2]

    async def expect(self, station: Station, action: str) -> list[Any]:
        """The system's next CALL, which must be ``action`` and valid."""
        call = await station.next_call()
        assert call[2] == action, f"{call[2]} came instead of {action}: {call[3]}"
        assert_valid_call(station.version, action, call[3])
        return call

    async def close(self) -> None:
        """Hang up all stations."""
        await self._lines.aclose()


def boot_payload(version: str) -> dict[str, Any]:
    """An ordinary BootNotification."""
    if version == "ocpp1.6":
        return {"chargePointVendor": "Vendor", "chargePointModel": "Model", "firmwareVersion": "1.0"}
    return {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Vendor", "model": "Model", "serialNumber": "SN-1", "firmwareVersion": "1.0"},
    }


def stamp(at: datetime | None = None) -> str:
    """A time as stations write it; now if none is given."""
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextlib.asynccontextmanager
async def bench(database_url: str, *, clock: Clock | None = None, **overrides: Any) -> AsyncIterator[Bench]:
    """A running system with station CS1 (three EVSEs) and RFID tokens; ``overrides`` are settings, merged in."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "ocpp": {"host": "127.0.0.1", "port": 0, "messages_per_s": 10_000, "configure_stations": False},
        "http": {"host": "127.0.0.1", "port": 0, "public_url": "http://127.0.0.1:1"},
        "tariffs": [{"tariff_id": "T", "hold": "300", "per_kwh": "10", "vat_percent": "25"}],
        "stations": [
            {
                "station_id": "CS1",
                "password": PASSWORD,
                "evses": [{"evse_id": n, "tariff_id": "T"} for n in (1, 2, 3)],
            }
        ],
        "id_tokens": [
            {"id_token": "GOOD"},
            {"id_token": "GOOD2"},
            {"id_token": "BLOCKED", "status": "Blocked"},
            {"id_token": "EXPIRED", "expires_at": "2020-01-01T00:00:00+00:00"},
        ],
    }
    for section, value in overrides.items():
        values[section] = values.get(section, {}) | value if isinstance(value, dict) else value
    with tempfile.TemporaryDirectory(prefix="tapvolt-files-") as folder:
        values["files"] = {"folder": folder} | values.get("files", {})
        async with running(load_settings(None, **values), clock=clock) as app, ClientSession() as http:
            _, token = await create_token(app.engine, "test", Role.ADMIN, datetime.now(UTC))
            made = Bench(app, http, token)
            try:
                yield made
            finally:
                await made.close()
