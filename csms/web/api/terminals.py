"""Terminals: the inventory as it is read and exported, and how terminals are entered and edited."""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import Field, field_validator
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.exc import IntegrityError

from billing.ledger import PLATFORM
from billing.licence import EXPIRING
from csms.terminals.inventory import State
from csms.terminals.licences import plan_end
from csms.terminals.registration import (
    Origin,
    Registration,
    RegistrationRefusedError,
    edit,
    evse_problems,
    listed,
    register,
    serve,
    sim_problems,
    station_serial_problems,
)
from csms.terminals.sheet import csv_text
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, FreeText, Reply, Resource, Shown, etag, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import FieldProblem, Problem
from sessions.families import FAMILIES, family_of, fold_serial
from storage import schema as s
from storage.engine import reading, writing

SERIAL: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9*_=:+|@. -]{1,40}$",
    "description": "The terminal's serial number.",
    "example": "APO20240000001",
}
_EVSE = r"^[A-Za-z0-9*_=:+|@.-]{1,48}/[0-9]{1,9}$"
_MEANWHILE = "This was changed meanwhile: read it again, and send its new ETag in If-Match."
_FROM_SETTINGS = (
    "This terminal is named in the settings file, which says so at every start: change it there (terminals), "
    "and start the system anew."
)

resource = Resource(
    "terminals",
    parameters={"serial": SERIAL},
    owned={"serial": owned_by(s.terminals.c.owner_id, s.terminals.c.serial)},
)


class Cover(StrEnum):
    """How a terminal is licensed."""

    EXEMPT = "exempt"
    NONE = "none"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"


class FamilyShown(Shown):
    """A family of terminals, and what it can do."""

    name: str
    touch_screen: bool = Field(description="Drivers choose on it, and it shows QR codes.")
    battery: bool = Field(description="It guards against tampering: it is charged every three months in storage.")
    incremental_authorisation: bool = Field(description="Its payment application could raise a hold.")
    increment_call: bool = Field(description="This system can ask for that.")
    refund_call: bool = Field(description="This system can refund at the terminal's cloud.")
    serial_pattern: str = Field(description="What its serial numbers look like, as a regular expression.")
    serial_example: str


class FamiliesShown(Shown):
    """All families."""

    items: list[FamilyShown]


class Person(Body):
    """Somebody who may handle the terminal."""

    name: FreeText = Field(min_length=1, max_length=80)
    phone: FreeText = Field("", max_length=40)
    since: date | None = Field(None, description="Since when.")
    trained_on: date | None = Field(None, description="When this person was trained; null: not yet.")


class PersonShown(Shown):
    """Somebody who may handle the terminal."""

    name: str
    phone: str
    since: date | None
    trained_on: date | None


class TerminalShown(Shown):
    """A terminal."""

    serial: str
    family: str
    owner_id: str
    origin: Origin
    state: State = Field(description="Where it is in its life; only a live one takes cards.")
    site_id: str | None
    place: str
    currency: str
    language: str
    station_serial: str = Field(description="Of the station it is, or will be, connected to.")
    sim_serial: str | None = Field(description="The SIM card's (ICCID); null: it has none.")
    supplier_order: str
    distributor: str
    purchase_reference: str
    evses: list[str] = Field(description='EVSEs it serves, as "station_id/evse_id", in the order they are offered.')
    personnel: list[PersonShown] = Field(description="Who may handle it.")
    licence: Cover = Field(description="exempt: the operator's own; none: activation or plan is missing.")
    activated_at: datetime | None
    plan_ends_at: datetime | None = Field(description="When its last plan ends.")
    licensed_until: datetime | None = Field(description="That, and the grace period: it takes no cards after.")
    online: bool | None = Field(description="null: never asked.")
    seen_at: datetime | None
    revision: int


class TerminalFilter(PageQuery):
    """Which terminals."""

    state: State | None = Field(None, description="Only in this state.")
    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")
    site_id: str | None = Field(None, max_length=60, description="Only at this site.")
    family: str | None = Field(None, max_length=20, description="Only of this family.")
    origin: Origin | None = Field(None, description="Only of this origin.")
    licence: Cover | None = Field(None, description="Only with this licence state.")


