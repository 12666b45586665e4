"""Charging sessions: list, look into one, start and stop one for a driver. Nothing of a card but its masked number."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cost import Cost
from billing.cost_json import cost_to_json
from billing.pan import mask
from billing.payment import Payment
from billing.way import Way
from bridge.cards import mint_id_token
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Moment, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.stations import require_station
from sessions import facts
from sessions.codec import decode_session
from sessions.cost import cost_so_far
from sessions.receipts import brand_of
from sessions.session import Origin, Session
from sessions.tables import OVER, Charging
from storage import schema as t
from storage.engine import reading

resource = Resource("sessions", owned={"session_id": owned_by(t.sessions.c.owner_id, t.sessions.c.session_id)})

#: So many of the newest facts come with a session; all of them by page.
JOURNAL_SHOWN = 100
#: Of facts and sessions: what identifies a card or opens a receipt, and what is told elsewhere.
_KEPT_BACK = frozenset({"key", "at", "session_id", "station_id", "card_ref", "receipt_token", "raw"})
#: Shown as the session has them.
_AS_KEPT = (
    *("session_id", "origin", "transaction_id", "charging", "payment", "open", "opened_at", "started_at"),
    *("ended_at", "closed_at", "end_reason", "currency", "held_minor", "captured_minor", "owner_id", "way"),
)
#: The longest id token that a version can say (1.6 IdToken; 2.0.1 IdTokenType.idToken).
LONGEST_TOKEN = {"ocpp1.6": 20, "ocpp2.0.1": 36}


class SessionShown(Shown):
    """A session in a list. Amounts in minor units of ``currency``, incl. VAT."""

    session_id: str
    owner_id: str = Field(description="Whose the station was when it began.")
    origin: Origin = Field(description="Who authorised it.")
    way: Way = Field(description="How it is paid.")
    station_id: str | None
    evse_id: int | None
    transaction_id: str | None = Field(description="The station's; 1.6: ours, in decimal.")
    id_token: str | None
    charging: Charging = Field(description="Where the charge stands.")
    payment: Payment = Field(description="Where the card payment stands; none: no card pays.")
    open: bool = Field(description="Whether something is still to come.")
    needs_review: bool = Field(description="Whether an operator should look: see flags.")
    flags: list[str] = Field(description="Why; docs/operators.md explains each.")
    opened_at: datetime
    started_at: datetime | None = Field(description="When the transaction began.")
    ended_at: datetime | None
    closed_at: datetime | None
    end_reason: str
    energy_wh: int = Field(description="Proven so far.")
    currency: str
    cost_minor: int | None = Field(description="So far, or final; null without a tariff.")
    cost_final: bool
    held_minor: int
    captured_minor: int


class CardShown(Shown):
    """What is known of a card."""

    masked_pan: str
    brand: str
    entry_mode: str


class ReferencesShown(Shown):
    """What the payment is called elsewhere, for a question to the acquirer."""

    payment_ref: str
    authorisation_code: str
    host_reference: str
    merchant_reference: str
    terminal_transaction_id: str


class MeterShown(Shown):
    """What the station's registers prove, Wh."""

    begin_wh: Decimal | None
    last_wh: Decimal | None
    last_at: datetime | None
    power_w: int = Field(description="Average between the last two readings.")
    findings: list[str] = Field(description="Oddities that cost nobody anything.")
    signed: list[str] = Field(description="Signed records, each exactly as the station sent it.")


class FactShown(Shown):
    """Something that happened to a session."""

    at: datetime = Field(description="When it was written down.")
    kind: str = Field(description="docs/facts-and-commands.md says what each is.")
    details: dict[str, Any]


class SessionDetails(SessionShown):
    """A session, with all that may be shown of it."""

    evse_label: str
    tariff_id: str | None
    terminal_serial: str | None
    card: CardShown | None
    references: ReferencesShown | None
    hold_asked_minor: int
    held_at: datetime | None
    captured_at: datetime | None
    written_off_minor: int
    provisional: bool = Field(description="Settled although the station never told the end.")
    unpaid: bool = Field(description="Began after it was given up: stopped, and free.")
    stop_by: str = Field(description="Who asked for the end: card, operator or limit.")
    cost: dict[str, Any] | None = Field(description="Line by line.")
    meter: MeterShown
    receipt_url: str | None
    journal: list[FactShown] = Field(description=f"The newest {JOURNAL_SHOWN} facts, in order.")


class ReceiptShown(Shown):
    """A receipt."""

    document: dict[str, Any] = Field(description="Number, issuer, cost line by line, and the payment.")


