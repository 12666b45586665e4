"""Two owners and the platform on one system, each with one real object of every noun, for tests of isolation.

Whoever gives owners a new operation adds here what the tests need to try it (CONTRIBUTING.md, "Add an operation that
owners may call"): a maker in `NOUNS`, which fills in ``ids`` and ``marks``; a body in `NAMING`; a query in `QUERIES`.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from PIL import Image
from sqlalchemy import select

from billing.ledger import PLATFORM
from csms.terminals.inventory import State, move
from sessions import facts as f
from storage import care_schema
from storage import schema as t
from storage.engine import reading, writing
from tests.conformance.bench import PASSWORD, Bench, bench


@dataclass
class Side:
    """One owner's part of the world. ``name``: in capitals, part of all that is named.

    ``ids``: an example of each path parameter, and ``serial``. ``marks``: texts that the other sides never read; not
    the platform's name, which stands on the receipts of what it sells.
    """

    name: str
    company: str
    iban: str
    ids: dict[str, Any] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    token: str = ""

    def mark(self, name: str, value: Any) -> None:
        """Enter something of this side's, by the name it has in paths."""
        self.ids[name] = value
        self.marks.add(str(value))


@dataclass
class World:
    """All sides. ``bench.token`` is an administrator's."""

    bench: Bench
    north: Side
    south: Side
    platform: Side

    @property
    def sides(self) -> tuple[Side, ...]:
        return self.north, self.south, self.platform

    def others(self, side: Side) -> set[str]:
        """What ``side`` must never be shown."""
        return set().union(*(other.marks for other in self.sides if other is not side))


# --- a maker for each noun, in this order -----------------------------------------------------------------------------


async def _owner(bench: Bench, side: Side) -> None:
    contacts = [{"name": f"{side.name} Kari", "email": f"{side.name}@example.org", "role": "billing"}]
    side.marks |= {f"{side.name} Kari", f"{side.name}@example.org"}
    if side.name == "PLATFORM":
        side.ids["owner_id"] = PLATFORM
        await bench.api("PATCH", "/owners/platform", {"contacts": contacts}, headers={"If-Match": '"1"'})
        return
    wanted = {
        "legal_name": f"{side.name} Charging AS",
        "organisation_number": side.company,
        "country": "NO",
        "currency": "NOK",
        "iban": side.iban,
        "contacts": contacts,
        "terms": {"fee_fixed_minor": 100, "fee_percent": "2.5"},
    }
    made = await bench.api("POST", "/owners", wanted, status=201)
    side.mark("owner_id", made["owner_id"])
    side.marks |= {f"{side.name} Charging AS", side.company, side.iban}


async def _users(bench: Bench, side: Side) -> None:
    """A user of the owner's, with the most that an owner's user can be."""
    if side.name == "PLATFORM":
        return
    wanted = {"name": f"{side.name} user", "role": "operator", "owner_id": side.ids["owner_id"]}
    made = await bench.api("POST", "/tokens", wanted, status=201)
    side.token = made["token"]
    side.mark("token_id", made["token_id"])


async def _site(bench: Bench, side: Side) -> None:
    wanted = {"owner_id": side.ids["owner_id"], "name": f"{side.name} harbour", "country": "NO"}
    made = await bench.api("POST", "/sites", wanted, status=201)
    side.mark("site_id", made["site_id"])
    side.marks.add(f"{side.name} harbour")


async def _tariff(bench: Bench, side: Side) -> None:
    tariff_id = f"{side.name}-TARIFF"
    wanted = {"tariff_id": tariff_id, "owner_id": side.ids["owner_id"], "hold": "300", "per_kwh": "10"}
    await bench.api("POST", "/tariffs", wanted | {"vat_percent": "25"}, status=201)
    side.mark("tariff_id", tariff_id)


async def _station(bench: Bench, side: Side) -> None:
    station_id = f"{side.name}-CS"
    await bench.connect(station_id)
    whose = {"owner_id": side.ids["owner_id"], "site": side.ids["site_id"]}
    await bench.api("PATCH", f"/stations/{station_id}", whose)
    priced = {"tariff_id": side.ids["tariff_id"], "label": f"{side.name} bay"}
    await bench.api("PATCH", f"/stations/{station_id}/evses/1", priced)
    side.mark("station_id", station_id)
    side.marks.add(f"{side.name} bay")
    side.ids["evse_id"] = 1


