"""Two owners and the platform on one system, each with one real object of every noun, for tests of isolation.

Whoever gives owners a new operation adds here what the tests need to try it (CONTRIBUTING.md, "Add an operation that
owners may call"): a maker in `NOUNS`, which fills in ``ids`` and ``marks``; a query in `QUERIES`; and, in
`tests.api.naming`, a body in `NAMING`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from billing.ledger import PLATFORM
from csms.terminals.inventory import State, record
from sessions import facts as f
from storage import schema as t
from storage.engine import reading, writing
from tests.api.care_of_sides import MAKERS as CARE
from tests.api.money_of_sides import MAKERS as MONEY
from tests.api.naming import account
from tests.api.sides import Side, World
from tests.api.terminals_of_sides import MAKERS as TERMINALS
from tests.conformance.bench import PASSWORD, Bench, bench

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
        now = datetime.now(UTC) - timedelta(days=1)
        await record(connection, serial, None, State.LIVE, by=f"{side.name} hand", reason="mounted", now=now)
    side.mark("serial", serial)


async def _session(bench: Bench, side: Side) -> None:
    """A tap, a charge, a capture and a receipt, as the bridge and the station tell them."""
    session_id = f"{side.name}-session"
    await card_charge(bench, session_id, serial=side.ids["serial"], station_id=side.ids["station_id"], wh=5000)
    side.mark("session_id", session_id)
    side.marks.add(f"{side.name}-session-receipt-token")


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


async def _processor(bench: Bench, side: Side) -> None:
    """The owner's own processor, and the way of the terminal into its domain."""
    if side.name == "PLATFORM":  # its processor is in the settings
        return
    made = await bench.api("POST", "/processors", account(side), status=201)
    side.mark("account_id", made["account_id"])
    side.marks |= {f"{side.name} {what}" for what in ("contract", "domain", "merchant", "bank")}
    wanted = {"account_id": made["account_id"], "tt_number": f"TT-{side.name}"}
    path = f"/terminals/{side.ids['serial']}/domain-transfers"
    side.mark("domain_transfer_id", (await bench.api("POST", path, wanted, status=201))["transfer_id"])
    side.marks.add(f"TT-{side.name}")


Maker = Callable[[Bench, Side], Awaitable[None]]

#: Up to a charge that is paid. Later ones may use what earlier ones entered.
CHARGED: tuple[Maker, ...] = (_owner, _users, _site, _tariff, _station, _terminal, _session)

#: Everything.
NOUNS: tuple[Maker, ...] = (*CHARGED, _processor, *TERMINALS, *CARE, *MONEY)

#: Path parameters that only count within what the path names before them, such as a station's EVSE.
WITHIN = frozenset({"evse_id", "step", "attachment_id"})

#: Readings that show everybody the same, and nothing of anybody's.
COMMON = frozenset({"list_terminal_families", "list_licence_skus"})

#: Values of query parameters that must be given.
QUERIES: dict[str, str] = {
    "first_day": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
    "last_day": (datetime.now(UTC) + timedelta(days=2)).date().isoformat(),
}

#: Query parameters whose name is not that of what they hold.
CALLED = {"site": "site_id", "terminal": "serial", "about": "serial"}


def nobody(like: Side) -> Side:
    """A side whose names are written like these, and name nothing."""
    ids: dict[str, Any] = {}
    for name, value in like.ids.items():
        if isinstance(value, str):
            renamed = value.replace(like.name, "NOBODY")
            prefix, _, digits = renamed.rpartition("_")
            ids[name] = f"{prefix}_{'f' * len(digits)}" if prefix else re.sub(r"0001(\d{3})$", r"0009\1", renamed)
    return Side("NOBODY", "", "", ids=ids)


@asynccontextmanager
async def two_owners(database_url: str, makers: Sequence[Maker] = NOUNS) -> AsyncIterator[World]:
    """The world, running, with what these make."""
    names = ("NORTH", "SOUTH", "PLATFORM")
    stations = [{"station_id": f"{name}-CS", "password": PASSWORD} for name in names]
    issuer = {"name": "Platform Charging AS"}
    async with bench(database_url, stations=stations, tariffs=[], issuer=issuer) as running:
        north = Side("NORTH", "923609016", "NO9386011117947")
        south = Side("SOUTH", "974760673", "NO8330001234567")
        world = World(running, north, south, Side("PLATFORM", "", ""))
        for make in makers:
            for side in world.sides:
                await make(running, side)
        yield world
