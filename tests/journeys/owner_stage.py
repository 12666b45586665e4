"""A stage for site owners: the whole system, the terminals' cloud with its domains, a station, an acquirer, a bank.

Time is chosen. The system is started with a clock that tells ``moment``, is stopped, and is started again later on the
same database, so that what fell due meanwhile has to be made up. What acquirer and bank send are files on a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from aiohttp import ClientSession
from sqlalchemy import func, select

from csms.app import running
from csms.settings import load_settings
from csms.terminals.checklist import Origin, Processor
from csms.web.api.access import Role, create_token
from simulators.clock import SimClock
from simulators.station import Station, StationConfig
from simulators.station.config import Version
from simulators.terminal_cloud import DOMAIN, Payment, TerminalCloud
from storage import schema as t
from storage.engine import reading
from tests.journeys.onboarding_stage import Rig
from tests.journeys.stage import PATIENCE_S, Stage
from tests.two_domains import OWN_DOMAIN, processor_settings, two_domains

SPEED = 60.0
STATION = "HAVNA-1"
SIM = "8947080037021414114"
RESELLER = "reseller"  # the domain in which terminals are that are bought on their own
OWNERS_IBAN, PLATFORMS_IBAN = "NO9386011117947", "NO8330001234567"
PAIN = "pain.001.001.09"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One of the four paths, and what else is to be different between them.

    ``contract``: how the charge without a card is paid, ``contract_wh``: what it takes at least. ``settles``: the form
    of the acquirer's file. ``bank``: of the bank's.
    """

    origin: Origin
    processor: Processor
    family: str
    serial: str
    version: Version
    contract: str
    contract_wh: int
    settles: str
    bank: str

    @property
    def own(self) -> bool:
        """Whether the owner collects."""
        return self.processor is Processor.OWN

    @property
    def comes_in(self) -> str:
        """The domain that the terminal is in when it comes."""
        if self.origin is Origin.INTEGRATED:
            return DOMAIN
        return OWN_DOMAIN if self.own else RESELLER

    def __str__(self) -> str:
        return f"{self.origin}-{self.processor}"


