"""The Data API's twin: tokens, a cursor by ingest time, lag, and rows that come again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.clock import SimClock
from tests.unit.simulators.terminal_cloud.integrator import SERIAL, Integrator, integrator


class HandClock(SimClock):
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def passes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


async def log_in(us: Integrator) -> str:
    credentials = {"username": "u", "password": "p", "domain": "d"}
    status, answer = await us.call("POST", "API/Auth", credentials)
    assert status == 200
    assert answer["expiresIn"] > 0
    return str(answer["tokenId"])


async def rows(us: Integrator, token: str, since: int = 0, **body: Any) -> list[dict[str, Any]]:
    asked = {"index": "Transactions", "query": {"complete": True, "ingestTime": {"from": since}}} | body
    headers = {"Authorization": f'CURO-TOKEN token="{token}"'}
    async with us.http.post(us.cloud.base_url + "API/Data", json=asked, headers=headers) as response:
        answer = await response.json()
        assert response.status == 200, answer
        documents: list[dict[str, Any]] = answer["documents"]
        return documents


async def status_of(us: Integrator, token: str, body: Any) -> int:
    headers = {"Authorization": f'CURO-TOKEN token="{token}"'}
    async with us.http.post(us.cloud.base_url + "API/Data", json=body, headers=headers) as response:
        return response.status


async def test_rows_come_late_in_order_and_the_boundary_row_again() -> None:
    clock = HandClock()
    async with integrator(clock=clock, ingest_lag_s=30) as us:
        token = await log_in(us)
        first, second = await us.payment(card="visa-1"), await us.payment(card="visa-2")
        clock.passes(60)
        assert await rows(us, token) == []  # they are open
        await us.post(f"sessions/{second}/commit", commitAmount=1234)
        clock.passes(10)
        await us.post(f"sessions/{first}/cancel")
        clock.passes(19)
        assert await rows(us, token) == []
        clock.passes(1)
        [row] = await rows(us, token)
        assert (row["id"], row["state"], row["committedAmount"]) == (second, "COMMITTED", 1234)
        assert (row["serialNumber"], row["currency"], row["complete"]) == (SERIAL, "NOK", True)
        assert row["extra-TXN-MASKED-PAN"].count("*") == 6
        assert row["commitTimestamp"] - row["authTimestamp"] == 60_000
        assert row["ingestTime"] == row["commitTimestamp"] + 30_000
        clock.passes(10)
        again, new = await rows(us, token, since=row["ingestTime"])
        assert again == row
        assert (new["id"], new["state"], new["committedAmount"]) == (first, "CANCELLED", None)
        assert await rows(us, token, since=new["ingestTime"]) == [new]
        assert await rows(us, token, since=new["ingestTime"] + 1) == []
        assert await rows(us, token, offset=1, maxResults=1) == [new]
        assert await rows(us, token, maxResults=1) == [again]


async def test_an_open_payment_is_an_incomplete_row_that_is_replaced() -> None:
    clock = HandClock()
    async with integrator(clock=clock) as us:
        token = await log_in(us)
        session_id = await us.payment()
        clock.passes(30)
        [row] = await rows(us, token, query={"complete": False})
        assert (row["id"], row["state"], row["complete"]) == (session_id, "AUTHORIZED", False)
        await us.post(f"sessions/{session_id}/commit", commitAmount=1)
        clock.passes(30)
        [later] = await rows(us, token, query={})
        assert (later["id"], later["complete"]) == (session_id, True)
        assert later["ingestTime"] > row["ingestTime"]


async def test_what_a_terminal_stored_is_not_known_before_it_is_forwarded() -> None:
    clock = HandClock()
    async with integrator(clock=clock) as us:
        token = await log_in(us)
        session_id = await us.payment()
        await us.cloud.set_online(SERIAL, False)
        await us.post(f"sessions/{session_id}/commit", commitAmount=1)
        clock.passes(3000)
        assert await rows(us, token) == []
        await us.cloud.set_online(SERIAL, True)
        clock.passes(30)
        assert [row["id"] for row in await rows(us, token)] == [session_id]


async def test_a_token_ends_by_itself_and_on_request() -> None:
    clock = HandClock()
    asked = {"index": "Transactions"}
    async with integrator(clock=clock) as us:
        assert await status_of(us, "made-up", asked) == 401
        kept, dropped = await log_in(us), await log_in(us)
        assert (await us.call("DELETE", f"API/Auth/{dropped}"))[0] == 204
        assert await status_of(us, dropped, asked) == 401
        assert await status_of(us, kept, asked) == 200
        clock.passes(3600)
        assert await status_of(us, kept, asked) == 401
        assert (await us.call("POST", "API/Auth", {"username": "u"}))[0] == 401


@pytest.mark.parametrize(
    "body",
    [[], {}, {"index": "Other"}, {"index": "Transactions", "offset": "x"}, {"index": "Transactions", "query": 5}],
)
async def test_a_question_that_makes_no_sense_is_400(body: Any) -> None:
    async with integrator() as us:
        assert await status_of(us, await log_in(us), body) == 400
