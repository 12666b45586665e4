"""The Data API against its twin over real HTTP, and against a service that means no good."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from bridge.data_api import DataApi, DataApiCredentials, parse_transaction
from sessions.provider_records import ProviderUnavailableError
from simulators.clock import SimClock
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from tests.unit.simulators.terminal_cloud.data_api_client import KEY, SERIAL, integrator

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Standing(SimClock):
    """A clock that the test sets."""

    def __init__(self) -> None:
        super().__init__(1.0, START)
        self.shown = START

    def now(self) -> datetime:
        return self.shown


def api(url: str, **changes: Any) -> DataApi:
    async def credentials(account_id: str) -> DataApiCredentials | None:
        if account_id:
            return None
        return DataApiCredentials(base_url=f"{url}API", username="u", password="p", domain="d")

    return DataApi(credentials, **changes)


async def test_pages_come_in_order_late_and_with_their_boundary_again() -> None:
    clock = Standing()
    async with TerminalCloud(TerminalCloudConfig(api_key=KEY, clock=clock, ingest_lag_s=30)) as cloud:
        cloud.add_terminal(SERIAL, "P68", "SEK")
        async with integrator(cloud.base_url) as payter:
            ids = []
            for amount in (100, 200, 300, 0):
                clock.shown += timedelta(seconds=0 if amount == 200 else 10)
                await payter.arm(5000)
                await cloud.tap(SERIAL)
                ids.append((await payter.ask("authorize")).body["sessionId"])
                if amount:
                    await payter.ask(f"sessions/{ids[-1]}/commit", commitAmount=amount)
        records = api(cloud.base_url, page_rows=2)
        assert await records.open("prc_1") is None
        reading = await records.open("")
        assert reading is not None
        try:
            assert (await reading.page(START, 0)).count == 0  # nothing has been ingested yet
            clock.shown += timedelta(minutes=1)
            first = await reading.page(START, 0)
            assert {row.committed_minor for row in first.transactions} == {100, 200}  # of one instant
            assert first.newest is not None
            again = await reading.page(first.newest, 0)
            assert again.transactions == first.transactions
            rest = await reading.page(first.newest, 2)
            (row,) = rest.transactions
            assert (row.state, row.committed_minor, row.authorised_minor, row.currency, row.terminal_serial) == (
                "COMMITTED", 300, 5000, "SEK", SERIAL,
            )  # fmt: skip
            assert row.transaction_id == ids[2]
            clock.shown += timedelta(hours=2)  # the token has run out: a new one is asked for
            assert (await reading.page(START, 0)).count == 2
        finally:
            await reading.close()


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def hostile(data: Answer, auth: Answer | None = None) -> AsyncIterator[str]:
    async def log_in(_: web.Request) -> web.StreamResponse:
        return web.json_response({"tokenId": "t0ken", "expiresIn": 60})

    async def log_out(_: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/API/Auth", auth or log_in)
    app.router.add_delete("/API/Auth/{token}", log_out)
    app.router.add_post("/API/Data", data)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def answering(body: Any, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering({"message": "x"}, 500), "500"),
        (answering({}, 401), "401"),
        (answering(b"<html>"), "no rows"),
        (answering({"documents": {}}), "no rows"),
        (answering({"documents": [{}] * 501}), "more rows"),
        (answering({"documents": [{"id": 1}]}), "no row that can be read"),
        (answering(b"[" * 100_000), "no rows"),
        (answering(b" " * (33 * 1024 * 1024)), "did not answer"),
        (answering(b"", 307), "307"),
    ],
    ids=["500", "401 for ever", "a page", "an object", "too many", "no row", "deep", "endless", "elsewhere"],
)
async def test_a_service_that_answers_nonsense_is_said_to_be_unavailable(answer: Answer, reason: str) -> None:
    async with hostile(answer) as url:
        reading = await api(url).open("")
        assert reading is not None
        with pytest.raises(ProviderUnavailableError, match=reason):
            await reading.page(START, 0)
        await reading.close()


@pytest.mark.parametrize("auth", [answering({}, 401), answering({"tokenId": 'a"b'}), answering({"tokenId": "a\nb"})])
async def test_a_login_that_fails_is_said(auth: Answer) -> None:
    async with hostile(answering({"documents": []}), auth) as url:
        with pytest.raises(ProviderUnavailableError):
            await api(url).open("")


async def test_a_service_that_is_not_there_or_never_ends() -> None:
    with pytest.raises(ProviderUnavailableError):
        await api("http://127.0.0.1:9/").open("")

    async def silent(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        await request.content.wait_eof()
        import asyncio

        await asyncio.sleep(60)
        return web.Response()

    async with hostile(silent) as url:
        reading = await api(url, read_s=0.2).open("")
        assert reading is not None
        with pytest.raises(ProviderUnavailableError, match="did not answer"):
            await reading.page(START, 0)
        await reading.close()


GOOD = {"id": "a-1", "currency": "NOK", "ingestTime": "2026-03-01T12:00:00.000Z", "state": "COMMITED"}


@pytest.mark.parametrize(
    ("changes", "readable"),
    [
        ({}, True),
        ({"committedAmount": -1, "serialNumber": None, "commitTimestamp": "soon", "state": 7}, True),
        ({"id": None}, False),
        ({"id": "a b"}, False),
        ({"id": "x" * 65}, False),
        ({"currency": "XXX"}, False),
        ({"currency": 5}, False),
        ({"ingestTime": "never"}, False),
    ],
)
def test_what_a_row_must_have(changes: dict[str, Any], readable: bool) -> None:
    row = parse_transaction(GOOD | changes)
    assert (row is not None) is readable
    if row is not None and "state" not in changes:
        assert row.state == "COMMITTED"  # either spelling
    assert parse_transaction(["no row"]) is None
