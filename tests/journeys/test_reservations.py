"""A reserved EVSE: nobody else's card is taken there, and it is free again when the reservation is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from aiohttp import ClientSession

from csms.web.api.access import Role, create_token
from tests.conformance.bench import Bench, stamp
from tests.journeys.stage import stage


async def test_a_card_is_not_taken_where_somebody_else_has_reserved(database_url: str) -> None:
    settings = {"configure_stations": False}
    async with stage(database_url, evses=1, families=("Apollo",), ocpp=settings) as on, ClientSession() as http:
        _, token = await create_token(on.app.engine, "test", Role.OPERATOR, datetime.now(UTC))
        bench = Bench(on.app, http, token)
        station = await bench.connect("CP", password=None)
        status = {"timestamp": stamp(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
        await bench.ask(station, "StatusNotification", status)

        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        wanted = {"evse_id": 1, "id_token": "FLEET", "expires_at": until}
        asked = asyncio.create_task(bench.api("POST", "/stations/CP/reservations?wait=30", wanted))
        call = await bench.expect(station, "ReserveNow")
        await station.answer(call, {"status": "Accepted"})
        await asked

        await on.tap("T1")
        await on.cloud.wait_for(lambda c: "reserved" in str(c.screen("T1")), timeout_s=30)
        assert await on.sessions() == []

        update = {"reservationId": call[3]["id"], "reservationUpdateStatus": "Removed"}
        await bench.ask(station, "ReservationStatusUpdate", update)
        await on.tap("T1")
        start = await bench.expect(station, "RequestStartTransaction")
        assert start[3]["evseId"] == 1
        await bench.close()