class NewTerminal(Body):
    """A terminal to enter."""

    origin: Literal[Origin.OWN, Origin.INTEGRATED] = Field(
        description="own: bought through a distributor. integrated: comes with an import list."
    )
    serial: str = Field(max_length=80, description="Its serial number; case and spaces do not matter.")
    family: str = Field(max_length=40, description="GET /terminal-families lists them.")
    owner_id: str | None = Field(None, max_length=32, description="Whose; an owner's user may leave it out.")
    currency: str = Field(pattern="^[A-Z]{3}$", description="What it takes, ISO 4217; the owner's.")
    station_serial: FreeText = Field(max_length=60, description="Of the station it is, or will be, connected to.")
    sim_serial: str = Field("", max_length=30, description="The SIM card's (ICCID), where it has one.")
    distributor: FreeText = Field("", max_length=120, description="Bought from whom.")
    purchase_reference: FreeText = Field("", max_length=80, description="The reference of the purchase.")
    language: str = Field("", max_length=5, description="en or nb; empty: the owner's.")
    site_id: str | None = Field(None, max_length=60, description="A site of its owner's.")
    place: FreeText = Field("", max_length=200, description="Where there, or somewhere else.")
    evses: list[str] = Field([], max_length=100, description='EVSEs it serves, as "station_id/evse_id".')

    @field_validator("evses")
    @classmethod
    def _evses(cls, value: list[str]) -> list[str]:
        return _named(value)


class ServedEvses(Body):
    """The EVSEs a terminal serves."""

    evses: list[str] = Field(max_length=100, description='As "station_id/evse_id", in the order they are offered.')

    @field_validator("evses")
    @classmethod
    def _evses(cls, value: list[str]) -> list[str]:
        return _named(value)


class TerminalEdit(Body):
    """What is known of a terminal; what is left out stays."""

    station_serial: FreeText | None = Field(None, max_length=60, description="Of the station it is connected to.")
    sim_serial: str | None = Field(None, max_length=30, description="The SIM card's (ICCID); empty: it has none.")
    distributor: FreeText | None = Field(None, max_length=120)
    purchase_reference: FreeText | None = Field(None, max_length=80)
    personnel: list[Person] | None = Field(None, max_length=50, description="Who may handle it: all of them.")


def _named(evses: list[str]) -> list[str]:
    if any(re.fullmatch(_EVSE, evse) is None for evse in evses):
        raise ValueError("are written as station_id/evse_id, such as CS1/1")
    return evses


@resource.get("/terminal-families", FamiliesShown, owners=True)
async def list_terminal_families(call: ApiCall) -> FamiliesShown:
    """List the families of terminals this system knows, and what each can do."""
    patterns = call.api.serial_patterns
    return FamiliesShown(
        items=[
            FamilyShown(
                name=family.name,
                touch_screen=family.screens,
                battery=family.battery,
                incremental_authorisation=family.incremental_authorisation,
                increment_call=family.increment_call,
                refund_call=family.refund_call,
                serial_pattern=patterns.get(family.name, family.serial_pattern),
                serial_example=family.serial_example,
            )
            for family in FAMILIES.values()
        ]
    )


@resource.get("/terminals", Page[TerminalShown], query=TerminalFilter, owners=True)
async def list_terminals(call: ApiCall) -> Page[TerminalShown]:
    """List the inventory; nothing ever vanishes from it."""
    async with reading(call.api.engine) as connection:
        page = await fetch_page(connection, _wanted(call), [s.terminals.c.serial], call.query, lambda row: row)
        served = await _served(connection, [row.serial for row in page.items])
    shown = [_shown(row, served.get(row.serial, []), call.now) for row in page.items]
    return Page[TerminalShown].model_construct(items=shown, next=page.next)


class ExportFilter(TerminalFilter):
    """Which terminals."""

    limit: int = Field(100_000, ge=1, le=100_000, description="How many at most.")