async def _terminal(bench: Bench, side: Side) -> None:
    serial = f"{side.name}-P66"
    row = {"serial": serial, "family": "P66", "currency": "NOK", "language": "en", "owner_id": side.ids["owner_id"]}
    place = {"serial": serial, "station_id": side.ids["station_id"], "evse_id": 1, "position": 0}
    async with writing(bench.app.engine) as connection:
        await connection.execute(t.terminals.insert().values(row))
        await connection.execute(t.terminal_evses.insert().values(place))
    side.mark("serial", serial)


async def _session(bench: Bench, side: Side) -> None:
    """A tap, a charge, a capture and a receipt, as the bridge and the station tell them."""
    session_id = f"{side.name}-session"
    await card_charge(bench, session_id, serial=side.ids["serial"], station_id=side.ids["station_id"], wh=5000)
    side.mark("session_id", session_id)
    side.marks.add(f"{side.name}-session-receipt-token")


async def _care(bench: Bench, side: Side) -> None:
    """A terminal in storage, and another that was inspected, photographed, reported and visited; an alarm; a feed."""
    owner_id, now = side.ids["owner_id"], datetime.now(UTC)
    looked_at, stored = f"{side.name}-CARE", f"{side.name}-APO"
    row = {"currency": "NOK", "language": "en", "owner_id": owner_id, "inventory_state": "onboarding"}
    alarm_id = f"alm_{secrets.token_hex(6)}"
    alarm = {"alarm_id": alarm_id, "kind": "no taps", "about": looked_at, "owner_id": owner_id, "detail": "quiet"}
    async with writing(bench.app.engine) as connection:
        for serial, family in ((looked_at, "P66"), (stored, "Apollo")):
            await connection.execute(t.terminals.insert().values(row | {"serial": serial, "family": family}))
        await move(connection, stored, State.STORED, by="test", reason="test", now=now)
        await connection.execute(care_schema.alarms.insert().values(alarm | {"opened_at": now}))
    side.mark("alarm_id", alarm_id)
    seen = dict.fromkeys(("damage", "foreign_stickers", "unusual_cables"), False) | {"logo_at_power_on": True}
    made = await bench.api("POST", f"/terminals/{looked_at}/inspections", seen | {"inspected_by": "Kari"}, status=201)
    side.mark("inspection_id", made["inspection_id"])
    side.mark("photo_id", await _photo(bench, made["inspection_id"]))
    side.mark("incident_id", (await bench.api("POST", f"/terminals/{looked_at}/in-doubt", status=201))["incident_id"])
    made = await bench.api("POST", "/visits", visit_to(looked_at), status=201)
    side.mark("visit_id", made["visit_id"])
    await bench.api("POST", f"/owners/{owner_id}/calendar-feed", status=201)
    await bench.eventually(  # nothing may change by itself any more: without mail settings, each says so once
        lambda: bench.api("GET", "/reminders"), lambda told: all(one["problem"] for one in told["items"])
    )


async def _photo(bench: Bench, inspection_id: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/inspections/{inspection_id}/photos"
    headers = {"Authorization": f"Bearer {bench.token}", "Content-Type": "application/octet-stream"}
    async with bench.http.post(url, data=file.getvalue(), headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["photo_id"])


def visit_to(serial: str) -> dict[str, Any]:
    """A visit to a terminal, today."""
    now = datetime.now(UTC)
    times = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat()}
    return {"serials": [serial], "visitor": "Per", "company": "Service AS", "purpose": "a look"} | times


