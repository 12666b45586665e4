"""Sessions over the API: found, looked into, started and stopped; nothing of a card that support need not see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from csms.web.api.access import Role, create_token
from sessions import facts as f
from tests.conformance.bench import Bench, stamp
from tests.wire.station import Station

TAG = {"idToken": "GOOD", "type": "ISO14443"}
PAN = "*" * 12 + "1111"


def event(kind: str, transaction_id: str = "tx-1", *, seq_no: int = 0, wh: int | None = None, **more: Any) -> Any:
    """A TransactionEvent at EVSE 1; ``wh``: the register."""
    made: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stamp(),
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": transaction_id} | more.pop("info", {}),
        "evse": {"id": 1, "connectorId": 1},
    }
    if wh is not None:
        made["meterValue"] = [{"timestamp": stamp(), "sampledValue": [{"value": wh}]}]
    return made | more


async def rfid_charge(bench: Bench, station: Station, transaction_id: str, *, ends: bool = True) -> str:
    """A driver's own charge with a token; its session's id."""
    await bench.ask(station, "TransactionEvent", event("Started", transaction_id, wh=1000, idToken=TAG))
    if ends:
        await bench.ask(station, "TransactionEvent", event("Ended", transaction_id, seq_no=1, wh=1005))
    page = await bench.api("GET", f"/sessions?transaction_id={transaction_id}")
    (found,) = page["items"]
    return str(found["session_id"])


async def test_sessions_are_listed_newest_first_and_found_by_what_they_are(bench: Bench) -> None:
    station = await bench.connect()
    ids = [await rfid_charge(bench, station, f"tx-{n}", ends=n < 3) for n in (1, 2, 3)]
    stranger = event("Started", "tx-4", wh=0, idToken=TAG | {"idToken": "NOBODY"}) | {"evse": {"id": 3}}
    await bench.ask(station, "TransactionEvent", stranger)
    page = await bench.api("GET", "/sessions?limit=2")
    rest = await bench.api("GET", f"/sessions?limit=2&after={page['next']}")
    shown = [*page["items"], *rest["items"]]
    assert [s["session_id"] for s in shown[1:]] == ids[::-1]
    assert rest["next"] is None

    async def found(query: str) -> list[str]:
        items = (await bench.api("GET", f"/sessions?{query}"))["items"]
        return [s["transaction_id"] for s in items]

    assert await found("origin=rfid&open=true") == ["tx-3"]
    assert await found("origin=unauthorised") == await found("needs_review=true") == ["tx-4"]
    assert await found("charging=ended&station_id=CS1&evse_id=1&payment=none") == ["tx-2", "tx-1"]
    assert await found("station_id=CS2") == await found("evse_id=2") == []
    assert await found("until=2020-01-01T00:00:00Z") == await found("since=2100-01-01T00:00:00Z") == []
    assert len(await found("since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z")) == 4
    for wrong in ("since=0001-01-01T00:00:00%2B05:00", "charging=sideways", "evse_id=x", "colour=red"):
        await bench.api("GET", f"/sessions?{wrong}", status=400)


async def test_a_session_tells_its_cost_its_energy_and_what_happened(bench: Bench) -> None:
    station = await bench.connect()
    session_id = await rfid_charge(bench, station, "tx-1", ends=False)
    running = await bench.api("GET", f"/sessions/{session_id}")
    assert (running["charging"], running["cost_final"], running["cost_minor"]) == ("charging", False, 0)
    await bench.ask(station, "TransactionEvent", event("Ended", seq_no=1, wh=1005, info={"stoppedReason": "Remote"}))
    shown = await bench.api("GET", f"/sessions/{session_id}")
    # 10.00 a kWh: 5 Wh are five øre.
    assert (shown["energy_wh"], shown["cost_minor"], shown["cost_final"], shown["currency"]) == (5, 5, True, "NOK")
    assert shown["cost"]["lines"][0]["dimension"] == "ENERGY"
    assert (shown["meter"]["begin_wh"], shown["meter"]["last_wh"]) == ("1000", "1005")
    assert (shown["end_reason"], shown["card"], shown["references"], shown["open"]) == ("Remote", None, None, False)
    assert [entry["kind"] for entry in shown["journal"]] == ["TransactionStarted", "TransactionEnded"]
    assert shown["journal"][0]["details"]["id_token"] == "GOOD"
    page = await bench.api("GET", f"/sessions/{session_id}/journal?limit=1")
    assert [entry["kind"] for entry in page["items"]] == ["TransactionEnded"]
    page = await bench.api("GET", f"/sessions/{session_id}/journal?limit=1&after={page['next']}")
    assert ([entry["kind"] for entry in page["items"]], page["next"]) == (["TransactionStarted"], None)
    for path in ("", "/journal"):
        await bench.api("GET", f"/sessions/nobody{path}", status=404)


async def test_of_a_card_only_its_masked_number_is_shown(bench: Bench) -> None:
    await bench.connect()
    await _card_session(bench)
    shown = await bench.api("GET", "/sessions/S1")
    assert shown["card"] == {"masked_pan": PAN, "brand": "Visa", "entry_mode": "CONTACTLESS"}
    assert shown["references"]["host_reference"] == "HOST-9"
    assert (shown["payment"], shown["held_minor"], shown["hold_asked_minor"]) == ("held", 30_000, 30_000)
    listed = await bench.api("GET", "/sessions")
    journal = await bench.api("GET", "/sessions/S1/journal")
    told = json.dumps([shown, listed, journal])
    assert [entry["kind"] for entry in shown["journal"]][:2] == ["CardPresented", "PaymentHeld"]
    assert PAN in told
    for secret in ("card-reference", "receipt-token", "512345"):
        assert secret not in told


async def _card_session(bench: Bench) -> None:
    """A tap and its hold, as the bridge tells them."""
    from storage import schema as t
    from storage.engine import writing

    async with writing(bench.app.engine) as connection:
        terminal = {"serial": "P1", "family": "P66", "currency": "NOK", "language": "en"}
        await connection.execute(t.terminals.insert().values(terminal))
        place = {"serial": "P1", "station_id": "CS1", "evse_id": 1, "position": 0}
        await connection.execute(t.terminal_evses.insert().values(place))
    now, service = datetime.now(UTC), bench.app.service
    await service.submit(f.ArmOpened(key="a", at=now, serial="P1", arm_id="A1", hold_minor=30_000, currency="NOK"))
    card = f.Card(card_ref="card-reference", masked_pan="512345******1111", aid="A0000000031010", ifd="CONTACTLESS")
    await service.submit(
        f.CardPresented(
            key="card:A1",
            at=now,
            serial="P1",
            arm_id="A1",
            card=card,
            session_id="S1",
            id_token="TAG1",
            remote_start_id=7,
            receipt_token="receipt-token",
        )
    )
    held = {"payment_ref": "PAY-1", "amount_minor": 30_000, "host_reference": "HOST-9"}
    await service.submit(f.PaymentHeld(key="held", at=now, session_id="S1", **held))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
async def test_support_starts_and_stops_a_charge(bench: Bench, version: str) -> None:
    _, bench.token = await create_token(bench.app.engine, "help line", Role.SUPPORT, datetime.now(UTC))
    station = await bench.connect(version=version)
    opened = await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=201)
    assert (opened["origin"], opened["charging"], opened["payment"]) == ("operator", "starting", "none")
    path = f"/sessions/{opened['session_id']}"
    start = await station.next_call()
    token = start[3]["idTag"] if version == "ocpp1.6" else start[3]["idToken"]["idToken"]
    assert token == opened["id_token"]
    await station.answer(start, {"status": "Accepted"})
    await bench.eventually(lambda: bench.api("GET", path), lambda s: s["charging"] == "accepted")
    await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=409)  # it is claimed
    if version == "ocpp1.6":
        begun = {"connectorId": 1, "idTag": token, "meterStart": 0, "timestamp": stamp()}
        number = (await bench.ask(station, "StartTransaction", begun))["transactionId"]
    else:
        info = {"remoteStartId": start[3]["remoteStartId"]}
        await bench.ask(station, "TransactionEvent", event("Started", wh=0, idToken=start[3]["idToken"], info=info))
    assert (await bench.api("GET", path))["charging"] == "charging"
    assert (await bench.api("POST", f"{path}/stop"))["charging"] == "stopping"
    stop = await station.next_call()
    await station.answer(stop, {"status": "Accepted"})
    if version == "ocpp1.6":
        assert (stop[2], stop[3]) == ("RemoteStopTransaction", {"transactionId": number})
        await bench.ask(station, "StopTransaction", {"transactionId": number, "meterStop": 3, "timestamp": stamp()})
    else:
        assert (stop[2], stop[3]) == ("RequestStopTransaction", {"transactionId": "tx-1"})
        await bench.ask(station, "TransactionEvent", event("Ended", seq_no=1, wh=3))
    ended = await bench.api("GET", path)
    assert (ended["charging"], ended["energy_wh"], ended["stop_by"], ended["open"]) == ("ended", 3, "operator", False)
    kinds = {entry["kind"] for entry in ended["journal"]}
    assert {"OperatorStarted", "StartAccepted", "StopRequested"} <= kinds
    await bench.api("POST", f"{path}/stop", status=409)
    await bench.api("POST", "/sessions/nobody/stop", status=404)


async def test_a_drivers_own_token_may_be_used_for_it_and_is_not_spent(bench: Bench) -> None:
    station = await bench.connect()
    body = {"evse_id": 1, "id_token": "GOOD", "id_token_type": "ISO15693"}
    opened = await bench.api("POST", "/stations/CS1/sessions", body, status=201)
    start = await bench.expect(station, "RequestStartTransaction")
    assert start[3]["idToken"] == {"idToken": "GOOD", "type": "ISO15693"}
    await station.answer(start, {"status": "Accepted"})
    # The same driver at another EVSE, by hand: another charge.
    other = event("Started", "tx-other", wh=0, idToken=TAG) | {"evse": {"id": 2, "connectorId": 1}}
    await bench.ask(station, "TransactionEvent", other)
    info = {"remoteStartId": start[3]["remoteStartId"]}
    await bench.ask(station, "TransactionEvent", event("Started", "tx-mine", wh=0, idToken=TAG, info=info))
    charges = {s["transaction_id"]: s for s in (await bench.api("GET", "/sessions"))["items"]}
    assert charges["tx-mine"]["session_id"] == opened["session_id"]
    assert (charges["tx-other"]["origin"], charges["tx-other"]["flags"]) == ("rfid", [])


async def test_what_cannot_be_started_says_why(bench: Bench) -> None:
    await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=409)  # never connected
    await bench.connect(version="ocpp1.6")
    for body in ({"evse_id": 0}, {}, {"evse_id": 1, "id_token": ""}, {"evse_id": 1, "id_token": "A" * 21}):
        await bench.api("POST", "/stations/CS1/sessions", body, status=422)
    await bench.api("POST", "/stations/CS9/sessions", {"evse_id": 1}, status=404)
    assert (await bench.api("GET", "/sessions"))["items"] == []
    _, bench.token = await create_token(bench.app.engine, "screen", Role.READ_ONLY, datetime.now(UTC))
    await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=403)


async def test_a_charge_that_has_not_begun_is_given_up(bench: Bench) -> None:
    station = await bench.connect()
    opened = await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=201)
    await station.answer(await bench.expect(station, "RequestStartTransaction"), {"status": "Accepted"})
    path = f"/sessions/{opened['session_id']}"
    await bench.eventually(lambda: bench.api("GET", path), lambda s: s["charging"] == "accepted")
    stopped = await bench.api("POST", f"{path}/stop")
    assert (stopped["charging"], stopped["end_reason"], stopped["open"]) == (
        "not_started",
        "cancelled by operator",
        False,
    )
    # The EVSE is free again.
    await bench.api("POST", "/stations/CS1/sessions", {"evse_id": 1}, status=201)


async def test_signed_records_are_shown_as_they_came(bench: Bench) -> None:
    station = await bench.connect(version="ocpp1.6")
    begun = {"connectorId": 1, "idTag": "GOOD", "meterStart": 0, "timestamp": stamp()}
    number = (await bench.ask(station, "StartTransaction", begun))["transactionId"]
    record = '{"signedMeterData": "b25l", "signingMethod":"ECDSA",  "encodingMethod":"OCMF","publicKey":"a2V5"}'
    sampled = [{"value": record, "format": "SignedData", "context": "Transaction.End"}]
    stop = {"transactionId": number, "meterStop": 5, "timestamp": stamp()}
    await bench.ask(
        station, "StopTransaction", stop | {"transactionData": [{"timestamp": stamp(), "sampledValue": sampled}]}
    )
    (listed,) = (await bench.api("GET", "/sessions"))["items"]
    shown = await bench.api("GET", f"/sessions/{listed['session_id']}")
    assert shown["meter"]["signed"] == [record]
    assert Decimal(shown["meter"]["last_wh"]) == 5