@resource.get("/inventory.csv", None, query=ExportFilter, owners=True, content_type="text/csv")
async def export_inventory(call: ApiCall) -> web.Response:
    """Export the inventory as CSV, to be kept or counted against."""
    columns = [name for name in TerminalShown.model_fields if name not in {"personnel", "revision", "evses"}]
    query = _wanted(call).order_by(s.terminals.c.serial).limit(call.query.limit)
    if call.query.after is not None:
        raise Problem(400, "The export is one file: it has no pages.")
    async with reading(call.api.engine) as connection:
        rows = (await connection.execute(query)).all()
        served = await _served(connection, None)
    lines = []
    for row in rows:
        shown = _shown(row, served.get(row.serial, []), call.now)
        people = "; ".join(f"{person.name} {person.phone}".strip() for person in shown.personnel)
        told = [getattr(shown, name) for name in columns]
        told = [value.isoformat() if isinstance(value, datetime) else value for value in told]
        lines.append([*told, " ".join(shown.evses), people])
    text = csv_text([*columns, "evses", "personnel"], lines)
    headers = {"Content-Disposition": 'attachment; filename="inventory.csv"', "Cache-Control": "private, no-store"}
    return web.Response(body=text.encode("utf-8-sig"), content_type="text/csv", charset="utf-8", headers=headers)


@resource.operation(
    "POST",
    "/terminals",
    role=Role.OPERATOR,
    body=NewTerminal,
    answers={201: TerminalShown},
    errors=(404, 409),
    owners=True,
)
async def register_terminal(call: ApiCall) -> Reply:
    """Enter a terminal that was bought on its own. An integrated one is entered by the list it came on."""
    new: NewTerminal = call.body
    owner_id = new.owner_id or call.owner_id or PLATFORM
    call.require_mine(owner_id)
    told = new.model_dump(exclude={"origin", "owner_id", "evses"})
    wanted = Registration(**told, owner_id=owner_id, origin=new.origin, evses=places(new.evses))
    try:
        async with writing(call.api.engine) as connection:
            if new.origin is not Origin.OWN and not await listed(connection, fold_serial(new.serial)):
                raise RegistrationRefusedError(
                    [
                        "An integrated terminal must be on the list that came with its station: send that first "
                        "(POST /terminal-import-lists); it enters the terminal."
                    ]
                )
            serial = await register(
                connection,
                wanted,
                by=call.caller.actor,
                now=call.now,
                patterns=call.api.serial_patterns,
                for_owner=call.owner_id,
            )
    except RegistrationRefusedError as refused:
        raise refusal(refused.reasons) from None
    except IntegrityError:
        raise Problem(409, "Somebody entered this terminal or SIM card meanwhile.") from None
    call.api.wake(serial)
    return await _reply(call, serial, 201, {"Location": f"{PREFIX}/terminals/{serial}"})


@resource.get("/terminals/{serial}", TerminalShown, owners=True)
async def get_terminal(call: ApiCall) -> Reply:
    """Show a terminal."""
    return await _reply(call, call.path["serial"], 200)


@resource.operation(
    "PATCH",
    "/terminals/{serial}",
    role=Role.OPERATOR,
    body=TerminalEdit,
    answers={200: TerminalShown},
    errors=(409,),
    edits=True,
    owners=True,
)
async def edit_terminal(call: ApiCall) -> Reply:
    """Say anew what is known of a terminal: its station, its SIM card, the purchase, who may handle it."""
    row = await require_terminal(call)
    call.require_revision(row.revision)
    values = {name: value for name, value in call.body.model_dump(exclude_unset=True).items() if value is not None}
    problems = station_serial_problems(values["station_serial"]) if "station_serial" in values else []
    if "sim_serial" in values:
        sim = fold_serial(values["sim_serial"])
        problems += sim_problems(sim)
        values["sim_serial"] = sim or None
    if problems:
        raise refusal(problems)
    if "personnel" in values:
        people = [person.model_dump() for person in call.body.personnel]  # whole: what was left out of one, too
        values["personnel"] = orjson.dumps(people).decode()
    try:
        async with writing(call.api.engine) as connection:
            changed = await edit(connection, row.serial, row.revision, values)
    except IntegrityError:
        raise Problem(409, "This SIM card is in another terminal, by the inventory: read its number again.") from None
    if not changed:
        raise Problem(412, _MEANWHILE)
    return await _reply(call, row.serial, 200)