class SessionFilter(PageQuery):
    """Which sessions."""

    owner_id: str | None = Field(None, max_length=32, description="Only at this owner's stations.")
    way: Way | None = Field(None, description="Only those paid this way.")
    station_id: str | None = Field(None, max_length=48, description="Only at this station.")
    evse_id: int | None = Field(None, ge=0, lt=2**31, description="Only at this EVSE.")
    origin: Origin | None = Field(None, description="Only those authorised this way.")
    charging: Charging | None = Field(None, description="Only those whose charge stands here.")
    payment: Payment | None = Field(None, description="Only those whose payment stands here.")
    transaction_id: str | None = Field(None, max_length=64, description="Only with this transaction.")
    open: bool | None = Field(None, description="Only those to which something is, or nothing is, still to come.")
    needs_review: bool | None = Field(None, description="Only those that an operator should, or need not, look at.")
    since: Moment | None = Field(None, description="Opened not before.")
    until: Moment | None = Field(None, description="Opened before.")


class SessionStart(Body):
    """A charge that an operator starts."""

    evse_id: int = Field(ge=1, lt=2**31, description="Where.")
    id_token: str | None = Field(
        None,
        min_length=1,
        max_length=36,
        pattern=r"^[\x20-\x7e]+$",
        description="The driver's own token, if the charge is to count as its; else one is made for this charge alone.",
    )
    id_token_type: str = Field(
        "ISO14443",
        pattern=r"^(ISO14443|ISO15693|KeyCode|eMAID|Local|MacAddress|NoAuthorization)$",
        description="OCPP 2.0.1 IdTokenEnumType of that token.",
    )


@resource.get("/sessions", Page[SessionShown], query=SessionFilter, owners=True)
async def list_sessions(call: ApiCall) -> Page[SessionShown]:
    """List sessions, the newest first."""
    asked: SessionFilter = call.query
    s = t.sessions.c
    query: Select[Any] = call.mine(select(s.session_id, s.opened_at, s.state), s.owner_id)
    for name in (
        "owner_id",
        "way",
        "station_id",
        "evse_id",
        "origin",
        "charging",
        "payment",
        "transaction_id",
        "open",
        "needs_review",
    ):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(s[name] == wanted)
    if asked.since is not None:
        query = query.where(s.opened_at >= asked.since)
    if asked.until is not None:
        query = query.where(s.opened_at < asked.until)
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection,
            query,
            [s.opened_at, s.session_id],
            asked,
            lambda row: SessionShown(**_shown(decode_session(row.state))),
            newest_first=True,
        )


@resource.get("/sessions/{session_id}", SessionDetails, owners=True)
async def get_session(call: ApiCall) -> SessionDetails:
    """Show a session: cost, energy, payment, and what happened, in order."""
    return await _details(call, call.path["session_id"])


@resource.get("/sessions/{session_id}/journal", Page[FactShown], query=PageQuery, owners=True)
async def list_session_facts(call: ApiCall) -> Page[FactShown]:
    """List all that happened to a session, the newest first."""
    session_id = call.path["session_id"]
    async with reading(call.api.engine) as connection:
        await _session(connection, session_id)
        j = t.journal.c
        return await fetch_page(connection, _facts_of(session_id), [j.journal_id], call.query, _fact, newest_first=True)


@resource.get("/sessions/{session_id}/receipt", ReceiptShown, owners=True)
async def get_receipt(call: ApiCall) -> ReceiptShown:
    """Show a session's receipt, as it was issued."""
    r = t.receipts.c
    query = select(r.document).where(r.session_id == call.path["session_id"]).order_by(r.number).limit(1)
    async with reading(call.api.engine) as connection:
        document = (await connection.execute(query)).scalar()
    if document is None:
        raise Problem(404, "This session has no receipt: nothing was collected from a card, or not yet.")
    return ReceiptShown(document=orjson.loads(document))


@resource.operation(
    "POST",
    "/stations/{station_id}/sessions",
    role=Role.SUPPORT,
    body=SessionStart,
    answers={201: SessionDetails},
    errors=(409,),
)
async def start_session(call: ApiCall) -> Reply:
    """Start a charge for a driver.

    The station is asked at once; whether it agreed, and whether a car was plugged in, is seen by looking at the session
    again. No card is charged.
    """
    station = await require_station(call)
    body: SessionStart = call.body
    longest = LONGEST_TOKEN.get(station.version or "", 36)
    if body.id_token is not None and len(body.id_token) > longest:
        raise Problem(422, f"id_token may have {longest} characters at this station, which speaks {station.version}.")
    session_id = uuid.uuid4().hex
    outcome = await call.api.service.submit(
        facts.OperatorStarted(
            key=f"operator-started:{session_id}",
            at=call.now,
            station_id=station.station_id,
            session_id=session_id,
            evse_id=body.evse_id,
            id_token=body.id_token or mint_id_token(),
            id_token_type=body.id_token_type if body.id_token else facts.ONE_TIME,
            remote_start_id=secrets.randbelow(2**31 - 1) + 1,
            receipt_token=secrets.token_urlsafe(24),
            operator=call.caller.actor,
        )
    )
    if outcome.session_id is None:
        raise Problem(
            409,
            "Nothing can be started there now: the station is not connected or not admitted, or the EVSE is not free. "
            "Look at the station and its open sessions.",
        )
    return Reply(await _details(call, session_id), 201, {"Location": f"{PREFIX}/sessions/{session_id}"})