@dataclass(slots=True)
class Story:
    """One path, as far as it has been walked. ``rig``: the API, by who calls; its ``on`` is the running system."""

    way: Way
    url: str
    cloud: TerminalCloud
    rig: Rig
    folder: Path
    second: str = ""  # the token of the platform's other person
    owner_id: str = ""
    account_id: str = ""  # of the owner's own processor
    clock: SimClock = field(default_factory=SimClock)

    @property
    def platform(self) -> Callable[..., Any]:
        """The API as the platform's operator calls it: ``await story.platform("GET", "/owners")``."""
        return functools.partial(self.rig.api, token=self.rig.admin)

    @property
    def owner(self) -> Callable[..., Any]:
        """The API as the owner's user calls it."""
        return functools.partial(self.rig.api, token=self.rig.owner)

    @property
    def holder(self) -> Callable[..., Any]:
        """The API as whoever has the contract with the acquirer calls it."""
        return self.owner if self.way.own else self.platform

    @property
    def book(self) -> str:
        """In which book the driver's card is sold for."""
        return f"owner:{self.owner_id}" if self.way.own else "platform"

    @contextlib.asynccontextmanager
    async def day(self, moment: datetime) -> AsyncIterator[None]:
        """The system runs, and it is ``moment`` when it starts."""
        wall = datetime.now(UTC)
        self.clock = SimClock(SPEED, wall - (moment - wall) / (SPEED - 1))
        self.cloud.config.clock = self.clock
        settings = load_settings(None, **_settings(self.url, self.cloud, self.clock))
        async with running(settings) as app:
            self.rig.on = Stage(app, self.cloud)
            yield

    @contextlib.asynccontextmanager
    async def station(self) -> AsyncIterator[Station]:
        """The owner's station has power."""
        config = StationConfig(
            identity=STATION,
            url=self.rig.on.app.ocpp_url,
            version=self.way.version,
            evses=2,
            max_power_w=150_000,
            clock=self.clock,
            boot_s=0.1,
            reconnect_first_s=0.05,
            settings={"ev_connection_timeout_s": "3600"},
        )
        async with Station(config) as station:
            yield station

    async def first_token(self) -> None:
        """As `tapvolt token create` makes it; all others are made over the API."""
        app = self.rig.on.app
        _, self.rig.admin = await create_token(app.engine, "Ola", Role.ADMIN, app.clock.now())
        self.second = await self.token("Kari", "operator")

    async def token(self, name: str, role: str, **more: str) -> str:
        """A token for somebody."""
        made = await self.platform("POST", "/tokens", {"name": name, "role": role} | more, status=201)
        return str(made["token"])

    async def until(self, path: str, true: Callable[[Any], Any], *, token: str = "") -> Any:
        """What the API answers, once ``true`` of it holds."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            seen = await self.rig.api("GET", path, token=token or self.rig.admin)
            if true(seen):
                return seen
            assert time.monotonic() < give_up, f"{path} did not come true; last seen: {seen}"
            await asyncio.sleep(0.05)

    def payment(self) -> Payment:
        """The driver's, as the terminals' cloud has it; the one before was the test transaction."""
        test, paid = self.cloud.sessions(self.way.serial)
        assert test.history == ["authorized 100", "cancelled"]
        return paid

    def file(self, name: str, content: bytes) -> bytes:
        """Write a file and read it, as whoever sends it on does."""
        path = self.folder / name
        path.write_bytes(content)
        return path.read_bytes()

    async def driver_reads(self, receipt_url: str) -> str:
        """The receipt's page, without any token."""
        path = receipt_url.partition("/r/")[2]
        url = f"http://127.0.0.1:{self.rig.on.app.http_port}/r/{path}?lang=en"
        async with self.rig.http.get(url) as answer:
            assert answer.status == 200
            return await answer.text()

    async def books(self) -> dict[tuple[str, str], int]:
        """What stands on each account of each book, as far as it is not zero; each book adds up to zero."""
        k = t.ledger.c
        query = select(k.book, k.account, k.currency, func.sum(k.amount_minor).label("total"))
        async with reading(self.rig.on.app.engine) as connection:
            rows = (await connection.execute(query.group_by(k.book, k.account, k.currency))).all()
        assert {row.currency for row in rows} <= {"NOK"}
        for book in {row.book for row in rows}:
            assert sum(row.total for row in rows if row.book == book) == 0, book
        return {(row.book, row.account): int(row.total) for row in rows if row.total}


@contextlib.asynccontextmanager
async def story_of(way: Way, url: str, folder: Path) -> AsyncIterator[Story]:
    """A path at its very beginning: an empty system, not running; the terminal is wherever it comes from."""
    async with two_domains() as cloud, ClientSession() as http:
        cloud.add_domain(RESELLER, "reseller-api-key")
        cloud.add_terminal(way.serial, way.family, domain=way.comes_in)
        unset: Any = None
        yield Story(way, url, cloud, Rig(unset, cloud, http, "", "", ""), folder)


def _settings(url: str, cloud: TerminalCloud, clock: SimClock) -> dict[str, Any]:
    return processor_settings(cloud) | {
        "database_url": url,
        "clock_speed": clock.speed,
        "clock_anchor": clock.anchor,
        "ocpp": {"host": "127.0.0.1", "port": 0, "messages_per_s": 10_000},  # whom nobody knows is held
        "http": {"host": "127.0.0.1", "port": 0, "public_url": "http://127.0.0.1:1"},
        # Time runs fast, computers do not: nothing may time out here.
        "sessions": {"connection_timeout_s": 3600, "choice_timeout_s": 3600, "lost_end_s": 3600},
        "onboarding": {"card_wait_s": 3600},
        "issuer": {"name": "Plattform AS", "organisation_number": "912345670", "address": ["Torget 1", "0001 Oslo"]},
        "payouts": {"accounts": [{"currency": "NOK", "iban": PLATFORMS_IBAN}], "message": PAIN},
        "reconciliation": {
            "data_api_url": f"{cloud.base_url}API",
            "data_api_username": "platform",
            "data_api_password": "platform-data-password",
            "data_api_domain": DOMAIN,
        },
    }


