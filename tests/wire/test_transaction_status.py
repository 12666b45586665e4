"""What a station says became of a transaction (2.0.1 E14), and what is asked of one that has no words for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from csms.ocpp.options import OcppOptions
from sessions.commands import AskTransactionStatus
from sessions.ports import Offline, Refused, StatusOutcome, TransactionStatus, Unknown
from tests.wire.station import Central, running

ASK = AskTransactionStatus(key="k", station_id="CP1", evse_id=2, transaction_id="tx-1")

SAID: list[tuple[list[Any], StatusOutcome]] = [
    ([3, {"ongoingIndicator": True, "messagesInQueue": False}], TransactionStatus(True, False)),
    ([3, {"ongoingIndicator": False, "messagesInQueue": True}], TransactionStatus(False, True)),
    ([3, {"messagesInQueue": False}], TransactionStatus(None, False)),
    # Not said, or no truth value: nothing may be concluded from it.
    ([3, {}], TransactionStatus(None, None)),
    ([3, {"ongoingIndicator": "false", "messagesInQueue": 0}], TransactionStatus(None, None)),
    ([3, {"ongoingIndicator": [], "messagesInQueue": None}], TransactionStatus(None, None)),
    ([4, "NotSupported", "", {}], Refused("NotSupported")),
]


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize(("answer", "meant"), SAID)
async def test_what_the_answer_means(central: Central, version: str, answer: list[Any], meant: StatusOutcome) -> None:
    station = await central.connect("CP1", version)
    await central.line()
    asked = asyncio.create_task(central.stations.transaction_status(ASK))
    call = await station.next_call()
    assert (call[2], call[3]) == ("GetTransactionStatus", {"transactionId": "tx-1"})
    await station.send(answer[0], call[1], *answer[1:])
    assert await asked == meant


async def test_a_16_station_is_asked_for_its_status_instead(central: Central) -> None:
    station = await central.connect("CP1")
    await central.line()
    asked = asyncio.create_task(central.stations.transaction_status(ASK))
    call = await station.next_call()
    assert (call[2], call[3]) == ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2})
    await station.answer(call, {"status": "NotImplemented"})
    assert isinstance(await asked, Unknown)


async def test_an_id_that_the_version_cannot_say_is_not_asked_about(central: Central) -> None:
    station = await central.connect("CP1", "ocpp2.0.1")
    await central.line()
    assert isinstance(await central.stations.transaction_status(replace(ASK, transaction_id="t" * 40)), Refused)
    assert await station.calls_so_far() == []


async def test_nobody_there_and_no_answer_tell_nothing() -> None:
    async with running(OcppOptions(call_timeout_s=0.05)) as central:
        assert await central.stations.transaction_status(ASK) == Offline()
        await central.connect("CP1", "ocpp2.0.1")
        await central.line()
        assert await central.stations.transaction_status(ASK) == Unknown("no answer")