@resource.operation(
    "PUT",
    "/terminals/{serial}/evses",
    role=Role.OPERATOR,
    body=ServedEvses,
    answers={200: TerminalShown},
    errors=(409,),
    edits=True,
    owners=True,
)
async def change_served_evses(call: ApiCall) -> Reply:
    """Say which EVSEs a terminal serves: of one station, or of several. Charges that run are finished."""
    row = await require_terminal(call)
    if row.origin == Origin.SETTINGS:
        raise Problem(409, _FROM_SETTINGS)
    call.require_revision(row.revision)
    evses = places(call.body.evses)
    async with writing(call.api.engine) as connection:
        problems = await evse_problems(connection, evses, row.owner_id, row.currency)
        if problems:
            raise refusal(problems)
        if not await edit(connection, row.serial, row.revision, {}):
            raise Problem(412, _MEANWHILE)
        await serve(connection, row.serial, evses)
    call.api.wake(row.serial)
    return await _reply(call, row.serial, 200)


def places(evses: list[str]) -> list[tuple[str, int]]:
    """ "station_id/evse_id", each in two."""
    return [(station_id, int(number)) for station_id, _, number in (evse.rpartition("/") for evse in evses)]


def refusal(reasons: list[str] | tuple[str, ...]) -> Problem:
    """409 with every reason."""
    return Problem(409, " ".join(reasons), errors=[FieldProblem(field="", detail=reason) for reason in reasons])


async def require_terminal(call: ApiCall) -> Any:
    """The row of the terminal a path names. Raises `Problem` 404."""
    query = select(s.terminals).where(s.terminals.c.serial == call.path["serial"])
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no terminal of this serial number in the inventory.")
    return row


def _wanted(call: ApiCall) -> Select[Any]:
    asked, c, end = call.query, s.terminals.c, plan_end()
    query = call.mine(select(s.terminals, end.label("plan_ends_at")), c.owner_id)
    for name in ("owner_id", "site_id", "origin"):
        if getattr(asked, name) is not None:
            query = query.where(c[name] == getattr(asked, name))
    if asked.state is not None:
        query = query.where(c.inventory_state == asked.state.value)
    if asked.family is not None:
        query = query.where(func.lower(c.family) == family_of(asked.family).name.lower())
    return query if asked.licence is None else query.where(_covered(asked.licence, end, call.now))


def _covered(cover: Cover, end: ColumnElement[Any], now: datetime) -> ColumnElement[bool]:
    """The terminals that `_cover` says so of."""
    c = s.terminals.c
    both = and_(~c.licence_exempt, c.activated_at.is_not(None), end.is_not(None))
    return {
        Cover.EXEMPT: c.licence_exempt,
        Cover.NONE: and_(~c.licence_exempt, or_(c.activated_at.is_(None), end.is_(None))),
        Cover.ACTIVE: and_(both, end > now + EXPIRING),
        Cover.EXPIRING: and_(both, end > now, end <= now + EXPIRING),
        Cover.EXPIRED: and_(both, end <= now),
    }[cover]


def _cover(row: Any, now: datetime) -> Cover:
    if row.licence_exempt:
        return Cover.EXEMPT
    if row.activated_at is None or row.plan_ends_at is None:
        return Cover.NONE
    if row.plan_ends_at <= now:
        return Cover.EXPIRED
    return Cover.EXPIRING if row.plan_ends_at - now <= EXPIRING else Cover.ACTIVE


async def _served(connection: Any, serials: list[str] | None) -> dict[str, list[str]]:
    c = s.terminal_evses.c
    query = select(s.terminal_evses).order_by(c.serial, c.position)
    if serials is not None:
        query = query.where(c.serial.in_(serials))
    served: dict[str, list[str]] = {}
    for row in await connection.execute(query):
        served.setdefault(row.serial, []).append(f"{row.station_id}/{row.evse_id}")
    return served


async def _reply(call: ApiCall, serial: str, status: int, headers: dict[str, str] | None = None) -> Reply:
    query = select(s.terminals, plan_end().label("plan_ends_at")).where(s.terminals.c.serial == serial)
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(query)).first()
        if row is None:
            raise Problem(404, "There is no terminal of this serial number in the inventory.")
        served = await _served(connection, [serial])
    shown = _shown(row, served.get(serial, []), call.now)
    return Reply(shown, status, {"ETag": etag(row.revision)} | (headers or {}))


def _shown(row: Any, evses: list[str], now: datetime) -> TerminalShown:
    made = {
        "state": row.inventory_state,
        "evses": evses,
        "personnel": [PersonShown(**person) for person in orjson.loads(row.personnel)],
        "licence": _cover(row, now),
    }
    return TerminalShown(**{n: getattr(row, n) for n in TerminalShown.model_fields if n not in made}, **made)
