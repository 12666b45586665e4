"""Reminders against a real SMTP server: who gets them, what is tried again, what is not, what a crash repeats."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.ledger import PLATFORM
from csms.terminals import incidents
from csms.terminals.letters import Recipient, message_id
from csms.terminals.mail import NO_SETTINGS, NOBODY, MailOptions, Security
from csms.terminals.reminder_words import named, say
from csms.terminals.reminders import remind
from storage import care_schema
from storage import schema as s
from storage.engine import reading, writing
from tests.pki import pki
from tests.ports import free_port
from tests.store.care_house import OWNER, CareHouse, add_owner, add_terminal, care_house

T0 = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
KARI, OLA, PER = "kari@owner.example", "ola@owner.example", "per@owner.example"
PASSWORD = "correct horse"
KEY = "inspection:weekly:P1:2026-03-09:overdue"


class PostOffice:
    """A mail server. ``refuse_recipient``, ``refuse_letter``: what it answers, by address, or once for a letter."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.refuse_recipient: dict[str, str] = {}
        self.refuse_letter: list[str] = []
        self.offered: list[str] = []
        self.port = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        self.offered.append(address)
        if address in self.refuse_recipient:
            return self.refuse_recipient[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.refuse_letter:
            return self.refuse_letter.pop(0)
        self.letters.append(envelope)
        return "250 OK"

    def to(self) -> list[list[str]]:
        return [letter.rcpt_tos for letter in self.letters]


@contextmanager
def post_office(*, tls: bool = False, auth: bool = False, port: int = 0) -> Iterator[PostOffice]:
    office = PostOffice()
    more: dict[str, Any] = {}
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pki().server_ec.files)
        more |= {"tls_context": context, "require_starttls": True}
    if auth:

        def authenticator(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
            assert isinstance(given, LoginPassword)
            good = (given.login, given.password) == (b"care", PASSWORD.encode())
            return AuthResult(success=good, handled=True) if good else AuthResult(success=False, handled=False)

        more |= {"authenticator": authenticator, "auth_required": True}
    controller = Controller(office, hostname="127.0.0.1", port=port or free_port(), **more)
    controller.start()
    office.port = controller.port
    try:
        yield office
    finally:
        controller.stop(no_assert=True)


def options(port: int, *, tls: bool = False, trusted: Any = None, user: str = "", password: str = "") -> MailOptions:
    authority = (trusted or pki().root).files[0] if tls else None
    return MailOptions(
        host="127.0.0.1",
        port=port,
        security=Security.STARTTLS if tls else Security.PLAIN,
        tls=ssl.create_default_context(cafile=authority),
        user=user,
        password=password,
        sender=Recipient(name="Care", address="care@tapvolt.example"),
        platform=(Recipient(name="", address="ops@tapvolt.example"),),
        timeout_s=10,
    )


@asynccontextmanager
async def sending(
    engine: AsyncEngine, mail: MailOptions | None, *emails: str, language: str = "en"
) -> AsyncIterator[CareHouse]:
    await add_owner(engine, emails=emails, language=language)
    async with care_house(engine, T0, mail=mail, give_up=timedelta(days=14)) as house:
        yield house


async def write(house: CareHouse, key: str = KEY, owner_id: str = OWNER) -> None:
    async with writing(house.engine) as connection:
        await remind(
            connection,
            house.clock.now(),
            key=key,
            owner_id=owner_id,
            kind="inspection",
            about="P1",
            subject=say("inspection_due", serial="P1", occasion=named("weekly")),
            body=[say("inspection_what", serial="P1"), say("in_doubt")],
            due_on=date(2026, 3, 15),
        )
    house.service.wake(house.clock.now())


async def eventually(house: CareHouse, done: Callable[[Any], bool], key: str = KEY) -> Any:
    """The reminder, once ``done`` of it holds; the clock stands still."""
    async with asyncio.timeout(20):
        while True:
            row = (await house.reminders())[key]
            if done(row):
                return row
            await asyncio.sleep(0.005)


async def waiting(house: CareHouse) -> list[datetime]:
    """When commands that send fall due again."""
    o = s.outbox.c
    query = select(o.due_at).where(o.kind == "SendReminder", o.done_at.is_(None), o.leased_by.is_(None))
    async with reading(house.engine) as connection:
        return list((await connection.execute(query)).scalars())


async def test_everybody_gets_it_once(engine: AsyncEngine) -> None:
    with post_office() as office:
        async with sending(engine, options(office.port), KARI, OLA, KARI.upper(), "not an address") as house:
            await write(house)
            await write(house)  # written before: sent once
            row = await eventually(house, lambda row: row.sent_at is not None)
            await house.settle()
            assert (row.sent_at, row.problem) == (T0, None)
            assert office.to() == [[KARI, OLA]]
            read = message_from_bytes(office.letters[0].content, policy=default)  # type: ignore[arg-type]
            assert read["Subject"] == "Terminal P1: the inspection (weekly) is due now"
            assert read["Message-ID"] == message_id(KEY, "tapvolt.example")
            assert read["Date"].datetime == T0
            assert str(read["To"]) == f"Contact 0 <{KARI}>, Contact 1 <{OLA}>"
            await write(house, "platform's", PLATFORM)
            await eventually(house, lambda row: row.sent_at is not None, "platform's")
            assert office.to()[1:] == [["ops@tapvolt.example"]]


@pytest.mark.parametrize(
    ("platforms", "theirs"),
    [
        ("", "Incident 1, terminal P1: the notice is due by 11 Mar 2026 13:00 CET"),
        ("nb", "Hendelse 1, terminal P1: varselet må sendes innen 11.03.2026 13:00 CET"),
    ],
)
async def test_everybody_is_written_to_in_their_own_language(engine: AsyncEngine, platforms: str, theirs: str) -> None:
    if platforms:
        await add_owner(engine, PLATFORM, language=platforms)
    with post_office() as office:
        async with sending(engine, options(office.port), KARI, language="nb") as house:
            await add_terminal(engine, "P1")
            async with writing(engine) as connection:
                await incidents.report(
                    connection, "P1", incidents.Kind.THEFT, description="Den er borte.", by="Kari", now=T0
                )
            house.service.wake(T0)
            async with asyncio.timeout(20):
                while len(office.letters) < 2:
                    await asyncio.sleep(0.005)
            read = {
                letter.rcpt_tos[0]: message_from_bytes(letter.content, policy=default)  # type: ignore[arg-type]
                for letter in office.letters
            }
            assert read.keys() == {KARI, "ops@tapvolt.example"}
            assert read["ops@tapvolt.example"]["Subject"] == theirs
            assert read[KARI]["Subject"] == "Hendelse 1, terminal P1: varselet må sendes innen 11.03.2026 13:00 CET"
            assert read[KARI].get_content().splitlines() == [
                "Terminal P1: tyveri, meldt av Kari.",
                "Den tar ikke kort før hendelsen er avsluttet.",
                "",
                "Varselet til plattformen må sendes innen 11.03.2026 13:00 CET. Det må inneholde en full beskrivelse, "
                "hva som er gjort og skal gjøres, hvordan opplysninger og terminaler er sikret, og kontaktpersoner "
                "som kan nås.",
            ]


async def test_starttls_and_a_password(engine: AsyncEngine) -> None:
    with post_office(tls=True, auth=True) as office:
        mail = options(office.port, tls=True, user="care", password=PASSWORD)
        async with sending(engine, mail, KARI) as house:
            await write(house)
            await eventually(house, lambda row: row.sent_at is not None)
            assert office.to() == [[KARI]]


@pytest.mark.parametrize(("wrong", "says"), [("ca", "certificate"), ("password", "password"), ("no tls", "broke off")])
async def test_a_line_that_is_not_safe_is_not_used_and_tried_again(engine: AsyncEngine, wrong: str, says: str) -> None:
    with post_office(tls=wrong != "no tls", auth=wrong != "no tls") as office:
        trusted = pki().stranger if wrong == "ca" else None
        password = "wrong" if wrong == "password" else PASSWORD
        mail = options(office.port, tls=True, trusted=trusted, user="care", password=password)
        async with sending(engine, mail, KARI) as house:
            await write(house)
            row = await eventually(house, lambda row: row.problem is not None)
            assert says in row.problem
            assert PASSWORD not in row.problem
            assert (office.letters, row.sent_at) == ([], None)
            async with asyncio.timeout(10):
                while await waiting(house) != [T0 + timedelta(minutes=1)]:
                    await asyncio.sleep(0.005)


async def test_a_temporary_refusal_is_tried_again_for_those_alone(engine: AsyncEngine) -> None:
    with post_office() as office:
        office.refuse_recipient = {OLA: "451 4.7.1 greylisted", PER: "550 5.1.1 no such person"}
        async with sending(engine, options(office.port), KARI, OLA, PER) as house:
            await write(house)
            row = await eventually(house, lambda row: row.problem is not None)
            assert office.to() == [[KARI]]
            assert row.problem == (
                "1 refused for good: 550 5.1.1 no such person; 1 to be tried again: 451 4.7.1 greylisted"
            )
            await house.until(T0 + timedelta(seconds=59))
            assert len(office.offered) == 3
            await house.until(T0 + timedelta(minutes=1))
            office.refuse_recipient.pop(OLA)
            assert office.offered[3:] == [OLA]
            await house.until(T0 + timedelta(minutes=6))
            row = (await house.reminders())[KEY]
            assert office.to() == [[KARI], [OLA]]
            assert row.sent_at == T0 + timedelta(minutes=6)
            assert row.problem == "1 refused for good: 550 5.1.1 no such person"
            await house.until(T0 + timedelta(days=30))
            assert len(office.offered) == 5


async def test_a_letter_refused_for_good_ends_with_the_reason(engine: AsyncEngine) -> None:
    with post_office() as office:
        office.refuse_letter = ["554 5.7.1 spam\r\n"]
        async with sending(engine, options(office.port), KARI, OLA) as house:
            await write(house)
            row = await eventually(house, lambda row: row.problem is not None)
            assert (row.sent_at, row.problem) == (None, "2 refused for good: 554 5.7.1 spam")
            await house.until(T0 + timedelta(days=30))
            assert len(office.offered) == 2


async def test_a_server_that_is_away_is_waited_for_and_given_up_at_last(engine: AsyncEngine) -> None:
    port = free_port()
    async with sending(engine, options(port), KARI) as house:
        await write(house)
        row = await eventually(house, lambda row: row.problem is not None)
        assert "cannot be reached" in row.problem
        await write(house, "second")
        with post_office(port=port) as office:
            await house.until(T0 + timedelta(minutes=1))
            assert sorted(office.to()) == [[KARI], [KARI]]
        await write(house, "third")
        await house.until(T0 + timedelta(days=20))
        row = (await house.reminders())["third"]
        assert row.sent_at is None
        assert row.problem.startswith("Given up. ")
        assert await waiting(house) == []


async def test_without_settings_it_waits_for_them(engine: AsyncEngine) -> None:
    async with sending(engine, None, KARI) as house:
        await write(house, "old")
        await house.until(T0 + timedelta(days=10))
        await write(house)
        await eventually(house, lambda row: row.problem == NO_SETTINGS)
        await house.until(T0 + timedelta(days=15))
        assert (await house.reminders())["old"].problem == f"Given up. {NO_SETTINGS}"
        with post_office() as office:
            house._mail = options(office.port)
            await house.down_until(T0 + timedelta(days=15, hours=1))
            row = await eventually(house, lambda row: row.sent_at is not None)
            assert (office.to(), row.problem) == ([[KARI]], None)
            assert (await house.reminders())["old"].sent_at is None


async def test_with_nobody_to_send_to_it_says_so(engine: AsyncEngine) -> None:
    with post_office() as office:
        async with sending(engine, options(office.port)) as house:
            await write(house)
            await eventually(house, lambda row: row.problem == NOBODY)
            assert office.offered == []


async def test_a_crash_between_sending_and_the_report_repeats_the_same_letter(engine: AsyncEngine) -> None:
    """The process dies when the server has the letter and nobody has written that down."""
    with post_office() as office:
        async with sending(engine, options(office.port), KARI) as house:
            crashed, hang = asyncio.Event(), asyncio.Event()

            async def die(*_: Any) -> None:
                crashed.set()
                await hang.wait()

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("csms.terminals.mail.MailDoer._report", die)
                await write(house)
                async with asyncio.timeout(20):
                    await crashed.wait()
                await house.stop()
            assert (await house.reminders())[KEY].sent_at is None
            await house.down_until(T0 + timedelta(minutes=10))
            await eventually(house, lambda row: row.sent_at is not None)
            first, second = (message_from_bytes(one.content) for one in office.letters)  # type: ignore[arg-type]
            assert first["Message-ID"] == second["Message-ID"]
            assert first.as_bytes() == second.as_bytes()


async def test_a_crash_after_the_report_sends_nothing_again(engine: AsyncEngine) -> None:
    with post_office() as office:
        async with sending(engine, options(office.port), KARI) as house:
            reached, hang = asyncio.Event(), asyncio.Event()

            async def die(*_: Any, **__: Any) -> None:
                reached.set()
                await hang.wait()

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(house.service, "complete", die)
                await write(house)
                async with asyncio.timeout(20):
                    await reached.wait()
                await house.stop()
            await house.down_until(T0 + timedelta(minutes=10))
            assert office.to() == [[KARI]]
            async with reading(engine) as connection:
                count = select(func.count()).select_from(care_schema.reminder_recipients)
                assert (await connection.execute(count)).scalar_one() == 1
