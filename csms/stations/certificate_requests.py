"""Stations' requests for certificates: signed by the operator's own authority, delivered durably, renewed in time.

OCPP 2.0.1 A02, A03; the 1.6 whitepaper says it alike. A request is answered at once; signing and delivering follow.
What could not be delivered goes out again when the station is back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from csms.stations import calls
from csms.stations.authority import RequestRefused, Usage, sign_request
from csms.stations.authority_store import AuthoritySettings, load_authority
from csms.stations.calls import CallEnded, CallState
from csms.stations.certificate import CertificateUnusable
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationBooted, StationConnected, StationFact
from sessions.service import Dispatched, Service
from storage import certificate_schema as t
from storage import schema
from storage.engine import reading

BY = "certificate authority"
_MOST_DELIVERIES = 5
_RENEW_AGAIN = timedelta(days=1)


class RequestState(StrEnum):
    """requested → refused | sent; sent → installed | rejected | undelivered; undelivered → sent; any → superseded."""

    REQUESTED = "requested"
    REFUSED = "refused"  # by us
    SENT = "sent"
    INSTALLED = "installed"
    REJECTED = "rejected"  # by the station
    UNDELIVERED = "undelivered"  # it goes out again when the station is back
    SUPERSEDED = "superseded"  # by a newer request


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequested(StationFact):
    """A station asked for a certificate, and was told that it will get one."""

    request_id: str
    usage: Usage
    csr: str
    sign_request_id: int | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIssued(StationFact):
    """The request was signed; the call ``command_id`` takes the certificate to the station."""

    request_id: str
    certificate_pem: str
    serial_number: str
    common_name: str
    not_after: datetime
    renew_at: datetime
    action: str
    payload: dict[str, Any]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRefused(StationFact):
    """The request was not signed."""

    request_id: str
    reason: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class SignCertificate(Command):
    """Sign a request."""

    station_id: str
    request_id: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RenewCertificate(Command):
    """Ask the station to ask for a new certificate, once a day until it has one."""

    station_id: str
    request_id: str


def new_request_id() -> str:
    """An id of a request."""
    return f"csr_{secrets.token_hex(12)}"


async def keep_requested(
    connection: AsyncConnection, found: Sequence[CertificateRequested], now: datetime
) -> list[Command]:
    """Write the requests, have them signed; an older one for the same use is settled with that."""
    r = t.certificate_requests.c
    open_states = [RequestState.REQUESTED.value, RequestState.SENT.value, RequestState.UNDELIVERED.value]
    for fact in found:
        older = (r.station_id == fact.station_id, r.usage == fact.usage.value, r.state.in_(open_states))
        await connection.execute(
            update(t.certificate_requests).where(*older).values(state=RequestState.SUPERSEDED.value)
        )
        await connection.execute(
            t.certificate_requests.insert().values(
                request_id=fact.request_id,
                station_id=fact.station_id,
                usage=fact.usage.value,
                csr=fact.csr,
                sign_request_id=fact.sign_request_id,
                state=RequestState.REQUESTED.value,
                requested_at=now,
            )
        )
    return [
        SignCertificate(key=f"sign:{fact.request_id}", station_id=fact.station_id, request_id=fact.request_id)
        for fact in found
    ]


async def keep_refused(
    connection: AsyncConnection, found: Sequence[CertificateRefused], now: datetime
) -> list[Command]:
    """Write why."""
    for fact in found:
        await _set(connection, fact.request_id, state=RequestState.REFUSED.value, reason=fact.reason[:300])
    return []


async def keep_issued(connection: AsyncConnection, found: Sequence[CertificateIssued], now: datetime) -> list[Command]:
    """Write the certificates, and send them."""
    commands: list[Command] = []
    for fact in found:
        await _set(
            connection,
            fact.request_id,
            certificate_pem=fact.certificate_pem,
            serial_number=fact.serial_number[:40],
            common_name=fact.common_name[:64],
            not_after=fact.not_after,
            renew_at=fact.renew_at,
            delivery=orjson.dumps([fact.action, fact.payload]).decode(),
        )
        commands += await _deliver(connection, fact.station_id, [fact.request_id], now)
    return commands


async def keep_ended(connection: AsyncConnection, found: Sequence[CallEnded], now: datetime) -> list[Command]:
    """What became of a delivery: installed, rejected, or to be tried again."""
    r = t.certificate_requests.c
    ended = {fact.command_id: fact for fact in found}
    mine = (r.command_id.in_(ended), r.state == RequestState.SENT.value)
    commands: list[Command] = []
    for row in (await connection.execute(select(t.certificate_requests).where(*mine))).all():
        fact = ended[row.command_id]
        state, reason = RequestState.UNDELIVERED, fact.error_text[:300] or None
        if fact.state is CallState.ACCEPTED:
            state = RequestState.INSTALLED
            commands.append(
                RenewCertificate(
                    key=f"renew:{row.request_id}",
                    station_id=row.station_id,
                    request_id=row.request_id,
                    due_at=row.renew_at,
                )
            )
        elif fact.state is CallState.REFUSED and (fact.response is not None or row.attempts >= _MOST_DELIVERIES):
            state, reason = RequestState.REJECTED, reason or "the station refused the certificate"
        await _set(connection, row.request_id, state=state.value, reason=reason)
    return commands


async def keep_back(
    connection: AsyncConnection, found: Sequence[StationConnected | StationBooted], now: datetime
) -> list[Command]:
    """A station is back: it gets what could not be delivered."""
    r = t.certificate_requests.c
    commands: list[Command] = []
    for station_id in {fact.station_id for fact in found}:
        waiting = select(r.request_id).where(
            r.station_id == station_id, r.state == RequestState.UNDELIVERED.value, r.attempts < _MOST_DELIVERIES
        )
        commands += await _deliver(connection, station_id, list((await connection.execute(waiting)).scalars()), now)
    return commands


KEEPERS = {
    CertificateRequested: (keep_requested,),
    CertificateRefused: (keep_refused,),
    CertificateIssued: (keep_issued,),
    CallEnded: (keep_ended,),
    StationConnected: (keep_back,),
    StationBooted: (keep_back,),
}


async def _set(connection: AsyncConnection, request_id: str, **values: Any) -> None:
    mine = t.certificate_requests.c.request_id == request_id
    await connection.execute(update(t.certificate_requests).where(mine).values(values))


async def _deliver(
    connection: AsyncConnection, station_id: str, request_ids: Sequence[str], now: datetime
) -> list[Command]:
    """Send the signed certificates of these requests, unless a newer request has come meanwhile."""
    if not request_ids:
        return []
    r = t.certificate_requests.c
    query = select(r.request_id, r.delivery, r.attempts).where(
        r.request_id.in_(request_ids),
        r.state.in_([RequestState.REQUESTED.value, RequestState.UNDELIVERED.value]),
        r.delivery.is_not(None),
    )
    commands: list[Command] = []
    for row in (await connection.execute(query)).all():
        action, payload = orjson.loads(row.delivery)
        wanted = calls.request(station_id, action, payload, by=BY, now=now)
        commands += await calls.keep_requests(connection, [wanted], now)
        await _set(
            connection,
            row.request_id,
            state=RequestState.SENT.value,
            command_id=wanted.command_id,
            attempts=row.attempts + 1,
        )
    return commands


#: Action and payload that take a chain to a station: version, chain, usage, the station's number of its request.
DeliveryCall = Callable[[str, str, Usage, int | None], tuple[str, dict[str, Any]]]
#: Action and payload that make a station ask for a certificate: version, usage.
RenewalCall = Callable[[str, Usage], tuple[str, dict[str, Any]]]


class SigningDoer:
    """Carries out `SignCertificate`."""

    def __init__(
        self,
        service: Service,
        engine: AsyncEngine,
        settings: AuthoritySettings | None,
        delivery: DeliveryCall,
        now: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._engine = engine
        self._settings = settings
        self._delivery = delivery
        self._now = now

    async def __call__(self, command: SignCertificate, dispatched: Dispatched) -> None:
        """Signing twice does no harm: only the first is delivered."""
        try:
            fact: StationFact = await self._issued(command)
        except (RequestRefused, CertificateUnusable) as refused:
            fact = CertificateRefused(
                key=f"{command.key}:refused",
                at=self._now(),
                station_id=command.station_id,
                request_id=command.request_id,
                reason=str(refused),
            )
        await self._service.complete(command.key, fact)

    async def _issued(self, command: SignCertificate) -> CertificateIssued:
        settings, now = self._settings, self._now()
        authority = await load_authority(self._engine)
        if settings is None or authority is None:
            raise RequestRefused("This system has no certificate authority: set [authority].")
        r, s = t.certificate_requests.c, schema.stations.c
        async with reading(self._engine) as connection:
            query = select(r.csr, r.usage, r.sign_request_id).where(r.request_id == command.request_id)
            row = (await connection.execute(query)).one()
            known = select(s.serial_number, s.version).where(s.station_id == command.station_id)
            station = (await connection.execute(known)).one()
        usage = Usage(row.usage)
        issued = sign_request(
            authority,
            settings.passphrase,
            row.csr,
            names={command.station_id, station.serial_number or command.station_id},
            organisation=settings.organisation,
            valid_days=settings.valid_days,
            now=now,
            usage=usage,
        )
        action, payload = self._delivery(station.version or "", issued.chain_pem, usage, row.sign_request_id)
        return CertificateIssued(
            key=f"{command.key}:issued",
            at=now,
            station_id=command.station_id,
            request_id=command.request_id,
            certificate_pem=issued.certificate_pem,
            serial_number=issued.serial_number,
            common_name=issued.common_name,
            not_after=issued.not_after,
            renew_at=max(now, issued.not_after - timedelta(days=settings.renew_days)),
            action=action,
            payload=payload,
        )


class RenewalDoer:
    """Carries out `RenewCertificate`."""

    def __init__(
        self, service: Service, engine: AsyncEngine, renewal: RenewalCall, now: Callable[[], datetime]
    ) -> None:
        self._service = service
        self._engine = engine
        self._renewal = renewal
        self._now = now

    async def __call__(self, command: RenewCertificate, dispatched: Dispatched) -> None:
        """Until a newer one is installed, or this one has ended."""
        r, s, now = t.certificate_requests.c, schema.stations.c, self._now()
        async with reading(self._engine) as connection:
            mine = select(r.usage, r.requested_at, r.not_after).where(r.request_id == command.request_id)
            row = (await connection.execute(mine)).one()
            newer = select(r.request_id).where(
                r.station_id == command.station_id,
                r.usage == row.usage,
                r.state == RequestState.INSTALLED.value,
                r.requested_at > row.requested_at,
            )
            done = (await connection.execute(newer.limit(1))).first() is not None or now >= row.not_after
            known = select(s.version, s.connected).where(s.station_id == command.station_id)
            station = (await connection.execute(known)).one()
        if done:
            await self._service.complete(command.key)
            return
        wanted = []
        if station.connected:
            action, payload = self._renewal(station.version or "", Usage(row.usage))
            wanted.append(calls.request(command.station_id, action, payload, by=BY, now=now))
        await self._service.complete(command.key, *wanted, retry_at=now + _RENEW_AGAIN)