async def card_charge(bench: Bench, session_id: str, *, serial: str, station_id: str, wh: int) -> None:
    """A whole charge at EVSE 1, an hour ago, paid at the terminal; 10.00 a kWh."""
    service, began = bench.app.service, datetime.now(UTC) - timedelta(hours=1)
    arm, tag = f"arm-{session_id}", f"TAG-{session_id}"[:36]

    async def tell(kind: type[Any], what: str, at: datetime, **values: Any) -> None:
        await service.submit(kind(key=f"{session_id}:{what}", at=at, **values))

    await tell(f.ArmOpened, "arm", began, serial=serial, arm_id=arm, hold_minor=30_000, currency="NOK")
    await tell(
        f.CardPresented,
        "card",
        began,
        serial=serial,
        arm_id=arm,
        card=f.Card(card_ref=f"card-{session_id}", masked_pan="*" * 12 + "1111", aid="A0000000031010"),
        session_id=session_id,
        id_token=tag,
        remote_start_id=abs(hash(session_id)) % 2**31,
        receipt_token=f"{session_id}-receipt-token",
    )
    held = {"payment_ref": f"PAY-{session_id}", "amount_minor": 30_000}
    await tell(f.PaymentHeld, "held", began, session_id=session_id, **held)
    told = {"station_id": station_id, "transaction_id": f"tx-{session_id}", "evse_id": 1, "id_token": tag}
    await tell(f.TransactionStarted, "start", began, station_time=began, register_wh=Decimal(0), **told)
    ended = began + timedelta(minutes=50)
    await tell(f.TransactionEnded, "end", ended, station_time=ended, register_wh=Decimal(wh), **told)
    await tell(f.CaptureConfirmed, "captured", ended, session_id=session_id, amount_minor=wh)
    async with reading(bench.app.engine) as connection:
        query = select(t.sessions.c.payment).where(t.sessions.c.session_id == session_id)
        assert (await connection.execute(query)).scalar() == "captured"


def _account(side: Side) -> dict[str, Any]:
    return {
        "owner_id": side.ids["owner_id"],
        "name": f"{side.name} contract",
        "base_url": "https://cps.mypayter.com/",
        "domain": f"{side.name} domain",
        "merchant_id": f"{side.name} merchant",
        "acquirer": f"{side.name} bank",
    }


async def _processor(bench: Bench, side: Side) -> None:
    """The owner's own processor, and the way of the terminal into its domain."""
    if side.name == "PLATFORM":  # its processor is in the settings
        return
    made = await bench.api("POST", "/processors", _account(side), status=201)
    side.mark("account_id", made["account_id"])
    side.marks |= {f"{side.name} {what}" for what in ("contract", "domain", "merchant", "bank")}
    wanted = {"account_id": made["account_id"], "tt_number": f"TT-{side.name}"}
    path = f"/terminals/{side.ids['serial']}/domain-transfers"
    side.mark("domain_transfer_id", (await bench.api("POST", path, wanted, status=201))["transfer_id"])
    side.marks.add(f"TT-{side.name}")


Maker = Callable[[Bench, Side], Awaitable[None]]

#: Later ones may use what earlier ones entered.
NOUNS: tuple[Maker, ...] = (_owner, _users, _site, _tariff, _station, _terminal, _session, _processor, _care)

#: Path parameters that only count within what the path names before them, such as a station's EVSE.
WITHIN = frozenset({"evse_id"})

#: A valid body, by operation, that names what is somebody else's (the side it is given). JSON, or bytes for a file.
NAMING: dict[str, Callable[[Side], Any]] = {
    "enter_processor": _account,
    "confirm_terminal_routing": lambda side: {"account_id": side.ids["account_id"], "reference": "a letter"},
    "enter_domain_transfer": lambda side: {"account_id": side.ids["account_id"], "tt_number": "TT-1"},
    "announce_visit": lambda side: visit_to(side.ids["serial"]),
    "record_replacement": lambda side: {
        "old_serial": side.ids["serial"],
        "new_serial": side.ids["serial"],
        "reason": "broken",
    },
    "add_inspection_photo": lambda side: b"no photo",
    "add_incident_photo": lambda side: b"no photo",
}

#: Values of query parameters that must be given.
QUERIES: dict[str, str] = {
    "first_day": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
    "last_day": (datetime.now(UTC) + timedelta(days=2)).date().isoformat(),
}

#: Query parameters whose name is not that of what they hold.
CALLED = {"site": "site_id", "terminal": "serial"}


@asynccontextmanager
async def two_owners(database_url: str) -> AsyncIterator[World]:
    """The world, running."""
    names = ("NORTH", "SOUTH", "PLATFORM")
    stations = [{"station_id": f"{name}-CS", "password": PASSWORD} for name in names]
    issuer = {"name": "Platform Charging AS"}
    async with bench(database_url, stations=stations, tariffs=[], issuer=issuer) as running:
        north = Side("NORTH", "923609016", "NO9386011117947")
        south = Side("SOUTH", "974760673", "NO8330001234567")
        world = World(running, north, south, Side("PLATFORM", "", ""))
        for make in NOUNS:
            for side in world.sides:
                await make(running, side)
        yield world
