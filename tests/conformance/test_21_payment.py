"""OCPP 2.1 C18–C25 from outside: settlements and VAT numbers. The whole story is in tests/journeys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

AT = "2026-11-23T12:00:00Z"
TOKEN = {"idToken": "PSP-1", "type": "DirectPayment"}


async def event(bench: Bench, station: Station, kind: str, number: int, **more: Any) -> Any:
    """A TransactionEvent; nothing is delivered."""
    payload = {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": number,
        "transactionInfo": {"transactionId": "TX-1"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": stamp(), "sampledValue": [{"value": 1000}]}],
        **more,
    }
    return await bench.ask(station, "TransactionEvent", payload)


def settled(amount: float, status: str = "Settled", **more: Any) -> dict[str, Any]:
    """NotifySettlement."""
    told = {"pspRef": "PSP-1", "status": status, "settlementAmount": amount, "settlementTime": AT}
    return {**told, "transactionId": "TX-1", **more}


async def test_C18_C20_a_payment_that_ends_with_nothing_to_pay(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    assert await event(bench, station, "Started", 0, idToken=TOKEN) == {"idTokenInfo": {"status": "Accepted"}}
    (session,) = (await bench.api("GET", "/sessions"))["items"]
    assert (session["origin"], session["payment"]) == ("direct", "at_station")
    await event(bench, station, "Ended", 1)
    assert await bench.ask(station, "NotifySettlement", settled(0, "Canceled", statusInfo="nothing used")) == {}
    (session,) = (await bench.api("GET", "/sessions"))["items"]
    assert (session["payment"], session["open"], session["flags"]) == ("released", False, [])
    (kept,) = (await bench.api("GET", "/stations/CS1/settlements"))["items"]
    assert (kept["session_id"], kept["status"], kept["status_info"]) == (
        session["session_id"],
        "Canceled",
        "nothing used",
    )


async def test_C21_what_no_session_knows_is_shown_and_found(bench: Bench) -> None:
    station = await bench.connect(version="ocpp2.1")
    company = {"name": "Fjord AS", "address1": "Havnegata 1", "city": "Bergen", "country": "NO"}
    for _ in range(2):
        answer = await bench.ask(station, "NotifySettlement", settled(12.5, vatCompany=company, receiptId="R-1"))
        assert answer == {}
    (kept,) = (await bench.api("GET", "/stations/CS1/settlements?psp_ref=PSP-1&transaction_id=TX-1"))["items"]
    assert (kept["session_id"], float(kept["amount"]), kept["receipt_id"]) == (None, 12.5, "R-1")
    assert kept["buyer"]["name"] == "Fjord AS"
    assert (await bench.api("GET", "/stations/CS1/settlements?psp_ref=OTHER"))["items"] == []
    (found,) = (await bench.api("GET", "/findings"))["items"]
    assert found["code"] == "settlement-unknown"


@pytest.mark.parametrize(
    "broken",
    [{"status": "Perhaps"}, {"settlementAmount": "12"}, {"pspRef": "x" * 256}, {"pspRef": ""}, {"colour": "red"}],
)
async def test_C21_a_broken_settlement_is_refused(bench: Bench, broken: dict[str, Any]) -> None:
    station = await bench.connect(version="ocpp2.1")
    answer = await station.ask("NotifySettlement", settled(1) | broken)
    assert answer[0] == 4
    assert (await bench.api("GET", "/stations/CS1/settlements"))["items"] == []


@pytest.mark.parametrize(
    ("number", "accepted"),
    [
        ("NO987654325MVA", True),
        ("no 987.654.325", True),
        ("DE123456789", True),
        ("CHE-123.456.788 MWST", True),
        ("GB123456789", True),
        ("NO98765432", False),
        ("DE12345678X", False),
        ("XX123456789", False),
        ("", False),
    ],
)
async def test_a_vat_number_is_judged_by_its_form_and_the_answer_says_so(
    bench: Bench, number: str, accepted: bool
) -> None:
    station = await bench.connect(version="ocpp2.1")
    answer = await bench.ask(station, "VatNumberValidation", {"vatNumber": number, "evseId": 2})
    assert (answer["vatNumber"], answer["evseId"]) == (number, 2)
    assert answer["status"] == ("Accepted" if accepted else "Rejected")
    assert answer["statusInfo"]["reasonCode"] == ("FormatOnly" if accepted else "InvalidFormat")
    assert "company" not in answer
    (kept,) = (await bench.api("GET", "/stations/CS1/vat-checks"))["items"]
    assert (kept["vat_number"], kept["accepted"], kept["evse_id"]) == (number, accepted, 2)