# --- files ------------------------------------------------------------------------------------------------------------


def import_list(owner_id: str, way: Way) -> bytes:
    """What comes with the stations."""
    columns = "serial;family;station_serial;owner_id;currency;supplier_order;sim_serial"
    return f"{columns}\n{way.serial};{way.family};{STATION};{owner_id};NOK;SO-2026-17;{SIM}\n".encode()


#: What the acquirer of these CSV files calls its columns.
MAPPING = {
    "reference": "Referanse",
    "amount": "Brutto",
    "date": "Dato",
    "currency": "Valuta",
    "kind": "",
    "fee": "Gebyr",
    "merchant_id": "Brukersted",
    "date_format": "%d.%m.%Y",
    "decimal": ",",
}


def _major(minor: int, sign: str = ".") -> str:
    return f"{minor // 100}{sign}{minor % 100:02d}"


def settlement_csv(reference: str, gross_minor: int, fee_minor: int, merchant: str, day: datetime) -> bytes:
    """One payment, as the acquirer of ``MAPPING`` writes it."""
    cells = (f"{day:%d.%m.%Y}", merchant, reference, _major(gross_minor, ","), _major(fee_minor, ","), "NOK")
    return ("\r\n".join(["Dato;Brukersted;Referanse;Brutto;Gebyr;Valuta", ";".join(cells), ""])).encode("utf-8-sig")


def settlement_camt(reference: str, gross_minor: int, fee_minor: int, day: datetime) -> bytes:
    """One payment on a bank statement: what was paid into the account, and what was kept back of it."""
    net = f"<Amt Ccy='NOK'>{_major(gross_minor - fee_minor)}</Amt><CdtDbtInd>CRDT</CdtDbtInd>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">'
        "<BkToCstmrStmt><GrpHdr><MsgId>S1</MsgId></GrpHdr><Stmt><Id>S1</Id>"
        f"<Ntry>{net}<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day:%Y-%m-%d}</Dt></BookgDt><AcctSvcrRef>A1</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>{net}"
        f"<Chrgs><Rcrd><Amt Ccy='NOK'>{_major(fee_minor)}</Amt><CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs>"
        "</TxDtls></NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>"
    ).encode()


def transfers(pain_001: bytes) -> list[tuple[str, str, str, str, str]]:
    """(from IBAN, to IBAN, amount, currency, EndToEndId) of each transfer in a payment file that its schema allows."""
    root = ET.fromstring(pain_001)
    import xmlschema  # it changes ElementTree while it is imported

    xmlschema.XMLSchema(str(resources.files("sepaxml") / "schemas" / f"{PAIN}.xsd")).validate(pain_001.decode())
    space = {"p": f"urn:iso:std:iso:20022:tech:xsd:{PAIN}"}
    found = []
    for group in root.iterfind(".//p:PmtInf", space):
        debtor = group.findtext("p:DbtrAcct/p:Id/p:IBAN", "", space)
        for one in group.iterfind("p:CdtTrfTxInf", space):
            amount = one.find("p:Amt/p:InstdAmt", space)
            assert amount is not None
            creditor = one.findtext("p:CdtrAcct/p:Id/p:IBAN", "", space)
            reference = one.findtext("p:PmtId/p:EndToEndId", "", space)
            found.append((debtor, creditor, str(amount.text), str(amount.get("Ccy")), reference))
    return found
