"""Entering terminals into the inventory: every check that stands before anything else, and what it refuses.

Two origins: **integrated** terminals come mounted in stations, and are known from an import list that comes with them
(`csms.terminals.import_lists`); **own** ones were bought through a distributor and are mounted by the owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from billing.money import exponent
from csms.terminals.inventory import State, record
from sessions.families import FAMILIES, PLAIN, family_of, fold_serial, serial_fits
from storage import schema as s
from storage import terminal_schema as t
from storage.owner_schema import owners, sites

#: A terminal's serial number, folded as `fold_serial` does: the settings file may have written it otherwise.
FOLDED = func.upper(func.replace(s.terminals.c.serial, " ", ""))
LANGUAGES = ("en", "nb")  # what terminals can speak (bridge.texts)
_SERIAL = re.compile(r"[A-Z0-9._-]{1,40}")
_STATION_SERIAL = re.compile(r"[!-~](?:[ -~]{0,58}[!-~])?")
_ICCID = re.compile(r"89[0-9]{16,18}")


class Origin(StrEnum):
    """Where a terminal came from."""

    SETTINGS = "settings"  # named in the settings file: the operator's own
    INTEGRATED = "integrated"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A terminal to enter. ``evses``: (station id, EVSE), in the order the screen shows them.

    ``sim_serial``: the SIM card's (ICCID), "" where it has none. ``station_serial``: of the station it is, or will be,
    connected to. ``language``: "" for the owner's.
    """

    serial: str
    family: str
    owner_id: str
    currency: str
    station_serial: str
    origin: Origin
    sim_serial: str = ""
    supplier_order: str = ""
    distributor: str = ""
    purchase_reference: str = ""
    language: str = ""
    site_id: str | None = None
    place: str = ""
    state: State = State.STORED
    evses: Sequence[tuple[str, int]] = field(default=())


