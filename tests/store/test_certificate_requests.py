"""A station's certificate from its request to its renewal, and the authority's keys, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.nouns import keepers
from csms.ocpp.certificate_calls import delivery_call, renewal_call
from csms.stations.authority import Usage
from csms.stations.authority_store import AuthoritySettings, ensure_authority, load_authority
from csms.stations.calls import CallEnded, CallRequested, CallState, CallStation
from csms.stations.certificate import CertificateUnusable
from csms.stations.certificate_requests import (
    CertificateRequested,
    RenewalDoer,
    RenewCertificate,
    SignCertificate,
    SigningDoer,
)
from sessions.clock import ManualClock
from sessions.commands import Command
from sessions.facts import StationConnected
from sessions.service import Dispatched, Service
from sessions.session import Policy
from storage import certificate_schema as t
from storage import fleet_schema, schema
from storage.engine import reading, writing
from tests.pki import OPERATOR, ec_key, name, signing_request
from tests.unit.sessions.examples import T0

SETTINGS = AuthoritySettings(passphrase="a-passphrase-of-tests", organisation=OPERATOR, valid_days=90, renew_days=30)


class Office:
    """The service with the authority's doers; commands wait in a queue until a test carries them out."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = ManualClock(T0)
        self.service = Service(
            engine, self.clock, Policy(), node="n", issuer_id="I1", public_url="https://x.example", keepers=keepers()
        )
        self.service.on_commands = self._ready
        self.ready: asyncio.Queue[Command] = asyncio.Queue()
        self.signing = SigningDoer(self.service, engine, SETTINGS, delivery_call, self.clock.now)
        self.renewal = RenewalDoer(self.service, engine, renewal_call, self.clock.now)

    def _ready(self, commands: Sequence[Dispatched], _: datetime | None) -> None:
        for one in commands:
            self.ready.put_nowait(one.command)

    async def ask(self, n: int = 1) -> CallStation:
        """A station's request, signed; the call that takes it there."""
        wanted = CertificateRequested(
            key=f"requested:{n}",
            at=self.clock.now(),
            station_id="CS1",
            request_id=f"csr_{n}",
            usage=Usage.STATION,
            csr=signing_request(ec_key(), name("CS1")),
        )
        await self.service.submit(wanted)
        command = await self.ready.get()
        assert isinstance(command, SignCertificate)
        await self.signing(command, Dispatched(command, 1, T0))
        call = await self.ready.get()
        assert isinstance(call, CallStation)
        return call

    async def end(self, call: CallStation, state: CallState, response: dict[str, Any] | None = None) -> None:
        await self.service.complete(
            call.key,
            CallEnded(
                key=f"{call.key}:ended",
                at=T0,
                station_id="CS1",
                command_id=call.command_id,
                state=state,
                response=response,
            ),
        )

    async def rows(self, table: Any) -> list[Any]:
        async with reading(self.engine) as connection:
            return list((await connection.execute(select(table))).all())

    async def states(self) -> dict[str, str]:
        return {row.request_id: row.state for row in await self.rows(t.certificate_requests)}

    async def waiting(self, kind: str) -> list[Any]:
        return [row for row in await self.rows(schema.outbox) if row.kind == kind and row.done_at is None]


@pytest_asyncio.fixture(name="office")
async def opened(engine: AsyncEngine) -> AsyncIterator[Office]:
    await ensure_authority(engine, SETTINGS, T0)
    async with writing(engine) as connection:
        row = {"station_id": "CS1", "admission": "accepted", "connected": True, "version": "ocpp2.0.1"}
        await connection.execute(schema.stations.insert().values(row))
    made = Office(engine)
    await made.service.start()
    yield made
    await made.service.stop()


