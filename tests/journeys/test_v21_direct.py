"""OCPP 2.1, use cases C18–C23: a card at the station's own terminal, which also collects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientSession
from sqlalchemy import select

from billing.payment import Payment
from billing.receipt import Buyer
from billing.receipt_text import render_text
from csms.ocpp.dialect import stamp
from sessions.clock import ManualClock
from sessions.session import Origin
from sessions.tables import Charging
from storage import payment_schema, schema
from storage.engine import reading
from tests.journeys.stage import Stage, stage
from tests.journeys.station_21 import Station21, station_21

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOKEN = {
    "idToken": "Psp-Ref-77",
    "type": "DirectPayment",
    "additionalInfo": [{"type": "PaymentBrand", "additionalIdToken": "Visa"}],
}
COMPANY = {
    "name": "Fjord AS",
    "address1": "Havnegata 1",
    "city": "Bergen",
    "postalCode": "5003",
    "country": "Norway",
}


class Direct:
    """A stage with one 2.1 station whose own terminal has authorised a payment. 10.00 NOK/kWh: one øre per Wh."""

    def __init__(self, on: Stage, station: Station21, clock: ManualClock) -> None:
        self.on, self.station, self.clock = on, station, clock

    async def start(self, **info: Any) -> Any:
        """Started at register 1000."""
        return await self.station.event("Started", "Authorized", wh=1000, idToken=TOKEN, info=info)

    async def end(self, wh: int = 3500) -> Any:
        """Ended ten minutes later: by default 25.00 NOK."""
        await self.clock.advance(600)
        return await self.station.event("Ended", "EVDeparted", wh=wh)

    async def settle(self, amount: float, status: str = "Settled", **more: Any) -> Any:
        """NotifySettlement of the payment."""
        payload = {
            "pspRef": "Psp-Ref-77",
            "transactionId": "TX-1",
            "status": status,
            "settlementAmount": amount,
            "settlementTime": stamp(NOON),
        }
        return await self.station.ask("NotifySettlement", payload | more)

    async def accounts(self) -> dict[str, int]:
        """What stands on each account; all entries together are nothing."""
        sums: dict[str, int] = {}
        async with reading(self.on.app.engine) as connection:
            for row in await connection.execute(select(schema.ledger.c.account, schema.ledger.c.amount_minor)):
                sums[row.account] = sums.get(row.account, 0) + row.amount_minor
        assert sum(sums.values()) == 0
        return sums

    async def kept(self) -> list[Any]:
        """The settlements that were told."""
        async with reading(self.on.app.engine) as connection:
            return list((await connection.execute(select(payment_schema.settlements))).all())


@asynccontextmanager
async def direct(database_url: str) -> AsyncIterator[Direct]:
    """The stage, at noon."""
    clock = ManualClock(NOON)
    async with stage(database_url, evses=1, families=("P66",), clock=clock) as on, station_21(on) as station:
        yield Direct(on, station, clock)


async def test_a_payment_at_the_station_ends_with_our_receipt(database_url: str) -> None:
    async with direct(database_url) as d:
        limit = {"transactionLimit": {"maxCost": 100.0}}
        assert await d.start(**limit) == {"idTokenInfo": {"status": "Accepted"}}
        session = await d.on.session(lambda s: s.charging is Charging.CHARGING)
        assert (session.origin, session.payment, session.hold_minor) == (Origin.DIRECT, Payment.AT_STATION, 10_000)
        limit = {"transactionLimit": {"maxCost": 150.0}}  # C23: the terminal was asked for more
        await d.station.event("Updated", "LimitSet", info=limit)
        assert (await d.on.sessions())[0].hold_minor == 15_000
        assert await d.end() == {"totalCost": 25.0}
        assert (await d.on.sessions())[0].open

        answer = await d.settle(25.0, vatCompany=COMPANY, vatNumber="NO987654325MVA")
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert (session.payment, session.captured_minor, session.flags) == (Payment.CAPTURED, 2_500, ())
        (receipt,) = await d.on.receipts()
        assert answer == {"receiptUrl": receipt.url, "receiptId": receipt.number} != {}
        assert (receipt.charged_minor, receipt.held_minor, receipt.collected_at_station) == (2_500, 0, True)
        assert receipt.payment is not None
        assert (receipt.payment.psp_reference, receipt.payment.brand) == ("Psp-Ref-77", "Visa")
        assert receipt.buyer == Buyer(
            name="Fjord AS", address=("Havnegata 1", "5003 Bergen"), country="Norway", vat_number="NO987654325MVA"
        )
        words = render_text(receipt, "en")
        assert "Fjord AS" in words
        assert "You paid NOK 25.00 at the charging station's own" in words
        async with ClientSession() as http, http.get(receipt.url) as page:
            assert page.status == 200
        assert await d.accounts() == {"station_acquirer": 2_500, "revenue": -2_000, "vat_payable": -500}

        assert await d.settle(25.0, vatCompany=COMPANY, vatNumber="NO987654325MVA") == answer  # it did not hear us
        assert len(await d.on.receipts()) == len(await d.kept()) == 1
        assert await d.accounts() == {"station_acquirer": 2_500, "revenue": -2_000, "vat_payable": -500}
        (kept,) = await d.kept()
        assert (kept.session_id, kept.amount, kept.status) == (session.session_id, "25.0", "Settled")


async def test_the_settlement_may_come_before_the_end(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        assert await d.settle(25.0) == {}
        assert await d.accounts() == {}
        await d.end()
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert session.payment is Payment.CAPTURED
        assert len(await d.on.receipts()) == 1
        answer = await d.settle(25.0)  # told again, it is answered with the receipt
        assert answer["receiptId"] == "1"


async def test_a_car_first_and_then_the_card(database_url: str) -> None:
    """TxStartPoint EVConnected: the payment comes with a later event."""
    async with direct(database_url) as d:
        await d.station.event("Started", "CablePluggedIn", wh=1000)
        assert await d.on.sessions() == []
        await d.station.event("Updated", "Authorized", wh=1000, idToken=TOKEN)
        session = await d.on.session(lambda s: s.charging is Charging.CHARGING)
        assert (session.origin, session.authorisation.brand) == (Origin.DIRECT, "Visa")
        await d.end()
        assert (await d.settle(25.0))["receiptId"] == "1"


@pytest.mark.parametrize(
    ("amount", "flags", "books", "receipt"),
    [
        (
            20.0,  # it authorised no more: the rest is lost
            ("settlement-differs",),
            {
                "station_acquirer": 2_000,
                "revenue": -1_600,
                "vat_payable": -400,
                "written_off": 500,
                "written_off_contra": -500,
            },
            True,
        ),
        (26.0, ("settlement-differs",), {"station_acquirer": 2_600, "suspense": -2_600}, False),
        (0, ("settlement-refused",), {"written_off": 2_500, "written_off_contra": -2_500}, False),
    ],
)
async def test_another_amount_than_ours_is_flagged(
    database_url: str, amount: float, flags: tuple[str, ...], books: dict[str, int], receipt: bool
) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end()
        answer = await d.settle(amount)
        assert bool(answer) is receipt
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert session.flags == flags
        assert await d.accounts() == books
        assert len(await d.on.receipts()) == receipt


async def test_a_second_other_settlement_changes_nothing(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end()
        answer = await d.settle(25.0)
        books = await d.accounts()
        assert await d.settle(12.0) == answer
        assert await d.settle(0, "Canceled") == answer
        (session,) = await d.on.sessions()
        assert session.flags == ("second-settlement-differs",)
        assert await d.accounts() == books
        assert len(await d.kept()) == 3


async def test_a_failed_settlement_may_succeed_later(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end()
        assert await d.settle(25.0, "Failed", statusInfo="no line") == {}
        assert (await d.on.sessions())[0].payment is Payment.AT_STATION
        assert (await d.settle(25.0))["receiptId"] == "1"
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert session.flags == ("settlement-failed",)


async def test_a_rejected_settlement_is_written_off_and_money_after_it_waits(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end()
        assert await d.settle(25.0, "Rejected") == {}
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert (session.payment, session.flags) == (Payment.WRITTEN_OFF, ("settlement-refused",))
        assert (await d.settle(25.0))["receiptId"] == "1"  # the driver has paid; whose money it is, an operator decides
        (session,) = await d.on.sessions()
        assert session.flags == ("settlement-refused", "captured-after-write-off")
        assert (await d.accounts())["suspense"] == -2_500


async def test_a_settlement_that_never_comes_is_written_off(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end()
        await d.clock.advance(48 * 3600 + 1)
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert session.flags == ("settlement-missing", "settlement-refused")
        assert await d.accounts() == {"written_off": 2_500, "written_off_contra": -2_500}


async def test_nothing_delivered_and_cancelled_is_nothing(database_url: str) -> None:
    async with direct(database_url) as d:
        await d.start()
        await d.end(wh=1000)
        assert await d.settle(0, "Canceled") == {}
        session = await d.on.session(lambda s: s.closed_at is not None)
        assert (session.payment, session.flags) == (Payment.RELEASED, ())
        assert await d.accounts() == {}


async def test_a_payment_nobody_knows_is_kept_and_flagged(database_url: str) -> None:
    async with direct(database_url) as d:
        assert await d.settle(25.0, transactionId="TX-404") == {}
        (kept,) = await d.kept()
        assert (kept.session_id, kept.transaction_id, Decimal(kept.amount)) == (None, "TX-404", Decimal(25))
        assert "settlement-unknown" in await d.on.findings()
        assert await d.accounts() == {}


async def test_a_payment_given_up_before_any_transaction_is_only_kept(database_url: str) -> None:
    """C19."""
    async with direct(database_url) as d:
        payload = {"pspRef": "P", "status": "Canceled", "settlementAmount": 0, "settlementTime": stamp(NOON)}
        assert await d.station.ask("NotifySettlement", payload) == {}
        assert len(await d.kept()) == 1
        assert "settlement-unknown" not in await d.on.findings()


async def test_one_payment_pays_for_one_transaction(database_url: str) -> None:
    async with direct(database_url) as d:
        authorize = {"idToken": {"idToken": "psp-ref-77", "type": "DirectPayment"}}
        assert await d.station.ask("Authorize", authorize) == {"idTokenInfo": {"status": "Accepted"}}
        await d.start()
        assert await d.station.ask("Authorize", authorize) == {"idTokenInfo": {"status": "Accepted"}}
        await d.end()
        assert await d.station.ask("Authorize", authorize) == {"idTokenInfo": {"status": "Invalid"}}
        answer = await d.station.event("Started", "Authorized", wh=3500, idToken=TOKEN, info={"transactionId": "TX-2"})
        assert answer["idTokenInfo"] == {"status": "Invalid"}
        call = await d.station.expect("RequestStopTransaction")
        await d.station.answer(call, {"status": "Accepted"})
        assert [s.origin for s in await d.on.sessions()] == [Origin.DIRECT, Origin.UNAUTHORISED]


async def test_a_settlement_of_our_own_hold_is_flagged(database_url: str) -> None:
    """C24: the terminal stands alone, so the station has nothing to settle."""
    async with direct(database_url) as d:
        await d.on.tap("T1")
        call = await d.station.expect("RequestStartTransaction")
        await d.station.answer(call, {"status": "Accepted"})
        await d.station.event("Started", "RemoteStart", wh=0, idToken=call[3]["idToken"])
        assert await d.settle(25.0, pspRef=call[3]["idToken"]["idToken"]) == {}
        session = await d.on.session(lambda s: bool(s.flags))
        assert session.flags == ("settlement-unexpected",)