@resource.operation(
    "POST", "/sessions/{session_id}/stop", role=Role.SUPPORT, answers={200: SessionDetails}, errors=(409,)
)
async def stop_session(call: ApiCall) -> SessionDetails:
    """End a charge for a driver.

    A station that refuses, or is not there, is asked again until it stops; the journal shows each answer. A charge that
    has not begun is given up, and its hold released.
    """
    session_id = call.path["session_id"]
    async with reading(call.api.engine) as connection:
        session = await _session(connection, session_id)
    if session.charging in OVER:
        raise Problem(409, "This charge is over already.")
    await call.api.service.submit(
        facts.StopRequested(key=f"stop-requested:{uuid.uuid4().hex}", at=call.now, session_id=session_id, by="operator")
    )
    return await _details(call, session_id)


# --- what is shown ----------------------------------------------------------------------------------------------------


async def _session(connection: AsyncConnection, session_id: str) -> Session:
    query = select(t.sessions.c.state).where(t.sessions.c.session_id == session_id)
    state = (await connection.execute(query)).scalar()
    if state is None:
        raise Problem(404, "There is no session of this id.")
    return decode_session(state)


async def _details(call: ApiCall, session_id: str) -> SessionDetails:
    async with reading(call.api.engine) as connection:
        session = await _session(connection, session_id)
        newest = _facts_of(session_id).order_by(t.journal.c.journal_id.desc()).limit(JOURNAL_SHOWN)
        journal = [_fact(row) for row in await connection.execute(newest)]
    cost, meter, paid = _cost(session), session.meter, session.authorisation
    return SessionDetails(
        **_shown(session),
        evse_label=session.place.label if session.place else "",
        tariff_id=session.tariff.tariff_id if session.tariff else None,
        terminal_serial=session.terminal_serial,
        card=_card(session),
        references=ReferencesShown(**{n: getattr(paid, n) for n in ReferencesShown.model_fields})
        if paid.payment_ref
        else None,
        hold_asked_minor=session.hold_minor,
        held_at=session.held_at,
        captured_at=session.captured_at,
        written_off_minor=session.written_off_minor,
        provisional=session.provisional,
        unpaid=session.unpaid,
        stop_by=session.stop_by,
        cost=cost_to_json(cost) if cost else None,
        meter=MeterShown(
            begin_wh=meter.begin_wh,
            last_wh=meter.last_wh,
            last_at=meter.last_at,
            power_w=meter.power_w,
            findings=list(meter.findings),
            signed=list(meter.signed),
        ),
        receipt_url=f"{call.api.public_url.rstrip('/')}/r/{session.receipt_token}" if session.receipt_due else None,
        journal=journal[::-1],
    )


def _shown(s: Session) -> dict[str, Any]:
    cost = _cost(s)
    return {name: getattr(s, name) for name in _AS_KEPT} | {
        "station_id": s.place.station_id if s.place else None,
        "evse_id": s.place.evse_id if s.place else None,
        "id_token": s.id_token or None,
        "needs_review": bool(s.flags),
        "flags": list(s.flags),
        "energy_wh": s.meter.energy_wh,
        "cost_minor": cost.total_minor if cost else None,
        "cost_final": s.cost is not None,
    }


def _cost(session: Session) -> Cost | None:
    if session.cost is not None or session.started_at is None:
        return session.cost
    return cost_so_far(session)


def _card(session: Session) -> CardShown | None:
    if session.card is None:
        return None
    brand = brand_of(session.authorisation.aid or session.card.aid)
    return CardShown(masked_pan=mask(session.card.masked_pan), brand=brand, entry_mode=session.card.ifd)


def _facts_of(session_id: str) -> Select[Any]:
    j = t.journal.c
    return select(j.journal_id, j.kind, j.recorded_at, j.fact).where(j.session_id == session_id)


def _fact(row: Any) -> FactShown:
    return FactShown(at=row.recorded_at, kind=row.kind, details=_said(orjson.loads(row.fact)))


def _said(value: Any) -> Any:
    """A fact's content without what is kept back, and without what it leaves open."""
    if isinstance(value, dict):
        return {
            name: mask(item) if name == "masked_pan" else _said(item)
            for name, item in value.items()
            if name not in _KEPT_BACK and item not in (None, "", [])
        }
    return [_said(item) for item in value] if isinstance(value, list) else value