async def test_an_installed_certificate_is_renewed_in_time(office: Office) -> None:
    """A03: asked once a day from 30 days before its end, until a newer one is installed."""
    await office.end(await office.ask(), CallState.ACCEPTED, {"status": "Accepted"})
    assert await office.states() == {"csr_1": "installed"}
    (waiting,) = await office.waiting("RenewCertificate")
    assert waiting.due_at == T0 + timedelta(days=60)
    renew = RenewCertificate(key="renew:csr_1", station_id="CS1", request_id="csr_1")
    for day in (60, 61):
        await office.clock.advance((T0 + timedelta(days=day) - office.clock.now()).total_seconds())
        await office.renewal(renew, Dispatched(renew, 1, T0))
        call = await office.ready.get()
        assert isinstance(call, CallStation)
        assert (call.action, call.payload) == ("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
        (waiting,) = await office.waiting("RenewCertificate")
        assert waiting.due_at == T0 + timedelta(days=day + 1)
    await office.end(await office.ask(2), CallState.ACCEPTED, {"status": "Accepted"})
    await office.renewal(renew, Dispatched(renew, 1, T0))
    (waiting,) = await office.waiting("RenewCertificate")
    assert waiting.command_key == "renew:csr_2"


@pytest.mark.parametrize(
    ("state", "response", "becomes"),
    [
        (CallState.OFFLINE, None, "undelivered"),
        (CallState.TIMED_OUT, None, "undelivered"),
        (CallState.REFUSED, None, "undelivered"),  # a CALLERROR: it was not looked at
        (CallState.REFUSED, {"status": "Rejected"}, "rejected"),
    ],
)
async def test_what_becomes_of_a_delivery(office: Office, state: CallState, response: Any, becomes: str) -> None:
    await office.end(await office.ask(), state, response)
    assert await office.states() == {"csr_1": becomes}
    assert not await office.waiting("RenewCertificate")


async def test_a_delivery_is_tried_again_when_the_station_is_back_and_not_for_ever(office: Office) -> None:
    call = await office.ask()
    for n in range(10):
        await office.end(call, CallState.TIMED_OUT)
        await office.service.submit(
            StationConnected(key=f"connected:{n}", at=T0, station_id="CS1", version="ocpp2.0.1")
        )
        if office.ready.empty():
            break
        again = office.ready.get_nowait()
        assert isinstance(again, CallStation)
        assert (again.action, again.payload) == (call.action, call.payload)
        call = again
    calls = [row for row in await office.rows(fleet_schema.station_calls) if row.action == "CertificateSigned"]
    assert len(calls) == 5
    assert await office.states() == {"csr_1": "undelivered"}


async def test_an_older_answer_does_not_settle_a_newer_request(office: Office) -> None:
    first, second = await office.ask(1), await office.ask(2)
    await office.end(first, CallState.ACCEPTED, {"status": "Accepted"})
    assert await office.states() == {"csr_1": "superseded", "csr_2": "sent"}
    await office.end(second, CallState.ACCEPTED, {"status": "Accepted"})
    assert await office.states() == {"csr_1": "superseded", "csr_2": "installed"}


async def test_signing_twice_delivers_once(office: Office) -> None:
    """The process died after signing, and the command is taken up again."""
    await office.ask()
    again = SignCertificate(key="sign:csr_1", station_id="CS1", request_id="csr_1")
    await office.signing(again, Dispatched(again, 2, T0))
    assert office.ready.empty()
    assert len([row for row in await office.rows(schema.journal) if row.kind == CallRequested.__name__]) == 0


async def test_the_authority_is_made_once_and_its_keys_are_shut(engine: AsyncEngine) -> None:
    assert await load_authority(engine) is None
    first, second = await asyncio.gather(ensure_authority(engine, SETTINGS, T0), ensure_authority(engine, SETTINGS, T0))
    assert first == second == await load_authority(engine)
    async with reading(engine) as connection:
        (row,) = (await connection.execute(select(t.authorities))).all()
    assert "BEGIN PRIVATE KEY" not in str(row)
    wrong = AuthoritySettings(passphrase="another-passphrase", organisation=OPERATOR)
    with pytest.raises(CertificateUnusable, match="the passphrase is not the one it has"):
        await ensure_authority(engine, wrong, T0)
