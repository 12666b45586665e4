"""Reminders as e-mails: whatever is in them, the headers are ours."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from hypothesis import given
from hypothesis import strategies as st

from csms.terminals.letters import Recipient, is_address, letter, message_id, recipients

SENDER = Recipient(name="Care", address="care@tapvolt.example")
WRITTEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(subject: str = "S", body: str = "B", name: str = "Kari", key: str = "k") -> EmailMessage:
    to = [Recipient(name=name, address="kari@owner.example")]
    made = letter(reminder_key=key, subject=subject, body=body, written_at=WRITTEN, sender=SENDER, to=to)
    read = message_from_bytes(made.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    return read


def test_a_letter_has_what_mail_servers_want() -> None:
    read = sent("Terminal P1: the inspection is due – nå", "Hei\nDu\n", key="inspection:1")
    assert str(read["From"]) == "Care <care@tapvolt.example>"
    assert str(read["To"]) == "Kari <kari@owner.example>"
    assert read["Subject"] == "Terminal P1: the inspection is due – nå"
    assert read["Date"].datetime == WRITTEN
    assert read["Message-ID"] == message_id("inspection:1", "tapvolt.example")
    assert read["Auto-Submitted"] == "auto-generated"
    assert read.get_content().splitlines() == ["Hei", "Du"]


def test_every_mail_server_can_carry_it() -> None:
    to = [Recipient(name="Kåre", address="kari@owner.example")]
    for body in ("Må gjøres nå.", "Må gjøres nå. " * 100):
        made = letter(reminder_key="k", subject="Nå", body=body, written_at=WRITTEN, sender=SENDER, to=to).as_bytes()
        assert made.isascii()
        assert max(len(line) for line in made.splitlines()) <= 78


def test_the_same_reminder_makes_the_same_letter() -> None:
    assert sent(key="a").as_bytes() == sent(key="a").as_bytes()
    assert sent(key="a")["Message-ID"] != sent(key="b")["Message-ID"]


def test_nothing_becomes_a_header() -> None:
    attack = "x\r\nBcc: everybody@example.org\r\n\r\nbody"
    read = sent(subject=attack, name=attack)
    assert set(read.keys()) == set(sent().keys())
    assert read["Bcc"] is None
    assert len(read["To"].addresses) == 1


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=100))
def test_no_text_breaks_a_letter(subject: str, body: str, name: str) -> None:
    texts = [one.encode("utf-8", "ignore").decode() for one in (subject, body, name)]  # JSON brings no surrogates
    read = sent(*texts)
    assert set(read.keys()) == set(sent().keys())
    assert [one.addr_spec for one in read["To"].addresses] == ["kari@owner.example"]


def test_only_addresses_are_written_to() -> None:
    found = recipients(
        [
            {"name": "Kari", "role": "owner", "email": " kari@owner.example ", "phone": ""},
            {"name": "Again", "email": "KARI@owner.example"},
            {"name": "Phone only", "phone": "1"},
            {"name": "Bad", "email": "a@b\r\nRCPT TO:<c@d>"},
            {"name": "None", "email": None},
        ]
    )
    assert found == [Recipient(name="Kari", address="kari@owner.example")]
    good, bad = "a@b.example a.b+c@d-e.example x@localhost", "a a@ @b a@-b a@b..c ø@b.example a@b@c <a@b> a@b,c@d"
    assert all(is_address(one) for one in good.split())
    assert not any(is_address(one) for one in bad.split())
    assert not is_address("a" * 65 + "@b.example")
