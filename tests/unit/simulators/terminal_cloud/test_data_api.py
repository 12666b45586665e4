"""The twin of the Data API: tokens, cursor, boundary rows, lag."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.clock import SimClock
from simulators.terminal_cloud import TerminalCloud, TerminalCloudConfig
from tests.unit.simulators.terminal_cloud.data_api_client import KEY, SERIAL, Integrator, integrator

LOGIN = {"username": "u", "password": "p", "domain": "d"}
COMPLETE = {"type": "term", "field": "complete", "matches": "true"}


class Standing(SimClock):
    """A clock that the test sets."""

    def __init__(self) -> None:
        super().__init__(1.0, datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.shown = self.anchor

    def now(self) -> datetime:
        return self.shown


@pytest.fixture
def clock() -> Standing:
    return Standing()


@pytest.fixture
async def cloud(clock: Standing) -> AsyncIterator[TerminalCloud]:
    config = TerminalCloudConfig(api_key=KEY, clock=clock, ingest_lag_s=30)
    async with TerminalCloud(config) as running:
        running.add_terminal(SERIAL, "P68", "SEK")
        yield running


@pytest.fixture
async def payter(cloud: TerminalCloud) -> AsyncIterator[Integrator]:
    async with integrator(cloud.base_url) as speaker:
        yield speaker


async def log_in(payter: Integrator) -> str:
    async with payter.http.post(payter.base_url + "API/Auth", json=LOGIN) as answer:
        assert answer.status == 200
        token: str = (await answer.json())["tokenId"]
        return token


async def ask(
    payter: Integrator, token: str, *filters: dict[str, Any], **more: Any
) -> tuple[int, list[dict[str, Any]]]:
    body = {
        "index": "Transactions",
        "query": "",
        "maxResults": 100,
        "offset": 0,
        "sorts": [{"field": "ingestTime", "asc": True}],
        "filters": list(filters),
        "aggregations": [],
    }
    headers = {"Authorization": f'CURO-TOKEN token="{token}"'}
    async with payter.http.post(payter.base_url + "API/Data", json=body | more, headers=headers) as answer:
        return answer.status, (await answer.json()).get("documents", [])


async def pay(cloud: TerminalCloud, payter: Integrator, amount: int) -> str:
    await payter.arm(5000)
    await cloud.tap(SERIAL)
    session_id: str = (await payter.ask("authorize")).body["sessionId"]
    if amount:
        await payter.ask(f"sessions/{session_id}/commit", commitAmount=amount)
    return session_id


def from_ms(row: dict[str, Any]) -> dict[str, Any]:
    start = int(datetime.fromisoformat(row["ingestTime"]).timestamp() * 1000)
    return {"type": "range", "field": "ingestTime", "from": start}


async def test_rows_come_late_and_change(cloud: TerminalCloud, payter: Integrator, clock: Standing) -> None:
    token = await log_in(payter)
    session_id = await pay(cloud, payter, 0)
    clock.shown += timedelta(seconds=29)
    assert await ask(payter, token) == (200, [])
    clock.shown += timedelta(seconds=1)
    [row] = (await ask(payter, token))[1]
    assert (row["id"], row["complete"], row["state"], row["currency"]) == (session_id, False, "AUTHORIZED", "SEK")
    assert (await ask(payter, token, COMPLETE))[1] == []
    await payter.ask(f"sessions/{session_id}/commit", commitAmount=42)
    clock.shown += timedelta(seconds=30)
    [row] = (await ask(payter, token, COMPLETE))[1]
    assert (row["state"], row["committedAmount"], row["disposition"]) == ("COMMITTED", 42, "APPROVED")
    assert row["ingestTime"] == "2026-03-01T12:01:00.000Z"
    assert "*" in row["extra-TXN-MASKED-PAN"]


async def test_the_cursor_repeats_the_boundary_and_misses_nothing(
    cloud: TerminalCloud, payter: Integrator, clock: Standing
) -> None:
    token = await log_in(payter)
    ids = set()
    for batch in range(3):
        clock.shown += timedelta(seconds=10)
        ids |= {await pay(cloud, payter, 100 + batch) for _ in range(2)}
    clock.shown += timedelta(minutes=5)
    seen: list[str] = []
    cursor: list[dict[str, Any]] = []
    while True:
        _, rows = await ask(payter, token, COMPLETE, *cursor, maxResults=3)
        seen += [row["id"] for row in rows]
        following = [from_ms(rows[-1])]
        if following == cursor:
            break
        cursor = following
    assert set(seen) == ids
    assert len(seen) > len(ids)  # rows of the boundary came again
    _, pages = await ask(payter, token, COMPLETE, maxResults=4, offset=4)
    assert len(pages) == 2


async def test_what_is_stored_offline_is_ingested_once_forwarded(
    cloud: TerminalCloud, payter: Integrator, clock: Standing
) -> None:
    token = await log_in(payter)
    session_id = await pay(cloud, payter, 0)
    await cloud.set_online(SERIAL, False)
    assert (await payter.ask(f"sessions/{session_id}/commit", commitAmount=7)).body["state"] == "COMMITED"
    clock.shown += timedelta(minutes=30)
    assert [row["state"] for row in (await ask(payter, token))[1]] == ["AUTHORIZED"]
    await cloud.set_online(SERIAL, True)
    clock.shown += timedelta(seconds=30)
    assert [row["state"] for row in (await ask(payter, token, COMPLETE))[1]] == ["COMMITTED"]


async def test_tokens_end(payter: Integrator, clock: Standing) -> None:
    assert (await ask(payter, "made-up"))[0] == 401
    token = await log_in(payter)
    clock.shown += timedelta(hours=1)
    assert (await ask(payter, token))[0] == 401
    token = await log_in(payter)
    async with payter.http.delete(payter.base_url + f"API/Auth/{token}") as answer:
        assert answer.status == 204
    assert (await ask(payter, token))[0] == 401


@pytest.mark.parametrize("wrong", [{"password": ""}, {"domain": ""}, {"username": None}])
async def test_a_wrong_login_is_refused(payter: Integrator, wrong: dict[str, Any]) -> None:
    async with payter.http.post(payter.base_url + "API/Auth", json=LOGIN | wrong) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("filters", "more", "status"),
    [
        ([{"type": "range", "field": "ingestTime", "from": 0, "date": True}], {}, 500),
        ([{"type": "range", "field": "ingestTime", "from": "yesterday"}], {}, 400),
        ([{"type": "range", "field": "ingestTime", "from": math.pi}], {}, 400),
        ([{"type": "prefix", "field": "id"}], {}, 400),
        ([{"type": "term", "field": "nothing", "matches": "x"}], {}, 400),
        ([], {"index": "Terminals"}, 400),
        ([], {"query": "state:COMMITTED"}, 400),
        ([], {"maxResults": -1}, 400),
    ],
)
async def test_what_is_not_understood_is_refused(
    cloud: TerminalCloud,
    payter: Integrator,
    clock: Standing,
    filters: list[dict[str, Any]],
    more: dict[str, Any],
    status: int,
) -> None:
    await pay(cloud, payter, 100)
    clock.shown += timedelta(minutes=5)
    assert (await ask(payter, await log_in(payter), *filters, **more))[0] == status
