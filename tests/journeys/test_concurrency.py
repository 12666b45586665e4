"""Things that happen at once, in the whole system (bar 3): each charge has one course, one bill, and frees its EVSE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.bench import Bench, bench, stamp
from tests.wire.station import Station

ACCEPTED = {"status": "Accepted"}
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
each_version = pytest.mark.parametrize("version", VERSIONS)


@pytest_asyncio.fixture(name="on")
async def running_bench(database_url: str) -> AsyncIterator[Bench]:
    """The bench on each database."""
    async with bench(database_url) as made:
        yield made


async def start(on: Bench, evse_id: int = 1) -> dict[str, Any]:
    """An operator starts a charge."""
    opened: dict[str, Any] = await on.api("POST", "/stations/CS1/sessions", {"evse_id": evse_id}, status=201)
    return opened


async def until(on: Bench, session: dict[str, Any], *charging: str) -> dict[str, Any]:
    """The session, once its charge is in one of the states."""
    shown: dict[str, Any] = await on.eventually(
        lambda: on.api("GET", f"/sessions/{session['session_id']}"), lambda s: s["charging"] in charging
    )
    return shown


class Transaction:
    """The transaction that a remote start leads to, as the station tells it; the register begins at 1000."""

    def __init__(self, station: Station, call: list[Any], transaction_id: str = "tx-1") -> None:
        self.station = station
        asked = call[3]
        self.evse_id = asked.get("connectorId", asked.get("evseId"))
        self._old = station.version == "ocpp1.6"
        self._asked = asked
        self.transaction_id: Any = transaction_id
        at = stamp()
        if self._old:
            self.began: tuple[str, dict[str, Any]] = (
                "StartTransaction",
                {"connectorId": self.evse_id, "idTag": asked["idTag"], "meterStart": 1000, "timestamp": at},
            )
        else:
            self.began = ("TransactionEvent", self._event("Started", 0, 1000, at))

    def _event(self, kind: str, seq_no: int, wh: int, at: str) -> dict[str, Any]:
        return {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "RemoteStart",
            "seqNo": seq_no,
            "transactionInfo": {
                "transactionId": self.transaction_id,
                "remoteStartId": self._asked["remoteStartId"],
            },
            "idToken": self._asked["idToken"],
            "evse": {"id": self.evse_id},
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": wh}]}],
        }

    async def begin(self, station: Station | None = None) -> None:
        answer = await (station or self.station).ask(*self.began)
        assert answer[0] == 3
        self.transaction_id = answer[2].get("transactionId", self.transaction_id)

    async def end(self, wh: int, station: Station | None = None) -> None:
        told: tuple[str, dict[str, Any]] = ("TransactionEvent", {})
        if self._old:
            stop = {"transactionId": self.transaction_id, "meterStop": wh, "timestamp": stamp()}
            told = ("StopTransaction", stop)
        else:
            told = ("TransactionEvent", self._event("Ended", 1, wh, stamp()))
        assert (await (station or self.station).ask(*told))[0] == 3


@each_version
async def test_two_connectors_are_started_and_stopped_at_once(on: Bench, version: str) -> None:
    station = await on.connect(version=version)
    sessions = await asyncio.gather(start(on, 1), start(on, 2))
    transactions = []
    for n in range(2):
        call = await station.next_call()
        transactions.append(Transaction(station, call, f"tx-{n}"))
        await station.answer(call, ACCEPTED)
    by_evse = {t.evse_id: t for t in transactions}
    for transaction in transactions:
        await transaction.begin()
    stopped = await asyncio.gather(*(on.api("POST", f"/sessions/{s['session_id']}/stop") for s in sessions))
    assert {s["charging"] for s in stopped} == {"stopping"}
    asked = []
    for _ in range(2):
        call = await station.next_call()
        asked.append(str(call[3]["transactionId"]))
        await station.answer(call, ACCEPTED)
    assert sorted(asked) == sorted(str(t.transaction_id) for t in transactions)
    await by_evse[2].end(1007)
    await by_evse[1].end(1003)
    for session, wh in zip(sessions, (3, 7), strict=True):
        shown = await until(on, session, "ended")
        assert (shown["energy_wh"], shown["flags"], shown["open"]) == (wh, [], False)


@each_version
async def test_two_operators_start_at_one_evse_and_one_does(on: Bench, version: str) -> None:
    station = await on.connect(version=version)

    async def attempt() -> int:
        url = f"http://127.0.0.1:{on.app.http_port}/api/v1/stations/CS1/sessions"
        head = {"Authorization": f"Bearer {on.token}"}
        async with on.http.post(url, json={"evse_id": 1}, headers=head) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*(attempt() for _ in range(5)))) == [201, 409, 409, 409, 409]
    await station.answer(await station.next_call(), ACCEPTED)
    assert await station.calls_so_far() == []


@each_version
async def test_a_charge_that_is_stopped_five_times_at_once_is_stopped_once(on: Bench, version: str) -> None:
    station = await on.connect(version=version)
    session = await start(on)
    call = await station.next_call()
    transaction = Transaction(station, call)
    await station.answer(call, ACCEPTED)
    await transaction.begin()
    path = f"/sessions/{session['session_id']}/stop"
    await asyncio.gather(*(on.api("POST", path) for _ in range(5)))
    await station.answer(await station.next_call(), ACCEPTED)
    assert await station.calls_so_far() == []
    await transaction.end(1001)
    assert (await until(on, session, "ended"))["flags"] == []


@each_version
async def test_a_start_that_is_given_up_as_it_begins_is_stopped_and_free(on: Bench, version: str) -> None:
    """The operator's stop and the station's start cross."""
    station = await on.connect(version=version)
    session = await start(on)
    call = await station.next_call()
    given_up = await on.api("POST", f"/sessions/{session['session_id']}/stop")
    assert given_up["charging"] == "not_started"
    transaction = Transaction(station, call)
    await transaction.begin()
    await station.answer(call, ACCEPTED)
    stop = await station.next_call()
    assert str(stop[3]["transactionId"]) == str(transaction.transaction_id)
    await station.answer(stop, ACCEPTED)
    await transaction.end(1002)
    shown = await until(on, session, "ended")
    assert (shown["unpaid"], shown["cost_minor"], shown["flags"]) == (True, 0, ["late-start"])


@each_version
@pytest.mark.parametrize("late", ["accepted", "error"])
async def test_an_answer_after_its_timeout_changes_nothing(database_url: str, version: str, late: str) -> None:
    """Unknown, then the transaction says that it took effect; the late answer is a finding."""
    async with bench(database_url, ocpp={"call_timeout_s": 0.2}) as on:
        station = await on.connect(version=version)
        session = await start(on)
        call = await station.next_call()
        await until(on, session, "start_unknown")
        if late == "accepted":
            await station.answer(call, ACCEPTED)
        else:
            await station.send(4, call[1], "InternalError", "late", {})
        assert (await station.ask("Heartbeat", {}))[0] == 3
        await until(on, session, "start_unknown")
        transaction = Transaction(station, call)
        await transaction.begin()
        await until(on, session, "charging")
        assert await station.calls_so_far() == []  # it was not asked twice
        await transaction.end(1004)
        assert (await until(on, session, "ended"))["energy_wh"] == 4
        (found,) = (await on.api("GET", "/findings?station_id=CS1"))["items"]
        assert found["code"] == "unexpected-answer"


@each_version
async def test_an_answer_under_a_wrong_id_starts_and_refuses_nothing(on: Bench, version: str) -> None:
    station = await on.connect(version=version)
    session = await start(on)
    call = await station.next_call()
    await station.send(3, "wrong", {"status": "Rejected"})
    await station.send(4, "wrong-too", "InternalError", "", {})
    assert (await station.ask("Heartbeat", {}))[0] == 3
    await until(on, session, "starting")
    await station.answer(call, ACCEPTED)
    await until(on, session, "accepted")


@each_version
async def test_the_transaction_overtakes_the_answer_even_to_its_end(on: Bench, version: str) -> None:
    station = await on.connect(version=version)
    session = await start(on)
    call = await station.next_call()
    transaction = Transaction(station, call)
    await transaction.begin()
    await until(on, session, "charging")
    await transaction.end(1005)
    await until(on, session, "ended")
    await station.answer(call, ACCEPTED)
    assert (await station.ask("Heartbeat", {}))[0] == 3
    shown = await until(on, session, "ended")
    assert (shown["energy_wh"], shown["open"], shown["flags"]) == (5, False, [])


@each_version
async def test_a_station_comes_back_on_a_second_socket_before_it_answers(on: Bench, version: str) -> None:
    """The start was heard on the first, its transaction is told on both, and its end on the second."""
    first = await on.connect(version=version)
    session = await start(on)
    call = await first.next_call()
    transaction = Transaction(first, call)
    await first.send(2, "1", *transaction.began)
    second = await on.connect(version=version, boot=False)
    await first.closed()
    await transaction.begin(second)  # sent again: no answer came on the first
    shown = await until(on, session, "charging")
    assert shown["transaction_id"] == str(transaction.transaction_id)
    await on.eventually(lambda: on.api("GET", "/stations/CS1"), lambda s: s["connected"])
    await on.api("POST", f"/sessions/{session['session_id']}/stop")
    stop = await second.next_call()  # on the line that lives
    await second.answer(stop, ACCEPTED)
    await transaction.end(1006, second)
    shown = await until(on, session, "ended")
    assert (shown["energy_wh"], shown["flags"]) == (6, [])
    assert len((await on.api("GET", "/sessions"))["items"]) == 1