class RegistrationRefusedError(Exception):
    """The terminal is not entered; ``reasons`` say why, a sentence each, and what to do."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(slots=True)
class Known:
    """What the database knows of the things that some registrations name.

    ``serials`` by folded serial number and ``sims`` by ICCID: (the terminal's serial, its owner). ``owners``: their
    currency and language. ``sites``: whose each is. ``evses``: whose each is, and the currency of its price.
    """

    serials: dict[str, tuple[str, str]]
    sims: dict[str, tuple[str, str]]
    owners: dict[str, tuple[str, str]]
    sites: dict[str, str]
    evses: dict[tuple[str, int], tuple[str, str | None]]

    def add(self, wanted: Registration) -> None:
        """Remember a terminal that is entered from now on."""
        serial, sim = fold_serial(wanted.serial), fold_serial(wanted.sim_serial)
        self.serials[serial] = serial, wanted.owner_id
        if sim:
            self.sims[sim] = serial, wanted.owner_id


async def look_up(connection: AsyncConnection, wanted: Sequence[Registration]) -> Known:
    """Read what these registrations name: a query a kind, however many they are."""
    c, o = s.terminals.c, owners.c
    serials = {fold_serial(one.serial) for one in wanted}
    sims = {fold_serial(one.sim_serial) for one in wanted}
    query = select(c.serial, c.sim_serial, c.owner_id).where(or_(FOLDED.in_(serials), c.sim_serial.in_(sims)))
    terminals = (await connection.execute(query)).all()
    their = select(o.owner_id, o.currency, o.language).where(o.owner_id.in_({one.owner_id for one in wanted}))
    return Known(
        serials={fold_serial(row.serial): (row.serial, row.owner_id) for row in terminals},
        sims={row.sim_serial: (row.serial, row.owner_id) for row in terminals if row.sim_serial},
        owners={row.owner_id: (row.currency, row.language) for row in await connection.execute(their)},
        sites=await _sites(connection, {one.site_id for one in wanted if one.site_id is not None}),
        evses=await _evses(connection, {evse for one in wanted for evse in one.evses}),
    )


async def register(
    connection: AsyncConnection,
    wanted: Registration,
    *,
    by: str,
    now: datetime,
    patterns: Mapping[str, str],
    for_owner: str | None = None,
    reason: str = "registered",
) -> str:
    """Enter a terminal in the caller's transaction; return its serial number as it is kept.

    ``patterns``: serial numbers' formats by family, instead of the built-in ones. ``for_owner``: the owner whose user
    is told of refusals and must not learn what others have; None for the platform's people. Raises
    `RegistrationRefusedError`.
    """
    known = await look_up(connection, [wanted])
    problems = problems_of(wanted, known, patterns, for_owner)
    if problems:
        raise RegistrationRefusedError(problems)
    await enter(connection, [wanted], known, by=by, now=now, reason=reason)
    return fold_serial(wanted.serial)


def problems_of(wanted: Registration, known: Known, patterns: Mapping[str, str], for_owner: str | None) -> list[str]:
    """Why a terminal is not entered, a sentence each; see `register`. Pure."""
    serial, sim = fold_serial(wanted.serial), fold_serial(wanted.sim_serial)
    problems = [
        *_family_problems(wanted.family, serial, patterns),
        *sim_problems(sim),
        *station_serial_problems(wanted.station_serial),
        *_paper_problems(wanted),
        *_duplicate("terminal", known.serials.get(serial), wanted.owner_id, for_owner),
        *_duplicate("SIM card", known.sims.get(sim), wanted.owner_id, for_owner),
    ]
    owner = known.owners.get(wanted.owner_id)
    if owner is None:
        return [*problems, "There is no such owner: enter the owner first."]
    problems += _currency_problems(wanted.currency, owner[0])
    problems += _site_problems(wanted.site_id, wanted.owner_id, known.sites)
    problems += _evse_problems(wanted.evses, wanted.owner_id, wanted.currency, known.evses)
    return problems


async def enter(
    connection: AsyncConnection, wanted: Sequence[Registration], known: Known, *, by: str, now: datetime, reason: str
) -> None:
    """Write terminals that have no problems, and the beginning of their histories."""
    rows = [_row(one, known.owners[one.owner_id][1]) for one in wanted]
    if not rows:
        return
    await connection.execute(s.terminals.insert(), rows)
    for one, row in zip(wanted, rows, strict=True):
        if one.evses:
            await serve(connection, row["serial"], one.evses)
        await record(connection, row["serial"], None, one.state, by=by, reason=reason, now=now, place=one.place)


def _row(wanted: Registration, owners_language: str) -> dict[str, Any]:
    spoken = wanted.language or owners_language
    return {
        "serial": fold_serial(wanted.serial),
        "family": family_of(wanted.family).name,
        "currency": wanted.currency,
        "language": spoken if spoken in LANGUAGES else LANGUAGES[0],
        "owner_id": wanted.owner_id,
        "inventory_state": wanted.state.value,
        "licence_exempt": wanted.owner_id == PLATFORM,  # the operator sells itself no licences
        "origin": wanted.origin.value,
        "station_serial": wanted.station_serial.strip(),
        "sim_serial": fold_serial(wanted.sim_serial) or None,
        "supplier_order": wanted.supplier_order,
        "distributor": wanted.distributor,
        "purchase_reference": wanted.purchase_reference,
        "site_id": wanted.site_id,
        "place": wanted.place,
    }


async def serve(connection: AsyncConnection, serial: str, evses: Sequence[tuple[str, int]]) -> None:
    """Write which EVSEs a terminal serves, in this order; the caller has checked them (`evse_problems`)."""
    await connection.execute(delete(s.terminal_evses).where(s.terminal_evses.c.serial == serial))
    if evses:
        rows = [
            {"serial": serial, "station_id": station_id, "evse_id": evse_id, "position": n}
            for n, (station_id, evse_id) in enumerate(evses)
        ]
        await connection.execute(s.terminal_evses.insert(), rows)


def _family_problems(name: str, serial: str, patterns: Mapping[str, str]) -> list[str]:
    family = family_of(name)
    if family is PLAIN:
        return [f"This is no known terminal family; use one of {', '.join(FAMILIES)}."]
    if not _SERIAL.fullmatch(serial):
        return ["The serial number is missing, or is none: it has letters, digits, dots and dashes, 40 at most."]
    if not serial_fits(family, serial, patterns):
        others = [other.name for other in FAMILIES.values() if serial_fits(other, serial, patterns)]
        hint = f" It looks like one of {', '.join(others)}: check the family." if others else " Check the type plate."
        return [f"This is no serial number of the family {family.name} (such as {family.serial_example}).{hint}"]
    return []


def sim_problems(sim: str) -> list[str]:
    """What is wrong with a SIM card's serial number (ITU-T E.118: 18 to 20 digits from 89, the last one a check)."""
    if not sim:
        return []
    if not _ICCID.fullmatch(sim):
        return ["The SIM card's serial number (ICCID) has 18 to 20 digits and begins with 89: read it off the card."]
    digits = [int(digit) for digit in reversed(sim)]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return [] if total % 10 == 0 else ["The SIM card's serial number has a wrong digit: its check digit does not fit."]


def station_serial_problems(station_serial: str) -> list[str]:
    """What is wrong with a station's serial number; only the station's maker knows its format."""
    if _STATION_SERIAL.fullmatch(station_serial.strip()):
        return []
    return ["The serial number of the station it is, or will be, connected to is required: 60 characters at most."]


def _paper_problems(wanted: Registration) -> list[str]:
    if wanted.origin is Origin.OWN and not (wanted.distributor.strip() and wanted.purchase_reference.strip()):
        return ["Say where it was bought: the distributor, and the reference of the purchase."]
    if wanted.language and wanted.language not in LANGUAGES:
        return [f"Terminals speak {' and '.join(LANGUAGES)}."]
    return []


def _currency_problems(currency: str, owners_currency: str) -> list[str]:
    try:
        exponent(currency)
    except ValueError as error:
        return [str(error)]
    if currency != owners_currency:
        return [
            f"The terminal takes {currency}, and the owner's account is in {owners_currency}: they must be the same."
        ]
    return []


def _duplicate(what: str, found: tuple[str, str] | None, owner_id: str, for_owner: str | None) -> list[str]:
    if found is None:
        return []
    serial, its_owner = found
    if its_owner == owner_id:
        return [f"This {what} is in the inventory already: terminal {serial}."]
    if for_owner is None:
        return [f"This {what} is in the inventory already, of owner {its_owner}."]
    return [f"This {what} is registered already. If it is yours, ask the platform to look into it."]


async def site_problems(connection: AsyncConnection, site_id: str | None, owner_id: str) -> list[str]:
    """What is wrong with a site as this owner's terminal's."""
    return _site_problems(site_id, owner_id, await _sites(connection, {site_id} if site_id is not None else set()))


def _site_problems(site_id: str | None, owner_id: str, known: Mapping[str, str]) -> list[str]:
    if site_id is None or known.get(site_id) == owner_id:
        return []
    return [f"The owner has no site {site_id!r}: enter it first, or leave it out."]


async def _sites(connection: AsyncConnection, site_ids: set[str]) -> dict[str, str]:
    if not site_ids:
        return {}
    query = select(sites.c.site_id, sites.c.owner_id).where(sites.c.site_id.in_(site_ids))
    return {row.site_id: row.owner_id for row in await connection.execute(query)}


async def evse_problems(
    connection: AsyncConnection, evses: Sequence[tuple[str, int]], owner_id: str, currency: str
) -> list[str]:
    """Why an owner's terminal of this currency cannot serve these EVSEs."""
    return _evse_problems(evses, owner_id, currency, await _evses(connection, set(evses)))


def _evse_problems(
    evses: Sequence[tuple[str, int]],
    owner_id: str,
    currency: str,
    known: Mapping[tuple[str, int], tuple[str, str | None]],
) -> list[str]:
    problems = ["An EVSE is named twice."] if len(set(evses)) < len(evses) else []
    for station_id, evse_id in evses:
        whose, priced = known.get((station_id, evse_id), (None, None))
        if whose != owner_id:
            problems.append(f"The owner has no EVSE {station_id}/{evse_id}: there is none, or it is not this owner's.")
        elif priced is not None and priced != currency:
            problems.append(
                f"EVSE {station_id}/{evse_id} is priced in {priced}, and the terminal takes {currency}: "
                "a card can only be charged in one currency."
            )
    return problems


async def _evses(
    connection: AsyncConnection, evses: set[tuple[str, int]]
) -> dict[tuple[str, int], tuple[str, str | None]]:
    if not evses:
        return {}
    e, stations = s.evses.c, s.stations.c
    query = (
        select(e.station_id, e.evse_id, stations.owner_id, s.tariffs.c.body)
        .join(s.stations, stations.station_id == e.station_id)
        .outerjoin(s.tariffs, s.tariffs.c.tariff_id == e.tariff_id)
        .where(e.station_id.in_({station_id for station_id, _ in evses}))
        .with_for_update(of=s.stations, read=True)  # not given away before the terminal is entered
    )
    return {
        (row.station_id, row.evse_id): (row.owner_id, orjson.loads(row.body)["currency"] if row.body else None)
        for row in await connection.execute(query)
    }


async def listed(connection: AsyncConnection, serial: str) -> bool:
    """Whether a folded serial number was taken from an import list."""
    r = t.terminal_import_rows.c
    query = select(r.serial).where(r.serial == serial, r.outcome != "refused").limit(1)
    return (await connection.execute(query)).first() is not None


async def edit(connection: AsyncConnection, serial: str, revision: int, values: dict[str, Any]) -> bool:
    """Change a terminal's row, if nobody has since ``revision``; whether it was changed."""
    mine = (s.terminals.c.serial == serial, s.terminals.c.revision == revision)
    changed = await connection.execute(update(s.terminals).where(*mine).values(values | {"revision": revision + 1}))
    return bool(changed.rowcount)
